#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/compute.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/actors/worker_core.hpp"
#include "troupe/recorder.hpp"
#include "troupe/transport/peer.hpp"
#include "troupe/transport/range_pulls.hpp"
#include "troupe/values/time_shares.hpp"

namespace troupe::actors {

struct worker_options {
  worker_id id;
  address_book peers;
  compute_actor compute;
  worker_core::options core;
  std::vector<shared_range> shared;       ///< hogwild: the shards of this process
  std::uint32_t duplicate_push_every = 0; ///< fault injection; 0: off
  /// An unanswered request is sent again, each further time after twice as long.
  caf::timespan resend_after = std::chrono::seconds(3);
  std::shared_ptr<history::recorder> recorder; ///< may be null
};

/// Internal: time to look at unanswered requests.
struct resend_tick {};
/// Internal, from its node: the compute actor was started again.
struct use_compute {
  compute_actor compute;
};
using worker_impl_actor =
    worker_actor::extend<caf::reacts_to<resend_tick>, caf::reacts_to<use_compute>,
                         caf::reacts_to<gradient_ready>>;

/// Computes the gradients of the batches leased to it.
///
///     message       what it does
///     batch_lease   pulls, computes, pushes (worker_core); batch_done to the scheduler when every
///                   shard has the batch
///     parameters    says what is in the parts of a pull
///     part          a piece of a pull; credited at once
///     pushed        a shard has the batch
///     credit        lets further parts of pushes go
///     shard_moved   sends what is open at that shard to its new primary
///     lease_request leases_held
///     use_scheduler talks with that one from now on
///     use_compute   has the batches in hand computed again, by that one
///     gradient_ready  pushes the ranges that are final (WORKER-7)
///
/// If no part of a pull or push has moved for `resend_after`, it is sent again, each further time
/// after twice as long, so that a slow peer is not made slower. Shards recognise repeated pushes by
/// their batch. When the worker dies, its leases go back and nothing is lost: the next worker that
/// computes the batch completes a gradient that only some shards applied. An error from which the
/// worker cannot recover (a model that throws) ends the worker, with the error as its reason.
struct worker_state {
  using self_pointer = worker_impl_actor::stateful_pointer<worker_state>;
  explicit worker_state(self_pointer self) : self(self) {}

  void start(worker_options o);
  void on_lease(const batch_lease& l);
  void on_parameters(const parameters& p);
  void on_part(const part& p);
  void on_credit(const credit& c);
  void on_pushed(const pushed& p);
  void on_moved(const shard_moved& m);
  void on_compute(const use_compute& u);
  void on_ready(const gradient_ready& r);
  leases_held on_lease_request() const;
  void use(const scheduler_actor& scheduler) { options_.peers.use(scheduler); }
  void on_tick();

  static inline const char* name = "troupe.worker";

  self_pointer self;

 private:
  using time_point = caf::actor_clock::time_point;
  struct open_push {
    std::vector<transfer_id> transfers; // by shard: of remote ones, the last attempt
    std::map<shard_id, bool> fresh;     // of shared ones
    time_point moved;                   // sent, or a part of it credited
    caf::timespan patience;             // until it is sent again
    bool twice = false;                 // fault injection
    double loss = 0;                    // once computed
  };

  void step();
  void begin(const worker_core::pull_order& order);
  void begin(worker_core::compute_order order);
  void compute(worker_core::compute_order order);
  void on_computed(std::uint64_t attempt, const computed& result);
  void send_pull(shard_id shard, transfer_id id);
  void push_now(const worker_core::push_order& order);
  void send_push(shard_id shard, const worker_core::push_order& order, open_push& open);
  auto poster(shard_id shard) { // sends what its peer posts
    return [this, shard](auto&& what) {
      self->send(options_.peers.shard(shard), std::forward<decltype(what)>(what));
    };
  }
  void landed(std::optional<transport::range_pulls::whole> range);
  void record(history::event e);

  worker_options options_;
  std::optional<worker_core> core_;
  transport::transfer_ids ids_{0};
  std::optional<worker_core::pull_order> pull_;
  std::deque<std::uint64_t> in_hand_; // the attempts that the compute actor has to answer
  time_point pull_moved_;             // sent, or a part of it arrived
  caf::timespan pull_patience_{0};    // until it is sent again
  transport::range_pulls pulls_;
  std::map<batch_id, open_push> pushes_;
  std::vector<transport::peer> shards_; // by number
  std::uint64_t push_count_ = 0;
  std::uint64_t attempts_ = 0; // to compute
  scheduler::time_account account_;
  std::vector<caf::timespan> blocked_; // by shard: of the open pull's answers
  time_point admitted_{};              // when it would be here had no mode held it up
};

worker_impl_actor::behavior_type worker(worker_state::self_pointer self, worker_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::resend_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::use_compute)
