#include "troupe/scheduler/clock_table.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

clock_table::clock_table(const content& c) {
  const auto fail = [](const std::string& reason) {
    throw std::invalid_argument("[troupe::scheduler::clock_table] " + reason);
  };
  for (const auto& w : c.workers) {
    if (!workers_.empty() && w.id <= workers_.back().id)
      fail("expected workers in ascending order, found " + to_string(w.id) + " after " +
           to_string(workers_.back().id));
    for (auto before = w.applied; const auto ahead : w.ahead) {
      if (ahead <= before)
        fail("expected the pushes of " + to_string(w.id) +
             " ahead of a gap to ascend from its applied clock, found " + std::to_string(ahead) +
             " after " + std::to_string(before));
      before = ahead;
    }
    workers_.push_back({w.id, w.live, w.applied, w.ahead});
    if (w.live) count(workers_.back());
  }
}

clock_table::content clock_table::contents() const {
  content result;
  result.workers.reserve(workers_.size());
  for (const auto& e : workers_) result.workers.push_back({e.id, e.applied, e.live, e.ahead});
  return result;
}

const clock_table::entry* clock_table::find(worker_id worker) const {
  // Workers are numbered from 0, so one usually stands at its number.
  if (worker.value < workers_.size() && workers_[worker.value].id == worker)
    return &workers_[worker.value];
  const auto at = std::ranges::lower_bound(workers_, worker, {}, &entry::id);
  return at != workers_.end() && at->id == worker ? &*at : nullptr;
}

const clock_table::entry* clock_table::find_live(worker_id worker) const {
  const auto* e = find(worker);
  return e && e->live ? e : nullptr;
}

void clock_table::count(const entry& e) { ++applied_[e.applied]; }

void clock_table::discount(const entry& e) {
  const auto at = applied_.find(e.applied);
  if (--at->second == 0) applied_.erase(at);
}

void clock_table::move_forward(entry& e, clock_value to) {
  auto reached = std::ranges::lower_bound(e.ahead, to);
  for (; reached != e.ahead.end() && *reached == to; ++reached) ++to;
  e.ahead.erase(e.ahead.begin(), reached);
  if (e.live) discount(e);
  e.applied = to;
  if (e.live) count(e);
}

void clock_table::enter(worker_id worker, clock_value first) {
  auto* e = find(worker);
  if (!e)
    e = &*workers_.insert(std::ranges::lower_bound(workers_, worker, {}, &entry::id),
                          {.id = worker, .applied = first});
  if (first > e->applied) move_forward(*e, first);
  if (e->live) return;
  e->live = true;
  count(*e);
}

bool clock_table::leave(worker_id worker) {
  auto* e = find(worker);
  if (!e || !e->live) return false;
  discount(*e);
  e->live = false;
  return true;
}

bool clock_table::advance(worker_id worker, clock_value pushed) {
  auto* e = find(worker);
  if (!e) return false;
  if (pushed > e->applied) {
    const auto at = std::ranges::lower_bound(e->ahead, pushed);
    if (at == e->ahead.end() || *at != pushed) e->ahead.insert(at, pushed);
  } else if (pushed == e->applied) {
    move_forward(*e, pushed + 1);
  }
  if (!e->live) reached(probe::late_push_of_departed);
  return e->live;
}

std::optional<clock_value> clock_table::applied(worker_id worker) const {
  const auto* e = find_live(worker);
  if (!e) return std::nullopt;
  return e->applied;
}

std::optional<clock_value> clock_table::pushes_below(worker_id worker) const {
  const auto* e = find(worker);
  if (!e) return std::nullopt;
  return e->applied;
}

std::vector<worker_id> clock_table::live_workers() const {
  std::vector<worker_id> result;
  for (const auto& e : workers_)
    if (e.live) result.push_back(e.id);
  return result;
}

std::optional<clock_value> clock_table::oldest() const {
  if (applied_.empty()) return std::nullopt;
  return applied_.begin()->first;
}

bool clock_table::may_read(const consistency& mode, clock_value c) const {
  if (!mode.bounded()) return true;
  const auto bound = mode.staleness();
  if (!bound)
    throw std::logic_error("[troupe::scheduler::clock_table] expected a mode whose reads are bound "
                           "by clocks, found " +
                           to_string(mode) + ", whose reads are bound by steps");
  return staleness(c) <= *bound + (mutant_active(mutant::staleness_off_by_one) ? 1 : 0);
}

clock_value clock_table::staleness(clock_value c) const {
  const auto o = oldest();
  return o && c > *o ? c - *o : 0;
}

} // namespace troupe::scheduler
