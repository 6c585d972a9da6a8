#include "troupe/scheduler/step_plan.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace troupe::scheduler {

namespace {

[[noreturn]] void fail(const std::string& reason) {
  throw std::invalid_argument("[troupe::scheduler::step_plan] " + reason);
}

} // namespace

step_plan::step_plan(batch_plan plan, std::uint32_t batches_per_step)
    : plan_(std::move(plan)), batches_per_step_(batches_per_step) {
  if (batches_per_step == 0) fail("expected at least one batch in a step, found 0");
  steps_per_epoch_ = (plan_.batches_per_epoch() - 1) / batches_per_step + 1;
}

void step_plan::check_step(std::uint64_t step) const {
  if (step >= total_steps())
    fail("expected a step below " + std::to_string(total_steps()) + ", found " +
         std::to_string(step));
}

std::uint64_t step_plan::step_of(batch_id id) const {
  if (!plan_.contains(id)) fail("expected a batch of the job, found " + to_string(id));
  return std::uint64_t{id.epoch} * steps_per_epoch_ + id.index / batches_per_step_;
}

batch_id step_plan::first_batch(std::uint64_t step) const {
  check_step(step);
  return {.epoch = static_cast<std::uint32_t>(step / steps_per_epoch_),
          .index = static_cast<std::uint32_t>(step % steps_per_epoch_) * batches_per_step_};
}

std::uint32_t step_plan::batch_count(std::uint64_t step) const {
  return std::min(batches_per_step_, plan_.batches_per_epoch() - first_batch(step).index);
}

std::vector<batch_id> step_plan::batches_in(std::uint64_t step) const {
  std::vector<batch_id> result;
  auto batch = first_batch(step);
  for (auto left = batch_count(step); left > 0; --left, ++batch.index) result.push_back(batch);
  return result;
}

std::uint64_t step_plan::samples_in(std::uint64_t step) const {
  const auto first = first_batch(step);
  const auto from = plan_.first_position(first);
  const auto last = batch_id{.epoch = first.epoch, .index = first.index + batch_count(step) - 1};
  return plan_.first_position(last) + plan_.samples_in(last) - from;
}

std::uint64_t step_plan::last_step_of_epoch(std::uint32_t epoch) const {
  if (epoch >= plan_.epochs())
    fail("expected an epoch below " + std::to_string(plan_.epochs()) + ", found " +
         std::to_string(epoch));
  return std::uint64_t{epoch} * steps_per_epoch_ + steps_per_epoch_ - 1;
}

} // namespace troupe::scheduler
