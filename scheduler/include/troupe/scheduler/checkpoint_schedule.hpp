#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>

#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/values/consistency.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// Decides when the state of all shards is saved to disk, and before which step.
///
///     idle --due, hogwild--> resting --no lease is open--> open, resting --images arrived--> open
///       |                                                     |                               |
///       +--due, other modes--> open --ended--> idle <--ended--+-------------------------------+
///
/// SCHEDULE-1  One checkpoint is open at a time, and no number is given twice.
/// SCHEDULE-2  A checkpoint is due after `every_batches` completed batches, or after
///             `every_seconds` in which a batch was completed. Both count from the beginning of
///             training or from the last opened checkpoint.
/// SCHEDULE-3  In bsp all images are of the state before the same step. No batch of that step was
///             leased, so no shard has applied the step. If that would be the last step, no
///             checkpoint is taken, unless the run stops.
/// SCHEDULE-4  In hogwild, workers write into the array without asking: nothing is leased from the
///             moment a checkpoint is due until its images are taken (`resting`).
class checkpoint_schedule {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  struct options {
    bool kept = false;               ///< false: there are no checkpoints
    std::uint64_t every_batches = 0; ///< 0: no matter how many
    double every_seconds = 0;        ///< 0: no matter how long
    /// A bsp step may take long, a disk too.
    std::chrono::steady_clock::duration patience = std::chrono::minutes(10);
  };

  /// The last checkpoint that is whole.
  struct finished {
    std::uint64_t number = 0;
    std::uint64_t batches = 0; ///< that every shard has
  };

  enum class action { none, take, give_up };

  checkpoint_schedule(options o, batch_plan plan, consistency mode)
      : options_(o), plan_(plan), mode_(mode) {}

  bool kept() const noexcept { return options_.kept; }
  /// Lower numbers have been given.
  void count_from(std::uint64_t next_number);
  /// Training begins, with so many batches done.
  void begin(std::uint64_t batches_done, time_point now);

  /// A checkpoint is due at once, whatever was completed since the last one.
  void demand() { demanded_ = true; }

  /// What to do at `now`. In hogwild the schedule rests from a `take` on.
  action look(std::uint64_t batches_done, time_point now);

  /// The step of bsp before which images are taken, 0 in other modes; none: it is too late for a
  /// checkpoint. `first_new` is the first batch that was never leased.
  std::optional<std::uint64_t> step_for(std::optional<batch_id> first_new) const;
  /// The same if no lease is open and every step that was begun is complete: the state of now.
  std::uint64_t step_at_rest(std::optional<batch_id> first_new) const;
  /// Gives the number of a checkpoint that is open from now on.
  std::uint64_t open(std::uint64_t batches_done, time_point now);

  /// The number of the open checkpoint.
  std::optional<std::uint64_t> opened() const;
  /// SCHEDULE-4. True: no batch may be leased.
  bool resting() const;
  /// The images of the open checkpoint were taken. Returns true if the rest is over.
  bool images_arrived(std::uint64_t number);
  /// The checkpoint ended. Returns false if it was not the open checkpoint.
  bool ended(std::uint64_t number);
  /// The images of the open checkpoint were stored.
  void finish(const finished& f) { last_ = f; }
  /// The run goes back: no checkpoint is open, and no worker rests for one.
  void forget() { state_ = idle{}; }

  const std::optional<finished>& last() const noexcept { return last_; }
  /// The time at which the last checkpoint was opened, or training began.
  time_point marked_at() const noexcept { return marked_at_; }

 private:
  struct idle {};
  struct waiting_for_rest {};
  struct open_one {
    std::uint64_t number = 0;
    bool resting = false;
  };

  options options_;
  batch_plan plan_;
  consistency mode_;
  std::variant<idle, waiting_for_rest, open_one> state_;
  std::uint64_t next_number_ = 1;
  time_point marked_at_{};
  std::uint64_t marked_batches_ = 0;
  bool demanded_ = false;
  std::optional<finished> last_;
};

} // namespace troupe::scheduler
