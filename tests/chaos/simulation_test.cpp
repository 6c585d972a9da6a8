#include "troupe/simulation.hpp"

#include <catch2/catch.hpp>

#include "sim_stage.hpp"

namespace troupe::chaos {

using namespace std::chrono_literals;

TEST_CASE("a message crosses in its serialized form and takes its latency (SIM-2, SIM-7)") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  std::vector<std::pair<std::uint32_t, sim_time>> seen;
  auto there = b.system().spawn(listener, [&](std::uint32_t n) {
    seen.push_back({n, s.sim.now()});
  });
  auto to = *s.sim.connect(a, there);
  caf::anon_send(to, ping{1});
  CHECK(s.sim.run_until([&] { return !seen.empty(); }, 1s));
  CHECK(seen[0].first == 1);
  CHECK(seen[0].second >= 20us);
  CHECK(seen[0].second <= 200us);
}

TEST_CASE("a request is answered by an actor of another process") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  auto there = b.system().spawn(doubler);
  auto to = *s.sim.connect(a, there);
  std::uint32_t answer = 0;
  a.system().spawn([&, to](caf::event_based_actor* self) {
    self->request(to, 1s, ping{21}).then([&](const pong& p) { answer = p.number; });
  });
  CHECK(s.sim.run_until([&] { return answer != 0; }, 2s));
  CHECK(answer == 42);
}

TEST_CASE("a request to a process that was killed times out or fails, and its monitor is told") {
  stage s;
  auto& a = s.sim.add_process("a");
  auto& b = s.sim.add_process("b");
  auto there = b.system().spawn(doubler);
  auto to = *s.sim.connect(a, there);
  caf::error down, failed;
  sim_time failed_at{};
  caf::actor asker = a.system().spawn([&, to](caf::event_based_actor* self) -> caf::behavior {
    self->monitor(to);
    self->set_down_handler([&](const caf::down_msg& d) { down = d.reason; });
    return {[&, to, self](std::uint32_t n) {
      self->request(to, 1s, ping{n})
          .then([](const pong&) {},
                [&](const caf::error& e) {
                  failed = e;
                  failed_at = s.sim.now();
                });
    }};
  });
  s.sim.run_for(10ms);
  there = nullptr;
  s.sim.kill(b);
  CHECK(s.sim.run_until([&] { return bool(down); }, 1s));
  CHECK(down == caf::make_error(caf::exit_reason::remote_link_unreachable));
  caf::anon_send(asker, std::uint32_t{1}); // SIM-4: the handle stays dead
  const auto asked = s.sim.now();
  CHECK(s.sim.run_until([&] { return bool(failed); }, 5s));
  CHECK(failed == caf::sec::request_timeout);
  CHECK(failed_at - asked == 1s);
}

} // namespace troupe::chaos
