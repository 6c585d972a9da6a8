// What a node sends when its decisions (node_membership_test, peer_directory_test) and its children
// say so. Scheduler and other nodes are the test's.
#include "troupe/actors/node.hpp"

#include <stdexcept>

#include <catch2/catch.hpp>

#include "node_stage.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace std::chrono_literals;

namespace {

struct roles {
  shard_actor replica;
  worker_actor worker;
};

roles place_both(node_stage& s) {
  roles r;
  r.replica = s.place_replica();
  REQUIRE(r.replica);
  s.install(1, {s.root.hellos.empty() ? 0u : s.root.next_number - 1});
  r.worker = s.place_worker();
  REQUIRE(r.worker);
  return r;
}

void kill(node_stage& s, const caf::actor& victim) {
  caf::anon_send_exit(victim, caf::exit_reason::kill);
  s.settle();
}

std::size_t applied(node_stage& s, const shard_actor& replica, std::uint32_t batches) {
  auto report = s.ask<applied_report>(caf::actor_cast<caf::actor>(replica), applied_request{});
  std::size_t count = 0;
  if (report)
    for (std::uint32_t i = 0; i < batches; ++i) count += report->applied.contains({0, i});
  return count;
}

} // namespace

TEST_CASE("NODE-1: a compute actor that dies is started again, and its batch computed again") {
  node_stage s;
  s.join();
  const auto r = place_both(s);
  REQUIRE(s.computes.size() == 1);
  s.lease(r.worker, 0, 1);
  kill(s, caf::actor_cast<caf::actor>(s.computes[0])); // the batch takes 10 ms
  CHECK(s.root.done.empty());
  s.pass_in_steps(200ms);
  CHECK(s.computes.size() == 2);
  REQUIRE(s.root.done.size() == 1);
  CHECK(s.root.done[0].batch == batch_id{0, 0});
  CHECK(s.root.failed_roles.empty());
}

TEST_CASE(
    "NODE-1: a worker or a replica that dies is told to the scheduler and not started again") {
  node_stage s;
  s.join();
  const auto r = place_both(s);
  SECTION("a worker") {
    bool compute_ended = false;
    s.when_ended(s.computes[0], [&] { compute_ended = true; });
    kill(s, caf::actor_cast<caf::actor>(r.worker));
    s.pass_in_steps(200ms);
    REQUIRE(s.root.failed_roles.size() == 1);
    CHECK(s.root.failed_roles[0].node == node_id{0});
    CHECK(s.root.failed_roles[0].is_worker);
    CHECK(s.root.failed_roles[0].index == 0);
    CHECK(compute_ended);
    CHECK(s.computes.size() == 1);
    CHECK(applied(s, r.replica, 0) == 0); // the replica answers: it lives
  }
  SECTION("a replica") {
    kill(s, caf::actor_cast<caf::actor>(r.replica));
    s.pass_in_steps(200ms);
    REQUIRE(s.root.failed_roles.size() == 1);
    CHECK_FALSE(s.root.failed_roles[0].is_worker);
    CHECK(s.root.failed_roles[0].index == 0);
    const find_replica search{protocol_version, "test", node_stage::shard_0, {1}};
    CHECK_FALSE(s.ask<replica_found>(caf::actor_cast<caf::actor>(s.node), search));
  }
  CHECK_FALSE(s.result);
  CHECK(s.root.failures.empty());
}

TEST_CASE("NODE-2: compute actors that fail too often end the node, with the first cause") {
  node_stage s;
  int attempts = 0;
  s.spawn_compute = [&attempts](caf::actor_system&, const cpu_compute_options&) -> compute_actor {
    throw std::runtime_error("no device, attempt " + std::to_string(++attempts));
  };
  s.join();
  REQUIRE(s.place_replica());
  s.install(1, {0});
  CHECK_FALSE(s.place_worker());
  s.pass_in_steps(2s);
  REQUIRE(s.result);
  CHECK(s.result->outcome == node_result::status::failed);
  CHECK_THAT(s.result->error,
             Catch::Contains("compute of worker 0: ") && Catch::EndsWith("no device, attempt 1"));
  CHECK(attempts > 2);
  REQUIRE(s.root.failures.size() == 1); // the scheduler places the node's roles elsewhere
  CHECK(s.root.failures[0].reason == s.result->error);
}

TEST_CASE("SCHED-17: a node whose workload is not that of the run says so and ends") {
  node_stage s;
  s.root.workload = R"({"samples to train on":"319"})";
  s.join();
  REQUIRE(s.result);
  CHECK(s.result->outcome == node_result::status::failed);
  CHECK(s.result->error ==
        "the workload is not that of the run; samples to train on: expected 319, "
        "found 320");
  REQUIRE(s.root.unfit.size() == 1);
  CHECK(s.root.unfit[0].reason == s.result->error);
  CHECK(s.root.failures.empty()); // the run goes on
}

