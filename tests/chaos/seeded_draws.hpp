#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

namespace troupe::chaos_test {

/// The one source of chance of a run: the same draws for the same seed with every standard library,
/// whose distributions differ.
class seeded_draws {
 public:
  explicit seeded_draws(std::uint64_t seed) : engine_(seed) {}

  /// 0 to n - 1; `n` is not 0.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
  std::chrono::milliseconds between(std::chrono::milliseconds low, std::chrono::milliseconds high) {
    const auto width = static_cast<std::size_t>((high - low).count()) + 1;
    return low + std::chrono::milliseconds(below(width));
  }
  template <class T>
  const T& one_of(const std::vector<T>& values) {
    return values[below(values.size())];
  }

 private:
  std::mt19937_64 engine_;
};

} // namespace troupe::chaos_test
