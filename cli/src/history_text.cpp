#include "troupe/cli/history_text.hpp"

#include <array>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace troupe::cli {

namespace {

using nlohmann::json;

std::string rule_line(history::rule r, const history::rule_count& c) {
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), "  CHECK-%-3u %-36s %12llu judged",
                static_cast<unsigned>(r), history::name_of(r).c_str(),
                static_cast<unsigned long long>(c.judged));
  std::string line = text.data();
  if (c.unknown > 0) line += ", " + std::to_string(c.unknown) + " unknown";
  if (c.violations > 0) line += ", " + std::to_string(c.violations) + " broken";
  return line + "\n";
}

std::string counted(std::uint64_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string violation_text(const history::violation& v) {
  std::string text = "CHECK-" + std::to_string(static_cast<unsigned>(v.broken)) + ", " +
                     history::name_of(v.broken) + ", is broken: " + v.what + "\n";
  text += "the events that led to it:\n";
  for (const auto& line : v.by) text += "  " + line + "\n";
  return text;
}

} // namespace

std::string report_text(const history::report& r, bool all) {
  std::string text =
      counted(r.events, "event") + " of " +
      (r.processes == 1 ? std::string("1 process") : std::to_string(r.processes) + " processes");
  if (r.lives > 1)
    text += ", which went back to a checkpoint or the start " +
            (r.lives == 2 ? std::string("once") : std::to_string(r.lives - 1) + " times");
  text += r.finished ? "; the run has finished\n" : "; the run has not finished\n";
  for (std::size_t i = 0; i < history::rules; ++i)
    text += rule_line(static_cast<history::rule>(i + 1), r.counts.at(i));
  for (const auto& what : r.missing) text += "missing: " + what + "\n";
  if (r.violations.empty()) {
    text += r.total_judged() == 0 ? "nothing could be judged\n" : "no violation\n";
    return text;
  }
  const auto total = r.total_violations();
  text += counted(total, "violation") + "\n";
  const auto shown = all ? r.violations.size() : 1;
  for (std::size_t i = 0; i < shown; ++i) text += "\n" + violation_text(r.violations[i]);
  if (all && r.violations.size() < total)
    text +=
        "\nof " + std::to_string(total - r.violations.size()) + " more only the number is kept\n";
  return text;
}

std::string report_json(const history::report& r) {
  json rules = json::array();
  for (std::size_t i = 0; i < history::rules; ++i) {
    const auto& c = r.counts.at(i);
    rules.push_back({{"rule", i + 1},
                     {"name", history::name_of(static_cast<history::rule>(i + 1))},
                     {"judged", c.judged},
                     {"unknown", c.unknown},
                     {"violations", c.violations}});
  }
  json violations = json::array();
  for (const auto& v : r.violations)
    violations.push_back(
        {{"rule", static_cast<unsigned>(v.broken)}, {"what", v.what}, {"events", v.by}});
  return json{{"events", r.events},      {"processes", r.processes}, {"lives", r.lives},
              {"finished", r.finished},  {"missing", r.missing},     {"rules", rules},
              {"violations", violations}}
      .dump();
}

} // namespace troupe::cli
