#include "troupe/tensor/sequential.hpp"

#include "close.hpp"
#include "refusal.hpp"
#include "troupe/tensor/digits.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

using namespace troupe::tensor;
using Catch::Contains;
using kind = layer_spec::kind;

namespace {

std::unique_ptr<model> small_net() {
  return make_sequential(784, {{kind::dense, 17}, {kind::relu}, {kind::dense, 10}},
                         loss::softmax_cross_entropy);
}

double variance(std::span<const float> values) {
  double sum = 0;
  for (auto x : values) sum += double(x) * x;
  return sum / static_cast<double>(values.size());
}

} // namespace

TEST_CASE("the layout names every dense layer's weight and bias") {
  const auto m = small_net();
  const auto& l = m->parameter_layout();
  REQUIRE(l.entries().size() == 4);
  CHECK(l.entries()[0] == entry{"dense0.weight", {784, 17}, 0, 784 * 17});
  CHECK(l.entries()[1] == entry{"dense0.bias", {17}, 784 * 17, 17});
  CHECK(l.entries()[2].name == "dense1.weight");
  CHECK(l.entries()[3].name == "dense1.bias");
  CHECK(m->input_count() == 784);
  CHECK(m->output_count() == 10);
}

TEST_CASE("He before a relu, Glorot elsewhere, biases 0, the same for the same seed") {
  const auto m = make_sequential(
      200, {{kind::dense, 300}, {kind::relu}, {kind::dense, 100}, {kind::tanh}, {kind::dense, 50}},
      loss::mean_squared_error);
  const auto& l = m->parameter_layout();
  std::vector<float> p(l.size(), 5.0f), again(l.size()), other(l.size());
  m->initialize(1, p);
  m->initialize(1, again);
  m->initialize(2, other);
  CHECK(p == again);
  CHECK(p != other);
  const auto part = [&](const char* name) {
    const auto* e = l.find(name);
    return std::span<const float>(p).subspan(e->offset, e->size);
  };
  CHECK(std::abs(variance(part("dense0.weight")) * 200 / 2 - 1) <= 0.03);
  CHECK(std::abs(variance(part("dense1.weight")) * (300 + 100) / 2 - 1) <= 0.03);
  CHECK(std::abs(variance(part("dense2.weight")) * (100 + 50) / 2 - 1) <= 0.05);
  for (const auto* name : {"dense0.bias", "dense1.bias", "dense2.bias"})
    CHECK(variance(part(name)) == 0);
}

TEST_CASE("a hand-computed network predicts its hand-computed values") {
  const auto m = make_sequential(2, {{kind::dense, 2}, {kind::relu}, {kind::dense, 1}},
                                 loss::mean_squared_error);
  // weight [in x units] row-major, bias, weight, bias
  const std::vector<float> p{1, -1, 2, 1, 0.5f, 0, 3, 4, -1};
  const std::vector<float> x{1, 2, -3, 1};
  std::vector<float> y(2);
  m->predict(p, {x, 2, 2, {}, {}, 0}, y);
  // row 0: hidden relu(1 + 4 + 0.5, -1 + 2) = (5.5, 1) -> 16.5 + 4 - 1
  // row 1: hidden relu(-3 + 2 + 0.5, 3 + 1) = (0, 4) -> 16 - 1
  CHECK(y == std::vector<float>{19.5f, 15});
}

TEST_CASE("tanh and sigmoid layers give their closed-form values") {
  const std::vector<float> p{1, 0}; // one unit, the identity
  const std::vector<float> x{0, 0.5f, -2, 30, -30};
  std::vector<float> y(5);
  make_sequential(1, {{kind::dense, 1}, {kind::tanh}}, loss::mean_squared_error)
      ->predict(p, {x, 5, 1, {}, {}, 0}, y);
  CHECK(close(y, std::vector<double>{0, std::tanh(0.5), std::tanh(-2.0), 1, -1}, 1e-6));
  make_sequential(1, {{kind::dense, 1}, {kind::sigmoid}}, loss::mean_squared_error)
      ->predict(p, {x, 5, 1, {}, {}, 0}, y);
  const auto s = [](double z) { return 1 / (1 + std::exp(-z)); };
  CHECK(close(y, std::vector<double>{0.5, s(0.5), s(-2), 1, 0}, 1e-6));
}

