#include "troupe/scheduler/clock_table.hpp"

#include <stdexcept>
#include <string>
#include <utility>

#include "troupe/scheduler/mutant.hpp"
#include "troupe/scheduler/probe.hpp"

namespace troupe::scheduler {

clock_table::clock_table(const content& c) {
  const auto fail = [](const std::string& reason) {
    throw std::invalid_argument("[troupe::scheduler::clock_table] " + reason);
  };
  for (const auto& w : c.workers) {
    if (!workers_.empty() && w.id <= workers_.rbegin()->first)
      fail("expected workers in ascending order, found " + to_string(w.id) + " after " +
           to_string(workers_.rbegin()->first));
    entry e{.applied = w.applied, .live = w.live, .ahead = {}};
    for (auto before = w.applied; const auto ahead : w.ahead) {
      if (ahead <= before)
        fail("expected the pushes of " + to_string(w.id) +
             " ahead of a gap to ascend from its applied clock, found " + std::to_string(ahead) +
             " after " + std::to_string(before));
      e.ahead.insert(e.ahead.end(), ahead);
      before = ahead;
    }
    workers_.emplace_hint(workers_.end(), w.id, std::move(e));
    if (w.live) applied_.insert(w.applied);
  }
}

clock_table::content clock_table::contents() const {
  content result;
  result.workers.reserve(workers_.size());
  for (const auto& [id, e] : workers_)
    result.workers.push_back({id, e.applied, e.live, {e.ahead.begin(), e.ahead.end()}});
  return result;
}

const clock_table::entry* clock_table::find_live(worker_id worker) const {
  const auto it = workers_.find(worker);
  return it != workers_.end() && it->second.live ? &it->second : nullptr;
}

void clock_table::move_forward(entry& e, clock_value to) {
  e.ahead.erase(e.ahead.begin(), e.ahead.lower_bound(to));
  while (!e.ahead.empty() && *e.ahead.begin() == to) {
    e.ahead.erase(e.ahead.begin());
    ++to;
  }
  if (e.live) {
    applied_.erase(applied_.find(e.applied));
    applied_.insert(to);
  }
  e.applied = to;
}

void clock_table::enter(worker_id worker, clock_value first) {
  auto& e = workers_.try_emplace(worker, entry{.applied = first, .live = false, .ahead = {}})
                .first->second;
  if (first > e.applied) move_forward(e, first);
  if (e.live) return;
  e.live = true;
  applied_.insert(e.applied);
}

bool clock_table::leave(worker_id worker) {
  const auto it = workers_.find(worker);
  if (it == workers_.end() || !it->second.live) return false;
  it->second.live = false;
  applied_.erase(applied_.find(it->second.applied));
  return true;
}

bool clock_table::advance(worker_id worker, clock_value pushed) {
  const auto it = workers_.find(worker);
  if (it == workers_.end()) return false;
  auto& e = it->second;
  if (pushed > e.applied)
    e.ahead.insert(pushed);
  else if (pushed == e.applied)
    move_forward(e, pushed + 1);
  if (!e.live) reached(probe::late_push_of_departed);
  return e.live;
}

std::optional<clock_value> clock_table::applied(worker_id worker) const {
  const auto* e = find_live(worker);
  if (!e) return std::nullopt;
  return e->applied;
}

std::optional<clock_value> clock_table::pushes_below(worker_id worker) const {
  const auto it = workers_.find(worker);
  if (it == workers_.end()) return std::nullopt;
  return it->second.applied;
}

std::vector<worker_id> clock_table::live_workers() const {
  std::vector<worker_id> result;
  for (const auto& [worker, e] : workers_)
    if (e.live) result.push_back(worker);
  return result;
}

std::optional<clock_value> clock_table::oldest() const {
  if (applied_.empty()) return std::nullopt;
  return *applied_.begin();
}

bool clock_table::may_read(const consistency& mode, worker_id /*reader: as every other*/,
                           clock_value c) const {
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
