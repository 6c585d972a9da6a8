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
/// CLOCKS-3  In ssp(s), may_read(c) is true exactly when oldest() + s >= c, or no worker is live.
/// CLOCKS-4  A worker that left delays no other worker.
/// CLOCKS-5  If a push is applied while its worker is away, the push counts when the worker enters
///           again: no gap remains that cannot be closed.
///
/// The reader is treated like every other live worker: if pushes of its own are still on the way,
/// the reader waits for them as far as the bound says. A worker sees its own writes at once because
/// it adds its own gradients that are not applied yet to the parameters it pulled; the table has no
/// part in that.
///
/// A worker that has nothing more to push must leave, or the other workers wait for it for ever. A
/// worker that joins late enters at a given clock, usually the oldest clock of the others.
///
/// CLOCKS-6  A table made from the contents of another equals it, and answers and goes on as it
///           would have, departed workers and pushes applied ahead of a gap included.
class clock_table {
 public:
  /// The content of a table, as a plain value to be stored or sent.
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

  /// A worker joins and will push at clocks `first`, `first` + 1, ...; no read waits for its pushes
  /// below `first`. If the worker is or was live, its applied clock becomes the higher of `first`
  /// and the present value. If it enters below oldest(), oldest() moves back, and reads wait for
  /// the new worker.
  void enter(worker_id worker, clock_value first);

  /// The worker left, died, or has nothing more to push. Returns false if it was not live.
  bool leave(worker_id worker);

  /// The push of `worker` at clock `pushed` has been applied, or dropped as applied before. If no
  /// gap is before it, the applied clock becomes at least `pushed` + 1. A push below the applied
  /// clock changes nothing. Returns false if the worker is not live. The late push of a worker that
  /// left is kept for its next enter(); the push of a worker that never entered is not.
  bool advance(worker_id worker, clock_value pushed);

  /// None when the worker is not live.
  std::optional<clock_value> applied(worker_id worker) const;
  /// The worker's applied clock, also while it is away: every push below has been applied. None if
  /// the worker never entered.
  std::optional<clock_value> pushes_below(worker_id worker) const;
  bool live(worker_id worker) const { return find_live(worker) != nullptr; }
  /// Ascending.
  std::vector<worker_id> live_workers() const;

  /// The lowest applied clock of the live workers; none if no worker is live.
  std::optional<clock_value> oldest() const;

  /// Whether a pull at clock `c` may be answered now, whichever worker reads. Always in async and
  /// hogwild; in ssp by CLOCKS-3. A reader that is not live delays no other reader, but waits for
  /// the others.
  /// Throws std::logic_error in bsp, whose read rule is step_buffer's.
  bool may_read(const consistency& mode, clock_value c) const;

  /// The distance of the slowest live worker from a reader at clock `c`: max(0, c - oldest()), or 0
  /// if no worker is live. A pull reports this value to the staleness histogram.
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