TEST_CASE("a sigmoid before the binary cross-entropy is folded into it") {
  const auto plain = make_sequential(1, {{kind::dense, 1}}, loss::binary_cross_entropy);
  const auto folded =
      make_sequential(1, {{kind::dense, 1}, {kind::sigmoid}}, loss::binary_cross_entropy);
  const std::vector<float> p{2, 1}, x{3, -4};
  const std::vector<std::int32_t> labels{0, 1};
  std::vector<float> a(2), b(2);
  const batch_view batch{x, 2, 1, labels, {}, 0};
  CHECK(plain->loss_and_gradient(p, batch, a) == folded->loss_and_gradient(p, batch, b));
  CHECK(a == b);
  plain->predict(p, batch, a);
  folded->predict(p, batch, b);
  CHECK(a == b);
}

TEST_CASE("MODEL-1: the bits of a gradient depend on the arguments alone") {
  const auto data = make_digits(96, 1);
  const auto a = small_net();
  const auto b = small_net();
  const auto n = a->parameter_layout().size();
  aligned_vector<float> p(n), first(n), second(n);
  a->initialize(1, p);
  const auto batch = data.view(0, 37);
  const double loss_a = a->loss_and_gradient(p, batch, first);
  // A larger batch leaves other contents in the scratch memory of b.
  b->loss_and_gradient(p, data.view(37, 59), second);
  const double loss_b = b->loss_and_gradient(p, batch, second);
  CHECK(loss_a == loss_b);
  CHECK(std::memcmp(first.data(), second.data(), n * sizeof(float)) == 0);
  // Nor on where the caller's buffers lie.
  std::vector<float> shifted(n + 1), features(batch.features.size() + 3);
  std::copy(batch.features.begin(), batch.features.end(), features.begin() + 3);
  auto moved = batch;
  moved.features = std::span<const float>(features).subspan(3);
  CHECK(b->loss_and_gradient(p, moved, std::span(shifted).subspan(1)) == loss_a);
  CHECK(std::memcmp(first.data(), shifted.data() + 1, n * sizeof(float)) == 0);
}

TEST_CASE("evaluate agrees with the default that every own model gets") {
  class plain final : public model {
   public:
    explicit plain(std::unique_ptr<model> m) : inner_(std::move(m)) {}
    const layout& parameter_layout() const noexcept override { return inner_->parameter_layout(); }
    std::size_t input_count() const noexcept override { return inner_->input_count(); }
    std::size_t output_count() const noexcept override { return inner_->output_count(); }
    void initialize(std::uint64_t seed, std::span<float> p) const override {
      inner_->initialize(seed, p);
    }
    double loss_and_gradient(std::span<const float> p, const batch_view& b,
                             std::span<float> g) override {
      return inner_->loss_and_gradient(p, b, g);
    }
    void predict(std::span<const float> p, const batch_view& b, std::span<float> out) override {
      inner_->predict(p, b, out);
    }

   private:
    std::unique_ptr<model> inner_;
  };
  const auto data = make_digits(600, 1);
  const auto m = small_net();
  plain by_default(small_net());
  aligned_vector<float> p(m->parameter_layout().size());
  m->initialize(1, p);
  const auto a = m->evaluate(p, data);
  const auto b = by_default.evaluate(p, data);
  CHECK(a.samples == 600);
  CHECK(std::abs(a.loss - b.loss) <= 1e-9);
  REQUIRE(a.accuracy);
  CHECK(a.accuracy == b.accuracy);
  CHECK(m->evaluate(p, data_set()).samples == 0);
  CHECK(m->evaluate(p, data_set()).loss == 0);
  CHECK_FALSE(m->evaluate(p, data_set()).accuracy);
}

