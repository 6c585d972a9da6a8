#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "troupe/values/consistency.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// One shard's view of its workers' progress. A worker's *applied clock* a means: every push of
/// that worker at a clock below a has been applied here (or was dropped as applied before).
///
/// CLOCKS-1  A worker's applied clock never moves back, not even when it leaves and enters again.
/// CLOCKS-2  A push applied ahead of an earlier one of the same worker does not move the applied
///           clock past the gap: pushes that overtake each other cannot break the bound.
/// CLOCKS-3  In ssp(s), may_read(c) is true exactly when oldest() + s >= c, or nobody is live.
/// CLOCKS-4  A worker that left holds nobody back.
/// CLOCKS-5  A push applied while its worker was away counts when it enters again: it does not
/// leave
///           a gap that nothing can close.
///
/// The reader is treated like every other live worker: with pushes of its own still on the way it
/// waits for them as far as the bound says. That its own writes are read at once is the worker's
/// business (it adds its gradients that are not applied yet to what it pulled), not the table's.
///
/// A worker that has nothing more to push must leave, or it holds the others back for ever; one
/// that joins late enters at the clock it is told to count from, usually the oldest of the others.
///
/// CLOCKS-6  A table made from the contents of another equals it, and answers and goes on as it
///           would have, departed workers and pushes applied ahead of a gap included.
class clock_table {
 public:
  /// All that a table knows, as a plain value to be stored or sent.
  struct content {
    struct worker {
      worker_id id;
      clock_value applied = 0;
      bool live = true;               ///< false: it left, and may enter again (CLOCKS-1)
      std::vector<clock_value> ahead; ///< pushes applied above a gap: ascending, each > applied
      friend bool operator==(const worker&, const worker&) = default;
    };
    std::vector<worker> workers; ///< ascending by id; departed ones too
    friend bool operator==(const content&, const content&) = default;
  };

  clock_table() = default;
  /// CLOCKS-6. Throws std::invalid_argument when no series of calls leads to such a table, or its
  /// parts are not in the order that `content` promises.
  explicit clock_table(const content& c);

  content contents() const;

  /// A worker joins and will push at clocks `first`, `first` + 1, ...; nobody waits for pushes of
  /// it below. For one that is live, or was, the applied clock becomes `first` if that is ahead of
  /// it and stays otherwise. Entering below oldest() moves oldest() back: the newcomer is waited
  /// for.
  void enter(worker_id worker, clock_value first);

  /// The worker left, died, or has nothing more to push. False when it was not live.
  bool leave(worker_id worker);

  /// The push of `worker` at clock `pushed` has been applied, or dropped as applied before. With no
  /// gap before it, the applied clock becomes at least `pushed` + 1. A push below the applied clock
  /// changes nothing. False when the worker is not live; the late push of one that has left is kept
  /// in mind for when it enters again, that of one that never entered is not.
  bool advance(worker_id worker, clock_value pushed);

  /// None when the worker is not live.
  std::optional<clock_value> applied(worker_id worker) const;
  /// Every push of the worker below has been applied: its applied clock, also while it is away.
  /// None when it never entered.
  std::optional<clock_value> pushes_below(worker_id worker) const;
  bool live(worker_id worker) const { return find_live(worker) != nullptr; }
  /// Ascending.
  std::vector<worker_id> live_workers() const;

  /// The lowest applied clock of the live workers; none when nobody is live.
  std::optional<clock_value> oldest() const;

  /// Whether a pull at clock `c` may be answered now, whichever worker reads. Always in async and
  /// hogwild; in ssp by CLOCKS-3.
  /// Throws std::logic_error in bsp, whose read rule is step_buffer's.
  bool may_read(const consistency& mode, clock_value c) const;

  /// How far the slowest live worker is behind a reader at clock `c`: max(0, c - oldest()), 0 when
  /// nobody is live. What a pull reports to the staleness histogram.
  clock_value staleness(clock_value c) const;

  friend bool operator==(const clock_table&, const clock_table&) = default;

 private:
  struct entry {
    worker_id id;
    bool live = false;
    clock_value applied = 0;
    std::vector<clock_value> ahead = {}; // pushes applied above a gap: ascending, each > applied
    friend bool operator==(const entry&, const entry&) = default;
  };

  const entry* find(worker_id worker) const;
  entry* find(worker_id worker) { return const_cast<entry*>(std::as_const(*this).find(worker)); }
  const entry* find_live(worker_id worker) const;
  void move_forward(entry& e, clock_value to);
  void count(const entry& e);
  void discount(const entry& e);

  std::vector<entry> workers_;                   // ascending; departed ones too: CLOCKS-1
  std::map<clock_value, std::uint32_t> applied_; // how many live ones are there, of each
};

} // namespace troupe::scheduler
