#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// The offer of a node. A replica of a shard takes the place of one shard.
struct node_offer {
  node_id node;
  std::uint32_t shards = 0;
  std::uint32_t workers = 0;
  /// The address where other nodes reach the node. Empty: all roles are in one process.
  std::string at = {};
  friend bool operator==(const node_offer&, const node_offer&) = default;
};

/// The nodes of all replicas and workers.
struct placement {
  std::vector<std::vector<node_id>> chains; ///< by shard index: its replicas, primary first
  std::vector<node_id> workers;             ///< by worker index
  friend bool operator==(const placement&, const placement&) = default;
};

/// Places `replicas` of each of `shards`, and `workers`, on the nodes. None exactly when no
/// placement keeps PLACE-1. Offers are given in join order, and the result depends on nothing else.
///
/// PLACE-1  No node gets more than it offers, and no two replicas of one shard.
/// PLACE-2  Workers, replicas and, among them, primaries are each spread as evenly as the offers
///          allow: no node gets two more of a kind than another that could still take one. Ties go
///          to the node with less on it in all, then to the one that joined first.
/// PLACE-3  `together` (hogwild), with one replica: the first node that offers everything gets
///          everything. Where there is none, as without the flag.
///
/// Throws std::invalid_argument when a node is named twice, or `replicas` is 0.
std::optional<placement> place(const std::vector<node_offer>& offers, std::uint32_t shards,
                               std::uint32_t replicas, std::uint32_t workers,
                               bool together = false);

/// What the offers lack, in words for an operator: "1 more worker", "2 more shards and 1 more
/// worker". With several replicas also "4 more shards on at least 2 more nodes", and where enough
/// is offered but by too few nodes, "1 more node that offers a shard". Empty exactly when `place`
/// gives a placement; throws as it does.
std::string describe_missing(const std::vector<node_offer>& offers, std::uint32_t shards,
                             std::uint32_t replicas, std::uint32_t workers);

} // namespace troupe::scheduler
