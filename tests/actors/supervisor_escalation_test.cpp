// Failures that a supervisor cannot heal, children that come and go, and its own end.
#include "troupe/supervisor.hpp"

#include <stdexcept>

#include <catch2/catch.hpp>

#include "supervisor_stage.hpp"
#include "troupe/actors/errc.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::actors::supervision_test;

TEST_CASE("more failures than the intensity end the supervisor with the first cause") {
  stage s; // SUPERVISOR-4, SUPERVISOR-5
  s.spawn(s.options(strategy::one_for_one));
  s.tell("b", crash{"the disk is full"});
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(s.ended);
    s.pass(1s);
    s.tell(i == 2 ? "c" : "b", crash{"later"});
  }
  REQUIRE(s.ended);
  CHECK(is(*s.ended, supervision_errc::gave_up));
  CHECK(root_cause(*s.ended) == "root/b: the disk is full");
  const auto log = s.taken();
  CHECK(log.back() == "end a"); // with all children that were left
}

TEST_CASE("failures spread over more than the period are answered for ever") { // SUPERVISOR-4
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  for (int i = 0; i < 20; ++i) {
    s.tell("a", crash{"x"});
    s.pass(20001ms);
  }
  CHECK_FALSE(s.ended);
  CHECK(s.children().at(0).restarts == 20);
}

TEST_CASE("the cause that is kept is the first within the period") { // SUPERVISOR-5
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  s.tell("a", crash{"long ago"});
  s.pass(61s);
  s.tell("b", crash{"first"});
  for (int i = 0; i < 3; ++i) {
    s.pass(1s);
    s.tell("c", crash{"later"});
    s.pass(1s);
  }
  REQUIRE(s.ended);
  CHECK(root_cause(*s.ended) == "root/b: first");
}

TEST_CASE("a root cause comes up through three levels as one path") { // SUPERVISOR-5
  stage s;
  auto level = [&s](std::string name, std::uint32_t restarts) {
    auto o = s.options(strategy::one_for_one, {});
    o.name = std::move(name);
    o.intensity.restarts = restarts;
    return o;
  };
  auto node = level("node", 1);
  node.children = {s.child("shard 2")};
  auto rack = level("rack", 0);
  rack.children = {{.id = "node", .start = [node](caf::actor_system& system) {
                      return make_supervisor(system, node);
                    }}};
  auto root = level("root", 0);
  root.children = {s.child("other"), {.id = "rack", .start = [rack](caf::actor_system& system) {
                                        return make_supervisor(system, rack);
                                      }}};
  s.spawn(std::move(root));
  CHECK(s.taken() == strings{"start other", "start shard 2"});
  s.tell("shard 2", crash{"the disk is full"});
  s.pass(100ms);
  CHECK_FALSE(s.ended);
  s.tell("shard 2", crash{"no such file"});
  REQUIRE(s.ended);
  CHECK(root_cause(*s.ended) == "root/rack/node/shard 2: the disk is full");
  CHECK(s.taken() == strings{"end shard 2", "start shard 2", "end shard 2", "end other"});
}

TEST_CASE("a supervisor heals what a nested one could not") {
  stage s;
  auto node = s.options(strategy::one_for_one, {});
  node.name = "node";
  node.intensity.restarts = 0;
  node.children = {s.child("shard 0"), s.child("shard 1")};
  auto root = s.options(strategy::one_for_one, {});
  root.children = {{.id = "node", .start = [node](caf::actor_system& system) {
                      return make_supervisor(system, node);
                    }}};
  s.spawn(std::move(root));
  s.taken();
  s.tell("shard 1", crash{"x"});
  s.pass(100ms);
  CHECK(s.taken() == strings{"end shard 1", "end shard 0", "start shard 0", "start shard 1"});
  CHECK(s.children().at(0).last_reason == "node/shard 1: x");
  CHECK_FALSE(s.ended);
}

TEST_CASE("a factory that throws is a failure of its child, which is tried again") {
  stage s; // SUPERVISOR-3
  s.refusals["b"] = 2;
  s.spawn(s.options(strategy::one_for_one));
  CHECK(s.taken() == strings{"start a", "cannot b", "start c"});
  CHECK(s.children().at(1).last_reason == "no room for b");
  s.pass(100ms);
  CHECK(s.taken() == strings{"cannot b"});
  s.pass(200ms);
  CHECK(s.taken() == strings{"start b"});
  CHECK(s.children().at(1).alive);
}

TEST_CASE("in one_for_all a factory that throws stops those before it and none after starts") {
  stage s;
  s.refusals["b"] = 1;
  s.spawn(s.options(strategy::one_for_all));
  CHECK(s.taken() == strings{"start a", "cannot b", "end a"});
  s.pass(100ms);
  CHECK(s.taken() == strings{"start a", "start b", "start c"});
}

TEST_CASE("a factory that throws for ever exceeds the intensity") {
  stage s;
  s.refusals["a"] = 100;
  s.spawn(s.options(strategy::rest_for_one));
  for (int i = 0; i < 10; ++i) s.pass(1s);
  REQUIRE(s.ended);
  CHECK(root_cause(*s.ended) == "root/a: no room for a");
  CHECK(s.taken() == strings{"cannot a", "cannot a", "cannot a", "cannot a"});
}

TEST_CASE("a factory that gives no actor is a failure too") {
  stage s;
  auto o = s.options(strategy::one_for_one, {});
  o.intensity.restarts = 0;
  o.children = {{.id = "none", .start = [](caf::actor_system&) { return caf::actor{}; }}};
  s.spawn(std::move(o));
  REQUIRE(s.ended);
  CHECK(root_cause(*s.ended) == "root/none: its factory gave no actor");
}

