#include "troupe/scheduler/membership.hpp"

#include <algorithm>

#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

membership::membership(options o, time_point begun)
    : options_(o), awake_(begun, 2 * options_.look) {}

node_id membership::join(std::uint32_t shards, std::uint32_t workers, time_point now,
                         std::string at) {
  node_id id{next_node_++};
  members_.insert_or_assign(
      id, member{{id, shards, workers, std::move(at)}, {options_.detector, awake_.look(now)}, now});
  return id;
}

void membership::expect(const node_offer& offer, time_point now) {
  members_.insert_or_assign(offer.node,
                            member{offer, {options_.detector, awake_.look(now)}, now, false});
}

void membership::come_back(const node_offer& offer, time_point now) {
  auto& m = members_.at(offer.node);
  m.offer = offer;
  m.detector = phi_accrual{options_.detector, awake_.look(now)};
  m.heard_at = now;
  m.present = true;
  ++m.connection;
}

bool membership::lose(node_id node, const std::string& why) {
  if (members_.erase(node) == 0) return false;
  lost_[node] = why;
  return true;
}

void membership::forget_absent() {
  std::erase_if(members_, [](const auto& entry) { return !entry.second.present; });
}

// -- signs of life --------------------------------------------------------------------------------

membership::heartbeat_answer membership::heard(node_id node, time_point now) {
  auto* m = find(node);
  if (m == nullptr) {
    reached(probe::lost_node_heard);
    auto gone = lost_.find(node);
    return {.lost = gone != lost_.end() ? gone->second : to_string(node) + " is no member"};
  }
  m->detector.heard(awake_.look(now));
  m->heard_at = now;
  return {.seen = !m->reads_until};
}

std::vector<std::pair<node_id, std::string>> membership::silent(time_point now) {
  const auto awake = awake_.look(now);
  std::vector<std::pair<node_id, std::string>> result;
  for (const auto& [id, m] : members_)
    if (m.present && !m.detector.available(awake)) {
      auto ms = std::chrono::round<std::chrono::milliseconds>(m.detector.silence(awake)).count();
      result.emplace_back(id, "silent for " + std::to_string(ms) + " ms");
    }
  return result;
}

membership::duration membership::reads_left(node_id node, time_point now) const {
  return members_.at(node).heard_at + options_.read_lease - now;
}

// -- leaving --------------------------------------------------------------------------------------

// A node that may be cut off would go on to serve reads that lack what its successor acknowledges.
bool membership::may_be_relieved(node_id node, bool leads, time_point now) {
  if (!leads) return true;
  auto& m = members_.at(node);
  if (!m.reads_until) m.reads_until = m.heard_at + options_.read_lease;
  return now >= *m.reads_until;
}

void membership::keep_all_but(const std::vector<node_id>& may_leave) {
  for (auto& [id, m] : members_)
    if (!m.told_to_go && std::ranges::find(may_leave, id) == may_leave.end()) m.reads_until.reset();
}

void membership::keep_all() { keep_all_but({}); }

// -- questions ------------------------------------------------------------------------------------

membership::member* membership::find(node_id node) {
  auto i = members_.find(node);
  return i != members_.end() ? &i->second : nullptr;
}

const membership::member* membership::find(node_id node) const {
  auto i = members_.find(node);
  return i != members_.end() ? &i->second : nullptr;
}

std::vector<node_offer> membership::offers() const {
  std::vector<node_offer> result;
  for (const auto& [id, m] : members_)
    if (m.present && !m.told_to_go) result.push_back(m.offer);
  return result;
}

std::vector<node_id> membership::absent() const {
  std::vector<node_id> result;
  for (const auto& [id, m] : members_)
    if (!m.present) result.push_back(id);
  return result;
}

} // namespace troupe::scheduler
