#include "troupe/scheduler/checkpoint_schedule.hpp"

#include <algorithm>
#include <utility>

#include "troupe/scheduler/step_plan.hpp"

namespace troupe::scheduler {

void checkpoint_schedule::count_from(std::uint64_t next_number) {
  next_number_ = std::max(next_number_, next_number);
}

void checkpoint_schedule::begin(std::uint64_t batches_done, time_point now) {
  marked_at_ = now;
  marked_batches_ = batches_done;
}

checkpoint_schedule::action checkpoint_schedule::look(std::uint64_t batches_done, time_point now) {
  if (!options_.kept || resting()) return action::none;
  if (opened()) return now - marked_at_ >= options_.patience ? action::give_up : action::none;
  const auto batches = batches_done - marked_batches_;
  const std::chrono::duration<double> since = now - marked_at_;
  const bool due =
      demanded_ || (options_.every_batches > 0 && batches >= options_.every_batches) ||
      (options_.every_seconds > 0 && since.count() >= options_.every_seconds && batches > 0);
  if (!due) return action::none;
  if (mode_.in_place()) state_ = waiting_for_rest{};
  return action::take;
}

std::optional<std::uint64_t>
checkpoint_schedule::step_for(std::optional<batch_id> first_new) const {
  const auto group = mode_.batches_per_step();
  if (!group) return 0;
  step_plan steps{plan_, *group};
  if (!first_new || steps.step_of(*first_new) + 1 >= steps.total_steps()) return std::nullopt;
  return steps.step_of(*first_new) + 1;
}

std::uint64_t checkpoint_schedule::step_at_rest(std::optional<batch_id> first_new) const {
  const auto group = mode_.batches_per_step();
  if (!group) return 0;
  const step_plan steps{plan_, *group};
  return first_new ? steps.step_of(*first_new) : steps.total_steps();
}

std::uint64_t checkpoint_schedule::open(std::uint64_t batches_done, time_point now) {
  const auto number = next_number_++;
  state_ = open_one{number, resting()};
  demanded_ = false;
  begin(batches_done, now);
  return number;
}

std::optional<std::uint64_t> checkpoint_schedule::opened() const {
  const auto* open = std::get_if<open_one>(&state_);
  return open != nullptr ? std::optional{open->number} : std::nullopt;
}

bool checkpoint_schedule::resting() const {
  const auto* open = std::get_if<open_one>(&state_);
  return open != nullptr ? open->resting : std::holds_alternative<waiting_for_rest>(state_);
}

bool checkpoint_schedule::images_arrived(std::uint64_t number) {
  auto* open = std::get_if<open_one>(&state_);
  if (open == nullptr || open->number != number) return false;
  return std::exchange(open->resting, false);
}

bool checkpoint_schedule::ended(std::uint64_t number) {
  if (opened() != number) return false;
  state_ = idle{};
  return true;
}

} // namespace troupe::scheduler
