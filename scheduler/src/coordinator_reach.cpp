// Nodes that cannot connect to each other: which of two gives way, and who gets no role meanwhile.
#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>
#include <tuple>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

std::optional<node_id> coordinator::member_at(const std::string& at) const {
  for (const auto& [id, m] : members_.all())
    if (m.offer.at == at) return id;
  return std::nullopt;
}

void coordinator::cannot_reach(node_id from, const std::string& at, const std::string& why,
                               time_point now) {
  const auto* m = members_.find(from);
  const auto to = member_at(at);
  if (over() || m == nullptr || !to) return;
  if (!gaps_.report(m->offer.at, at, why, now)) return;
  reached(probe::nodes_apart);
  notify(notice_kind::warning, who_cannot_reach_whom({m->offer.at, at, why}));
}

void coordinator::reaches(node_id from, const std::string& at, time_point now) {
  const auto* m = members_.find(from);
  const auto to = member_at(at);
  if (over() || m == nullptr || !to || !gaps_.connected(m->offer.at, at)) return;
  notify(notice_kind::placed, to_string(from) + " reaches " + to_string(*to) + " again");
  try_place(now);
}

// Of two members.
std::string coordinator::who_cannot_reach_whom(const reachability::gap& gap) const {
  return to_string(*member_at(gap.from)) + " cannot reach " + to_string(*member_at(gap.to)) + ": " +
         gap.why;
}

std::string coordinator::who_cannot_reach_whom() const {
  std::string text;
  for (const auto& gap : gaps_.gaps())
    if (member_at(gap.from) && member_at(gap.to)) text += "; " + who_cannot_reach_whom(gap);
  return text;
}

// -- who needs whom -------------------------------------------------------------------------------

bool coordinator::need_each_other(node_id a, node_id b) const {
  if (const auto* placing = as<phases::placing>()) {
    const auto& [chains, workers] = placing->plan;
    const auto works = [&](node_id n) { return std::ranges::count(workers, n) > 0; };
    return std::ranges::any_of(chains, [&](const auto& chain) {
      const auto holds = [&](node_id n) { return std::ranges::count(chain, n) > 0; };
      return (holds(a) && (holds(b) || works(b))) || (holds(b) && works(a));
    });
  }
  const auto in = [](const shard_view& view, node_id n) {
    return std::ranges::count(view.chain, n) > 0 || view.learner == n;
  };
  return std::ranges::any_of(replicas_.views().views(),
                             [&](const auto& view) { return in(view, a) && in(view, b); }) ||
         needs_shards_of(a, b) || needs_shards_of(b, a);
}

// A worker pulls from the primaries of all shards.
bool coordinator::needs_shards_of(node_id with_workers, node_id with_shards) const {
  if (!replicas_.leads(with_shards)) return false;
  const auto& m = members_.all().at(with_workers);
  return !desk_.on(with_workers).empty() || (m.placing > 0 && m.offer.workers > 0);
}

bool coordinator::irreplaceable(node_id node) const {
  for (const auto& view : replicas_.views().views())
    if (view.chain == std::vector{node}) return true;
  const auto works = [&](const auto& w) { return w.second.node == node; };
  if (desk_.workers().empty() || !std::ranges::all_of(desk_.workers(), works)) return false;
  return std::ranges::none_of(members_.all(), [&](const auto& entry) {
    return entry.first != node && entry.second.offer.workers > 0 && may_run_workers(entry.first);
  });
}

std::optional<node_id> coordinator::which_gives_way(node_id a, node_id b) const {
  const auto rank = [this](node_id n) {
    const auto gaps = gaps_.count(members_.all().at(n).offer.at);
    return std::tuple(!irreplaceable(n), gaps, !replicas_.leads(n), n);
  };
  const auto n = rank(a) < rank(b) ? b : a;
  if (irreplaceable(n)) return std::nullopt;
  return n;
}

// -- what follows ---------------------------------------------------------------------------------

// SCHED-16. The node that is lost would go on to answer reads until its lease has run out (SCHED-9).
void coordinator::separate(time_point now) {
  if (gaps_.expire(now)) try_place(now);
  const auto before = std::exchange(gives_way_, std::nullopt);
  std::string why;
  const bool has_roles = !is<phases::gathering>() && !over();
  if (!has_roles || mutant_active(mutant::gaps_ignored)) return;
  for (const auto& gap : gaps_.gaps()) {
    const auto a = member_at(gap.from);
    const auto b = member_at(gap.to);
    if (!a || !b || !need_each_other(*a, *b)) continue;
    why = who_cannot_reach_whom(gap);
    if (is<phases::placing>()) {
      reached(probe::placed_around_gap);
      go_back(why + "; roles are placed anew", now);
      return;
    }
    gives_way_ = which_gives_way(*a, *b);
    if (gives_way_) break;
  }
  if (before || gives_way_) keep_all_but_leaving();
  if (!gives_way_) return;
  const auto node = *gives_way_;
  if (!members_.may_be_relieved(node, replicas_.leads(node), now)) return;
  reached(probe::node_gave_way);
  gives_way_.reset();
  lose(node, why, now);
}

void coordinator::keep_all_but_leaving() {
  auto leaving = replicas_.views().may_leave(members_.leaving());
  if (gives_way_) leaving.push_back(*gives_way_);
  members_.keep_all_but(leaving);
}

bool coordinator::may_run_workers(node_id node) const {
  const auto& at = members_.all().at(node).offer.at;
  return std::ranges::none_of(members_.all(), [&](const auto& entry) {
    return replicas_.leads(entry.first) && gaps_.apart(at, entry.second.offer.at);
  });
}

// A replica may become the primary, and then all that have roles need it.
std::vector<node_offer> coordinator::offers_for_replicas() const {
  auto offers = members_.offers();
  std::erase_if(offers, [&](const node_offer& offer) {
    return std::ranges::any_of(members_.all(), [&](const auto& entry) {
      const auto& [id, m] = entry;
      return gaps_.apart(offer.at, m.offer.at) &&
             (replicas_.views().load(id) > 0 || !desk_.on(id).empty());
    });
  });
  return offers;
}

} // namespace troupe::scheduler
