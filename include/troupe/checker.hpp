#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/recorder.hpp"

namespace troupe::history {

/// The rules that a recorded history is checked against. A life of a shard is the time between two
/// rollbacks to a checkpoint; view numbers never repeat, so they tell to which life a replica
/// belongs. The changes of a life are the changes that its replicas say they applied, by number.
/// The checker compares no clocks of two processes. It orders two events only by the order within
/// one process, by the numbers of changes, or because a message was sent before it was received.
///
/// CHECK-1   Exactly once. A replica applies the changes of its life one by one and leaves none
///           out. All replicas that applied change number n made the same change, and agree whether
///           the change brought a new batch. A batch is new once in a life, and never if the
///           checkpoint that the life began with has the batch. When the run has finished, every
///           batch of the job was applied on every shard.
/// CHECK-2   Nothing acknowledged is lost. If a primary acknowledged a change in a view, or a read
///           showed the change, every replica of that view has applied it, and a later primary of
///           that life has it when that primary takes over. The change is a batch, or repeats a
///           batch that was applied before.
/// CHECK-3   Own writes (not in bsp, where a read misses nothing). The shard says how many of the
///           worker's own batches a served state contains. That count includes every push that the
///           worker had seen acknowledged by the shard before it sent the pull. The state really
///           contains them: the gradient of every own batch below that clock, and below the pull's
///           clock, had been applied.
/// CHECK-4   Staleness. ssp(s): when a pull at clock c was served, every worker that counted had
///           all its pushes below c - s applied. The checker computes from the changes which
///           workers count and how far each of them is. bsp: a pull for step k was served from the
///           state that step k - 1 left, or after step k + 1 was applied; in the second case every
///           shard had applied step k, and the read has no effect. A step was applied with the
///           change that completed the step.
/// CHECK-5   Clocks. A worker's clock rises from batch to batch and never goes back; a clock has
///           one batch. The count of a worker's batches that a shard says it contains never goes
///           back from change to change.
/// CHECK-6   One primary. In a view of a shard only the replica that the scheduler decided on
///           acknowledges and serves. No read is of the past: a read contains everything that its
///           reader had seen acknowledged, and everything that had been completed before the
///           scheduler gave a lease that the reader had received. If all processes have one clock,
///           a read contains everything that had been acknowledged to any worker before the read
///           was served.
/// CHECK-7   Replicas equal. All hashes of states after the same change of a life are the same. An
///           image for another replica has exactly the changes that its maker had applied.
/// CHECK-8   Every sample once. A batch is completed once in a life. When the run has finished, the
///           scheduler's count adds up to the job. An epoch's snapshot has all batches of the
///           epoch.
/// CHECK-9   One lease. A batch is leased only if no worker has a lease on it and it is not
///           completed, or as a backup task of a leased batch. A worker pushes only batches that
///           were leased to that worker.
/// CHECK-10  Checkpoints. The state that a replica makes of a checkpoint is the state that was
///           taken. The checkpoint had been written completely. The scheduler begins with exactly
///           the batches that every shard's part of the checkpoint has.
/// CHECK-11  Nothing comes of nothing. A push that a replica applied was sent to that shard by its
///           worker, at that clock. A range that a worker says is whole was served to the worker by
///           the shard, for that clock and step, with the same count of own pushes. In a life that
///           began with the job, the updates that the worker takes the range to contain are as many
///           as the changes had brought, up to the change after which the range was served.
/// CHECK-12  An acknowledgement that was seen was sent. If a worker says that a shard acknowledged
///           a batch to it, a replica of that shard says so too.
/// CHECK-13  A range that was served was asked for. If a replica served a range to a worker, the
///           worker had sent that shard a pull for that clock and step.
enum class rule : std::uint8_t {
  exactly_once = 1,
  nothing_lost,
  own_writes,
  staleness,
  clocks,
  one_primary,
  replicas_equal,
  every_sample,
  one_lease,
  checkpoints,
  all_sent,
  acknowledged,
  asked
};

/// The words for a rule: `name` in files, `sentence` in reports.
struct rule_words {
  std::string_view name;
  std::string_view sentence;
};

/// The words for `r`; empty for a value that is no rule.
constexpr rule_words words_of(rule r) {
  switch (r) {
  case rule::exactly_once:
    return {"exactly_once", "exactly once"};
  case rule::nothing_lost:
    return {"nothing_lost", "nothing acknowledged is lost"};
  case rule::own_writes:
    return {"own_writes", "own writes are read"};
  case rule::staleness:
    return {"staleness", "staleness within the bound"};
  case rule::clocks:
    return {"clocks", "clocks never go back"};
  case rule::one_primary:
    return {"one_primary", "one primary, no read of the past"};
  case rule::replicas_equal:
    return {"replicas_equal", "replicas are equal"};
  case rule::every_sample:
    return {"every_sample", "every sample once an epoch"};
  case rule::one_lease:
    return {"one_lease", "one lease of a batch"};
  case rule::checkpoints:
    return {"checkpoints", "restored as stored"};
  case rule::all_sent:
    return {"all_sent", "what was received was sent"};
  case rule::acknowledged:
    return {"acknowledged", "what was seen was acknowledged"};
  case rule::asked:
    return {"asked", "what was served was asked for"};
  }
  return {};
}

/// The number of rules.
inline constexpr std::size_t rules = [] {
  std::size_t n = 0;
  while (!words_of(static_cast<rule>(n + 1)).name.empty()) ++n;
  return n;
}();

/// The sentence for `r`: "exactly once", "nothing acknowledged is lost", ...
std::string name_of(rule r);

/// The place of an event in a history: its process, and its position among that process's events.
struct place {
  std::uint32_t process = 0;
  std::uint32_t index = 0;
  friend bool operator==(const place&, const place&) = default;
};

struct violation {
  rule broken = rule::exactly_once;
  place at;         ///< the event that shows it
  std::string what; ///< one line: what was expected, and what was found
  std::vector<std::string>
      by; ///< the events that led to it, one line each; the last of them shows it
};

/// How often a rule could be judged. If `judged` is 0, the check proves nothing about the rule.
struct rule_count {
  std::uint64_t judged = 0;
  std::uint64_t unknown = 0;    ///< not judged, because something is missing from the history
  std::uint64_t violations = 0; ///< including those beyond `violations_kept`
};

struct report {
  std::uint64_t events = 0;
  std::uint32_t processes = 0;
  std::uint32_t lives = 0; ///< 1 + the number of rollbacks; 0: no scheduler's events
  bool finished = false;   ///< the scheduler recorded that the run finished
  /// What is missing: "the scheduler's events", "the events of node 3". A rule that depends on a
  /// missing part counts unknowns. A violation that the missing part could explain is not reported.
  std::vector<std::string> missing;
  std::array<rule_count, rules> counts{}; ///< by rule, the first at 0
  std::vector<violation> violations;      ///< in the order of the rules' numbers

  const rule_count& of(rule r) const { return counts.at(static_cast<std::size_t>(r) - 1); }
  std::uint64_t total_violations() const;
  std::uint64_t total_judged() const;
};

struct check_options {
  std::size_t violations_kept = 20; ///< of each rule
  std::size_t events_shown = 12;    ///< at most so many events that led to a violation
  /// True if the times of all processes come from one clock, and a process records an event at the
  /// time of the event. This holds in a simulation. A real process can be stopped in between.
  bool one_clock = false;
};

/// Checks the history of one run, after the run has ended. `processes` holds the events of all its
/// processes; their order does not matter. The result depends on the arguments alone. The time
/// grows in proportion to the number of events, except that each read in ssp costs a further factor
/// of the number of workers. May be called from several threads at once.
report check(std::span<const process_history> processes, const check_options& options = {});

} // namespace troupe::history
