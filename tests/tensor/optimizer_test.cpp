#include "troupe/tensor/optimizer.hpp"

#include "refusal.hpp"
#include "troupe/random.hpp"
#include "troupe/tensor/model_file.hpp"
#include "troupe/values/aligned.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <span>
#include <vector>

using namespace troupe::tensor;
using Catch::Contains;

// All numbers below are sums of a few powers of two, so the expected values are exact.

namespace {

template <class Values>
void fill(generator& random, Values& values) {
  for (auto& x : values) x = static_cast<float>(random.normal());
}

// With and without each thing that SGD can do.
std::vector<sgd> every_sgd() {
  std::vector<sgd> all;
  for (float momentum : {0.0f, 0.9f})
    for (bool nesterov : {false, true})
      for (float decay : {0.0f, 1e-4f})
        if (!nesterov || momentum != 0)
          all.emplace_back(sgd_options{.learning_rate = 0.05f,
                                       .momentum = momentum,
                                       .nesterov = nesterov,
                                       .weight_decay = decay});
  return all;
}

} // namespace

TEST_CASE("plain SGD subtracts the scaled gradient and has no state") {
  const sgd o({.learning_rate = 0.5f});
  CHECK(o.state_size(3) == 0);
  std::vector<float> p{1, 2, -3};
  o.apply(p, std::vector<float>{2, 0, -1}, {});
  CHECK(p == std::vector<float>{0, 2, -2.5f});
}

TEST_CASE("momentum adds half of the last step in the hand-computed way") {
  const sgd o({.learning_rate = 0.5f, .momentum = 0.5f});
  CHECK(o.state_size(3) == 3);
  std::vector<float> p{1};
  std::vector<float> v{0};
  o.apply(p, std::vector<float>{2}, v); // v = 2, p = 1 - 1
  CHECK(v[0] == 2.0f);
  CHECK(p[0] == 0.0f);
  o.apply(p, std::vector<float>{1}, v); // v = 1 + 1, p = 0 - 1
  CHECK(v[0] == 2.0f);
  CHECK(p[0] == -1.0f);
  o.apply(p, std::vector<float>{-4}, v); // v = 1 - 4, p = -1 + 1.5
  CHECK(v[0] == -3.0f);
  CHECK(p[0] == 0.5f);
}

TEST_CASE("Nesterov looks one step ahead in the hand-computed way") {
  const sgd o({.learning_rate = 0.5f, .momentum = 0.5f, .nesterov = true});
  std::vector<float> p{1};
  std::vector<float> v{0};
  o.apply(p, std::vector<float>{2}, v); // v = 2, step 2 + 1, p = 1 - 1.5
  CHECK(v[0] == 2.0f);
  CHECK(p[0] == -0.5f);
  o.apply(p, std::vector<float>{1}, v); // v = 2, step 1 + 1, p = -0.5 - 1
  CHECK(v[0] == 2.0f);
  CHECK(p[0] == -1.5f);
}

TEST_CASE("weight decay adds to the gradient, before the momentum") {
  const sgd plain({.learning_rate = 0.5f, .weight_decay = 0.25f});
  std::vector<float> p{4};
  plain.apply(p, std::vector<float>{1}, {}); // g = 1 + 1
  CHECK(p[0] == 3.0f);

  const sgd all({.learning_rate = 0.5f, .momentum = 0.5f, .nesterov = true, .weight_decay = 0.25f});
  std::vector<float> q{4};
  std::vector<float> v{2};
  all.apply(q, std::vector<float>{1}, v); // g = 2, v = 1 + 2, step 2 + 1.5
  CHECK(v[0] == 3.0f);
  CHECK(q[0] == 2.25f);
}

TEST_CASE("a scale multiplies the gradient and not the weight decay") {
  const sgd o({.learning_rate = 0.5f, .momentum = 0.5f, .weight_decay = 0.25f});
  std::vector<float> p{4};
  std::vector<float> v{2};
  o.apply(p, std::vector<float>{8}, v, 0.25f); // g = 2 + 1, v = 1 + 3, p = 4 - 2
  CHECK(v[0] == 4.0f);
  CHECK(p[0] == 2.0f);
  const sgd plain({.learning_rate = 0.5f});
  plain.apply(p, std::vector<float>{8}, {}, 0.25f);
  CHECK(p[0] == 1.0f);
}

TEST_CASE("a gradient is damped by the number of updates it has not seen") {
  CHECK(staleness_scale(0) == 1.0f);
  CHECK(staleness_scale(1) == 0.5f);
  CHECK(staleness_scale(3) == 0.25f);
}

TEST_CASE("from one place into another SGD gives the bits that it gives in place") {
  constexpr std::size_t n = 1003;
  generator random(2);
  for (const auto& o : every_sgd()) {
    aligned_vector<float> before(n), gradient(n), state(o.state_size(n)), after(n, 7.0f);
    fill(random, before);
    fill(random, gradient);
    fill(random, state);
    auto in_place = before;
    auto in_place_state = state;
    o.apply(in_place, gradient, in_place_state, 0.3f);
    const auto kept = before;
    o.apply_into(before, after, gradient, state, 0.3f);
    CHECK(parameter_hash(after) == parameter_hash(in_place));
    CHECK(parameter_hash(state) == parameter_hash(in_place_state));
    CHECK(before == kept);
  }
}

TEST_CASE("SGD-1: any cut into ranges gives the same bits") {
  constexpr std::size_t n = 1003;
  generator random(1);
  for (const auto& o : every_sgd()) {
    aligned_vector<float> whole(n), gradient(n), state(o.state_size(n));
    fill(random, whole);
    fill(random, state);
    auto cut = whole;
    auto cut_state = state;
    for (int step = 0; step < 5; ++step) {
      fill(random, gradient);
      o.apply(whole, gradient, state);
      for (std::size_t first = 0; first < n;) {
        const auto size = std::min<std::size_t>(random.below(70), n - first);
        const auto part = [&](auto& x) { return std::span(x).subspan(first, size); };
        o.apply(part(cut), part(gradient),
                cut_state.empty() ? std::span<float>() : part(cut_state));
        first += size;
      }
    }
    CHECK(parameter_hash(whole) == parameter_hash(cut));
    CHECK(parameter_hash(state) == parameter_hash(cut_state));
  }
}

TEST_CASE("an empty range is no error") {
  const sgd o({.learning_rate = 1, .momentum = 0.5f});
  CHECK_NOTHROW(o.apply({}, {}, {}));
}

TEST_CASE("sizes that do not agree are refused and nothing changes") {
  const sgd o({.learning_rate = 1, .momentum = 0.5f});
  std::vector<float> p{1, 2};
  std::vector<float> v{3};
  CHECK_THAT(refusal([&] { o.apply(p, p, v); }),
             Contains("expected 2 gradients and 2 floats of state, found 2 and 1"));
  CHECK(p == std::vector<float>{1, 2});
  CHECK(v == std::vector<float>{3});
}

TEST_CASE("options out of range are refused by name") {
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(refusal([] { sgd({.learning_rate = -1}); }), Contains("learning_rate"));
  CHECK_THAT(refusal([=] { sgd({.learning_rate = nan}); }), Contains("learning_rate"));
  CHECK_THAT(refusal([] { sgd({.momentum = 1}); }), Contains("momentum"));
  CHECK_THAT(refusal([=] { sgd({.momentum = nan}); }), Contains("momentum"));
  CHECK_THAT(refusal([] { sgd({.weight_decay = -0.1f}); }), Contains("weight_decay"));
  CHECK_THAT(refusal([] { sgd({.nesterov = true}); }), Contains("nesterov"));
}
