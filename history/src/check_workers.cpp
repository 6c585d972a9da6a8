// CHECK-2, CHECK-3, CHECK-5, CHECK-6 and CHECK-9, of workers: what each had seen before it asked.
#include <algorithm>

#include "verdicts.hpp"

namespace troupe::history {

namespace {

using scheduler::to_string;
using std::to_string;

constexpr std::uint32_t workers_max = 1u << 24;

// What was completed when the scheduler gave its leases.
class leases_seen {
 public:
  explicit leases_seen(const facts& known) : known_(known), most_(known.lives.size()) {
    for (const auto p : known.schedulers) {
      std::fill(most_.begin(), most_.end(), 0); // it knows what it was told itself
      for (const auto& e : known.processes[p].events) {
        switch (e.what) {
        case event_kind::training_began:
          std::fill(most_.begin(), most_.end(), 0);
          break;
        case event_kind::batch_completed:
          complete(e);
          break;
        case event_kind::lease_given:
        case event_kind::lease_adopted:
          given_.push_back({key(e), at_.size()});
          at_.insert(at_.end(), most_.begin(), most_.end());
          break;
        default:
          break;
        }
      }
    }
    // The first time it was given: later ones say more, and which one was received is not known.
    std::ranges::stable_sort(given_, {}, &given::key);
  }

  bool leased(const event& e) const { return find(e) != nullptr; }
  /// By shard, the change that whoever received this lease must see; null: nobody gave it.
  const std::uint64_t* completed_before(const event& received) const {
    const auto* g = find(received);
    return g ? at_.data() + g->at : nullptr;
  }

 private:
  struct full_key {
    std::uint32_t worker;
    batch_id batch;
    friend auto operator<=>(const full_key&, const full_key&) = default;
  };
  struct given {
    full_key key;
    std::size_t at; // in at_
  };
  static full_key key(const event& e) { return {e.worker.value, e.batch}; }

  const given* find(const event& e) const {
    const auto i = std::ranges::lower_bound(given_, key(e), {}, &given::key);
    return i != given_.end() && i->key == key(e) ? &*i : nullptr;
  }

  void complete(const event& e) {
    const auto ordinal = known_.ordinal(e.batch);
    if (!ordinal) return;
    for (std::uint32_t s = 0; s < most_.size(); ++s) {
      const auto* life = known_.life_of(e.worker, shard_id{s});
      if (life && *ordinal < life->fresh_at.size() && life->fresh_at[*ordinal] != never)
        most_[s] = std::max(most_[s], life->fresh_at[*ordinal]);
    }
  }

  const facts& known_;
  std::vector<std::uint64_t> most_; // by shard
  std::vector<given> given_;
  std::vector<std::uint64_t> at_;
};

struct own_push {
  clock_value clock = 0;
  batch_id batch;
  bool seen = false;      // acknowledged
  std::uint64_t most = 0; // the highest change of those up to this one that tell theirs
  bool applied = true;    // all of those up to this one
};

struct open_pull {
  clock_value clock = 0;
  std::uint64_t step = 0;
  clock_value own = 0;        // own pushes below were seen acknowledged before
  std::uint64_t contains = 0; // the change that it must see
  place at;
};

struct of_shard {
  std::vector<own_push> pushes; // by clock
  std::vector<open_pull> pulls; // by clock
  std::size_t unseen = 0;       // the first push that was not acknowledged
  std::uint64_t contains = 0;   // the highest change known to have been made
};

struct of_worker {
  bool begun = false;
  bool pulled = false;
  clock_value last_push = 0;
  clock_value last_pull = 0;
  batch_id last_batch;
  std::vector<of_shard> shards;
};

class workers {
 public:
  explicit workers(verdicts& v) : v_(v), known_(v.known()), leases_(known_) {
    for (std::uint32_t p = 0; p < known_.processes.size(); ++p) {
      const auto& events = known_.processes[p].events;
      for (std::uint32_t i = 0; i < events.size(); ++i) take({p, i}, events[i]);
    }
  }

  void check_reads() {
    for (const auto& of_one_shard : known_.lives)
      for (const auto& life : of_one_shard)
        for (auto i : life.replicas) {
          const auto& r = known_.replicas[i];
          for (auto index : r.events) {
            const auto& e = known_.at({r.process, index});
            if (e.what == event_kind::pull_served) read(life, {r.process, index}, e);
          }
        }
  }

