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

/// The positions of a model's parameters in one flat vector of float32.
///
/// LAYOUT-1  Entries lie back to back in the order of the add() calls, without gaps: entry i begins
///           where entry i - 1 ends, and size() is the sum of all sizes.
///
/// One thread at a time may change a layout; any number may read it.
class layout {
 public:
  /// Appends an entry and returns its offset in elements. An empty shape is a scalar (size 1); a
  /// dimension of 0 gives an entry of size 0. Throws `error` if the name is empty or repeated, or
  /// if the number of elements does not fit; the layout is then unchanged.
  std::size_t add(std::string name, std::vector<std::size_t> shape);

  const std::vector<entry>& entries() const noexcept { return entries_; }

  /// Number of elements of the flat vector.
  std::size_t size() const noexcept { return size_; }

  /// The entry of that name, or nullptr if there is none. Valid until the next add().
  const entry* find(std::string_view name) const noexcept;

  friend bool operator==(const layout&, const layout&) = default;

 private:
  std::vector<entry> entries_;
  std::size_t size_ = 0;
};

} // namespace troupe::tensor
