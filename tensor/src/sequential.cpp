#include "troupe/tensor/sequential.hpp"

#include "basic_sequential.hpp"
#include "elementwise.hpp"
#include "troupe/random.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>

namespace troupe::tensor {

namespace {

using kind = layer_spec::kind;

[[noreturn]] void refuse(const std::string& expected, std::size_t found) {
  throw error("model", "expected " + expected + ", found " + std::to_string(found));
}

template <class T>
void apply(kind activation, T* values, std::size_t n) {
  switch (activation) {
  case kind::dense:
    return; // none
  case kind::relu:
    return relu_in_place(values, n);
  case kind::tanh:
    return tanh_in_place(values, n);
  case kind::sigmoid:
    return sigmoid_in_place(values, n);
  }
}

template <class T>
void multiply_derivative(kind activation, const T* y, T* delta, std::size_t n) {
  switch (activation) {
  case kind::dense:
    return; // none
  case kind::relu:
    return multiply_relu_derivative(y, delta, n);
  case kind::tanh:
    return multiply_tanh_derivative(y, delta, n);
  case kind::sigmoid:
    return multiply_sigmoid_derivative(y, delta, n);
  }
}

std::vector<layer_spec> checked(std::size_t inputs, std::vector<layer_spec> layers, loss l) {
  const auto fail = [](const std::string& reason) { throw error("make_sequential", reason); };
  if (inputs == 0) fail("expected at least one input feature, found 0");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool dense = layers[i].type == kind::dense;
    if (dense && layers[i].units == 0)
      fail("expected a dense layer of at least one unit, found 0 at layer " + std::to_string(i));
    if (!dense && layers[i].units != 0)
      fail("only a dense layer has units, found " + std::to_string(layers[i].units) + " at layer " +
           std::to_string(i));
  }
  const auto last_dense = std::find_if(layers.rbegin(), layers.rend(),
                                       [](const auto& x) { return x.type == kind::dense; });
  if (last_dense == layers.rend()) fail("expected at least one dense layer, found none");
  if (l == loss::softmax_cross_entropy && last_dense->units < 2)
    fail("a softmax needs at least 2 outputs, found 1 (binary_cross_entropy fits one output)");
  // The loss applies the sigmoid itself, in a form that cannot overflow.
  if (l == loss::binary_cross_entropy && layers.back().type == kind::sigmoid) layers.pop_back();
  return layers;
}

} // namespace

template <class T>
basic_sequential<T>::basic_sequential(std::size_t inputs, const std::vector<layer_spec>& layers,
                                      loss l, precision p)
    : inputs_(inputs), loss_(l), products_(make_products<T>(p)),
      exact_products_(p == precision::fp32 ? products_ : make_products<T>(precision::fp32)) {
  for (const auto& layer : checked(inputs, layers, l)) {
    if (layer.type == kind::dense)
      add_dense(layer.units);
    else
      add_activation(layer.type);
  }
  for (std::size_t k = 0; k + 1 < stages_.size(); ++k)
    stages_[k].rounded = p == precision::bf16 && stages_[k].dense &&
                         stages_[k].applied == kind::relu && stages_[k + 1].dense;
}

template <class T>
void basic_sequential<T>::add_dense(std::size_t units) {
  stage s;
  s.inputs = stages_.empty() ? inputs_ : stages_.back().units;
  s.units = units;
  s.dense = true;
  const auto name = "dense" + std::to_string(layout_.entries().size() / 2);
  s.weight = layout_.add(name + ".weight", {s.inputs, units});
  s.bias = layout_.add(name + ".bias", {units});
  stages_.push_back(std::move(s));
}

template <class T>
void basic_sequential<T>::add_activation(layer_spec::kind activation) {
  // Its derivative is a function of its output, so it may overwrite the dense layer's.
  if (!stages_.empty() && !stages_.back().applied) {
    stages_.back().applied = activation;
    return;
  }
  stage s;
  s.inputs = s.units = stages_.empty() ? inputs_ : stages_.back().units;
  s.applied = activation;
  stages_.push_back(std::move(s));
}

template <class T>
void basic_sequential<T>::initialize(std::uint64_t seed, std::span<T> parameters) const {
  if (parameters.size() != layout_.size())
    refuse(std::to_string(layout_.size()) + " parameters", parameters.size());
  generator random(seed);
  std::fill(parameters.begin(), parameters.end(), T(0));
  for (const auto& s : stages_) {
    if (!s.dense) continue;
    const auto weights = parameters.subspan(s.weight, s.inputs * s.units);
    if (s.applied == kind::relu) {
      const double deviation = std::sqrt(2.0 / static_cast<double>(s.inputs));
      for (auto& w : weights) w = static_cast<T>(deviation * random.normal());
    } else {
      const double limit = std::sqrt(6.0 / static_cast<double>(s.inputs + s.units));
      for (auto& w : weights) w = static_cast<T>(random.uniform(-limit, limit));
    }
  }
}

