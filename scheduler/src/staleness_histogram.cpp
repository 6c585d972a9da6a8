#include "troupe/values/staleness_histogram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace troupe::scheduler {

namespace {

[[noreturn]] void fail(const std::string& reason) {
  throw std::invalid_argument("[troupe::scheduler::staleness_histogram] " + reason);
}

} // namespace

staleness_histogram::staleness_histogram(const content& c) : content_(c) {
  // 128 bits: content from a damaged file or message must not wrap around into something plausible.
  using wide = unsigned __int128;
  wide pulls = 0;
  wide exact_sum = 0;
  clock_value highest = 0;
  for (std::size_t i = 0; i < exact_buckets; ++i) {
    pulls += c.buckets[i];
    exact_sum += wide{c.buckets[i]} * i;
    if (c.buckets[i] > 0) highest = i;
  }
  const wide above = c.buckets[exact_buckets];
  pulls += above;
  if (pulls > std::numeric_limits<std::uint64_t>::max()) fail("expected fewer than 2^64 pulls");
  if (above == 0 && (c.max != highest || exact_sum != c.sum))
    fail("expected sum and maximum to match the buckets, found sum " + std::to_string(c.sum) +
         " and maximum " + std::to_string(c.max));
  if (above > 0) {
    // One pull is at the maximum, each other of the last bucket between its lower edge and that.
    const wide least = exact_sum + (above - 1) * exact_buckets + c.max;
    const wide most = exact_sum + above * c.max;
    if (c.max < exact_buckets || c.sum < least || c.sum > most)
      fail("expected sum and maximum to match the buckets, found sum " + std::to_string(c.sum) +
           " and maximum " + std::to_string(c.max));
  }
  pulls_ = static_cast<std::uint64_t>(pulls);
}

void staleness_histogram::add(clock_value staleness, std::uint64_t count) noexcept {
  if (count == 0) return;
  content_.buckets[std::min<clock_value>(staleness, exact_buckets)] += count;
  content_.sum += staleness * count;
  content_.max = std::max(content_.max, staleness);
  pulls_ += count;
}

void staleness_histogram::merge(const staleness_histogram& other) noexcept {
  for (std::size_t i = 0; i < content_.buckets.size(); ++i)
    content_.buckets[i] += other.content_.buckets[i];
  content_.sum += other.content_.sum;
  content_.max = std::max(content_.max, other.content_.max);
  pulls_ += other.pulls_;
}

double staleness_histogram::mean() const noexcept {
  return pulls_ == 0 ? 0 : static_cast<double>(content_.sum) / static_cast<double>(pulls_);
}

clock_value staleness_histogram::quantile(double q) const {
  if (!(q >= 0 && q <= 1)) fail("expected a quantile in [0, 1], found " + std::to_string(q));
  const double wanted = q * static_cast<double>(pulls_);
  std::uint64_t covered = 0;
  for (std::size_t i = 0; i < exact_buckets; ++i) {
    covered += content_.buckets[i];
    if (content_.buckets[i] > 0 && static_cast<double>(covered) >= wanted) return i;
  }
  return content_.max;
}

} // namespace troupe::scheduler
