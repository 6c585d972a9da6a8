#include <algorithm>
#include <cstdio>

#include "troupe/chaos/report.hpp"

namespace troupe::chaos {

namespace {

template <class... Values>
std::string printed(const char* format, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

double in_seconds(sim_time t) { return std::chrono::duration<double>(t).count(); }

std::string counted(std::uint64_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string list_of(const schedule& faults) {
  std::string text;
  for (const auto& f : faults) text += "    " + to_string(f) + "\n";
  return text.empty() ? "    (none)\n" : text;
}

std::string text_of(const violation& v) {
  auto text = "  " + v.rule + printed(" at %.6f s: ", in_seconds(v.at)) + v.what + "\n";
  for (const auto& line : v.by) text += "    " + line + "\n";
  return text;
}

} // namespace

std::string hex(std::uint64_t value) {
  return printed("%016llx", static_cast<unsigned long long>(value));
}

std::string counted_faults(const std::array<std::uint64_t, fault_kind_names.size()>& faults) {
  std::string text;
  for (std::size_t i = 0; i < faults.size(); ++i)
    if (faults[i] > 0)
      text += (text.empty() ? "" : ", ") + std::to_string(faults[i]) + " " +
              std::string(fault_kind_names[i]);
  return text.empty() ? "no fault" : text;
}

std::string not_run_line(const std::map<std::string, std::uint64_t>& not_run) {
  std::string text;
  for (const auto& [what, count] : not_run)
    text += (text.empty() ? "not run here: " : ", ") + std::to_string(count) + " " + what;
  return text;
}

std::string seed_line(std::uint64_t seed, const outcome& o) {
  auto text = "seed " + std::to_string(seed) + (o.violations.empty() ? " held" : " FAILED") +
              printed(" after %.1f s: ", in_seconds(o.virtual_time)) + counted_faults(o.faults);
  if (!o.not_run.empty()) text += "; " + not_run_line(o.not_run);
  return text;
}

std::string totals_line(const campaign_report& r) {
  const auto text = std::string(r.interrupted ? "interrupted after " : "") +
                    counted(r.seeds, "seed") + ", " + counted(r.failed, "violation") + "; " +
                    counted_faults(r.faults) + "; " +
                    printed("%.0f seeds per minute, %.1f s of ", r.seeds_per_minute(),
                            in_seconds(r.virtual_time));
  return r.repeatable ? text + "virtual time, fingerprint " + hex(r.fingerprint)
                      : text + "training";
}

std::string text_of(const outcome& o, const schedule& faults, bool repeatable) {
  auto text = "faults:\n" + list_of(faults) + "what the run said:\n";
  for (const auto& n : o.seen.notices)
    text += printed("    %.6f s  ", in_seconds(n.at)) + n.text + "\n";
  text += "judged by the checker:";
  for (const auto& [rule, count] : o.judged) text += " " + rule + " " + std::to_string(count);
  text += "\n";
  if (repeatable)
    text += "fingerprint " + hex(o.fingerprint) + ", " + counted(o.steps, "step") +
            printed(", %.6f s of virtual time\n", in_seconds(o.virtual_time));
  return text;
}

std::string text_of(const failing_seed& f) {
  auto text = "seed " + std::to_string(f.seed) + " failed:\n";
  for (const auto& v : f.what.violations) text += text_of(v);
  if (f.shrunk == f.faults)
    return text + "  " + counted(f.faults.size(), "fault") + ":\n" + list_of(f.faults);
  return text + "  " + counted(f.shrunk.size(), "fault") + " of " +
         std::to_string(f.faults.size()) + (f.shrunk.size() == 1 ? " is enough" : " are enough") +
         (f.minimal ? "" : " (there was no time to try for fewer)") + ", found in " +
         counted(f.shrink_runs, "run") + ":\n" + list_of(f.shrunk);
}

std::string text_of(const mutant_result& m) {
  const auto name = std::string(mutant_texts[static_cast<std::size_t>(m.what)].name);
  if (!m.caught) return name + ": NOT CAUGHT by " + counted(m.seeds, "seed");
  const auto& f = *m.caught;
  return name + ": caught by seed " + std::to_string(f.seed) + " (" +
         (f.what.violations.empty() ? "?" : f.what.violations.front().rule) + ") with " +
         counted(f.shrunk.size(), "fault") + " of " + std::to_string(f.faults.size());
}

std::string text_of(const probe_counts& probes) {
  std::string reached, never;
  for (const auto& p : probe_texts) {
    const auto count = probes[static_cast<std::size_t>(p.what)];
    auto& to = count > 0 ? reached : never;
    to += (count > 0 ? printed("%10llu  ", static_cast<unsigned long long>(count))
                     : std::string("     never  ")) +
          std::string(p.name) + ": " + std::string(p.text) + "\n";
  }
  return reached + never;
}

} // namespace troupe::chaos
