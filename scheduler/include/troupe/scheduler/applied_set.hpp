#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// A set of batches of one job: the batches that a shard has applied, or the batches that the
/// scheduler counts as completed. An epoch in progress takes one bit per batch; an epoch that is
/// complete, or has no batch yet, takes no memory. A value with equality.
///
/// APPLIED-1  `insert` is true exactly once per batch, for any number and order of calls.
/// APPLIED-2  Memory is proportional to the epochs in progress, not to the batches inserted.
/// APPLIED-3  Two sets of the same shape are equal exactly when they hold the same batches; the
///            order of insertion leaves no trace.
class applied_set {
 public:
  /// Holds nothing and accepts nothing; for members that are assigned later.
  applied_set() = default;
  explicit applied_set(const batch_plan& plan);
  /// Throws std::invalid_argument when an epoch has no batches.
  applied_set(std::uint32_t batches_per_epoch, std::uint32_t epochs);

  std::uint32_t batches_per_epoch() const noexcept { return batches_per_epoch_; }
  std::uint32_t epochs() const noexcept { return epochs_; }

  /// True when the batch is new. Throws std::invalid_argument for a batch that is not of this job
  /// and leaves the set as it was.
  bool insert(batch_id id);

  /// False for a batch that is not of this job.
  bool contains(batch_id id) const noexcept;

  /// Batches of epoch `e` in the set; 0 for an epoch that is not of this job.
  std::uint32_t count(std::uint32_t e) const noexcept;
  std::uint64_t size() const noexcept { return size_; }

  /// All batches of epoch `e` are in the set.
  bool complete(std::uint32_t e) const noexcept;
  /// The lowest epoch that is not complete; epochs() when all are.
  std::uint32_t first_incomplete() const noexcept { return first_incomplete_; }

  // For serialization: an applied set is its shape, its complete epochs, and the words of the
  // epochs in progress.

  /// Epochs with some but not all of their batches, ascending.
  std::vector<std::uint32_t> epochs_in_progress() const;
  /// Complete epochs at or above first_incomplete(), ascending. All below it are complete too.
  std::vector<std::uint32_t> complete_ahead() const;
  /// Words of an epoch in progress: bit i % 64 of word i / 64 is batch i; the bits past the last
  /// batch are 0. Empty for any other epoch. Valid until the next change of the set.
  std::span<const std::uint64_t> words(std::uint32_t e) const noexcept;
  /// Adds the batches of epoch `e` whose bits are set. Throws std::invalid_argument, and changes
  /// nothing, when the epoch is not of this job, the number of words is wrong or a bit past the
  /// last batch is set.
  void insert_words(std::uint32_t e, std::span<const std::uint64_t> words);
  /// Adds every batch of epoch `e`. Throws std::invalid_argument when it is not of this job.
  void insert_epoch(std::uint32_t e);
  /// Adds every batch of the epochs below `e`, in no more time for many epochs than for few. Throws
  /// std::invalid_argument when `e` is more than epochs().
  void insert_epochs_below(std::uint32_t e);

  /// Approximate bytes of bitmaps and flags; for tests of APPLIED-2 and for diagnostics.
  std::size_t bytes() const noexcept;

  friend bool operator==(const applied_set&, const applied_set&) = default;

 private:
  struct open_epoch {
    std::uint32_t count = 0;
    std::vector<std::uint64_t> words;
    friend bool operator==(const open_epoch&, const open_epoch&) = default;
  };

  std::size_t words_per_epoch() const noexcept {
    return (std::size_t{batches_per_epoch_} + 63) / 64;
  }
  void mark_complete(std::uint32_t e);
  void follow_complete_epochs();

  std::uint32_t batches_per_epoch_ = 0;
  std::uint32_t epochs_ = 0;
  std::uint64_t size_ = 0;
  std::uint32_t first_incomplete_ = 0;       // every epoch below is complete
  std::set<std::uint32_t> complete_ahead_;   // complete epochs above first_incomplete_
  std::map<std::uint32_t, open_epoch> open_; // 0 < count < batches_per_epoch_
};

/// The batches that are in both. Throws std::invalid_argument when the shapes differ.
applied_set intersection(const applied_set& a, const applied_set& b);

} // namespace troupe::scheduler
