#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

/// The identities that cross folders and the wire. Each has its own type, so that the compiler
/// rejects a worker's number where a shard's number is expected.
namespace troupe::scheduler {

/// A batch of the job: batch `index` of epoch `epoch`, both from 0. The identity is fixed for the
/// whole job and does not depend on the worker that computes the batch. It is the key under which a
/// gradient is applied exactly once. Ordered by epoch, then index.
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

/// The number of a view: one membership of a shard's replica chain. Later views have higher
/// numbers.
struct view_number {
  std::uint64_t value = 0;
  friend auto operator<=>(const view_number&, const view_number&) = default;
};

/// A worker's clock: the number of batches that it completed before the present one.
using clock_value = std::uint64_t;

/// "batch 7 of epoch 1", both counted from 0.
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
