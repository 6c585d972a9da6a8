// Nodes that cannot connect to each other, although the scheduler hears both.
#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "coordinator_stage.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

constexpr node_id n0{0}, n1{1}, n2{2}, n3{3};
constexpr shard_id s0{0}, s1{1};

std::string at(node_id node) { return "host-" + std::to_string(node.value) + ":4701"; }

void join(coordinator_stage& s, std::uint32_t shards, std::uint32_t workers) {
  const node_id next{static_cast<std::uint32_t>(s.decisions->members().next_node())};
  s.decisions->node_joined(shards, workers, s.now, at(next));
}

// So many nodes with an address each, which train.
coordinator_stage trains(std::size_t nodes, std::uint32_t replicas, std::uint32_t workers = 2) {
  coordinator_stage s{coordinator_stage::job(replicas, workers)};
  for (std::size_t i = 0; i < nodes; ++i) join(s, 2, 1);
  s.settle();
  REQUIRE(s.phase() == "training");
  return s;
}

order_list report(coordinator_stage& s, node_id from, node_id to) {
  s.decisions->cannot_reach(from, at(to), "timed out", s.now);
  return s.settle();
}

// The scheduler looks, and every node is heard, every 100 ms for so long.
order_list pass(coordinator_stage& s, coordinator_stage::duration time) {
  order_list all;
  for (const auto until = s.now + time; s.now < until;) {
    s.now += 100ms;
    for (std::uint32_t n = 0; n < s.decisions->members().next_node(); ++n)
      s.decisions->heard(node_id{n}, s.now);
    s.decisions->look(s.now);
    for (auto& o : s.settle()) all.push_back(o);
  }
  return all;
}

std::vector<node_id> chain(const coordinator_stage& s, shard_id shard) {
  return s.decisions->replicas().views().view(shard).chain;
}

} // namespace

TEST_CASE("SCHED-16: a gap is told once, with both nodes and the reason") {
  auto s = trains(3, 2);
  const auto lines = lines_of(report(s, n1, n0), notice_kind::warning);
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Contains("node 1 cannot reach node 0: timed out"));
  CHECK(lines_of(report(s, n1, n0), notice_kind::warning).empty());
}

TEST_CASE("SCHED-16: of two replicas of a shard, one is lost, and another node takes its place") {
  auto s = trains(3, 2);
  const auto apart = chain(s, s0);
  REQUIRE(apart.size() == 2);
  report(s, apart[1], apart[0]);
  const auto orders = pass(s, 2s);
  REQUIRE(all_of<orders::node_lost>(orders).size() == 1);
  const auto lost = all_of<orders::node_lost>(orders)[0].node;
  CHECK(std::ranges::count(apart, lost) == 1);
  CHECK(s.phase() == "training");
  for (auto shard : {s0, s1}) {
    const auto& view = s.decisions->replicas().views().view(shard);
    auto members = view.chain;
    if (view.learner) members.push_back(*view.learner);
    CHECK(members.size() == 2);
    CHECK(std::ranges::count(members, lost) == 0);
  }
}

TEST_CASE(
    "SCHED-16: a node that leads a shard is lost when its read lease has run out, not before") {
  auto s = trains(3, 2);
  // Both lead a shard: the later one gives way.
  REQUIRE(chain(s, s1).front() == n1);
  pass(s, 200ms);
  report(s, n1, n0);
  CHECK(count_of<orders::node_lost>(pass(s, 1000ms)) == 0);
  CHECK(count_of<orders::node_lost>(pass(s, 500ms)) == 1);
  CHECK_FALSE(s.decisions->members().contains(n1));
}

TEST_CASE("SCHED-16: if the gap has closed meanwhile, the node stays and is answered again") {
  auto s = trains(3, 2);
  report(s, n1, n0);
  pass(s, 300ms);
  CHECK_FALSE(s.decisions->heard(n1, s.now).seen);
  s.decisions->reaches(n1, at(n0), s.now);
  CHECK(count_of<orders::node_lost>(pass(s, 3s)) == 0);
  CHECK(s.decisions->heard(n1, s.now).seen);
}

TEST_CASE("SCHED-16: the node that fewer nodes can reach gives way, even if it leads") {
  auto s = trains(4, 2);
  REQUIRE(chain(s, s0).front() == n0);
  report(s, n1, n0);
  report(s, n2, n0);
  const auto orders = pass(s, 2s);
  REQUIRE(all_of<orders::node_lost>(orders).size() == 1);
  CHECK(all_of<orders::node_lost>(orders)[0].node == n0);
}

TEST_CASE("SCHED-16: a node with the only replica of a shard stays; the worker's node gives way") {
  coordinator_stage s{coordinator_stage::job(1, 2)};
  s.decisions->node_joined(2, 0, s.now, at(n0));
  for (int i = 0; i < 2; ++i) join(s, 0, 1);
  s.settle();
  REQUIRE(s.phase() == "training");
  report(s, n1, n0);
  CHECK(all_of<orders::node_lost>(pass(s, 2s)).at(0).node == n1);
  report(s, n2, n0); // the last worker
  CHECK(count_of<orders::node_lost>(pass(s, 2s)) == 0);
  CHECK_THAT(s.decisions->status(s.now).phase, Contains("training"));
}

TEST_CASE("SCHED-16: nodes that do not need each other keep their roles") {
  coordinator_stage s{coordinator_stage::job(1, 2)};
  s.decisions->node_joined(2, 0, s.now, at(n0));
  for (int i = 0; i < 2; ++i) join(s, 0, 1);
  s.settle();
  report(s, n1, n2); // two workers
  CHECK(count_of<orders::node_lost>(pass(s, 5s)) == 0);
}

