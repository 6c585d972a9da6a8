#include "matrix_product.hpp"

#include "close.hpp"
#include "troupe/random.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace troupe::tensor;

namespace {

template <class T>
std::vector<T> numbers(std::size_t n, generator& random) {
  std::vector<T> result(n);
  for (auto& x : result) x = static_cast<T>(random.normal());
  return result;
}

template <class T>
std::vector<T> transposed(const std::vector<T>& m, std::size_t rows) {
  const auto columns = rows == 0 ? 0 : m.size() / rows;
  std::vector<T> result(m.size());
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) result[j * rows + i] = m[i * columns + j];
  return result;
}

/// Every library of this build.
template <class T>
std::vector<std::unique_ptr<matrix_products<T>>> libraries() {
  std::vector<std::unique_ptr<matrix_products<T>>> result;
  result.push_back(make_eigen_products<T>());
  if constexpr (std::is_same_v<T, float>)
    if (auto onednn = make_onednn_products(precision::fp32)) result.push_back(std::move(onednn));
  return result;
}

/// What the definition says, in double precision.
template <class T>
std::vector<double> right_product(product_size size, const std::vector<T>& a,
                                  const std::vector<T>& b, const std::vector<T>& bias) {
  const auto [m, n, k] = size;
  std::vector<double> result(m * n);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t l = 0; l < k; ++l)
        result[i * n + j] += static_cast<double>(a[i * k + l]) * static_cast<double>(b[l * n + j]);
      if (!bias.empty()) result[i * n + j] += static_cast<double>(bias[j]);
    }
  return result;
}

} // namespace

TEMPLATE_TEST_CASE("all products of every library are what the definition says, at every size", "",
                   float, double) {
  for (const auto& library : libraries<TestType>()) {
    INFO(library->name());
    generator random(1);
    const double unit = std::is_same_v<TestType, float> ? 1e-6 : 1e-15;
    for (std::size_t m : {0u, 1u, 3u, 16u, 65u})
      for (std::size_t n : {0u, 1u, 2u, 10u, 67u})
        for (std::size_t k : {0u, 1u, 5u, 64u, 301u}) {
          const product_size size{.rows = m, .columns = n, .depth = k};
          const auto a = numbers<TestType>(m * k, random);
          const auto b = numbers<TestType>(k * n, random);
          const auto bias = numbers<TestType>(n, random);
          const auto biased = right_product(size, a, b, bias);
          const auto plain = right_product(size, a, b, {});
          const auto tolerance = unit * static_cast<double>(k + 4);
          const std::vector<TestType> garbage(m * n, TestType(77)); // is overwritten
          auto result = garbage;
          library->multiply(size, {a.data()}, {b.data()}, bias.data(), result.data());
          REQUIRE(close(result, biased, tolerance));
          result = garbage;
          library->multiply(size, {a.data()}, {b.data()}, nullptr, result.data());
          REQUIRE(close(result, plain, tolerance));
          result = garbage;
          library->multiply_transposed(size, {transposed(a, m).data()}, {b.data()}, result.data());
          REQUIRE(close(result, plain, tolerance));
          result = garbage;
          library->multiply_by_transposed(size, {a.data()}, {transposed(b, k).data()},
                                          result.data());
          REQUIRE(close(result, plain, tolerance));
        }
  }
}

TEST_CASE("PRODUCT-1: a product's bits do not depend on where its operands lie") {
  for (const auto& library : libraries<float>()) {
    INFO(library->name());
    generator random(2);
    // Odd, and such as a model has: libraries take other code for either.
    for (const auto [m, n, k] : {product_size{33, 19, 70}, product_size{64, 128, 256}}) {
      const product_size size{m, n, k};
      const auto a = numbers<float>(m * k, random);
      const auto b = numbers<float>(k * n, random);
      const auto bias = numbers<float>(n, random);
      std::vector<float> first[3];
      for (std::size_t shift : {0u, 1u, 3u, 9u, 16u}) {
        const auto moved = [&](const std::vector<float>& values, std::size_t by) {
          std::vector<float> result(by);
          result.insert(result.end(), values.begin(), values.end());
          return result;
        };
        const auto moved_a = moved(a, shift), moved_b = moved(b, shift + 2);
        const auto moved_bias = moved(bias, shift + 1);
        for (int which : {0, 1, 2}) {
          std::vector<float> result(m * n + shift);
          const auto* x = moved_a.data() + shift;
          const auto* y = moved_b.data() + shift + 2;
          auto* to = result.data() + shift;
          if (which == 0) library->multiply(size, {x}, {y}, moved_bias.data() + shift + 1, to);
          if (which == 1) library->multiply_transposed(size, {x}, {y}, to);
          if (which == 2) library->multiply_by_transposed(size, {x}, {y}, to);
          result.erase(result.begin(), result.begin() + static_cast<std::ptrdiff_t>(shift));
          if (first[which].empty()) first[which] = result;
          CHECK(std::memcmp(first[which].data(), result.data(), m * n * sizeof(float)) == 0);
        }
      }
    }
  }
}

namespace {

/// The nearest bfloat16, ties to even, by the definition.
float rounded(float x) {
  if (std::isnan(x)) return x;
  auto bits = std::bit_cast<std::uint32_t>(x);
  bits += 0x7fffu + (bits >> 16 & 1);
  return std::bit_cast<float>(bits & 0xffff0000u);
}

} // namespace