 private:
  void take(place here, const event& e) {
    if (e.what < event_kind::lease_received || e.what > event_kind::batch_finished ||
        e.worker.value >= workers_max)
      return;
    if (e.worker.value >= all_.size()) all_.resize(std::size_t{e.worker.value} + 1);
    auto& w = all_[e.worker.value];
    if (w.shards.size() <= e.shard.value && e.shard.value < (1u << 20))
      w.shards.resize(std::max<std::size_t>(known_.lives.size(), e.shard.value + 1));
    switch (e.what) {
    case event_kind::lease_received:
      lease(w, e);
      break;
    case event_kind::push_sent:
      push(w, w.shards[e.shard.value], here, e);
      break;
    case event_kind::acknowledgement_seen:
      acknowledgement(w.shards[e.shard.value], here, e);
      break;
    case event_kind::pull_sent:
      pull(w, w.shards[e.shard.value], here, e);
      break;
    default:
      break;
    }
  }

  // CHECK-6: what was completed before a lease is seen by whoever received it.
  void lease(of_worker& w, const event& e) {
    if (!known_.job) return;
    const auto* before = leases_.completed_before(e);
    if (before == nullptr) return;
    for (std::uint32_t s = 0; s < known_.lives.size() && s < w.shards.size(); ++s)
      w.shards[s].contains = std::max(w.shards[s].contains, before[s]);
  }

  void push(of_worker& w, of_shard& s, place here, const event& e) {
    const auto led = [&](const event& x) {
      return about(x, e.worker) && x.what == event_kind::push_sent;
    };
    // CHECK-5
    const bool other = !w.begun || e.clock != w.last_push || e.batch != w.last_batch;
    auto at = std::ranges::lower_bound(s.pushes, e.clock, {}, &own_push::clock);
    const bool again = at != s.pushes.end() && at->clock == e.clock && at->batch == e.batch;
    if (other && !again) {
      v_.judged(rule::clocks);
      if (w.begun && e.clock <= w.last_push)
        v_.broken(rule::clocks, here,
                  to_string(e.worker) + " pushes " + to_string(e.batch) + " at clock " +
                      to_string(e.clock) + ", and " + to_string(w.last_batch) + " at clock " +
                      to_string(w.last_push) + " before",
                  led);
      // CHECK-9
      if (known_.job) {
        v_.judged(rule::one_lease);
        if (!leases_.leased(e))
          v_.broken(rule::one_lease, here,
                    to_string(e.worker) + " pushes " + to_string(e.batch) +
                        ", which was never leased to it",
                    [&](const event& x) { return about(x, e.batch); });
      } else {
        v_.unknown(rule::one_lease);
      }
      w.begun = true;
      w.last_push = std::max(w.last_push, e.clock);
      w.last_batch = e.batch;
    }
    if (again) return;
    own_push added{e.clock, e.batch};
    const auto* life = known_.life_of(e.worker, e.shard);
    const auto ordinal = known_.job ? known_.ordinal(e.batch) : std::nullopt;
    if (life && ordinal && *ordinal < life->fresh_at.size() && life->fresh_at[*ordinal] != never)
      added.most = life->fresh_at[*ordinal];
    else
      added.applied = false;
    if (at == s.pushes.end()) {
      if (!s.pushes.empty()) {
        added.most = std::max(added.most, s.pushes.back().most);
        added.applied = added.applied && s.pushes.back().applied;
      }
      s.pushes.push_back(added);
    } // else: told above
  }

  void acknowledgement(of_shard& s, place here, const event& e) {
    for (auto i = s.unseen; i < s.pushes.size(); ++i)
      if (s.pushes[i].batch == e.batch) s.pushes[i].seen = true;
    while (s.unseen < s.pushes.size() && s.pushes[s.unseen].seen) ++s.unseen;
    if (!known_.job) return;
    const auto* life = known_.life_of(e.worker, e.shard);
    const auto ordinal = known_.ordinal(e.batch);
    if (life && ordinal && life->has(*ordinal, never - 1)) {
      v_.judged(rule::nothing_lost);
      s.contains = std::max(s.contains, life->fresh_at[*ordinal]);
      return;
    }
    if (!life || !life->start_known || !known_.all_there || life->known < life->changes.size()) {
      v_.unknown(rule::nothing_lost);
      return;
    }
    v_.judged(rule::nothing_lost);
    v_.broken(rule::nothing_lost, here,
              to_string(e.worker) + " saw " + to_string(e.batch) + " acknowledged by " +
                  to_string(e.shard) + ", and no replica ever applied it",
              [&](const event& x) {
                return about(x, e.batch) && (!about(x, e.shard) || x.shard == e.shard);
              });
  }

