#include "troupe/tensor/digits.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

using namespace troupe::tensor;

TEST_CASE(
    "DIGITS-1: a sample depends on seed and number, so a longer set begins with the shorter") {
  const auto few = make_digits(7, 3);
  const auto many = make_digits(20, 3);
  const auto other = make_digits(7, 4);
  const auto f = few.all().features;
  CHECK(std::equal(f.begin(), f.end(), many.all().features.begin()));
  CHECK(std::equal(few.all().labels.begin(), few.all().labels.end(), many.all().labels.begin()));
  CHECK_FALSE(std::equal(f.begin(), f.end(), other.all().features.begin()));
}

TEST_CASE("generated digits are grey images of ten classes, each with ink on it") {
  const auto data = make_digits(500, 1);
  CHECK(data.size() == 500);
  CHECK(data.feature_count() == 28 * 28);
  CHECK(data.class_count() == 10);
  CHECK(data.suggested_normalization() == normalization_kind::global);
  std::vector<int> counts(10);
  for (auto label : data.all().labels) ++counts[static_cast<std::size_t>(label)];
  for (auto c : counts) CHECK(c >= 25);
  bool quantized = true;
  for (auto x : data.all().features)
    quantized = quantized && x >= 0 && x <= 1 && x == std::round(x * 255) / 255.0f;
  CHECK(quantized);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto image = data.view(i, 1).features;
    const auto bright =
        std::count_if(image.begin(), image.end(), [](float x) { return x > 0.45f; });
    CHECK(bright >= 12);
    CHECK(bright <= 350);
  }
}

TEST_CASE("no digits can be asked for") { CHECK(make_digits(0, 1).size() == 0); }
