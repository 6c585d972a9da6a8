#include "troupe/scheduler/stall_watch.hpp"

#include <algorithm>
#include <utility>

namespace troupe::scheduler {

stall_watch::duration stall_watch::moved() {
  const auto was = std::exchange(still_, duration{});
  return std::exchange(told_, false) ? was : duration{};
}

stall_watch::alarm stall_watch::look(time_point now) {
  if (looked_at_ != time_point{}) still_ += std::min(now - looked_at_, options_.look);
  looked_at_ = now;
  if (options_.limit > duration{} && still_ >= options_.limit) return alarm::give_up;
  if (told_ || still_ < options_.tell_after) return alarm::none;
  told_ = true;
  return alarm::tell;
}

} // namespace troupe::scheduler
