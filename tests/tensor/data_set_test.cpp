#include "troupe/data_set.hpp"

#include "close.hpp"
#include "refusal.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <thread>

using namespace troupe::tensor;
using Catch::Contains;

namespace {

/// Sample i: features 10 i and 10 i + 1, label i mod 3.
data_set numbered(std::size_t n) {
  data_set::contents c;
  c.feature_count = 2;
  c.class_count = 3;
  for (std::size_t i = 0; i < n; ++i) {
    c.features.push_back(static_cast<float>(10 * i));
    c.features.push_back(static_cast<float>(10 * i + 1));
    c.labels.push_back(static_cast<std::int32_t>(i % 3));
  }
  return data_set(std::move(c));
}

template <class T>
std::vector<T> values(std::span<const T> s) {
  return {s.begin(), s.end()};
}

} // namespace

TEST_CASE("a view gives contiguous rows without copying") {
  const auto data = numbered(5);
  const auto v = data.view(1, 3);
  CHECK(v.rows == 3);
  CHECK(v.feature_count == 2);
  CHECK(values(v.features) == std::vector<float>{10, 11, 20, 21, 30, 31});
  CHECK(values(v.labels) == std::vector<std::int32_t>{1, 2, 0});
  CHECK(v.targets.empty());
  CHECK(v.features.data() == data.all().features.data() + 2);
  CHECK(data.view(5, 0).rows == 0);
  const auto copy = data;
  CHECK(copy.all().features.data() == data.all().features.data());
  CHECK_THAT(refusal([&] { data.view(4, 2); }), Contains("expected rows within 5, found 4 + 2"));
  CHECK_THAT(refusal([&] { data.view(1, SIZE_MAX); }), Contains("expected rows within 5"));
}

TEST_CASE("gather copies the named rows in their order") {
  const auto data = numbered(5);
  batch_buffer buffer;
  const std::vector<std::uint32_t> rows{4, 0, 4};
  const auto v = data.gather(rows, buffer);
  CHECK(v.rows == 3);
  CHECK(values(v.features) == std::vector<float>{40, 41, 0, 1, 40, 41});
  CHECK(values(v.labels) == std::vector<std::int32_t>{1, 0, 1});
  CHECK(reinterpret_cast<std::uintptr_t>(v.features.data()) % alignment == 0);
  const auto none = data.gather({}, buffer);
  CHECK(none.rows == 0);
  CHECK(none.features.empty());
  const std::vector<std::uint32_t> outside{0, 5};
  CHECK_THAT(refusal([&] { data.gather(outside, buffer); }), Contains("below 5, found 5"));
}

TEST_CASE("gather copies the targets of a regression") {
  const data_set data({.feature_count = 1,
                       .features = {1, 2, 3},
                       .labels = {},
                       .class_count = 0,
                       .targets = {10, 11, 20, 21, 30, 31},
                       .target_count = 2,
                       .feature_names = {"x"}});
  batch_buffer buffer;
  const std::vector<std::uint32_t> rows{2, 1};
  const auto v = data.gather(rows, buffer);
  CHECK(v.target_count == 2);
  CHECK(values(v.targets) == std::vector<float>{30, 31, 20, 21});
  CHECK(v.labels.empty());
}

TEST_CASE("an empty data set has no samples and no features") {
  const data_set data;
  CHECK(data.size() == 0);
  CHECK(data.feature_count() == 0);
  CHECK(data.all().rows == 0);
}

