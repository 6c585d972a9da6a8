#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <caf/scheduler/test_coordinator.hpp>

#include "troupe/actors/system_config.hpp"
#include "troupe/supervisor.hpp"

namespace troupe::actors::supervision_test {

using namespace std::chrono_literals;
using strategy = supervision_strategy;
using strings = std::vector<std::string>;

struct crash {
  std::string what;
};
struct finish {};
struct hang_on {}; // from now on exit messages but a kill are ignored

inline caf::behavior test_child(caf::event_based_actor* self) {
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

inline const strings three = {"a", "b", "c"};

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

} // namespace troupe::actors::supervision_test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::supervision_test::crash)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::supervision_test::finish)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::supervision_test::hang_on)
