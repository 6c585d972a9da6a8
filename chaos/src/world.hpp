// What the parts of a simulation share.
#pragma once

#include <exception>
#include <initializer_list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <xxhash.h>

#include "troupe/simulation.hpp"

namespace troupe::chaos {

/// The number of a system among all that a simulation has started; never given twice. It stands in
/// the system's CAF node id.
using system_number = std::uint32_t;

/// A running hash over what happened.
class event_log {
 public:
  event_log() : hash_(XXH64_createState(), &XXH64_freeState) {
    if (!hash_) throw std::bad_alloc();
    XXH64_reset(hash_.get(), 0);
  }
  void add(std::initializer_list<std::uint64_t> values) {
    XXH64_update(hash_.get(), values.begin(), values.size() * sizeof(std::uint64_t));
  }
  std::uint64_t digest() const { return XXH64_digest(hash_.get()); }

 private:
  std::unique_ptr<XXH64_state_t, XXH_errorcode (*)(XXH64_state_t*)> hash_;
};

struct world {
  explicit world(std::uint64_t seed) : random(seed) {}

  std::vector<std::unique_ptr<process>> processes;
  struct started {
    process* owner;
    std::uint32_t incarnation;
  };
  std::vector<started> systems; // by number - 1
  tensor::generator random;
  sim_time now{};
  event_log log;
  std::exception_ptr failure; // what a step found; ends the run
  std::function<void(const std::string&)> trace;
};

caf::node_id node_id_of(system_number number);
/// 0 for a node id that is none of a simulation.
system_number number_of(const caf::node_id& id);

struct process::running_system {
  running_system(std::unique_ptr<caf::actor_system_config> config, system_number number,
                 network& net, process& owner);
  /// Ends every actor without running any of their handlers.
  ~running_system();

  void set_time(sim_time now) { clock().current_time = began + (now + ahead); }
  /// When its next timeout is due, by the simulation's time.
  std::optional<sim_time> next_timeout() {
    const auto& schedule = clock().schedule();
    if (schedule.empty()) return std::nullopt;
    return schedule.begin()->first - began - ahead;
  }
  void saw(caf::resumable* job);
  caf::detail::test_actor_clock& clock() { return coordinator->clock(); }

  std::unique_ptr<caf::actor_system_config> config;
  std::unique_ptr<caf::actor_system> system;
  caf::scheduler::test_coordinator* coordinator;
  const system_number number;
  std::unique_ptr<caf::proxy_registry::backend> backend;
  std::unique_ptr<caf::proxy_registry> proxies;
  caf::scoped_execution_unit unit;
  caf::actor_clock::time_point began; // its clock's reading at the simulation's beginning
  sim_time ahead{};
  std::vector<caf::weak_actor_ptr> actors; // by id, those that ever ran
  std::map<caf::actor_id, sim_time> busy;  // until when
};

} // namespace troupe::chaos
