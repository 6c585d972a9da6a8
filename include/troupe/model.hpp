#pragma once

#include "troupe/data_set.hpp"
#include "troupe/values/layout.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace troupe::tensor {

struct evaluation {
  double loss = 0;                ///< mean over the samples
  std::optional<double> accuracy; ///< absent when the data has no class labels
  std::size_t samples = 0;
};

/// A function of a flat parameter vector that can be trained. Derive from it to bring an own model.
///
/// MODEL-1: equal arguments give bitwise equal results in every instance of one build on one kind
/// of processor, whatever was computed before.
/// MODEL-2: loss_and_gradient and predict take no memory once a batch of that many rows was seen.
/// (With oneDNN a product's list of arguments, less than 1 KiB, is allocated and freed within the
/// call.)
///
/// An instance holds scratch memory: one thread at a time may use it. Different instances are
/// independent. Buffers should be 64-byte aligned (aligned_vector) for speed; any alignment is
/// correct.
class model {
 public:
  virtual ~model() = default;

  virtual const layout& parameter_layout() const noexcept = 0;

  /// Features of a sample, and values predict() gives for one.
  virtual std::size_t input_count() const noexcept = 0;
  virtual std::size_t output_count() const noexcept = 0;

  /// Writes the start values that belong to `seed` into all of `parameters`
  /// (parameter_layout().size() elements).
  virtual void initialize(std::uint64_t seed, std::span<float> parameters) const = 0;

  /// Returns the mean loss over the rows and overwrites `gradient` (as long as `parameters`) with
  /// its derivative. No rows: loss 0 and a gradient of zeros. A loss that is not finite is
  /// returned, not thrown. Throws `error` when a size or a label does not fit the model; `gradient`
  /// is then unspecified.
  virtual double loss_and_gradient(std::span<const float> parameters, const batch_view& batch,
                                   std::span<float> gradient) = 0;

  /// Told that the gradient is final from this element to its end.
  using final_listener = std::function<void(std::size_t first)>;

  /// The same result, and says from within how much of the gradient is final, each time from an
  /// earlier element on than before; never of element 0, for the return says that. Whoever is told
  /// may read that part at once. This default says nothing; override it where the backward pass
  /// ends with one part of the gradient before the others.
  virtual double loss_and_streamed_gradient(std::span<const float> parameters,
                                            const batch_view& batch, std::span<float> gradient,
                                            const final_listener& tell);

  /// Writes rows x output_count values, row-major. Labels and targets of the batch are ignored.
  virtual void predict(std::span<const float> parameters, const batch_view& batch,
                       std::span<float> outputs) = 0;

  /// Loss and, for data with class labels, the share of samples whose largest output (with one
  /// output: whether it is >= 0.5) names their class. This default calls loss_and_gradient and
  /// predict on chunks of the data; override it where the loss can be had without the gradient.
  virtual evaluation evaluate(std::span<const float> parameters, const data_set& data);
};

/// How many rows of `outputs` (rows x output_count) name their label, by the rule of
/// model::evaluate. A row with a NaN names nothing.
std::size_t count_correct(std::span<const float> outputs, std::size_t output_count,
                          std::span<const std::int32_t> labels);

} // namespace troupe::tensor
