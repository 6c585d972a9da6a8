// The report as a page.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "troupe/chaos/report.hpp"

namespace troupe::chaos {

namespace {

constexpr double left = 130; // of names
constexpr double width = 1050;
constexpr double row = 20;

constexpr const char* style = R"(<style>
body { font: 14px/1.45 system-ui, sans-serif; margin: 24px; color: #1c2430; background: #fff; }
h1 { font-size: 20px; } h2 { font-size: 16px; margin-top: 32px; }
table { border-collapse: collapse; } td, th { padding: 2px 12px 2px 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: #f4f5f7; padding: 8px 12px; overflow-x: auto; }
svg { display: block; margin: 12px 0; background: #fcfcfd; border: 1px solid #dfe3e8; }
svg text { font: 11px system-ui, sans-serif; fill: #36414f; }
.bad { color: #b00020; font-weight: 600; } .good { color: #17692c; font-weight: 600; }
</style>
)";

constexpr std::array<const char*, fault_kind_names.size()> colours = {
    "#3a3f47", "#e0a030", "#7a4fbf", "#9ec5e8", "#b5651d",
    "#111418", "#2f9e8f", "#8a8f98", "#c2185b"};
constexpr std::array<const char*, 10> palette = {"#4269d0", "#efb118", "#ff725c", "#6cc5b0",
                                                 "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5",
                                                 "#9c6b4e", "#9498a0"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  }
  return out;
}

std::string number(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%.2f", x);
  return text;
}

std::string seconds(sim_time t) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(t).count());
  return text;
}

std::string cell(const std::string& text, bool figure = false) {
  return std::string(figure ? "<td class=\"n\">" : "<td>") + text + "</td>";
}

/// The picture of one run.
class drawing {
 public:
  explicit drawing(const outcome& o) : run_(o), seen_(o.seen) {
    end_ = std::max<sim_time>(o.virtual_time, std::chrono::milliseconds(1));
  }

  std::string svg() {
    axis();
    for (std::uint32_t p = 0; p < seen_.processes.size(); ++p) process_row(p);
    views();
    clocks();
    marks();
    return "<svg width=\"" + number(left + width + 20) + "\" height=\"" + number(y_ + 24) +
           "\">\n" + body_ + "</svg>\n";
  }

 private:
  double x(sim_time t) const {
    return left + width * static_cast<double>(std::clamp(t, sim_time{}, end_).count()) /
                      static_cast<double>(end_.count());
  }

  void name(const std::string& text) {
    body_ += "<text x=\"6\" y=\"" + number(y_ + 14) + "\">" + escaped(text) + "</text>\n";
  }

  void box(sim_time from, sim_time to, double inset, const std::string& colour, double opacity,
           const std::string& text) {
    const auto begin = x(from);
    body_ += "<rect x=\"" + number(begin) + "\" y=\"" + number(y_ + inset) + "\" width=\"" +
             number(std::max(2.0, x(to) - begin)) + "\" height=\"" + number(row - 2 * inset) +
             "\" fill=\"" + colour + "\" fill-opacity=\"" + number(opacity) + "\"><title>" +
             escaped(text) + "</title></rect>\n";
  }

  void axis() {
    // 1, 2 or 5 times a power of ten, so that there are about ten of them.
    const double whole = static_cast<double>(end_.count());
    double step = 1e6;
    for (const double f : {2.0, 2.5, 2.0, 2.0, 2.5, 2.0, 2.0, 2.5, 2.0, 2.0, 2.5, 2.0}) {
      if (whole / step <= 12) break;
      step *= f;
    }
    for (double t = 0; t <= whole; t += step) {
      const auto at = sim_time(static_cast<std::int64_t>(t));
      lines_ += "<line x1=\"" + number(x(at)) + "\" x2=\"" + number(x(at)) +
                "\" y1=\"16\" y2=\"HEIGHT\" stroke=\"#e8ebef\"/>\n";
      body_ += "<text x=\"" + number(x(at) + 2) + "\" y=\"12\">" + seconds(at) + "</text>\n";
    }
    y_ = 20;
  }

  void process_row(std::uint32_t p) {
    name(seen_.processes[p]);
    box({}, end_, 6, "#cfe8d5", 1, seen_.processes[p] + " is there");
    for (const auto& s : seen_.spans) {
      if (s.process != p) continue;
      const bool is_dead = s.kind == fault_kind::kill || s.kind == fault_kind::power_loss;
      const bool whole = is_dead || s.kind == fault_kind::pause;
      box(s.from, s.to, whole ? 2 : 5, colours[static_cast<std::size_t>(s.kind)],
          whole ? 0.95 : 0.55, s.text);
    }
    y_ += row;
  }

  void views() {
    std::set<std::uint32_t> shards;
    for (const auto& v : seen_.views) shards.insert(v.shard);
    for (const auto shard : shards) {
      name("shard " + std::to_string(shard));
      const timeline::view* last = nullptr;
      for (const auto& v : seen_.views) {
        if (v.shard != shard) continue;
        if (last != nullptr) view(*last, v.at);
        last = &v;
      }
      if (last != nullptr) view(*last, end_);
      y_ += row;
    }
  }

  void view(const timeline::view& v, sim_time to) {
    auto text = "shard " + std::to_string(v.shard) + ", view " + std::to_string(v.number) + ": ";
    if (v.chain.empty()) text += "nobody holds it";
    for (std::size_t i = 0; i < v.chain.size(); ++i)
      text += (i == 0 ? "primary " : ", then ") + process_name(v.chain[i]);
    const std::string colour =
        v.chain.empty() ? "#ffffff" : palette[v.chain.front() % palette.size()];
    box(v.at, to, 3, colour, 0.85, text + ", from " + seconds(v.at) + " to " + seconds(to));
    if (x(to) - x(v.at) > 24)
      body_ += "<text x=\"" + number(x(v.at) + 3) + "\" y=\"" + number(y_ + 14) + "\">" +
               std::to_string(v.number) + "</text>\n";
  }

  std::string process_name(std::uint32_t p) const {
    return p < seen_.processes.size() ? seen_.processes[p] : "process " + std::to_string(p);
  }

  void clocks() {
    if (seen_.clocks.empty()) return;
    constexpr double height = 120;
    std::uint64_t top = 1;
    std::map<std::uint32_t, std::string> paths;
    for (const auto& c : seen_.clocks) top = std::max(top, c.value);
    const auto y = [&](std::uint64_t value) {
      return y_ + 6 + height * (1 - static_cast<double>(value) / static_cast<double>(top));
    };
    for (const auto& c : seen_.clocks)
      paths[c.worker] += number(x(c.at)) + "," + number(y(c.value)) + " ";
    name("clocks to " + std::to_string(top));
    for (const auto& [worker, points] : paths)
      body_ += "<polyline points=\"" + points + "\" fill=\"none\" stroke-width=\"1.6\" stroke=\"" +
               palette[worker % palette.size()] + "\"><title>worker " + std::to_string(worker) +
               "</title></polyline>\n";
    y_ += height + 12;
  }

  void marks() {
    for (const auto& v : run_.violations)
      body_ += "<line x1=\"" + number(x(v.at)) + "\" x2=\"" + number(x(v.at)) +
               "\" y1=\"16\" y2=\"" + number(y_) +
               "\" stroke=\"#b00020\" stroke-width=\"2\"><title>" +
               escaped(v.rule + ": " + v.what) + "</title></line>\n";
    name("said");
    for (const auto& n : seen_.notices)
      body_ += "<circle cx=\"" + number(x(n.at)) + "\" cy=\"" + number(y_ + row / 2) +
               "\" r=\"3.5\" fill=\"#5b6573\"><title>" + escaped(seconds(n.at) + ": " + n.text) +
               "</title></circle>\n";
    y_ += row;
    for (std::size_t at; (at = lines_.find("HEIGHT")) != std::string::npos;)
      lines_.replace(at, 6, number(y_));
    body_.insert(0, lines_);
  }

  const outcome& run_;
  const timeline& seen_;
  sim_time end_{};
  double y_ = 0;
  std::string body_;
  std::string lines_; // behind everything
};

std::string legend() {
  std::string out = "<p>";
  for (std::size_t i = 0; i < colours.size(); ++i)
    out += "<span style=\"background:" + std::string(colours[i]) +
           ";display:inline-block;width:12px;height:12px;margin:0 4px 0 12px\"></span>" +
           std::string(fault_kind_names[i]);
  return out + "<span style=\"background:#b00020;display:inline-block;width:3px;height:12px;"
               "margin:0 4px 0 12px\"></span>violation</p>\n";
}

std::string failing(const failing_seed& f, const told& t) {
  auto out = "<h2>Seed " + std::to_string(f.seed) + "</h2>\n";
  if (t.replay) out += "<p>See it again: <code>" + escaped(t.replay(f.seed)) + "</code></p>\n";
  out += "<pre>" + escaped(text_of(f)) + "</pre>\n";
  if (!f.what.seen.processes.empty()) out += drawing(f.what).svg();
  return out;
}

std::string probe_table(const probe_counts& probes) {
  std::string out = "<h2>Rare branches</h2>\n<table>\n";
  for (const auto& p : probe_texts) {
    const auto count = probes[static_cast<std::size_t>(p.what)];
    out += "<tr>" +
           cell(count > 0 ? std::to_string(count) : "<span class=\"bad\">never</span>", true) +
           cell(std::string(p.name)) + cell(escaped(p.text)) + "</tr>\n";
  }
  return out + "</table>\n";
}

std::string mutant_table(const told& t) {
  std::string out = "<h2>Mutants</h2>\n<table>\n<tr><th>mutant</th><th>what it does</th>"
                    "<th>caught by seed</th><th>rule</th><th>faults needed</th></tr>\n";
  std::size_t caught = 0;
  for (const auto& m : *t.mutants) {
    const auto& text = mutant_texts[static_cast<std::size_t>(m.what)];
    out += "<tr>" + cell(std::string(text.name)) + cell(escaped(text.text));
    if (m.caught) {
      ++caught;
      const auto& f = *m.caught;
      out += cell(std::to_string(f.seed), true) +
             cell(f.what.violations.empty() ? "" : escaped(f.what.violations.front().rule)) +
             cell(std::to_string(f.shrunk.size()) + " of " + std::to_string(f.faults.size()), true);
    } else {
      out += cell("<span class=\"bad\">not by " + std::to_string(m.seeds) + " seeds</span>");
    }
    out += "</tr>\n";
  }
  return out + "</table>\n<p>" + std::to_string(caught) + " of " +
         std::to_string(t.mutants->size()) + " caught.</p>\n";
}

} // namespace

std::string html_report(const told& t) {
  auto out = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>troupe "
             "chaos: " +
             escaped(t.what.name) + "</title>\n" + style + "</head>\n<body>\n<h1>" +
             escaped(t.what.name) + "</h1>\n";
  if (t.campaign != nullptr) {
    const auto& c = *t.campaign;
    out += "<p class=\"" + std::string(c.failed > 0 ? "bad" : "good") + "\">" +
           escaped(totals_line(c)) + "</p>\n";
    if (!c.not_run.empty()) out += "<p>" + escaped(not_run_line(c.not_run)) + "</p>\n";
    out += legend();
    for (const auto& f : c.failures) out += failing(f, t);
    if (c.only) {
      out +=
          "<h2>Seed " + std::to_string(c.first_seed) + "</h2>\n" + drawing(*c.only).svg() + "<pre>";
      for (const auto& n : c.only->seen.notices)
        out += escaped(seconds(n.at) + "  " + n.text) + "\n";
      out += "</pre>\n";
    }
    out += "<h2>Judged by the checker</h2>\n<table>\n";
    for (const auto& [rule, count] : c.judged)
      out += "<tr>" + cell(std::to_string(count), true) + cell(escaped(rule)) + "</tr>\n";
    out += "</table>\n";
    if (c.repeatable) out += probe_table(c.probes);
  }
  if (t.mutants != nullptr) out += mutant_table(t);
  return out + "</body>\n</html>\n";
}

} // namespace troupe::chaos
