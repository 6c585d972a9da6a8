// CHECK-11, CHECK-12 and CHECK-13: what a worker and a shard say that they had of each other, each
// beside the event of whoever sent it.
#include <algorithm>

#include "verdicts.hpp"

namespace troupe::history {

namespace {

using scheduler::to_string;
using std::to_string;

// What a push, a pull, a range or an acknowledgement is known by to both sides.
struct message {
  worker_id worker;
  shard_id shard;
  clock_value clock = 0;
  batch_id batch; // of a pull and a range: its step
  friend auto operator<=>(const message&, const message&) = default;
};

message key(const event& e) { return {e.worker, e.shard, e.clock, e.batch}; }
// A worker is told which batch was acknowledged, and no clock.
message key_of_acknowledgement(const event& e) { return {e.worker, e.shard, 0, e.batch}; }

struct serving {
  message of;
  clock_value own = 0;
  std::optional<std::uint64_t> updates; // contained; none: the life's beginning is not known
};

bool before(const serving& a, const serving& b) { return a.of < b.of; }

class sent {
 public:
  explicit sent(verdicts& v) : v_(v), known_(v.known()) {
    for (const auto& p : known_.processes)
      for (const auto& e : p.events) {
        if (e.what == event_kind::push_sent) pushes_.push_back(key(e));
        if (e.what == event_kind::pull_sent) pulls_.push_back(key(e));
        if (e.what == event_kind::push_acknowledged)
          acknowledged_.push_back(key_of_acknowledgement(e));
      }
    for (auto* of_kind : {&pushes_, &pulls_, &acknowledged_}) std::ranges::sort(*of_kind);
    for (const auto p : known_.schedulers)
      for (const auto& e : known_.processes[p].events)
        if (e.what == event_kind::worker_placed) {
          auto& whole = whole_.try_emplace(e.worker.value, true).first->second;
          whole = whole && known_.complete(e.node);
        }
    for (const auto& of_shard : known_.lives)
      for (const auto& life : of_shard) served_in(life);
    std::ranges::stable_sort(served_, before);
  }

  void check_pushes() {
    for (const auto& of_shard : known_.lives)
      for (const auto& life : of_shard)
        for (const auto& here : life.changes)
          if (here.process != nowhere && by_push(known_.at(here))) push(here);
  }

  void check_each() {
    for (std::uint32_t p = 0; p < known_.processes.size(); ++p) {
      const auto& events = known_.processes[p].events;
      for (std::uint32_t i = 0; i < events.size(); ++i) {
        if (events[i].what == event_kind::parameters_landed) range({p, i});
        if (events[i].what == event_kind::acknowledgement_seen) acknowledgement({p, i});
        if (events[i].what == event_kind::pull_served) pull({p, i});
      }
    }
  }

 private:
  static bool by_push(const event& change) {
    return change.detail <= static_cast<std::uint8_t>(change_kind::in_place);
  }

  void served_in(const shard_life& life) {
    // What a checkpoint brings may have been counted in an earlier history.
    const bool counted = life.number == 0 && life.start_known && known_.job->clock == 0;
    std::vector<std::uint64_t> fresh;
    for (std::uint64_t n = 0; n < life.known; ++n) {
      const auto& e = known_.at(life.changes[n]);
      if (by_push(e) && e.value == 1) fresh.push_back(n + 1);
    }
    for (const auto i : life.replicas) {
      const auto& r = known_.replicas[i];
      for (const auto index : r.events) {
        const auto& e = known_.processes[r.process].events[index];
        if (e.what != event_kind::pull_served) continue;
        serving s{key(e), e.value, {}};
        if (counted && e.sequence <= life.known)
          s.updates = static_cast<std::uint64_t>(std::ranges::upper_bound(fresh, e.sequence) -
                                                 fresh.begin());
        served_.push_back(s);
      }
    }
  }

  void push(place here) {
    const auto& e = known_.at(here);
    const bool found = std::ranges::binary_search(pushes_, key(e));
    if (!is_missing(rule::all_sent, found, all_of(e.worker))) return;
    v_.broken(rule::all_sent, here,
              to_string(e.shard) + " applied " + to_string(e.batch) + " of " + to_string(e.worker) +
                  " at clock " + to_string(e.clock) + ", and the worker never pushed that to it",
              [&](const event& x) {
                return about(x, e.worker) && about(x, e.batch) &&
                       (!about(x, e.shard) || x.shard == e.shard);
              });
  }

  // Judges whether there is an event that must be. It may stand in a part that is not here.
  bool is_missing(rule r, bool found, bool whole) {
    if (!found && !whole) {
      v_.unknown(r);
      return false;
    }
    v_.judged(r);
    return !found;
  }

  void pull(place here) {
    const auto& e = known_.at(here);
    const bool found = std::ranges::binary_search(pulls_, key(e));
    if (!is_missing(rule::asked, found, all_of(e.worker))) return;
    v_.broken(rule::asked, here,
              to_string(e.shard) + " served a pull of " + to_string(e.worker) + " at clock " +
                  to_string(e.clock) + ", and the worker never sent it that",
              [&](const event& x) {
                return about(x, e.worker) && about(x, e.shard) && x.shard == e.shard &&
                       x.clock == e.clock;
              });
  }

  void acknowledgement(place here) {
    const auto& e = known_.at(here);
    const bool found = std::ranges::binary_search(acknowledged_, key_of_acknowledgement(e));
    // It may stand in a part that is not here, of a primary that nobody names any more.
    if (!is_missing(rule::acknowledged, found, known_.all_there)) return;
    v_.broken(rule::acknowledged, here,
              to_string(e.worker) + " saw " + to_string(e.batch) + " acknowledged by " +
                  to_string(e.shard) + ", and no replica of it acknowledged that",
              [&](const event& x) {
                return about(x, e.batch) && (!about(x, e.shard) || x.shard == e.shard);
              });
  }

  void range(place here) {
    const auto& e = known_.at(here);
    const auto [first, last] = std::ranges::equal_range(served_, serving{key(e), 0, {}}, before);
    const bool found = std::any_of(first, last, [&](const serving& s) {
      return s.own == e.value && (!s.updates || *s.updates == e.sequence);
    });
    // Another serving of it may stand in a part that is not here.
    if (!is_missing(rule::all_sent, found, known_.all_there)) return;
    std::string said = ", and was served none";
    if (first != last)
      said = ", and was served one with those below clock " + to_string(first->own) +
             (first->updates ? " and " + to_string(*first->updates) + " updates" : std::string());
    v_.broken(rule::all_sent, here,
              to_string(e.worker) + " has a range of " + to_string(e.shard) + " for clock " +
                  to_string(e.clock) + " with its own pushes below clock " + to_string(e.value) +
                  " and " + to_string(e.sequence) + " updates" + said,
              [&](const event& x) {
                return about(x, e.worker) && about(x, e.shard) && x.shard == e.shard &&
                       x.clock == e.clock;
              });
  }

  // All that the worker did is here.
  bool all_of(worker_id worker) const {
    const auto whole = whole_.find(worker.value);
    return whole != whole_.end() && whole->second;
  }

  verdicts& v_;
  const facts& known_;
  std::vector<message> pushes_, pulls_, acknowledged_; // sorted
  std::vector<serving> served_;                        // sorted by what they are of
  std::map<std::uint32_t, bool> whole_; // by worker: all is here of every node that had it
};

} // namespace

void check_sent(verdicts& v) {
  sent all(v);
  all.check_pushes();
  all.check_each();
}

} // namespace troupe::history
