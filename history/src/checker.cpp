#include "troupe/checker.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "verdicts.hpp"

namespace troupe::history {

std::string name_of(rule r) {
  const auto sentence = words_of(r).sentence;
  return sentence.empty() ? "rule " + std::to_string(static_cast<unsigned>(r))
                          : std::string(sentence);
}

std::uint64_t report::total_violations() const {
  std::uint64_t n = 0;
  for (const auto& c : counts) n += c.violations;
  return n;
}

std::uint64_t report::total_judged() const {
  std::uint64_t n = 0;
  for (const auto& c : counts) n += c.judged;
  return n;
}

// -- verdicts -------------------------------------------------------------------------------------

std::string verdicts::line(place p, std::int64_t zero) const {
  const auto& e = facts_.at(p);
  char time[32];
  std::snprintf(time, sizeof time, "%12.6f s  ", static_cast<double>(e.time_ns - zero) / 1e9);
  return time + facts_.processes[p.process].name + " #" + std::to_string(p.index) + ": " +
         to_string(e);
}

void verdicts::broken(rule r, place at, std::string what,
                      const std::function<bool(const event&)>& led) {
  auto& c = count(r);
  if (++c.violations > options_.violations_kept) return;
  violation found{r, at, std::move(what), {}};
  const auto& shown = facts_.at(at);
  std::vector<place> before;
  std::int64_t zero = shown.time_ns;
  for (std::uint32_t p = 0; p < facts_.processes.size(); ++p) {
    const auto& events = facts_.processes[p].events;
    const auto end = p == at.process ? at.index : events.size();
    for (std::uint32_t i = 0; i < end; ++i) {
      zero = std::min(zero, events[i].time_ns);
      if (events[i].time_ns <= shown.time_ns && led(events[i])) before.push_back({p, i});
    }
  }
  std::ranges::stable_sort(before, {}, [this](place p) { return facts_.at(p).time_ns; });
  const auto keep = std::max<std::size_t>(options_.events_shown, 1) - 1;
  if (before.size() > keep)
    before.erase(before.begin(), before.end() - static_cast<std::ptrdiff_t>(keep));
  for (auto p : before) found.by.push_back(line(p, zero));
  found.by.push_back(line(at, zero));
  report_.violations.push_back(std::move(found));
}

bool about(const event& e, batch_id batch) {
  switch (e.what) {
  case event_kind::change_appended:
  case event_kind::change_applied:
    return e.batch == batch && e.detail <= static_cast<std::uint8_t>(change_kind::in_place);
  case event_kind::lease_received:
  case event_kind::push_sent:
  case event_kind::acknowledgement_seen:
  case event_kind::batch_finished:
  case event_kind::push_acknowledged:
  case event_kind::lease_given:
  case event_kind::lease_returned:
  case event_kind::lease_adopted:
  case event_kind::batch_completed:
    return e.batch == batch;
  default:
    return false;
  }
}

bool about(const event& e, shard_id shard) {
  switch (e.what) {
  case event_kind::pull_sent:
  case event_kind::parameters_landed:
  case event_kind::push_sent:
  case event_kind::acknowledgement_seen:
  case event_kind::view_decided:
  case event_kind::went_back:
    return e.shard == shard;
  default:
    return e.what >= event_kind::replica_began && e.what <= event_kind::state_hashed &&
           e.shard == shard;
  }
}

bool about(const event& e, worker_id worker) {
  switch (e.what) {
  case event_kind::change_appended:
  case event_kind::change_applied:
    return e.worker == worker && e.detail != static_cast<std::uint8_t>(change_kind::compare);
  case event_kind::lease_received:
  case event_kind::pull_sent:
  case event_kind::parameters_landed:
  case event_kind::push_sent:
  case event_kind::acknowledgement_seen:
  case event_kind::batch_finished:
  case event_kind::push_acknowledged:
  case event_kind::pull_served:
  case event_kind::worker_placed:
  case event_kind::worker_lost:
  case event_kind::lease_given:
  case event_kind::lease_returned:
  case event_kind::lease_adopted:
  case event_kind::batch_completed:
    return e.worker == worker;
  default:
    return false;
  }
}

// -- all of it ------------------------------------------------------------------------------------

report check(std::span<const process_history> processes, const check_options& options) {
  report out;
  out.processes = static_cast<std::uint32_t>(processes.size());
  for (const auto& p : processes) out.events += p.events.size();
  facts known(processes);
  out.missing = known.missing;
  out.finished = known.finished;
  verdicts v(known, options, out);
  for (auto& of_shard : known.lives) {
    out.lives = std::max(out.lives, static_cast<std::uint32_t>(of_shard.size()));
    for (std::size_t n = 0; n < of_shard.size(); ++n) {
      auto& life = of_shard[n];
      find_start(v, life, std::span{of_shard}.first(n));
      follow_changes(v, life);
      check_views(v, life);
      check_served(v, life);
      check_hashes(v, life);
      if (known.finished && n + 1 == of_shard.size()) check_whole(v, life);
    }
  }
  check_workers(v);
  if (known.job) check_sent(v);
  if (known.job) check_scheduler(v);
  std::ranges::stable_sort(out.violations, {}, &violation::broken);
  return out;
}

} // namespace troupe::history
