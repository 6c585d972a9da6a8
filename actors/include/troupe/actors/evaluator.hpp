#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/scheduler/shard_ranges.hpp"
#include "troupe/transport/peer.hpp"
#include "troupe/transport/range_pulls.hpp"
#include "troupe/workload.hpp"

namespace troupe::actors {

struct evaluator_options {
  address_book peers;
  std::vector<scheduler::shard_range> ranges; ///< by shard
  workload work;
  std::shared_ptr<const tensor::data_split> data;
  caf::timespan resend_after = std::chrono::seconds(10);
  std::function<void(std::string)> on_failure;
  std::shared_ptr<transport::shared_pools> pools = nullptr; ///< null: no memory is shared
};

/// Internal: time to look at unanswered requests.
struct evaluator_tick {};
using evaluator_impl_actor = evaluator_actor::extend<caf::reacts_to<evaluator_tick>>;

/// Fetches the parameters of an epoch from all shards, evaluates them on the held-out samples and
/// answers the scheduler with epoch_evaluated; one request after the other. It evaluates in its
/// handler, and holds a thread of the system's pool meanwhile (not a thread of its own, see
/// system_config). If the evaluator dies, the run fails.
struct evaluator_state {
  using self_pointer = evaluator_impl_actor::stateful_pointer<evaluator_state>;
  explicit evaluator_state(self_pointer self) : self(self) {}

  void start(evaluator_options o);
  void on_request(const evaluate_epoch& e);
  void on_part(const part& p);
  void on_parameters(const parameters& p);
  void on_moved(const shard_moved& m);
  void on_tick();
  static inline const char* name = "troupe.evaluator";

  self_pointer self;

 private:
  void begin_next();
  void send_pull(std::uint32_t shard, transfer_id id);
  void landed(const std::optional<transport::range_pulls::whole>& range);
  void finish();

  evaluator_options options_;
  std::unique_ptr<tensor::model> model_;
  transport::range_pulls pulls_;
  std::vector<transport::peer> shards_; // by number
  transport::transfer_ids ids_{transport::evaluator_peer};
  std::deque<evaluate_epoch> requests_; // the front one is in hand
  std::shared_ptr<tensor::aligned_vector<float>> target_;
  caf::actor_clock::time_point moved_; // sent, or a part of it arrived
};

evaluator_impl_actor::behavior_type evaluator(evaluator_state::self_pointer self,
                                              evaluator_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::evaluator_tick)
