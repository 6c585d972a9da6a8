#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

/// The names of things that cross folders and the wire. Each is its own type, so that a worker's
/// number cannot be passed where a shard's is expected.
namespace troupe::scheduler {

/// A batch of the job: batch `index` of epoch `epoch`, both from 0. Fixed for the whole job,
/// whoever computes it; the key under which a gradient is applied exactly once. Ordered by epoch,
/// then index.
struct batch_id {
  std::uint32_t epoch = 0;
  std::uint32_t index = 0;
  friend auto operator<=>(const batch_id&, const batch_id&) = default;
};

struct worker_id {
  std::uint32_t value = 0;
  friend auto operator<=>(const worker_id&, const worker_id&) = default;
};

struct shard_id {
  std::uint32_t value = 0;
  friend auto operator<=>(const shard_id&, const shard_id&) = default;
};

struct node_id {
  std::uint32_t value = 0;
  friend auto operator<=>(const node_id&, const node_id&) = default;
};

/// Number of a membership of one shard's replica chain; a later view has the higher number.
struct view_number {
  std::uint64_t value = 0;
  friend auto operator<=>(const view_number&, const view_number&) = default;
};

/// A worker's iteration: the number of batches it has completed before.
using clock_value = std::uint64_t;

/// "batch 7 of epoch 1", both from 0, as in the identity itself.
inline std::string to_string(batch_id id) {
  return "batch " + std::to_string(id.index) + " of epoch " + std::to_string(id.epoch);
}
inline std::string to_string(worker_id id) { return "worker " + std::to_string(id.value); }
inline std::string to_string(shard_id id) { return "shard " + std::to_string(id.value); }
inline std::string to_string(node_id id) { return "node " + std::to_string(id.value); }
inline std::string to_string(view_number id) { return "view " + std::to_string(id.value); }

} // namespace troupe::scheduler

template <>
struct std::hash<troupe::scheduler::batch_id> {
  std::size_t operator()(troupe::scheduler::batch_id id) const noexcept {
    return std::hash<std::uint64_t>{}((std::uint64_t{id.epoch} << 32) | id.index);
  }
};
template <>
struct std::hash<troupe::scheduler::worker_id> {
  std::size_t operator()(troupe::scheduler::worker_id id) const noexcept {
    return std::hash<std::uint32_t>{}(id.value);
  }
};
template <>
struct std::hash<troupe::scheduler::shard_id> {
  std::size_t operator()(troupe::scheduler::shard_id id) const noexcept {
    return std::hash<std::uint32_t>{}(id.value);
  }
};
template <>
struct std::hash<troupe::scheduler::node_id> {
  std::size_t operator()(troupe::scheduler::node_id id) const noexcept {
    return std::hash<std::uint32_t>{}(id.value);
  }
};
template <>
struct std::hash<troupe::scheduler::view_number> {
  std::size_t operator()(troupe::scheduler::view_number id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};
