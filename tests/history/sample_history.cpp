#include "sample_history.hpp"

#include <stdexcept>

namespace troupe::history {

namespace {

constexpr auto number(role r) { return static_cast<std::uint8_t>(r); }
constexpr auto number(change_kind k) { return static_cast<std::uint8_t>(k); }

} // namespace

sample_history::sample_history(scheduler::consistency mode)
    : bsp_(mode.batches_per_step().has_value()) {
  processes = {{"scheduler", {}}, {"worker's node", {}}, {"node 2", {}}, {"node 3", {}}};
  add(scheduler, {.what = event_kind::job_described,
                  .detail = static_cast<std::uint8_t>(mode.type()),
                  .shard = shard_id{1},
                  .worker = worker_id{1},
                  .node = node_id{2},
                  .batch = {2, batches_of_epoch},
                  .value = mode.parameter()});
  for (std::uint32_t p : {worker, primary, backup}) {
    add(scheduler, {.what = event_kind::node_joined, .node = node_id{p}});
    add(p, {.what = event_kind::node_entered, .node = node_id{p}});
  }
  for (std::uint32_t p : {primary, backup}) {
    auto e = replica_event(event_kind::replica_began, p);
    e.view = 0;
    e.detail = 1;
    e.clock = 1;
    add(p, e);
  }
  begin_view(1);
  add(scheduler,
      {.what = event_kind::worker_placed, .worker = worker_id{0}, .node = node_id{worker}});
  add(scheduler, {.what = event_kind::training_began});
  for (std::uint32_t n = 0; n < 4; ++n) train({n / 2, n % 2}, n);
  end();
}

event& sample_history::add(std::uint32_t process, event e) {
  e.time_ns = ++time_;
  processes.at(process).events.push_back(e);
  return processes[process].events.back();
}

std::size_t sample_history::position(std::uint32_t process, event_kind kind, std::size_t n) const {
  const auto& events = processes.at(process).events;
  for (std::size_t i = 0; i < events.size(); ++i)
    if (events[i].what == kind && n-- == 0) return i;
  throw std::logic_error("no such event: " + name_of(kind));
}

event& sample_history::find(std::uint32_t process, event_kind kind, std::size_t n) {
  return processes.at(process).events[position(process, kind, n)];
}

void sample_history::erase(std::uint32_t process, event_kind kind, std::size_t n) {
  auto& events = processes.at(process).events;
  events.erase(events.begin() + static_cast<std::ptrdiff_t>(position(process, kind, n)));
}

void sample_history::insert_before(std::uint32_t process, event_kind kind, std::size_t n, event e) {
  auto& events = processes.at(process).events;
  const auto at = position(process, kind, n);
  e.time_ns = events[at].time_ns;
  events.insert(events.begin() + static_cast<std::ptrdiff_t>(at), e);
}

event sample_history::replica_event(event_kind kind, std::uint32_t process) const {
  event e;
  e.what = kind;
  e.instance = 1;
  e.node = node_id{process};
  e.view = view;
  return e;
}

void sample_history::begin_view(std::uint32_t to, bool with_backup) {
  view = to;
  has_backup = with_backup;
  event decided{.what = event_kind::view_decided, .detail = number(role::primary), .view = view};
  decided.node = node_id{primary};
  add(scheduler, decided);
  decided.node = node_id{backup};
  decided.detail = number(role::backup);
  decided.sequence = 1;
  if (with_backup) add(scheduler, decided);
  auto installed = replica_event(event_kind::view_installed, primary);
  installed.detail = number(role::primary);
  installed.sequence = installed.value = sequence;
  add(primary, installed);
  installed = replica_event(event_kind::view_installed, backup);
  installed.detail = number(role::backup);
  installed.sequence = installed.value = sequence;
  if (with_backup) add(backup, installed);
}

void sample_history::lease(batch_id batch) {
  add(scheduler, {.what = event_kind::lease_given, .batch = batch});
  add(worker, {.what = event_kind::lease_received, .batch = batch});
}

void sample_history::pull(clock_value clock) {
  // In bsp each epoch is one step, and so is read twice.
  const auto step = bsp_ ? as_batch(clock / batches_of_epoch) : batch_id{};
  add(worker, {.what = event_kind::pull_sent, .clock = clock, .batch = step});
  auto served = replica_event(event_kind::pull_served, primary);
  served.clock = clock;
  served.batch = step;
  served.sequence = sequence;
  served.value = clock;
  add(primary, served);
  add(worker, {.what = event_kind::parameters_landed,
               .clock = clock,
               .sequence = sequence,
               .batch = step,
               .value = clock});
}

void sample_history::push(batch_id batch, clock_value clock, bool acknowledged) {
  add(worker, {.what = event_kind::push_sent, .view = view, .clock = clock, .batch = batch});
  ++sequence;
  auto change = replica_event(event_kind::change_appended, primary);
  change.detail = number(change_kind::gradient);
  change.clock = clock;
  change.sequence = sequence;
  change.batch = batch;
  add(primary, change);
  change.what = event_kind::change_applied;
  change.value = 1;
  change.node = node_id{backup};
  if (has_backup) add(backup, change);
  change.node = node_id{primary};
  add(primary, change);
  if (bsp_ && batch.index + 1 == batches_of_epoch) {
    auto step = replica_event(event_kind::step_applied, primary);
    step.sequence = sequence;
    step.batch = as_batch(batch.epoch);
    add(primary, step);
  }
  if (!acknowledged) return;
  change.what = event_kind::push_acknowledged;
  change.value = 0;
  add(primary, change);
  add(worker, {.what = event_kind::acknowledgement_seen, .batch = batch});
}

void sample_history::complete(batch_id batch) {
  add(worker, {.what = event_kind::batch_finished, .batch = batch});
  add(scheduler, {.what = event_kind::batch_completed, .batch = batch});
}

void sample_history::train(batch_id batch, clock_value clock) {
  lease(batch);
  pull(clock);
  push(batch, clock);
  complete(batch);
  if (batch.index + 1 < batches_of_epoch) return;
  auto snapshot = replica_event(event_kind::snapshot_served, primary);
  snapshot.sequence = sequence;
  snapshot.batch = {batch.epoch, 0};
  add(primary, snapshot);
  add(scheduler, {.what = event_kind::epoch_evaluated, .batch = {batch.epoch, 0}});
}

void sample_history::end() {
  for (std::uint32_t p : {primary, backup}) {
    auto compared = replica_event(event_kind::change_applied, p);
    compared.detail = number(change_kind::compare);
    compared.sequence = sequence + 1;
    add(p, compared);
    auto hashed = replica_event(event_kind::state_hashed, p);
    hashed.sequence = sequence + 1;
    hashed.value = 77;
    add(p, hashed);
  }
  ++sequence;
  add(scheduler, {.what = event_kind::run_ended, .detail = outcome_finished});
}

std::vector<rule> broken_rules(const report& r) {
  std::vector<rule> found;
  for (std::size_t i = 0; i < rules; ++i)
    if (r.counts.at(i).violations > 0) found.push_back(static_cast<rule>(i + 1));
  return found;
}

std::vector<rule> broken(const sample_history& s) { return broken_rules(check(s.processes)); }

std::string first_line(const sample_history& s) {
  const auto r = check(s.processes);
  return r.violations.empty() ? "" : r.violations.front().what;
}

std::string last_line(const sample_history& s) {
  const auto r = check(s.processes);
  return r.violations.empty() ? "" : r.violations.back().what;
}

} // namespace troupe::history
