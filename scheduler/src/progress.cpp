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

} // namespace

job_progress::job_progress(batch_plan plan) : plan_(std::move(plan)) {}

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
  if (epochs_.size() <= batch.epoch) epochs_.resize(std::size_t{batch.epoch} + 1);
  auto& epoch = epochs_[batch.epoch];
  ++epoch.batches;
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
  if (epoch.batches == plan_.batches_per_epoch()) {
    epoch.duration = between(last_epoch_end_, now);
    last_epoch_end_ = std::max(last_epoch_end_, now);
    while (current_epoch_ < plan_.epochs() && epoch_complete(current_epoch_)) ++current_epoch_;
  }
  return finite;
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
