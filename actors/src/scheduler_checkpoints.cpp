// When the state of all shards is put on disk.
#include <chrono>
#include <ctime>

#include "troupe/actors/scheduler.hpp"

namespace troupe::actors {

namespace {

// A bsp step may take long, a disk too.
constexpr auto checkpoint_patience = std::chrono::minutes(10);

std::string utc_now() {
  auto now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

} // namespace

void scheduler_state::checkpoint_if_due() {
  if (!archive_ || quiet_ || phase_ != phase::training) return;
  if (open_checkpoint_) {
    if (self->clock().now() - checkpoint_at_ >= checkpoint_patience)
      self->send(archive_, give_up_checkpoint{});
    return;
  }
  const auto& when = options_.work.checkpoint;
  auto batches = progress_->batches_done() - checkpoint_batches_;
  std::chrono::duration<double> since = self->clock().now() - checkpoint_at_;
  const bool due = (when.every_batches > 0 && batches >= when.every_batches) ||
                   (when.every_seconds > 0 && since.count() >= when.every_seconds && batches > 0);
  if (!due) return;
  // Workers of hogwild write into the array without asking: its image is taken while they rest.
  quiet_ = options_.work.train.consistency.in_place();
  if (!quiet_ || leases_->open_count() == 0) begin_checkpoint();
}

void scheduler_state::begin_checkpoint() {
  if (open_checkpoint_) return;
  take_image request{next_checkpoint_, 0, evaluated_epochs_, archive_};
  if (auto g = options_.work.train.consistency.batches_per_step()) {
    // All shards as they stand before one step that no batch of was leased: none has applied it.
    scheduler::step_plan steps{options_.plan, *g};
    auto next = leases_->first_new();
    if (!next || steps.step_of(*next) + 1 >= steps.total_steps()) return; // the end is near
    request.step = steps.step_of(*next) + 1;
  }
  open_checkpoint_ = next_checkpoint_++;
  tell({.what = history::event_kind::checkpoint_opened,
        .clock = *open_checkpoint_,
        .batch = history::as_batch(request.step)});
  checkpoint_at_ = self->clock().now();
  checkpoint_batches_ = progress_->batches_done();
  self->send(archive_, open_checkpoint{*open_checkpoint_, evaluated_epochs_, utc_now()});
  for (std::uint32_t s = 0; s < views_->shards(); ++s) self->send(primary(shard_id{s}), request);
}

void scheduler_state::on_images_arrived(const images_arrived& a) {
  if (open_checkpoint_ != a.number || !std::exchange(quiet_, false)) return;
  lease_returned();
  feed_all();
}

void scheduler_state::on_checkpoint_ended(const checkpoint_ended& e) {
  if (open_checkpoint_ != e.number) return;
  open_checkpoint_.reset();
  if (std::exchange(quiet_, false)) feed_all();
  if (e.error.empty()) {
    last_checkpoint_ = e;
    notice(notice_event::kind::checkpoint,
           "checkpoint " + std::to_string(e.number) + " at " + std::to_string(e.batches) + " of " +
               std::to_string(options_.plan.total_batches()) + " batches");
  } else if (phase_ != phase::ended) {
    tell({.what = history::event_kind::checkpoint_failed, .clock = e.number});
    notice(notice_event::kind::warning,
           "checkpoint " + std::to_string(e.number) + " failed, training goes on: " + e.error);
  }
}

} // namespace troupe::actors
