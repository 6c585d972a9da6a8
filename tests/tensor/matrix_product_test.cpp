#include "matrix_product.hpp"

#include "close.hpp"
#include "troupe/tensor/random.hpp"

#include <catch2/catch.hpp>
#include <cstring>
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

} // namespace

TEMPLATE_TEST_CASE("all three products add what the definition says, at every size", "", float,
                   double) {
  generator random(1);
  product_memory<TestType> memory;
  const double unit = std::is_same_v<TestType, float> ? 1e-6 : 1e-15;
  for (std::size_t m : {0u, 1u, 3u, 16u, 65u})
    for (std::size_t n : {0u, 1u, 2u, 10u, 67u})
      for (std::size_t k : {0u, 1u, 5u, 64u, 301u}) {
        const auto a = numbers<TestType>(m * k, random);
        const auto b = numbers<TestType>(k * n, random);
        const auto before = numbers<TestType>(m * n, random);
        std::vector<double> right(before.begin(), before.end());
        for (std::size_t i = 0; i < m; ++i)
          for (std::size_t j = 0; j < n; ++j)
            for (std::size_t l = 0; l < k; ++l)
              right[i * n + j] += static_cast<double>(a[i * k + l]) * b[l * n + j];
        const auto tolerance = unit * static_cast<double>(k + 4);
        const product_size size{.rows = m, .columns = n, .depth = k};
        auto result = before;
        add_product(size, a.data(), b.data(), result.data(), memory);
        REQUIRE(close(result, right, tolerance));
        result = before;
        add_product_of_transposed(size, transposed(a, m).data(), b.data(), result.data(), memory);
        REQUIRE(close(result, right, tolerance));
        result = before;
        add_product_with_transposed(size, a.data(), transposed(b, k).data(), result.data(), memory);
        REQUIRE(close(result, right, tolerance));
      }
}

TEST_CASE("a product's bits do not depend on where its operands lie") {
  generator random(2);
  constexpr std::size_t m = 33, n = 19, k = 70;
  const auto a = numbers<float>(m * k, random);
  const auto b = numbers<float>(k * n, random);
  std::vector<float> first;
  for (std::size_t shift : {0u, 1u, 3u, 9u}) {
    std::vector<float> moved_a(shift), moved_b(shift + 2), result(m * n + shift);
    moved_a.insert(moved_a.end(), a.begin(), a.end());
    moved_b.insert(moved_b.end(), b.begin(), b.end());
    product_memory<float> memory;
    add_product({.rows = m, .columns = n, .depth = k}, moved_a.data() + shift,
                moved_b.data() + shift + 2, result.data() + shift, memory);
    result.erase(result.begin(), result.begin() + static_cast<std::ptrdiff_t>(shift));
    if (first.empty()) first = result;
    CHECK(std::memcmp(first.data(), result.data(), m * n * sizeof(float)) == 0);
  }
}
