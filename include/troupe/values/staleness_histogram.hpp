#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// How stale the parameters of a run's pulls were, in clocks. A value of fixed size: copy, merge,
/// send.
///
/// HISTOGRAM-1  Counts, mean and maximum are exact for any staleness.
/// HISTOGRAM-2  Merging is commutative and associative, and equals having added everything to one.
class staleness_histogram {
 public:
  /// Staleness 0 .. exact_buckets - 1 has a bucket each; everything above shares the last one.
  static constexpr std::size_t exact_buckets = 32;
  using bucket_array = std::array<std::uint64_t, exact_buckets + 1>;

  /// The whole content, for serialization.
  struct content {
    bucket_array buckets{};
    std::uint64_t sum = 0; ///< of all staleness values
    clock_value max = 0;
    friend bool operator==(const content&, const content&) = default;
  };

  staleness_histogram() = default;
  /// Throws std::invalid_argument when no series of `add` leads to this content.
  explicit staleness_histogram(const content& c);

  void add(clock_value staleness, std::uint64_t count = 1) noexcept;
  void merge(const staleness_histogram& other) noexcept;

  /// Number of pulls added.
  std::uint64_t pulls() const noexcept { return pulls_; }
  bool empty() const noexcept { return pulls_ == 0; }
  /// 0 when empty.
  double mean() const noexcept;
  clock_value max() const noexcept { return content_.max; }
  /// The lowest staleness that at least a share `q` of the pulls does not exceed, q in [0, 1];
  /// 0 when empty. A quantile beyond the exact buckets is given as max(), an upper limit of it.
  /// Throws std::invalid_argument for a `q` outside.
  clock_value quantile(double q) const;
  /// Pulls by staleness; the last bucket is everything from exact_buckets up.
  const bucket_array& buckets() const noexcept { return content_.buckets; }
  const content& contents() const noexcept { return content_; }

  friend bool operator==(const staleness_histogram&, const staleness_histogram&) = default;

 private:
  content content_;
  std::uint64_t pulls_ = 0; // sum of the buckets
};

} // namespace troupe::scheduler