TEST_CASE("count_correct names the largest output, the first of equals, and never a NaN") {
  const float nan = std::nanf("");
  const std::vector<float> outputs{1, 3, 2, 5, 5, 0, nan, 1, 0, 1, nan, 0, nan, nan, nan};
  const auto row = [&](std::size_t i, std::int32_t label) {
    return count_correct(std::span(outputs).subspan(3 * i, 3), 3, std::span(&label, 1));
  };
  CHECK(row(0, 1) == 1);
  CHECK(row(0, 2) == 0);
  CHECK(row(1, 0) == 1);
  CHECK(row(1, 1) == 0);
  for (std::int32_t label = 0; label < 3; ++label) {
    CHECK(row(2, label) == 0);
    CHECK(row(3, label) == 0);
    CHECK(row(4, label) == 0);
  }
  CHECK(row(0, 3) == 0);
  const std::vector<float> single{0.5f, 0.49f, nan};
  const std::vector<std::int32_t> ones{1, 1, 1}, zeros{0, 0, 0};
  CHECK(count_correct(single, 1, ones) == 1);
  CHECK(count_correct(single, 1, zeros) == 1);
  CHECK_THAT(refusal([&] { count_correct(single, 2, ones); }), Contains("6 outputs, found 3"));
}

TEST_CASE("impossible descriptions are refused by name") {
  const auto reason = [](std::size_t inputs, std::vector<layer_spec> layers, loss l) {
    return refusal([&] { make_sequential(inputs, layers, l); });
  };
  const auto ce = loss::softmax_cross_entropy;
  CHECK_THAT(reason(0, {{kind::dense, 2}}, ce), Contains("at least one input"));
  CHECK_THAT(reason(4, {}, ce), Contains("at least one dense layer"));
  CHECK_THAT(reason(4, {{kind::relu}}, ce), Contains("at least one dense layer"));
  CHECK_THAT(reason(4, {{kind::dense, 3}, {kind::relu}, {kind::dense, 0}}, ce),
             Contains("at least one unit, found 0 at layer 2"));
  CHECK_THAT(reason(4, {{kind::dense, 3}, {kind::relu, 7}}, ce), Contains("found 7 at layer 1"));
  CHECK_THAT(reason(4, {{kind::dense, 1}}, ce), Contains("at least 2 outputs"));
  CHECK_THAT(reason(SIZE_MAX, {{kind::dense, 2}}, ce),
             Contains("'dense0.weight' has more elements"));
}

TEST_CASE("sizes that do not fit the model are refused") {
  const auto m = make_sequential(3, {{kind::dense, 2}}, loss::softmax_cross_entropy);
  std::vector<float> p(8), short_p(7), x(6), out(4);
  const std::vector<std::int32_t> labels{0, 1};
  const batch_view good{x, 2, 3, labels, {}, 0};
  const batch_view narrow{x, 3, 2, labels, {}, 0};
  const batch_view torn{std::span(x).first(5), 2, 3, labels, {}, 0};
  CHECK(refusal([&] { m->loss_and_gradient(p, good, short_p); }) ==
        "[troupe::tensor::model] expected a gradient of 8 values, found 7");
  CHECK_THAT(refusal([&] { m->loss_and_gradient(short_p, good, p); }),
             Contains("8 parameters, found 7"));
  CHECK_THAT(refusal([&] { m->loss_and_gradient(p, narrow, p); }),
             Contains("3 features per sample, found 2"));
  CHECK_THAT(refusal([&] { m->loss_and_gradient(p, torn, p); }),
             Contains("6 feature values, found 5"));
  CHECK_THAT(refusal([&] { m->predict(p, good, std::span(out).first(3)); }),
             Contains("room for 4 outputs, found 3"));
  CHECK_THAT(refusal([&] { m->initialize(1, short_p); }), Contains("8 parameters, found 7"));
}

