#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "troupe/probes/probe.hpp"
#include "troupe/scheduler/shard_views.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// What a node knows of the replicas of its job: the newest view of every shard, the nodes that it
/// is connected to, and the replicas that it has found there. Decides which members of a view are
/// looked up, which node makes a connection, which part this node's own replica has, and which
/// searches of other nodes are answered. The caller makes connections and sends messages.
///
/// NODE-5  Of two nodes that both hold replicas, the node with the higher number connects, so that
///         they do not connect to each other at the same moment. The other node waits for
///         `greeting_patience` and then connects all the same. A node without replicas connects at
///         once.
/// NODE-6  When the connection to a node closes, its replicas are looked up again, for as long as a
///         view names that node: the process may live, and its replicas with their state.
/// NODE-7  A search for a replica is answered only when both nodes know the same view of its shard.
///         A search in an older view is refused. A search in a newer view waits until this node
///         knows that view. So a node that has not heard that the run went back cannot reach the
///         replicas with which the run goes on.
/// NODE-9  A node that could not be connected to for `report_after` is reported to the scheduler
///         after each further attempt, and once more when it is connected. By then each side has
///         tried (NODE-5).
///
/// `Node` and `Replica` are handles: values that the class copies, stores and returns. `Replica{}`
/// is null; a `Replica` converts to true exactly when it is not null. All times come from one clock
/// that never runs backwards.
///
/// Memory is proportional to the members of the newest views and the nodes of the job.
template <class Node, class Replica>
class peer_directory {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  /// The time between a failed attempt to connect to a node and the next attempt. (An attempt may
  /// hold its thread for a second.)
  static constexpr duration connect_pause = std::chrono::milliseconds(500);
  /// How long a node waits for the other node to connect (NODE-5), which may be unable to.
  static constexpr duration greeting_patience = std::chrono::seconds(2);
  static constexpr duration report_after = greeting_patience + std::chrono::milliseconds(500);
  /// The time from a search without success, or from the end of a connection, until the shard is
  /// looked at again. Not at once: when a process has ended, a view without it is on its way.
  static constexpr duration search_pause = std::chrono::milliseconds(100);

  /// A question for a node: which replica of this shard does it hold in this view?
  struct search {
    shard_id shard;
    node_id node;
    view_number view;
    std::uint64_t clearing = 0; ///< internal: a `clear` makes earlier searches void
  };
  struct primary_replica {
    view_number view;
    Replica replica;
  };
  /// The replica that is sent the changes.
  struct next_replica {
    node_id node;
    Replica replica; ///< null: a learner that has not been found yet
    bool learns = false;
  };
  /// The part of this node's replica in a view.
  struct replica_part {
    view_number view;
    bool primary = false;
    bool learning = false;            ///< not in the chain yet
    std::optional<next_replica> next; ///< none: the tail without a learner
  };
  enum class route : std::uint8_t {
    connected, ///< nodes() has its handle
    connect,   ///< this node must connect to it
    wait,      ///< neither: the node greets, or may be connected to later
  };
  enum class admission : std::uint8_t { answer, wait, refuse };

  /// This node's number from now on; none: it is no member.
  void become(std::optional<node_id> self) { self_ = self; }

  /// Takes a view of a shard. False, and nothing happens, when a newer view is known. Replicas that
  /// are not in the view are forgotten: the same node may later hold another replica.
  bool install(shard_id shard, shard_view view);

  /// The newest view of the shard; null when no view is known.
  const shard_view* view(shard_id shard) const;
  /// The shards of which a view is known, ascending.
  std::vector<shard_id> shards() const;

