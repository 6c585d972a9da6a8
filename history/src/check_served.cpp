// CHECK-4, CHECK-5 and CHECK-8: what one shard served, along the changes of one of its lives.
#include <algorithm>
#include <set>

#include "verdicts.hpp"

namespace troupe::history {

namespace {

using scheduler::to_string;
using std::to_string;

// How far each worker is, counted here from the changes and from nothing that a shard says.
class worker_clocks {
 public:
  explicit worker_clocks(std::uint32_t from_zero) : workers_(from_zero) {
    for (auto& w : workers_) w = {.known = true, .counts = true, .applied = 0, .ahead = {}};
  }

  void enter(worker_id id, clock_value clock) {
    auto& w = at(id);
    if (!w.known || clock > w.applied) go_on(w, clock);
    w.known = w.counts = true;
  }
  void leave(worker_id id) { at(id).counts = false; }
  void push(worker_id id, clock_value clock) {
    auto& w = at(id);
    if (!w.known || clock < w.applied) return;
    if (clock > w.applied)
      w.ahead.insert(clock);
    else
      go_on(w, clock + 1);
  }

  struct slowest_worker {
    worker_id id;
    clock_value applied = never;
  };
  slowest_worker slowest() const {
    slowest_worker result;
    for (std::uint32_t i = 0; i < workers_.size(); ++i)
      if (workers_[i].counts && workers_[i].applied < result.applied)
        result = {worker_id{i}, workers_[i].applied};
    return result;
  }

 private:
  struct worker {
    bool known = false;
    bool counts = false;
    clock_value applied = 0; // all pushes below have been
    std::set<clock_value> ahead;
  };
  worker& at(worker_id id) {
    if (id.value >= workers_.size()) workers_.resize(std::size_t{id.value} + 1);
    return workers_[id.value];
  }
  static void go_on(worker& w, clock_value to) {
    w.ahead.erase(w.ahead.begin(), w.ahead.lower_bound(to));
    while (!w.ahead.empty() && *w.ahead.begin() == to) {
      w.ahead.erase(w.ahead.begin());
      ++to;
    }
    w.applied = to;
  }

  std::vector<worker> workers_;
};

// Which steps of bsp are whole.
class whole_steps {
 public:
  whole_steps(const facts& known, std::uint64_t first)
      : per_step_(known.mode.batches_per_step().value_or(1)), per_epoch_(known.batches_per_epoch),
        steps_of_epoch_(per_epoch_ == 0 ? 1 : (per_epoch_ - 1) / per_step_ + 1), current_(first) {}

  void add(batch_id batch) {
    const auto step = batch.epoch * steps_of_epoch_ + batch.index / per_step_;
    if (step >= counts_.size()) counts_.resize(step + 1);
    ++counts_[step];
    while (current_ < counts_.size() && counts_[current_] >= size_of(current_)) ++current_;
  }
  /// The lowest step that is not whole.
  std::uint64_t current() const { return current_; }

 private:
  std::uint64_t size_of(std::uint64_t step) const {
    return std::min(per_step_, per_epoch_ - step % steps_of_epoch_ * per_step_);
  }
  std::uint64_t per_step_;
  std::uint64_t per_epoch_;
  std::uint64_t steps_of_epoch_;
  std::uint64_t current_;
  std::vector<std::uint64_t> counts_;
};

class walk {
 public:
  walk(verdicts& v, const shard_life& life)
      : v_(v), life_(life), clocks_(life.first_workers), steps_(v.known(), life.first_step),
        in_epoch_(v.known().epochs) {
    for (std::uint64_t b = 0; b < life.fresh_at.size(); ++b)
      if (life.fresh_at[b] == 0) ++in_epoch_[b / v.known().batches_per_epoch];
  }

  void run() {
    const auto& known = v_.known();
    std::uint64_t at = 0;
    for (const auto& here : in_order()) {
      const auto& e = known.at(here);
      if (e.sequence > life_.known) {
        unknown(e);
        continue;
      }
      while (at < e.sequence) make(known.at(life_.changes[at++]));
      if (e.what == event_kind::pull_served)
        pull(here, e);
      else if (e.what == event_kind::snapshot_served)
        snapshot(here, e);
      else
        step(here, e);
    }
  }

 private:
  // What was served, by the number of the change after which it was.
  std::vector<place> in_order() const {
    std::vector<std::pair<std::uint64_t, place>> found;
    for (auto i : life_.replicas) {
      const auto& r = v_.known().replicas[i];
      for (auto index : r.events) {
        const auto& e = v_.known().at({r.process, index});
        if (e.what == event_kind::pull_served || e.what == event_kind::snapshot_served ||
            e.what == event_kind::step_applied)
          found.push_back({e.sequence, {r.process, index}});
      }
    }
    // Mostly one primary's, and so in order already.
    if (!std::ranges::is_sorted(found, {}, [](const auto& f) { return f.first; }))
      std::ranges::stable_sort(found, {}, [](const auto& f) { return f.first; });
    std::vector<place> result;
    result.reserve(found.size());
    for (const auto& [sequence, here] : found) result.push_back(here);
    return result;
  }

