#pragma once

#include <cstdint>
#include <vector>

#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// The global steps of a bsp job: within an epoch, G consecutive batches are one step; the last
/// step of an epoch may have fewer. Steps are numbered densely over the job, from 0. An immutable
/// value.
///
/// STEPS-1  Every batch of the plan is in exactly one step, and the steps in order hold the batches
///          in order.
/// STEPS-2  No step has batches of two epochs, and none is empty.
class step_plan {
 public:
  /// Throws std::invalid_argument when `batches_per_step` is 0.
  step_plan(batch_plan plan, std::uint32_t batches_per_step);

  const batch_plan& batches() const noexcept { return plan_; }
  std::uint32_t batches_per_step() const noexcept { return batches_per_step_; }

  std::uint32_t steps_per_epoch() const noexcept { return steps_per_epoch_; }
  std::uint64_t total_steps() const noexcept {
    return std::uint64_t{steps_per_epoch_} * plan_.epochs();
  }

  // The following throw std::invalid_argument for a batch, step or epoch that is not of this job.

  std::uint64_t step_of(batch_id id) const;
  batch_id first_batch(std::uint64_t step) const;
  /// Number of batches of this step, at least 1.
  std::uint32_t batch_count(std::uint64_t step) const;
  /// The batches of this step, ascending.
  std::vector<batch_id> batches_in(std::uint64_t step) const;
  /// Number of samples of all batches of this step.
  std::uint64_t samples_in(std::uint64_t step) const;
  std::uint64_t last_step_of_epoch(std::uint32_t epoch) const;

 private:
  void check_step(std::uint64_t step) const;

  batch_plan plan_;
  std::uint32_t batches_per_step_;
  std::uint32_t steps_per_epoch_;
};

} // namespace troupe::scheduler
