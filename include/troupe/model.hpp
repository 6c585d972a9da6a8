#pragma once

#include "troupe/data_set.hpp"
#include "troupe/values/layout.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace troupe::tensor {

/// The result of model::evaluate.
struct evaluation {
  double loss = 0;                ///< mean over the samples
  std::optional<double> accuracy; ///< absent when the data has no class labels
  std::size_t samples = 0;
};

/// A trainable function of a flat parameter vector. Derive from this class to train a model of your
/// own. All sizes are in elements, not in bytes; matrices are row-major.
///
/// MODEL-1  Equal arguments give bitwise equal results in every instance of one build on one kind
///          of processor, whatever was computed before.
/// MODEL-2  loss_and_gradient and predict allocate no memory once they have seen a batch of that
///          many rows. (With oneDNN, a product's list of arguments, less than 1 KiB, is allocated
///          and freed within the call.)
///
/// An instance holds scratch memory: one thread at a time may use it. Different instances are
/// independent. Buffers should be 64-byte aligned (aligned_vector) for speed; any alignment is
/// correct.
class model {
 public:
  virtual ~model() = default;

  /// The names, shapes and offsets of the parameters. Does not change over the model's life.
  virtual const layout& parameter_layout() const noexcept = 0;

  /// The number of features of a sample, and the number of values predict() gives for a sample.
  virtual std::size_t input_count() const noexcept = 0;
  virtual std::size_t output_count() const noexcept = 0;

  /// Writes the start values that belong to `seed` into all of `parameters`
  /// (parameter_layout().size() elements).
  virtual void initialize(std::uint64_t seed, std::span<float> parameters) const = 0;

  /// Returns the mean loss over the rows of `batch` and overwrites `gradient` with its derivative.
  /// `parameters` and `gradient` have parameter_layout().size() elements. A batch without rows
  /// gives loss 0 and a gradient of zeros. A loss that is not finite is returned, not thrown.
  /// Throws `error` if a size or a label does not fit the model; `gradient` is then unspecified.
  virtual double loss_and_gradient(std::span<const float> parameters, const batch_view& batch,
                                   std::span<float> gradient) = 0;

  /// Called with `first` when elements [first, size) of the gradient are final.
  using final_listener = std::function<void(std::size_t first)>;

  /// The result of loss_and_gradient. During the backward pass it also calls `tell` when a tail of
  /// the gradient is final. Each call names an earlier element than the call before, and none names
  /// element 0: the return says that the whole gradient is final. `tell` may read the final tail at
  /// once. The default calls `tell` never. Override this function if the backward pass completes
  /// one part of the gradient before the others.
  virtual double loss_and_streamed_gradient(std::span<const float> parameters,
                                            const batch_view& batch, std::span<float> gradient,
                                            const final_listener& tell);

  /// Writes rows x output_count values, row-major. Ignores labels and targets of the batch. Throws
  /// `error` if a size does not fit the model.
  virtual void predict(std::span<const float> parameters, const batch_view& batch,
                       std::span<float> outputs) = 0;

  /// The mean loss over `data` and, for data with class labels, the accuracy: the share of samples
  /// whose largest output names their class. (With one output, the class is 1 if the output is at
  /// least 0.5.) The default calls loss_and_gradient and predict on chunks of the data. Override
  /// this function if the loss can be computed without the gradient. Throws `error` as
  /// loss_and_gradient.
  virtual evaluation evaluate(std::span<const float> parameters, const data_set& data);
};

/// The number of rows of `outputs` (rows x output_count) that name their label, by the rule of
/// model::evaluate. A row with a NaN never counts.
std::size_t count_correct(std::span<const float> outputs, std::size_t output_count,
                          std::span<const std::int32_t> labels);

} // namespace troupe::tensor
