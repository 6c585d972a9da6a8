#include "troupe/scheduler/shard_views.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

namespace {

bool holds(const std::vector<node_id>& chain, node_id node) {
  return std::find(chain.begin(), chain.end(), node) != chain.end();
}

std::string at(const std::string& where, std::size_t shard) {
  return "[troupe::scheduler::shard_views] expected " + where + " for shard " +
         std::to_string(shard) + ", found ";
}

void check_distinct(const std::vector<node_id>& chain, std::size_t shard) {
  std::set<node_id> seen;
  for (const auto node : chain)
    if (!seen.insert(node).second)
      throw std::invalid_argument(at("a chain of different nodes", shard) + to_string(node) +
                                  " twice");
}

} // namespace

shard_views::shard_views(std::uint32_t shards, std::uint32_t replicas)
    : replicas_(replicas), views_(shards) {
  if (replicas == 0)
    throw std::invalid_argument("[troupe::scheduler::shard_views] expected at least 1 replica of "
                                "each shard, found 0");
}

const shard_view& shard_views::view(shard_id shard) const { return views_.at(shard.value); }

void shard_views::place(const std::vector<std::vector<node_id>>& chains) {
  if (chains.size() != views_.size())
    throw std::invalid_argument("[troupe::scheduler::shard_views] expected a chain for each of " +
                                std::to_string(views_.size()) + " shards, found " +
                                std::to_string(chains.size()));
  for (std::size_t s = 0; s < chains.size(); ++s) {
    if (chains[s].empty()) throw std::invalid_argument(at("a chain", s) + "an empty one");
    check_distinct(chains[s], s);
  }
  for (std::size_t s = 0; s < chains.size(); ++s)
    views_[s] = {.number = {views_[s].number.value + 1}, .chain = chains[s], .learner = {}};
}

void shard_views::clear() {
  for (auto& view : views_) view = {.number = {view.number.value + 1}, .chain = {}, .learner = {}};
}

bool shard_views::adopt(shard_id shard, shard_view view) {
  auto& present = views_.at(shard.value);
  check_distinct(view.chain, shard.value);
  if (view.learner && (view.chain.empty() || holds(view.chain, *view.learner)))
    throw std::invalid_argument(at("a learner beside its chain", shard.value) +
                                to_string(*view.learner));
  if (view.number <= present.number) return false;
  present = std::move(view);
  return true;
}

std::vector<shard_id> shard_views::remove(node_id node) {
  std::vector<shard_id> changed;
  for (std::uint32_t s = 0; s < shards(); ++s)
    if (remove(shard_id{s}, node)) changed.push_back({s});
  return changed;
}

bool shard_views::remove(shard_id shard, node_id node) {
  auto& view = views_.at(shard.value);
  const bool was_learner = view.learner == node;
  if (std::erase(view.chain, node) == 0 && !was_learner) return false;
  if (was_learner) reached(probe::learner_lost);
  if (was_learner || view.chain.empty()) view.learner.reset();
  if (!mutant_active(mutant::view_number_reused)) ++view.number.value;
  return true;
}

bool shard_views::promote(shard_id shard, view_number seen, node_id learner) {
  auto& view = views_.at(shard.value);
  if (view.number != seen || view.learner != learner) return false;
  view.chain.push_back(learner);
  view.learner.reset();
  ++view.number.value;
  return true;
}

std::vector<shard_id> shard_views::repair(const std::vector<node_offer>& offers,
                                          const std::set<node_id>& draining) {
  std::set<node_id> named;
  for (const auto& offer : offers)
    if (!named.insert(offer.node).second)
      throw std::invalid_argument("[troupe::scheduler::shard_views] expected one offer per node, "
                                  "found two of " +
                                  to_string(offer.node));
  std::vector<shard_id> needy;
  for (std::uint32_t s = 0; s < shards(); ++s)
    if (!views_[s].chain.empty() && !views_[s].learner && staying(views_[s], draining) < replicas_)
      needy.push_back({s});
  std::stable_sort(needy.begin(), needy.end(), [&](shard_id a, shard_id b) {
    return views_[a.value].chain.size() < views_[b.value].chain.size();
  });
  // A bipartite matching by augmenting paths (H. W. Kuhn, "The Hungarian method", 1955, for equal
  // weights): who has a choice gives way to who has none.
  auto load_of = loads();
  std::map<shard_id, node_id> learners;
  std::function<bool(shard_id, std::set<node_id>&)> find_node = [&](shard_id shard,
                                                                    std::set<node_id>& tried) {
    std::vector<const node_offer*> candidates;
    for (const auto& offer : offers)
      if (offer.shards > 0 && !draining.contains(offer.node) &&
          !holds(views_[shard.value].chain, offer.node))
        candidates.push_back(&offer);
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](auto* x, auto* y) { return load_of[x->node] < load_of[y->node]; });
    for (const auto* offer : candidates)
      if (load_of[offer->node] < offer->shards) {
        learners[shard] = offer->node;
        ++load_of[offer->node];
        return true;
      }
    for (const auto* offer : candidates) {
      if (!tried.insert(offer->node).second) continue;
      for (auto& [other, node] : learners) {
        if (node != offer->node || !find_node(other, tried)) continue;
        learners[shard] = offer->node; // the other one has moved on
        return true;
      }
    }
    return false;
  };
  for (const auto shard : needy) {
    std::set<node_id> tried;
    find_node(shard, tried);
  }
  std::vector<shard_id> changed;
  for (const auto& [shard, node] : learners) {
    views_[shard.value].learner = node;
    ++views_[shard.value].number.value;
    changed.push_back(shard);
  }
  return changed;
}

std::vector<shard_id> shard_views::without_replica() const {
  std::vector<shard_id> result;
  for (std::uint32_t s = 0; s < shards(); ++s)
    if (views_[s].chain.empty()) result.push_back({s});
  return result;
}

std::uint32_t shard_views::load(node_id node) const {
  const auto counted = loads();
  const auto found = counted.find(node);
  return found == counted.end() ? 0 : found->second;
}

std::vector<node_id> shard_views::may_leave(const std::set<node_id>& draining) const {
  auto leaving = draining;
  for (const auto& view : views_)
    if (staying(view, draining) < replicas_)
      for (const auto node : view.chain) leaving.erase(node);
  return {leaving.begin(), leaving.end()};
}

std::uint32_t shard_views::staying(const shard_view& view,
                                   const std::set<node_id>& draining) const {
  return static_cast<std::uint32_t>(
      std::count_if(view.chain.begin(), view.chain.end(),
                    [&](node_id node) { return !draining.contains(node); }));
}

std::map<node_id, std::uint32_t> shard_views::loads() const {
  std::map<node_id, std::uint32_t> result;
  for (const auto& view : views_) {
    for (const auto node : view.chain) ++result[node];
    if (view.learner) ++result[*view.learner];
  }
  return result;
}

} // namespace troupe::scheduler
