#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "troupe/scheduler/placement.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// One numbered membership of a shard's replica chain.
struct shard_view {
  view_number number;             ///< 0: none installed yet
  std::vector<node_id> chain;     ///< primary first, tail last; each on another node
  std::optional<node_id> learner; ///< a replica that the tail brings up; not yet in the chain
  friend bool operator==(const shard_view&, const shard_view&) = default;
};

/// The nodes that hold the replicas of each shard, and the views. Decides the next view after a
/// loss, a placement or a learner that has caught up. The caller installs the view and detects that
/// a learner has caught up.
///
/// VIEWS-1  The number of a shard's view only rises: by one with every change, to the adopted one
///          with `adopt`. Two views of a shard that differ have different numbers.
/// VIEWS-2  A chain never holds a node twice, and a learner is never in the chain it is to join.
/// VIEWS-3  A shard has at most one learner, and none if its chain is empty: no replica could bring
///          the learner up.
/// VIEWS-4  `remove` never reorders: the remaining replicas keep their order. The replica that
///          follows a lost primary is the new primary.
/// VIEWS-5  But for `place` and `adopt`, a chain grows at its tail alone, by the learner of its
///          present view.
/// VIEWS-6  `repair` gives no node more replicas than its offer, gives none to a draining node, and
///          changes no chain.
/// VIEWS-7  Shards that no call names or concerns keep their view, number included.
///
/// Every method throws std::out_of_range for a shard that is not of the job, and changes nothing
/// when it throws. Memory is proportional to the replicas.
class shard_views {
 public:
  /// All shards at view 0, with empty chains. `replicas` is how many each is to have. Throws
  /// std::invalid_argument when it is 0.
  shard_views(std::uint32_t shards, std::uint32_t replicas);

  std::uint32_t shards() const noexcept { return static_cast<std::uint32_t>(views_.size()); }
  std::uint32_t replicas() const noexcept { return replicas_; }

  const shard_view& view(shard_id shard) const;
  /// By shard.
  const std::vector<shard_view>& views() const noexcept { return views_; }

  /// All shards anew: the first placement, or the one after a checkpoint was restored. Learners
  /// are forgotten. Throws std::invalid_argument when there is not one chain per shard, or one of
  /// them is empty or holds a node twice. Chains may be shorter or longer than `replicas`.
  void place(const std::vector<std::vector<node_id>>& chains);

  /// No node holds a replica any more: every shard gets a new view, without replicas.
  void clear();

  /// Takes over a view from the journal or from a node's report. Returns false, without effect, if
  /// the number is not higher than the present number. Throws std::invalid_argument for a view that
  /// breaks VIEWS-2 or VIEWS-3.
  bool adopt(shard_id shard, shard_view view);

  /// The node is lost: removes it from every chain and learner slot. Returns the shards it was in,
  /// ascending; each has a new view, possibly without replicas (VIEWS-3). If only the tail that
  /// brought a learner up is lost, the learner stays; the new number makes the new tail begin anew.
  std::vector<shard_id> remove(node_id node);

  /// One replica is lost, and its node lives on. Returns false, without effect, if it is not there.
  bool remove(shard_id shard, node_id node);

  /// The learner has caught up and becomes the tail, in a new view. Returns false, without effect,
  /// if `seen` is not the number of the present view or `learner` is not its learner: the message
  /// was overtaken by a newer view.
  bool promote(shard_id shard, view_number seen, node_id learner);

  /// Gives a learner to every shard that has a replica, no learner, and fewer than `replicas`
  /// replicas on nodes that are not draining, as far as the offers go: on a node with room
  /// (offer.shards above load()) that is neither draining nor in the chain; the least loaded one,
  /// the earlier offer of two equals. As many shards get one as can get one at the same time; where
  /// room is scarce the shortest chain, which is the nearest to being lost, goes first. The shards
  /// that got one, ascending; each has a new view. Throws std::invalid_argument when the offers
  /// name a node twice.
  std::vector<shard_id> repair(const std::vector<node_offer>& offers,
                               const std::set<node_id>& draining);

  /// Shards without a replica, ascending: not placed yet, or lost.
  std::vector<shard_id> without_replica() const;

  /// Replicas and learners on the node.
  std::uint32_t load(node_id node) const;

  /// The nodes of `draining` that can go without a chain becoming shorter than `replicas`:
  /// each shard with a replica there has that many others on nodes that stay. A learner does not
  /// keep its node. Ascending. All of them may go at once.
  std::vector<node_id> may_leave(const std::set<node_id>& draining) const;

 private:
  std::uint32_t staying(const shard_view& view, const std::set<node_id>& draining) const;
  std::map<node_id, std::uint32_t> loads() const;

  std::uint32_t replicas_;
  std::vector<shard_view> views_; // by shard
};

} // namespace troupe::scheduler
