// What a fault does to whom.
#include <algorithm>
#include <set>

#include "troupe/chaos/cluster.hpp"
#include "troupe/chaos/targets.hpp"
#include "troupe/transport/tcp_socket.hpp"

namespace troupe::chaos {

namespace {

constexpr sim_time slow_operation = std::chrono::milliseconds(500); // on a slow disk, at most

} // namespace

void cluster::schedule(const chaos::schedule& faults) {
  for (const auto& f : faults) sim_.schedule_at(f.at, [this, f] { apply(f); });
}

std::vector<process*> cluster::targets_of(const fault& f) {
  // Nodes by the journal's numbers, which name their ports.
  const auto number_of = [this](scheduler::node_id id) -> std::optional<std::uint32_t> {
    const auto& known = journal_ ? journal_->read().nodes : last_journal_.nodes;
    const auto i = std::ranges::find(known, id, &storage::run_journal::node_entry::id);
    const auto* n = i != known.end() ? node_at({i->host, i->port}) : nullptr;
    if (n == nullptr) return std::nullopt;
    return static_cast<std::uint32_t>(n - nodes_.data() + 1);
  };
  standing now;
  now.processes.push_back({scheduler_->alive(), 0});
  for (const auto& n : nodes_) now.processes.push_back({n.where->alive(), n.share.workers});
  for (const auto& view : views()) {
    auto& chain = now.chains.emplace_back();
    for (const auto id : view.chain)
      if (const auto number = number_of(id)) chain.push_back(*number);
  }
  std::vector<process*> result;
  for (const auto number : chaos::targets_of(f, now))
    result.push_back(number == 0 ? scheduler_ : nodes_[number - 1].where);
  return result;
}

void cluster::apply(const fault& f) {
  const auto targets = targets_of(f);
  if (targets.empty() || result_) return;
  const bool of_disk = f.kind == fault_kind::disk;
  if (of_disk && std::ranges::find(targets, scheduler_) == targets.end()) return;
  done_fault done{f, sim_.now(), {}};
  for (const auto* p : targets) done.to.push_back(p->number());
  done_.push_back(std::move(done));
  const auto over = sim_.now() + f.lasts;
  switch (f.kind) {
  case fault_kind::kill:
  case fault_kind::power_loss:
    for (auto* p : targets) end(*p, f.kind == fault_kind::power_loss, f.lasts);
    return;
  case fault_kind::pause:
    for (auto* p : targets) {
      sim_.pause(*p);
      auto& until = paused_until_[p];
      until = std::max(until, over);
      sim_.schedule_at(over, [this, p] {
        if (sim_.now() >= paused_until_[p]) sim_.resume(*p);
      });
    }
    return;
  case fault_kind::partition: {
    std::vector<partition_number> cuts;
    const auto& all = sim_.processes();
    for (const auto& [i, j] : cut_pairs(f, done_.back().to, all.size())) {
      auto& a = f.way == direction::in ? *all[j] : *all[i];
      auto& b = f.way == direction::in ? *all[i] : *all[j];
      cuts.push_back(sim_.partition(a, b, f.way != direction::both));
    }
    if (f.lasts > transport::silence_limit)
      sim_.schedule_at(sim_.now() + transport::silence_limit, [this, cuts] {
        for (auto cut : cuts) sim_.break_connection(cut);
      });
    sim_.schedule_at(over, [this, cuts, breaks = f.breaks] {
      for (auto cut : cuts) {
        if (breaks) sim_.break_connection(cut);
        sim_.heal(cut);
      }
    });
    return;
  }
  case fault_kind::link: {
    std::set<std::uint32_t> who;
    if (f.target != fault_target::everybody)
      for (const auto* p : targets) who.insert(p->number());
    const auto number = bad_links_.add(std::move(who), f.link);
    set_links();
    sim_.schedule_at(over, [this, number] {
      bad_links_.remove(number);
      set_links();
    });
    return;
  }
  case fault_kind::clock_jump:
    for (auto* p : targets) sim_.clock_jump(*p, f.lasts);
    return;
  case fault_kind::disk:
    damage_disk(f);
    return;
  case fault_kind::drain:
    for (auto* p : targets) drain(*p, f.lasts);
    return;
  case fault_kind::stop:
    stop(targets, f.lasts);
    return;
  }
}

// As `troupe drain` asks. A refusal is the scheduler's right: the node stays.
void cluster::drain(process& p, sim_time back_after) {
  for (auto& n : nodes_)
    if (n.where == &p) {
      n.back_after_drain = back_after;
      if (const auto id = id_of(n); id && root_ && scheduler_->alive())
        caf::anon_send(root_, actors::drain_request{*id});
    }
}

// As SIGTERM asks: each process, and nobody else.
void cluster::stop(const std::vector<process*>& who, sim_time back_after) {
  for (auto* p : who) {
    if (p == scheduler_ && root_) {
      resume_after_ = back_after;
      caf::anon_send(root_, actors::stop_training{});
    }
    for (auto& n : nodes_)
      if (n.where == p && n.actor) {
        n.asked_to_end = true;
        n.back_after_drain = back_after;
        caf::anon_send(n.actor, actors::end_asked{});
      }
  }
}

// By the journal, which names the nodes' ports.
std::optional<scheduler::node_id> cluster::id_of(const node& n) const {
  const auto& known = journal_ ? journal_->read().nodes : last_journal_.nodes;
  const auto i = std::ranges::find(known, n.port, &storage::run_journal::node_entry::port);
  return i != known.end() ? std::optional(i->id) : std::nullopt;
}

void cluster::damage_disk(const fault& f) {
  auto& until = disk_faults_until_[f.disk];
  until = std::max(until, sim_.now() + f.lasts);
  const auto set = [this](disk_fault what, bool on) {
    switch (what) {
    case disk_fault::full:
      disk_->set_full(on);
      return;
    case disk_fault::slow:
      disk_->set_slow(on ? slow_operation : sim_time{});
      return;
    case disk_fault::flipped_bit:
      if (on) disk_->flip_bit();
      disk_->set_flipping(on);
      return;
    }
  };
  set(f.disk, true);
  sim_.schedule_at(sim_.now() + f.lasts, [this, what = f.disk, set] {
    if (sim_.now() >= disk_faults_until_[what]) set(what, false);
  });
}

void cluster::end(process& p, bool power, sim_time back_after) {
  if (&p == scheduler_) remember_journal();
  for (auto& n : nodes_)
    if (n.where == &p) n.actor = nullptr;
  paused_until_.erase(&p);
  if (power)
    sim_.lose_power(p);
  else
    sim_.kill(p);
  if (power && &p == scheduler_) disk_->lose_power();
  if (back_after.count() > 0)
    sim_.schedule_at(sim_.now() + back_after, [this, &p] { start_again(p); });
}

void cluster::start_again(process& p) {
  if (p.alive() || result_) return;
  sim_.restart(p, nullptr);
  if (&p == scheduler_) {
    resume_after_.reset(); // the one that was asked to stop the run was killed
    start_scheduler(beginning::journal);
    return;
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].where == &p) start_node(i);
}

void cluster::set_links() {
  for (const auto& from : sim_.processes())
    for (const auto& to : sim_.processes())
      sim_.set_link(*from, *to, bad_links_.between(from->number(), to->number()));
}

} // namespace troupe::chaos
