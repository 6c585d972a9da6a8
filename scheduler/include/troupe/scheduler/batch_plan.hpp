#pragma once

#include <cstddef>
#include <cstdint>

#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// How a job's samples are cut into batches: batch b of any epoch is positions
/// [b * batch_size, (b + 1) * batch_size) of that epoch's permutation. The last batch of an epoch
/// may be smaller. An immutable value; copy freely.
///
/// PLAN-1  The batches of one epoch cover every position 0..samples-1 exactly once.
/// PLAN-2  `ordinal` is a bijection from the job's batches onto 0..total_batches()-1 that keeps the
///         order of batch ids; `batch_at` is its inverse.
class batch_plan {
 public:
  struct options {
    std::size_t samples = 0;    ///< of one epoch, at least 1
    std::size_t batch_size = 1; ///< at least 1; more than `samples` gives one batch per epoch
    std::uint32_t epochs = 1;   ///< 0 is allowed: a job without any batch
  };

  /// Throws std::invalid_argument when samples or batch_size is 0, or when an epoch has more than
  /// 2^32 - 1 batches.
  explicit batch_plan(options o);

  std::size_t samples() const noexcept { return options_.samples; }
  std::size_t batch_size() const noexcept { return options_.batch_size; }
  std::uint32_t epochs() const noexcept { return options_.epochs; }

  std::uint32_t batches_per_epoch() const noexcept { return batches_per_epoch_; }
  std::uint64_t total_batches() const noexcept {
    return std::uint64_t{batches_per_epoch_} * options_.epochs;
  }

  /// Samples over all epochs.
  std::uint64_t total_samples() const noexcept {
    return std::uint64_t{options_.samples} * options_.epochs;
  }

  bool contains(batch_id id) const noexcept {
    return id.epoch < options_.epochs && id.index < batches_per_epoch_;
  }

  // The following throw std::invalid_argument for a batch or an ordinal that is not of this job.

  /// Number of samples of this batch: batch_size(), or fewer for the last of an epoch, never 0.
  std::size_t samples_in(batch_id id) const;
  /// The batch's first position in the permutation of its epoch.
  std::size_t first_position(batch_id id) const;
  std::uint64_t ordinal(batch_id id) const;
  batch_id batch_at(std::uint64_t ordinal) const;

 private:
  void check(batch_id id) const;

  options options_;
  std::uint32_t batches_per_epoch_ = 0;
};

} // namespace troupe::scheduler
