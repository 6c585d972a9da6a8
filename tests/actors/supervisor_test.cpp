#include "troupe/supervisor.hpp"

#include <stdexcept>

#include <catch2/catch.hpp>

#include "supervisor_stage.hpp"
#include "troupe/actors/errc.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::actors::supervision_test;

TEST_CASE("children are started in order and stopped in reverse order") { // SUPERVISOR-1
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  CHECK(s.taken() == strings{"start a", "start b", "start c"});
  caf::anon_send_exit(s.top, caf::exit_reason::user_shutdown);
  s.coordinator.run();
  CHECK(s.taken() == strings{"end c", "end b", "end a"});
  REQUIRE(s.ended);
  CHECK(*s.ended == caf::exit_reason::user_shutdown);
}

TEST_CASE("a supervisor without children lives and ends") {
  stage s;
  s.spawn(s.options(strategy::one_for_all, {}));
  CHECK(s.children().empty());
  CHECK_FALSE(s.ended);
  caf::anon_send_exit(s.top, caf::exit_reason::user_shutdown);
  s.coordinator.run();
  CHECK(s.ended);
}

TEST_CASE("one_for_one starts a crashed child again after its delay") { // SUPERVISOR-3
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  s.taken();
  s.tell("b", crash{"the disk is full"});
  CHECK(s.taken() == strings{"end b"});
  auto b = s.children().at(1);
  CHECK_FALSE(b.alive);
  CHECK(b.restarts == 0);
  CHECK(b.last_reason == "the disk is full");
  s.pass(99ms);
  CHECK(s.taken().empty());
  s.pass(1ms);
  CHECK(s.taken() == strings{"start b"});
  b = s.children().at(1);
  CHECK(b.alive);
  CHECK(b.restarts == 1);
  CHECK(b.last_reason == "the disk is full");
  CHECK(s.children().at(0).restarts == 0);
}

TEST_CASE("delays double for a child that keeps crashing and begin anew after quiet") {
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  s.tell("a", crash{"x"});
  s.pass(100ms);
  s.tell("a", crash{"x"});
  s.taken();
  s.pass(199ms);
  CHECK(s.taken().empty());
  s.pass(1ms);
  CHECK(s.taken() == strings{"start a"});
  s.tell("b", crash{"x"}); // another child, a row of its own
  s.pass(100ms);
  CHECK(s.taken() == strings{"end b", "start b"});
  s.pass(61s);
  s.tell("a", crash{"x"});
  s.pass(100ms);
  CHECK(s.taken() == strings{"end a", "start a"});
}

TEST_CASE("jitter comes from the injected generator") {
  stage s;
  auto o = s.options(strategy::one_for_one);
  o.backoff.jitter = 0.5;
  o.random = [] { return 0.5; };
  s.spawn(std::move(o));
  s.tell("a", crash{"x"});
  s.taken();
  s.pass(74ms);
  CHECK(s.taken().empty());
  s.pass(1ms);
  CHECK(s.taken() == strings{"start a"});
}

TEST_CASE("one_for_all stops the others in reverse and starts all in order") { // SUPERVISOR-1
  stage s;
  s.spawn(s.options(strategy::one_for_all));
  s.taken();
  s.tell("b", crash{"x"});
  CHECK(s.taken() == strings{"end b", "end c", "end a"});
  s.pass(100ms);
  CHECK(s.taken() == strings{"start a", "start b", "start c"});
}

TEST_CASE("rest_for_one leaves those before the crashed child alone") {
  stage s;
  s.spawn(s.options(strategy::rest_for_one));
  s.taken();
  s.tell("b", crash{"x"});
  CHECK(s.taken() == strings{"end b", "end c"});
  s.pass(100ms);
  CHECK(s.taken() == strings{"start b", "start c"});
}

TEST_CASE("a failure of an earlier child takes the waiting ones with it, each started once") {
  stage s;
  s.spawn(s.options(strategy::rest_for_one));
  s.tell("b", crash{"x"});
  s.taken();
  s.pass(50ms);
  s.tell("a", crash{"y"});
  CHECK(s.taken() == strings{"end a"});
  s.pass(60ms); // the round of b and c would have come by now
  CHECK(s.taken().empty());
  s.pass(40ms);
  CHECK(s.taken() == strings{"start a", "start b", "start c"});
}

