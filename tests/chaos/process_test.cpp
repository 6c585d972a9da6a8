// What is done to processes: kill, pause, restart, clocks that jump.
#include <catch2/catch.hpp>

#include "sim_stage.hpp"

namespace troupe::chaos {

using namespace std::chrono_literals;

namespace {

/// Calls `tick` every 10 ms, for ever.
caf::behavior ticker(caf::event_based_actor* self, std::function<void()> tick) {
  self->delayed_send(self, 10ms, std::uint32_t{0});
  return {[self, tick](std::uint32_t) {
    tick();
    self->delayed_send(self, 10ms, std::uint32_t{0});
  }};
}

/// Asks `to` for its answer to 1, as often as it is told to, and waits a second for it.
caf::behavior asker(caf::event_based_actor* self, ping_actor to,
                    std::function<void(caf::error)> then) {
  return {[self, to, then](std::uint32_t) {
    self->request(to, 1s, ping{1})
        .then([then](const pong&) { then({}); }, [then](const caf::error& e) { then(e); });
  }};
}

struct counted_state {
  std::shared_ptr<int> ended;
  ~counted_state() {
    if (ended) ++*ended;
  }
};

} // namespace

TEST_CASE("SIM-5: of a killed process no code runs but destructors, and nothing leaves") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  int heard = 0, ticks = 0;
  auto ended = std::make_shared<int>(0);
  auto there = b.system().spawn(listener, [&](std::uint32_t) { ++heard; });
  auto to = *s.sim.connect(a, there);
  a.system().spawn(ticker, [&] {
    ++ticks;
    caf::anon_send(to, ping{1});
  });
  a.system().spawn([=](caf::stateful_actor<counted_state>* self) -> caf::behavior {
    self->state.ended = ended;
    self->set_exit_handler([=](const caf::exit_msg&) { *ended += 100; });
    return {[](std::uint32_t) {}};
  });
  s.sim.run_for(101ms);
  CHECK(ticks == 10);
  to = nullptr;
  s.sim.kill(a);
  CHECK(!a.alive());
  CHECK_THROWS_AS(a.system(), std::logic_error);
  const int before = heard;
  s.sim.run_for(1s);
  CHECK(ticks == 10);
  CHECK(heard <= before + 1); // what had left already
  CHECK(*ended == 1);
}

TEST_CASE("a process that is restarted has a system of its own, and is connected to anew") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  auto to = *s.sim.connect(a, b.system().spawn(doubler));
  const auto before = b.random()();
  s.sim.kill(b);
  CHECK_THROWS_AS(s.sim.restart(a, nullptr), std::logic_error);
  ping_actor again;
  s.sim.restart(b, [&](process& p) { again = p.system().spawn(doubler); });
  CHECK(b.incarnation() == 2);
  CHECK(b.random()() != before);
  std::vector<caf::error> answers;
  const auto note = [&](caf::error e) { answers.push_back(std::move(e)); };
  caf::anon_send(a.system().spawn(asker, to, note), std::uint32_t{0});
  caf::anon_send(a.system().spawn(asker, *s.sim.connect(a, again), note), std::uint32_t{0});
  s.sim.run_for(2s);
  REQUIRE(answers.size() == 2);
  CHECK(!answers[0]);
  CHECK(answers[1] == caf::sec::request_timeout); // SIM-4
}

TEST_CASE("nobody hears of a machine that lost its power before it is back") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  auto to = *s.sim.connect(a, b.system().spawn(doubler));
  bool down = false;
  auto watcher = a.system().spawn([&](caf::event_based_actor* self) -> caf::behavior {
    self->monitor(to);
    self->set_down_handler([&](const caf::down_msg&) { down = true; });
    return {[](std::uint32_t) {}};
  });
  s.sim.run_for(10ms);
  s.sim.lose_power(b);
  s.sim.run_for(60s);
  CHECK(!down);
  s.sim.restart(b, nullptr);
  s.sim.run_for(1s);
  CHECK(down);
}

TEST_CASE("an actor of another process that ends is reported with its reason") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  auto there = b.system().spawn(doubler);
  caf::error down;
  auto watcher = a.system().spawn(
      [&, to = *s.sim.connect(a, there)](caf::event_based_actor* self) -> caf::behavior {
        self->monitor(to);
        self->set_down_handler([&](const caf::down_msg& d) { down = d.reason; });
        return {[](std::uint32_t) {}};
      });
  s.sim.run_for(10ms);
  caf::anon_send_exit(there, caf::exit_reason::user_shutdown);
  s.sim.run_for(10ms);
  CHECK(down == caf::make_error(caf::exit_reason::user_shutdown));
}

