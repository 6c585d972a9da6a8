#pragma once

#include <array>
#include <cstdint>

namespace troupe::tensor {

/// One step of SplitMix64 (Steele, Lea, Flood 2014; the constants of Vigna's public-domain
/// splitmix64.c) as a mixing function: different inputs give different, unrelated outputs.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// xoshiro256** 1.0 (Blackman and Vigna 2018, https://prng.di.unimi.it/xoshiro256starstar.c). Its
/// state is filled by SplitMix64, as its authors recommend.
///
/// RANDOM-1  Every member function gives the same sequence on every platform, with every compiler
///           and standard library. std::uniform_int_distribution, std::normal_distribution and
///           std::shuffle do not promise that, and a job must mean the same batches on every node.
///
/// One thread at a time may use a generator.
class generator {
 public:
  using result_type = std::uint64_t;

  /// Two streams of the same seed are independent of each other.
  explicit generator(std::uint64_t seed, std::uint64_t stream = 0) noexcept;

  /// Uniform over all 64-bit values.
  std::uint64_t operator()() noexcept;
  static constexpr std::uint64_t min() noexcept { return 0; }
  static constexpr std::uint64_t max() noexcept { return UINT64_MAX; }

  /// In [0, 1), a multiple of 2^-53.
  double uniform() noexcept { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }

  /// In [low, high).
  double uniform(double low, double high) noexcept;

  /// In [0, n), every value equally likely (Lemire 2019, "Fast Random Integer Generation in an
  /// Interval"). n must not be 0.
  std::uint64_t below(std::uint64_t n) noexcept;

  /// Normal with mean 0 and variance 1 (Marsaglia's polar method). The logarithm is computed here,
  /// because the C library's result differs between platforms in the last bit.
  double normal() noexcept;

 private:
  std::array<std::uint64_t, 4> state_;
  double spare_ = 0;
  bool has_spare_ = false;
};

} // namespace troupe::tensor
