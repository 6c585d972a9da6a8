#include "troupe/actors/worker_core.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "troupe/probes/probe.hpp"

namespace troupe::actors {

namespace {

// In hand, in flight, on their way to be let go; and own writes that no pull contains yet.
constexpr std::size_t gradients_known = 16;

} // namespace

worker_core::worker_core(options o) : options_(std::move(o)) {
  if (auto g = options_.mode.batches_per_step()) steps_.emplace(options_.plan, *g);
  for (const auto& range : options_.ranges) parameters_ += range.size;
  for (auto shard : options_.remote)
    if (auto first = options_.ranges[shard.value].first; first > 0) ready_at_.push_back(first);
  std::ranges::sort(ready_at_);
  current_ = std::make_shared<tensor::aligned_vector<float>>(parameters_);
  arriving_ = std::make_shared<tensor::aligned_vector<float>>(parameters_);
  own_applied_.resize(options_.ranges.size());
  arriving_kept_.resize(options_.ranges.size());
  arriving_seen_.resize(options_.ranges.size());
  current_seen_.resize(options_.ranges.size());
}

void worker_core::lease(const std::vector<batch_id>& batches, clock_value clock_floor) {
  if (idle() && !pull_open_ && clock_floor > next_clock_) {
    next_clock_ = clock_floor;
    recent_.clear();  // all applied: an idle worker has nothing in flight
    arrived_ = false; // pulled for an older clock
  }
  for (auto batch : batches) {
    const bool begun =
        in_flight_.contains(batch) ||
        std::ranges::any_of(in_hand_, [=](const auto& c) { return c.order.batch == batch; });
    if (begun) reached(probe::leased_what_it_holds); // WORKER-6
    if (!begun) leases_.insert(batch);
  }
  if (leases_.empty()) return;
  if (pull_open_ && steps_ && step_of(*leases_.begin()) < arriving_step_) {
    reached(probe::pull_not_needed);
    pull_open_ = false;
  }
}

std::uint64_t worker_core::step_of(batch_id batch) const {
  return steps_ ? steps_->step_of(batch) : 0;
}

bool worker_core::current_serves(batch_id batch) const {
  return options_.remote.empty() || (current_step_ && *current_step_ == step_of(batch));
}

std::optional<worker_core::pull_order> worker_core::begin_pull() {
  if (pull_open_ || arrived_ || leases_.empty() || current_serves(*leases_.begin()))
    return std::nullopt;
  if (std::ranges::any_of(in_hand_,
                          [this](const auto& c) { return c.order.parameters == arriving_; }))
    return std::nullopt; // WORKER-9
  pull_open_ = true;
  arriving_step_ = step_of(*leases_.begin());
  awaited_ = options_.remote;
  for (auto& kept : arriving_kept_) kept.clear(); // of a pull that was given up
  return pull_order{next_clock_, arriving_step_, arriving_};
}

void worker_core::landed(shard_id shard, clock_value own_applied, std::uint64_t seen_updates,
                         placed_blocks kept) {
  if (!pull_open_ || !awaited_.erase(shard)) return;
  own_applied_[shard.value] = own_applied;
  arriving_seen_[shard.value] = seen_updates;
  arriving_kept_[shard.value] = std::move(kept);
  if (!awaited_.empty()) return;
  pull_open_ = false;
  arrived_ = true;
}

std::optional<worker_core::compute_order> worker_core::begin_compute() {
  if (leases_.empty() || in_hand_.size() >= max_in_hand ||
      in_hand_.size() + in_flight_.size() >= max_in_flight)
    return std::nullopt;
  auto batch = *leases_.begin();
  std::shared_ptr<const std::vector<pulled_range>> pulled;
  if (!current_serves(batch)) {
    if (!arrived_) return std::nullopt;
    std::swap(current_, arriving_);
    current_seen_ = arriving_seen_;
    arrived_ = false;
    if (steps_) current_step_ = arriving_step_;
    pulled = ranges_to_settle();
  }
  leases_.erase(leases_.begin());
  if (!in_hand_.empty()) reached(probe::handed_over_ahead);
  const auto clock = next_clock_++;
  const auto gradient = free_gradient();
  open_push open{{clock, batch, gradient, current_seen_, {}}, {}, {}};
  open.missing = scheduler::shard_set::first(static_cast<std::uint32_t>(options_.ranges.size()));
  open.unsent = open.missing;
  in_hand_.push_back(
      {std::move(open), {clock, batch, current_, std::move(pulled), gradient, ready_at_}});
  return in_hand_.back().order;
}

std::vector<worker_core::compute_order> worker_core::compute_again() {
  std::vector<compute_order> orders;
  for (auto i = in_hand_.begin(); i != in_hand_.end(); ++i) {
    // Of the gradient before, parts may be on their way.
    const std::shared_ptr<const tensor::aligned_vector<float>> lost = i->order.gradient;
    i->order.gradient = free_gradient();
    i->open.push.gradient = i->order.gradient;
    i->open.unsent = i->open.missing;
    for (auto later = std::next(i); later != in_hand_.end(); ++later) {
      if (!later->order.pulled) continue;
      auto pulled = *later->order.pulled;
      for (auto& range : pulled)
        std::ranges::replace(range.own_writes, lost, i->open.push.gradient); // WORKER-8
      later->order.pulled = std::make_shared<const std::vector<pulled_range>>(std::move(pulled));
    }
    orders.push_back(i->order);
  }
  return orders;
}

// The shard of element 0 is left to the end: then no batch is on every shard that has no loss yet.
std::optional<worker_core::push_order> worker_core::ready(std::size_t first) {
  if (in_hand_.empty() || first == 0) return std::nullopt;
  auto& open = in_hand_.front().open;
  auto result = open.push;
  for (auto shard : options_.remote)
    if (options_.ranges[shard.value].first >= first && open.unsent.erase(shard))
      result.shards.push_back(shard);
  if (result.shards.empty()) return std::nullopt;
  reached(probe::pushed_while_computing);
  return result;
}

std::shared_ptr<const std::vector<pulled_range>> worker_core::ranges_to_settle() {
  const auto& sgd = options_.optimizer;
  const float step = sgd.learning_rate * (sgd.nesterov ? 1 + sgd.momentum : 1);
  clock_value contained_everywhere = next_clock_;
  auto own = recent_;
  if (options_.mode.own_writes_are_read())
    for (const auto& c : in_hand_) own.push_back(c.open.push); // WORKER-8
  std::vector<pulled_range> result;
  result.reserve(options_.remote.size());
  const auto settled = std::make_shared<std::vector<std::atomic<bool>>>(options_.ranges.size());
  for (auto shard : options_.remote) {
    const auto applied = own_applied_[shard.value];
    contained_everywhere = std::min(contained_everywhere, applied);
    pulled_range pulled{options_.ranges[shard.value],
                        std::exchange(arriving_kept_[shard.value], {}),
                        {},
                        step,
                        {settled, &(*settled)[shard.value]}};
    for (const auto& write : own)
      if (write.clock >= applied) pulled.own_writes.push_back(write.gradient);
    if (!pulled.kept.empty() || !pulled.own_writes.empty()) result.push_back(std::move(pulled));
  }
  std::erase_if(recent_, [=](const auto& write) { return write.clock < contained_everywhere; });
  if (result.empty()) return nullptr;
  return std::make_shared<const std::vector<pulled_range>>(std::move(result));
}

shareable_array worker_core::free_gradient() {
  auto free = transport::find_free(gradients_, options_.pools.get());
  if (free != gradients_.end()) return *free;
  // The oldest may be held by a process that was killed: for ever.
  if (gradients_.size() == gradients_known) gradients_.erase(gradients_.begin());
  gradients_.push_back(transport::make_shareable(parameters_, options_.pools));
  return gradients_.back();
}

worker_core::push_order worker_core::computed() {
  if (in_hand_.empty())
    throw std::logic_error("[troupe::actors::worker_core] a result without a computation");
  auto done = std::move(in_hand_.front().open);
  in_hand_.pop_front();
  // What is pulled may lack it; what lies in the arrays of this process does not.
  if (options_.mode.own_writes_are_read() && !options_.remote.empty()) recent_.push_back(done.push);
  auto result = done.push;
  result.shards.assign(done.unsent.begin(), done.unsent.end());
  done.unsent = {};
  in_flight_[result.batch] = std::move(done);
  return result;
}

scheduler::activity worker_core::waits_for() const {
  using enum scheduler::activity;
  if (!in_hand_.empty()) return other;
  if (leases_.empty()) return lease;
  return current_serves(*leases_.begin()) || arrived_ ? other : parameters;
}

bool worker_core::pushed(shard_id shard, batch_id batch) {
  for (auto& [open, order] : in_hand_)
    if (order.batch == batch && !open.unsent.contains(shard)) open.missing.erase(shard);
  auto i = in_flight_.find(batch);
  if (i == in_flight_.end() || !i->second.missing.erase(shard)) return false;
  if (!i->second.missing.empty()) return false;
  in_flight_.erase(i);
  return true;
}

std::vector<batch_id> worker_core::held() const {
  std::set<batch_id> all = leases_;
  for (const auto& c : in_hand_) all.insert(c.order.batch);
  for (const auto& [batch, open] : in_flight_) all.insert(batch);
  return {all.begin(), all.end()};
}

std::vector<worker_core::unconfirmed> worker_core::unconfirmed_pushes() const {
  std::vector<unconfirmed> result;
  for (const auto& [batch, open] : in_flight_)
    result.push_back({open.push, {open.missing.begin(), open.missing.end()}});
  for (const auto& c : in_hand_) {
    unconfirmed sent{c.open.push, {}};
    std::ranges::copy_if(c.open.missing, std::back_inserter(sent.missing),
                         [&](shard_id s) { return !c.open.unsent.contains(s); });
    if (!sent.missing.empty()) result.push_back(std::move(sent));
  }
  return result;
}

} // namespace troupe::actors
