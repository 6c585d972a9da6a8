#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

/// Numbers for randomized tests: splitmix64 (Steele, Lea, Flood 2014). Unlike the distributions of
/// <random>, the same on every standard library, so a failing seed fails everywhere.
class fixed_seed_generator {
 public:
  explicit fixed_seed_generator(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// 0 .. bound - 1; the bias of the remainder does not matter here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

  template <class T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::uint64_t state_;
};
