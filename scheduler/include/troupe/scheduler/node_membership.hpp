#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// Whether a node is a member of a run, whether its scheduler is there, and what the node does when
/// either is no longer true. Each event gives the order that follows from it.
///
///     joining --welcome--> member --scheduler lost--> alone --reached, welcome--> member
///        ^                   |                          |
///        |                declared lost           out of reach for `patience`
///        +-------------------+                          v
///                                                     ended
///
/// A node can be declared lost while it is alone, by the answer to an earlier heartbeat. It then
/// joins, and still looks for its scheduler.
///
/// NODE-3  While the scheduler is away everything goes on: workers with the leases they hold,
///         replicas as their views say. The node looks for the scheduler, and ends when an attempt
///         fails after `patience`. A node that is no member, or that cannot reach a scheduler
///         again, ends when its scheduler is lost.
/// NODE-4  A node that was declared lost drops every role before it joins again, under a new
///         number. It does so once, however often the news arrives.
/// NODE-8  A node whose process was asked to end goes on until its scheduler stops it: the roles of
///         the node may be needed for the parameters of a run that is being stopped. It ends at once
///         if it is no member, or if its scheduler is away or takes the node for lost.
class node_membership {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct options {
    bool can_reconnect = false; ///< the node can reach a scheduler that was started again
    duration patience{};        ///< how long the scheduler may be away
  };
  enum class order : std::uint8_t {
    nothing,
    look_for_scheduler, ///< try to reach it, in a moment
    join_again,         ///< drop every role, then say hello as a node without a number
    ask_to_leave,       ///< tell the scheduler that this process was asked to end
    end,                ///< the node fails
  };
  /// Why a hello was not answered with a welcome.
  enum class refusal : std::uint8_t {
    no_answer,
    not_a_member, ///< the scheduler does not know the number that the node gave
    other,
  };

  node_membership() = default;
  explicit node_membership(options o) : options_(o) {}

  /// The node's number; none while it is no member.
  std::optional<node_id> id() const noexcept { return id_; }
  bool ended() const noexcept { return ended_; }
  /// The scheduler is away, and the node looks for it.
  bool alone() const noexcept { return !ended_ && alone_since_.has_value(); }

  /// True when this begins a membership. False when the node was known by this number before.
  bool welcomed(node_id id);
  /// A hello was in vain. `as_member`: the node gave its number in it.
  order hello_failed(bool as_member, refusal why, time_point now);
  /// The connection to the scheduler has closed, or the scheduler does not answer.
  order scheduler_lost(time_point now);
  /// An attempt to reach the scheduler has failed, or has succeeded.
  order scheduler_out_of_reach(time_point now);
  void scheduler_reached() noexcept { alone_since_.reset(); }
  /// The scheduler has taken this node for lost.
  order declared_lost();
  /// The process was asked to end.
  order end_asked();
  bool leaving() const noexcept { return leaving_; }
  /// The node ends. True the first time.
  bool end() noexcept;

 private:
  options options_;
  bool ended_ = false;
  bool leaving_ = false;
  std::optional<node_id> id_;
  std::optional<time_point> alone_since_;
};

} // namespace troupe::scheduler
