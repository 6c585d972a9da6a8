#pragma once

#include "losses.hpp"
#include "matrix_product.hpp"
#include "troupe/tensor/sequential.hpp"
#include "troupe/values/aligned.hpp"

#include <memory>
#include <optional>

namespace troupe::tensor {

/// batch_view for a scalar type.
template <class T>
struct basic_batch {
  std::span<const T> features;
  std::size_t rows = 0;
  std::size_t feature_count = 0;
  basic_answers<T> answers;
};

/// The sequential model for a scalar type: float to train with, double so that its gradients can be
/// compared with central differences. Documented at make_sequential.
template <class T>
class basic_sequential {
 public:
  basic_sequential(std::size_t inputs, const std::vector<layer_spec>& layers, loss l,
                   precision p = precision::fp32);

  const layout& parameter_layout() const noexcept { return layout_; }
  std::size_t input_count() const noexcept { return inputs_; }
  std::size_t output_count() const noexcept { return stages_.back().units; }

  void initialize(std::uint64_t seed, std::span<T> parameters) const;
  /// `tell` may be null: model::loss_and_streamed_gradient.
  double loss_and_gradient(std::span<const T> parameters, const basic_batch<T>& batch,
                           std::span<T> gradient, const model::final_listener* tell = nullptr);
  void predict(std::span<const T> parameters, const basic_batch<T>& batch, std::span<T> outputs);

  struct score {
    double loss = 0; ///< mean over the rows
    std::size_t correct = 0;
  };
  /// Forward only.
  score evaluate(std::span<const T> parameters, const basic_batch<T>& batch);

 private:
  /// A dense layer with the activation that follows it, or an activation alone.
  struct stage {
    std::size_t inputs = 0;
    std::size_t units = 0;
    bool dense = false;
    std::optional<layer_spec::kind> applied;
    /// In training, output and delta exist in bfloat16 alone: the output as the next stage's
    /// input_memory, the delta in delta_memory_. Both enter products and a ReLU, which rounding
    /// commutes with.
    bool rounded = false;
    std::size_t weight = 0; ///< offsets in the parameters
    std::size_t bias = 0;
    aligned_vector<T> output; ///< rows x units, padded
    factor_memory input_memory, weight_memory;
    factor<T> input_factor{}, weight_factor{}; ///< from the forward pass, for the backward
  };

  void add_dense(std::size_t units);
  void add_activation(layer_spec::kind activation);
  void check(std::size_t parameters, const basic_batch<T>& batch) const;
  void make_room(std::size_t rows);
  /// Returns z, the last stage's output.
  const T* forward(const T* parameters, const basic_batch<T>& batch, matrix_products<T>& products);
  /// From delta_ and what the forward pass left.
  void backward(std::size_t rows, T* gradient, const model::final_listener* tell);

  std::size_t inputs_;
  loss loss_;
  layout layout_;
  std::vector<stage> stages_;
  std::size_t room_ = 0;
  aligned_vector<T> delta_;                        ///< derivative of the loss by a stage's output
  aligned_vector<T> next_delta_;                   ///< the same for the stage before
  factor_memory delta_memory_, next_delta_memory_; ///< the same in bfloat16
  std::shared_ptr<matrix_products<T>> products_;   ///< of a training step
  std::shared_ptr<matrix_products<T>> exact_products_; ///< of predict and evaluate: fp32
};

} // namespace troupe::tensor
