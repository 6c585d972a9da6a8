#include "troupe/actors/shard_core.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

namespace troupe::actors {

namespace {

// Two snapshots may be on their way to slow readers while a third is being made.
constexpr std::size_t spares_kept = 3;

std::uint64_t bytes_in(const std::map<std::uint64_t, block>& gradient) {
  std::uint64_t at = 0;
  for (const auto& [offset, b] : gradient) {
    if (offset != at || b.size() % sizeof(float) != 0) return UINT64_MAX;
    at += b.size();
  }
  return at;
}

} // namespace

shard_core::shard_core(const options& o, std::span<const float> initial)
    : plan_(o.plan), mode_(o.mode), optimizer_(o.optimizer), size_(initial.size()),
      applied_(o.plan), damping_(o.staleness_damping) {
  if (mode_.in_place()) {
    shared_ =
        std::make_shared<tensor::shared_parameters>(initial, o.optimizer, plan_.total_batches());
  } else {
    parameters_ = std::make_shared<tensor::aligned_vector<float>>(initial.begin(), initial.end());
    velocity_.resize(optimizer_.state_size(size_));
  }
  if (auto g = mode_.batches_per_step()) {
    steps_.emplace(scheduler::step_plan{plan_, *g});
    step_sum_.resize(size_);
  }
  for (std::uint32_t w = 0; w < o.workers; ++w) clocks_.enter(worker_id{w}, 0);
}

bool shard_core::accept(worker_id worker, clock_value clock, batch_id batch,
                        const blocks& gradient) {
  if (!plan_.contains(batch))
    throw std::invalid_argument("[troupe::actors::shard_core] a push of " + to_string(batch) +
                                ", which is not of this job");
  if (bytes_in(gradient) != size_ * sizeof(float))
    throw std::invalid_argument("[troupe::actors::shard_core] a gradient of another size than the "
                                "shard's range of " +
                                std::to_string(size_) + " parameters");
  bool fresh = applied_.insert(batch);
  if (!fresh) {
    ++duplicates_;
  } else if (steps_) {
    steps_->insert(batch, gradient);
    apply_ready_steps();
  } else if (shared_) {
    tensor::aligned_vector<float> whole(size_);
    for (const auto& [offset, b] : gradient)
      std::ranges::copy(b.floats(),
                        whole.begin() + static_cast<std::ptrdiff_t>(offset / sizeof(float)));
    shared_->apply(plan_.ordinal(batch), whole, scale_for(worker, clock));
  } else {
    apply(gradient, scale_for(worker, clock));
  }
  if (fresh) ++updates_;
  clocks_.advance(worker, clock);
  keep_complete_epochs();
  return fresh;
}

bool shard_core::accept_in_place(worker_id worker, clock_value clock, batch_id batch, bool fresh) {
  if (!plan_.contains(batch))
    throw std::invalid_argument("[troupe::actors::shard_core] an application of " +
                                to_string(batch) + ", which is not of this job");
  // `fresh` was decided by the shared array; the set here only follows it.
  fresh = applied_.insert(batch) && fresh;
  ++(fresh ? updates_ : duplicates_);
  clocks_.advance(worker, clock);
  keep_complete_epochs();
  return fresh;
}

bool shard_core::may_read(worker_id worker, clock_value clock, std::uint64_t step) const {
  return steps_ ? steps_->may_read(step) : clocks_.may_read(mode_, worker, clock);
}

float shard_core::scale_for(worker_id worker, clock_value clock) {
  auto& seen = seen_[worker];
  auto read = seen.find(clock);
  if (!damping_ || read == seen.end()) return 1;
  auto unseen = updates_ - read->second;
  seen.erase(seen.begin(), std::next(read));
  return tensor::staleness_scale(unseen);
}

snapshot shard_core::read(worker_id worker, clock_value clock, std::uint64_t step) {
  if (steps_ && step + 1 == steps_->current_step()) return before_last_step_;
  // Bounded: a worker has a few clocks open at most, and older ones are dropped with each push.
  if (damping_) seen_[worker][clock] = updates_;
  return current();
}

void shard_core::apply(const blocks& gradient, float scale) {
  auto& parameters = writable();
  for (const auto& [offset, b] : gradient) {
    auto at = offset / sizeof(float);
    auto values = b.floats();
    optimizer_.apply(std::span{parameters}.subspan(at, values.size()), values,
                     velocity_.empty() ? std::span<float>{}
                                       : std::span{velocity_}.subspan(at, values.size()),
                     scale);
  }
}

void shard_core::apply_ready_steps() {
  while (steps_->ready()) {
    auto gradients = steps_->take();
    std::ranges::fill(step_sum_, 0.0f);
    for (const auto& gradient : gradients)
      for (const auto& [offset, b] : gradient) {
        auto* sum = step_sum_.data() + offset / sizeof(float);
        auto values = b.floats();
        for (std::size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
      }
    before_last_step_ = parameters_; // keeps its memory: writable() goes on in other
    auto count = static_cast<float>(gradients.size());
    for (auto& value : step_sum_) value /= count;
    optimizer_.apply(writable(), step_sum_, velocity_);
  }
}

void shard_core::keep_complete_epochs() {
  // In bsp an epoch's batches are all accepted exactly when its last step has been applied.
  for (; next_epoch_ < plan_.epochs() && applied_.complete(next_epoch_); ++next_epoch_)
    epochs_.emplace(next_epoch_, current());
}

// Copy on write: a snapshot that somebody still reads keeps its memory, the shard goes on in other.
tensor::aligned_vector<float>& shard_core::writable() {
  if (parameters_.use_count() == 1) {
    // The last reader's accesses come before its release of the pointer.
    std::atomic_thread_fence(std::memory_order_acquire);
    return *parameters_;
  }
  auto spare = std::ranges::find_if(spares_, [](const auto& s) { return s.use_count() == 1; });
  std::shared_ptr<tensor::aligned_vector<float>> fresh;
  if (spare != spares_.end()) {
    std::atomic_thread_fence(std::memory_order_acquire);
    fresh = std::move(*spare);
    spares_.erase(spare);
    *fresh = *parameters_;
  } else {
    fresh = std::make_shared<tensor::aligned_vector<float>>(*parameters_);
  }
  if (spares_.size() < spares_kept) spares_.push_back(parameters_);
  parameters_ = std::move(fresh);
  return *parameters_;
}

snapshot shard_core::current() {
  if (!shared_) return parameters_;
  auto copy = std::make_shared<tensor::aligned_vector<float>>(size_);
  shared_->read(*copy);
  return copy;
}

snapshot shard_core::of_epoch(std::uint32_t epoch) const {
  auto i = epochs_.find(epoch);
  return i == epochs_.end() ? nullptr : i->second;
}

void shard_core::drop_epochs_below(std::uint32_t epoch) {
  epochs_.erase(epochs_.begin(), epochs_.lower_bound(epoch));
}

} // namespace troupe::actors
