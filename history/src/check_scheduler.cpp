// CHECK-8, CHECK-9 and CHECK-10: leases, completed batches and checkpoints, as the scheduler tells.
#include <algorithm>
#include <map>
#include <set>

#include "verdicts.hpp"

namespace troupe::history {

namespace {

using scheduler::to_string;
using std::to_string;

class scheduler_walk {
 public:
  explicit scheduler_walk(verdicts& v) : v_(v), known_(v.known()) {}

  void run() {
    for (const auto p : known_.schedulers) {
      held_.clear(); // it knows of no lease but those it adopts
      const auto& events = known_.processes[p].events;
      for (std::uint32_t i = 0; i < events.size(); ++i) take({p, i}, events[i]);
    }
  }

 private:
  void take(place here, const event& e) {
    switch (e.what) {
    case event_kind::went_back:
      if (e.shard.value == 0) {
        // A scheduler that is killed before all is placed again has no training_began for it.
        completed_.clear();
        count_ = 0;
        const auto& views = known_.given_up.front();
        life_ = static_cast<std::uint32_t>(std::ranges::upper_bound(views, e.view) - views.begin());
      }
      break;
    case event_kind::training_began:
      began(here, e);
      break;
    case event_kind::took_up:
      count_ = e.value;
      break;
    case event_kind::lease_given:
      given(here, e);
      break;
    case event_kind::lease_adopted:
      adopted(here, e);
      break;
    case event_kind::lease_returned:
      if (auto i = held_.find(e.batch); i != held_.end() && i->second == e.worker) held_.erase(i);
      break;
    case event_kind::batch_completed:
      completed(here, e);
      break;
    case event_kind::checkpoint_opened:
      opened_.insert(e.clock);
      break;
    case event_kind::checkpoint_written:
      written_.insert(e.clock);
      break;
    case event_kind::run_ended:
      if (e.detail == outcome_finished) finished(here);
      break;
    default:
      break;
    }
  }

  auto led_by(batch_id batch) const {
    return
        [batch](const event& x) { return about(x, batch) && x.what >= event_kind::job_described; };
  }

  void began(place here, const event& e) {
    held_.clear();
    completed_.clear();
    count_ = e.value;
    if (e.clock == 0) return;
    // CHECK-10: it had been written whole.
    if (opened_.contains(e.clock)) {
      v_.judged(rule::checkpoints);
      if (!written_.contains(e.clock))
        v_.broken(rule::checkpoints, here,
                  "training goes on from checkpoint " + to_string(e.clock) +
                      ", which was never written whole",
                  [&](const event& x) {
                    return x.what >= event_kind::checkpoint_opened &&
                           x.what <= event_kind::checkpoint_failed && x.clock == e.clock;
                  });
    } else {
      v_.unknown(rule::checkpoints);
    }
    // CHECK-10: it begins with what every shard has.
    std::vector<const shard_life*> all;
    for (const auto& of_shard : known_.lives) {
      const auto* life = life_ < of_shard.size() ? &of_shard[life_] : nullptr;
      if (life == nullptr || !life->start_known) {
        v_.unknown(rule::checkpoints);
        return;
      }
      all.push_back(life);
    }
    if (all.empty()) return;
    std::uint64_t common = 0;
    for (std::uint64_t b = 0; b < all.front()->fresh_at.size(); ++b) {
      const bool everywhere = std::ranges::all_of(all, [b](const auto* l) { return l->has(b, 0); });
      if (everywhere) {
        ++common;
        completed_.insert({static_cast<std::uint32_t>(b / known_.batches_per_epoch),
                           static_cast<std::uint32_t>(b % known_.batches_per_epoch)});
      }
    }
    v_.judged(rule::checkpoints);
    if (common != e.value)
      v_.broken(rule::checkpoints, here,
                "training goes on with " + to_string(e.value) + " batches completed, and " +
                    to_string(common) + " are in every shard's part of checkpoint " +
                    to_string(e.clock),
                [](const event& x) {
                  return x.what == event_kind::image_used || x.what == event_kind::went_back;
                });
  }

  void given(place here, const event& e) {
    v_.judged(rule::one_lease);
    const auto holder = held_.find(e.batch);
    const bool backup = e.detail == 1;
    if (completed_.contains(e.batch))
      v_.broken(rule::one_lease, here,
                to_string(e.batch) + " is leased to " + to_string(e.worker) +
                    " and was completed before",
                led_by(e.batch));
    else if (backup && (holder == held_.end() || holder->second == e.worker))
      v_.broken(rule::one_lease, here,
                to_string(e.batch) + " is given to " + to_string(e.worker) +
                    " as a backup task, and nobody else holds it",
                led_by(e.batch));
    else if (!backup && holder != held_.end())
      v_.broken(rule::one_lease, here,
                to_string(e.batch) + " is leased to " + to_string(e.worker) + " while " +
                    to_string(holder->second) + " holds it",
                led_by(e.batch));
    if (!backup) held_[e.batch] = e.worker;
  }

  void adopted(place here, const event& e) {
    v_.judged(rule::one_lease);
    const auto [holder, free] = held_.try_emplace(e.batch, e.worker);
    if (!free)
      v_.broken(rule::one_lease, here,
                to_string(e.batch) + " is adopted for " + to_string(e.worker) + " while " +
                    to_string(holder->second) + " holds it",
                led_by(e.batch));
  }

  void completed(place here, const event& e) {
    held_.erase(e.batch);
    ++count_;
    v_.judged(rule::every_sample);
    if (!known_.ordinal(e.batch))
      v_.broken(rule::every_sample, here, to_string(e.batch) + " is not of the job",
                led_by(e.batch));
    else if (!completed_.insert(e.batch).second)
      v_.broken(rule::every_sample, here, to_string(e.batch) + " is completed twice",
                led_by(e.batch));
  }

  void finished(place here) {
    v_.judged(rule::every_sample, known_.total_batches);
    if (count_ != known_.total_batches)
      v_.broken(rule::every_sample, here,
                "the run has finished with " + to_string(count_) + " of " +
                    to_string(known_.total_batches) + " batches completed",
                [](const event& x) {
                  return x.what == event_kind::training_began || x.what == event_kind::took_up;
                });
  }

  verdicts& v_;
  const facts& known_;
  std::map<batch_id, worker_id> held_;
  std::set<batch_id> completed_; // in this life, or begun with
  std::uint64_t count_ = 0;      // completed, as this scheduler knows
  std::set<std::uint64_t> opened_;
  std::set<std::uint64_t> written_;
  std::uint32_t life_ = 0;
};

} // namespace

void check_scheduler(verdicts& v) { scheduler_walk(v).run(); }

} // namespace troupe::history