template <class T>
void basic_sequential<T>::check(std::size_t parameters, const basic_batch<T>& batch) const {
  if (parameters != layout_.size())
    refuse(std::to_string(layout_.size()) + " parameters", parameters);
  if (batch.rows > 0 && batch.feature_count != inputs_)
    refuse(std::to_string(inputs_) + " features per sample", batch.feature_count);
  if (batch.features.size() != batch.rows * batch.feature_count)
    refuse(std::to_string(batch.rows * batch.feature_count) + " feature values",
           batch.features.size());
}

template <class T>
void basic_sequential<T>::make_room(std::size_t rows) {
  if (rows <= room_) return;
  std::size_t widest = 0, widest_rounded = 0;
  for (std::size_t k = 0; k < stages_.size(); ++k) {
    auto& s = stages_[k];
    s.output.resize(padded(rows * s.units));
    widest = std::max(widest, s.units);
    if (!s.rounded) continue;
    stages_[k + 1].input_memory.resize(rows * s.units);
    widest_rounded = std::max(widest_rounded, s.units);
  }
  delta_.resize(padded(rows * widest));
  next_delta_.resize(padded(rows * widest));
  for (auto* memory : {&delta_memory_, &next_delta_memory_})
    memory->resize(std::max(memory->size(), rows * widest_rounded));
  room_ = rows;
}

template <class T>
const T* basic_sequential<T>::forward(const T* parameters, const basic_batch<T>& batch,
                                      matrix_products<T>& products) {
  make_room(batch.rows);
  const bool training = &products == products_.get();
  const T* input = batch.features.data(); // null: in input_factor already
  for (std::size_t k = 0; k < stages_.size(); ++k) {
    auto& s = stages_[k];
    const auto n = batch.rows * s.units;
    T* output = s.output.data();
    if (s.dense) {
      if (input != nullptr)
        s.input_factor = products.factor_of(input, batch.rows * s.inputs, s.input_memory);
      s.weight_factor =
          products.factor_of(parameters + s.weight, s.inputs * s.units, s.weight_memory);
      const auto multiply = [&](product_result<T> to) {
        products.multiply({.rows = batch.rows, .columns = s.units, .depth = s.inputs},
                          s.input_factor, s.weight_factor, parameters + s.bias, to);
      };
      if (training && s.rounded) {
        auto& next = stages_[k + 1];
        multiply(product_result<T>(next.input_memory.data()));
        relu_in_place(next.input_memory.data(), n);
        next.input_factor = {nullptr, next.input_memory.data()};
        input = nullptr;
        continue;
      }
      multiply(output);
    } else {
      std::copy_n(input, n, output);
    }
    if (s.applied) apply(*s.applied, output, n);
    input = output;
  }
  return input;
}

template <class T>
void basic_sequential<T>::backward(std::size_t rows, T* gradient,
                                   const model::final_listener* tell) {
  for (auto k = stages_.size(); k-- > 0;) {
    const auto& s = stages_[k];
    T* bias = gradient + s.bias;
    if (s.dense) std::fill_n(bias, s.units, T(0));
    // Row by row, so that a row is summed while it is near.
    const auto finish = [&](auto* delta, auto derivative) {
      for (std::size_t i = 0; i < rows; ++i) {
        const auto at = i * s.units;
        derivative(at);
        if (s.dense) add_to(bias, delta + at, s.units);
      }
    };
    factor<T> delta_factor{};
    if (s.rounded) {
      const auto* y = stages_[k + 1].input_memory.data();
      auto* delta = delta_memory_.data();
      finish(delta, [&](auto at) { multiply_relu_derivative(y + at, delta + at, s.units); });
      delta_factor = {nullptr, delta};
    } else {
      T* delta = delta_.data();
      finish(delta, [&](auto at) {
        if (s.applied) multiply_derivative(*s.applied, s.output.data() + at, delta + at, s.units);
      });
      if (!s.dense) continue;
      delta_factor = products_->factor_of(delta, rows * s.units, delta_memory_);
    }
    products_->multiply_transposed({.rows = s.inputs, .columns = s.units, .depth = rows},
                                   s.input_factor, delta_factor, gradient + s.weight);
    if (tell != nullptr && s.weight > 0) (*tell)(s.weight); // entries follow the layers' order
    if (k == 0) break;
    const product_size size{.rows = rows, .columns = s.inputs, .depth = s.units};
    if (stages_[k - 1].rounded) {
      products_->multiply_by_transposed(size, delta_factor, s.weight_factor,
                                        product_result<T>(next_delta_memory_.data()));
      std::swap(delta_memory_, next_delta_memory_);
    } else {
      products_->multiply_by_transposed(size, delta_factor, s.weight_factor, next_delta_.data());
      std::swap(delta_, next_delta_);
    }
  }
}

