// CHECK-1: the changes of one life, put together from all replicas. CHECK-10: what it began with.
#include <algorithm>

#include "verdicts.hpp"

namespace troupe::history {

namespace {

using scheduler::to_string;
using std::to_string;

bool of_batch(const event& change) {
  return change.detail <= static_cast<std::uint8_t>(change_kind::in_place);
}

bool same_change(const event& a, const event& b) {
  return a.detail == b.detail && a.worker == b.worker && a.clock == b.clock && a.batch == b.batch &&
         a.value == b.value;
}

std::string life_text(const shard_life& life) {
  return to_string(life.shard) +
         (life.number > 0 ? " (after going back " + to_string(life.number) + " times)" : "");
}

// bsp: so many batches are in the steps below.
std::uint64_t batches_before(const facts& known, std::uint64_t step) {
  const std::uint64_t g = known.mode.batches_per_step().value_or(1);
  const auto steps = (known.batches_per_epoch + g - 1) / g;
  return step / steps * known.batches_per_epoch +
         std::min<std::uint64_t>(step % steps * g, known.batches_per_epoch);
}

// One replica: every number once, in order, from where it began. Adds its changes to the life's.
void follow_replica(verdicts& v, shard_life& life, const replica_record& r) {
  const auto& known = v.known();
  std::optional<std::uint64_t> last; // applied
  for (auto index : r.events) {
    const place here{r.process, index};
    const auto& e = known.at(here);
    if (e.what == event_kind::replica_began && e.detail == 1) last = 0;
    if (e.what == event_kind::image_used) last = e.sequence;
    if (e.what != event_kind::change_applied) continue;
    if (last) {
      v.judged(rule::exactly_once);
      if (e.sequence != *last + 1)
        v.broken(rule::exactly_once, here,
                 life_text(life) + ": " + to_string(r.node) + " applied change " +
                     to_string(e.sequence) + " after change " + to_string(*last),
                 [&](const event& x) {
                   return about(x, life.shard) && x.node == r.node && x.instance == r.instance &&
                          x.what != event_kind::pull_served;
                 });
    } else {
      v.unknown(rule::exactly_once);
    }
    last = e.sequence;
    if (e.sequence == 0 || e.sequence > life.changes.max_size()) continue;
    if (e.sequence > life.changes.size() + (std::uint64_t{1} << 20))
      continue; // no run leaves such a gap
    if (e.sequence > life.changes.size()) life.changes.resize(e.sequence, {nowhere, 0});
    auto& agreed = life.changes[e.sequence - 1];
    if (agreed.process == nowhere) {
      agreed = here;
      continue;
    }
    v.judged(rule::exactly_once);
    if (!same_change(known.at(agreed), e))
      v.broken(rule::exactly_once, here,
               life_text(life) + ": two replicas made different changes of number " +
                   to_string(e.sequence) + ": " + to_string(known.at(agreed)) + "; and " +
                   to_string(e),
               [&](const event& x) { return about(x, life.shard) && x.sequence == e.sequence; });
  }
}

} // namespace

void find_start(verdicts& v, shard_life& life, std::span<const shard_life> earlier) {
  const auto& known = v.known();
  for (auto i : life.replicas) {
    const auto& r = known.replicas[i];
    for (auto index : r.events) {
      const place here{r.process, index};
      const auto& e = known.at(here);
      if (e.what == event_kind::replica_began && e.detail == 1) {
        life.start_known = true;
        life.first_workers = static_cast<std::uint32_t>(e.clock);
      }
      if (e.what != event_kind::image_used || e.clock == 0) continue;
      // Of a checkpoint: who took it, and had which batches?
      const bool bsp = known.mode.batches_per_step().has_value();
      if (bsp) life.first_step = e.step();
      bool taken = false, equal = false;
      for (const auto& before : earlier)
        for (auto j : before.replicas)
          for (auto k : known.replicas[j].events) {
            const auto& t = known.at({known.replicas[j].process, k});
            if (t.what != event_kind::image_taken || t.clock != e.clock) continue;
            taken = true;
            if (t.value != e.value) continue;
            equal = true;
            // An image that could not be followed to its own life's beginning says too little.
            const bool follows = before.start_known && (bsp || before.known >= t.sequence);
            if (!follows || life.start_known) continue;
            life.start_known = true;
            life.fresh_at.assign(before.fresh_at.size(), never);
            for (std::size_t b = 0; b < before.fresh_at.size(); ++b) {
              const batch_id batch{static_cast<std::uint32_t>(b / known.batches_per_epoch),
                                   static_cast<std::uint32_t>(b % known.batches_per_epoch)};
              const auto g = known.mode.batches_per_step().value_or(1);
              const auto steps = (known.batches_per_epoch + g - 1) / g;
              const bool has = bsp ? std::uint64_t{batch.epoch} * steps + batch.index / g < t.step()
                                   : before.fresh_at[b] <= t.sequence;
              if (!has) continue;
              life.fresh_at[b] = 0;
              ++life.batches;
            }
          }
      if (!taken) { // in an earlier history
        v.unknown(rule::checkpoints);
        life.start_count = bsp ? batches_before(known, e.step()) : e.step();
        continue;
      }
      v.judged(rule::checkpoints);
      if (!equal)
        v.broken(rule::checkpoints, here,
                 life_text(life) +
                     " went on from a state that is not the one taken for checkpoint " +
                     to_string(e.clock),
                 [&](const event& x) {
                   return about(x, life.shard) &&
                          (x.what == event_kind::image_taken || x.what == event_kind::image_used);
                 });
    }
  }
}

void follow_changes(verdicts& v, shard_life& life) {
  const auto& known = v.known();
  for (auto i : life.replicas) follow_replica(v, life, known.replicas[i]);
  while (life.known < life.changes.size() && life.changes[life.known].process != nowhere)
    ++life.known;
  for (const auto& here : life.changes) {
    if (here.process == nowhere) continue;
    const auto& e = known.at(here);
    if (!of_batch(e)) continue;
    const auto ordinal = known.ordinal(e.batch);
    const auto led = [&](const event& x) {
      return about(x, e.batch) && (!about(x, life.shard) || x.shard == life.shard);
    };
    v.judged(rule::exactly_once);
    if (!ordinal) {
      v.broken(rule::exactly_once, here,
               life_text(life) + ": " + to_string(e.batch) + " is not of the job", led);
      continue;
    }
    if (*ordinal >= life.fresh_at.size()) life.fresh_at.resize(*ordinal + 1, never);
    auto& at = life.fresh_at[*ordinal];
    if (e.value == 1 && at == never) {
      at = e.sequence;
      ++life.batches;
    } else if (e.value == 1) {
      v.broken(rule::exactly_once, here,
               life_text(life) + ": " + to_string(e.batch) + " was applied with change " +
                   to_string(e.sequence) +
                   (at == 0 ? std::string(", and the checkpoint that it went on from has it")
                            : ", and with change " + to_string(at) + " before"),
               led);
    } else if (at == never) {
      // Dropped as known already: it must have been.
      if (life.start_known && e.sequence <= life.known) {
        v.judged(rule::nothing_lost);
        v.broken(rule::nothing_lost, here,
                 life_text(life) + ": " + to_string(e.batch) + " was dropped with change " +
                     to_string(e.sequence) + " as one applied before, and was not",
                 led);
      } else {
        v.unknown(rule::nothing_lost);
      }
    } else {
      v.judged(rule::nothing_lost);
    }
  }
}

void check_whole(verdicts& v, const shard_life& life) {
  const auto& known = v.known();
  const bool counted = life.start_known || life.start_count;
  if (!known.all_there || !counted || life.known < life.changes.size() || life.replicas.empty()) {
    v.unknown(rule::exactly_once);
    return;
  }
  v.judged(rule::exactly_once, known.total_batches);
  const auto batches = life.batches + (life.start_known ? 0 : *life.start_count);
  if (batches == known.total_batches) return;
  batch_id lacking;
  for (std::uint64_t b = 0; b < known.total_batches; ++b)
    if (!life.has(b, never - 1)) {
      lacking = {static_cast<std::uint32_t>(b / known.batches_per_epoch),
                 static_cast<std::uint32_t>(b % known.batches_per_epoch)};
      break;
    }
  const auto& r = known.replicas[life.replicas.front()];
  v.broken(rule::exactly_once, {r.process, r.events.back()},
           "the run has finished, and " + life_text(life) + " has applied " + to_string(batches) +
               " of " + to_string(known.total_batches) + " batches" +
               (life.start_known ? "; it lacks " + to_string(lacking) : std::string()),
           [&](const event& x) {
             return about(x, lacking) && (!about(x, life.shard) || x.shard == life.shard);
           });
}

} // namespace troupe::history