TEST_CASE("a link between actors of two processes ends either with the other") {
  for (const bool far_end : {false, true}) {
    stage s;
    auto& a = s.sim.add_process("a");
    auto& b = s.sim.add_process("b");
    auto there = b.system().spawn(doubler);
    bool down_a = false, down_b = false;
    auto here = a.system().spawn(
        [to = *s.sim.connect(a, there)](caf::event_based_actor* self) -> caf::behavior {
          self->link_to(to);
          return {[](std::uint32_t) {}};
        });
    here->attach_functor([&] { down_a = true; });
    there->attach_functor([&] { down_b = true; });
    s.sim.run_for(10ms);
    CHECK(!down_a);
    CHECK(!down_b);
    here = nullptr;
    there = nullptr;
    s.sim.kill(far_end ? b : a);
    s.sim.run_for(10ms);
    CHECK(down_a);
    CHECK(down_b);
  }
}

TEST_CASE("SIM-6: a paused process stands still, and what is due happens when it goes on") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  int ticks = 0;
  b.system().spawn(ticker, [&] { ++ticks; });
  auto to = *s.sim.connect(a, b.system().spawn(doubler));
  s.sim.run_for(55ms);
  CHECK(ticks == 5);
  s.sim.pause(b);
  std::vector<caf::error> answers;
  auto ask = a.system().spawn(asker, to, [&](caf::error e) { answers.push_back(std::move(e)); });
  caf::anon_send(ask, std::uint32_t{0});
  s.sim.run_for(500ms);
  CHECK(ticks == 5);
  CHECK(answers.empty());
  s.sim.resume(b);
  s.sim.run_for(1ms);
  REQUIRE(answers.size() == 1); // the connection lived on
  CHECK(!answers[0]);
  CHECK(ticks == 6);
  s.sim.run_for(100ms);
  CHECK(ticks == 16);
}

TEST_CASE("a clock that jumps brings its timeouts forward, and nobody else's") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  sim_time fired_a{}, fired_b{};
  const auto once = [&](caf::event_based_actor* self, sim_time* at) -> caf::behavior {
    self->delayed_send(self, 1s, std::uint32_t{0});
    return {[&, at](std::uint32_t) { *at = s.sim.now(); }};
  };
  a.system().spawn(once, &fired_a);
  b.system().spawn(once, &fired_b);
  s.sim.run_for(100ms);
  const auto before = a.system().clock().now();
  s.sim.clock_jump(a, 700ms);
  CHECK(a.system().clock().now() - before == 700ms);
  s.sim.run_for(2s);
  CHECK(fired_a == 300ms);
  CHECK(fired_b == 1s);
}

TEST_CASE("an actor that is busy takes no message meanwhile, and others of its process do") {
  stage s;
  auto& a = s.sim.add_process("a");
  std::vector<sim_time> blocked, free;
  auto slow = a.system().spawn(listener, [&](std::uint32_t) {
    blocked.push_back(s.sim.now());
    s.sim.busy(100ms);
  });
  auto quick = a.system().spawn(listener, [&](std::uint32_t) { free.push_back(s.sim.now()); });
  for (auto& to : {slow, quick})
    for (std::uint32_t i = 0; i < 3; ++i) caf::anon_send(to, ping{i});
  s.sim.run_for(1s);
  CHECK(blocked == std::vector<sim_time>{0ms, 100ms, 200ms});
  CHECK(free == std::vector<sim_time>(3));
}

TEST_CASE("to connect to a process that is dead fails at once, to one that is paused in time") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  auto there = b.system().spawn(doubler);
  std::vector<sim_time> failed;
  auto connecting = a.system().spawn(listener, [&](std::uint32_t) {
    if (!s.sim.connect(a, there)) failed.push_back(s.sim.now());
  });
  s.sim.pause(b);
  caf::anon_send(connecting, ping{});
  caf::anon_send(connecting, ping{});
  s.sim.run_for(3s);
  CHECK(failed == std::vector<sim_time>{0s, 1s}); // busy in between
  s.sim.kill(b);
  caf::anon_send(connecting, ping{});
  s.sim.run_for(1s);
  CHECK(failed.back() == 3s);
}

TEST_CASE("actors that never let time move are found out") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto endless = a.system().spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {[self](std::uint32_t n) { self->send(self, n); }};
  });
  caf::anon_send(endless, std::uint32_t{0});
  CHECK_THROWS_WITH(s.sim.run_for(1s), Catch::Contains("without time moving"));
}

} // namespace troupe::chaos
