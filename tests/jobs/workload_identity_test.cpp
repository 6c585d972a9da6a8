#include "troupe/jobs/workload_identity.hpp"

#include <functional>
#include <stdexcept>

#include <catch2/catch.hpp>

#include "troupe/tensor/sequential.hpp"

using namespace troupe::tensor;
using troupe::jobs::workload_identity;
using enum workload_identity::arithmetic;
using Catch::Matchers::StartsWith;

namespace {

data_set::contents table() {
  data_set::contents c;
  c.feature_count = 2;
  c.features = {1, 2, 3, 4, 5, 6};
  c.labels = {0, 1, 0};
  c.class_count = 2;
  c.feature_names = {"a", "b"};
  return c;
}

workload_identity identity_with(const std::function<void(data_set::contents&)>& change,
                                std::size_t units = 2) {
  auto c = table();
  change(c);
  const auto features = c.feature_count;
  data_split data{data_set{std::move(c)}, {}, {}};
  const auto model = make_sequential(features, {{layer_spec::kind::dense, units}},
                                     loss::softmax_cross_entropy, precision::fp32);
  return {*model, data};
}

const auto as_it_is = [](data_set::contents&) {};

} // namespace

TEST_CASE("IDENT-1: equal models and equal data have equal identities, also through their text") {
  const auto a = identity_with(as_it_is), b = identity_with(as_it_is);
  CHECK(a.difference(b, compared).empty());
  CHECK(a.text() == b.text());
  CHECK(a.difference(workload_identity::from_text(b.text()), compared).empty());
}

TEST_CASE("IDENT-2: whatever differs is named, with what was expected and found") {
  const auto a = identity_with(as_it_is);
  const auto found = [&](const workload_identity& b) { return a.difference(b, ignored); };
  CHECK_THAT(found(identity_with([](auto& c) { c.labels[1] = 0; })),
             StartsWith("labels or targets: expected hash "));
  CHECK_THAT(found(identity_with([](auto& c) { c.features[5] += 1e-6F; })),
             StartsWith("features' values: expected hash "));
  CHECK_THAT(
      found(identity_with([](auto& c) { std::swap(c.feature_names[0], c.feature_names[1]); })),
      StartsWith("names of the features: expected hash "));
  CHECK(found(identity_with([](auto& c) { c.class_count = 3; })) == "classes: expected 2, found 3");
  CHECK(found(identity_with([](auto& c) {
          c.features.resize(4);
          c.labels.resize(2);
        })) == "samples to train on: expected 3, found 2");
  CHECK(found(identity_with(as_it_is, 3)) == "parameters: expected 6, found 9");
}

TEST_CASE("IDENT-2: another arithmetic differs only where bits are compared") {
  const auto a = identity_with(as_it_is);
  auto text = a.text();
  const auto at = text.find("arithmetic of the processor\":\"");
  REQUIRE(at != std::string::npos);
  text.insert(at + std::string("arithmetic of the processor\":\"").size(), "other ");
  const auto b = workload_identity::from_text(text);
  CHECK(a.difference(b, ignored).empty());
  CHECK_THAT(a.difference(b, compared), StartsWith("arithmetic of the processor: expected "));
}

TEST_CASE("an empty identity differs from none, and a text that is none is refused") {
  const auto a = identity_with(as_it_is);
  CHECK(workload_identity::from_text("").empty());
  CHECK(a.difference({}, compared).empty());
  CHECK(workload_identity{}.difference(a, compared).empty());
  for (const auto* text : {"[]", "{\"a\":1}", "{", "x"})
    CHECK_THROWS_AS(workload_identity::from_text(text), std::invalid_argument);
}
