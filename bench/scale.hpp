#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "troupe/job.hpp"

/// What the parts of bench_scale measure. Each gives its figures as JSON; each is to be called in a
/// process of its own, which has no other thread (see in_child).
namespace troupe::bench {

/// The toy job: gradients of integers over 16 parameters a shard, plain SGD, `async` unless the
/// mode says otherwise, `batches` batches in all epochs, nothing held out.
job toy_job(std::uint32_t workers, std::uint32_t shards, std::uint64_t batches,
            scheduler::consistency mode, std::uint32_t epochs = 2);

/// Calls that in a child process and gives what it returned. Throws std::runtime_error when the
/// child did not end well.
nlohmann::json in_child(const std::function<nlohmann::json()>& work);

/// Processor time of this process, user and system, in seconds.
double process_seconds();
/// Processor time of the calling thread, in seconds.
double thread_seconds();
/// Resident memory of this process, in bytes.
double resident_bytes();

/// A whole cluster in one process: scheduler, one node, shards, workers, compute actors on threads
/// of their own, under CAF's real scheduler. Of `batches` batches in the
/// middle of a job of twice as many.
nlohmann::json whole_run(std::uint32_t workers, std::uint32_t shards, std::uint64_t batches,
                         scheduler::consistency mode);

/// The same messages between actors that do nothing else: what CAF alone costs.
nlohmann::json bare_run(std::uint32_t workers, std::uint32_t shards, std::uint64_t batches);

/// The scheduler actor with workers that complete whatever they are leased at once, and with its
/// journal in `folder`. Without `real`, an actor in the scheduler's place that answers every
/// batch_done with the next lease and does nothing else.
nlohmann::json lease_rate(const job& j, const std::filesystem::path& folder, bool real);

/// So many processes of `workers_each` workers beside a scheduler's, in the simulator: messages by
/// the actor that takes them and their type, and processor time.
nlohmann::json simulated(const job& j, std::uint32_t nodes, std::uint32_t workers_each);

} // namespace troupe::bench
