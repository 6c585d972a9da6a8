// What a pulse sends; what it decides is tested in heartbeat_log_test.
#include "troupe/actors/pulse.hpp"

#include <catch2/catch.hpp>

#include "node_stage.hpp"

using namespace troupe::actors;
using namespace std::chrono_literals;

namespace {

struct stage : test_system {
  staged_scheduler root;
  scheduler_actor root_handle = keep(root.spawn(system()));
  std::shared_ptr<read_lease> lease = std::make_shared<read_lease>();
  std::vector<std::string> gone, lost;
  pulse_impl_actor pulse_handle;

  void begin() {
    pulse_options o;
    o.node = {7};
    o.scheduler = root_handle;
    o.lease = lease;
    o.scheduler_is_gone = [this](std::string why) { gone.push_back(why); };
    o.node_is_lost = [this](std::string why) { lost.push_back(why); };
    pulse_handle = keep(system().spawn(pulse, std::move(o)));
    settle();
  }
  void pass_in_steps(caf::timespan time) {
    for (caf::timespan passed{}; passed < time; passed += 50ms) pass(50ms);
  }
  ~stage() {
    root.beats.clear();
    root_handle = nullptr;
    pulse_handle = nullptr;
  }
};

} // namespace

TEST_CASE("PULSE-1: it beats four times a second, with numbers that rise") {
  stage s;
  s.begin();
  s.pass_in_steps(2s);
  REQUIRE(s.root.beats.size() == 9);
  for (std::size_t i = 0; i < s.root.beats.size(); ++i) {
    CHECK(s.root.beats[i].number == i + 1);
    CHECK(s.root.beats[i].node == node_id{7});
  }
}

TEST_CASE("PULSE-1: it beats while its node is busy, and ends with the node") {
  node_stage s;
  std::size_t before = 0, after = 0;
  s.connect = [&](const contact&) -> caf::expected<node_actor> {
    before = s.root.beats.size();
    for (int i = 0; i < 4; ++i) s.pass(250ms); // the node is in its handler meanwhile
    after = s.root.beats.size();
    return make_error(errc::unreachable);
  };
  s.join(1);
  CHECK(s.root.beats.size() == 1); // from the welcome on
  s.install(1, {0});
  CHECK(after == before + 4);
  caf::anon_send(s.node, stop_node{});
  s.settle();
  REQUIRE(s.result);
  const auto at_end = s.root.beats.size();
  s.pass_in_steps(2s);
  CHECK(s.root.beats.size() == at_end);
}

TEST_CASE("PULSE-1: it ends with a node that is killed") {
  node_stage s;
  s.join();
  REQUIRE(s.root.beats.size() == 1);
  caf::anon_send_exit(s.node, caf::exit_reason::kill);
  s.pass_in_steps(2s);
  CHECK(s.root.beats.size() == 1);
}

TEST_CASE("PULSE-2: a silent scheduler is given up after a minute, and the node told once") {
  stage s;
  s.root.answers_heartbeats = false;
  s.begin();
  s.pass_in_steps(59'900ms);
  CHECK(s.gone.empty());
  s.pass_in_steps(2s);
  REQUIRE(s.gone.size() == 1);
  CHECK(s.gone[0] == "the scheduler was lost (silent for 60000 ms)");
}

TEST_CASE("PULSE-3, LEASE-1: an answer extends the read lease from when its heartbeat was sent") {
  stage s;
  s.root.answers_heartbeats = false;
  s.begin();
  const auto sent = s.now();
  CHECK_FALSE(s.lease->valid(sent));
  s.pass(100ms); // to the scheduler and back
  caf::anon_send(s.pulse_handle, heartbeat_seen{1});
  s.settle();
  CHECK(s.lease->valid(sent + read_lease::length - 1ns));
  CHECK_FALSE(s.lease->valid(sent + read_lease::length));
}

TEST_CASE("LEASE-2: a lease has run out when so much time has gone by since the last answer") {
  // The scheduler counts from its answer, which comes after the heartbeat was sent, on whatever
  // way.
  for (auto there : {0ms, 30ms, 400ms})
    for (auto back : {0ms, 70ms, 500ms}) {
      INFO(there.count() << " ms there, " << back.count() << " ms back");
      stage s;
      s.root.answers_heartbeats = false;
      s.begin();
      s.pass(there);
      const auto answered_at = s.now(); // by the scheduler
      s.pass(back);
      caf::anon_send(s.pulse_handle, heartbeat_seen{1});
      s.settle();
      CHECK(s.lease->valid(s.now()));
      CHECK_FALSE(s.lease->valid(answered_at + read_lease::length));
    }
}

TEST_CASE("a pulse whose node was declared lost says so once and is silent") {
  stage s;
  s.begin();
  for (int times = 1; times <= 2; ++times)
    caf::anon_send(s.pulse_handle, declared_lost{"silent for 1300 ms"});
  s.pass_in_steps(1s);
  CHECK(s.lost == std::vector<std::string>{"silent for 1300 ms"});
  CHECK(s.root.beats.size() == 1);
}

TEST_CASE("a pulse turns to a scheduler that was started again, with a patience of its own") {
  stage s;
  s.root.answers_heartbeats = false;
  s.begin();
  s.pass_in_steps(50s);
  staged_scheduler next;
  caf::anon_send(s.pulse_handle, use_scheduler{s.keep(next.spawn(s.system()))});
  s.pass_in_steps(20s);
  CHECK(s.gone.empty());
  CHECK(next.beats.size() == 80);
  next.beats.clear();
}