template <class T>
double basic_sequential<T>::loss_and_gradient(std::span<const T> parameters,
                                              const basic_batch<T>& batch, std::span<T> gradient,
                                              const model::final_listener* tell) {
  check(parameters.size(), batch);
  if (gradient.size() != layout_.size())
    refuse("a gradient of " + std::to_string(layout_.size()) + " values", gradient.size());
  check_answers(loss_, batch.rows, output_count(), batch.answers);
  if (batch.rows == 0) {
    std::fill(gradient.begin(), gradient.end(), T(0));
    return 0;
  }
  const T* z = forward(parameters.data(), batch, *products_);
  const double result = loss_and_delta(loss_, batch.rows, output_count(), z, batch.answers,
                                       delta_.data(), next_delta_.data());
  backward(batch.rows, gradient.data(), tell);
  return result;
}

template <class T>
void basic_sequential<T>::predict(std::span<const T> parameters, const basic_batch<T>& batch,
                                  std::span<T> outputs) {
  check(parameters.size(), batch);
  if (outputs.size() != batch.rows * output_count())
    refuse("room for " + std::to_string(batch.rows * output_count()) + " outputs", outputs.size());
  if (batch.rows == 0) return;
  const T* z = forward(parameters.data(), batch, *exact_products_);
  predictions(loss_, batch.rows, output_count(), z, delta_.data());
  std::copy_n(delta_.data(), outputs.size(), outputs.data());
}

template <class T>
typename basic_sequential<T>::score basic_sequential<T>::evaluate(std::span<const T> parameters,
                                                                  const basic_batch<T>& batch) {
  check(parameters.size(), batch);
  check_answers(loss_, batch.rows, output_count(), batch.answers);
  if (batch.rows == 0) return {};
  const T* z = forward(parameters.data(), batch, *exact_products_);
  score result;
  result.loss = loss_and_delta(loss_, batch.rows, output_count(), z, batch.answers, delta_.data(),
                               next_delta_.data());
  if constexpr (std::is_same_v<T, float>) {
    if (!batch.answers.labels.empty()) {
      predictions(loss_, batch.rows, output_count(), z, delta_.data());
      const auto n = batch.rows * output_count();
      result.correct =
          count_correct(std::span(delta_).first(n), output_count(), batch.answers.labels);
    }
  }
  return result;
}

template class basic_sequential<float>;
template class basic_sequential<double>;

namespace {

class sequential final : public model {
 public:
  sequential(std::size_t inputs, const std::vector<layer_spec>& layers, loss l, precision p)
      : chain_(inputs, layers, l, p) {}

  const layout& parameter_layout() const noexcept override { return chain_.parameter_layout(); }
  std::size_t input_count() const noexcept override { return chain_.input_count(); }
  std::size_t output_count() const noexcept override { return chain_.output_count(); }

  void initialize(std::uint64_t seed, std::span<float> parameters) const override {
    chain_.initialize(seed, parameters);
  }

  double loss_and_gradient(std::span<const float> parameters, const batch_view& batch,
                           std::span<float> gradient) override {
    return chain_.loss_and_gradient(parameters, to_basic(batch), gradient);
  }

  double loss_and_streamed_gradient(std::span<const float> parameters, const batch_view& batch,
                                    std::span<float> gradient,
                                    const final_listener& tell) override {
    return chain_.loss_and_gradient(parameters, to_basic(batch), gradient, &tell);
  }

  void predict(std::span<const float> parameters, const batch_view& batch,
               std::span<float> outputs) override {
    chain_.predict(parameters, to_basic(batch), outputs);
  }

  evaluation evaluate(std::span<const float> parameters, const data_set& data) override {
    // Large enough for the products to be efficient, small enough for the processor's cache.
    constexpr std::size_t chunk = 256;
    evaluation result;
    result.samples = data.size();
    double loss = 0;
    std::size_t correct = 0;
    for (std::size_t first = 0; first < data.size(); first += chunk) {
      const auto rows = std::min(chunk, data.size() - first);
      const auto part = chain_.evaluate(parameters, to_basic(data.view(first, rows)));
      loss += part.loss * static_cast<double>(rows);
      correct += part.correct;
    }
    if (data.size() == 0) return result;
    const auto samples = static_cast<double>(data.size());
    result.loss = loss / samples;
    if (data.class_count() > 0) result.accuracy = static_cast<double>(correct) / samples;
    return result;
  }

 private:
  static basic_batch<float> to_basic(const batch_view& b) {
    return {b.features, b.rows, b.feature_count, {b.labels, b.targets, b.target_count}};
  }

  basic_sequential<float> chain_;
};

} // namespace

std::unique_ptr<model> make_sequential(std::size_t inputs, const std::vector<layer_spec>& layers,
                                       loss l, precision p) {
  return std::make_unique<sequential>(inputs, layers, l, p);
}

} // namespace troupe::tensor
