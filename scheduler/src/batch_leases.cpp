#include "troupe/scheduler/batch_leases.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

batch_leases::batch_leases(batch_plan plan) : plan_(std::move(plan)), completed_(plan_) {}

batch_leases::batch_leases(batch_plan plan, applied_set completed) : batch_leases(std::move(plan)) {
  if (completed.batches_per_epoch() != plan_.batches_per_epoch() ||
      completed.epochs() != plan_.epochs())
    throw std::invalid_argument("[troupe::scheduler::batch_leases] expected completed batches of "
                                "the same job, found those of another");
  completed_ = std::move(completed);
  skip_completed();
}

std::vector<batch_id> batch_leases::lease(worker_id worker, std::size_t count, time_point now) {
  std::vector<batch_id> result;
  while (result.size() < count && available()) {
    std::uint64_t ordinal = next_;
    if (!returned_.empty()) {
      reached(probe::batch_leased_again);
      ordinal = *returned_.begin();
      if (!mutant_active(mutant::lease_given_twice)) returned_.erase(returned_.begin());
    } else {
      ++next_;
      skip_completed();
    }
    begin_lease(worker, ordinal, now);
    result.push_back(plan_.batch_at(ordinal));
  }
  return result;
}

bool batch_leases::complete(batch_id batch, worker_id worker) { // any may: LEASES-3
  const auto ordinal = plan_.ordinal(batch);
  if (!completed_.insert(batch) && !mutant_active(mutant::completed_twice)) return false;
  if (const auto it = open_.find(ordinal); it != open_.end()) {
    if (it->second.worker != worker) reached(probe::batch_completed_by_another);
    end_lease(it);
  }
  returned_.erase(ordinal);
  skip_completed();
  return true;
}

std::vector<batch_id> batch_leases::give_back(worker_id worker) {
  std::vector<batch_id> result;
  const auto it = by_worker_.find(worker);
  if (it == by_worker_.end()) return result;
  for (const auto ordinal : it->second) {
    result.push_back(plan_.batch_at(ordinal));
    returned_.insert(ordinal);
    const auto lease = open_.find(ordinal);
    if (lease == open_.end()) continue; // see begin_lease
    by_age_.erase(lease->second.place);
    open_.erase(lease);
  }
  by_worker_.erase(it);
  return result;
}

bool batch_leases::give_back(worker_id worker, batch_id batch) {
  const auto it = open_.find(plan_.ordinal(batch));
  if (it == open_.end() || it->second.worker != worker) return false;
  returned_.insert(it->first);
  end_lease(it);
  return true;
}

std::vector<worker_id> batch_leases::overdue(time_point now, duration timeout) const {
  std::set<worker_id> result;
  for (const auto ordinal : by_age_) {
    const auto& lease = open_.at(ordinal);
    if (now - lease.since < timeout) break;
    result.insert(lease.worker);
  }
  return {result.begin(), result.end()};
}

bool batch_leases::adopt(worker_id worker, batch_id batch, time_point now) {
  if (!plan_.contains(batch) || completed_.contains(batch)) return false;
  const auto ordinal = plan_.ordinal(batch);
  if (open_.contains(ordinal)) return false;
  for (; next_ <= ordinal; ++next_)
    if (!completed_.contains(plan_.batch_at(next_))) returned_.insert(next_);
  skip_completed();
  returned_.erase(ordinal);
  begin_lease(worker, ordinal, now);
  return true;
}

std::optional<batch_id> batch_leases::first_new() const {
  if (next_ < plan_.total_batches()) return plan_.batch_at(next_);
  return std::nullopt;
}

std::optional<batch_id> batch_leases::straggler(worker_id idle, time_point now,
                                                duration age) const {
  for (const auto ordinal : by_age_) {
    const auto& lease = open_.at(ordinal);
    if (now - lease.since < age) break;
    if (lease.worker != idle) return plan_.batch_at(ordinal);
  }
  return std::nullopt;
}

void batch_leases::renew(worker_id worker, time_point now) {
  const auto it = by_worker_.find(worker);
  if (it == by_worker_.end()) return;
  for (const auto ordinal : it->second) {
    auto& lease = open_.at(ordinal);
    if (lease.since >= now) continue;
    by_age_.splice(place_for(now), by_age_, lease.place);
    lease.since = now;
  }
}

std::vector<batch_id> batch_leases::held_by(worker_id worker) const {
  std::vector<batch_id> result;
  const auto it = by_worker_.find(worker);
  if (it == by_worker_.end()) return result;
  for (const auto ordinal : it->second) result.push_back(plan_.batch_at(ordinal));
  return result;
}

std::size_t batch_leases::held_count(worker_id worker) const {
  const auto it = by_worker_.find(worker);
  return it != by_worker_.end() ? it->second.size() : 0;
}

std::optional<worker_id> batch_leases::holder(batch_id batch) const {
  if (!plan_.contains(batch)) return std::nullopt;
  const auto it = open_.find(plan_.ordinal(batch));
  if (it == open_.end()) return std::nullopt;
  return it->second.worker;
}

void batch_leases::begin_lease(worker_id worker, std::uint64_t ordinal, time_point now) {
  // Already open with the mutant lease_given_twice alone: then the first lease stays.
  const auto [lease, begun] = open_.try_emplace(ordinal, open_lease{worker, now, {}});
  if (begun) lease->second.place = by_age_.insert(place_for(now), ordinal);
  auto& held = by_worker_[worker];
  const auto at = std::ranges::lower_bound(held, ordinal);
  if (at == held.end() || *at != ordinal) held.insert(at, ordinal);
}

// Behind all that are older or as old: time goes on, so that is the end.
std::list<std::uint64_t>::iterator batch_leases::place_for(time_point since) {
  auto place = by_age_.end();
  while (place != by_age_.begin() && open_.at(*std::prev(place)).since > since) --place;
  return place;
}

void batch_leases::end_lease(open_map::iterator lease) {
  by_age_.erase(lease->second.place);
  const auto held = by_worker_.find(lease->second.worker);
  std::erase(held->second, lease->first);
  if (held->second.empty()) by_worker_.erase(held);
  open_.erase(lease);
}

void batch_leases::skip_completed() {
  while (next_ < plan_.total_batches()) {
    const auto batch = plan_.batch_at(next_);
    if (completed_.complete(batch.epoch))
      next_ += plan_.batches_per_epoch() - batch.index;
    else if (completed_.contains(batch))
      ++next_;
    else
      return;
  }
}

std::optional<batch_id> batch_leases::peek() const {
  if (!returned_.empty()) return plan_.batch_at(*returned_.begin());
  if (next_ < plan_.total_batches()) return plan_.batch_at(next_);
  return std::nullopt;
}

} // namespace troupe::scheduler