TEST_CASE("transient and temporary children come back as they should") {
  stage s;
  auto o = s.options(strategy::one_for_one, {});
  o.children = {s.child("p"), s.child("t", restart_when::transient),
                s.child("once", restart_when::temporary), s.child("gone", restart_when::temporary)};
  s.spawn(std::move(o));
  s.taken();
  for (const auto* id : {"p", "t", "once"}) s.tell(id, finish{});
  s.tell("gone", crash{"x"});
  s.pass(1s);
  CHECK(s.taken() == strings{"end p", "end t", "end once", "end gone", "start p"});
  CHECK(s.ids() == strings{"p", "t"});
  CHECK_FALSE(s.children().at(1).alive);
  CHECK(s.children().at(1).last_reason.empty());
}

TEST_CASE("a transient child that crashed comes back") {
  stage s;
  auto o = s.options(strategy::one_for_one, {});
  o.children = {s.child("t", restart_when::transient)};
  s.spawn(std::move(o));
  s.tell("t", crash{"x"});
  s.pass(100ms);
  CHECK(s.taken() == strings{"start t", "end t", "start t"});
}

TEST_CASE("a child that does not end in time is killed") { // SUPERVISOR-2
  stage s;
  auto o = s.options(strategy::one_for_one, {});
  o.children = {s.child("a"), s.child("b", restart_when::permanent, 2s)};
  s.spawn(std::move(o));
  s.tell("b", hang_on{});
  s.taken();
  caf::anon_send_exit(s.top, caf::exit_reason::user_shutdown);
  s.coordinator.run();
  s.pass(1999ms);
  CHECK(s.taken().empty()); // a is not told before b has ended
  s.pass(1ms);
  CHECK(s.taken() == strings{"kill b", "end b", "end a"});
  CHECK(s.ended);
}

TEST_CASE("each child that is stopped has the whole of its own time") { // SUPERVISOR-2
  stage s;
  auto o = s.options(strategy::one_for_one, {});
  o.children = {s.child("a"), s.child("b", restart_when::permanent, 2s)};
  s.spawn(std::move(o));
  s.tell("a", hang_on{});
  s.tell("b", hang_on{});
  s.taken();
  caf::anon_send_exit(s.top, caf::exit_reason::user_shutdown);
  s.coordinator.run();
  s.pass(2s);
  CHECK(s.taken() == strings{"kill b", "end b"});
  s.pass(1s); // the wait for the end of b would be over
  s.pass(3999ms);
  CHECK(s.taken().empty());
  s.pass(1ms);
  CHECK(s.taken() == strings{"kill a", "end a"});
}

TEST_CASE("a temporary child that is stopped with others is forgotten") {
  stage s;
  auto o = s.options(strategy::one_for_all, {"a"});
  o.children.push_back(s.child("once", restart_when::temporary));
  s.spawn(std::move(o));
  s.taken();
  s.tell("a", crash{"x"});
  s.pass(100ms);
  CHECK(s.taken() == strings{"end a", "end once", "start a"});
  CHECK(s.ids() == strings{"a"});
}

TEST_CASE("a shutdown of zero kills at once") {
  stage s;
  auto o = s.options(strategy::one_for_one, {});
  o.children = {s.child("a", restart_when::permanent, 0s)};
  s.spawn(std::move(o));
  s.tell("a", hang_on{});
  s.taken();
  caf::anon_send_exit(s.top, caf::exit_reason::user_shutdown);
  s.coordinator.run();
  CHECK(s.taken() == strings{"end a"});
  CHECK(s.ended);
}

TEST_CASE("a child that blocks is abandoned, and the stop goes on") { // SUPERVISOR-2
  stage s;
  auto o = s.options(strategy::one_for_one, {"a", "b"});
  s.spawn(std::move(o));
  s.taken();
  // On this coordinator a child that blocks is one that is not scheduled.
  auto* blocked = caf::actor_cast<caf::abstract_actor*>(s.actors.at("b"));
  const auto run_others = [&] {
    s.coordinator.run_jobs_filtered(
        [&](caf::resumable* job) { return dynamic_cast<caf::abstract_actor*>(job) != blocked; });
  };
  caf::anon_send_exit(s.top, caf::exit_reason::user_shutdown);
  run_others();
  s.coordinator.advance_time(5s);
  run_others();
  CHECK(s.taken() == strings{"kill b"});
  s.coordinator.advance_time(1s);
  run_others();
  CHECK(s.taken() == strings{"abandon b", "end a"});
  CHECK(s.ended);
}
