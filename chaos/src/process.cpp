#include "troupe/simulation.hpp"

#include <stdexcept>

#include "wire_proxy.hpp"
#include "world.hpp"

namespace troupe::chaos {

namespace {

constexpr caf::node_id::default_data::host_id_type host = {'t', 'r', 'o', 'u', 'p', 'e'};

caf::scheduled_actor* actor_of(caf::resumable* job) {
  return job->subtype() == caf::resumable::scheduled_actor ? static_cast<caf::scheduled_actor*>(job)
                                                           : nullptr;
}

} // namespace

caf::node_id node_id_of(system_number number) { return caf::make_node_id(number, host); }

system_number number_of(const caf::node_id& id) {
  if (!id || id->implementation_id() != caf::node_id::default_data::class_id) return 0;
  const auto& data = static_cast<const caf::node_id::default_data&>(*id);
  return data.host_id() == host ? data.process_id() : 0;
}

process::process(std::string name, std::uint32_t number, std::uint64_t seed)
    : name_(std::move(name)), number_(number), seed_(seed), random_(seed, number) {}

process::~process() = default;

caf::actor_system& process::system() const {
  if (!alive())
    throw std::logic_error("[troupe::chaos::process] expected a process that is alive, found: " +
                           name_);
  return *running_->system;
}

process::running_system::running_system(std::unique_ptr<caf::actor_system_config> c,
                                        system_number n, network& net, process& owner)
    : config(std::move(c)), number(n) {
  config->set("scheduler.policy", caf::atom("testing"));
  system = std::make_unique<caf::actor_system>(*config);
  // CAF makes a node id of the machine's identity, the pid and a counter of all systems of this
  // process that wraps at 256. Runs must not depend on these, and ids must not repeat. No actor of
  // the simulation exists yet; the two that CAF has spawned for itself are never sent abroad.
  const_cast<caf::node_id&>(system->node()) = node_id_of(number);
  coordinator = dynamic_cast<caf::scheduler::test_coordinator*>(&system->scheduler());
  if (coordinator == nullptr)
    throw std::logic_error("[troupe::chaos::simulation] expected a configuration without a "
                           "scheduler of its own");
  backend = std::make_unique<proxy_backend>(net, owner, *system);
  proxies = std::make_unique<caf::proxy_registry>(*system, *backend);
  unit.system_ptr(system.get());
  unit.proxy_registry_ptr(proxies.get());
  began = clock().current_time;
}

void process::running_system::saw(caf::resumable* job) {
  auto* actor = actor_of(job);
  if (actor == nullptr) return;
  if (actors.size() <= actor->id()) actors.resize(actor->id() + 1);
  auto& seen = actors[actor->id()];
  if (!seen) seen = caf::weak_actor_ptr{actor->ctrl()};
}

process::running_system::~running_system() {
  // As it has no threads, nothing runs while this does. To end an actor from within (an exit
  // message) would run handlers of a process that is dead.
  auto& jobs = coordinator->jobs;
  for (auto* job : jobs) saw(job);
  for (std::size_t i = 0; i < actors.size(); ++i) {
    auto alive = actors[i].lock();
    if (!alive) continue;
    auto* actor = static_cast<caf::local_actor*>(alive->get());
    if (actor->getf(caf::abstract_actor::is_cleaned_up_flag)) continue;
    actor->on_exit(); // its state goes; cleanup() alone would leave it
    actor->cleanup(caf::make_error(caf::exit_reason::kill), &unit);
    // Its destructors may have spawned or woken others.
    for (auto* job : jobs) saw(job);
  }
  while (!jobs.empty()) {
    auto* job = jobs.front();
    jobs.pop_front();
    caf::scheduler::abstract_coordinator::cleanup_and_release(job);
  }
  clock().cancel_all();
  proxies->clear();
  // One that hangs on to a thread of its own would keep the destructor waiting for ever.
  system->await_actors_before_shutdown(false);
}

} // namespace troupe::chaos
