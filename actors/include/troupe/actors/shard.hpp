#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "troupe/actors/messages.hpp"
#include "troupe/actors/read_lease.hpp"
#include "troupe/actors/shard_core.hpp"
#include "troupe/recorder.hpp"
#include "troupe/scheduler/replica_log.hpp"
#include "troupe/scheduler/waiting_reads.hpp"
#include "troupe/transport/inbound_transfer.hpp"
#include "troupe/transport/peer.hpp"

namespace troupe::actors {

/// The part of a replica's state that its node shares with workers of the same process (hogwild).
struct shard_slot {
  std::shared_ptr<shard_core> core; ///< null: the replica waits for an image
};

struct shard_options {
  shard_id id;
  node_id node;
  std::uint16_t instance = 0; ///< which of its node's replicas, for the history
  shard_core::options core;   ///< for a state that comes as an image
  std::shared_ptr<shard_slot> slot;
  std::shared_ptr<const read_lease> lease; ///< null: a lease that never runs out
  scheduler_actor scheduler;
  std::shared_ptr<history::recorder> recorder;          ///< may be null
  caf::timespan resend_after = std::chrono::seconds(2); ///< to the next replica
};

/// Internal messages of a replica.
struct serve_again {};
struct replica_tick {};
using shard_impl_actor =
    shard_actor::extend<caf::reacts_to<serve_again>, caf::reacts_to<replica_tick>>;

/// One replica of a shard: holds one contiguous range of the parameters.
///
///     spawned empty --replica_image--> with a state
///     no view --become_replica--> learner --become_replica--> backup --become_replica--> primary
///
///     message            answer
///     push, part         pushed, once every replica of the view has the gradient (primary)
///     applied_in_place   pushed (hogwild, same process)
///     pull               parameters and its parts, once the mode admits the read (SHARD-5) and
///                        while the read lease holds (primary)
///     pull_snapshot      the same, once the epoch is complete (primary)
///     credit             lets further parts go (TRANSFER-2)
///     enter_clock        clock_entered, once every replica has it; errc::not_primary
///     leave_clock        -; unfinished transfers of the worker are dropped (primary)
///     report_request     shard_report
///     become_replica     -; its part in a new view
///     replicate, part    replicated (backup, learner)
///     replica_image      replicated, once the image is its state
///     replicated         -; its own changes become applied
///     take_image         replica_image and its parts, to the archive
///     applied_request    applied_report, or errc::not_primary
///
/// REPLICA-1  A primary applies, acknowledges and shows only changes that every other replica of
///            its view has (LOG-2). So a change that was acknowledged or seen is not lost while one
///            replica lives.
/// REPLICA-2  A change or an acknowledgement of a view below the replica's own is refused. A change
///            of a later view waits until that view is installed here. An acknowledgement of a
///            later view is dropped, because with the view all open changes are sent again.
/// REPLICA-3  A primary answers reads only while its read lease holds (LEASE-1).
/// REPLICA-4  A request that only a primary may answer waits at a backup, because the view that
///            makes this backup the primary may still be on its way.
/// REPLICA-5  A learner is in no view's chain until it has every change that any replica of the
///            view has applied (LOG-6).
/// REPLICA-6  Every few seconds all replicas of a chain hash their states after the same change. A
///            replica that differs from the replica before it is reported (`diverged`) and
///            replaced.
///
/// When a replica dies, its copy is lost; the other replicas of the view go on without it.
struct shard_state {
  using self_pointer = shard_impl_actor::stateful_pointer<shard_state>;
  explicit shard_state(self_pointer self) : self(self) {}

  void start(shard_options o);
  void on_part(const part& p);
  void on_push(const push& p);
  void on_applied_in_place(const applied_in_place& p);
  void on_pull(const pull& p);
  void on_pull_snapshot(const pull_snapshot& p);
  void on_credit(const credit& c);
  caf::result<clock_entered> on_enter(const enter_clock& e);
  void on_leave(const leave_clock& l);
  void on_become(const become_replica& b);
  void on_replicate(const replicate& r);
  void on_replicated(const replicated& r);
  void on_image(const replica_image& i);
  void on_take_image(const take_image& t);
  caf::result<applied_report> on_applied_request() const;
  void on_serve_again();
  void on_tick();
  shard_report report() const;

  static inline const char* name = "troupe.shard";

  self_pointer self;
  shard_options options;

 private:
  using log = scheduler::replica_log<shard_change>;
  struct arriving {
    transfer_id transfer = 0;
    std::optional<push> header; ///< without its parts
    transport::inbound_transfer bytes;
  };
  struct arriving_change {
    view_number since; ///< in which the first of it came
    std::optional<replicate> header;
    transport::inbound_transfer bytes;
  };
  struct waiting_pull {
    pull request;
    caf::actor_clock::time_point since;
  };
  /// The action that follows when the change of this number is applied.
  struct owed_answer {
    std::uint64_t sequence = 0;
    transfer_id came_as = 0;
    pusher_actor pusher = {}; ///< to be acknowledged to, unless null
    std::function<void()> then = nullptr;
  };
  struct counterpart {
    counterpart(peer_number own, transport::shared_pools* pools) : link(own, pools) {}
    transfer_actor handle; ///< null until its first message that names it
    puller_actor puller;   ///< the same, of one that pulls
    transport::peer link;
    transfer_id sending = 0;       ///< the last range or image begun
    std::vector<arriving> inbound; ///< a few at most
    std::optional<waiting_pull> waiting;
  };

