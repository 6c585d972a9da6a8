// What a link does to messages.
#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

#include "sim_stage.hpp"

namespace troupe::chaos {

using namespace std::chrono_literals;

namespace {

using numbers = std::vector<std::uint32_t>;

/// `a` sends pings (which are datagrams here) or pongs (which are not) to an actor of `b`.
struct two_processes : stage {
  explicit two_processes(std::uint64_t seed = 1) : stage(seed) { connect(); }

  void connect() {
    auto there = b.system().spawn([this]() -> caf::behavior {
      return {[this](const ping& p) { arrived.push_back(p.number); },
              [this](const pong& p) { arrived.push_back(p.number); }};
    });
    to = *sim.connect(a, there);
  }
  template <class Message>
  void send(std::uint32_t first, std::uint32_t count) {
    for (std::uint32_t i = first; i < first + count; ++i) caf::anon_send(to, Message{i});
  }
  static numbers up_to(std::uint32_t count) {
    numbers result;
    for (std::uint32_t i = 0; i < count; ++i) result.push_back(i);
    return result;
  }

  process& a = sim.add_process("a");
  process& b = sim.add_process("b");
  caf::actor to;
  numbers arrived;
};

} // namespace

TEST_CASE("SIM-3: messages keep their order whatever their latencies") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    two_processes t(seed);
    t.sim.set_link(t.a, t.b, {.latency = 1ms, .jitter = 20ms});
    t.send<ping>(0, 100);
    t.sim.run_for(1s);
    CHECK(t.arrived == two_processes::up_to(100));
  }
}

TEST_CASE("latency and jitter are added to every message") {
  two_processes t;
  t.sim.set_link(t.a, t.b, {.latency = 10ms, .jitter = 5ms});
  t.send<pong>(0, 1);
  t.sim.run_for(10ms);
  CHECK(t.arrived.empty());
  t.sim.run_for(6ms);
  CHECK(t.arrived.size() == 1);
}

TEST_CASE("a narrow link takes its time for every byte") {
  two_processes t;
  t.sim.set_link(t.a, t.b, {.bytes_per_second = 1000});
  t.send<pong>(0, 10);
  t.sim.run_for(100ms); // 10 messages of at least 20 bytes: more than 200 ms
  CHECK(t.arrived.size() < 10);
  t.sim.run_for(10s);
  CHECK(t.arrived == two_processes::up_to(10));
}

TEST_CASE("SIM-3: only what is named a datagram is dropped, doubled or overtaken") {
  const link_properties bad{.drop = 0.3, .duplicate = 0.3, .reorder = 0.5};
  std::size_t lost = 0, doubled = 0, overtaken = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    two_processes t(seed);
    t.sim.set_link(t.a, t.b, bad);
    t.send<pong>(0, 50);
    t.sim.run_for(1s);
    CHECK(t.arrived == two_processes::up_to(50));
    t.arrived.clear();
    t.send<ping>(0, 50);
    t.sim.run_for(1s);
    const std::set<std::uint32_t> once(t.arrived.begin(), t.arrived.end());
    lost += 50 - once.size();
    doubled += t.arrived.size() - once.size();
    overtaken += !std::ranges::is_sorted(t.arrived);
  }
  CHECK(lost > 50);
  CHECK(lost < 250);
  CHECK(doubled > 50);
  CHECK(overtaken == 10);
}

TEST_CASE("a partition holds messages back, and nothing is lost when it heals") {
  two_processes t;
  t.send<pong>(0, 5); // under way when it begins
  const auto cut = t.sim.partition(t.a, t.b);
  t.send<pong>(5, 5);
  t.sim.run_for(10s);
  CHECK(t.arrived.empty());
  t.sim.heal(cut);
  t.send<pong>(10, 5);
  t.sim.run_for(1s);
  CHECK(t.arrived == two_processes::up_to(15));
}

TEST_CASE("partitions that overlap end one by one, and one way leaves the other way open") {
  two_processes t;
  const auto first = t.sim.partition(t.a, t.b, true);
  const auto second = t.sim.partition(t.b, t.a);
  t.send<pong>(0, 1);
  t.sim.heal(first);
  t.sim.run_for(1s);
  CHECK(t.arrived.empty());
  t.sim.heal(second);
  t.sim.run_for(1s);
  CHECK(t.arrived.size() == 1);

  t.sim.partition(t.b, t.a, true);
  t.send<pong>(1, 1);
  t.sim.run_for(1s);
  CHECK(t.arrived.size() == 2);
}

TEST_CASE("SIM-4: a connection that breaks loses what was under way, and the handle with it") {
  two_processes t;
  caf::error down;
  auto watcher = t.a.system().spawn([&](caf::event_based_actor* self) -> caf::behavior {
    self->monitor(t.to);
    self->set_down_handler([&](const caf::down_msg& d) { down = d.reason; });
    return {[](std::uint32_t) {}};
  });
  t.sim.run_for(10ms);
  const auto cut = t.sim.partition(t.a, t.b);
  t.send<pong>(0, 3);
  t.sim.run_for(1s);
  CHECK(!down);
  t.sim.break_connection(cut);
  t.sim.run_for(1s);
  CHECK(down == caf::make_error(caf::exit_reason::remote_link_unreachable));
  CHECK(!t.sim.connect(t.a, t.to)); // "no answer": it is still cut off
  t.sim.heal(cut);
  t.send<pong>(3, 1);
  t.sim.run_for(1s);
  CHECK(t.arrived.empty());

  t.connect();
  t.send<pong>(4, 1);
  t.sim.run_for(1s);
  CHECK(t.arrived == numbers{4});
}

TEST_CASE("SIM-2: a message of an unregistered type ends the run and is named") {
  two_processes t;
  auto there = t.b.system().spawn([]() -> caf::behavior { return {[](const unknown_to_caf&) {}}; });
  caf::anon_send(*t.sim.connect(t.a, there), unknown_to_caf{1});
  CHECK_THROWS_WITH(t.sim.run_for(1s), Catch::Contains("unknown_to_caf"));
}

} // namespace troupe::chaos