  void unknown(const event& e) {
    if (e.what == event_kind::snapshot_served)
      v_.unknown(rule::every_sample);
    else if (v_.known().mode.bounded())
      v_.unknown(rule::staleness);
  }

  void make(const event& change) {
    switch (static_cast<change_kind>(change.detail)) {
    case change_kind::enter:
      clocks_.enter(change.worker, change.clock);
      return;
    case change_kind::leave:
      clocks_.leave(change.worker);
      return;
    case change_kind::compare:
      return;
    default:
      clocks_.push(change.worker, change.clock);
    }
    if (change.value != 1 || !v_.known().ordinal(change.batch)) return;
    ++in_epoch_[change.batch.epoch];
    if (v_.known().mode.batches_per_step()) {
      step_before_ = steps_.current();
      steps_.add(change.batch);
    }
  }

  void pull(place here, const event& e) {
    const auto& known = v_.known();
    if (e.worker.value >= said_.size()) said_.resize(std::size_t{e.worker.value} + 1);
    auto& said = said_[e.worker.value];
    if (!known.mode.batches_per_step()) {
      v_.judged(rule::clocks);
      if (e.value < said)
        v_.broken(rule::clocks, here,
                  to_string(life_.shard) + " says that it contains the clocks of " +
                      to_string(e.worker) + " below " + to_string(e.value) +
                      ", and said of a state before that it contains those below " +
                      to_string(said),
                  [&](const event& x) { return about(x, life_.shard) && about(x, e.worker); });
      said = std::max(said, e.value);
    }
    if (auto bound = known.mode.staleness()) {
      const auto slowest = clocks_.slowest();
      v_.judged(rule::staleness);
      if (slowest.applied < e.clock && e.clock - slowest.applied > *bound)
        v_.broken(rule::staleness, here,
                  to_string(life_.shard) + " served a pull of " + to_string(e.worker) +
                      " at clock " + to_string(e.clock) + " after change " + to_string(e.sequence) +
                      ", where " + to_string(slowest.id) + " had its pushes below clock " +
                      to_string(slowest.applied) + " applied: staleness " +
                      to_string(e.clock - slowest.applied) + ", the bound is " + to_string(*bound),
                  [&](const event& x) {
                    return about(x, life_.shard) &&
                           ((x.what == event_kind::change_applied && x.worker == slowest.id &&
                             x.node == e.node) ||
                            (x.what == event_kind::pull_sent && x.worker == e.worker));
                  });
    } else if (known.mode.batches_per_step()) {
      v_.judged(rule::staleness);
      const auto current = steps_.current();
      const auto served = e.detail == 1 ? current - std::min<std::uint64_t>(current, 1) : current;
      // Beyond the next step, all shards have applied this one: nothing comes of such a read.
      if (served != e.step() && current < e.step() + 2)
        v_.broken(
            rule::staleness, here,
            to_string(life_.shard) + " served a pull of " + to_string(e.worker) + " for step " +
                to_string(e.step()) + " from the state before step " + to_string(served),
            [&](const event& x) {
              return about(x, life_.shard) && x.node == e.node &&
                     (x.what == event_kind::change_applied || x.what == event_kind::step_applied);
            });
    }
  }

  void step(place here, const event& e) {
    v_.judged(rule::staleness);
    // One change may make several steps whole.
    if (e.step() < step_before_ || e.step() >= steps_.current())
      v_.broken(rule::staleness, here,
                to_string(life_.shard) + ": " + to_string(e.node) + " applied step " +
                    to_string(e.step()) + " with change " + to_string(e.sequence) +
                    ", after which the steps below " + to_string(steps_.current()) + " are whole",
                [&](const event& x) {
                  return about(x, life_.shard) && x.node == e.node &&
                         (x.what == event_kind::change_applied ||
                          x.what == event_kind::step_applied);
                });
  }

  void snapshot(place here, const event& e) {
    const auto& known = v_.known();
    if (!life_.start_known || e.batch.epoch >= in_epoch_.size()) {
      v_.unknown(rule::every_sample);
      return;
    }
    v_.judged(rule::every_sample);
    if (in_epoch_[e.batch.epoch] < known.batches_per_epoch)
      v_.broken(rule::every_sample, here,
                to_string(life_.shard) + " gave its snapshot of epoch " + to_string(e.batch.epoch) +
                    " with " + to_string(in_epoch_[e.batch.epoch]) + " of its " +
                    to_string(known.batches_per_epoch) + " batches",
                [&](const event& x) {
                  return about(x, life_.shard) && x.node == e.node &&
                         x.what == event_kind::change_applied;
                });
  }

  verdicts& v_;
  const shard_life& life_;
  worker_clocks clocks_;
  whole_steps steps_;
  std::uint64_t step_before_ = 0;       // the last change that brought a batch
  std::vector<std::uint32_t> in_epoch_; // batches
  std::vector<clock_value> said_;       // by worker: own_applied
};

} // namespace

void check_served(verdicts& v, const shard_life& life) { walk(v, life).run(); }

} // namespace troupe::history
