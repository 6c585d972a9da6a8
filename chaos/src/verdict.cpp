#include "troupe/chaos/verdict.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

#include "troupe/checker.hpp"
#include "troupe/tensor/integer_sum.hpp"

namespace troupe::chaos {

namespace {

using history::event_kind;

constexpr std::size_t notices_told = 8;

std::string seconds(sim_time t) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f s", std::chrono::duration<double>(t).count());
  return text;
}

std::vector<std::string> last_notices(const run_remains& r) {
  std::vector<std::string> lines;
  const auto first = r.notices.size() > notices_told ? r.notices.size() - notices_told : 0;
  for (auto i = first; i < r.notices.size(); ++i)
    lines.push_back(seconds(r.notices[i].at) + ": " + r.notices[i].text);
  if (!r.status.empty()) lines.push_back("status: " + r.status);
  return lines;
}

class judgement {
 public:
  judgement(const scenario& s, const run_remains& r, outcome& o)
      : scenario_(s), remains_(r), outcome_(o) {}

  void check_end() {
    if (!remains_.finished) {
      add(invariant::finishes, remains_.end,
          "expected the run to have finished by " + seconds(scenario_.quiet.finish_by) +
              ", found " + remains_.why_not,
          last_notices(remains_));
      return;
    }
    const auto expected = expected_parameters(remains_.work);
    const auto& found = remains_.parameters;
    const auto [a, b] = std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
    if (a != expected.end() || b != found.end())
      add(invariant::exact_parameters, remains_.end,
          "expected parameter " + std::to_string(a - expected.begin()) + " to be " +
              (a != expected.end() ? std::to_string(*a) : "none") + ", found " +
              (b != found.end() ? std::to_string(*b) : "none"),
          last_notices(remains_));
    const auto samples = std::uint64_t{scenario_.work.samples} * scenario_.work.epochs;
    if (remains_.samples && *remains_.samples != samples)
      add(invariant::exact_parameters, remains_.end,
          "expected " + std::to_string(samples) + " samples to be counted, found " +
              std::to_string(*remains_.samples),
          last_notices(remains_));
  }

  void check_history() {
    std::map<std::uint32_t, std::vector<std::size_t>> runs;
    for (std::size_t i = 0; i < remains_.histories.size(); ++i)
      runs[remains_.resumed.empty() ? 0 : remains_.resumed.at(i)].push_back(i);
    for (const auto& [resumed, parts] : runs) check_history_of(parts);
  }

 private:
  void check_history_of(const std::vector<std::size_t>& parts) {
    std::vector<history::process_history> histories;
    for (const auto part : parts) histories.push_back(remains_.histories.at(part));
    const auto report =
        history::check(histories, {.violations_kept = 3, .one_clock = remains_.one_clock});
    for (std::size_t i = 0; i < history::rules; ++i) {
      const auto rule = static_cast<history::rule>(i + 1);
      outcome_.judged[std::string(name_of(invariant_of(rule)))] += report.of(rule).judged;
    }
    for (const auto& v : report.violations) {
      const auto& events = histories.at(v.at.process).events;
      const auto at =
          v.at.index < events.size() ? sim_time(events[v.at.index].time_ns) : remains_.end;
      add(invariant_of(v.broken), at, v.what, v.by);
    }
  }

  void add(invariant i, sim_time at, std::string what, std::vector<std::string> by) {
    if (!scenario_.unchecked.contains(i))
      outcome_.violations.push_back({std::string(name_of(i)), at, std::move(what), std::move(by)});
  }

  const scenario& scenario_;
  const run_remains& remains_;
  outcome& outcome_;
};

void draw_spans(const run_remains& r, timeline& t) {
  for (const auto& done : r.done) {
    const bool ends =
        done.what.kind == fault_kind::kill || done.what.kind == fault_kind::power_loss;
    const bool for_good = ends && done.what.lasts.count() == 0;
    for (const auto number : done.to)
      t.spans.push_back({number, done.what.kind, done.at,
                         for_good ? r.end : std::min(r.end, done.at + done.what.lasts),
                         to_string(done.what)});
  }
}

void draw_views_and_clocks(const run_remains& r, timeline& t) {
  std::map<std::uint32_t, std::uint32_t> process_of; // by the scheduler's number of a node
  for (std::size_t i = 0; i < r.histories.size(); ++i)
    for (const auto& e : r.histories[i].events)
      if (e.what == event_kind::node_entered) process_of[e.node.value] = r.recorded_by[i];
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::size_t> views;
  for (const auto& h : r.histories)
    for (const auto& e : h.events) {
      if (e.what == event_kind::batch_finished)
        t.clocks.push_back({e.worker.value, e.clock, sim_time(e.time_ns)});
      if (e.what != event_kind::view_decided ||
          static_cast<history::role>(e.detail) == history::role::learner)
        continue;
      const auto [i, fresh] = views.try_emplace({e.shard.value, e.view}, t.views.size());
      if (fresh) t.views.push_back({e.shard.value, e.view, sim_time(e.time_ns), {}});
      if (const auto node = process_of.find(e.node.value); node != process_of.end())
        t.views[i->second].chain.push_back(node->second);
    }
  std::ranges::stable_sort(t.clocks, {}, &timeline::clock::at);
}

// Of one process in its own order, which time does not contradict.
void list_events(const run_remains& r, timeline& t) {
  std::vector<std::pair<std::int64_t, std::string>> lines;
  for (const auto& h : r.histories)
    for (const auto& e : h.events)
      lines.emplace_back(e.time_ns,
                         seconds(sim_time(e.time_ns)) + "  " + h.name + ": " + to_string(e));
  for (const auto& n : r.notices)
    lines.emplace_back(n.at.count(), seconds(n.at) + "  said: " + n.text);
  std::ranges::stable_sort(lines, {}, &std::pair<std::int64_t, std::string>::first);
  for (auto& line : lines) t.events.push_back(std::move(line.second));
}

} // namespace

void judge(const scenario& s, const run_remains& r, outcome& o) {
  o.virtual_time = r.end;
  for (const auto& done : r.done) ++o.faults[static_cast<std::size_t>(done.what.kind)];
  judgement j(s, r, o);
  j.check_end();
  j.check_history();
}

timeline picture_of(const run_remains& r) {
  timeline t;
  t.processes = r.processes;
  t.notices = r.notices;
  draw_spans(r, t);
  draw_views_and_clocks(r, t);
  list_events(r, t);
  return t;
}

std::vector<float> expected_parameters(const job& j) {
  const auto& mode = j.train.consistency;
  const auto samples =
      static_cast<std::size_t>(static_cast<double>(j.data.samples) * (1 - j.data.share_held_out()));
  const auto scale =
      mode.applies_on_arrival() ? 1.0 : 1.0 / static_cast<double>(*mode.batches_per_step());
  std::vector<float> result;
  for (auto sum : tensor::expected_sum(j.model.parameters, samples))
    result.push_back(static_cast<float>(-sum * j.train.epochs * scale));
  return result;
}

} // namespace troupe::chaos
