#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <vector>

namespace troupe::tensor {

/// Bytes. A cache line, and the widest vector register of today's processors.
inline constexpr std::size_t alignment = 64;

/// An allocator whose memory starts on an `alignment` boundary.
template <class T>
struct aligned_allocator {
  using value_type = T;
  using is_always_equal = std::true_type;

  aligned_allocator() = default;
  template <class U>
  aligned_allocator(const aligned_allocator<U>&) noexcept {}

  T* allocate(std::size_t n) {
    if (n > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{alignment}));
  }
  void deallocate(T* p, std::size_t) noexcept {
    ::operator delete (p, std::align_val_t{alignment});
  }

  template <class U>
  friend bool operator==(const aligned_allocator&, const aligned_allocator<U>&) {
    return true;
  }
};

/// A vector whose data() is 64-byte aligned. `aligned_vector<float>(n)` is n zeros, as usual.
template <class T>
using aligned_vector = std::vector<T, aligned_allocator<T>>;

} // namespace troupe::tensor
