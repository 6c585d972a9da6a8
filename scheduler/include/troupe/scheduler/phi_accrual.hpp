#pragma once

#include <chrono>
#include <cstddef>
#include <deque>

namespace troupe::scheduler {

/// Suspects a peer that has fallen silent: N. Hayashibara, X. Defago, R. Yared, T. Katayama, "The
/// phi accrual failure detector", SRDS 2004. The times between heartbeats are taken as normally
/// distributed; with F their distribution and t the silence less the acceptable pause,
///
///     phi(now) = -log10(1 - F(t)),
///
/// so that at phi = 8 a peer as regular as it was is wrongly suspected once in 10^8 looks.
///
/// PHI-1  Between two heartbeats phi never falls.
/// PHI-2  A silence of `mean + pause` has phi = log10(2), one of `mean + pause + z * deviation` has
///        phi = -log10(1 - F(z)) of the standard normal distribution.
/// PHI-3  The deviation taken is between `deviation_min` and `deviation_max` and the mean at most
///        `mean_max`, so that no history makes the detector blind: with the defaults, any silence
///        of 2.9 s is suspected, and no silence of 1.5 s after regular heartbeats.
/// PHI-4  Memory does not grow beyond `window` times.
class phi_accrual {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct options {
    double threshold = 8;
    std::size_t window = 100; ///< times between heartbeats that are remembered
    /// The first estimate: two times of mean `expected`, with a deviation of a quarter of it.
    duration expected = std::chrono::milliseconds(250);
    /// The acceptable pause: a busy machine keeps a process waiting for as long.
    duration pause = std::chrono::seconds(1);
    duration mean_max = std::chrono::milliseconds(500);
    duration deviation_min = std::chrono::milliseconds(100);
    duration deviation_max = std::chrono::milliseconds(240);
  };

  /// `begun` counts as the first heartbeat. Throws std::invalid_argument unless window >= 2,
  /// threshold > 0, pause >= 0, 0 < expected <= mean_max, and 0 < deviation_min <= deviation_max.
  phi_accrual(const options& o, time_point begun);

  /// A heartbeat. One older than the last is not an error: it counts as arriving with it.
  void heard(time_point now);

  /// 0 before the acceptable pause is over as good as always; infinity when the silence is too
  /// improbable for a double.
  double phi(time_point now) const;
  bool available(time_point now) const { return phi(now) < options_.threshold; }
  /// Since the last heartbeat; never negative.
  duration silence(time_point now) const;

  duration mean() const;      ///< as it is used: at most mean_max
  duration deviation() const; ///< as it is used: within its limits
  std::size_t remembered() const noexcept { return times_.size(); }

 private:
  void remember(double seconds);

  options options_;
  time_point last_;
  std::deque<double> times_; // seconds
};

} // namespace troupe::scheduler
