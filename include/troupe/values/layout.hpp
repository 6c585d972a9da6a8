#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::tensor {

/// One named, shaped piece of the flat parameter vector: elements [offset, offset + size),
/// row-major.
struct entry {
  std::string name;
  std::vector<std::size_t> shape;
  std::size_t offset = 0;
  std::size_t size = 0;

  friend bool operator==(const entry&, const entry&) = default;
};

/// How a model's parameters lie in one flat vector of float32.
///
/// LAYOUT-1: entries lie back to back in the order they were added, without gaps, so that entry i
/// begins where entry i - 1 ends and size() is the sum of all sizes.
class layout {
 public:
  /// Appends an entry and returns its offset. An empty shape is a scalar (size 1); a dimension of 0
  /// gives an entry of size 0. Throws `error` on an empty or repeated name and when the number of
  /// elements does not fit, leaving the layout as it was.
  std::size_t add(std::string name, std::vector<std::size_t> shape);

  const std::vector<entry>& entries() const noexcept { return entries_; }

  /// Number of elements of the flat vector.
  std::size_t size() const noexcept { return size_; }

  /// nullptr when there is no entry of that name. Valid until the next add().
  const entry* find(std::string_view name) const noexcept;

  friend bool operator==(const layout&, const layout&) = default;

 private:
  std::vector<entry> entries_;
  std::size_t size_ = 0;
};

} // namespace troupe::tensor
