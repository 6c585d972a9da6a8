#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace troupe::transport {

/// Buffers to receive into, used again and again: a fresh buffer costs a page fault for every 4 KiB
/// and is in no cache. The buffer that was returned last is given out first. Aligned to 4096 bytes.
///
/// The buffers in use exist, and at most `kept_max` more of each size. Thread-safe; buffers may
/// outlive this object.
class receive_buffers {
 public:
  static constexpr std::uint32_t buffer_bytes = 1u << 20;

  explicit receive_buffers(std::size_t kept_max = 32);

  /// A buffer of at least `size` bytes, at most `buffer_bytes`; it is free again when its last
  /// holder lets go. A size of a quarter or less comes from smaller buffers.
  std::shared_ptr<std::byte> take(std::uint32_t size);

  /// Figures for tests.
  std::size_t kept() const;

 private:
  struct stock;
  std::shared_ptr<stock> stock_;
};

} // namespace troupe::transport
