#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "troupe/scheduler/awake_clock.hpp"
#include "troupe/scheduler/phi_accrual.hpp"
#include "troupe/scheduler/placement.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// Which nodes take part in a run, which were lost, and which are to leave.
///
/// SCHED-6  A node is lost when its connection closed and its process is known to have ended, or
///          when it is silent beyond its detector's threshold (PHI-1..3), or when its connection
///          closed and its read lease has run out. Time in which the scheduler itself did not run
///          is not counted as silence of a node (AWAKE-1).
/// SCHED-7  A loss is final. If a lost node comes back, the answer to its first heartbeat declares
///          it lost, and nothing that the node or its workers say changes the run. (After a
///          rollback, a batch of a lost worker may no longer be on every shard. It is leased again,
///          and shards that have it drop it.)
/// SCHED-9  No view without a node is installed while that node may hold an unexpired read lease:
///          a node that leads a shard and is to leave gets no more answers to its heartbeats, and
///          is relieved `read_lease` after the last heartbeat that was answered (LEASE-2).
///
/// Node numbers are given once. Memory is proportional to the nodes that ever joined.
class membership {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct options {
    phi_accrual::options detector = {};                 ///< of every node
    duration look = std::chrono::milliseconds(100);     ///< time between two calls of `silent`
    duration read_lease = std::chrono::milliseconds(0); ///< of a node, from each answered heartbeat
  };

  struct member {
    node_offer offer;
    phi_accrual detector; ///< by the awake clock
    time_point heard_at;  ///< by the real one
    bool present = true;  ///< false: known from the journal, has not come back yet
    /// The node is about to be relieved of its shards: its read lease has run out at this time,
    /// because its heartbeats are not answered any more (SCHED-9).
    std::optional<time_point> reads_until = std::nullopt;
    bool told_to_go = false;
    bool end_asked = false; ///< its process was asked to end (SCHED-15)
    std::optional<std::uint64_t> ends_after = std::nullopt; ///< this checkpoint
    std::uint64_t connection = 0;                           ///< counts how often the node came back
    bool knows_views = false;                               ///< was sent all of them
    bool staffed = false;       ///< its workers have been placed or are being placed
    std::uint32_t placing = 0;  ///< roles that it is being given while others train
    std::uint32_t failures = 0; ///< of its roles
  };

  /// The answer to a heartbeat.
  struct heartbeat_answer {
    bool seen = false;                    ///< the node may extend its read lease
    std::optional<std::string> lost = {}; ///< the node is no member: the reason
  };

  membership(options o, time_point begun);

  /// Numbers below were given by an earlier scheduler of this run.
  void count_from(std::uint32_t next_node) { next_node_ = next_node; }
  std::uint32_t next_node() const noexcept { return next_node_; }

  /// A new node.
  node_id join(std::uint32_t shards, std::uint32_t workers, time_point now, std::string at = {});
  /// A node of the journal, which is expected to come back.
  void expect(const node_offer& offer, time_point now);
  /// A member comes back over another connection. Throws std::out_of_range for any other node.
  void come_back(const node_offer& offer, time_point now);
  /// False: the node is no member.
  bool lose(node_id node, const std::string& why);
  /// Forgets all members that are not present.
  void forget_absent();

  heartbeat_answer heard(node_id node, time_point now);
  /// The nodes that their detectors suspect, with the reason, ascending. To be called every
  /// `options::look`.
  std::vector<std::pair<node_id, std::string>> silent(time_point now);
  /// How long a member may still answer reads; zero or less: its read lease has run out.
  duration reads_left(node_id node, time_point now) const;

  /// Nodes that an operator drains.
  const std::set<node_id>& leaving() const noexcept { return leaving_; }
  bool is_leaving(node_id node) const { return leaving_.contains(node); }
  void drain(node_id node) { leaving_.insert(node); }
  /// False: the node was not to leave.
  bool forget_drain(node_id node) { return leaving_.erase(node) > 0; }
  /// SCHED-9. Whether the node may be relieved of its shards now; `leads`: it is the primary of a
  /// shard. The first call for a node that leads stops the answers to its heartbeats.
  bool may_be_relieved(node_id node, bool leads, time_point now);
  /// Nodes that are not among these have to stay after all: a replica was lost meanwhile. Their
  /// heartbeats are answered again.
  void keep_all_but(const std::vector<node_id>& may_leave);
  /// No node is about to be relieved any more. A node that was told to go is not answered again: it is
  /// in no view, and may not have heard yet.
  void keep_all();

  const std::map<node_id, member>& all() const noexcept { return members_; }
  std::map<node_id, member>& all() noexcept { return members_; }
  bool contains(node_id node) const { return members_.contains(node); }
  /// Null: no member.
  member* find(node_id node);
  const member* find(node_id node) const;
  /// Of those that are present and stay, in join order.
  std::vector<node_offer> offers() const;
  /// Members that have not come back yet, ascending.
  std::vector<node_id> absent() const;
  /// With the reasons.
  const std::map<node_id, std::string>& lost() const noexcept { return lost_; }
  /// As the detectors count it, at the last call that told the time.
  time_point awake() const noexcept { return awake_.last(); }

 private:
  options options_;
  awake_clock awake_;
  std::uint32_t next_node_ = 0;
  std::map<node_id, member> members_;
  std::map<node_id, std::string> lost_;
  std::set<node_id> leaving_;
};

} // namespace troupe::scheduler
