#include "troupe/values/layout.hpp"

#include "troupe/values/error.hpp"

#include <limits>
#include <utility>

namespace troupe::tensor {

std::size_t layout::add(std::string name, std::vector<std::size_t> shape) {
  if (name.empty()) throw error("layout::add", "an entry needs a name");
  if (find(name) != nullptr)
    throw error("layout::add", "entry names must differ, '" + name + "' was added before");
  std::size_t count = 1;
  std::size_t bytes = 0;
  for (auto dimension : shape) {
    if (__builtin_mul_overflow(count, dimension, &count))
      throw error("layout::add",
                  "the shape of '" + name + "' has more elements than fit in memory");
  }
  std::size_t total = 0;
  if (__builtin_add_overflow(size_, count, &total) ||
      __builtin_mul_overflow(total, sizeof(float), &bytes) ||
      bytes > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()))
    throw error("layout::add", "with '" + name + "' the layout no longer fits in memory");
  const auto offset = size_;
  entries_.push_back({std::move(name), std::move(shape), offset, count});
  size_ = total;
  return offset;
}

const entry* layout::find(std::string_view name) const noexcept {
  for (const auto& e : entries_)
    if (e.name == name) return &e;
  return nullptr;
}

} // namespace troupe::tensor
