#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// The staleness of the parameters of a run's pulls, in clocks. A value of fixed size: copy, merge,
/// send. Not thread-safe.
///
/// HISTOGRAM-1  Counts, mean and maximum are exact for any staleness.
/// HISTOGRAM-2  Merging is commutative and associative, and gives the same as adding every pull to
///              one histogram.
class staleness_histogram {
 public:
  /// Staleness 0 .. exact_buckets - 1 has a bucket each; all higher values share the last bucket.
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
  /// Throws std::invalid_argument if no series of `add` leads to this content.
  explicit staleness_histogram(const content& c);

  void add(clock_value staleness, std::uint64_t count = 1) noexcept;
  void merge(const staleness_histogram& other) noexcept;

  /// Number of pulls added.
  std::uint64_t pulls() const noexcept { return pulls_; }
  bool empty() const noexcept { return pulls_ == 0; }
  /// 0 when empty.
  double mean() const noexcept;
  clock_value max() const noexcept { return content_.max; }
  /// The lowest staleness that a share `q` of the pulls or more does not exceed, q in [0, 1]; 0
  /// when empty. If the quantile lies beyond the exact buckets, the result is max(), an upper
  /// limit. Throws std::invalid_argument if `q` is outside [0, 1].
  clock_value quantile(double q) const;
  /// Number of pulls by staleness; the last bucket counts staleness exact_buckets and more.
  const bucket_array& buckets() const noexcept { return content_.buckets; }
  const content& contents() const noexcept { return content_; }

  friend bool operator==(const staleness_histogram&, const staleness_histogram&) = default;

 private:
  content content_;
  std::uint64_t pulls_ = 0; // sum of the buckets
};

} // namespace troupe::scheduler
