#include "close.hpp"
#include "troupe/random.hpp"
#include "troupe/tensor/digits.hpp"
#include "troupe/tensor/idx.hpp"
#include "troupe/tensor/model_file.hpp"
#include "troupe/tensor/optimizer.hpp"
#include "troupe/tensor/permutation.hpp"
#include "troupe/tensor/sequential.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <vector>

using namespace troupe::tensor;
using kind = layer_spec::kind;

namespace {

struct recipe {
  std::vector<layer_spec> layers;
  loss l = loss::softmax_cross_entropy;
  sgd_options options{.learning_rate = 0.05f, .momentum = 0.9f};
  std::size_t batch_size = 64;
  std::uint32_t epochs = 10;
  precision multiplied = precision::fp32;
  std::uint64_t seed = 1;
};

struct outcome {
  evaluation held_out;
  aligned_vector<float> parameters;
};

outcome train(const data_split& data, const recipe& r) {
  const auto m = make_sequential(data.train.feature_count(), r.layers, r.l, r.multiplied);
  const auto n = m->parameter_layout().size();
  aligned_vector<float> p(n), gradient(n), state(n);
  m->initialize(r.seed, p);
  const sgd o(r.options);
  batch_buffer buffer;
  for (std::uint32_t epoch = 0; epoch < r.epochs; ++epoch) {
    const auto order = permutation(data.train.size(), r.seed, epoch);
    for (std::size_t first = 0; first < order.size(); first += r.batch_size) {
      const auto rows = std::min(r.batch_size, order.size() - first);
      const auto batch = data.train.gather(std::span(order).subspan(first, rows), buffer);
      m->loss_and_gradient(p, batch, gradient);
      o.apply(p, gradient, std::span(state).first(o.state_size(n)));
    }
  }
  return {m->evaluate(p, data.held_out), p};
}

const std::vector<layer_spec> network{{kind::dense, 128}, {kind::relu}, {kind::dense, 10}};
const std::vector<layer_spec> linear{{kind::dense, 10}};

/// The folder of the real digits, or an empty path after a visible message.
std::filesystem::path mnist_folder() {
  const auto* named = std::getenv("TROUPE_DATA");
  const auto folder =
      std::filesystem::path(named != nullptr ? named : TROUPE_SHARED_DATA) / "mnist-10k";
  if (std::filesystem::exists(folder / "t10k-images-idx3-ubyte.gz")) return folder;
  WARN("skipped: no real digits in " << folder
                                     << "; TROUPE_DATA names the folder that holds mnist-10k");
  return {};
}

} // namespace

TEST_CASE("generated digits are learned by a network and not by a linear model") {
  const auto data = split(make_digits(5000, 1), 0.2, 1);
  const auto deep = train(data, {.layers = network, .epochs = 6});
  auto shallow_recipe = recipe{.layers = linear, .epochs = 6};
  shallow_recipe.options.learning_rate = 0.01f;
  const auto shallow = train(data, shallow_recipe);
  INFO("network " << *deep.held_out.accuracy << ", linear " << *shallow.held_out.accuracy);
  CHECK(*deep.held_out.accuracy >= 0.92);
  CHECK(*shallow.held_out.accuracy <= 0.86);
  CHECK(*shallow.held_out.accuracy >= 0.65);
  CHECK(*deep.held_out.accuracy - *shallow.held_out.accuracy >= 0.10);
}

TEST_CASE("a 784-128-10 network reaches 95 % on the real digits") {
  const auto folder = mnist_folder();
  if (folder.empty()) return;
  const auto all =
      load_idx(folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz");
  REQUIRE(all.size() == 10'000);
  REQUIRE(all.feature_count() == 784);
  REQUIRE(all.class_count() == 10);
  CHECK(all.view(0, 1).labels[0] == 7); // the famous first digit of the test set
  const auto data = split(all, 0.2, 1);
  REQUIRE(data.train.size() == 8000);
  REQUIRE(data.held_out.size() == 2000);
  const auto result = train(data, {.layers = network});
  CHECK(*result.held_out.accuracy >= 0.95);
}

TEST_CASE("bf16 reaches the accuracy of fp32 on the real digits") {
  if (!supports(precision::bf16)) {
    WARN("skipped: no bfloat16 on this processor or in this build");
    return;
  }
  const auto folder = mnist_folder();
  if (folder.empty()) return;
  const auto data = split(
      load_idx(folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"), 0.2, 1);
  // Of 2000 samples one is 0.05 points, and two seeds differ by more than the precisions do.
  double of[2] = {0, 0};
  constexpr int seeds = 5;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    for (auto p : {precision::fp32, precision::bf16})
      of[static_cast<int>(p)] +=
          *train(data, {.layers = network, .multiplied = p, .seed = seed}).held_out.accuracy /
          seeds;
  INFO("fp32 " << of[0] << ", bf16 " << of[1]);
  CHECK(of[1] >= of[0] - 0.002);
}

TEST_CASE("training twice gives the same bits") {
  const auto data = split(make_digits(600, 2), 0.2, 1);
  const recipe r{.layers = {{kind::dense, 33}, {kind::tanh}, {kind::dense, 10}}, .epochs = 2};
  CHECK(parameter_hash(train(data, r).parameters) == parameter_hash(train(data, r).parameters));
}

TEST_CASE("a linear regression finds the coefficients its data were made from") {
  data_set::contents c;
  c.feature_count = 2;
  c.target_count = 1;
  generator random(4);
  for (int i = 0; i < 400; ++i) {
    const auto x = static_cast<float>(random.normal());
    const auto y = static_cast<float>(random.normal());
    c.features.push_back(x);
    c.features.push_back(y);
    c.targets.push_back(3 * x - 2 * y + 0.5f);
  }
  const auto result =
      train(split(data_set(std::move(c)), 0.25, 1),
            {.layers = {{kind::dense, 1}}, .l = loss::mean_squared_error, .epochs = 60});
  CHECK(close(result.parameters, std::vector<float>{3, -2, 0.5f}, 1e-3));
  CHECK(result.held_out.loss <= 1e-5);
  CHECK_FALSE(result.held_out.accuracy);
}

TEST_CASE("a network with one output learns exclusive or") {
  data_set::contents c;
  c.feature_count = 2;
  c.class_count = 2;
  for (int i = 0; i < 200; ++i) {
    c.features.push_back(static_cast<float>(i & 1));
    c.features.push_back(static_cast<float>(i >> 1 & 1));
    c.labels.push_back((i ^ i >> 1) & 1);
  }
  const auto result = train(split(data_set(std::move(c)), 0.2, 1),
                            {.layers = {{kind::dense, 16}, {kind::tanh}, {kind::dense, 1}},
                             .l = loss::binary_cross_entropy,
                             .options = {.learning_rate = 0.3f, .momentum = 0.9f, .nesterov = true},
                             .batch_size = 16,
                             .epochs = 60});
  CHECK(result.held_out.accuracy == 1.0);
}
