#include "troupe/scheduler/shard_views.hpp"

#include <algorithm>
#include <stdexcept>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

namespace {

constexpr node_id n0{0}, n1{1}, n2{2}, n3{3};
constexpr shard_id s0{0}, s1{1}, s2{2};
using nodes = std::vector<node_id>;
using shards = std::vector<shard_id>;
using offer_list = std::vector<node_offer>;

shard_view view_of(std::uint64_t number, nodes chain, std::optional<node_id> learner = {}) {
  return {.number = {number}, .chain = std::move(chain), .learner = learner};
}

shard_views placed(std::uint32_t replicas, const std::vector<nodes>& chains) {
  shard_views views(static_cast<std::uint32_t>(chains.size()), replicas);
  views.place(chains);
  return views;
}

} // namespace

TEST_CASE("before the first placement every shard is in view 0 and without a replica") {
  const shard_views views(2, 3);
  CHECK(views.shards() == 2);
  CHECK(views.replicas() == 3);
  CHECK(views.view(s1) == shard_view{});
  CHECK(views.without_replica() == shards{s0, s1});
  CHECK(views.load(n0) == 0);
  CHECK(shard_views(0, 1).without_replica().empty());
  CHECK_THROWS_AS(shard_views(1, 0), std::invalid_argument);
  CHECK_THROWS_AS(views.view(s2), std::out_of_range);
}

TEST_CASE("each placement is one view further, and forgets the learners (VIEWS-1)") {
  auto views = placed(2, {{n0, n1}, {n1}});
  CHECK(views.view(s0) == view_of(1, {n0, n1}));
  CHECK(views.view(s1) == view_of(1, {n1}));
  CHECK(views.repair({{n2, 1, 0}}, {}) == shards{s1});
  CHECK(views.view(s1) == view_of(2, {n1}, n2));
  views.place({{n2}, {n2, n0}});
  CHECK(views.view(s0) == view_of(2, {n2}));
  CHECK(views.view(s1) == view_of(3, {n2, n0}));
}

TEST_CASE("a placement that is none is refused and changes nothing (VIEWS-2)") {
  auto views = placed(1, {{n0}, {n1}});
  CHECK_THROWS_AS(views.place({{n1}}), std::invalid_argument);
  CHECK_THROWS_AS(views.place({{n1}, {}}), std::invalid_argument);
  CHECK_THROWS_AS(views.place({{n1}, {n0, n2, n0}}), std::invalid_argument);
  CHECK(views.view(s0) == view_of(1, {n0}));
  CHECK(views.view(s1) == view_of(1, {n1}));
}

TEST_CASE("a restarted scheduler adopts what is newer than what it knows (VIEWS-1)") {
  shard_views views(2, 2);
  CHECK(views.adopt(s1, view_of(7, {n2, n0}, n1)));
  CHECK(views.view(s1) == view_of(7, {n2, n0}, n1));
  CHECK_FALSE(views.adopt(s1, view_of(7, {n3})));
  CHECK_FALSE(views.adopt(s1, view_of(6, {n3})));
  CHECK(views.adopt(s1, view_of(9, {})));
  CHECK(views.view(s1) == view_of(9, {}));
  CHECK(views.view(s0) == shard_view{});
  CHECK_THROWS_AS(views.adopt(s2, view_of(1, {n0})), std::out_of_range);
}

TEST_CASE("a view that no scheduler installs is not adopted (VIEWS-2, VIEWS-3)") {
  auto views = placed(1, {{n0}});
  CHECK_THROWS_AS(views.adopt(s0, view_of(5, {n1, n1})), std::invalid_argument);
  CHECK_THROWS_AS(views.adopt(s0, view_of(5, {n1, n2}, n2)), std::invalid_argument);
  CHECK_THROWS_AS(views.adopt(s0, view_of(5, {}, n2)), std::invalid_argument);
  CHECK(views.view(s0) == view_of(1, {n0}));
}

TEST_CASE("who stays in a chain keeps its place, and the next after a lost primary is the primary "
          "(VIEWS-4, VIEWS-7)") {
  auto views = placed(3, {{n0, n1, n2}, {n1, n2}, {n2, n0, n1}});
  CHECK(views.remove(n0) == shards{s0, s2});
  CHECK(views.view(s0) == view_of(2, {n1, n2}));
  CHECK(views.view(s1) == view_of(1, {n1, n2}));
  CHECK(views.view(s2) == view_of(2, {n2, n1}));
  CHECK(views.remove(n0).empty());
  CHECK(views.remove(n3).empty());
}

