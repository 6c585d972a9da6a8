#pragma once

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "troupe/scheduler/orders.hpp"
#include "troupe/scheduler/shard_views.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// The views of all shards, and which of the replicas in them exist. A view may name a replica that
/// is still being made, and after a restart one whose node has not come back yet.
///
/// TABLE-1  `primary` names the first replica of the shard's chain, and none while that replica
///          does not exist.
class replica_table {
 public:
  replica_table(std::uint32_t shards, std::uint32_t replicas) : views_(shards, replicas) {}

  shard_views& views() noexcept { return views_; }
  const shard_views& views() const noexcept { return views_; }

  std::vector<shard_id> shards() const;
  primary_replica primary(shard_id shard) const;
  /// By shard.
  std::vector<primary_replica> primaries() const;
  /// The node is primary of a shard, by its view.
  bool leads(node_id node) const;
  /// The present views of these shards.
  orders::changed_views present(const std::vector<shard_id>& changed) const;

  void add(shard_id shard, node_id node) { existing_.emplace(shard, node); }
  bool exists(shard_id shard, node_id node) const { return existing_.contains({shard, node}); }
  /// False: there was none.
  bool erase(shard_id shard, node_id node) { return existing_.erase({shard, node}) > 0; }
  /// Of the node, by shard.
  std::vector<shard_id> on(node_id node) const;
  /// No replica exists any more.
  void clear() { existing_.clear(); }

 private:
  shard_views views_;
  std::set<std::pair<shard_id, node_id>> existing_;
};

} // namespace troupe::scheduler