TEST_CASE("contents that do not agree are refused") {
  const auto reason = [](auto change) {
    data_set::contents c;
    c.feature_count = 2;
    c.features = {1, 2, 3, 4};
    c.class_count = 2;
    c.labels = {0, 1};
    change(c);
    return refusal([&] { data_set{c}; });
  };
  using contents = data_set::contents;
  CHECK(reason([](contents&) {}) == "nothing was thrown");
  CHECK_THAT(reason([](contents& c) { c.features.pop_back(); }), Contains("multiple of 2"));
  CHECK_THAT(reason([](contents& c) { c.feature_count = 0; }), Contains("feature_count of 0"));
  CHECK_THAT(reason([](contents& c) { c.labels.pop_back(); }), Contains("2 labels, found 1"));
  CHECK_THAT(reason([](contents& c) { c.labels[1] = 2; }),
             Contains("below 2, found 2 at sample 1"));
  CHECK_THAT(reason([](contents& c) { c.labels[0] = -1; }), Contains("found -1"));
  CHECK_THAT(reason([](contents& c) { c.target_count = 1; }), Contains("exclude each other"));
  CHECK_THAT(reason([](contents& c) { c.targets = {1}; }), Contains("0 target values, found 1"));
  CHECK_THAT(reason([](contents& c) { c.feature_names = {"a"}; }), Contains("2 feature names"));
  CHECK_THAT(reason([](contents& c) { c.bytes.assign(4, 1); }), Contains("both as floats and as"));
  CHECK_THAT(reason([](contents& c) { c.norm = {{1}, {2}}; }), Contains("but floats"));
  const auto of_bytes = [](contents& c) {
    c.bytes.assign(c.features.size(), 1);
    c.features.clear();
  };
  CHECK(reason(of_bytes) == "nothing was thrown");
  CHECK_THAT(reason([&](contents& c) {
               of_bytes(c);
               c.bytes.pop_back();
             }),
             Contains("multiple of 2"));
  CHECK_THAT(reason([&](contents& c) {
               of_bytes(c);
               c.norm = {{1, 2}, {1}};
             }),
             Contains("of 2 features, found 2 means and 1 scales"));
  CHECK_THAT(reason([&](contents& c) {
               of_bytes(c);
               c.norm = {{1, 2, 3}, {1, 2, 3}};
             }),
             Contains("of 2 features, found 3 means"));
}

TEST_CASE("a split gives every sample to exactly one side, and again the same") {
  for (std::size_t n : {1u, 2u, 3u, 101u}) {
    const auto data = numbered(n);
    const auto parts = split(data, 0.25, 7);
    CHECK(parts.held_out.size() == static_cast<std::size_t>(std::llround(0.25 * double(n))));
    CHECK(parts.train.size() + parts.held_out.size() == n);
    std::set<float> seen;
    for (const auto* part : {&parts.train, &parts.held_out})
      for (std::size_t i = 0; i < part->size(); ++i) {
        const auto row = part->view(i, 1);
        CHECK(row.features[1] == row.features[0] + 1);
        CHECK(row.labels[0] == static_cast<int>(row.features[0] / 10) % 3);
        seen.insert(row.features[0]);
      }
    CHECK(seen.size() == n);
    const auto again = split(data, 0.25, 7);
    CHECK(values(again.train.all().features) == values(parts.train.all().features));
  }
  const auto other = split(numbered(101), 0.25, 8);
  CHECK(values(other.train.all().features) !=
        values(split(numbered(101), 0.25, 7).train.all().features));
}