TEST_CASE("a learner outlives the tail that brought it up, but not the last of the chain "
          "(VIEWS-3)") {
  shard_views views(1, 3);
  views.adopt(s0, view_of(4, {n0, n1}, n2));
  CHECK(views.remove(n1) == shards{s0});
  CHECK(views.view(s0) == view_of(5, {n0}, n2));
  CHECK(views.remove(n0) == shards{s0});
  CHECK(views.view(s0) == view_of(6, {}));
  CHECK(views.without_replica() == shards{s0});
  CHECK(views.repair({{n2, 9, 0}}, {}).empty());
}

TEST_CASE("a lost learner leaves the chain as it is and makes room for another") {
  shard_views views(1, 2);
  views.adopt(s0, view_of(4, {n0}, n2));
  CHECK(views.remove(n2) == shards{s0});
  CHECK(views.view(s0) == view_of(5, {n0}));
  CHECK(views.repair({{n1, 1, 0}}, {}) == shards{s0});
  CHECK(views.view(s0) == view_of(6, {n0}, n1));
}

TEST_CASE("a learner that has caught up is the tail of a new view (VIEWS-5)") {
  shard_views views(1, 2);
  views.adopt(s0, view_of(4, {n1}, n0));
  CHECK_FALSE(views.promote(s0, {3}, n0));
  CHECK_FALSE(views.promote(s0, {5}, n0));
  CHECK_FALSE(views.promote(s0, {4}, n1));
  CHECK(views.view(s0) == view_of(4, {n1}, n0));
  CHECK(views.promote(s0, {4}, n0));
  CHECK(views.view(s0) == view_of(5, {n1, n0}));
  CHECK_FALSE(views.promote(s0, {5}, n0));
  CHECK_THROWS_AS(views.promote(s1, {0}, n0), std::out_of_range);
}

TEST_CASE("repair takes the least loaded node with room, the earlier of two equals (VIEWS-6)") {
  auto views = placed(2, {{n0}, {n0}, {n1, n0}, {n1}});
  // n2 and n3 are empty. n3 is offered first; then both have one, and only n2 has room for more.
  const offer_list offers{{n0, 9, 0}, {n1, 2, 0}, {n3, 1, 0}, {n2, 2, 0}};
  CHECK(views.repair(offers, {}) == shards{s0, s1, {3}});
  CHECK(views.view(s0) == view_of(2, {n0}, n3));
  CHECK(views.view(s1) == view_of(2, {n0}, n2));
  CHECK(views.view(s2) == view_of(1, {n1, n0}));
  CHECK(views.view({3}) == view_of(2, {n1}, n2));
  CHECK(views.load(n2) == 2);
  CHECK(views.load(n0) == 3);
  CHECK(views.repair(offers, {}).empty());
}

TEST_CASE("repair does not put a learner where a replica is, or where there is no room (VIEWS-2, "
          "VIEWS-6)") {
  auto views = placed(3, {{n0, n1}});
  CHECK(views.repair({}, {}).empty());
  CHECK(views.repair({{n0, 5, 5}, {n1, 5, 5}, {n2, 0, 5}}, {}).empty());
  CHECK(views.view(s0) == view_of(1, {n0, n1}));
  CHECK_THROWS_AS(views.repair({{n2, 1, 0}, {n2, 1, 0}}, {}), std::invalid_argument);
  CHECK(views.view(s0) == view_of(1, {n0, n1}));
}

TEST_CASE("where room is scarce the shard nearest to being lost is repaired first") {
  auto views = placed(3, {{n0, n1}, {n0}});
  CHECK(views.repair({{n2, 1, 0}}, {}) == shards{s1});
  CHECK(views.view(s1) == view_of(2, {n0}, n2));
}

TEST_CASE("a draining node counts for nothing, gets nothing, and leaves when nothing depends on "
          "it") {
  auto views = placed(2, {{n0, n1}, {n1, n2}});
  const offer_list offers{{n0, 2, 0}, {n1, 2, 0}, {n2, 2, 0}, {n3, 2, 0}};
  const std::set<node_id> draining{n0, n3};
  CHECK(views.may_leave(draining) == nodes{n3});
  CHECK(views.repair(offers, draining) == shards{s0});
  CHECK(views.view(s0) == view_of(2, {n0, n1}, n2));
  CHECK(views.may_leave(draining) == nodes{n3});
  CHECK(views.promote(s0, {2}, n2));
  CHECK(views.may_leave(draining) == nodes{n0, n3});
  CHECK(views.repair(offers, draining).empty());
  CHECK(views.remove(n0) == shards{s0});
  CHECK(views.view(s0) == view_of(4, {n1, n2}));
  CHECK(views.may_leave({}).empty());
}

TEST_CASE("nodes that may leave may all leave at once") {
  auto views = placed(1, {{n0, n1}, {n0, n1, n2}});
  CHECK(views.may_leave({n0}) == nodes{n0});
  CHECK(views.may_leave({n1}) == nodes{n1});
  CHECK(views.may_leave({n0, n1}).empty());
  CHECK(views.may_leave({n0, n2}) == nodes{n0, n2});
}