  /// The searches to send for the shard now, each once. All members of a view are looked up, not
  /// only those that are needed: when the primary is lost, its successor is known already. The
  /// caller ends each search with `found` or `not_found`.
  std::vector<search> searches(shard_id shard);
  /// The answer to a search. False, and nothing happens, after a `clear` in between.
  bool found(const search& s, Replica replica);
  /// A search had no success. True when the caller must call `look_again` after `search_pause`:
  /// once for a shard, however many of its members are out of reach.
  bool not_found(const search& s);
  /// The pause is over; the caller calls `searches` next.
  void look_again(shard_id shard) { to_look_again_.erase(shard); }

  /// How to reach a node now (NODE-5). The first call begins the patience.
  route route_to(node_id node, time_point now);
  /// An attempt to connect to it has failed. True: the caller reports it (NODE-9).
  bool unreachable(node_id node, time_point now);
  /// The node is connected, whichever side connected, and this is its handle from now on. True: it
  /// was reported before, and the caller reports this (NODE-9).
  bool connected(node_id node, Node handle) {
    nodes_[node] = std::move(handle);
    return reported_.erase(node) > 0;
  }
  /// The connected nodes, by number.
  const std::map<node_id, Node>& nodes() const noexcept { return nodes_; }
  /// The connection to the node has closed (NODE-6). Gives the shards for which the caller must
  /// call `look_again` after `search_pause`.
  std::vector<shard_id> disconnected(node_id node);

  /// What to do with a search of another node (NODE-7).
  admission admit(shard_id shard, view_number view) const;

  /// The primary of the shard; none: not known, or not found yet. `own` is this node's replica of
  /// the shard, or null.
  std::optional<primary_replica> primary(shard_id shard, const Replica& own) const;
  /// The part of this node's own replica; none: it has none in the newest view, or its downstream
  /// replica has not been found yet. A learner that has not been found holds up no view.
  std::optional<replica_part> part(shard_id shard) const;

  /// All roles of the job are dropped. No view is known afterwards, and open searches are void.
  /// Connections stay.
  void clear();

 private:
  static bool names(const shard_view& view, node_id node) {
    return std::ranges::find(view.chain, node) != view.chain.end() || view.learner == node;
  }
  Replica replica(shard_id shard, node_id node) const {
    const auto known = found_.find({shard, node});
    return known != found_.end() ? known->second : Replica{};
  }

  std::optional<node_id> self_;
  std::map<shard_id, shard_view> views_; // the newest of each
  std::map<node_id, Node> nodes_;
  std::map<node_id, time_point> wanted_since_;
  std::map<node_id, time_point> unreachable_until_;
  std::set<node_id> reported_;
  std::map<std::pair<shard_id, node_id>, Replica> found_;
  std::set<std::pair<shard_id, node_id>> asked_;
  std::set<shard_id> to_look_again_;
  std::uint64_t clearings_ = 0;
};

template <class Node, class Replica>
bool peer_directory<Node, Replica>::install(shard_id shard, shard_view view) {
  auto& known = views_[shard];
  if (view.number < known.number) {
    reached(probe::old_view_ignored);
    return false;
  }
  known = std::move(view);
  std::erase_if(found_, [&](const auto& entry) {
    return entry.first.first == shard && !names(known, entry.first.second);
  });
  return true;
}

template <class Node, class Replica>
const shard_view* peer_directory<Node, Replica>::view(shard_id shard) const {
  const auto known = views_.find(shard);
  return known != views_.end() ? &known->second : nullptr;
}

template <class Node, class Replica>
std::vector<shard_id> peer_directory<Node, Replica>::shards() const {
  std::vector<shard_id> result;
  for (const auto& [shard, view] : views_) result.push_back(shard);
  return result;
}

template <class Node, class Replica>
auto peer_directory<Node, Replica>::searches(shard_id shard) -> std::vector<search> {
  std::vector<search> result;
  const auto* known = view(shard);
  if (!known) return result;
  auto members = known->chain;
  if (known->learner) members.push_back(*known->learner);
  for (const auto member : members)
    if (member != self_ && !found_.contains({shard, member}) &&
        asked_.insert({shard, member}).second)
      result.push_back({shard, member, known->number, clearings_});
  return result;
}

