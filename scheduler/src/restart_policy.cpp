#include "troupe/values/restart_policy.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace troupe::scheduler {

namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& reason) {
  throw std::invalid_argument("[troupe::scheduler::" + where + "] " + reason);
}

} // namespace

restart_intensity::restart_intensity(options o) : options_(o) {
  if (options_.period <= duration::zero())
    refuse("restart_intensity", "expected a period above zero");
}

bool restart_intensity::admit(time_point now) {
  if (!times_.empty()) now = std::max(now, times_.back());
  while (!times_.empty() && now - times_.front() > options_.period) times_.pop_front();
  times_.push_back(now);
  const bool admitted = times_.size() <= options_.restarts;
  if (times_.size() > std::size_t{options_.restarts} + 1) times_.pop_front();
  return admitted;
}

restart_backoff::restart_backoff(options o) : options_(o) {
  if (options_.first < duration::zero() || options_.first > options_.max)
    refuse("restart_backoff", "expected a first delay of at least 0 and at most the longest");
  if (!(options_.jitter >= 0 && options_.jitter <= 1))
    refuse("restart_backoff",
           "expected a jitter between 0 and 1, found " + std::to_string(options_.jitter));
  if (options_.quiet <= duration::zero())
    refuse("restart_backoff", "expected a quiet period above zero");
}

restart_backoff::duration restart_backoff::next(time_point now, const random& draw) {
  const double u = draw();
  if (!(u >= 0 && u <= 1))
    refuse("restart_backoff", "expected a number between 0 and 1, drew " + std::to_string(u));
  if (row_ > 0 && now - back_at_ >= options_.quiet) row_ = 0;
  if (row_ == 0)
    whole_ = options_.first;
  else // halves are compared: the double of a long delay may not be a number of ticks any more
    whole_ = whole_ > options_.max / 2 ? options_.max : whole_ * 2;
  if (row_ < std::numeric_limits<std::uint32_t>::max()) ++row_;
  const auto taken_off = duration(
      static_cast<duration::rep>(static_cast<double>(whole_.count()) * options_.jitter * u));
  const auto delay = std::clamp(whole_ - taken_off, duration::zero(), options_.max);
  back_at_ = now + delay;
  return delay;
}

} // namespace troupe::scheduler