TEST_CASE("SCHED-17: a node that cannot load its data says so and ends") {
  node_stage s;
  s.make_workload = [](const job&) -> workload { throw std::runtime_error("cannot open x.gz"); };
  s.join();
  REQUIRE(s.result);
  CHECK(s.result->error == "cannot open x.gz");
  REQUIRE(s.root.unfit.size() == 1);
  CHECK(s.root.unfit[0].reason == "cannot open x.gz");
}

TEST_CASE("NODE-9: a node that cannot connect to another reports it, and when it can") {
  node_stage s;
  bool cut = true;
  s.connect = [&](const contact& at) -> caf::expected<node_actor> {
    if (cut) return make_error(errc::unreachable, "nobody answers at " + address_of(at));
    return s.peer.spawn(s.system());
  };
  s.join(1);
  s.install(1, {0});
  s.pass_in_steps(2s);
  CHECK(s.root.reports.empty());
  s.pass_in_steps(2s);
  REQUIRE(s.root.reports.size() >= 2);
  CHECK(s.root.reports[0].from == node_id{1});
  CHECK(s.root.reports[0].at == "node:1");
  CHECK(s.root.reports[0].why == "nobody answers at node:1");
  cut = false;
  s.pass_in_steps(1s);
  CHECK(s.root.reports.back().at == "node:1");
  CHECK(s.root.reports.back().why.empty());
  const auto told = s.root.reports.size();
  s.pass_in_steps(2s);
  CHECK(s.root.reports.size() == told);
}

TEST_CASE("NODE-3: while the scheduler is away, workers go on with their leases and replicas too") {
  node_stage s;
  staged_scheduler next;
  scheduler_actor back;
  s.reconnect = [&back]() -> caf::expected<scheduler_actor> {
    if (!back) return make_error(errc::unreachable);
    return back;
  };
  s.join();
  const auto r = place_both(s);
  s.lease(r.worker, 0, 4);
  kill(s, caf::actor_cast<caf::actor>(s.root_handle));
  CHECK(applied(s, r.replica, 4) < 4);
  s.pass_in_steps(500ms);
  CHECK(applied(s, r.replica, 4) == 4);
  CHECK_FALSE(s.result);

  next.work = s.root.work;
  back = s.keep(next.spawn(s.system()));
  s.pass_in_steps(100ms); // it is looked for every 50 ms
  REQUIRE(next.hellos.size() == 1);
  CHECK(next.hellos[0].known_as == node_id{0});
  CHECK(next.hellos[0].job_id == "test");
  REQUIRE(next.hellos[0].replicas.size() == 1);
  CHECK(next.hellos[0].replicas[0].view == view_number{1});
  REQUIRE(next.hellos[0].leases.size() == 1);
  s.pass_in_steps(1s);
  CHECK(next.beats.size() >= 3); // its pulse turned to it, too
  s.lease(r.worker, 4, 1);
  s.pass_in_steps(100ms);
  CHECK(applied(s, r.replica, 5) == 5);
  next.hellos.clear(); // what holds handles
  next.beats.clear();
  back = nullptr;
}

TEST_CASE("NODE-3: a scheduler that does not come back is given up after a minute") {
  node_stage s;
  s.reconnect = []() -> caf::expected<scheduler_actor> { return make_error(errc::unreachable); };
  s.join();
  kill(s, caf::actor_cast<caf::actor>(s.root_handle));
  s.pass_in_steps(59s, 50ms);
  CHECK_FALSE(s.result);
  s.pass_in_steps(2s, 50ms);
  REQUIRE(s.result);
  CHECK(s.result->error == "the scheduler was lost and did not come back");
}

TEST_CASE("NODE-4: a node that was declared lost ends every role before it says hello again") {
  node_stage s;
  s.join();
  const auto r = place_both(s);
  int ended = 0, ended_at_hello = -1;
  s.when_ended(r.replica, [&] { ++ended; });
  s.when_ended(r.worker, [&] { ++ended; });
  s.when_ended(s.computes[0], [&] { ++ended; });
  s.root.on_hello = [&] { ended_at_hello = ended; };
  REQUIRE_FALSE(s.root.beats.empty());
  caf::anon_send(s.root.beats.back().from, declared_lost{"silent"});
  s.settle();
  CHECK(ended_at_hello == 3);
  REQUIRE(s.root.hellos.size() == 2);
  CHECK(s.root.hellos[1].known_as == no_node);
  CHECK(s.root.hellos[1].replicas.empty());
  CHECK(s.root.hellos[1].leases.empty());
  s.pass_in_steps(1s);
  CHECK(s.root.beats.back().node == node_id{1}); // its new number
  CHECK(s.place_replica());                      // and it is a member like any other
}

