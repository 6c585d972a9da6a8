#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/checker.hpp"

namespace troupe::history {

/// A history made by hand: the scheduler, node 1 with a worker, nodes 2 and 3 with the two replicas
/// of one shard. Two epochs of two batches, which the worker computes one after the other. Nothing
/// is wrong with it; a test changes what it needs wrong.
class sample_history {
 public:
  explicit sample_history(scheduler::consistency mode = scheduler::consistency::ssp(1));

  static constexpr std::uint32_t scheduler = 0; ///< processes
  static constexpr std::uint32_t worker = 1;
  static constexpr std::uint32_t primary = 2;
  static constexpr std::uint32_t backup = 3;

  std::vector<process_history> processes;

  event& add(std::uint32_t process, event e);
  /// The n-th event of this kind in a process.
  event& find(std::uint32_t process, event_kind kind, std::size_t n = 0);
  void erase(std::uint32_t process, event_kind kind, std::size_t n = 0);
  /// Puts an event before the n-th of a kind.
  void insert_before(std::uint32_t process, event_kind kind, std::size_t n, event e);

  // Pieces that the sample is made of; tests go on with them.
  void begin_view(std::uint32_t view, bool with_backup = true);
  /// One batch from the lease to the completion.
  void train(batch_id batch, clock_value clock);
  void lease(batch_id batch);
  void pull(clock_value clock);
  void push(batch_id batch, clock_value clock, bool acknowledged = true);
  void complete(batch_id batch);
  void end();

  std::uint64_t sequence = 0; ///< of the last change
  std::uint32_t view = 1;
  bool has_backup = true;
  std::uint32_t batches_of_epoch = 2;
  history::event replica_event(event_kind kind, std::uint32_t process) const;

 private:
  std::size_t position(std::uint32_t process, event_kind kind, std::size_t n) const;
  bool bsp_ = false;
  std::int64_t time_ = 0;
};

/// The rules that are broken, each once.
std::vector<rule> broken_rules(const report& r);
std::vector<rule> broken(const sample_history& s);
inline std::vector<rule> only(rule r) { return {r}; }
/// What the first violation says, or the last; empty without one.
std::string first_line(const sample_history& s);
std::string last_line(const sample_history& s);

} // namespace troupe::history
