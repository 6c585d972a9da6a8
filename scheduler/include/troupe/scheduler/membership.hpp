#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "troupe/scheduler/ids.hpp"

namespace troupe::scheduler {

/// joined -> active -> left | lost; joined may also end directly. An end is final.
enum class member_state : std::uint8_t {
  joined, ///< known, not yet given its part
  active, ///< at work
  left,   ///< said goodbye
  lost,   ///< went silent, or its connection broke
};

std::string to_string(member_state s);

/// Who takes part in a job, and who did.
///
/// MEMBERS-1  An id names one member for the whole job: one that has ended never comes back under
///            it. A process that returns joins as a new node.
/// MEMBERS-2  A worker is live only while its node is: the end of a node ends its workers in the
///            same step, and the call says which, so that their leases and clocks can go with them.
/// MEMBERS-3  Lists are in join order.
class membership {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct node_record {
    node_id id;
    member_state state = member_state::joined;
    time_point joined_at;
    time_point heard_at; ///< never moves back
  };
  struct worker_record {
    worker_id id;
    node_id node;
    member_state state = member_state::joined;
    time_point joined_at;
    time_point heard_at;
  };

  /// One above the highest ever joined: an id to give to the next comer.
  node_id next_node_id() const noexcept;
  worker_id next_worker_id() const noexcept;

  /// Throw std::logic_error when the id was used before (MEMBERS-1), or when the worker's node is
  /// not live.
  void join(node_id node, time_point now);
  void join(worker_id worker, node_id node, time_point now);

  /// joined -> active; nothing for one that is active. False when unknown or ended.
  bool activate(node_id node);
  bool activate(worker_id worker);

  /// End a node as left or lost. Its workers that were live until now, in join order (MEMBERS-2);
  /// empty when it had none, was unknown or had ended before.
  std::vector<worker_id> leave(node_id node);
  std::vector<worker_id> lose(node_id node);
  /// End one worker. False when unknown or ended before.
  bool leave(worker_id worker);
  bool lose(worker_id worker);

  /// A sign of life. One from a worker is one from its node too. False when unknown or ended: the
  /// sender should be told that it is no longer a member.
  bool heard(node_id node, time_point now);
  bool heard(worker_id worker, time_point now);

  /// Live members not heard of for at least `timeout` at `now`, in join order.
  std::vector<node_id> silent_since(time_point now, duration timeout) const;
  std::vector<worker_id> silent_workers_since(time_point now, duration timeout) const;

  /// joined or active.
  bool live(node_id node) const;
  bool live(worker_id worker) const;
  std::vector<node_id> live_nodes() const;
  std::vector<worker_id> live_workers() const;
  /// The live workers of one node.
  std::vector<worker_id> workers_of(node_id node) const;
  std::size_t live_node_count() const noexcept { return live_nodes_; }
  std::size_t live_worker_count() const noexcept { return live_workers_; }

  /// What is known about a member, ended ones included; none when it never joined.
  std::optional<node_record> find(node_id node) const;
  std::optional<worker_record> find(worker_id worker) const;

 private:
  std::vector<worker_id> end(node_id node, member_state how);
  bool end(worker_id worker, member_state how);
  node_record* live_record(node_id node);
  worker_record* live_record(worker_id worker);

  std::vector<node_record> nodes_;     // in join order
  std::vector<worker_record> workers_; // in join order
  std::map<node_id, std::size_t> node_index_;
  std::map<worker_id, std::size_t> worker_index_;
  std::size_t live_nodes_ = 0;
  std::size_t live_workers_ = 0;
};

} // namespace troupe::scheduler
