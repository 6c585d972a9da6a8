#include "elementwise.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

using namespace troupe::tensor;

namespace {

/// Every bfloat16 there is, by its bits: numbers, zeros, infinities and all NaNs.
std::vector<std::uint16_t> every_bfloat16() {
  std::vector<std::uint16_t> all(0x10000);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  return all;
}

std::vector<float> widened(const std::vector<std::uint16_t>& values) {
  std::vector<float> result;
  for (std::uint32_t x : values) result.push_back(std::bit_cast<float>(x << 16));
  return result;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

} // namespace

TEST_CASE("relu and its derivative do to every bfloat16 what they do to its float32") {
  const auto all = every_bfloat16();
  auto y = all;
  auto expected = widened(all);
  relu_in_place(y.data(), y.size());
  relu_in_place(expected.data(), expected.size());
  CHECK(same_bits(widened(y), expected));
  CHECK(std::isnan(widened(y)[0xffc0]));

  std::vector<std::uint16_t> delta(all.size(), 0xc2f7);
  auto expected_delta = widened(delta);
  multiply_relu_derivative(all.data(), delta.data(), delta.size());
  multiply_relu_derivative(widened(all).data(), expected_delta.data(), expected_delta.size());
  CHECK(same_bits(widened(delta), expected_delta));
}

TEST_CASE("bfloat16 values are added to float32 sums") {
  for (std::size_t n : {0u, 1u, 33u}) {
    std::vector<std::uint16_t> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<std::uint16_t>(0x3f80 + i);
    std::vector<float> sums(n + 1, 1 / 3.0f), expected = sums;
    add_to(sums.data(), values.data(), n);
    add_to(expected.data(), widened(values).data(), n);
    CHECK(same_bits(sums, expected));
    CHECK(sums[n] == 1 / 3.0f);
  }
}