TEST_CASE("a draining learner may leave: its shard gets another") {
  shard_views views(1, 2);
  views.adopt(s0, view_of(4, {n0}, n2));
  CHECK(views.may_leave({n2}) == nodes{n2});
}

namespace {

// What shard_views is to do, one slot at a time and too plain to be wrong. A list is a chain; the
// learner, when there is one, is kept apart.
struct naive_views {
  struct state {
    std::uint64_t number = 0;
    nodes chain;
    int learner = -1;
  };
  std::vector<state> all;
  std::size_t replicas;

  bool is_in(const state& s, node_id node) const {
    for (const auto n : s.chain)
      if (n == node) return true;
    return false;
  }
  std::size_t load(node_id node) const {
    std::size_t count = 0;
    for (const auto& s : all) count += is_in(s, node) + (s.learner == static_cast<int>(node.value));
    return count;
  }
  std::size_t staying(const state& s, const std::set<node_id>& draining) const {
    std::size_t count = 0;
    for (const auto n : s.chain) count += draining.count(n) == 0;
    return count;
  }
  shards remove(node_id node) {
    shards changed;
    for (std::uint32_t i = 0; i < all.size(); ++i) {
      auto& s = all[i];
      nodes rest;
      for (const auto n : s.chain)
        if (n != node) rest.push_back(n);
      const bool learner = s.learner == static_cast<int>(node.value);
      if (rest.size() == s.chain.size() && !learner) continue;
      s.chain = rest;
      if (learner || rest.empty()) s.learner = -1;
      ++s.number;
      changed.push_back({i});
    }
    return changed;
  }
  void learn(shard_id shard, node_id node, const offer_list& offers,
             const std::set<node_id>& draining) {
    auto& s = all[shard.value];
    REQUIRE_FALSE(s.chain.empty());
    REQUIRE(s.learner < 0);
    REQUIRE(staying(s, draining) < replicas);
    REQUIRE_FALSE(is_in(s, node));
    REQUIRE_FALSE(draining.count(node));
    for (const auto& o : offers)
      if (o.node == node) REQUIRE(load(node) < o.shards);
    s.learner = static_cast<int>(node.value);
    ++s.number;
  }
  // The best pair of a shard and a node, again and again.
  shards repair(const offer_list& offers, const std::set<node_id>& draining) {
    std::set<shard_id> changed;
    for (;;) {
      int best_shard = -1;
      const node_offer* best_node = nullptr;
      for (std::uint32_t i = 0; i < all.size(); ++i) {
        const auto& s = all[i];
        if (s.chain.empty() || s.learner >= 0 || staying(s, draining) >= replicas) continue;
        if (best_shard >= 0 && all[best_shard].chain.size() <= s.chain.size()) continue;
        const node_offer* found = nullptr;
        for (const auto& o : offers)
          if (load(o.node) < o.shards && !draining.count(o.node) && !is_in(s, o.node) &&
              (!found || load(o.node) < load(found->node)))
            found = &o;
        if (found) best_shard = static_cast<int>(i), best_node = found;
      }
      if (!best_node) return {changed.begin(), changed.end()};
      all[best_shard].learner = static_cast<int>(best_node->node.value);
      ++all[best_shard].number;
      changed.insert({static_cast<std::uint32_t>(best_shard)});
    }
  }
};

void check_same(const shard_views& views, const naive_views& model, const offer_list& offers,
                const std::set<node_id>& draining) {
  shards without;
  for (std::uint32_t i = 0; i < model.all.size(); ++i) {
    const auto& s = model.all[i];
    std::optional<node_id> learner;
    if (s.learner >= 0) learner = node_id{static_cast<std::uint32_t>(s.learner)};
    REQUIRE(views.view({i}) == view_of(s.number, s.chain, learner));
    REQUIRE(std::set<node_id>(s.chain.begin(), s.chain.end()).size() == s.chain.size());
    if (learner) REQUIRE_FALSE(model.is_in(s, *learner));
    if (learner) REQUIRE_FALSE(s.chain.empty());
    if (s.chain.empty()) without.push_back({i});
  }
  REQUIRE(views.without_replica() == without);
  nodes leaving;
  for (const auto node : draining) {
    bool free = true;
    for (const auto& s : model.all)
      if (model.is_in(s, node) && model.staying(s, draining) < model.replicas) free = false;
    if (free) leaving.push_back(node);
  }
  REQUIRE(views.may_leave(draining) == leaving);
  for (const auto& o : offers) REQUIRE(views.load(o.node) == model.load(o.node));
}

} // namespace

