#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "silent_peers.hpp"
#include "troupe/actors/shard.hpp"

/// Replicas of one shard, wired by hand: no node, no scheduler that decides anything.
namespace troupe::actors {

using namespace transport;
using namespace storage;

inline constexpr std::size_t range_size = 70'000; // two parts
inline const shard_id shard_0{0};
inline const worker_id w0{0};

inline std::vector<part> constant(transfer_id id, peer_number from, float value) {
  auto owner = std::make_shared<std::vector<float>>(range_size, value);
  return cut(id, from, owner, owner->data(), range_size * sizeof(float));
}

struct staged_replica {
  node_id node;
  std::shared_ptr<shard_slot> slot;
  shard_actor actor;

  bool applied(std::uint32_t batch) const { return slot->core->applied({0, batch}); }
  float value() const { return slot->core->current()->at(range_size - 1); }
};

class replica_stage : public test_system {
 public:
  explicit replica_stage(scheduler::consistency mode = scheduler::consistency::async()) {
    core_.mode = mode;
    core_.plan = scheduler::batch_plan{{1000, 1, 2}};
    core_.optimizer = {.learning_rate = 1, .momentum = 0.5f};
    core_.workers = 1;
    root_ = keep(system().spawn(silent_scheduler, &log));
    worker = keep(system().spawn(silent_worker, &log));
    probe = {{77}, nullptr, keep(system().spawn(silent_shard, &log))};
    archive = keep(system().spawn(silent_archive, &log));
  }

  staged_replica spawn(bool empty = false, std::shared_ptr<const read_lease> lease = nullptr) {
    staged_replica r{{next_node_++}, std::make_shared<shard_slot>(), {}};
    if (!empty)
      r.slot->core = std::make_shared<shard_core>(core_, scheduler::shard_range{0, range_size},
                                                  std::vector<float>(range_size, 100.0f));
    shard_options o;
    o.id = shard_0;
    o.node = r.node;
    o.core = core_;
    o.slot = r.slot;
    o.lease = lease;
    o.scheduler = root_;
    r.actor = keep(system().spawn(troupe::actors::shard, o));
    return r;
  }

  // One replica's part in a view.
  void tell(const staged_replica& to, std::uint64_t view, const std::vector<staged_replica>& chain,
            const staged_replica* learner = nullptr) {
    become_replica b;
    b.view = {view};
    b.learning = learner && learner->node == to.node;
    for (std::size_t i = 0; i < chain.size(); ++i) {
      if (chain[i].node != to.node) continue;
      b.primary = i == 0;
      const auto* next = i + 1 < chain.size() ? &chain[i + 1] : learner;
      if (!next) continue;
      b.downstream = next->actor;
      b.downstream_node = next->node;
      b.downstream_learns = next == learner;
    }
    caf::anon_send(to.actor, b);
    settle();
  }
  void install(std::uint64_t view, const std::vector<staged_replica>& chain,
               const staged_replica* learner = nullptr) {
    for (const auto& r : chain) tell(r, view, chain, learner);
    if (learner) tell(*learner, view, chain, learner);
  }

  void send_push(const staged_replica& to, std::uint32_t batch, float value = 1) {
    const auto id = next_transfer_++;
    caf::anon_send(to.actor, push{w0, batch, {0, batch}, unknown_updates, id, worker});
    for (auto& p : constant(id, w0.value, value)) caf::anon_send(to.actor, std::move(p));
    settle();
  }
  void send_pull(const staged_replica& to, clock_value clock = 0) {
    log.ranges.clear();
    log.parts.clear();
    caf::anon_send(to.actor, pull{w0, clock, 0, next_transfer_++, worker});
    settle();
  }
  // What the last pull was answered with.
  std::optional<float> pulled() const {
    if (log.ranges.empty() || log.parts.size() != 2) return std::nullopt;
    return log.parts.back().data.floats().back();
  }
  void acknowledge(const staged_replica& to, std::uint64_t view, std::uint64_t sequence) {
    caf::anon_send(to.actor, replicated{shard_0, {view}, sequence, replica_peer(probe.node.value)});
    settle();
  }
  std::vector<std::uint32_t> confirmed() const {
    std::vector<std::uint32_t> result;
    for (const auto& p : log.confirmed) result.push_back(p.batch.index);
    return result;
  }
  bool same_state(const staged_replica& a, const staged_replica& b) const {
    return state_hash(a.slot->core->image()) == state_hash(b.slot->core->image());
  }

  // A request whose answer comes while everything runs; the error if it is one.
  template <class Answer, class Request>
  std::optional<Answer> ask(const staged_replica& to, const Request& request, caf::error* error) {
    std::optional<Answer> result;
    caf::scoped_actor self{system()};
    auto handle = self->request(to.actor, std::chrono::seconds(1), request);
    settle();
    if (self->mailbox().empty()) return result;
    handle.receive([&](const Answer& a) { result = a; }, [&](const caf::error& e) { *error = e; });
    return result;
  }

  pusher_actor worker;
  staged_replica probe; ///< a replica that says nothing
  archive_actor archive;

 private:
  shard_core::options core_;
  scheduler_actor root_;
  std::uint32_t next_node_ = 1;
  transfer_id next_transfer_ = 1;
};

using batches = std::vector<std::uint32_t>;

} // namespace troupe::actors
