#pragma once

#include "troupe/data_set.hpp"
#include "troupe/values/aligned.hpp"
#include "troupe/values/layout.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace troupe::tensor {

/// A trained model as it is kept on disk. See README.md for the bytes.
struct model_file {
  std::string job; ///< JSON text; opaque here
  layout parameters_layout;
  aligned_vector<float> parameters; ///< parameters_layout.size()
  normalization norm;               ///< to be applied to features before predict
  std::uint32_t epochs_done = 0;

  friend bool operator==(const model_file&, const model_file&) = default;
};

/// Writes to a temporary name in the same folder, flushes it to disk and renames it over `path`.
///
/// MODEL_FILE-1: after success the new file survives a power failure; after any failure `path` is
/// as it was and no temporary is left.
///
/// Throws `error` with the path and the system's reason, or when the number of parameters is not
/// the layout's.
void save_model(const std::filesystem::path& path, const model_file& file);

/// MODEL_FILE-2: what load_model returns is what was saved, bit for bit (NaN included). A file of
/// another kind or version, truncated, with any byte changed, with trailing bytes or with lengths
/// that cannot be true throws `error` naming which; no memory is taken on the word of an unchecked
/// length.
model_file load_model(const std::filesystem::path& path);

/// 16 hex digits: XXH64 with seed 0 over the bytes of the floats.
std::string parameter_hash(std::span<const float> parameters);

} // namespace troupe::tensor
