#include "troupe/random.hpp"

#include "troupe/tensor/permutation.hpp"
#include "troupe/values/error.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

namespace troupe::tensor {

namespace {

// log(x) for x in (0, 1), from operations IEEE 754 defines to the last bit: log(m * 2^e) is
// e * log(2) + 2 * atanh((m - 1) / (m + 1)). With m in [sqrt(1/2), sqrt(2)) the quotient stays
// below 0.172, and 11 terms of atanh's series reach double precision.
double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752440) {
    m *= 2;
    --exponent;
  }
  const double q = (m - 1) / (m + 1);
  const double q2 = q * q;
  double series = 0;
  for (int k = 21; k >= 1; k -= 2) series = series * q2 + 1.0 / k;
  return exponent * 0.69314718055994530942 + 2 * q * series;
}

} // namespace

generator::generator(std::uint64_t seed, std::uint64_t stream) noexcept {
  // SplitMix64's state moves by its odd constant, so mix(x + k * constant) are its outputs.
  auto x = stream == 0 ? seed : mix(seed) ^ mix(~stream);
  for (auto& word : state_) {
    word = mix(x);
    x += 0x9e3779b97f4a7c15u;
  }
}

std::uint64_t generator::operator()() noexcept {
  auto& s = state_;
  const auto result = std::rotl(s[1] * 5, 7) * 9;
  const auto t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return result;
}

double generator::uniform(double low, double high) noexcept {
  return low + (high - low) * uniform();
}

std::uint64_t generator::below(std::uint64_t n) noexcept {
  __extension__ using wide = unsigned __int128;
  auto product = static_cast<wide>((*this)()) * n;
  auto low = static_cast<std::uint64_t>(product);
  if (low < n) {
    const auto threshold = (0 - n) % n;
    while (low < threshold) {
      product = static_cast<wide>((*this)()) * n;
      low = static_cast<std::uint64_t>(product);
    }
  }
  return static_cast<std::uint64_t>(product >> 64);
}

double generator::normal() noexcept {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  double u = 0;
  double v = 0;
  double s = 0;
  do {
    u = 2 * uniform() - 1;
    v = 2 * uniform() - 1;
    s = u * u + v * v;
  } while (s >= 1 || s == 0);
  const double factor = std::sqrt(-2 * portable_log(s) / s);
  spare_ = v * factor;
  has_spare_ = true;
  return u * factor;
}

std::vector<std::uint32_t> permutation(std::size_t n, std::uint64_t seed, std::uint32_t epoch) {
  if (n > std::numeric_limits<std::uint32_t>::max())
    throw error("permutation",
                "at most 2^32 - 1 samples can be ordered, found " + std::to_string(n));
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  generator random(seed, std::uint64_t{epoch} + 1);
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

} // namespace troupe::tensor
