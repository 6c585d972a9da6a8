#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/recorder.hpp"

namespace troupe::history {

/// What is proved over a recorded history, and from what. A life of a shard is its time between two
/// goings-back to a checkpoint; view numbers, which never repeat, tell whose life a replica belongs
/// to. The changes of a life are what its replicas say they applied, by number. Nothing is inferred
/// from the clocks of two processes: what comes after what is known within a process, by the
/// numbers of changes, and because what was received had been sent.
///
/// CHECK-1   Exactly once. A replica applies the changes of its life one by one, none left out; all
///           that applied number n made the same change, and agree whether it brought a new batch;
///           a batch is new once in a life, and not if the checkpoint that the life began with has
///           it. When the run has finished, every batch of the job was applied on every shard.
/// CHECK-2   Nothing acknowledged is lost. Whatever a primary acknowledged, or a read showed, in a
///           view, every replica of that view has applied; a later primary of that life holds it
///           when it takes over; it is, or repeats, a batch that was applied before it.
/// CHECK-3   Own writes (not in bsp, where a read misses nothing). What the worker had seen
///           acknowledged by the shard before it sent the pull is in what the shard says it
///           contains of that worker; and what the shard says it contains, it does: of every own
///           batch below that clock, and below the pull's, the gradient had been applied.
/// CHECK-4   Staleness. ssp(s): at the change after which a pull at clock c was served, every
/// worker
///           that counted had all its pushes below c - s applied; who counts and how far each is,
///           is computed here from the changes. bsp: a pull for step k was served from the state
///           that step k - 1 left, or after step k + 1 was applied: then every shard had applied
///           step k, and nothing comes of the read. A step was applied with the change that made it
///           whole.
/// CHECK-5   Clocks. A worker's clock rises from batch to batch and never goes back; a clock has
/// one
///           batch. What a shard says it contains of a worker never goes back from change to
///           change.
/// CHECK-6   One primary. In a view of a shard one replica alone acknowledges and serves, the one
///           that the scheduler decided. No read is of the past: it contains what its reader had
///           seen acknowledged, and what had been completed before the scheduler gave a lease that
///           its reader had received; where all processes have one clock, whatever had been
///           acknowledged to anybody before it was served.
/// CHECK-7   Replicas equal. All hashes of states after the same change of a life are the same. An
///           image for another replica has the changes that its maker had applied, and no more.
/// CHECK-8   Every sample once. A batch is completed once in a life; the scheduler's count adds up
/// to
///           the job when the run has finished; an epoch's snapshot has all batches of the epoch.
/// CHECK-9   One lease. A batch is leased only while nobody holds it and it is not completed,
/// unless
///           as a backup task of one that is held; a worker pushes only what was leased to it.
/// CHECK-10  Checkpoints. The state that a replica makes of a checkpoint is the one that was taken;
///           the checkpoint had been written whole; and the scheduler begins with exactly the
///           batches that every shard's part of it has.
/// CHECK-11  Nothing comes of nothing. A push that a replica applied was sent to that shard by its
///           worker, at that clock. A range that a worker says is whole was served to it by the
///           shard, for that clock and step, with the same count of its own pushes; and, in a life
///           that began with the job, the updates that the worker takes it to contain are as many
///           as the changes up to the one it was served after had brought.
/// CHECK-12  What was seen acknowledged, was. Where a worker says that a shard acknowledged a batch
///           to it, a replica of that shard says that it did.
/// CHECK-13  What was served, was asked for. Whatever a replica served to a worker, the worker had
///           asked that shard for, for that clock and step.
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

/// A rule as files name it, and as reports say it.
struct rule_words {
  std::string_view name;
  std::string_view sentence;
};

/// Empty for a value that is no rule.
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

/// How many rules there are.
inline constexpr std::size_t rules = [] {
  std::size_t n = 0;
  while (!words_of(static_cast<rule>(n + 1)).name.empty()) ++n;
  return n;
}();

/// "exactly once", "nothing acknowledged is lost", ...
std::string name_of(rule r);

/// Where an event is: which process, and which of its events.
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
      by; ///< the events that led to it, the last one shows it; a line for each
};

/// How often a rule could be judged. A rule that judged nothing proves nothing.
struct rule_count {
  std::uint64_t judged = 0;
  std::uint64_t unknown = 0;    ///< could not be, because something is missing from the history
  std::uint64_t violations = 0; ///< also those beyond `violations_kept`
};

struct report {
  std::uint64_t events = 0;
  std::uint32_t processes = 0;
  std::uint32_t lives = 0; ///< 1 and the number of goings-back; 0: no scheduler's events
  bool finished = false;   ///< the run has finished, as its scheduler says
  /// What is missing: "the scheduler's events", "the events of node 3". Then rules that depend on
  /// it count unknowns, and no violation is told that it could explain.
  std::vector<std::string> missing;
  std::array<rule_count, rules> counts{}; ///< by rule, the first at 0
  std::vector<violation> violations;      ///< in the order of the rules' numbers

  const rule_count& of(rule r) const { return counts.at(static_cast<std::size_t>(r) - 1); }
  std::uint64_t total_violations() const;
  std::uint64_t total_judged() const;
};

struct check_options {
  std::size_t violations_kept = 20; ///< of each rule
  std::size_t events_shown = 12;    ///< that led to a violation
  /// The times of all processes are of one clock, and nothing happens between what a process does
  /// and its taking it down: so in a simulation. A real process can be stopped in between.
  bool one_clock = false;
};

/// Checks the history of one run: the events of all its processes, in any order of the processes,
/// after the run has ended. A function of its arguments alone. Takes time proportional to the
/// events, but for a factor of the number of workers at each read in ssp.
report check(std::span<const process_history> processes, const check_options& options = {});

} // namespace troupe::history
