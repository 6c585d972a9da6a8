#include "troupe/random.hpp"

#include "refusal.hpp"
#include "troupe/tensor/permutation.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

using namespace troupe::tensor;

TEST_CASE("mix gives the published first output of SplitMix64") {
  CHECK(mix(1234567) == 6457827717110365317u);
}

TEST_CASE("RANDOM-1: the generator repeats known sequences") {
  generator bits(1);
  CHECK(bits() == 12966619160104079557u);
  CHECK(bits() == 9600361134598540522u);
  CHECK(bits() == 10590380919521690900u);
  generator stream(1, 1);
  CHECK(stream() == 5973399259957038996u);
  generator below(7);
  std::vector<std::uint64_t> small(8);
  for (auto& x : small) x = below.below(10);
  CHECK(small == std::vector<std::uint64_t>{7, 2, 8, 9, 9, 8, 0, 1});
}

TEST_CASE("RANDOM-1: normal values are the same bits everywhere") {
  generator random(3);
  std::uint64_t hash = 0;
  for (int i = 0; i < 1000; ++i) {
    const double x = random.normal();
    std::uint64_t bits = 0;
    std::memcpy(&bits, &x, sizeof bits);
    hash = mix(hash ^ bits);
  }
  CHECK(hash == 15954102627641213645u);
}

TEST_CASE("uniform values lie between 0 and 1 with the right mean, normal values have variance 1") {
  generator random(11);
  constexpr int n = 100'000;
  double sum = 0;
  double normal_sum = 0;
  double normal_square = 0;
  double normal_tail = 0;
  bool inside = true;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform();
    inside = inside && u >= 0 && u < 1;
    sum += u;
    const double z = random.normal();
    normal_sum += z;
    normal_square += z * z;
    normal_tail += std::abs(z) > 1.959964;
  }
  CHECK(inside);
  CHECK(std::abs(sum / n - 0.5) <= 0.005);
  CHECK(std::abs(normal_sum / n) <= 0.02);
  CHECK(std::abs(normal_square / n - 1) <= 0.03);
  CHECK(std::abs(normal_tail / n - 0.05) <= 0.005);
}

TEST_CASE("below gives every value equally often, also where a plain remainder would not") {
  generator random(5);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts[random.below(7)];
  for (auto c : counts) CHECK(std::abs(c - 10'000) <= 400);
  CHECK(random.below(1) == 0);
  // 2^64 draws do not divide evenly into 3 * 2^62 values: without rejection every third value would
  // come twice as often.
  const std::uint64_t n = std::uint64_t{3} << 62;
  int thirds = 0;
  for (int i = 0; i < 30'000; ++i) thirds += random.below(n) % 3 == 0;
  CHECK(std::abs(thirds - 10'000) <= 500);
}

TEST_CASE("a permutation holds every position once") {
  for (std::size_t n : {0u, 1u, 2u, 3u, 17u, 1000u}) {
    auto order = permutation(n, 42, 3);
    std::sort(order.begin(), order.end());
    std::vector<std::uint32_t> identity(n);
    std::iota(identity.begin(), identity.end(), 0u);
    CHECK(order == identity);
  }
}

TEST_CASE("a permutation depends on seed and epoch and on nothing else") {
  const auto order = permutation(1000, 1, 0);
  CHECK(order == permutation(1000, 1, 0));
  CHECK(order != permutation(1000, 1, 1));
  CHECK(order != permutation(1000, 2, 0));
  CHECK(permutation(1000, 1, 1) != permutation(1000, 2, 0));
}

TEST_CASE("PERMUTATION-1: a permutation repeats known values") {
  CHECK(permutation(10, 1, 0) == std::vector<std::uint32_t>{9, 1, 2, 6, 7, 4, 0, 5, 8, 3});
  CHECK(permutation(10, 1, 1) == std::vector<std::uint32_t>{5, 7, 3, 6, 9, 2, 0, 8, 4, 1});
}

TEST_CASE("every first position is equally likely") {
  std::vector<int> counts(5);
  for (std::uint32_t epoch = 0; epoch < 10'000; ++epoch) ++counts[permutation(5, 9, epoch)[0]];
  for (auto c : counts) CHECK(std::abs(c - 2000) <= 200);
}

TEST_CASE("more samples than 32 bits can name are refused") {
  CHECK_THAT(refusal([] { permutation(std::size_t{1} << 32, 1, 0); }),
             Catch::Contains("at most 2^32 - 1"));
}
