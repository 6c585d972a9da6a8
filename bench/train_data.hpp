#pragma once

#include <filesystem>
#include <string>

namespace troupe::bench {

/// 10,000 pictures of digits, 28 x 28, that Troupe and PyTorch read alike.
struct digit_files {
  std::string name; ///< what they are
  std::filesystem::path images;
  std::filesystem::path labels;
};

/// The real ones that lie beside the repository; where there are none, those that the project draws
/// itself (tensor/digits.hpp), written to `scratch`. Throws std::runtime_error when it cannot.
digit_files find_digits(const std::filesystem::path& scratch);

/// The drawn ones, written to `folder` as plain IDX files.
digit_files write_digits(const std::filesystem::path& folder);

} // namespace troupe::bench
