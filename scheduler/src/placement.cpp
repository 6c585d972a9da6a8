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
  std::uint32_t kind = 0; // given of this kind
  std::uint64_t all = 0;  // given in all
};

// Greedy: each one to the least loaded node with room, the earlier of two equals. Positions in
// `loads`.
std::vector<std::size_t> spread(std::vector<node_load>& loads, std::uint64_t count) {
  std::vector<std::size_t> result;
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
    result.push_back(static_cast<std::size_t>(best - loads.data()));
  }
  return result;
}

// The chains, and in `loads` what they take of each node. No node has room for more replicas than
// there are shards, and all of them together have room for enough.
//
// First how many each node gets: spread() gives each of S shards a primary and goes on to the other
// S * (R - 1) replicas, so primaries are as even as replicas. Then which: shard by shard, the
// others are the R - 1 nodes with the most left to take. It always comes out: it can as long as no
// node has more left than there are shards left. Nodes that have exactly as many must all be in the
// next chain. They are at most R, since R * shards left is what all nodes have left together; and
// if they are R, nothing is left for any other node, so the primary is one of them.
std::vector<std::vector<node_id>> make_chains(std::vector<node_load>& loads, std::uint32_t shards,
                                              std::uint32_t replicas) {
  const auto primaries = spread(loads, shards);
  spread(loads, std::uint64_t{shards} * (replicas - 1));
  std::vector<std::uint32_t> left, as_primary(loads.size());
  for (const auto& load : loads) left.push_back(load.kind);
  for (const auto primary : primaries) ++as_primary[primary];
  std::vector<std::vector<node_id>> chains;
  for (const auto primary : primaries) {
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < loads.size(); ++i)
      if (i != primary && left[i] > as_primary[i]) others.push_back(i);
    std::stable_sort(others.begin(), others.end(),
                     [&](std::size_t a, std::size_t b) { return left[a] > left[b]; });
    others.resize(replicas - 1);
    auto& chain = chains.emplace_back();
    chain.push_back(loads[primary].node);
    --left[primary];
    --as_primary[primary];
    for (const auto other : others) {
      chain.push_back(loads[other].node);
      --left[other];
    }
  }
  return chains;
}

std::uint64_t lacking(std::uint64_t wanted, std::uint64_t offered) {
  return wanted > offered ? wanted - offered : 0;
}

struct shortage {
  std::uint64_t replicas = 0; // that would have to be on nodes that do not offer them
  std::uint64_t workers = 0;
  bool too_few_nodes = false; // enough is offered, but not by enough nodes
};

// With distinct nodes for the replicas of a shard, a node is of use to each shard once. That each
// node gives min(its offer, shards), and all together shards * replicas, is necessary and, by
// make_chains, enough.
shortage find_shortage(const std::vector<node_offer>& offers, std::uint32_t shards,
                       std::uint32_t replicas, std::uint32_t workers) {
  if (replicas == 0)
    throw std::invalid_argument("[troupe::scheduler::place] expected at least 1 replica of each "
                                "shard, found 0");
  std::set<node_id> seen;
  std::uint64_t offered = 0, of_use = 0, offered_workers = 0;
  for (const auto& offer : offers) {
    if (!seen.insert(offer.node).second)
      throw std::invalid_argument("[troupe::scheduler::place] expected one offer per node, found "
                                  "two of " +
                                  to_string(offer.node));
    offered += offer.shards;
    of_use += std::min(offer.shards, shards);
    offered_workers += offer.workers;
  }
  const auto wanted = std::uint64_t{shards} * replicas;
  return {.replicas = lacking(wanted, of_use),
          .workers = lacking(workers, offered_workers),
          .too_few_nodes = offered >= wanted};
}

std::string plural(const std::string& noun, std::uint64_t count) {
  return count == 1 ? noun : noun + "s";
}

std::string counted(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " more " + plural(noun, count);
}

// A further node is of use for at most `shards`.
std::string describe_replicas(const shortage& missing, std::uint32_t shards) {
  const auto count = missing.replicas;
  const auto nodes = (count + shards - 1) / shards;
  if (!missing.too_few_nodes) {
    const auto where = nodes > 1 ? " on at least " + counted(nodes, "node") : "";
    return counted(count, "shard") + where;
  }
  const auto each = (count + nodes - 1) / nodes;
  return counted(nodes, "node") + " that " + (nodes == 1 ? "offers " : "offer ") +
         (each == 1 ? "a shard" : std::to_string(each) + " shards") + (nodes == 1 ? "" : " each");
}

} // namespace

std::optional<placement> place(const std::vector<node_offer>& offers, std::uint32_t shards,
                               std::uint32_t replicas, std::uint32_t workers, bool together) {
  const auto missing = find_shortage(offers, shards, replicas, workers);
  if (missing.replicas > 0 || missing.workers > 0) return std::nullopt;
  if (together && replicas == 1) {
    const auto whole = std::find_if(offers.begin(), offers.end(), [&](const node_offer& offer) {
      return offer.shards >= shards && offer.workers >= workers;
    });
    if (whole != offers.end())
      return placement{.chains = std::vector(shards, std::vector<node_id>{whole->node}),
                       .workers = std::vector<node_id>(workers, whole->node)};
  }
  std::vector<node_load> loads;
  for (const auto& offer : offers)
    loads.push_back({.node = offer.node, .room = std::min(offer.shards, shards)});
  placement result;
  result.chains = make_chains(loads, shards, replicas);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    loads[i].room = offers[i].workers;
    loads[i].kind = 0;
  }
  for (const auto at : spread(loads, workers)) result.workers.push_back(loads[at].node);
  return result;
}

std::string describe_missing(const std::vector<node_offer>& offers, std::uint32_t shards,
                             std::uint32_t replicas, std::uint32_t workers) {
  const auto missing = find_shortage(offers, shards, replicas, workers);
  std::string text;
  if (missing.replicas > 0) text = describe_replicas(missing, shards);
  if (missing.replicas > 0 && missing.workers > 0) text += " and ";
  if (missing.workers > 0) text += counted(missing.workers, "worker");
  return text;
}

} // namespace troupe::scheduler
