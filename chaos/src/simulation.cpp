#include "troupe/simulation.hpp"

#include <algorithm>
#include <stdexcept>

#include "network.hpp"
#include "world.hpp"

namespace troupe::chaos {

namespace {

// Actors that send to each other for ever without a delay would keep time from moving.
constexpr std::uint64_t steps_per_instant_max = 1'000'000;

// For the trace.
std::string next_message(process& p, caf::resumable* job) {
  auto* actor = dynamic_cast<caf::scheduled_actor*>(job);
  if (actor == nullptr) return "not an actor";
  const auto* next = actor->peek_at_next_mailbox_element();
  if (next == nullptr) return std::string(actor->name()) + " begins";
  const auto& content = next->content();
  return std::string(actor->name()) + " takes " +
         (content.empty() ? "nothing" : p.system().types().portable_name(content.type(0)));
}

} // namespace

struct simulation::state {
  explicit state(simulation_options o)
      : options(std::move(o)), shared(options.seed), net(shared, options) {
    shared.trace = options.trace;
  }

  simulation_options options;
  world shared;
  network net;
  std::map<std::pair<sim_time, std::uint64_t>, std::function<void()>> functions;
  std::uint64_t next_function = 0;
  std::uint64_t steps = 0;
  std::uint64_t steps_at_this_instant = 0;
  process* running = nullptr; // whose actor is in a handler
  caf::actor_id running_actor = 0;
  bool some_died = false;
};

simulation::simulation(simulation_options o) : state_(std::make_unique<state>(std::move(o))) {}

simulation::~simulation() {
  for (auto& p : state_->shared.processes) p->ending_ = true; // SIM-5
  for (auto& p : state_->shared.processes) p->running_.reset();
  state_->functions.clear();
}

process& simulation::add_process(std::string name) {
  auto& w = state_->shared;
  const auto number = static_cast<std::uint32_t>(w.processes.size());
  w.processes.emplace_back(new process(std::move(name), number, state_->options.seed));
  start(*w.processes.back());
  return *w.processes.back();
}

const std::vector<std::unique_ptr<process>>& simulation::processes() const noexcept {
  return state_->shared.processes;
}

void simulation::start(process& p) {
  auto& w = state_->shared;
  w.systems.push_back({&p, ++p.incarnation_});
  const auto number = static_cast<system_number>(w.systems.size());
  p.random_ = tensor::generator(p.seed_, number);
  auto config = state_->options.configure ? state_->options.configure()
                                          : std::make_unique<caf::actor_system_config>();
  p.running_ = std::make_unique<process::running_system>(std::move(config), number, state_->net, p);
  p.running_->set_time(w.now);
  p.ending_ = false;
  p.paused_ = false;
  w.log.add({2, static_cast<std::uint64_t>(w.now.count()), p.number(), number});
}

caf::expected<caf::strong_actor_ptr> simulation::connect_to(process& from,
                                                            const caf::strong_actor_ptr& actor) {
  const auto to = actor ? number_of(actor->node()) : 0;
  if (to == 0)
    throw std::logic_error("[troupe::chaos::simulation] connect to an actor of no process");
  const auto refuse = [](const char* why) {
    return caf::make_error(caf::sec::cannot_connect_to_node, std::string(why));
  };
  if (!from.alive()) return refuse("this process has ended");
  if (to == from.running_->number) return actor;
  switch (state_->net.connect(from, to)) {
  case network::outcome::refused:
    return refuse("connection refused");
  case network::outcome::silent:
    if (state_->running == &from) busy(state_->options.connect_timeout);
    return refuse("no answer");
  case network::outcome::open:
    break;
  }
  auto& w = state_->shared;
  w.systems[to - 1].owner->running_->system->registry().put(actor->id(), actor);
  return from.running_->proxies->get_or_put(actor->node(), actor->id());
}

// -- time -----------------------------------------------------------------------------------------

sim_time simulation::now() const noexcept { return state_->shared.now; }

void simulation::schedule_at(sim_time at, std::function<void()> f) {
  state_->functions.emplace(std::pair{std::max(at, now()), ++state_->next_function}, std::move(f));
}

void simulation::busy(sim_time length) {
  if (state_->running == nullptr || !state_->running->alive()) return;
  auto& until = state_->running->running_->busy[state_->running_actor];
  until = std::max(until, now()) + length; // one call after the other
}

bool simulation::run_until(const std::function<bool()>& condition, sim_time limit) {
  for (;;) {
    bury_dead();
    if (state_->shared.failure) std::rethrow_exception(state_->shared.failure);
    if (condition && condition()) return true;
    if (run_one_job()) {
      if (++state_->steps_at_this_instant > steps_per_instant_max)
        throw std::logic_error("[troupe::chaos::simulation] " +
                               std::to_string(steps_per_instant_max) +
                               " steps without time moving");
      continue;
    }
    if (!move_time(limit)) return false;
  }
}

void simulation::run_for(sim_time length) { run_until(nullptr, now() + length); }

// A job of a busy actor waits.
bool simulation::run_one_job() {
  auto& w = state_->shared;
  const auto is_busy = [](const process::running_system& r, const caf::resumable* job) {
    const auto* actor = dynamic_cast<const caf::scheduled_actor*>(job);
    return actor != nullptr && r.busy.contains(actor->id());
  };
  std::size_t runnable = 0;
  for (const auto& p : w.processes) {
    if (!p->alive() || p->paused()) continue;
    auto& r = *p->running_;
    auto& jobs = r.coordinator->jobs;
    runnable += jobs.size();
    if (!r.busy.empty())
      runnable -= static_cast<std::size_t>(
          std::ranges::count_if(jobs, [&](const auto* job) { return is_busy(r, job); }));
  }
  if (runnable == 0) return false;
  auto chosen = runnable > 1 ? w.random.below(runnable) : 0;
  for (const auto& p : w.processes) {
    if (!p->alive() || p->paused()) continue;
    auto& r = *p->running_;
    auto& jobs = r.coordinator->jobs;
    for (auto i = jobs.begin(); i != jobs.end(); ++i) {
      if (!r.busy.empty() && is_busy(r, *i)) continue;
      if (chosen-- != 0) continue;
      std::rotate(jobs.begin(), i, i + 1);
      auto* job = jobs.front();
      const auto* actor = dynamic_cast<const caf::scheduled_actor*>(job);
      const auto id = actor != nullptr ? actor->id() : 0;
      r.saw(job);
      w.log.add({3, static_cast<std::uint64_t>(w.now.count()), r.number, id});
      if (w.trace)
        w.trace(std::to_string(w.now.count()) + " " + p->name() + " runs actor " +
                std::to_string(id) + ": " + next_message(*p, job));
      state_->running = p.get();
      state_->running_actor = id;
      r.coordinator->run_once();
      state_->running = nullptr;
      ++state_->steps;
      return true;
    }
  }
  return false;
}

bool simulation::move_time(sim_time limit) {
  auto& w = state_->shared;
  auto next = state_->net.next_due();
  const auto take = [&next](std::optional<sim_time> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  if (!state_->functions.empty()) take(state_->functions.begin()->first.first);
  for (const auto& p : w.processes) {
    if (!p->alive() || p->paused()) continue;
    take(p->running_->next_timeout());
    for (const auto& [actor, until] : p->running_->busy) take(until);
  }
  if (!next && limit == sim_time::max()) return false;
  const bool too_late = !next || *next > limit;
  const auto to = std::max(w.now, too_late ? limit : *next);
  if (to > w.now) state_->steps_at_this_instant = 0;
  w.now = to;
  for (const auto& p : w.processes)
    if (p->alive() && !p->paused()) p->running_->set_time(w.now);
  if (too_late) return false;

  while (!state_->functions.empty() && state_->functions.begin()->first.first <= w.now)
    state_->functions.extract(state_->functions.begin()).mapped()();
  state_->net.deliver_due();
  for (const auto& p : w.processes) {
    if (!p->alive() || p->paused()) continue;
    std::erase_if(p->running_->busy, [&](const auto& entry) { return entry.second <= w.now; });
    p->running_->clock().trigger_expired_timeouts();
  }
  return true;
}

// -- faults ---------------------------------------------------------------------------------------

void simulation::kill(process& p) {
  if (!p.alive()) return;
  state_->shared.log.add({4, static_cast<std::uint64_t>(now().count()), p.running_->number});
  state_->net.ended(p, false);
  p.ending_ = true;
  state_->some_died = true;
}

void simulation::lose_power(process& p) {
  if (!p.alive()) return;
  state_->shared.log.add({5, static_cast<std::uint64_t>(now().count()), p.running_->number});
  state_->net.ended(p, true);
  p.ending_ = true;
  state_->some_died = true;
}

void simulation::bury_dead() {
  if (!std::exchange(state_->some_died, false)) return;
  for (auto& p : state_->shared.processes)
    if (p->ending_) p->running_.reset();
}

void simulation::restart(process& p, const std::function<void(process&)>& f) {
  if (p.alive())
    throw std::logic_error("[troupe::chaos::simulation] restart of a process that is alive: " +
                           p.name());
  if (p.running_) {
    if (state_->running == &p)
      throw std::logic_error("[troupe::chaos::simulation] restart of a process by itself");
    p.running_.reset();
  }
  start(p);
  state_->net.restarted(p);
  if (f) f(p);
}

void simulation::pause(process& p) {
  if (!p.alive()) return;
  state_->shared.log.add({6, static_cast<std::uint64_t>(now().count()), p.running_->number});
  p.paused_ = true;
}

void simulation::resume(process& p) {
  if (!p.alive() || !p.paused_) return;
  state_->shared.log.add({7, static_cast<std::uint64_t>(now().count()), p.running_->number});
  p.paused_ = false;
  p.running_->set_time(now());
  state_->net.resumed(p);
  p.running_->clock().trigger_expired_timeouts();
}

void simulation::clock_jump(process& p, sim_time by) {
  if (!p.alive() || by.count() <= 0) return;
  state_->shared.log.add({8, static_cast<std::uint64_t>(now().count()), p.running_->number,
                          static_cast<std::uint64_t>(by.count())});
  p.running_->ahead += by;
  if (p.paused_) return;
  p.running_->set_time(now());
  p.running_->clock().trigger_expired_timeouts();
}

void simulation::set_link(const process& from, const process& to, const link_properties& l) {
  state_->net.properties(from.number(), to.number()) = l;
}

const link_properties& simulation::link(const process& from, const process& to) const {
  return state_->net.properties(from.number(), to.number());
}

partition_number simulation::partition(process& a, process& b, bool one_way) {
  const auto n = state_->net.cut(a, b, one_way);
  state_->shared.log.add({9, static_cast<std::uint64_t>(now().count()), n, a.number(), b.number()});
  return n;
}

void simulation::heal(partition_number n) {
  state_->shared.log.add({10, static_cast<std::uint64_t>(now().count()), n});
  state_->net.heal(n);
}

void simulation::break_connection(partition_number n) { state_->net.break_connection(n); }

// -- replay ---------------------------------------------------------------------------------------

tensor::generator& simulation::random() noexcept { return state_->shared.random; }

std::uint64_t simulation::fingerprint() {
  return tensor::mix(state_->shared.log.digest() ^ state_->shared.random());
}

std::uint64_t simulation::steps() const noexcept { return state_->steps; }

} // namespace troupe::chaos
