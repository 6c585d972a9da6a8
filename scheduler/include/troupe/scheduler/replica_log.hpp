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
/// `T` is a change; the log never looks into it. Whoever owns the log sends what `next_to_send`
/// gives, applies what `next_to_apply` gives, and acknowledges `applied()` to the replica before.
///
/// LOG-1  Changes are numbered densely from 1; each is applied once, in the order of its number,
///        whatever order they arrive in and however often.
/// LOG-2  A replica without a successor applies what it has; one with a successor applies what the
///        successor has acknowledged. So what a primary has applied, every replica of the view has.
/// LOG-3  A change is kept until it is applied here and acknowledged by whoever is downstream.
/// LOG-4  A new successor is sent again what it may lack: everything not applied here (all else it
///        has, by LOG-2), or, if it was the learner before, everything it did not acknowledge.
/// LOG-5  A learner is sent everything after the image it began with, and holds nobody back.
/// LOG-6  But once it is awaited it does: like a successor. It may join when it has everything that
///        is applied here, and has it from then on, so LOG-2 holds in the view with it from the
///        first.
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

  /// The highest number held without a gap below it.
  std::uint64_t last() const noexcept { return last_; }
  std::uint64_t applied() const noexcept { return applied_; }
  /// Of whoever is downstream.
  std::uint64_t acknowledged() const noexcept { return acknowledged_; }
  std::size_t held() const noexcept { return changes_.size(); }

  /// Calls `visit(const T&)` for every change that is held and not applied, in order.
  template <class Visit>
  void for_each_open(Visit visit) const {
    for (auto i = changes_.upper_bound(applied_); i != changes_.end(); ++i) visit(i->second);
  }

  /// The replica has become primary: what lies beyond a gap is dropped. Nobody acknowledged it, and
  /// nobody will close the gap.
  void become_primary() { changes_.erase(changes_.upper_bound(last_), changes_.end()); }

  /// The primary's: a new change; its number.
  std::uint64_t append(T change) {
    changes_.emplace(++last_, std::move(change));
    return last_;
  }

  /// A backup's: a change from the replica before. False for one that is held or applied already.
  bool receive(std::uint64_t number, T change) {
    if (mutant_active(mutant::log_order_ignored)) number = last_ + 1;
    if (number <= applied_ || !changes_.emplace(number, std::move(change)).second) return false;
    advance_last();
    return true;
  }

  /// Who is downstream from now on. `same`: it was there before, in the same role or as the
  /// learner; then only what it did not acknowledge is sent again. A new learner begins with
  /// `learner_begins`.
  void install(downstream kind, bool same) {
    downstream_ = kind;
    if (!same) acknowledged_ = applied_;
    sent_ = acknowledged_;
    learner_begun_ = kind != downstream::learner || same;
    learner_awaited_ = learner_awaited_ && kind == downstream::learner && same;
    forget();
  }

  /// The learner is being sent an image that contains everything applied here.
  void learner_begins() {
    acknowledged_ = sent_ = applied_;
    learner_begun_ = true;
    learner_awaited_ = false; // it does not have the image yet
  }

  /// The learner has all but the newest changes: from now on nothing is applied that it lacks.
  void await_learner() noexcept { learner_awaited_ = downstream_ == downstream::learner; }
  /// It is awaited and has everything that is applied here (LOG-6).
  bool learner_may_join() const noexcept {
    return learner_awaited_ && learner_begun_ &&
           (acknowledged_ >= applied_ || mutant_active(mutant::learner_joins_early));
  }

  /// The next change for whoever is downstream; none: there is nobody, or it was sent everything.
  /// Valid until the next call that changes the log.
  std::optional<std::pair<std::uint64_t, const T*>> next_to_send() {
    if (downstream_ == downstream::none || !learner_begun_ || sent_ >= last_) return std::nullopt;
    ++sent_;
    return std::pair{sent_, &changes_.at(sent_)};
  }

  /// Sends again what was not acknowledged: it may have been lost on the way.
  void send_again() noexcept { sent_ = acknowledged_; }

  /// Whoever is downstream has applied everything up to `number`. True if that was news.
  bool acknowledge(std::uint64_t number) {
    number = std::min(number, last_);
    if (downstream_ == downstream::none || number <= acknowledged_) return false;
    acknowledged_ = number;
    sent_ = std::max(sent_, acknowledged_);
    forget();
    return true;
  }

  /// The change to apply now; none: there is none, or the successor (or the
  /// learner that is awaited) lacks it. To be followed by
  /// `was_applied`.
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
