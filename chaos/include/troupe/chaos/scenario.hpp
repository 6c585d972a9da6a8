#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/chaos/fault.hpp"
#include "troupe/checker.hpp"
#include "troupe/values/consistency.hpp"

namespace troupe::chaos {

/// From `low` to `high`, both included; equal: always the same.
template <class T>
struct range {
  T low{};
  T high{};
  friend bool operator==(const range&, const range&) = default;
};

/// What is trained: integers, whose sum has one right value whatever happened on the way.
struct workload {
  /// Seed s trains in modes[s % modes.size()]; never empty, and without hogwild, whose workers
  /// share memory and race for real.
  std::vector<scheduler::consistency> modes = {scheduler::consistency::async()};
  std::uint32_t parameters = 12;
  std::uint32_t samples = 256;
  std::uint32_t epochs = 2;
  std::uint32_t batch_size = 8;
  range<sim_time> batch_time = {std::chrono::milliseconds(2), std::chrono::milliseconds(6)};
  std::uint32_t checkpoint_every = 0; ///< batches; 0: there is no checkpoint
  /// A worker that completes nothing for so long loses its leases; never empty. Once the seeds have
  /// been through the modes, the next ones have the next of these.
  std::vector<sim_time> lease_timeouts = {std::chrono::minutes(2)};
  friend bool operator==(const workload&, const workload&) = default;
};

/// Nodes that offer the same.
struct node_group {
  std::uint32_t count = 1;
  std::uint32_t shards = 0; ///< replicas that each of them can hold
  std::uint32_t workers = 0;
  friend bool operator==(const node_group&, const node_group&) = default;
};

struct cluster_shape {
  std::uint32_t workers = 4;
  std::uint32_t shards = 3;
  std::uint32_t replicas = 2;
  std::vector<node_group> nodes; ///< in the order of their numbers; never empty once read
  friend bool operator==(const cluster_shape&, const cluster_shape&) = default;
};

/// Faults of one kind to draw: either `rate` of them in a virtual second, or `count`.
struct fault_family {
  fault_kind kind = fault_kind::kill;
  fault_target target = fault_target::node;
  std::optional<std::uint32_t> index;  ///< of the node or shard; none: drawn
  range<std::uint32_t> nodes = {1, 1}; ///< target node, worker_node: how many at once
  double rate = 0;                     ///< 0: `count` says how many
  range<std::uint32_t> count = {1, 1};
  range<sim_time> window; ///< in which they begin
  range<sim_time> lasts;
  double for_good =
      0; ///< kill, power_loss, drain, stop: the probability that nobody takes its place
  std::vector<direction> ways = {direction::both};
  std::vector<cut_from> from = {cut_from::everybody}; ///< partition
  double breaks = 0; ///< partition: the probability that connections break
  range<link_properties> link;
  std::vector<disk_fault> disks = {disk_fault::full};
  friend bool operator==(const fault_family&, const fault_family&) = default;
};

/// What must hold of a run: two things that are looked at when it ends, and then each rule of the checker
/// over its history.
enum class invariant : std::uint8_t {
  finishes,         ///< by itself, without an error, by quiet.finish_by
  exact_parameters, ///< the one right sum, and every sample counted once in each epoch
  first_rule
};
inline constexpr std::size_t invariants =
    static_cast<std::size_t>(invariant::first_rule) + history::rules;

constexpr invariant invariant_of(history::rule r) {
  return static_cast<invariant>(static_cast<std::size_t>(invariant::first_rule) +
                                static_cast<std::size_t>(r) - 1);
}

struct quiet_phase {
  sim_time from = std::chrono::seconds(2);       ///< no fault begins after this
  sim_time finish_by = std::chrono::seconds(60); ///< virtual time by which the job has ended
  friend bool operator==(const quiet_phase&, const quiet_phase&) = default;
};

/// A workload, what happens to it, and what must hold. Plain values; the file is in
/// docs/reference/scenario.md.
struct scenario {
  std::string name = "scenario";
  std::optional<std::uint64_t> seed; ///< of a run that is to be replayed
  workload work;
  cluster_shape cluster;
  std::vector<fault_family> families;
  schedule faults; ///< given one by one, beside what the families give
  std::set<invariant> unchecked;
  quiet_phase quiet;
  friend bool operator==(const scenario&, const scenario&) = default;

  scheduler::consistency mode_of(std::uint64_t s) const {
    return work.modes[s % work.modes.size()];
  }
  sim_time lease_timeout_of(std::uint64_t s) const {
    return work.lease_timeouts[s / work.modes.size() % work.lease_timeouts.size()];
  }
  std::uint32_t node_count() const;
};

/// The words of a scenario file, by enumerator: "power_loss", "worker_node", "flipped_bit", "in",
/// "nothing_lost".
std::string_view name_of(fault_kind kind);
std::string_view name_of(fault_target target);
std::string_view name_of(disk_fault disk);
std::string_view name_of(direction way);
std::string_view name_of(cut_from from);
std::string_view name_of(invariant i);

inline constexpr std::array<std::string_view, 9> fault_kind_names = {
    "kill", "pause", "partition", "link", "disk", "power_loss", "clock_jump", "drain", "stop"};
inline constexpr std::array<std::string_view, 7> fault_target_names = {
    "scheduler", "node", "worker_node", "primary", "backup", "chain", "everybody"};
inline constexpr std::array<std::string_view, 3> disk_fault_names = {"full", "slow", "flipped_bit"};
inline constexpr std::array<std::string_view, 3> direction_names = {"both", "in", "out"};
inline constexpr std::array<std::string_view, 3> cut_from_names = {"everybody", "scheduler",
                                                                   "each_other"};
inline constexpr auto invariant_names = [] {
  std::array<std::string_view, invariants> names = {"finishes", "exact_parameters"};
  for (std::size_t i = 1; i <= history::rules; ++i) {
    const auto rule = static_cast<history::rule>(i);
    names[static_cast<std::size_t>(invariant_of(rule))] = history::words_of(rule).name;
  }
  return names;
}();

} // namespace troupe::chaos
