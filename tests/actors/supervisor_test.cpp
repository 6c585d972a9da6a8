#include "troupe/actors/supervisor.hpp"

#include <map>
#include <stdexcept>

#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>

#include "troupe/actors/errc.hpp"
#include "troupe/actors/system_config.hpp"

using namespace troupe::actors;
using namespace std::chrono_literals;
using strategy = supervision_strategy;
using strings = std::vector<std::string>;

namespace {

struct crash {
  std::string what;
};
struct finish {};
struct hang_on {}; // from now on exit messages but a kill are ignored

caf::behavior test_child(caf::event_based_actor* self) {
  keep_exception_text(self);
  return {
      [](const crash& c) { throw std::runtime_error(c.what); },
      [self](finish) { self->quit(); },
      [self](hang_on) { self->set_exit_handler([](caf::exit_msg&) {}); },
  };
}

struct testing_config : system_config {
  testing_config() : system_config(false) { set("scheduler.policy", caf::atom("testing")); }
};

const strings three = {"a", "b", "c"};

// Supervisors of children that crash, finish or hang on command, on virtual time.
struct stage {
  testing_config config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& coordinator =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  strings log; // "start a", "end a", "cannot a"
  std::map<std::string, caf::actor> actors;
  std::map<std::string, int> refusals; // starts of a child that still fail
  std::optional<caf::error> ended;     // the watched supervisor's end
  supervisor_actor top;
  caf::actor watcher;

  ~stage() {
    if (top) caf::anon_send_exit(top, caf::exit_reason::kill);
    if (watcher) caf::anon_send_exit(watcher, caf::exit_reason::kill);
    for (auto& [id, actor] : actors) caf::anon_send_exit(actor, caf::exit_reason::kill);
    top = nullptr;
    watcher = nullptr;
    actors.clear();
    coordinator.run();
    while (coordinator.trigger_timeout()) coordinator.run();
  }

  child_spec child(std::string id, restart_when restart = restart_when::permanent,
                   caf::timespan shutdown = 5s) {
    auto start = [this, id](caf::actor_system& s) {
      if (refusals[id] > 0) {
        --refusals[id];
        log.push_back("cannot " + id);
        throw std::runtime_error("no room for " + id);
      }
      log.push_back("start " + id);
      auto actor = s.spawn(test_child);
      actor->attach_functor([this, id] { log.push_back("end " + id); });
      actors[id] = actor;
      return actor;
    };
    return {std::move(id), start, restart, shutdown};
  }

  supervisor_options options(strategy s, const strings& ids = three) {
    supervisor_options o;
    o.name = "root";
    o.strategy = s;
    for (const auto& id : ids) o.children.push_back(child(id));
    o.intensity = {.restarts = 3, .period = 60s};
    o.backoff = {.first = 100ms, .max = 10s, .jitter = 0, .quiet = 60s};
    o.on_event = [this](const supervisor_event& e) {
      if (e.what == supervisor_event::kind::killed) log.push_back("kill " + e.child);
      if (e.what == supervisor_event::kind::abandoned) log.push_back("abandon " + e.child);
    };
    return o;
  }

  void spawn(supervisor_options o) {
    top = make_supervisor(system, std::move(o));
    watcher = system.spawn([this](caf::event_based_actor* self) -> caf::behavior {
      self->set_down_handler([this](caf::down_msg& d) { ended = d.reason; });
      self->monitor(top);
      return {[](finish) {}};
    });
    coordinator.run();
  }

  void pass(caf::timespan t) {
    coordinator.advance_time(t);
    coordinator.run();
  }

  template <class Message>
  void tell(const std::string& id, Message m) {
    caf::anon_send(actors.at(id), std::move(m));
    coordinator.run();
  }

  strings taken() { return std::exchange(log, {}); }

  struct answer {
    bool came = false;
    caf::error err;
    children_report report;
    caf::strong_actor_ptr actor;
  };
  template <class Request>
  std::shared_ptr<answer> ask(Request r) {
    auto result = std::make_shared<answer>();
    system.spawn([to = top, r = std::move(r), result](caf::event_based_actor* self) {
      auto failed = [result](const caf::error& e) {
        result->came = true;
        result->err = e;
      };
      auto request = self->request(to, 60s, r);
      if constexpr (std::is_same_v<Request, start_child>)
        request.then(
            [result](const child_started& s) {
              result->came = true;
              result->actor = s.actor;
            },
            failed);
      else if constexpr (std::is_same_v<Request, stop_child>)
        request.then([result](child_stopped) { result->came = true; }, failed);
      else
        request.then(
            [result](const children_report& c) {
              result->came = true;
              result->report = c;
            },
            failed);
    });
    coordinator.run();
    return result;
  }
  std::vector<child_info> children() { return ask(which_children{})->report.children; }
  strings ids() {
    strings result;
    for (const auto& c : children()) result.push_back(c.id);
    return result;
  }
};

} // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(crash)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(finish)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hang_on)

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
  CHECK(root_cause(*s.ended) == "[troupe::actors::supervisor] root: expected an id that no other "
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
