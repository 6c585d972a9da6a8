#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/compute.hpp"
#include "troupe/actors/job.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/actors/runtime.hpp"
#include "troupe/actors/shard.hpp"
#include "troupe/actors/shard_core.hpp"
#include "troupe/actors/workload.hpp"
#include "troupe/scheduler/shard_ranges.hpp"

namespace troupe::actors {

struct node_actor_options {
  scheduler_actor scheduler;
  std::string job_id;        ///< empty: any
  std::uint32_t shards = 0;  ///< offered
  std::uint32_t workers = 0; ///< offered
  /// The workload of a job. May throw: the node then fails with the reason.
  std::function<workload(const job&)> make_workload;
  /// Reaches the node at a contact; may block for a bounded time. Null: all roles are in this
  /// process.
  std::function<caf::expected<node_actor>(const contact&)> connect;
  /// Spawns what computes a worker's gradients. Null: cpu_compute on a thread of its own.
  std::function<compute_actor(caf::actor_system&, worker_id, cpu_compute_options)> spawn_compute;
  std::shared_ptr<shard_observer> observer; ///< handed to every shard; may be null
  std::function<void(node_result)> on_end;  ///< called once
};

/// Internal: say hello to the scheduler, giving `at` as where other nodes reach this one.
struct begin_node {
  contact at;
};
using node_impl_actor = node_actor::extend<caf::reacts_to<begin_node>>;

/// One process's part in a job: holds shards and runs workers as the scheduler places them.
///
///     message         answer
///     begin_node      sends hello to the scheduler
///     place_shards    shards_placed, or errc::cannot_place
///     place_workers   workers_placed, or errc::cannot_place
///     find_shard      shard_found, or errc::protocol_mismatch, job_mismatch, no_such_shard
///     stop_node       -; ends the children and itself
///     actor_failed    - (from a child); passed on to the scheduler
///
/// It loads data and connects in its handlers and holds its thread meanwhile. When it dies, its
/// children die with it; when the scheduler is lost, it ends with an error. Its heartbeat is an
/// actor of its own
/// (`pulse`), which ends it too when the scheduler is silent (PULSE-2) or has declared it lost.
struct node_state {
  using self_pointer = node_impl_actor::stateful_pointer<node_state>;
  explicit node_state(self_pointer self) : self(self) {}

  void start(node_actor_options o);
  void on_begin(const begin_node& b);
  caf::result<shards_placed> on_place_shards(const place_shards& p);
  caf::result<workers_placed> on_place_workers(const place_workers& p);
  caf::result<shard_found> on_find_shard(const find_shard& f);
  void on_down(const caf::down_msg& d);
  void on_exit(const caf::exit_msg& e);
  void end(node_result::status outcome, std::string error);

  static inline const char* name = "troupe.node";

  self_pointer self;
  node_actor_options options;

 private:
  struct placing {
    place_workers request;
    caf::typed_response_promise<workers_placed> promise;
    std::vector<shard_actor> shards; ///< found so far, by index
    std::size_t found = 0;
    bool failed = false;
  };

  void on_welcome(const welcome& w);
  void start_pulse(node_id id);
  void fail(const std::string& reason);
  void look_up(const std::shared_ptr<placing>& p, shard_id id, const node_actor& at);
  void found(const std::shared_ptr<placing>& p, shard_id id, const shard_actor& shard);
  void refuse(const std::shared_ptr<placing>& p, const std::string& reason);
  worker_actor spawn_worker(worker_id id, const address_book& peers);
  std::function<void(std::string)> failure_reporter();
  template <class Handle>
  void adopt(const Handle& child, std::string name) {
    children_.push_back(caf::actor_cast<caf::strong_actor_ptr>(child));
    names_[child.address()] = std::move(name);
  }

  bool welcomed_ = false;
  bool ended_ = false;
  std::string job_id_;
  job job_;
  workload work_;
  std::shared_ptr<const tensor::data_split> data_;
  std::optional<scheduler::batch_plan> plan_;
  std::vector<scheduler::shard_range> ranges_;
  struct held_shard {
    shard_actor actor;
    std::shared_ptr<shard_core> core;
  };
  std::map<shard_id, held_shard> shards_;
  std::vector<caf::strong_actor_ptr> children_;
  std::map<caf::actor_addr, std::string> names_; // of the children, for messages
};

node_impl_actor::behavior_type node(node_state::self_pointer self, node_actor_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::begin_node)
