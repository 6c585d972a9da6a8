#pragma once

#include "troupe/values/aligned.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::tensor {

/// Some samples to compute on. The view owns no memory: it refers to memory of a data_set, a
/// batch_buffer or the caller, and is valid as long as that memory. If both `labels` and `targets`
/// are empty, the samples can only be predicted from.
struct batch_view {
  std::span<const float> features; ///< rows x feature_count, row-major
  std::size_t rows = 0;
  std::size_t feature_count = 0;
  std::span<const std::int32_t> labels; ///< rows, or empty
  std::span<const float> targets;       ///< rows x target_count, row-major, or empty
  std::size_t target_count = 0;
};

/// Memory that data_set::gather fills. If a worker keeps one buffer for all its batches, only the
/// first batch allocates. One thread at a time may use a buffer.
struct batch_buffer {
  aligned_vector<float> features;
  std::vector<std::int32_t> labels;
  aligned_vector<float> targets;
};

/// How features are brought to a common scale.
enum class normalization_kind {
  none,       ///< features stay as they are (integer workloads)
  global,     ///< one mean and one scale for all features (pixels of an image)
  per_feature ///< one mean and one scale for each feature (columns of a table)
};

/// x becomes (x - mean) * scale. Each vector is empty (no normalization), or has one element for
/// all features, or one element per feature.
struct normalization {
  std::vector<float> mean;
  std::vector<float> scale;

  /// Normalizes `features` (rows x feature_count, row-major) in place. Throws `error` if `mean` and
  /// `scale` differ in size, or if features.size() is no multiple of a per-feature size.
  void apply(std::span<float> features) const;

  friend bool operator==(const normalization&, const normalization&) = default;
};

/// Samples in memory, immutable. Copies share the memory, so each worker of a process can have a
/// copy at no cost. Any number of threads may read a data set at once.
///
/// Features given as bytes (pixels) stay bytes in memory, at a quarter of the size of floats. They
/// become floats when a batch is read.
/// DATA-1  Bytes become the floats that byte / 255 and then normalization::apply give, bit for bit.
class data_set {
 public:
  /// The input of a data set. Features are floats or bytes, never both. Give labels
  /// (class_count > 0) or targets (target_count > 0), never both; with neither, the samples can
  /// only be predicted from.
  struct contents {
    std::size_t feature_count = 0;
    aligned_vector<float> features; ///< size() x feature_count
    /// Instead of `features`, size() x feature_count. A feature is byte / 255, normalized by
    /// `norm`.
    aligned_vector<unsigned char> bytes = {};
    normalization norm = {}; ///< applied to `bytes` only
    std::vector<std::int32_t> labels;
    std::size_t class_count = 0;
    aligned_vector<float> targets; ///< size() x target_count
    std::size_t target_count = 0;
    std::vector<std::string> feature_names; ///< feature_count, or empty
    normalization_kind suggested = normalization_kind::none;
  };

  /// No samples.
  data_set();

  /// Throws `error` when the sizes do not agree, a label is outside [0, class_count), or there are
  /// both floats and bytes.
  explicit data_set(contents c);

  std::size_t size() const noexcept;
  std::size_t feature_count() const noexcept;
  /// 0 for classification.
  std::size_t target_count() const noexcept;
  /// 0 for regression.
  std::size_t class_count() const noexcept;
  const std::vector<std::string>& feature_names() const noexcept;
  /// The normalization that fits this kind of data; set by the loader.
  normalization_kind suggested_normalization() const noexcept;
  /// The contents in the form in which they lie in memory.
  const contents& stored() const noexcept;

  /// Rows [first, first + rows) without copying. The view is valid while a copy of this data set
  /// lives. Throws `error` if the rows exceed size(). If the features are bytes, the first call
  /// converts all of them to floats and keeps both; use gather() where only batches are needed.
  batch_view view(std::size_t first, std::size_t rows) const;
  /// view(0, size()).
  batch_view all() const { return view(0, size()); }

  /// Copies the rows with these indices, in that order, into `out` and returns a view of `out`,
  /// valid until `out` changes. Throws `error` if an index is not below size().
  batch_view gather(std::span<const std::uint32_t> rows, batch_buffer& out) const;

 private:
  struct memory;
  std::shared_ptr<const memory> memory_;
  std::size_t size_ = 0;
};

/// The mean and the inverse standard deviation of the data's features. A feature that never changes
/// gets scale 1. If there are no samples or `kind` is none, the normalization is empty.
normalization fit_normalization(const data_set& data, normalization_kind kind);

/// A copy of the samples with normalized features. Throws `error` if `norm` does not fit
/// feature_count().
data_set normalized(const data_set& data, const normalization& norm);

struct data_split {
  data_set train;
  data_set held_out;
  normalization norm; ///< fitted on train alone, applied to both
};

/// Shuffles with `seed` and gives the last round(size * held_out) samples to held_out. If `kind` is
/// not given, the normalization is of data.suggested_normalization(). Throws `error` unless
/// 0 <= held_out < 1 and at least one sample is left to train on.
data_split split(data_set data, double held_out, std::uint64_t seed);
data_split split(data_set data, double held_out, std::uint64_t seed, normalization_kind kind);

} // namespace troupe::tensor
