#include "troupe/cli/progress_text.hpp"

#include <cmath>
#include <cstdio>

namespace troupe::cli {

namespace {

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[96];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

std::string rate(double samples_per_second) {
  if (!(samples_per_second >= 0) || samples_per_second > 1e18) return "- samples/s";
  return grouped(static_cast<std::uint64_t>(std::llround(samples_per_second))) + " samples/s";
}

std::string loss_text(double loss) {
  if (std::isnan(loss)) return "loss nan";
  return format(std::abs(loss) < 1e4 ? "loss %.4f" : "loss %.3e", loss);
}

std::string staleness_text(const scheduler::staleness_histogram& h) {
  if (h.empty()) return "";
  return format("  staleness mean %.1f max %llu", h.mean(),
                static_cast<unsigned long long>(h.max()));
}

// Empty when nothing was held out.
std::string held_out_text(const std::optional<double>& accuracy,
                          const std::optional<double>& loss) {
  if (accuracy) return format("held-out accuracy %.2f %%", *accuracy * 100);
  if (loss) return "held-out " + loss_text(*loss);
  return "";
}

} // namespace

std::string grouped(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string duration_text(double seconds) {
  if (!(seconds >= 0) || seconds > 1e15) return "unknown time";
  if (seconds < 9.995) return format("%.2f s", seconds);
  if (seconds < 59.95) return format("%.1f s", seconds);
  const auto whole = static_cast<unsigned long long>(std::llround(seconds));
  if (whole < 3600) return format("%llu min %02llu s", whole / 60, whole % 60);
  return format("%llu h %02llu min", whole / 3600, whole % 3600 / 60);
}

// What matters most comes first: a narrow terminal cuts the end.
std::string progress_line(const progress_event& e) {
  std::string line = format("epoch %u/%u", e.epoch, e.epochs) + "  batch " +
                     grouped(e.batches_done) + "/" + grouped(e.batches_total);
  if (e.seconds_left >= 0) {
    const double rounded = e.seconds_left < 60 ? std::round(e.seconds_left) : e.seconds_left;
    line += "  " + (rounded < 60 ? format("%.0f s", rounded) : duration_text(rounded)) + " left";
  }
  return line + "  " + loss_text(e.loss) + "  " + rate(e.samples_per_second) +
         staleness_text(e.staleness);
}

std::string epoch_line(const epoch_event& e, std::uint32_t epochs) {
  const std::string held_out = held_out_text(e.held_out_accuracy, e.held_out_loss);
  return (epochs > 0 ? format("epoch %u/%u done", e.epoch, epochs)
                     : format("epoch %u done", e.epoch)) +
         "  " + loss_text(e.loss) + (held_out.empty() ? "" : "  " + held_out) + "  " +
         rate(e.samples_per_second) + staleness_text(e.staleness);
}

std::string finished_line(const finished_event& e) {
  const std::string held_out = held_out_text(e.held_out_accuracy, e.held_out_loss);
  return "finished: " + (held_out.empty() ? "" : held_out + ", ") + "training " +
         loss_text(e.loss) + ", " + grouped(e.samples) + " samples in " + duration_text(e.seconds);
}

std::string time_text(const std::function<double(scheduler::activity)>& share) {
  using enum scheduler::activity;
  return format("computing %.1f %%, waiting for parameters %.1f %%, ", 100 * share(computing),
                100 * share(parameters)) +
         format("a lease %.1f %%, the bound %.1f %%, other %.1f %%", 100 * share(lease),
                100 * share(bound), 100 * share(other));
}

std::vector<std::string> time_lines(const finished_event& e) {
  constexpr std::size_t lines_max = 16;
  std::vector<std::string> lines;
  if (e.spent.empty()) return lines;
  const auto line = [&lines](const std::string& who, const scheduler::time_shares& t) {
    lines.push_back(who + ": " + time_text([&t](scheduler::activity a) { return t.share(a); }));
  };
  scheduler::time_shares all;
  for (const auto& [id, spent] : e.spent) all += spent;
  line("workers", all);
  if (e.spent.size() == 1) return lines;
  for (const auto& [id, spent] : e.spent) {
    if (lines.size() > lines_max) {
      lines.push_back("and " + grouped(e.spent.size() - lines_max) +
                      " more: events.jsonl in the run folder");
      break;
    }
    line("  " + to_string(id), spent);
  }
  return lines;
}

std::string interrupted_line(const interrupted_event& e) {
  return "interrupted after " + grouped(e.batches_done) +
         (e.batches_total > 0 ? " of " + grouped(e.batches_total) : "") + " batches";
}

} // namespace troupe::cli
