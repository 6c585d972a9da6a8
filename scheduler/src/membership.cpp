#include "troupe/scheduler/membership.hpp"

#include <algorithm>
#include <stdexcept>

namespace troupe::scheduler {

namespace {

bool is_live(member_state s) { return s == member_state::joined || s == member_state::active; }

[[noreturn]] void fail(const std::string& reason) {
  throw std::logic_error("[troupe::scheduler::membership] " + reason);
}

template <class Id, class Record>
std::vector<Id> silent_of(const std::vector<Record>& records, membership::time_point now,
                          membership::duration timeout) {
  std::vector<Id> result;
  for (const auto& record : records)
    if (is_live(record.state) && now - record.heard_at >= timeout) result.push_back(record.id);
  return result;
}

template <class Id, class Record>
std::vector<Id> live_of(const std::vector<Record>& records) {
  std::vector<Id> result;
  for (const auto& record : records)
    if (is_live(record.state)) result.push_back(record.id);
  return result;
}

} // namespace

std::string to_string(member_state s) {
  switch (s) {
  case member_state::joined:
    return "joined";
  case member_state::active:
    return "active";
  case member_state::left:
    return "left";
  case member_state::lost:
    return "lost";
  }
  fail("expected a state of 0 to 3, found " + std::to_string(static_cast<unsigned>(s)));
}

node_id membership::next_node_id() const noexcept {
  return node_index_.empty() ? node_id{0} : node_id{node_index_.rbegin()->first.value + 1};
}

worker_id membership::next_worker_id() const noexcept {
  return worker_index_.empty() ? worker_id{0} : worker_id{worker_index_.rbegin()->first.value + 1};
}

void membership::join(node_id node, time_point now) {
  if (!node_index_.emplace(node, nodes_.size()).second)
    fail("expected a new node, found " + to_string(node) + ", which joined before");
  nodes_.push_back({.id = node, .joined_at = now, .heard_at = now});
  ++live_nodes_;
}

void membership::join(worker_id worker, node_id node, time_point now) {
  if (!live(node))
    fail("expected a live node for " + to_string(worker) + ", found " + to_string(node));
  if (!worker_index_.emplace(worker, workers_.size()).second)
    fail("expected a new worker, found " + to_string(worker) + ", which joined before");
  workers_.push_back({.id = worker, .node = node, .joined_at = now, .heard_at = now});
  ++live_workers_;
}

membership::node_record* membership::live_record(node_id node) {
  const auto it = node_index_.find(node);
  if (it == node_index_.end() || !is_live(nodes_[it->second].state)) return nullptr;
  return &nodes_[it->second];
}

membership::worker_record* membership::live_record(worker_id worker) {
  const auto it = worker_index_.find(worker);
  if (it == worker_index_.end() || !is_live(workers_[it->second].state)) return nullptr;
  return &workers_[it->second];
}

bool membership::activate(node_id node) {
  auto* record = live_record(node);
  if (record) record->state = member_state::active;
  return record != nullptr;
}

bool membership::activate(worker_id worker) {
  auto* record = live_record(worker);
  if (record) record->state = member_state::active;
  return record != nullptr;
}

std::vector<worker_id> membership::end(node_id node, member_state how) {
  auto* record = live_record(node);
  if (!record) return {};
  const auto ended = workers_of(node);
  for (const auto worker : ended) end(worker, how);
  record->state = how;
  --live_nodes_;
  return ended;
}

bool membership::end(worker_id worker, member_state how) {
  auto* record = live_record(worker);
  if (!record) return false;
  record->state = how;
  --live_workers_;
  return true;
}

std::vector<worker_id> membership::leave(node_id node) { return end(node, member_state::left); }

std::vector<worker_id> membership::lose(node_id node) { return end(node, member_state::lost); }

bool membership::leave(worker_id worker) { return end(worker, member_state::left); }

bool membership::lose(worker_id worker) { return end(worker, member_state::lost); }

bool membership::heard(node_id node, time_point now) {
  auto* record = live_record(node);
  if (record) record->heard_at = std::max(record->heard_at, now);
  return record != nullptr;
}

bool membership::heard(worker_id worker, time_point now) {
  auto* record = live_record(worker);
  if (!record) return false;
  record->heard_at = std::max(record->heard_at, now);
  return heard(record->node, now);
}

std::vector<node_id> membership::silent_since(time_point now, duration timeout) const {
  return silent_of<node_id>(nodes_, now, timeout);
}

std::vector<worker_id> membership::silent_workers_since(time_point now, duration timeout) const {
  return silent_of<worker_id>(workers_, now, timeout);
}

bool membership::live(node_id node) const {
  const auto it = node_index_.find(node);
  return it != node_index_.end() && is_live(nodes_[it->second].state);
}

bool membership::live(worker_id worker) const {
  const auto it = worker_index_.find(worker);
  return it != worker_index_.end() && is_live(workers_[it->second].state);
}

std::vector<node_id> membership::live_nodes() const { return live_of<node_id>(nodes_); }

std::vector<worker_id> membership::live_workers() const { return live_of<worker_id>(workers_); }

std::vector<worker_id> membership::workers_of(node_id node) const {
  std::vector<worker_id> result;
  for (const auto& record : workers_)
    if (record.node == node && is_live(record.state)) result.push_back(record.id);
  return result;
}

std::optional<membership::node_record> membership::find(node_id node) const {
  const auto it = node_index_.find(node);
  if (it == node_index_.end()) return std::nullopt;
  return nodes_[it->second];
}

std::optional<membership::worker_record> membership::find(worker_id worker) const {
  const auto it = worker_index_.find(worker);
  if (it == worker_index_.end()) return std::nullopt;
  return workers_[it->second];
}

} // namespace troupe::scheduler
