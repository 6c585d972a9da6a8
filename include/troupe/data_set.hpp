#pragma once

#include "troupe/values/aligned.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::tensor {

/// Some samples to compute on. Refers to memory of a data_set, a batch_buffer or the caller.
struct batch_view {
  std::span<const float> features; ///< rows x feature_count, row-major
  std::size_t rows = 0;
  std::size_t feature_count = 0;
  std::span<const std::int32_t> labels; ///< rows, or empty
  std::span<const float> targets;       ///< rows x target_count, row-major, or empty
  std::size_t target_count = 0;
};

/// Memory that data_set::gather fills; keep one per worker and no batch allocates after the first.
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

/// x becomes (x - mean) * scale. Both vectors hold no value (nothing to do), one (for all features)
/// or one per feature.
struct normalization {
  std::vector<float> mean;
  std::vector<float> scale;

  /// In place. Throws `error` when features.size() is no multiple of a per-feature normalization or
  /// mean and scale differ in size.
  void apply(std::span<float> features) const;

  friend bool operator==(const normalization&, const normalization&) = default;
};

/// Samples in memory, immutable. Copies share the memory, so handing a data set to every worker of
/// a process costs nothing, and any number of threads may read one.
///
/// Features that come as bytes (pixels) stay bytes in memory, a quarter of what there is to fetch
/// for a batch, and become floats when they are read.
/// DATA-1: these are the floats that byte / 255 and then normalization::apply give, bit for bit.
class data_set {
 public:
  /// What a data set is made of: features as floats or as bytes, not both. Either labels
  /// (class_count > 0) or targets (target_count > 0) may be given, or neither (features to predict
  /// from), never both.
  struct contents {
    std::size_t feature_count = 0;
    aligned_vector<float> features; ///< size() x feature_count
    /// In features' place, size() x feature_count; a feature is its byte / 255, normalized by norm.
    aligned_vector<unsigned char> bytes = {};
    normalization norm = {}; ///< of bytes only
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
  /// What it was made of, as it is in memory.
  const contents& stored() const noexcept;

  /// Rows [first, first + rows) without copying. Valid while a copy of this data set lives. Throws
  /// `error` when they exceed size(). The first view of bytes makes floats of all of them and keeps
  /// these too: gather() where only batches are needed.
  batch_view view(std::size_t first, std::size_t rows) const;
  batch_view all() const { return view(0, size()); }

  /// Copies the named rows, in that order, into `out` and returns a view of `out`. Throws `error`
  /// when a row is not below size().
  batch_view gather(std::span<const std::uint32_t> rows, batch_buffer& out) const;

 private:
  struct memory;
  std::shared_ptr<const memory> memory_;
  std::size_t size_ = 0;
};

/// The mean and the inverse standard deviation of the data's features. A feature that never changes
/// gets scale 1. No samples or kind none: the empty normalization.
normalization fit_normalization(const data_set& data, normalization_kind kind);

/// The same samples with normalized features.
data_set normalized(const data_set& data, const normalization& norm);

struct data_split {
  data_set train;
  data_set held_out;
  normalization norm; ///< fitted on train alone, applied to both
};

/// Shuffles with `seed` and gives the last round(size * held_out) samples to held_out. The
/// normalization is data.suggested_normalization() unless `kind` says otherwise. Throws `error`
/// unless 0 <= held_out < 1 and at least one sample is left to train on.
data_split split(data_set data, double held_out, std::uint64_t seed);
data_split split(data_set data, double held_out, std::uint64_t seed, normalization_kind kind);

} // namespace troupe::tensor