TEST_CASE("NODE-5: a node that connects greets, and asks for the replica in the view it knows") {
  node_stage s;
  std::vector<std::uint16_t> dialled;
  node_actor peer_handle;
  s.connect = [&](const contact& at) -> caf::expected<node_actor> {
    dialled.push_back(at.port);
    return peer_handle;
  };
  peer_handle = s.keep(s.peer.spawn(s.system()));
  SECTION("the higher number at once") {
    s.join(1);
    REQUIRE(s.place_replica());
    s.install(3, {0, 1});
    CHECK(dialled == std::vector<std::uint16_t>{1});
    REQUIRE(s.peer.greetings.size() == 1);
    CHECK(s.peer.greetings[0].node == node_id{1});
    REQUIRE(s.peer.searches.size() == 1);
    CHECK(s.peer.searches[0].view == view_number{3});
    CHECK(s.peer.searches[0].job_id == "test");
  }
  SECTION("the lower one is connected to, and asks over that connection") {
    s.join(0);
    REQUIRE(s.place_replica());
    s.install(3, {0, 1});
    s.pass_in_steps(1s, 50ms);
    CHECK(dialled.empty());
    caf::anon_send(s.node, greet{{1}, peer_handle});
    s.settle();
    CHECK(s.peer.searches.size() == 1);
    s.pass_in_steps(5s, 50ms);
    CHECK(dialled.empty());
  }
  SECTION("the lower one connects when nobody greets it") {
    s.join(0);
    REQUIRE(s.place_replica());
    s.install(3, {0, 1});
    s.pass_in_steps(2500ms, 50ms);
    CHECK(dialled == std::vector<std::uint16_t>{2});
  }
  peer_handle = nullptr;
}

TEST_CASE("NODE-6: what lived on a node whose connection closed is looked up again") {
  node_stage s;
  int connections = 0;
  node_actor peer_handle;
  s.connect = [&](const contact&) -> caf::expected<node_actor> {
    ++connections;
    return peer_handle;
  };
  s.join(1);
  s.peer.replicas[node_stage::shard_0] = s.keep(s.system().spawn(silent_shard, &s.log));
  peer_handle = s.keep(s.peer.spawn(s.system()));
  s.install(1, {0});
  REQUIRE(s.peer.searches.size() == 1);
  auto worker = s.place_worker();
  REQUIRE(worker); // the primary is known
  kill(s,
       caf::actor_cast<caf::actor>(std::exchange(peer_handle, s.keep(s.peer.spawn(s.system())))));
  s.pass_in_steps(200ms);
  CHECK(connections == 2);
  CHECK(s.peer.greetings.size() == 2);
  CHECK(s.peer.searches.size() == 2);
  SECTION("until no view names it any more") {
    s.install(2, {1});
    kill(s, caf::actor_cast<caf::actor>(std::exchange(peer_handle, node_actor{})));
    s.pass_in_steps(1s);
    CHECK(connections == 2);
  }
  peer_handle = nullptr;
}

TEST_CASE("NODE-7: a search waits for its view, and one in an older view is refused") {
  node_stage s;
  s.join();
  const auto replica = s.place_replica();
  const auto search_in = [&s](std::uint64_t view) {
    const find_replica what{protocol_version, "test", node_stage::shard_0, {view}};
    return s.ask<replica_found>(caf::actor_cast<caf::actor>(s.node), what);
  };
  caf::scoped_actor early{s.system()}, between{s.system()};
  for (auto* asker : {&early, &between}) {
    const std::uint64_t view = asker == &early ? 2 : 1;
    (*asker)->send(s.node, find_replica{protocol_version, "test", node_stage::shard_0, {view}});
  }
  s.settle();
  CHECK_FALSE(early->has_next_message());
  CHECK_FALSE(between->has_next_message());
  s.install(2, {0});
  REQUIRE(early->has_next_message());
  early->receive([&](const replica_found& f) { CHECK(f.replica == replica); },
                 [](const caf::error& e) { FAIL(reason_of(e)); });
  REQUIRE(between->has_next_message());
  between->receive([](const replica_found&) { FAIL("found in a view that was replaced"); },
                   [](const caf::error& e) { CHECK(e == make_error(errc::no_such_shard)); });
  CHECK_FALSE(search_in(1));
  CHECK(search_in(2));
  CHECK_FALSE(search_in(3));
}
