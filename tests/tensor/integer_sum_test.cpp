#include "troupe/tensor/integer_sum.hpp"

#include "refusal.hpp"
#include "troupe/tensor/integers.hpp"
#include "troupe/tensor/optimizer.hpp"
#include "troupe/tensor/permutation.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace troupe::tensor;
using Catch::Contains;

TEST_CASE("make_integers numbers its samples") {
  const auto data = make_integers(5);
  CHECK(data.size() == 5);
  CHECK(data.feature_count() == 1);
  CHECK(data.target_count() == 1);
  CHECK(data.class_count() == 0);
  CHECK(data.view(3, 1).features[0] == 3.0f);
  CHECK(data.view(3, 1).targets[0] == 0.0f);
  CHECK(data.suggested_normalization() == normalization_kind::none);
  CHECK(make_integers(0).size() == 0);
}

TEST_CASE("more samples than a float can number are refused") {
  CHECK_THAT(refusal([] { make_integers((std::size_t{1} << 24) + 1); }), Contains("2^24"));
}

TEST_CASE("shares are all of -3 to 3, about equally often") {
  std::vector<int> counts(7);
  for (std::uint64_t i = 0; i < 100; ++i)
    for (std::uint64_t j = 0; j < 70; ++j) {
      const int share = integer_share(i, j);
      REQUIRE(share >= -3);
      REQUIRE(share <= 3);
      ++counts[static_cast<std::size_t>(share + 3)];
    }
  for (auto c : counts) CHECK(std::abs(c - 1000) <= 150);
}

TEST_CASE("INTEGER-1: batches of any size in any order end in the expected sum") {
  constexpr std::size_t n = 101;
  const auto data = make_integers(n);
  const auto m = make_integer_sum(13);
  const sgd o({.learning_rate = 1});
  const auto expected = expected_sum(13, n);
  CHECK(expected[0] != 0); // an all-zero answer would prove nothing
  for (std::size_t batch : {std::size_t{1}, std::size_t{7}, n}) {
    std::vector<float> p(13, 9.0f), gradient(13, 9.0f);
    m->initialize(5, p);
    const auto order = permutation(n, 2, static_cast<std::uint32_t>(batch));
    batch_buffer buffer;
    for (std::size_t first = 0; first < n; first += batch) {
      const auto rows = std::span(order).subspan(first, std::min(batch, n - first));
      CHECK(m->loss_and_gradient(p, data.gather(rows, buffer), gradient) == 0);
      o.apply(p, gradient, {});
    }
    for (std::size_t j = 0; j < 13; ++j) CHECK(p[j] == -expected[j]);
  }
}

TEST_CASE("the expected sum is that of the published shares") {
  const auto sum = expected_sum(3, 10);
  for (std::size_t j = 0; j < 3; ++j) {
    int right = 0;
    for (std::size_t i = 0; i < 10; ++i) right += integer_share(i, j);
    CHECK(sum[j] == right);
  }
  CHECK(expected_sum(2, 0) == std::vector<double>{0, 0});
}

TEST_CASE("the integer model has no accuracy, loss 0 and zeros to predict") {
  const auto m = make_integer_sum(4);
  const auto data = make_integers(3);
  std::vector<float> p(4), outputs(3, 1.0f);
  const auto result = m->evaluate(p, data);
  CHECK(result.loss == 0);
  CHECK_FALSE(result.accuracy);
  CHECK(result.samples == 3);
  m->predict(p, data.all(), outputs);
  CHECK(outputs == std::vector<float>(3));
}

TEST_CASE("the integer model refuses data that are no sample numbers, and wrong sizes") {
  const auto m = make_integer_sum(2);
  std::vector<float> p(2), g(2), three(3);
  for (float feature : {0.5f, -1.0f, 3e7f}) {
    const batch_view batch{std::span(&feature, 1), 1, 1, {}, {}, 0};
    CHECK_THAT(refusal([&] { m->loss_and_gradient(p, batch, g); }),
               Contains("expected the sample's index"));
  }
  CHECK_THAT(refusal([&] { m->initialize(1, three); }), Contains("expected 2 parameters, found 3"));
  CHECK_THAT(refusal([] { make_integer_sum(0); }), Contains("at least one parameter"));
}

TEST_CASE("the integer gradient is final in quarters, the last first") {
  const auto data = make_integers(20);
  for (std::size_t n : {1u, 3u, 10u}) {
    const auto m = make_integer_sum(n);
    std::vector<float> p(n), expected(n), gradient(n, 99.0f);
    m->loss_and_gradient(p, data.view(3, 9), expected);
    std::size_t before = n;
    m->loss_and_streamed_gradient(p, data.view(3, 9), gradient, [&](std::size_t first) {
      CHECK((first > 0 && first < before));
      before = first;
      CHECK(std::equal(gradient.begin() + static_cast<std::ptrdiff_t>(first), gradient.end(),
                       expected.begin() + static_cast<std::ptrdiff_t>(first)));
    });
    CHECK(gradient == expected);
    CHECK((n == 1 || before < n));
  }
}