TEST_CASE("nothing may be held out, everything may not") {
  CHECK(split(numbered(3), 0, 1).held_out.size() == 0);
  for (double share : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THAT(refusal([&] { split(numbered(3), share, 1); }), Contains("held-out share"));
  CHECK_THAT(refusal([] { split(numbered(3), 0.99, 1); }), Contains("none to train on"));
  CHECK_THAT(refusal([] { split(data_set(), 0.5, 1); }), Contains("none to train on"));
}

TEST_CASE("the normalization is fitted on the training part and applied to both") {
  const auto parts = split(numbered(200), 0.5, 3, normalization_kind::per_feature);
  REQUIRE(parts.norm.mean.size() == 2);
  const auto train = parts.train.all().features;
  for (std::size_t j = 0; j < 2; ++j) {
    double sum = 0;
    double square = 0;
    for (std::size_t i = j; i < train.size(); i += 2) {
      sum += train[i];
      square += double(train[i]) * train[i];
    }
    CHECK(std::abs(sum / 100) <= 1e-5);
    CHECK(std::abs(square / 100 - 1) <= 1e-5);
  }
  const auto plain = split(numbered(200), 0.5, 3, normalization_kind::none);
  auto by_hand = values(plain.held_out.all().features);
  parts.norm.apply(by_hand);
  CHECK(by_hand == values(parts.held_out.all().features));
  CHECK(plain.norm == normalization{});
}

TEST_CASE(
    "a global normalization has one mean and one scale, and a constant feature keeps scale 1") {
  const data_set data({.feature_count = 2,
                       .features = {1, 5, 3, 5},
                       .labels = {},
                       .class_count = 0,
                       .targets = {},
                       .target_count = 0,
                       .feature_names = {}});
  const auto global = fit_normalization(data, normalization_kind::global);
  CHECK(global.mean == std::vector<float>{3.5f});
  CHECK(close(global.scale, std::vector<float>{1 / std::sqrt(2.75f)}, 1e-6));
  const auto each = fit_normalization(data, normalization_kind::per_feature);
  CHECK(each.mean == std::vector<float>{2, 5});
  CHECK(each.scale == std::vector<float>{1, 1});
  CHECK(values(normalized(data, each).all().features) == std::vector<float>{-1, 0, 1, 0});
  CHECK(fit_normalization(data_set(), normalization_kind::global) == normalization{});
}

TEST_CASE("a normalization that does not fit the features is refused") {
  std::vector<float> three{1, 2, 3};
  CHECK_THAT(refusal([&] {
               normalization{{0, 0}, {1, 1}}.apply(three);
             }),
             Contains("multiple of 2 features, found 3"));
  CHECK_THAT(refusal([&] { normalization{{0}, {}}.apply(three); }), Contains("found 0 and 1"));
  CHECK_THAT(refusal([&] {
               normalized(numbered(3), {{0, 0, 0}, {1, 1, 1}});
             }),
             Contains("normalization of 2 features, found 3"));
  CHECK(three == std::vector<float>{1, 2, 3});
}

namespace {

/// Every byte in every column of 17, in an order of its own, and the floats they stand for.
struct twins {
  data_set bytes, floats;
};

twins every_byte() {
  constexpr std::size_t width = 17;
  data_set::contents of_bytes, of_floats;
  of_bytes.feature_count = of_floats.feature_count = width;
  of_bytes.class_count = of_floats.class_count = 3;
  for (std::size_t i = 0; i < 256; ++i) {
    for (std::size_t j = 0; j < width; ++j) {
      of_bytes.bytes.push_back(static_cast<unsigned char>((i * (2 * j + 1) + j * j) % 256));
      of_floats.features.push_back(static_cast<float>(of_bytes.bytes.back()) / 255.0f);
    }
    of_bytes.labels.push_back(static_cast<std::int32_t>(i % 3));
  }
  of_floats.labels = of_bytes.labels;
  return {data_set(std::move(of_bytes)), data_set(std::move(of_floats))};
}

void check_equal(const data_set& a, const data_set& b) {
  REQUIRE(a.size() == b.size());
  std::vector<std::uint32_t> rows;
  for (std::size_t i = 0; i < a.size(); ++i)
    rows.push_back(static_cast<std::uint32_t>(i * 101 % a.size()));
  batch_buffer of_a, of_b;
  const auto batch_a = a.gather(rows, of_a), batch_b = b.gather(rows, of_b);
  CHECK(values(batch_a.features) == values(batch_b.features));
  CHECK(values(batch_a.labels) == values(batch_b.labels));
  CHECK(values(a.all().features) == values(b.all().features));
}

} // namespace

TEST_CASE("DATA-1: bytes are read as the floats they stand for, normalized or not") {
  const auto [bytes, floats] = every_byte();
  check_equal(bytes, floats);
  using enum normalization_kind;
  for (auto kind : {none, global, per_feature}) {
    const auto norm = fit_normalization(floats, kind);
    CHECK(fit_normalization(bytes, kind) == norm);
    const auto once = normalized(bytes, norm);
    CHECK_FALSE(once.stored().bytes.empty()); // they stay bytes
    check_equal(once, normalized(floats, norm));
    // A second normalization works on what the first has made.
    const normalization again{{0.25f}, {3}};
    check_equal(normalized(once, again), normalized(normalized(floats, norm), again));
    const auto a = split(bytes, 0.3, 5, kind), b = split(floats, 0.3, 5, kind);
    CHECK(a.norm == b.norm);
    check_equal(a.train, b.train);
    check_equal(a.held_out, b.held_out);
    // Of samples that were normalized before, also where none are left.
    check_equal(split(once, 0, 1, none).train, split(normalized(floats, norm), 0, 1, none).train);
  }
}

TEST_CASE("threads that look at bytes first at the same time see the same floats") {
  const auto [bytes, floats] = every_byte();
  std::vector<std::vector<float>> seen(4);
  std::vector<std::thread> threads;
  for (auto& s : seen) threads.emplace_back([&s, &b = bytes] { s = values(b.all().features); });
  for (auto& t : threads) t.join();
  for (const auto& s : seen) CHECK(s == values(floats.all().features));
  CHECK(bytes.all().features.data() == bytes.view(0, 1).features.data()); // made once
}
