#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "troupe/scheduler/applied_set.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// The progress and speed of a job: the figures of its progress line and epoch events. Each batch
/// is reported once (see batch_leases::complete). A given loss is the mean over the batch's
/// samples; a mean over several batches weighs each batch by its number of samples.
///
/// PROGRESS-1  The mean loss of a complete epoch is the mean over the epoch's samples.
/// PROGRESS-2  A loss that is not finite enters no sum; the id of the first such batch is kept.
/// PROGRESS-3  The durations of the complete epochs add up to the time from the start to the last
///             completion of an epoch.
/// PROGRESS-4  A restored object goes on with the same counts, losses and durations, as if no time
///             had passed in between: no duration contains the time between the two processes.
class job_progress {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using seconds = std::chrono::duration<double>;

  /// The figures since the last call of take_recent (since the start, for the first call).
  struct recent {
    std::uint64_t batches = 0;
    std::uint64_t samples = 0;
    std::optional<double> mean_loss; ///< none: no batch with a finite loss
    double samples_per_second = 0;   ///< 0 when no time has passed
  };

  /// The content to be saved. It has no point in time, because a new process may have another
  /// clock.
  struct content {
    struct epoch {
      double loss_sum = 0;             ///< of loss * samples, over the batches with a finite loss
      std::uint64_t loss_samples = 0;  ///< samples behind loss_sum
      std::uint64_t samples = 0;       ///< of all completed batches
      std::uint32_t batches = 0;       ///< completed
      std::optional<seconds> duration; ///< none while the epoch is not complete
      friend bool operator==(const epoch&, const epoch&) = default;
    };
    std::vector<epoch> epochs; ///< up to the highest epoch begun
    std::optional<batch_id> non_finite_loss;
    std::optional<seconds> elapsed; ///< since the start; none before it
    friend bool operator==(const content&, const content&) = default;
  };

  explicit job_progress(batch_plan plan);
  /// Continues from `known` at `now` (PROGRESS-4). The recent figures, and with them the rate
  /// behind time_left, begin anew. Throws std::invalid_argument for a content that no job of this
  /// plan can have.
  job_progress(batch_plan plan, const content& known, time_point now);

  /// All of it at `now`.
  content contents(time_point now) const;

  /// Counts the batches that were completed while no scheduler ran. If `completed` has more batches
  /// of an epoch than are counted, the epoch gets that count, without a loss for the new batches.
  /// If it has fewer, the epoch stays as it is. Throws std::invalid_argument if the set is of
  /// another job.
  void catch_up(const applied_set& completed, time_point now);

  const batch_plan& plan() const noexcept { return plan_; }

  /// The clock starts: the first lease. Later calls change nothing. Without a call, the first
  /// completion starts it.
  void start(time_point now);

  /// A batch was completed, for the first time. Returns false if its loss is NaN or infinite
  /// (PROGRESS-2); the batch counts as completed all the same. Throws std::invalid_argument for a
  /// batch that is not of the plan, and std::logic_error if all batches of its epoch are counted.
  bool complete(batch_id batch, double loss, time_point now);

  /// The first batch whose loss was not finite.
  std::optional<batch_id> non_finite_loss() const noexcept { return non_finite_loss_; }

  std::uint64_t batches_done() const noexcept { return batches_done_; }
  std::uint64_t batches_total() const noexcept { return plan_.total_batches(); }
  std::uint64_t samples_done() const noexcept { return samples_done_; }
  bool finished() const noexcept { return batches_done_ == plan_.total_batches(); }

  /// The oldest epoch with batches open, from 0; the last one when finished.
  std::uint32_t current_epoch() const noexcept;
  bool epoch_complete(std::uint32_t e) const noexcept;
  std::uint32_t batches_in_epoch(std::uint32_t e) const noexcept;

  /// Mean loss over the batches of epoch `e` completed so far; none before the first.
  std::optional<double> epoch_loss(std::uint32_t e) const noexcept;
  /// The time from the completion of the epoch that was completed before it (the start, for the
  /// first) to its own completion; none while the epoch is not complete. Epochs overlap, so this is
  /// not the age of its batches.
  std::optional<seconds> epoch_duration(std::uint32_t e) const noexcept;
  /// The epoch's samples by its duration; none while it is not complete, 0 when no time has passed.
  std::optional<double> epoch_samples_per_second(std::uint32_t e) const noexcept;

  /// Since the start; zero before it.
  seconds elapsed(time_point now) const noexcept;
  /// Over the whole run so far; 0 when no time has passed.
  double samples_per_second(time_point now) const noexcept;
  recent take_recent(time_point now);
  /// Samples left by the rate over the last calls of take_recent (at most 16), so that it follows
  /// workers that come and go. None while there is no rate; zero when finished.
  std::optional<seconds> time_left(time_point now) const noexcept;

 private:
  struct mark {
    time_point at;
    std::uint64_t samples = 0;
  };

  content::epoch& begun(std::uint32_t e);
  void end_if_complete(content::epoch& epoch, time_point now);

  batch_plan plan_;
  std::vector<content::epoch> epochs_; // grows to the highest epoch begun
  std::uint32_t current_epoch_ = 0;
  std::uint64_t batches_done_ = 0;
  std::uint64_t samples_done_ = 0;
  std::optional<batch_id> non_finite_loss_;
  std::optional<time_point> started_;
  time_point last_epoch_end_;
  std::deque<mark> marks_; // the start, then each take_recent; bounded
  std::uint64_t recent_batches_ = 0;
  double recent_loss_sum_ = 0;
  std::uint64_t recent_loss_samples_ = 0;
};

} // namespace troupe::scheduler