template <class Node, class Replica>
bool peer_directory<Node, Replica>::found(const search& s, Replica replica) {
  if (s.clearing != clearings_) return false;
  asked_.erase({s.shard, s.node});
  found_[{s.shard, s.node}] = std::move(replica);
  return true;
}

template <class Node, class Replica>
bool peer_directory<Node, Replica>::not_found(const search& s) {
  if (s.clearing != clearings_) return false;
  asked_.erase({s.shard, s.node});
  return to_look_again_.insert(s.shard).second;
}

template <class Node, class Replica>
auto peer_directory<Node, Replica>::route_to(node_id node, time_point now) -> route {
  if (nodes_.contains(node)) return route::connected;
  const auto since = wanted_since_.try_emplace(node, now).first->second;
  const bool holds_replicas =
      self_ && std::ranges::any_of(views_, [&](const auto& v) { return names(v.second, *self_); });
  if (holds_replicas && *self_ < node && now - since < greeting_patience) return route::wait;
  const auto until = unreachable_until_.find(node);
  if (until != unreachable_until_.end() && now < until->second) return route::wait;
  return route::connect;
}

template <class Node, class Replica>
bool peer_directory<Node, Replica>::unreachable(node_id node, time_point now) {
  unreachable_until_[node] = now + connect_pause;
  if (now - wanted_since_.try_emplace(node, now).first->second < report_after) return false;
  reported_.insert(node);
  return true;
}

template <class Node, class Replica>
std::vector<shard_id> peer_directory<Node, Replica>::disconnected(node_id node) {
  nodes_.erase(node);
  wanted_since_.erase(node);
  std::erase_if(found_, [node](const auto& entry) { return entry.first.second == node; });
  std::erase_if(asked_, [node](const auto& entry) { return entry.second == node; });
  std::vector<shard_id> result;
  for (const auto& [shard, view] : views_)
    if (to_look_again_.insert(shard).second) result.push_back(shard);
  return result;
}

template <class Node, class Replica>
auto peer_directory<Node, Replica>::admit(shard_id shard, view_number asked) const -> admission {
  const auto* known = view(shard);
  if (!known || known->number < asked) return admission::wait;
  return asked < known->number ? admission::refuse : admission::answer;
}

template <class Node, class Replica>
auto peer_directory<Node, Replica>::primary(shard_id shard, const Replica& own) const
    -> std::optional<primary_replica> {
  const auto* known = view(shard);
  if (!known || known->chain.empty()) return std::nullopt;
  const auto first = known->chain.front();
  auto handle = first == self_ ? own : replica(shard, first);
  if (!handle) return std::nullopt;
  return primary_replica{known->number, std::move(handle)};
}

template <class Node, class Replica>
auto peer_directory<Node, Replica>::part(shard_id shard) const -> std::optional<replica_part> {
  const auto* known = view(shard);
  if (!known || known->chain.empty() || !self_) return std::nullopt;
  const auto place = std::ranges::find(known->chain, *self_);
  if (place == known->chain.end()) {
    if (known->learner != self_) return std::nullopt;
    return replica_part{.view = known->number, .learning = true, .next = {}};
  }
  replica_part result{.view = known->number, .primary = place == known->chain.begin(), .next = {}};
  if (const auto below = std::next(place); below != known->chain.end())
    result.next = {*below, replica(shard, *below), false};
  else if (known->learner)
    result.next = {*known->learner, replica(shard, *known->learner), true};
  if (result.next && !result.next->replica) {
    if (!result.next->learns) return std::nullopt;
    reached(probe::learner_not_reached_yet);
  }
  return result;
}

template <class Node, class Replica>
void peer_directory<Node, Replica>::clear() {
  views_.clear();
  found_.clear();
  asked_.clear();
  ++clearings_;
}

} // namespace troupe::scheduler
