// Shows: a program's own CAF actors under Troupe's supervisors. A cache stands on a store: when the
// store crashes both are started again (rest_for_one), and when it keeps crashing the supervisor
// gives up and the one above it says what began it.
// Run:    build/release/bin/supervised_actors
// Prints: what the supervisors do, then the root cause. Exits with 1 unless the store came back
//         after its first crash and the root cause is told with its path.

#include <cstdio>
#include <stdexcept>

#include "troupe/supervisor.hpp"

namespace {

using namespace std::chrono_literals;

/// To the store: write this.
struct record {
  int number;
};

caf::behavior store(caf::event_based_actor* self) {
  troupe::keep_exception_text(self); // else the supervisor learns only that something was thrown
  return {
      [](const record& r) {
        if (r.number < 0)
          throw std::runtime_error("expected a record number of at least 0, found " +
                                   std::to_string(r.number));
        return r.number;
      },
  };
}

caf::behavior cache(caf::event_based_actor*) {
  return {[](const record& r) { return r.number; }};
}

/// The supervisor of store and cache; `tell` hears of what it does.
troupe::supervisor_options storage(const std::function<void(std::string)>& tell) {
  troupe::supervisor_options o;
  o.name = "storage";
  o.strategy = troupe::supervision_strategy::rest_for_one;
  o.children = {
      {.id = "store", .start = [](caf::actor_system& system) { return system.spawn(store); }},
      {.id = "cache", .start = [](caf::actor_system& system) { return system.spawn(cache); }},
  };
  o.intensity = {.restarts = 1, .period = 1min};
  o.backoff = {.first = 10ms, .max = 1s, .jitter = 0};
  o.on_event = [tell](const troupe::supervisor_event& e) {
    using kind = troupe::supervisor_event::kind;
    if (e.what == kind::started) tell(e.child + " started");
    if (e.what == kind::failed) tell(e.child + " failed: " + e.reason);
    if (e.what == kind::ended) tell(e.child + " ended");
    if (e.what == kind::gave_up) tell("storage gave up: " + e.reason);
  };
  return o;
}

/// Prints what the supervisor tells up to `last`; false when that does not come.
bool print_until(caf::scoped_actor& self, const std::string& last) {
  for (std::string line; line != last;) {
    bool late = false;
    self->receive([&](std::string& told) { line = std::move(told); },
                  caf::after(10s) >> [&] { late = true; });
    if (late) return false;
    std::printf("%s\n", line.c_str());
  }
  return true;
}

/// The store as it is now: a handle from before a crash stays dead.
caf::actor find_store(caf::scoped_actor& self, const troupe::supervisor_actor& of) {
  caf::actor found;
  self->request(of, 10s, troupe::which_children{})
      .receive(
          [&](const troupe::children_report& r) {
            found = caf::actor_cast<caf::actor>(r.children.at(0).actor);
            std::printf("store: restarts %d\n", static_cast<int>(r.children.at(0).restarts));
          },
          [](const caf::error&) {});
  return found;
}

int run() {
  caf::actor_system_config config;
  caf::actor_system system(config);
  caf::scoped_actor self(system);
  const caf::actor here(self);
  const auto tell = [here](std::string line) { caf::anon_send(here, std::move(line)); };

  troupe::supervisor_options top;
  top.name = "program";
  top.intensity.restarts = 0; // what storage cannot heal ends the program
  troupe::supervisor_actor storage_supervisor;
  top.children = {{.id = "storage", .start = [&](caf::actor_system& s) {
                     return storage_supervisor = troupe::make_supervisor(s, storage(tell));
                   }}};
  const auto program = troupe::make_supervisor(system, std::move(top));
  self->monitor(program);
  if (!print_until(self, "cache started")) return 1;

  caf::anon_send(find_store(self, storage_supervisor), record{-1});
  if (!print_until(self, "cache started")) return 1; // both are back

  caf::anon_send(find_store(self, storage_supervisor), record{-2});
  const std::string first = "expected a record number of at least 0, found -1";
  if (!print_until(self, "storage gave up: storage/store: " + first)) return 1;

  std::string cause;
  while (cause.empty()) {
    bool late = false;
    self->receive([&](const caf::down_msg& d) { cause = troupe::root_cause(d.reason); },
                  [](const std::string& line) { std::printf("%s\n", line.c_str()); },
                  caf::after(10s) >> [&] { late = true; });
    if (late) return 1;
  }
  std::printf("the program ends: %s\n", cause.c_str());
  return cause == "program/storage/store: " + first ? 0 : 1;
}

} // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(record)

int main() { return run(); }
