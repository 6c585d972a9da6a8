#include "troupe/scheduler/clock_table.hpp"

#include <algorithm>
#include <stdexcept>

namespace troupe::scheduler {

void clock_table::move_forward(entry& e, clock_value to) {
  e.ahead.erase(e.ahead.begin(), e.ahead.lower_bound(to));
  while (!e.ahead.empty() && *e.ahead.begin() == to) {
    e.ahead.erase(e.ahead.begin());
    ++to;
  }
  applied_.erase(applied_.find(e.applied));
  applied_.insert(to);
  e.applied = to;
}

void clock_table::enter(worker_id worker, clock_value first) {
  if (const auto it = live_.find(worker); it != live_.end()) {
    if (first > it->second.applied) move_forward(it->second, first);
    return;
  }
  if (const auto it = departed_.find(worker); it != departed_.end()) {
    first = std::max(first, it->second);
    departed_.erase(it);
  }
  live_.emplace(worker, entry{.applied = first, .ahead = {}});
  applied_.insert(first);
}

bool clock_table::leave(worker_id worker) {
  const auto it = live_.find(worker);
  if (it == live_.end()) return false;
  applied_.erase(applied_.find(it->second.applied));
  departed_.emplace(worker, it->second.applied);
  live_.erase(it);
  return true;
}

bool clock_table::advance(worker_id worker, clock_value pushed) {
  const auto it = live_.find(worker);
  if (it == live_.end()) return false;
  auto& e = it->second;
  if (pushed > e.applied)
    e.ahead.insert(pushed);
  else if (pushed == e.applied)
    move_forward(e, pushed + 1);
  return true;
}

std::optional<clock_value> clock_table::applied(worker_id worker) const {
  const auto it = live_.find(worker);
  if (it == live_.end()) return std::nullopt;
  return it->second.applied;
}

std::vector<worker_id> clock_table::live_workers() const {
  std::vector<worker_id> result;
  result.reserve(live_.size());
  for (const auto& [worker, e] : live_) result.push_back(worker);
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
  return staleness(c) <= *bound;
}

clock_value clock_table::staleness(clock_value c) const {
  const auto o = oldest();
  return o && c > *o ? c - *o : 0;
}

} // namespace troupe::scheduler
