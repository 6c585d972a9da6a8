#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "troupe/probes/mutant.hpp"
#include "troupe/scheduler/step_plan.hpp"

namespace troupe::scheduler {

/// Holds the pushes of a bsp shard until their step is complete. `T` is the payload of a push (a
/// block, a vector); the buffer does not read it.
///
/// STEP-1  `take` gives the payloads of the current step in batch order, whatever order they came
///         in, each exactly once. Steps are taken in order, and none is left out.
/// STEP-2  A batch is kept at most once. A repeated batch, or a batch of a step that was taken, is
///         refused, and its payload is dropped.
/// STEP-3  may_read(k) holds exactly when every step below k has been taken.
template <class T>
class step_buffer {
 public:
  /// `first_step`: all steps below have been taken.
  explicit step_buffer(step_plan plan, std::uint64_t first_step = 0)
      : plan_(std::move(plan)), current_step_(first_step) {}

  const step_plan& plan() const noexcept { return plan_; }

  /// Keeps the payload of a batch of the current or a later step. False when the batch is kept
  /// already or belongs to a step that was taken: a duplicate, to be acknowledged and dropped.
  /// Throws std::invalid_argument for a batch that is not of the job.
  bool insert(batch_id id, T payload) {
    const auto step = plan_.step_of(id);
    if (step < current_step_) return false;
    auto& gathered = steps_[step];
    if (gathered.payloads.empty()) gathered.payloads.resize(plan_.batch_count(step));
    auto& slot = gathered.payloads[id.index - plan_.first_batch(step).index];
    if (slot) return false;
    slot.emplace(std::move(payload));
    ++gathered.count;
    ++held_;
    return true;
  }

  /// The current step is whole and `take` may be called.
  bool ready() const noexcept {
    const auto it = steps_.find(current_step_);
    if (it == steps_.end()) return false;
    const auto needed =
        it->second.payloads.size() - (mutant_active(mutant::step_applied_incomplete) ? 1 : 0);
    return it->second.count >= needed;
  }

  /// The payloads of the current step in batch order; the next step becomes the current one.
  /// Throws std::logic_error when the step is not whole.
  std::vector<T> take() {
    if (!ready())
      throw std::logic_error("[troupe::scheduler::step_buffer] step " +
                             std::to_string(current_step_) + " was taken before it was whole");
    auto gathered = std::move(steps_.begin()->second);
    steps_.erase(steps_.begin());
    std::vector<T> result;
    result.reserve(gathered.payloads.size());
    for (auto& payload : gathered.payloads)
      if (payload || !mutant_active(mutant::step_applied_incomplete))
        result.push_back(std::move(*payload));
    held_ -= result.size();
    ++current_step_;
    return result;
  }

  /// The lowest step that has not been taken; plan().total_steps() when all have.
  std::uint64_t current_step() const noexcept { return current_step_; }

  /// Whether a pull for step `step` may be answered: every step before it has been taken. (The
  /// caller applies a step at once when it takes it.)
  bool may_read(std::uint64_t step) const noexcept {
    return current_step_ + (mutant_active(mutant::step_read_early) ? 1 : 0) >= step;
  }

  /// Payloads kept now, over all steps.
  std::size_t held() const noexcept { return held_; }

  /// Calls `visit(batch_id, const T&)` for each of them, in batch order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [step, gathered] : steps_) {
      auto id = plan_.first_batch(step);
      for (const auto& payload : gathered.payloads) {
        if (payload) visit(id, *payload);
        ++id.index;
      }
    }
  }

 private:
  struct gathered_step {
    std::vector<std::optional<T>> payloads; // by position in the step
    std::size_t count = 0;
  };

  step_plan plan_;
  std::uint64_t current_step_ = 0;
  std::size_t held_ = 0;
  std::map<std::uint64_t, gathered_step> steps_; // none below current_step_
};

} // namespace troupe::scheduler