  /// Of the report to the scheduler.
  struct figures {
    std::uint64_t pushes_taken = 0;
    caf::timespan blocked{0};
    scheduler::staleness_histogram staleness;
  };
  /// The last state that a replica hashed for a comparison.
  struct compared_state {
    std::uint64_t sequence = 0;
    std::uint64_t hash = 0;
  };
  struct replica_before {
    shard_actor handle;
    peer_number peer = 0;
    std::map<std::uint64_t, transfer_id> came_as; ///< changes not acknowledged, by sequence
  };
  struct replica_after {
    std::map<std::uint64_t, transfer_id> sent_as; ///< changes not acknowledged, by sequence
    std::uint64_t learner_image = 0;              ///< sequence of the image that it was sent
    bool learner_has_image = false;
    bool told_caught_up = false;
    bool moved = false; ///< since the last tick
    compared_state compared;
  };
  struct arriving_image {
    std::optional<replica_image> header;
    transport::inbound_transfer bytes;
    std::optional<replica_image> early; ///< of a view not installed yet
    bool taken = false;                 ///< since the replica began to learn
  };

  const std::shared_ptr<shard_core>& core() const { return options.slot->core; }
  peer_number own_peer() const { return transport::replica_peer(options.node.value); }
  /// By which number `to` knows this replica. Other replicas of the shard know it by its node; a
  /// worker and the archive, which deal with every shard and so with several replicas of a node, by
  /// its shard.
  peer_number own_number(peer_number to) const {
    const bool to_replica = transport::is_replica_peer(to) && to != transport::archive_peer;
    return to_replica ? own_peer() : options.id.value;
  }
  peer_number downstream_peer() const {
    return transport::replica_peer(part_.downstream_node.value);
  }
  counterpart& known(peer_number number);
  counterpart& introduce(peer_number number, const transfer_actor& handle);
  counterpart& introduce_puller(peer_number number, const puller_actor& handle);
  auto poster(const counterpart& to) { // sends what its link posts
    return [this, &to](auto&& what) { self->send(to.handle, std::forward<decltype(what)>(what)); };
  }
  void took_in(const part& p);
  void give_credit(counterpart& to);
  static arriving& arriving_from(counterpart& p, transfer_id id);
  void accept_if_whole(counterpart& p, transfer_id id);
  void append(shard_change change, owed_answer owed);
  void answer(std::uint64_t sequence, const shard_change& change);
  void pump();
  bool may_answer_reads();
  void serve_waiting();
  void serve(counterpart& p, const pull& request, caf::actor_clock::time_point since);
  void send_range(counterpart& to, transfer_id id, const shard_core::reading& range,
                  caf::timespan blocked = {});
  void after_change();
  void record(history::event e);
  void record_change(history::event_kind what, std::uint64_t sequence, const shard_change& change,
                     bool fresh);

  // replica.cpp
  void take_replica_part(const part& p);
  arriving_change& arriving_as(transfer_id id);
  void drop_changes_before(view_number previous);
  void receive(const replicate& r, gradient_blocks gradient);
  void receive_if_whole(transfer_id id);
  void send_change(std::uint64_t sequence, const shard_change& change);
  void send_image(peer_number to, const shard_image& image, replica_image header);
  void bring_up_learner();
  void tell_if_caught_up();
  void compare(std::uint64_t sequence);
  void acknowledge();
  void use_image_if_whole();
  void record_image(const replica_image& used);
  void accept_waiting_pushes();

  std::unordered_map<peer_number, counterpart> peers_; // a thousand workers or more
  scheduler::waiting_reads<peer_number> waiting_;      // whose counterpart::waiting is set
  std::vector<pull_snapshot> waiting_snapshots_;
  std::vector<std::function<void()>> when_primary_; // what the scheduler asked for before that
  figures figures_;
  bool serving_again_ = false;
  bool took_over_ = false; // it was a backup before it became primary

  become_replica part_; // in the present view
  log log_;
  transport::transfer_ids ids_{0};
  std::deque<owed_answer> owed_answers_; // the primary's, by ascending sequence
  std::set<batch_id> open_batches_;      // the primary's, in the log and not applied
  replica_before upstream_;
  replica_after downstream_;
  std::map<transfer_id, arriving_change> changes_;
  std::vector<replicate> early_; // of a view not installed yet, or before the image
  arriving_image image_;
  std::uint64_t ticks_ = 0;
  compared_state own_hash_;
};

shard_impl_actor::behavior_type shard(shard_state::self_pointer self, shard_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::serve_again)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::replica_tick)
