#include "troupe/scheduler/placement.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <stdexcept>

namespace troupe::scheduler {

namespace {

struct node_load {
  node_id node;
  std::uint32_t room = 0; // of the kind that is being placed
  std::uint64_t kind = 0; // given of this kind
  std::uint64_t all = 0;  // given in all
};

// Greedy: each one to the least loaded node with room, the earlier of two equals.
std::vector<node_id> spread(std::vector<node_load>& loads, std::uint32_t count) {
  std::vector<node_id> result;
  result.reserve(count);
  for (; count > 0; --count) {
    node_load* best = nullptr;
    for (auto& load : loads) {
      if (load.kind == load.room) continue;
      if (!best || load.kind < best->kind || (load.kind == best->kind && load.all < best->all))
        best = &load;
    }
    ++best->kind;
    ++best->all;
    result.push_back(best->node);
  }
  return result;
}

std::uint64_t lacking(std::uint64_t wanted, std::uint64_t offered) {
  return wanted > offered ? wanted - offered : 0;
}

struct shortage {
  std::uint64_t shards = 0;
  std::uint64_t workers = 0;
};

shortage find_shortage(const std::vector<node_offer>& offers, std::uint32_t shards,
                       std::uint32_t workers) {
  std::set<node_id> seen;
  shortage offered;
  for (const auto& offer : offers) {
    if (!seen.insert(offer.node).second)
      throw std::invalid_argument("[troupe::scheduler::place] expected one offer per node, found "
                                  "two of " +
                                  to_string(offer.node));
    offered.shards += offer.shards;
    offered.workers += offer.workers;
  }
  return {.shards = lacking(shards, offered.shards), .workers = lacking(workers, offered.workers)};
}

std::string counted(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " more " + noun + (count == 1 ? "" : "s");
}

} // namespace

std::optional<placement> place(const std::vector<node_offer>& offers, std::uint32_t shards,
                               std::uint32_t workers, bool together) {
  const auto missing = find_shortage(offers, shards, workers);
  if (missing.shards > 0 || missing.workers > 0) return std::nullopt;
  if (together) {
    const auto whole = std::find_if(offers.begin(), offers.end(), [&](const node_offer& offer) {
      return offer.shards >= shards && offer.workers >= workers;
    });
    if (whole != offers.end())
      return placement{.shards = std::vector<node_id>(shards, whole->node),
                       .workers = std::vector<node_id>(workers, whole->node)};
  }
  std::vector<node_load> loads;
  for (const auto& offer : offers) loads.push_back({.node = offer.node, .room = offer.shards});
  placement result;
  result.shards = spread(loads, shards);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    loads[i].room = offers[i].workers;
    loads[i].kind = 0;
  }
  result.workers = spread(loads, workers);
  return result;
}

std::string describe_missing(const std::vector<node_offer>& offers, std::uint32_t shards,
                             std::uint32_t workers) {
  const auto missing = find_shortage(offers, shards, workers);
  std::string text;
  if (missing.shards > 0) text = counted(missing.shards, "shard");
  if (missing.shards > 0 && missing.workers > 0) text += " and ";
  if (missing.workers > 0) text += counted(missing.workers, "worker");
  return text;
}

} // namespace troupe::scheduler
