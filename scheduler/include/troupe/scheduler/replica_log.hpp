#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "troupe/probes/mutant.hpp"

namespace troupe::scheduler {

/// The changes of one shard in the order in which every replica of its chain makes them, as one of
/// the replicas holds them. Chain replication after R. van Renesse, F. B. Schneider, "Chain
/// Replication for Supporting High Throughput and Availability", OSDI 2004; unlike there, reads are
/// served by the head, which therefore applies last.
///
///     primary  --5,6,7-->  backup  --5,6-->  tail
///     applied 3            applied 4         applied 5
///        <-- acknowledged 4 --  <-- acknowledged 5 --
///
/// `T` is a change; the log does not read it. The owner of the log sends what `next_to_send` gives,
/// applies what `next_to_apply` gives, and acknowledges `applied()` to the replica before it.
///
/// LOG-1  Changes are numbered densely from 1. Each is applied once, in the order of its number,
///        whatever the order and number of its arrivals.
/// LOG-2  A replica without a successor applies each change that it has. A replica with a successor
///        applies the changes that the successor has acknowledged. So every replica of the view has
///        each change that a primary has applied.
/// LOG-3  A change is kept until it is applied here and acknowledged by the replica downstream.
/// LOG-4  A new successor is sent again every change that it may lack: all changes not applied here
///        (it has all others, by LOG-2), or, if it was the learner before, all changes that it did
///        not acknowledge.
/// LOG-5  A learner is sent every change after the image it began with. It delays no other replica.
/// LOG-6  Once the learner is awaited, it counts like a successor: changes wait for it. It may join
///        when it has every change that is applied here, and has every such change from then on. So
///        LOG-2 holds in the view with it from the first.
///
/// Not thread-safe.
template <class T>
class replica_log {
 public:
  enum class downstream : std::uint8_t {
    none,
    successor, ///< in the chain
    learner    ///< not yet
  };

  /// `applied`: the number of the last change that the state at hand contains.
  explicit replica_log(std::uint64_t applied = 0)
      : last_(applied), applied_(applied), sent_(applied), acknowledged_(applied) {}

  /// The highest number up to which no change is missing.
  std::uint64_t last() const noexcept { return last_; }
  std::uint64_t applied() const noexcept { return applied_; }
  /// The last change that the replica downstream acknowledged.
  std::uint64_t acknowledged() const noexcept { return acknowledged_; }
  std::size_t held() const noexcept { return changes_.size(); }

  /// Calls `visit(const T&)` for every change that is held but not applied, in order.
  template <class Visit>
  void for_each_open(Visit visit) const {
    for (auto i = changes_.upper_bound(applied_); i != changes_.end(); ++i) visit(i->second);
  }

  /// The replica has become primary: changes beyond a gap are dropped. No replica acknowledged
  /// them, and no replica will close the gap.
  void become_primary() { changes_.erase(changes_.upper_bound(last_), changes_.end()); }

  /// For the primary: appends a new change and returns its number.
  std::uint64_t append(T change) {
    changes_.emplace(++last_, std::move(change));
    return last_;
  }

  /// For a backup: a change from the replica before. Returns false if it is held or applied
  /// already.
  bool receive(std::uint64_t number, T change) {
    if (mutant_active(mutant::log_order_ignored)) number = last_ + 1;
    if (number <= applied_ || !changes_.emplace(number, std::move(change)).second) return false;
    advance_last();
    return true;
  }

  /// Sets the replica downstream. `same`: it was downstream before, in the same role or as the
  /// learner; then only the changes that it did not acknowledge are sent again. A new learner
  /// begins with `learner_begins`.
  void install(downstream kind, bool same) {
    downstream_ = kind;
    if (!same) acknowledged_ = applied_;
    sent_ = acknowledged_;
    learner_begun_ = kind != downstream::learner || same;
    learner_awaited_ = learner_awaited_ && kind == downstream::learner && same;
    forget();
  }

  /// The learner is being sent an image that contains all changes applied here.
  void learner_begins() {
    acknowledged_ = sent_ = applied_;
    learner_begun_ = true;
    learner_awaited_ = false; // it does not have the image yet
  }

  /// The learner has all but the newest changes: from now on only changes that it has are applied.
  void await_learner() noexcept { learner_awaited_ = downstream_ == downstream::learner; }
  /// Whether the learner is awaited and has all changes that are applied here (LOG-6).
  bool learner_may_join() const noexcept {
    return learner_awaited_ && learner_begun_ &&
           (acknowledged_ >= applied_ || mutant_active(mutant::learner_joins_early));
  }

  /// The next change for the replica downstream. None if there is no such replica, or if it was
  /// sent every change. Valid until the next call that changes the log.
  std::optional<std::pair<std::uint64_t, const T*>> next_to_send() {
    if (downstream_ == downstream::none || !learner_begun_ || sent_ >= last_) return std::nullopt;
    ++sent_;
    return std::pair{sent_, &changes_.at(sent_)};
  }

  /// Sends again the changes that were not acknowledged: they may have been lost on the way.
  void send_again() noexcept { sent_ = acknowledged_; }

  /// The replica downstream has applied all changes up to `number`. Returns true if that was news.
  bool acknowledge(std::uint64_t number) {
    number = std::min(number, last_);
    if (downstream_ == downstream::none || number <= acknowledged_) return false;
    acknowledged_ = number;
    sent_ = std::max(sent_, acknowledged_);
    forget();
    return true;
  }

  /// The change to apply now. None if there is no such change, or if the successor or the awaited
  /// learner lacks it. Call `was_applied` after applying it.
  std::optional<std::pair<std::uint64_t, const T*>> next_to_apply() const {
    const bool waits = (downstream_ == downstream::successor || learner_awaited_) &&
                       !mutant_active(mutant::acknowledged_before_backup);
    auto limit = waits ? std::min(acknowledged_, last_) : last_;
    if (applied_ >= limit) return std::nullopt;
    return std::pair{applied_ + 1, &changes_.at(applied_ + 1)};
  }
  void was_applied() {
    ++applied_;
    forget();
  }

 private:
  void advance_last() {
    for (auto i = changes_.find(last_ + 1); i != changes_.end() && i->first == last_ + 1; ++i)
      ++last_;
  }
  void forget() {
    auto upto = downstream_ == downstream::none ? applied_ : std::min(applied_, acknowledged_);
    changes_.erase(changes_.begin(), changes_.upper_bound(upto));
  }

  std::map<std::uint64_t, T> changes_;
  std::uint64_t last_;
  std::uint64_t applied_;
  std::uint64_t sent_; // to whoever is downstream
  std::uint64_t acknowledged_;
  downstream downstream_ = downstream::none;
  bool learner_begun_ = true; // there is no learner that waits for its image
  bool learner_awaited_ = false;
};

} // namespace troupe::scheduler