TEST_CASE("SCHED-16: a node gets no role for which it must reach a node from which it is apart") {
  auto s = trains(3, 2);
  report(s, n1, n0);
  pass(s, 2s);
  REQUIRE_FALSE(s.decisions->members().contains(n1));
  s.decisions->node_joined(2, 1, s.now, at(n1)); // the same process, as node 3
  const auto orders = s.settle();
  CHECK(count_of<orders::add_workers>(orders) == 0);
  CHECK(count_of<orders::place_learner>(orders) == 0);
  const auto later = pass(s, 20s); // nobody reports the gap any more
  REQUIRE(all_of<orders::add_workers>(later).size() == 1);
  CHECK(all_of<orders::add_workers>(later)[0].node == n3);
}

TEST_CASE("SCHED-16: roles that are being placed are placed around the gap") {
  coordinator_stage s{coordinator_stage::job(1, 1)};
  join(s, 2, 0); // would hold the shards
  join(s, 0, 1); // would work
  join(s, 2, 1); // could do both
  auto orders = s.decisions->take_orders();
  while (count_of<orders::place_workers>(orders) == 0) {
    REQUIRE_FALSE(orders.empty());
    for (const auto& o : orders) s.answer(o);
    orders = s.decisions->take_orders();
  }
  REQUIRE(s.phase() == "placing");
  s.decisions->cannot_reach(n1, at(n0), "timed out", s.now);
  s.now += 100ms;
  s.decisions->look(s.now);
  s.settle();
  CHECK(s.phase() == "training");
  std::set<node_id> used;
  for (auto shard : {s0, s1})
    for (auto node : chain(s, shard)) used.insert(node);
  for (const auto& [id, w] : s.decisions->desk().workers()) used.insert(w.node);
  CHECK_FALSE((used.contains(n0) && used.contains(n1)));
}

TEST_CASE(
    "SCHED-16: if the nodes that reach each other do not suffice, the run says which do not") {
  coordinator_stage s{coordinator_stage::job(1, 1)};
  join(s, 2, 0);
  join(s, 0, 1);
  auto orders = s.decisions->take_orders();
  while (s.phase() != "placing" || count_of<orders::place_workers>(orders) == 0) {
    REQUIRE_FALSE(orders.empty());
    for (const auto& o : orders) s.answer(o);
    orders = s.decisions->take_orders();
  }
  s.decisions->cannot_reach(n1, at(n0), "timed out", s.now);
  s.now += 100ms;
  s.decisions->look(s.now);
  s.settle();
  CHECK(s.phase() == "gathering");
  std::vector<std::string> lines;
  for (int i = 0; i < 18; ++i) {
    s.now += 500ms;
    s.decisions->tick(s.now);
    for (const auto& line : lines_of(s.settle(), notice_kind::warning)) lines.push_back(line);
  }
  CHECK(s.phase() == "gathering");
}

TEST_CASE("SCHED-16: reports of nodes that are no members, or about them, have no effect") {
  auto s = trains(3, 2);
  CHECK(report(s, node_id{7}, n0).empty());
  CHECK(report(s, n0, node_id{7}).empty());
}

TEST_CASE(
    "SCHED-9: a node that was told to go is not answered again, whatever happens to the run") {
  troupe::scheduler::membership m{{.read_lease = 1s}, coordinator_stage::time_point{}};
  const auto now = coordinator_stage::time_point{} + 1h;
  const auto going = m.join(1, 1, now), staying = m.join(1, 1, now);
  CHECK_FALSE(m.may_be_relieved(going, true, now));
  CHECK_FALSE(m.may_be_relieved(staying, true, now));
  m.find(going)->told_to_go = true;
  m.keep_all();
  CHECK_FALSE(m.heard(going, now + 2s).seen);
  CHECK(m.heard(staying, now + 2s).seen);
  CHECK(m.offers().size() == 1);
}

TEST_CASE("SCHED-17: a node with another workload is lost, and the run goes on without it") {
  auto s = trains(3, 2);
  s.decisions->unfit(n2, "on host-2: labels or targets: expected a, found b", s.now);
  const auto orders = s.settle();
  CHECK(count_of<orders::node_lost>(orders) == 1);
  CHECK_THAT(lines_of(orders, notice_kind::node_lost).at(0), Contains("on host-2: labels"));
  CHECK(s.phase() == "training");
  s.decisions->unfit(n2, "again", s.now);
  CHECK(count_of<orders::node_lost>(s.settle()) == 0);
}

TEST_CASE("SCHED-16: a gap is closed while a restarted scheduler asks how things stand, too") {
  auto s = trains(3, 2);
  const auto apart = chain(s, s0);
  known_run known;
  known.next_node = 3;
  known.next_worker = 2;
  for (auto n : {n0, n1, n2}) known.nodes.push_back({n, 2, 1, at(n)});
  known.views = s.decisions->replicas().views().views();
  known.progress = job_progress{s.options.plan}.contents(s.now);
  s.decisions = std::make_unique<coordinator>(s.options, s.now);
  s.decisions->take_up(known, s.now);
  for (auto n : {n0, n1, n2}) s.come_back({n, 2, 1, at(n)}, {s0, s1}, {});
  s.decisions->take_orders(); // nobody answers
  REQUIRE(s.phase() == "reconciling");
  s.decisions->cannot_reach(apart[1], at(apart[0]), "timed out", s.now);
  std::size_t lost = 0;
  for (int i = 0; i < 20; ++i) {
    s.now += 100ms;
    for (auto n : {n0, n1, n2}) s.decisions->heard(n, s.now);
    s.decisions->look(s.now);
    lost += count_of<orders::node_lost>(s.decisions->take_orders());
  }
  CHECK(lost == 1);
}
