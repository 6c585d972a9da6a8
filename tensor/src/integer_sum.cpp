#include "troupe/tensor/integer_sum.hpp"

#include "troupe/random.hpp"
#include "troupe/tensor/integers.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace troupe::tensor {

namespace {

constexpr std::size_t exact_floats = std::size_t{1} << 24;

int share(std::uint64_t mixed, std::uint64_t j) { return static_cast<int>(mix(mixed + j) % 7) - 3; }

class integer_sum final : public model {
 public:
  explicit integer_sum(std::size_t parameters) {
    if (parameters == 0)
      throw error("make_integer_sum", "expected at least one parameter, found 0");
    layout_.add("sum", {parameters});
  }

  const layout& parameter_layout() const noexcept override { return layout_; }
  std::size_t input_count() const noexcept override { return 1; }
  std::size_t output_count() const noexcept override { return 1; }

  void initialize(std::uint64_t, std::span<float> parameters) const override {
    check(parameters.size());
    std::fill(parameters.begin(), parameters.end(), 0.0f);
  }

  double loss_and_gradient(std::span<const float> parameters, const batch_view& batch,
                           std::span<float> gradient) override {
    return loss_and_streamed_gradient(parameters, batch, gradient, [](std::size_t) {});
  }

  double loss_and_streamed_gradient(std::span<const float> parameters, const batch_view& batch,
                                    std::span<float> gradient,
                                    const final_listener& tell) override {
    check(parameters.size());
    check(gradient.size());
    if (batch.rows > 0 && batch.feature_count == 0)
      throw error("integer_sum", "expected the sample's index as feature 0, found no features");
    for (std::size_t row = 0; row < batch.rows; ++row) {
      const float feature = batch.features[row * batch.feature_count];
      if (!(feature >= 0 && feature < static_cast<float>(exact_floats)) ||
          feature != static_cast<float>(static_cast<std::uint64_t>(feature)))
        throw error("integer_sum", "expected the sample's index as feature 0, found " +
                                       std::to_string(feature) + " (normalized data?)");
    }
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    // In quarters, the last first, as the layers of a real model end.
    for (std::size_t quarter = 4; quarter-- > 0;) {
      const auto first = gradient.size() * quarter / 4;
      const auto end = gradient.size() * (quarter + 1) / 4;
      for (std::size_t row = 0; row < batch.rows; ++row) {
        const auto mixed =
            mix(static_cast<std::uint64_t>(batch.features[row * batch.feature_count]));
        for (auto j = first; j < end; ++j) gradient[j] += static_cast<float>(share(mixed, j));
      }
      if (first > 0 && first < end) tell(first);
    }
    return 0;
  }

  void predict(std::span<const float> parameters, const batch_view& batch,
               std::span<float> outputs) override {
    check(parameters.size());
    if (outputs.size() != batch.rows)
      throw error("integer_sum", "expected room for " + std::to_string(batch.rows) +
                                     " outputs, found " + std::to_string(outputs.size()));
    std::fill(outputs.begin(), outputs.end(), 0.0f);
  }

  evaluation evaluate(std::span<const float> parameters, const data_set& data) override {
    check(parameters.size());
    return {.loss = 0, .accuracy = std::nullopt, .samples = data.size()};
  }

 private:
  void check(std::size_t found) const {
    if (found != layout_.size())
      throw error("integer_sum", "expected " + std::to_string(layout_.size()) +
                                     " parameters, found " + std::to_string(found));
  }

  layout layout_;
};

} // namespace

int integer_share(std::uint64_t i, std::uint64_t j) noexcept { return share(mix(i), j); }

std::unique_ptr<model> make_integer_sum(std::size_t parameters) {
  return std::make_unique<integer_sum>(parameters);
}

std::vector<double> expected_sum(std::size_t parameters, std::size_t samples) {
  std::vector<double> result(parameters, 0.0);
  for (std::size_t i = 0; i < samples; ++i) {
    const auto mixed = mix(i);
    for (std::size_t j = 0; j < parameters; ++j) result[j] += share(mixed, j);
  }
  return result;
}

data_set make_integers(std::size_t samples) {
  if (samples > exact_floats)
    throw error("make_integers", "expected at most 2^24 samples, found " + std::to_string(samples));
  data_set::contents c;
  c.feature_count = 1;
  c.target_count = 1;
  c.features.resize(samples);
  c.targets.resize(samples);
  for (std::size_t i = 0; i < samples; ++i) c.features[i] = static_cast<float>(i);
  return data_set(std::move(c));
}

} // namespace troupe::tensor