TEST_CASE("what is called final of a gradient does not change any more, and is told from the end") {
  const auto data = make_digits(40, 1);
  const auto batch = data.view(0, 37);
  for (auto p : {precision::fp32, precision::bf16}) {
    if (!supports(p)) continue;
    const auto m = make_sequential(
        784, {{kind::dense, 30}, {kind::relu}, {kind::dense, 20}, {kind::tanh}, {kind::dense, 10}},
        loss::softmax_cross_entropy, p);
    const auto& entries = m->parameter_layout();
    const auto n = entries.size();
    aligned_vector<float> values(n), expected(n), gradient(n, 99.0f);
    m->initialize(1, values);
    const double value = m->loss_and_gradient(values, batch, expected);
    std::vector<std::size_t> told;
    const auto streamed =
        m->loss_and_streamed_gradient(values, batch, gradient, [&](std::size_t first) {
          told.push_back(first);
          REQUIRE(first < n);
          CHECK(std::memcmp(gradient.data() + first, expected.data() + first,
                            (n - first) * sizeof(float)) == 0);
        });
    CHECK(streamed == value);
    CHECK(std::memcmp(gradient.data(), expected.data(), n * sizeof(float)) == 0);
    // The third layer, then the second; the first is told by the return.
    const std::size_t second = 784 * 30 + 30, third = second + 30 * 20 + 20;
    CHECK(told == std::vector{third, second});
  }
}

TEST_CASE(
    "bf16: every part of the gradient is near that of fp32, whatever layers follow each other") {
  if (!supports(precision::bf16)) {
    WARN("skipped: no bfloat16 on this processor or in this build");
    return;
  }
  const auto data = make_digits(80, 1);
  for (auto first : {kind::relu, kind::tanh})
    for (auto second : {kind::relu, kind::sigmoid})
      for (bool twice : {false, true}) {
        std::vector<layer_spec> layers{{kind::dense, 40}, {first}};
        if (twice) layers.push_back({kind::relu}); // an activation alone, between the layers
        layers.insert(layers.end(), {{kind::dense, 33}, {second}, {kind::dense, 10}});
        const auto rounds =
            make_sequential(784, layers, loss::softmax_cross_entropy, precision::bf16);
        const auto exact = make_sequential(784, layers, loss::softmax_cross_entropy);
        const auto n = exact->parameter_layout().size();
        aligned_vector<float> values(n), expected(n), found(n);
        exact->initialize(1, values);
        for (std::size_t rows : {1u, 7u, 64u, 16u}) {
          exact->loss_and_gradient(values, data.view(3, rows), expected);
          rounds->loss_and_gradient(values, data.view(3, rows), found);
          for (const auto& e : exact->parameter_layout().entries()) {
            double difference = 0, size = 0;
            for (auto i = e.offset; i < e.offset + e.size; ++i) {
              difference += std::pow(double{found[i]} - double{expected[i]}, 2);
              size += std::pow(double{expected[i]}, 2);
            }
            INFO(e.name << ", " << rows << " rows, " << layers.size() << " layers");
            CHECK(std::sqrt(difference) <= 0.1 * std::sqrt(size));
          }
        }
      }
}

TEST_CASE("an own model that knows nothing of it streams its gradient in one") {
  struct identity final : model {
    layout entries;
    identity() { entries.add("x", {2}); }
    const layout& parameter_layout() const noexcept override { return entries; }
    std::size_t input_count() const noexcept override { return 1; }
    std::size_t output_count() const noexcept override { return 1; }
    void initialize(std::uint64_t, std::span<float>) const override {}
    double loss_and_gradient(std::span<const float> p, const batch_view&,
                             std::span<float> g) override {
      std::copy(p.begin(), p.end(), g.begin());
      return 3;
    }
    void predict(std::span<const float>, const batch_view&, std::span<float>) override {}
  } own;
  const std::vector<float> p{1, 2};
  std::vector<float> g(2);
  bool told = false;
  CHECK(own.loss_and_streamed_gradient(p, {}, g, [&](std::size_t) { told = true; }) == 3);
  CHECK(g == p);
  CHECK_FALSE(told);
}
