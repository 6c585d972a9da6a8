// What a fault does to whom.
#include <algorithm>
#include <set>

#include "troupe/chaos/cluster.hpp"

namespace troupe::chaos {

namespace {

constexpr sim_time slow_operation = std::chrono::milliseconds(500); // on a slow disk, at most

} // namespace

void cluster::schedule(const chaos::schedule& faults) {
  for (const auto& f : faults) sim_.schedule_at(f.at, [this, f] { apply(f); });
}

std::vector<process*> cluster::targets_of(const fault& f) {
  const auto holders = views();
  // By the number of the journal, which names their ports.
  const auto place_of = [this](scheduler::node_id id) -> process* {
    const auto& known = journal_ ? journal_->read().nodes : last_journal_.nodes;
    auto i = std::ranges::find(known, id, &actors::run_journal::node_entry::id);
    if (i == known.end()) return nullptr;
    auto* n = node_at({i->host, i->port});
    return n != nullptr && n->where->alive() ? n->where : nullptr;
  };
  const auto chain_of = [&](std::uint32_t shard) {
    std::vector<process*> result;
    if (holders.empty()) return result;
    for (auto id : holders[shard % holders.size()].chain)
      if (auto* p = place_of(id)) result.push_back(p);
    return result;
  };
  const auto some_of = [&f](const std::vector<process*>& all) {
    std::vector<process*> result;
    for (std::size_t i = 0; i < std::min<std::size_t>(f.nodes, all.size()); ++i)
      result.push_back(all[(f.index + i) % all.size()]);
    return result;
  };
  switch (f.target) {
  case fault_target::scheduler:
    if (scheduler_->alive()) return {scheduler_};
    return {};
  case fault_target::node:
  case fault_target::worker_node: {
    std::set<process*> with_replicas;
    for (std::uint32_t s = 0; s < holders.size(); ++s)
      for (auto* p : chain_of(s)) with_replicas.insert(p);
    std::vector<process*> all;
    for (const auto& n : nodes_) {
      if (!n.where->alive()) continue;
      if (f.target == fault_target::worker_node &&
          (n.share.workers == 0 || with_replicas.contains(n.where)))
        continue;
      all.push_back(n.where);
    }
    return some_of(all);
  }
  case fault_target::primary: {
    auto chain = chain_of(f.index);
    if (chain.empty()) return {};
    return {chain.front()};
  }
  case fault_target::backup: {
    auto chain = chain_of(f.index);
    if (chain.size() < 2) return {};
    return {chain.back()};
  }
  case fault_target::chain:
    return chain_of(f.index);
  case fault_target::everybody: {
    std::vector<process*> all;
    for (const auto& p : sim_.processes())
      if (p->alive()) all.push_back(p.get());
    return all;
  }
  }
  return {};
}

void cluster::apply(const fault& f) {
  const auto targets = targets_of(f);
  if (targets.empty() || result_) return;
  const bool of_disk = f.kind == fault_kind::disk;
  if (of_disk && std::ranges::find(targets, scheduler_) == targets.end()) return;
  done_fault done{f, sim_.now(), {}};
  for (const auto* p : targets) done.to.push_back(p->name());
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
    for (auto* p : targets)
      for (const auto& other : sim_.processes()) {
        if (std::ranges::find(targets, other.get()) != targets.end()) continue;
        if (f.from == fault_target::scheduler && other.get() != scheduler_) continue;
        if (f.way == direction::both)
          cuts.push_back(sim_.partition(*p, *other));
        else if (f.way == direction::out)
          cuts.push_back(sim_.partition(*p, *other, true));
        else
          cuts.push_back(sim_.partition(*other, *p, true));
      }
    sim_.schedule_at(over, [this, cuts, breaks = f.breaks] {
      for (auto cut : cuts) {
        if (breaks) sim_.break_connection(cut);
        sim_.heal(cut);
      }
    });
    return;
  }
  case fault_kind::link: {
    const auto number = ++next_bad_links_;
    auto who = f.target == fault_target::everybody ? std::vector<process*>{} : targets;
    bad_links_[number] = {std::move(who), f.link};
    set_links();
    sim_.schedule_at(over, [this, number] {
      bad_links_.erase(number);
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

// By the journal, which names the nodes' ports.
std::optional<scheduler::node_id> cluster::id_of(const node& n) const {
  const auto& known = journal_ ? journal_->read().nodes : last_journal_.nodes;
  const auto i = std::ranges::find(known, n.port, &actors::run_journal::node_entry::port);
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
    sim_.schedule_at(sim_.now() + back_after, [this, &p] { bring_back(p); });
}

void cluster::bring_back(process& p) {
  if (p.alive() || result_) return;
  sim_.restart(p, nullptr);
  if (&p == scheduler_) {
    start_scheduler(false);
    return;
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].where == &p) start_node(i);
}

// Those that overlap add up.
void cluster::set_links() {
  const auto touches = [](const bad_links& b, const process* p) {
    return b.who.empty() || std::ranges::find(b.who, p) != b.who.end();
  };
  for (const auto& from : sim_.processes())
    for (const auto& to : sim_.processes()) {
      link_properties all;
      for (const auto& [number, bad] : bad_links_) {
        if (!touches(bad, from.get()) && !touches(bad, to.get())) continue;
        const auto& l = bad.properties;
        all.latency += l.latency;
        all.jitter += l.jitter;
        all.drop = std::max(all.drop, l.drop);
        all.duplicate = std::max(all.duplicate, l.duplicate);
        all.reorder = std::max(all.reorder, l.reorder);
        if (l.bytes_per_second > 0)
          all.bytes_per_second = all.bytes_per_second > 0
                                     ? std::min(all.bytes_per_second, l.bytes_per_second)
                                     : l.bytes_per_second;
      }
      sim_.set_link(*from, *to, all);
    }
}

} // namespace troupe::chaos
