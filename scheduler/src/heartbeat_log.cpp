#include "troupe/scheduler/heartbeat_log.hpp"

#include <iterator>
#include <utility>

namespace troupe::scheduler {

auto heartbeat_log::next(time_point now) -> order {
  if (ended_) return {};
  const auto silence = awake_.look(now) - seen_;
  if (silence >= options_.patience) {
    ended_ = true;
    return {.what = order::kind::give_up, .silence = silence};
  }
  sent_[++number_] = now;
  if (sent_.size() > unanswered_max) sent_.erase(sent_.begin());
  return {.what = order::kind::beat, .number = number_};
}

auto heartbeat_log::answered(std::uint64_t number, time_point now) -> std::optional<time_point> {
  seen_ = awake_.look(now);
  const auto sent = sent_.find(number);
  if (sent == sent_.end()) return std::nullopt;
  const auto at = sent->second;
  sent_.erase(sent_.begin(), std::next(sent));
  return at;
}

bool heartbeat_log::end() noexcept { return !std::exchange(ended_, true); }

} // namespace troupe::scheduler