  void pull(of_worker& w, of_shard& s, place here, const event& e) {
    v_.judged(rule::clocks);
    if (w.pulled && e.clock < w.last_pull)
      v_.broken(
          rule::clocks, here,
          to_string(e.worker) + " pulls at clock " + to_string(e.clock) + ", and pulled at clock " +
              to_string(w.last_pull) + " before",
          [&](const event& x) { return about(x, e.worker) && x.what == event_kind::pull_sent; });
    w.pulled = true;
    w.last_pull = std::max(w.last_pull, e.clock);
    if (find(s, e)) return; // sent again: it may be answered as at first
    clock_value own = 0;
    if (!s.pushes.empty())
      own = s.unseen < s.pushes.size() ? s.pushes[s.unseen].clock : s.pushes.back().clock + 1;
    s.pulls.push_back({e.clock, e.step(), own, s.contains, here});
  }

  static const open_pull* find(const of_shard& s, const event& e) {
    auto i = std::ranges::lower_bound(s.pulls, e.clock, {}, &open_pull::clock);
    for (; i != s.pulls.end() && i->clock == e.clock; ++i)
      if (i->step == e.step()) return &*i;
    return nullptr;
  }

  void read(const shard_life& life, place here, const event& e) {
    const open_pull* asked = nullptr;
    const of_shard* s = nullptr;
    if (e.worker.value < all_.size() && e.shard.value < all_[e.worker.value].shards.size()) {
      s = &all_[e.worker.value].shards[e.shard.value];
      asked = find(*s, e);
    }
    const bool own = known_.mode.own_writes_are_read();
    if (asked == nullptr) { // its worker's events are missing
      if (own) v_.unknown(rule::own_writes);
      v_.unknown(rule::one_primary);
      return;
    }
    const auto led = [&](const event& x) { return about(x, life.shard) && about(x, e.worker); };
    v_.judged(rule::one_primary);
    if (e.sequence < asked->contains)
      v_.broken(
          rule::one_primary, here,
          to_string(life.shard) + " served a pull of " + to_string(e.worker) + " at clock " +
              to_string(e.clock) + " after change " + to_string(e.sequence) +
              ", and the worker knew of change " + to_string(asked->contains) + " when it asked",
          [&](const event& x) {
            return led(x) ||
                   (about(x, life.shard) &&
                    (x.what == event_kind::view_installed ||
                     (x.what == event_kind::push_acknowledged && x.sequence == asked->contains)));
          });
    if (!own) return;
    v_.judged(rule::own_writes);
    if (e.value < asked->own) {
      v_.broken(rule::own_writes, here,
                to_string(life.shard) + " served " + to_string(e.worker) +
                    " a state with its pushes below clock " + to_string(e.value) +
                    ", and those below clock " + to_string(asked->own) +
                    " had been acknowledged before it asked",
                led);
      return;
    }
    // What it says that it contains, below the pull's clock.
    const auto claimed = std::min(e.value, e.clock);
    auto end = std::ranges::lower_bound(s->pushes, claimed, {}, &own_push::clock);
    if (end == s->pushes.begin()) return;
    const auto& last = *std::prev(end);
    if (!life.start_known || e.sequence > life.known) {
      v_.unknown(rule::own_writes);
      return;
    }
    if (last.applied && last.most <= e.sequence) return;
    const auto missing = std::ranges::find_if(s->pushes.begin(), end, [&](const own_push& p) {
      const auto ordinal = known_.ordinal(p.batch);
      return !ordinal || !life.has(*ordinal, e.sequence);
    });
    if (missing == end) return;
    v_.broken(rule::own_writes, here,
              to_string(life.shard) + " served " + to_string(e.worker) + " after change " +
                  to_string(e.sequence) + " and said that its pushes below clock " +
                  to_string(e.value) + " are contained; that at clock " +
                  to_string(missing->clock) + ", " + to_string(missing->batch) +
                  ", had not been applied",
              led);
  }

  verdicts& v_;
  const facts& known_;
  leases_seen leases_;
  std::vector<of_worker> all_;
};

} // namespace

void check_workers(verdicts& v) {
  workers all(v);
  if (v.known().job) all.check_reads();
}

} // namespace troupe::history
