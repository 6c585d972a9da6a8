#include "troupe/scheduler/phi_accrual.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

namespace troupe::scheduler {

namespace {

using seconds = std::chrono::duration<double>;

phi_accrual::duration rounded(double s) {
  return std::chrono::round<phi_accrual::duration>(seconds(s));
}

} // namespace

phi_accrual::phi_accrual(const options& o, time_point begun) : options_(o), last_(begun) {
  const duration zero{};
  if (o.window < 2 || !(o.threshold > 0) || o.pause < zero || o.expected <= zero ||
      o.expected > o.mean_max || o.deviation_min <= zero || o.deviation_min > o.deviation_max)
    throw std::invalid_argument("[troupe::scheduler::phi_accrual] an option is out of its range");
  const double expected = seconds(o.expected).count();
  remember(expected * 0.75);
  remember(expected * 1.25);
}

void phi_accrual::remember(double seconds) {
  if (times_.size() == options_.window) times_.pop_front();
  times_.push_back(seconds);
}

void phi_accrual::heard(time_point now) {
  remember(seconds(silence(now)).count());
  last_ = std::max(last_, now);
}

phi_accrual::duration phi_accrual::silence(time_point now) const {
  return std::max(now - last_, duration{});
}

// The sums are taken anew each time: they are few, and no rounding error adds up.
phi_accrual::duration phi_accrual::mean() const {
  double sum = 0;
  for (double t : times_) sum += t;
  return std::min(rounded(sum / static_cast<double>(times_.size())), options_.mean_max);
}

phi_accrual::duration phi_accrual::deviation() const {
  const double n = static_cast<double>(times_.size());
  double sum = 0, squares = 0;
  for (double t : times_) sum += t;
  for (double t : times_) squares += (t - sum / n) * (t - sum / n);
  return std::clamp(rounded(std::sqrt(squares / n)), options_.deviation_min,
                    options_.deviation_max);
}

double phi_accrual::phi(time_point now) const {
  const double z = seconds(silence(now) - options_.pause - mean()) / seconds(deviation());
  // The upper tail by itself: 1 - F would be 0 from phi = 16 on.
  return std::max(0.0, -std::log10(0.5 * std::erfc(z / std::numbers::sqrt2)));
}

} // namespace troupe::scheduler
