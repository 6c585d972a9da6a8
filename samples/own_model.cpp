// Shows: a model and data of your own, trained by Troupe. The model is a logistic regression
// written here; the data are points whose class is drawn with a probability that a hidden vector
// decides, so that the best accuracy possible is known. Three workers, two shards, ssp(2).
// Run:    build/release/bin/own_model
// Prints: one line per epoch, then the accuracy on held-out points beside that of the hidden
//         vector itself. Exits with 1 unless the two are within two percent.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "troupe/random.hpp"
#include "troupe/runtime.hpp"
#include "troupe/values/error.hpp"

namespace {

namespace tensor = troupe::tensor;

constexpr std::size_t features = 20;

/// P(class 1 | x) = sigmoid(weight . x + bias), with the cross-entropy as loss.
class logistic_regression : public tensor::model {
 public:
  logistic_regression() {
    layout_.add("weight", {features});
    layout_.add("bias", {});
  }
  const tensor::layout& parameter_layout() const noexcept override { return layout_; }
  std::size_t input_count() const noexcept override { return features; }
  std::size_t output_count() const noexcept override { return 1; }

  // The loss is convex: any start will do.
  void initialize(std::uint64_t, std::span<float> parameters) const override {
    std::ranges::fill(parameters, 0.0f);
  }

  double loss_and_gradient(std::span<const float> parameters, const tensor::batch_view& batch,
                           std::span<float> gradient) override {
    if (batch.feature_count != features || batch.labels.size() != batch.rows)
      throw tensor::error("logistic_regression", "expected 20 features and a label per row");
    std::ranges::fill(gradient, 0.0f);
    const double share = 1.0 / static_cast<double>(std::max<std::size_t>(batch.rows, 1));
    double loss = 0;
    for (std::size_t row = 0; row < batch.rows; ++row) {
      const auto x = batch.features.subspan(row * features, features);
      const double z = logit(parameters, x);
      const double label = batch.labels[row];
      loss += share * (std::max(z, 0.0) - z * label + std::log1p(std::exp(-std::abs(z))));
      const auto slope = static_cast<float>(share * (sigmoid(z) - label));
      for (std::size_t i = 0; i < features; ++i) gradient[i] += slope * x[i];
      gradient[features] += slope;
    }
    return loss;
  }

  void predict(std::span<const float> parameters, const tensor::batch_view& batch,
               std::span<float> outputs) override {
    for (std::size_t row = 0; row < batch.rows; ++row)
      outputs[row] = static_cast<float>(
          sigmoid(logit(parameters, batch.features.subspan(row * features, features))));
  }

  static double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
  static double logit(std::span<const float> parameters, std::span<const float> x) {
    double z = parameters[features];
    for (std::size_t i = 0; i < features; ++i) z += double{parameters[i]} * x[i];
    return z;
  }

 private:
  tensor::layout layout_;
};

tensor::aligned_vector<float> hidden_parameters() {
  tensor::generator random(7);
  tensor::aligned_vector<float> hidden(features + 1);
  for (auto& value : hidden) value = static_cast<float>(random.normal());
  return hidden;
}

/// Deterministic, as every process of a cluster would have to make the same points.
tensor::data_split make_points(std::size_t count) {
  const auto hidden = hidden_parameters();
  tensor::generator random(8);
  tensor::data_set::contents c;
  c.feature_count = features;
  c.class_count = 2;
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t i = 0; i < features; ++i)
      c.features.push_back(static_cast<float>(random.normal()));
    const auto x = std::span<const float>(c.features).last(features);
    const double p = logistic_regression::sigmoid(logistic_regression::logit(hidden, x));
    c.labels.push_back(random.uniform() < p ? 1 : 0);
  }
  return tensor::split(tensor::data_set(std::move(c)), 0.25, 1);
}

struct epoch_printer : troupe::run_observer {
  void on_event(const troupe::event& e) override {
    if (const auto* epoch = std::get_if<troupe::epoch_event>(&e))
      std::printf("epoch %u  loss %.4f  held-out accuracy %.2f %%\n", epoch->epoch, epoch->loss,
                  100 * epoch->held_out_accuracy.value_or(0));
  }
};

int run() {
  const auto points = std::make_shared<const tensor::data_split>(make_points(8000));
  // Called by every worker and shard holder, possibly at once: both only read.
  const troupe::workload own = {
      .make_model = [] { return std::make_unique<logistic_regression>(); },
      .load_data = [points] { return points; }};
  troupe::job j; // no layers and no samples named: model and data are the program's own
  j.name = "own-model";
  j.train.epochs = 5;
  j.train.batch_size = 32;
  j.train.consistency = troupe::scheduler::consistency::ssp(2);
  j.train.optimizer = {.learning_rate = 0.1f};
  j.cluster = {.workers = 3, .shards = 2};
  epoch_printer observer;
  const auto result = troupe::train(j, own, &observer);
  if (result.outcome != troupe::run_result::status::finished) {
    std::fprintf(stderr, "own_model: %s\n", result.error.c_str());
    return 1;
  }
  logistic_regression model;
  const double trained = model.evaluate(result.parameters, points->held_out).accuracy.value_or(0);
  const double best = model.evaluate(hidden_parameters(), points->held_out).accuracy.value_or(0);
  std::printf("%zu held-out points: %.2f %% right, the hidden vector %.2f %%\n",
              points->held_out.size(), 100 * trained, 100 * best);
  return std::abs(trained - best) <= 0.02 ? 0 : 1;
}

} // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& e) { // a job that cannot begin
    std::fprintf(stderr, "own_model: %s\n", e.what());
    return 1;
  }
}
