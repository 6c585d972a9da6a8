#pragma once

#include <functional>
#include <string>

#include "facts.hpp"
#include "troupe/checker.hpp"

namespace troupe::history {

/// Collects what the rules find.
class verdicts {
 public:
  verdicts(const facts& known, const check_options& options, report& out)
      : facts_(known), options_(options), report_(out) {}

  void judged(rule r, std::uint64_t times = 1) { count(r).judged += times; }
  void unknown(rule r, std::uint64_t times = 1) { count(r).unknown += times; }
  /// `led` chooses the events that led to the one at `at`.
  void broken(rule r, place at, std::string what, const std::function<bool(const event&)>& led);

  const facts& known() const noexcept { return facts_; }
  const check_options& options() const noexcept { return options_; }

 private:
  rule_count& count(rule r) { return report_.counts[static_cast<std::size_t>(r) - 1]; }
  std::string line(place p, std::int64_t zero) const;

  const facts& facts_;
  const check_options& options_;
  report& report_;
};

/// What an event is about; for `led`.
bool about(const event& e, batch_id batch);
bool about(const event& e, shard_id shard);
bool about(const event& e, worker_id worker);

// The rules. Each function says which of them it judges.

/// Puts the changes of a life together; CHECK-1.
void follow_changes(verdicts& v, shard_life& life);
/// Which batches a life began with, for all lives in order; CHECK-10.
void find_start(verdicts& v, shard_life& life, std::span<const shard_life> earlier);
/// For CHECK-1: a finished run has every batch.
void check_whole(verdicts& v, const shard_life& life);
/// CHECK-2 and CHECK-6, of replicas.
void check_views(verdicts& v, const shard_life& life);
/// CHECK-4, CHECK-5 and CHECK-8, of what was served, along the changes.
void check_served(verdicts& v, const shard_life& life);
/// CHECK-7.
void check_hashes(verdicts& v, const shard_life& life);
/// CHECK-2, CHECK-3, CHECK-5, CHECK-6 and CHECK-9, of workers.
void check_workers(verdicts& v);
/// CHECK-11, CHECK-12 and CHECK-13.
void check_sent(verdicts& v);
/// CHECK-8, CHECK-9 and CHECK-10, of the scheduler.
void check_scheduler(verdicts& v);

} // namespace troupe::history
