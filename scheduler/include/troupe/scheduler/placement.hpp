#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/scheduler/ids.hpp"

namespace troupe::scheduler {

/// What a node is ready to hold.
struct node_offer {
  node_id node;
  std::uint32_t shards = 0;
  std::uint32_t workers = 0;
  friend bool operator==(const node_offer&, const node_offer&) = default;
};

/// Which node holds what.
struct placement {
  std::vector<node_id> shards;  ///< by shard index
  std::vector<node_id> workers; ///< by worker index
  friend bool operator==(const placement&, const placement&) = default;
};

/// Places `shards` and `workers` on the nodes; none while the offers do not suffice. Offers are
/// given in join order, and the result depends on nothing else.
///
/// PLACE-1  No node gets more than it offers.
/// PLACE-2  Each kind is spread as evenly as the offers allow: no node gets two more of a kind than
///          another that could still take one. Ties go to the node with less on it in all, then to
///          the one that joined first.
/// PLACE-3  `together` (hogwild): the first node that offers everything gets everything. Where
/// there
///          is none, as without the flag.
///
/// Throws std::invalid_argument when a node is named twice.
std::optional<placement> place(const std::vector<node_offer>& offers, std::uint32_t shards,
                               std::uint32_t workers, bool together = false);

/// What the offers lack, in words for an operator: "1 more worker", "2 more shards and 1 more
/// worker". Empty exactly when `place` gives a placement.
std::string describe_missing(const std::vector<node_offer>& offers, std::uint32_t shards,
                             std::uint32_t workers);

} // namespace troupe::scheduler
