// CHECK-2 and CHECK-6: what primaries acknowledged and showed, view by view.
#include <algorithm>
#include <map>

#include "verdicts.hpp"

namespace troupe::history {

namespace {

using scheduler::to_string;
using std::to_string;

// What was shown to anybody in one view.
struct shown_in_view {
  std::uint32_t by = nowhere;     // which replica
  std::uint64_t acknowledged = 0; // the highest change
  std::uint64_t shown = 0;        // acknowledged or contained in a read
  place acknowledged_at;
  place shown_at;
};

using shown_views = std::map<std::uint32_t, shown_in_view>;

// CHECK-6: one alone, and the one decided.
void check_speaker(verdicts& v, const shard_life& life, shown_in_view& in, std::uint32_t i,
                   place here) {
  const auto& known = v.known();
  const auto& e = known.at(here);
  const auto led = [&](const event& x) {
    return about(x, life.shard) && x.view == e.view &&
           (x.what == event_kind::view_decided || x.what == event_kind::view_installed ||
            x.what == event_kind::push_acknowledged || x.what == event_kind::pull_served);
  };
  if (in.by == i) {
    v.judged(rule::one_primary);
    return;
  }
  if (in.by != nowhere) {
    v.judged(rule::one_primary);
    v.broken(rule::one_primary, here,
             to_string(life.shard) + ": in view " + to_string(e.view) + " " +
                 to_string(known.replicas[in.by].node) + " and " + to_string(e.node) +
                 " both answered as primary",
             led);
    return;
  }
  in.by = i;
  const auto& members = known.members[life.shard.value];
  auto m = std::ranges::lower_bound(members, e.view, {}, &view_member::view);
  for (; m != members.end() && m->view == e.view; ++m)
    if (m->part == role::primary) {
      v.judged(rule::one_primary);
      if (m->node != e.node)
        v.broken(rule::one_primary, here,
                 to_string(life.shard) + ": " + to_string(e.node) +
                     " answered as primary of view " + to_string(e.view) + ", whose primary is " +
                     to_string(m->node),
                 led);
      return;
    }
  v.unknown(rule::one_primary);
}

shown_views what_was_shown(verdicts& v, const shard_life& life) {
  const auto& known = v.known();
  shown_views views;
  shown_in_view* in = nullptr;
  std::uint32_t of = 0;
  for (auto i : life.replicas) {
    const auto& r = known.replicas[i];
    in = nullptr;
    for (auto index : r.events) {
      const place here{r.process, index};
      const auto& e = known.at(here);
      const bool acknowledges = e.what == event_kind::push_acknowledged;
      if (!acknowledges && e.what != event_kind::pull_served) continue;
      if (in == nullptr || of != e.view) in = &views[of = e.view];
      check_speaker(v, life, *in, i, here);
      if (acknowledges && e.sequence >= in->acknowledged) {
        in->acknowledged = e.sequence;
        in->acknowledged_at = here;
      }
      if (e.sequence >= in->shown) {
        in->shown = e.sequence;
        in->shown_at = here;
      }
      if (!acknowledges) continue;
      // CHECK-2: it is, or repeats, a batch that was applied.
      const auto ordinal = known.ordinal(e.batch);
      if (!life.start_known || e.sequence > life.known || !ordinal) {
        v.unknown(rule::nothing_lost);
        continue;
      }
      v.judged(rule::nothing_lost);
      if (!life.has(*ordinal, e.sequence))
        v.broken(rule::nothing_lost, here,
                 to_string(life.shard) + " acknowledged " + to_string(e.batch) +
                     ", which it had not applied by change " + to_string(e.sequence),
                 [&](const event& x) {
                   return about(x, e.batch) && (!about(x, life.shard) || x.shard == life.shard);
                 });
    }
  }
  return views;
}

// CHECK-2: every member of the view has what was shown in it.
void check_members(verdicts& v, const shard_life& life, const shown_views& views) {
  const auto& known = v.known();
  const auto& members = known.members[life.shard.value];
  for (const auto& [view, in] : views) {
    auto m = std::ranges::lower_bound(members, view, {}, &view_member::view);
    if (m == members.end() || m->view != view) v.unknown(rule::nothing_lost);
    for (; m != members.end() && m->view == view; ++m) {
      if (m->part != role::primary && m->part != role::backup) continue;
      std::uint64_t applied = 0;
      bool there = false;
      for (auto i : life.replicas)
        if (known.replicas[i].node == m->node) {
          there = true;
          applied = std::max(applied, known.replicas[i].applied);
        }
      if (applied < in.shown && (!known.complete(m->node) || (!there && !known.all_there))) {
        v.unknown(rule::nothing_lost);
        continue;
      }
      v.judged(rule::nothing_lost);
      if (applied >= in.shown) continue;
      const auto& e = known.at(in.shown_at);
      v.broken(rule::nothing_lost, in.shown_at,
               to_string(life.shard) + ": change " + to_string(in.shown) + " was " +
                   (e.what == event_kind::pull_served ? "shown" : "acknowledged") + " in view " +
                   to_string(view) + ", and " + to_string(m->node) +
                   ", a replica of that view, never applied more than change " + to_string(applied),
               [&, node = m->node](const event& x) {
                 return about(x, life.shard) &&
                        (x.what == event_kind::view_decided ||
                         x.what == event_kind::view_installed || x.sequence == in.shown ||
                         (x.node == node && x.sequence >= applied));
               });
    }
  }
}

// CHECK-2: who takes over holds what was acknowledged in the views before.
void check_takeovers(verdicts& v, const shard_life& life, const shown_views& views) {
  const auto& known = v.known();
  for (auto i : life.replicas) {
    const auto& r = known.replicas[i];
    for (auto index : r.events) {
      const place here{r.process, index};
      const auto& e = known.at(here);
      if (e.what != event_kind::view_installed ||
          e.detail != static_cast<std::uint8_t>(role::primary))
        continue;
      const shown_in_view* most = nullptr;
      for (const auto& [view, in] : views) {
        if (view >= e.view) break;
        if (in.acknowledged > 0 && (most == nullptr || in.acknowledged > most->acknowledged))
          most = &in;
      }
      if (most == nullptr) continue;
      v.judged(rule::nothing_lost);
      if (e.value >= most->acknowledged) continue;
      const auto& lost = known.at(most->acknowledged_at);
      v.broken(rule::nothing_lost, here,
               to_string(life.shard) + ": " + to_string(e.node) + " became primary of view " +
                   to_string(e.view) + " with changes up to " + to_string(e.value) + ", and " +
                   to_string(lost.batch) + " had been acknowledged in view " +
                   to_string(lost.view) + " as change " + to_string(most->acknowledged),
               [&](const event& x) {
                 return about(x, life.shard) &&
                        (x.what == event_kind::view_installed ||
                         x.what == event_kind::view_decided || x.sequence == most->acknowledged);
               });
    }
  }
}

// CHECK-6, with one clock: a read has whatever was acknowledged before it was served.
void check_reads_in_time(verdicts& v, const shard_life& life) {
  const auto& known = v.known();
  std::vector<place> shown;
  for (auto i : life.replicas)
    for (auto index : known.replicas[i].events) {
      const place here{known.replicas[i].process, index};
      const auto what = known.at(here).what;
      if (what == event_kind::push_acknowledged || what == event_kind::pull_served)
        shown.push_back(here);
    }
  // At the same instant, reads first: which came first is not known.
  std::ranges::stable_sort(shown, {}, [&](place p) {
    const auto& e = known.at(p);
    return std::pair{e.time_ns, e.what == event_kind::push_acknowledged};
  });
  place newest;
  std::uint64_t acknowledged = 0;
  for (const auto& here : shown) {
    const auto& e = known.at(here);
    if (e.what == event_kind::push_acknowledged) {
      if (e.sequence > acknowledged) newest = here;
      acknowledged = std::max(acknowledged, e.sequence);
      continue;
    }
    v.judged(rule::one_primary);
    if (e.sequence < acknowledged)
      v.broken(rule::one_primary, here,
               to_string(life.shard) + ": " + to_string(e.node) + " served a pull in view " +
                   to_string(e.view) + " after change " + to_string(e.sequence) + ", when " +
                   to_string(known.at(newest).node) + " had acknowledged change " +
                   to_string(acknowledged),
               [&](const event& x) {
                 return about(x, life.shard) &&
                        (x.what == event_kind::view_decided ||
                         x.what == event_kind::view_installed ||
                         (x.what == event_kind::push_acknowledged && x.sequence > e.sequence));
               });
  }
}

// CHECK-7: an image has what its maker had applied.
void check_images(verdicts& v, const shard_life& life) {
  const auto& known = v.known();
  for (auto i : life.replicas) {
    const auto& r = known.replicas[i];
    std::optional<std::uint64_t> applied;
    for (auto index : r.events) {
      const place here{r.process, index};
      const auto& e = known.at(here);
      if (e.what == event_kind::replica_began && e.detail == 1) applied = 0;
      if (e.what == event_kind::image_used || e.what == event_kind::change_applied)
        applied = e.sequence;
      if (e.what != event_kind::image_sent) continue;
      if (!applied) {
        v.unknown(rule::replicas_equal);
        continue;
      }
      v.judged(rule::replicas_equal);
      if (e.sequence != *applied)
        v.broken(rule::replicas_equal, here,
                 to_string(life.shard) + ": " + to_string(e.node) + " sent an image as of change " +
                     to_string(e.sequence) + ", and had applied the changes up to " +
                     to_string(*applied),
                 [&](const event& x) {
                   return about(x, life.shard) && x.node == e.node &&
                          x.what != event_kind::pull_served;
                 });
    }
  }
}

} // namespace

void check_views(verdicts& v, const shard_life& life) {
  const auto views = what_was_shown(v, life);
  check_members(v, life, views);
  check_takeovers(v, life, views);
  if (v.options().one_clock) check_reads_in_time(v, life);
}

void check_hashes(verdicts& v, const shard_life& life) {
  const auto& known = v.known();
  check_images(v, life);
  if (known.mode.in_place()) return; // the array changes without the shard's changes
  std::map<std::uint64_t, place> first;
  for (auto i : life.replicas) {
    const auto& r = known.replicas[i];
    for (auto index : r.events) {
      const place here{r.process, index};
      const auto& e = known.at(here);
      const bool hashed = e.what == event_kind::state_hashed || e.what == event_kind::image_sent ||
                          (e.what == event_kind::image_used && e.clock == 0);
      if (!hashed) continue;
      const auto [at, fresh] = first.try_emplace(e.sequence, here);
      if (fresh) continue;
      v.judged(rule::replicas_equal);
      const auto& other = known.at(at->second);
      if (other.value != e.value)
        v.broken(rule::replicas_equal, here,
                 to_string(life.shard) + ": the states of " + to_string(other.node) + " and " +
                     to_string(e.node) + " after change " + to_string(e.sequence) + " differ",
                 [&](const event& x) {
                   return about(x, life.shard) && x.what != event_kind::pull_served &&
                          (x.sequence == e.sequence || x.sequence + 1 == e.sequence ||
                           x.what == event_kind::state_hashed);
                 });
    }
  }
}

} // namespace troupe::history
