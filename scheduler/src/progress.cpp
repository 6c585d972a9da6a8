#include "troupe/scheduler/progress.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

namespace troupe::scheduler {

namespace {

constexpr std::size_t intervals_kept = 16;

job_progress::seconds between(job_progress::time_point from, job_progress::time_point to) {
  return std::max(job_progress::seconds(to - from), job_progress::seconds(0));
}

double rate(std::uint64_t samples, job_progress::seconds time) {
  return time.count() > 0 ? static_cast<double>(samples) / time.count() : 0;
}

std::optional<double> mean(double sum, std::uint64_t samples) {
  if (samples == 0) return std::nullopt;
  return sum / static_cast<double>(samples);
}

[[noreturn]] void refuse(const std::string& expected, const std::string& found) {
  throw std::invalid_argument("[troupe::scheduler::job_progress] expected " + expected +
                              ", found " + found);
}

void check(const job_progress::content::epoch& epoch, std::size_t e, const batch_plan& plan) {
  const auto where = " of epoch " + std::to_string(e);
  if (epoch.batches > plan.batches_per_epoch())
    refuse("at most " + std::to_string(plan.batches_per_epoch()) + " batches" + where,
           std::to_string(epoch.batches));
  const bool complete = epoch.batches == plan.batches_per_epoch();
  const bool whole = epoch.samples == plan.samples();
  // An epoch's last batch may be smaller, so only a complete epoch's samples are certain.
  if (epoch.samples > plan.samples() || epoch.samples < epoch.batches || (complete && !whole))
    refuse("the samples of " + std::to_string(epoch.batches) + " batches" + where,
           std::to_string(epoch.samples));
  if (epoch.loss_samples > epoch.samples)
    refuse("losses of at most " + std::to_string(epoch.samples) + " samples" + where,
           std::to_string(epoch.loss_samples));
  if (complete != epoch.duration.has_value())
    refuse("a duration" + where + " exactly when it is complete",
           epoch.duration ? "one before" : "none");
  if (epoch.duration && !(epoch.duration->count() >= 0 && std::isfinite(epoch.duration->count())))
    refuse("a duration" + where, std::to_string(epoch.duration->count()) + " s");
}

} // namespace

job_progress::job_progress(batch_plan plan) : plan_(std::move(plan)) {}

job_progress::job_progress(batch_plan plan, const content& known, time_point now)
    : plan_(std::move(plan)), epochs_(known.epochs), non_finite_loss_(known.non_finite_loss) {
  if (epochs_.size() > plan_.epochs())
    refuse("at most " + std::to_string(plan_.epochs()) + " epochs", std::to_string(epochs_.size()));
  seconds complete_epochs(0);
  for (std::size_t e = 0; e < epochs_.size(); ++e) {
    check(epochs_[e], e, plan_);
    batches_done_ += epochs_[e].batches;
    samples_done_ += epochs_[e].samples;
    complete_epochs += epochs_[e].duration.value_or(seconds(0));
  }
  if (non_finite_loss_) plan_.samples_in(*non_finite_loss_); // throws for one of another job
  if (!known.elapsed) {
    if (batches_done_ > 0) refuse("the time since the start", "none");
    return;
  }
  const auto elapsed = *known.elapsed;
  if (!(elapsed.count() >= 0 && elapsed < seconds(std::chrono::hours(24 * 365 * 100))))
    refuse("the time since the start", std::to_string(elapsed.count()) + " s");
  using std::chrono::duration_cast;
  started_ = now - duration_cast<time_point::duration>(elapsed);
  // Durations are kept as rounded numbers: their sum may be a little more than has elapsed.
  last_epoch_end_ =
      *started_ + duration_cast<time_point::duration>(std::min(complete_epochs, elapsed));
  marks_.push_back({.at = now, .samples = samples_done_});
  while (current_epoch_ < plan_.epochs() && epoch_complete(current_epoch_)) ++current_epoch_;
}

job_progress::content job_progress::contents(time_point now) const {
  content result{.epochs = epochs_, .non_finite_loss = non_finite_loss_, .elapsed = {}};
  if (started_) result.elapsed = between(*started_, now);
  return result;
}

void job_progress::start(time_point now) {
  if (started_) return;
  started_ = now;
  last_epoch_end_ = now;
  marks_.push_back({.at = now, .samples = 0});
}

bool job_progress::complete(batch_id batch, double loss, time_point now) {
  const auto samples = plan_.samples_in(batch);
  if (epoch_complete(batch.epoch))
    throw std::logic_error("[troupe::scheduler::job_progress] expected a batch of an epoch in "
                           "progress, found " +
                           to_string(batch) + ", which is complete");
  start(now);
  auto& epoch = begun(batch.epoch);
  ++epoch.batches;
  epoch.samples += samples;
  ++batches_done_;
  ++recent_batches_;
  samples_done_ += samples;
  const bool finite = std::isfinite(loss);
  if (finite) {
    const double weighted = loss * static_cast<double>(samples);
    epoch.loss_sum += weighted;
    epoch.loss_samples += samples;
    recent_loss_sum_ += weighted;
    recent_loss_samples_ += samples;
  } else if (!non_finite_loss_) {
    non_finite_loss_ = batch;
  }
  end_if_complete(epoch, now);
  return finite;
}

void job_progress::catch_up(const applied_set& completed, time_point now) {
  if (completed.batches_per_epoch() != plan_.batches_per_epoch() ||
      completed.epochs() != plan_.epochs())
    refuse(std::to_string(plan_.epochs()) + " epochs of " +
               std::to_string(plan_.batches_per_epoch()) + " batches",
           std::to_string(completed.epochs()) + " of " +
               std::to_string(completed.batches_per_epoch()));
  for (std::uint32_t e = 0; e < plan_.epochs(); ++e) {
    const auto known = completed.count(e);
    if (known <= batches_in_epoch(e)) continue;
    start(now);
    auto& epoch = begun(e);
    std::uint64_t samples = 0;
    for (std::uint32_t i = 0; i < plan_.batches_per_epoch(); ++i)
      if (completed.contains({e, i})) samples += plan_.samples_in({e, i});
    batches_done_ += known - epoch.batches;
    samples_done_ += samples - epoch.samples;
    epoch.batches = known;
    epoch.samples = samples;
    end_if_complete(epoch, now);
  }
}

job_progress::content::epoch& job_progress::begun(std::uint32_t e) {
  if (epochs_.size() <= e) epochs_.resize(std::size_t{e} + 1);
  return epochs_[e];
}

void job_progress::end_if_complete(content::epoch& epoch, time_point now) {
  if (epoch.batches != plan_.batches_per_epoch()) return;
  epoch.duration = between(last_epoch_end_, now);
  last_epoch_end_ = std::max(last_epoch_end_, now);
  while (current_epoch_ < plan_.epochs() && epoch_complete(current_epoch_)) ++current_epoch_;
}

std::uint32_t job_progress::current_epoch() const noexcept {
  return plan_.epochs() == 0 ? 0 : std::min(current_epoch_, plan_.epochs() - 1);
}

bool job_progress::epoch_complete(std::uint32_t e) const noexcept {
  return batches_in_epoch(e) == plan_.batches_per_epoch();
}

std::uint32_t job_progress::batches_in_epoch(std::uint32_t e) const noexcept {
  return e < epochs_.size() ? epochs_[e].batches : 0;
}

std::optional<double> job_progress::epoch_loss(std::uint32_t e) const noexcept {
  if (e >= epochs_.size()) return std::nullopt;
  return mean(epochs_[e].loss_sum, epochs_[e].loss_samples);
}

std::optional<job_progress::seconds> job_progress::epoch_duration(std::uint32_t e) const noexcept {
  if (e >= epochs_.size()) return std::nullopt;
  return epochs_[e].duration;
}

std::optional<double> job_progress::epoch_samples_per_second(std::uint32_t e) const noexcept {
  const auto duration = epoch_duration(e);
  if (!duration) return std::nullopt;
  return rate(plan_.samples(), *duration);
}

job_progress::seconds job_progress::elapsed(time_point now) const noexcept {
  return started_ ? between(*started_, now) : seconds(0);
}

double job_progress::samples_per_second(time_point now) const noexcept {
  return rate(samples_done_, elapsed(now));
}

job_progress::recent job_progress::take_recent(time_point now) {
  if (marks_.empty()) return {};
  const auto& last = marks_.back();
  recent result{
      .batches = std::exchange(recent_batches_, 0),
      .samples = samples_done_ - last.samples,
      .mean_loss = mean(std::exchange(recent_loss_sum_, 0), std::exchange(recent_loss_samples_, 0)),
      .samples_per_second = rate(samples_done_ - last.samples, between(last.at, now))};
  marks_.push_back({.at = std::max(last.at, now), .samples = samples_done_});
  if (marks_.size() > intervals_kept + 1) marks_.pop_front();
  return result;
}

std::optional<job_progress::seconds> job_progress::time_left(time_point now) const noexcept {
  if (finished()) return seconds(0);
  if (marks_.empty()) return std::nullopt;
  const auto& base = marks_.front();
  const double current = rate(samples_done_ - base.samples, between(base.at, now));
  if (current <= 0) return std::nullopt;
  return seconds(static_cast<double>(plan_.total_samples() - samples_done_) / current);
}

} // namespace troupe::scheduler
