#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <vector>

namespace troupe::tensor {

/// In bytes: a cache line, and the widest vector register of today's processors.
inline constexpr std::size_t alignment = 64;

/// A source of memory for aligned_vector other than the heap. It must outlive the vectors that use
/// it. Thread-safe.
class memory_source {
 public:
  /// Returns at least `bytes` bytes that start on an `alignment` boundary. Throws std::bad_alloc.
  virtual void* allocate(std::size_t bytes) = 0;
  /// Takes back memory of allocate(); `bytes` is the argument of that call.
  virtual void deallocate(void* p, std::size_t bytes) noexcept = 0;

 protected:
  ~memory_source() = default;
};

/// An allocator whose memory starts on an `alignment` boundary. The memory comes from the heap or
/// from a memory_source. The source moves and swaps with its vector; a copy of the vector uses the
/// heap.
template <class T>
class aligned_allocator {
 public:
  using value_type = T;
  using is_always_equal = std::false_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  aligned_allocator() = default;
  explicit aligned_allocator(memory_source& source) noexcept : source_(&source) {}
  template <class U>
  aligned_allocator(const aligned_allocator<U>& other) noexcept : source_(other.source()) {}

  aligned_allocator select_on_container_copy_construction() const { return {}; }

  T* allocate(std::size_t n) {
    if (n > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
    if (source_ != nullptr) return static_cast<T*>(source_->allocate(n * sizeof(T)));
    return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{alignment}));
  }
  void deallocate(T* p, std::size_t n) noexcept {
    if (source_ != nullptr) return source_->deallocate(p, n * sizeof(T));
    ::operator delete (p, std::align_val_t{alignment});
  }

  memory_source* source() const noexcept { return source_; }

  template <class U>
  friend bool operator==(const aligned_allocator& a, const aligned_allocator<U>& b) {
    return a.source() == b.source();
  }

 private:
  memory_source* source_ = nullptr;
};

/// A vector whose data() is 64-byte aligned. `aligned_vector<float>(n)` is n zeros, as usual.
template <class T>
using aligned_vector = std::vector<T, aligned_allocator<T>>;

} // namespace troupe::tensor