TEST_CASE("bf16: products of rounded factors, summed in float32") {
  if (!supports(precision::bf16)) {
    CHECK_THROWS_AS(make_products<float>(precision::bf16), error);
    WARN("skipped: no bfloat16 on this processor or in this build");
    return;
  }
  const auto library = make_products<float>(precision::bf16);
  generator random(3);
  factor_memory memory[4];
  for (std::size_t m : {1u, 3u, 64u})
    for (std::size_t n : {1u, 10u, 67u})
      for (std::size_t k : {1u, 2u, 65u, 300u}) {
        const product_size size{.rows = m, .columns = n, .depth = k};
        const auto a = numbers<float>(m * k, random);
        const auto b = numbers<float>(k * n, random);
        const auto bias = numbers<float>(n, random);
        auto rounded_a = a, rounded_b = b;
        for (auto& x : rounded_a) x = rounded(x);
        for (auto& x : rounded_b) x = rounded(x);
        const auto biased = right_product(size, rounded_a, rounded_b, bias);
        const auto plain = right_product(size, rounded_a, rounded_b, {});
        const auto tolerance = 1e-6 * static_cast<double>(k + 4);
        const auto ta = transposed(a, m), tb = transposed(b, k);
        const auto fa = library->factor_of(a.data(), a.size(), memory[0]);
        const auto fb = library->factor_of(b.data(), b.size(), memory[1]);
        const auto fta = library->factor_of(ta.data(), ta.size(), memory[2]);
        const auto ftb = library->factor_of(tb.data(), tb.size(), memory[3]);
        std::vector<float> result(m * n, 77.0f);
        library->multiply(size, fa, fb, bias.data(), result.data());
        REQUIRE(close(result, biased, tolerance));
        library->multiply_transposed(size, fta, fb, result.data());
        REQUIRE(close(result, plain, tolerance));
        library->multiply_by_transposed(size, fa, ftb, result.data());
        REQUIRE(close(result, plain, tolerance));
        // Rounded once more, into other memory, and the float32 result is left alone.
        factor_memory to(m * n);
        const auto check_rounded = [&](const std::vector<double>& expected) {
          for (std::size_t i = 0; i < m * n; ++i) {
            const double found = std::bit_cast<float>(std::uint32_t{to[i]} << 16);
            REQUIRE(std::abs(found - expected[i]) <= std::abs(expected[i]) / 256 + tolerance);
          }
          std::fill(to.begin(), to.end(), std::uint16_t(0x4242));
        };
        library->multiply(size, fa, fb, bias.data(), product_result<float>(to.data()));
        check_rounded(biased);
        library->multiply_transposed(size, fta, fb, product_result<float>(to.data()));
        check_rounded(plain);
        library->multiply_by_transposed(size, fa, ftb, product_result<float>(to.data()));
        check_rounded(plain);
      }
  // Nothing to sum.
  const std::vector<float> bias{1.5f, -3};
  factor_memory to(4, 0x4242);
  library->multiply({2, 2, 0}, {}, {}, bias.data(), product_result<float>(to.data()));
  CHECK((to == factor_memory{0x3fc0, 0xc040, 0x3fc0, 0xc040}));
  library->multiply({2, 2, 0}, {}, {}, nullptr, product_result<float>(to.data()));
  CHECK((to == factor_memory(4)));
  // Beyond what bfloat16 can hold, and what is no number.
  const std::vector<float> odd{3.4e38f, std::numeric_limits<float>::infinity(), -2.0f,
                               std::bit_cast<float>(0x7f800001u)};
  const std::vector<float> one{1};
  std::vector<float> result(4);
  library->multiply({4, 1, 1}, library->factor_of(odd.data(), 4, memory[0]),
                    library->factor_of(one.data(), 1, memory[1]), nullptr, result.data());
  CHECK(result[0] == std::numeric_limits<float>::infinity());
  CHECK(result[1] == std::numeric_limits<float>::infinity());
  CHECK(result[2] == -2.0f);
  CHECK(std::isnan(result[3]));
}

// Of oneDNN's OpenMP runtime, where there is one.
extern "C" {
__attribute__((weak)) int omp_get_max_threads();
__attribute__((weak)) void omp_set_num_threads(int);
}

TEST_CASE("PRODUCT-1: products start no threads, and leave an embedding program its own number") {
  if (omp_set_num_threads == nullptr) {
    CHECK(std::string_view(make_products<float>(precision::fp32)->name()) == "Eigen");
    return;
  }
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  generator random(4);
  const product_size size{.rows = 128, .columns = 512, .depth = 512};
  const auto a = numbers<float>(size.rows * size.depth, random);
  const auto b = numbers<float>(size.depth * size.columns, random);
  const auto multiply = [&](int allowed) {
    omp_set_num_threads(allowed);
    std::vector<float> result(size.rows * size.columns);
    make_products<float>(precision::fp32)
        ->multiply(size, {a.data()}, {b.data()}, nullptr, result.data());
    CHECK(omp_get_max_threads() == allowed);
    return result;
  };
  const auto kept = omp_get_max_threads();
  const auto before = threads();
  const auto with_one = multiply(1);
  const auto with_four = multiply(4);
  CHECK(threads() == before);
  CHECK(std::memcmp(with_one.data(), with_four.data(), with_one.size() * sizeof(float)) == 0);
  omp_set_num_threads(kept);
}