TEST_CASE("under random losses, repairs, promotions, placements and drains the views are those of "
          "the model (VIEWS-1 to VIEWS-7)") {
  std::size_t learner_kept = 0, chain_lost = 0, overtaken = 0, promoted = 0, scarce = 0, left = 0,
              moved = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    fixed_seed_generator random(seed);
    const auto draw = [&](std::uint64_t bound) {
      return static_cast<std::uint32_t>(random.below(bound));
    };
    const auto shard_count = 1 + draw(5), replicas = 1 + draw(3), node_count = 2 + draw(6);
    shard_views views(shard_count, replicas);
    naive_views model{.all = std::vector<naive_views::state>(shard_count), .replicas = replicas};
    offer_list offers;
    for (std::uint32_t n = 0; n < node_count; ++n) offers.push_back({{n}, draw(5), 0});
    random.shuffle(offers);
    std::set<node_id> draining;
    const auto draw_chain = [&] {
      nodes chain;
      for (const auto& o : offers) chain.push_back(o.node);
      random.shuffle(chain);
      chain.resize(1 + draw(std::min(replicas, node_count)));
      return chain;
    };
    for (int step = 0; step < 300; ++step) {
      const shard_id shard{draw(shard_count)};
      auto& s = model.all[shard.value];
      switch (draw(12)) {
      case 0: { // rarely: all anew
        if (draw(8) > 0) break;
        std::vector<nodes> chains;
        for (auto& each : model.all) {
          chains.push_back(draw_chain());
          each = {.number = each.number + 1, .chain = chains.back()};
        }
        views.place(chains);
        break;
      }
      case 1: {
        const auto number = s.number + draw(5) - std::min<std::uint64_t>(s.number, 2);
        const auto chain = draw_chain();
        REQUIRE(views.adopt(shard, view_of(number, chain)) == (number > s.number));
        if (number > s.number) s = {.number = number, .chain = chain};
        break;
      }
      case 2:
      case 3: {
        const node_id node{draw(node_count)};
        for (const auto& each : model.all) {
          learner_kept += each.learner >= 0 && each.chain.size() > 1 && each.chain.back() == node;
          chain_lost += each.learner >= 0 && each.chain == nodes{node};
        }
        left += draining.count(node);
        REQUIRE(views.remove(node) == model.remove(node));
        draining.erase(node);
        break;
      }
      case 4:
      case 5:
      case 6:
      case 7: { // of the present view, of the one before, or of another learner
        const auto seen = s.number - std::min<std::uint64_t>(s.number, draw(3) == 0);
        const node_id learner{draw(2) == 0 || s.learner < 0
                                  ? draw(node_count)
                                  : static_cast<std::uint32_t>(s.learner)};
        const bool named = s.learner == static_cast<int>(learner.value);
        const bool joins = named && seen == s.number;
        overtaken += named && seen != s.number;
        promoted += joins;
        REQUIRE(views.promote(shard, {seen}, learner) == joins);
        if (joins) s = {.number = s.number + 1, .chain = s.chain}, s.chain.push_back(learner);
        break;
      }
      case 8: {
        const node_id node{draw(node_count)};
        if (!draining.erase(node)) draining.insert(node);
        break;
      }
      default: {
        // Never fewer than the greedy choice finds; each where there is room.
        auto greedy = model;
        const auto found = greedy.repair(offers, draining).size();
        const auto changed = views.repair(offers, draining);
        REQUIRE(changed.size() >= found);
        moved += changed.size() > found;
        for (const auto shard : changed)
          model.learn(shard, *views.view(shard).learner, offers, draining);
        for (const auto& each : model.all)
          scarce +=
              !each.chain.empty() && each.learner < 0 && model.staying(each, draining) < replicas;
      }
      }
      check_same(views, model, offers, draining);
    }
  }
  CHECK(learner_kept > 100);
  CHECK(chain_lost > 100);
  CHECK(overtaken > 100);
  CHECK(promoted > 100);
  CHECK(scarce > 100);
  CHECK(moved > 0);
  CHECK(left > 100);
}

TEST_CASE("repair: a shard with a choice of nodes leaves the only one to a shard that has none") {
  shard_views views(3, 2);
  views.place({{node_id{0}}, {node_id{1}}, {node_id{2}}});
  const std::vector<node_offer> offers{{node_id{0}, 2, 0}, {node_id{1}, 2, 0}, {node_id{2}, 2, 0}};
  REQUIRE(views.repair(offers, {}).size() == 3);
  for (std::uint32_t s = 0; s < 3; ++s) REQUIRE(views.view(shard_id{s}).learner);
  // A chain of moves: the first two would otherwise take all that the third may have.
  shard_views tight(3, 2);
  tight.place({{node_id{0}}, {node_id{1}}, {node_id{3}}});
  const std::vector<node_offer> few{{node_id{0}, 2, 0}, {node_id{1}, 2, 0}, {node_id{3}, 2, 0}};
  CHECK(tight.repair(few, {}).size() == 3);
}