TEST_CASE("a child that crashes while others are stopped does not count twice") {
  stage s;
  auto o = s.options(strategy::one_for_all);
  o.intensity.restarts = 1;
  s.spawn(std::move(o));
  s.tell("c", hang_on{}); // holds up the stop of a
  s.tell("b", crash{"x"});
  s.tell("a", crash{"y"});
  CHECK(s.children().at(0).last_reason == "y");
  s.pass(5s);
  s.taken();
  s.pass(100ms);
  CHECK(s.taken() == strings{"start a", "start b", "start c"});
  CHECK_FALSE(s.ended);
}

TEST_CASE("start_child adds a child behind the others") { // SUPERVISOR-1
  stage s;
  s.spawn(s.options(strategy::rest_for_one, {"a"}));
  const auto added = s.ask(start_child{s.child("z")});
  REQUIRE(added->came);
  CHECK(added->actor == caf::actor_cast<caf::strong_actor_ptr>(s.actors.at("z")));
  s.taken();
  s.tell("a", crash{"x"});
  CHECK(s.taken() == strings{"end a", "end z"});
  const auto waits = s.ask(start_child{s.child("y")});
  CHECK(waits->came);
  CHECK_FALSE(waits->actor);
  s.pass(100ms);
  CHECK(s.taken() == strings{"start a", "start z", "start y"});
}

TEST_CASE("start_child refuses what cannot be a child") {
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  CHECK(is(s.ask(start_child{s.child("a")})->err, supervision_errc::bad_child));
  CHECK(is(s.ask(start_child{s.child("")})->err, supervision_errc::bad_child));
  CHECK(is(s.ask(start_child{{.id = "z", .start = {}}})->err, supervision_errc::bad_child));
  CHECK(s.ids() == three);
}

TEST_CASE("a temporary child that cannot be started is refused and forgotten") {
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  s.refusals["z"] = 1;
  const auto answer = s.ask(start_child{s.child("z", restart_when::temporary)});
  CHECK(is(answer->err, supervision_errc::start_failed));
  CHECK(root_cause(answer->err) == "no room for z");
  CHECK(s.ids() == three);
}

TEST_CASE("stop_child ends a child for good and answers when it has ended") {
  stage s;
  s.spawn(s.options(strategy::one_for_all));
  s.tell("b", hang_on{});
  s.taken();
  const auto first = s.ask(stop_child{"b"});
  const auto second = s.ask(stop_child{"b"});
  CHECK_FALSE(first->came);
  s.pass(5s);
  CHECK(s.taken() == strings{"kill b", "end b"});
  CHECK((first->came && !first->err));
  CHECK((second->came && !second->err));
  CHECK(s.ids() == strings{"a", "c"});
  s.pass(10s);
  CHECK(s.taken().empty()); // nobody is started again
  CHECK(is(s.ask(stop_child{"b"})->err, supervision_errc::no_such_child));
}

TEST_CASE("stop_child of a child that waits to be started again cancels that") {
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  s.tell("b", crash{"x"});
  s.taken();
  CHECK(s.ask(stop_child{"b"})->came);
  s.pass(10s);
  CHECK(s.taken().empty());
  CHECK(s.ids() == strings{"a", "c"});
}

TEST_CASE("a supervisor that ends starts nobody any more") {
  stage s;
  s.spawn(s.options(strategy::one_for_one));
  s.tell("a", crash{"x"}); // due in 100 ms
  s.tell("c", hang_on{});
  s.taken();
  caf::anon_send_exit(s.top, caf::exit_reason::user_shutdown);
  s.coordinator.run();
  CHECK(is(s.ask(start_child{s.child("z")})->err, supervision_errc::supervisor_ends));
  s.pass(4s);
  CHECK(s.taken().empty());
  s.pass(1s);
  CHECK(s.taken() == strings{"kill c", "end c", "end b"});
  CHECK(s.ended);
}

TEST_CASE("the children of a supervisor that is killed end with it") { // SUPERVISOR-6
  stage s;
  auto node = s.options(strategy::one_for_one, {"a", "b"});
  auto root = s.options(strategy::one_for_one, {});
  root.children = {{.id = "node", .start = [node](caf::actor_system& system) {
                      return make_supervisor(system, node);
                    }}};
  s.spawn(std::move(root));
  s.tell("a", hang_on{});
  s.taken();
  caf::anon_send_exit(s.top, caf::exit_reason::kill);
  s.coordinator.run();
  CHECK(s.taken() == strings{"end a", "end b"});
}

TEST_CASE("a supervisor whose callback throws ends its children") { // SUPERVISOR-6
  stage s;
  auto o = s.options(strategy::one_for_one);
  o.on_event = [](const supervisor_event& e) {
    if (e.what == supervisor_event::kind::failed) throw std::runtime_error("the log is full");
  };
  s.spawn(std::move(o));
  s.taken();
  s.tell("b", crash{"x"});
  CHECK(s.taken() == strings{"end b", "end a", "end c"});
  REQUIRE(s.ended);
  CHECK(root_cause(*s.ended) == "the log is full");
}

TEST_CASE("a supervisor with options that cannot be meant ends and says which") {
  stage s;
  s.spawn(s.options(strategy::one_for_one, {"a", "b", "a"}));
  REQUIRE(s.ended);
  CHECK(root_cause(*s.ended) == "[troupe::supervisor] root: expected an id that no other "
                                "child has, found \"a\"");
  CHECK(s.taken().empty());
}

TEST_CASE("an exception keeps its text on the way to a monitor") {
  stage s;
  auto o = s.options(strategy::one_for_one, {"a"});
  o.intensity.restarts = 0;
  s.spawn(std::move(o));
  s.tell("a", crash{"expected 3, found 4"});
  REQUIRE(s.ended);
  CHECK(root_cause(*s.ended) == "root/a: expected 3, found 4");
}
