#pragma once

#include "troupe/data_set.hpp"

#include <filesystem>

namespace troupe::tensor {

/// Reads an image and a label file in the IDX format of http://yann.lecun.com/exdb/mnist (unsigned
/// bytes; big-endian dimensions), each plain or gzip, told apart by their first bytes. Images of
/// any shape become rows of pixel / 255; class_count is the largest label + 1.
///
/// Throws `error` naming the file when it is missing, not a regular file, of another magic number,
/// truncated, damaged (gzip checksum), longer than its header says, without samples, or when the
/// two files disagree in their number of samples.
data_set load_idx(const std::filesystem::path& images, const std::filesystem::path& labels);

/// Images alone, to predict from: neither labels nor targets.
data_set load_idx_images(const std::filesystem::path& images);

} // namespace troupe::tensor
