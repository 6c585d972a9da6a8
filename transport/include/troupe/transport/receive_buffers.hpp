#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace troupe::transport {

/// Buffers to receive into, used again and again: a fresh one costs a page fault for every 4 KiB
/// and is in no cache. The one that came back last is given out first. Aligned to 4096 bytes.
///
/// As many buffers exist as are held, and at most `kept_max` more of each size. Thread-safe;
/// buffers may outlive this object.
class receive_buffers {
 public:
  static constexpr std::uint32_t buffer_bytes = 1u << 20;

  explicit receive_buffers(std::size_t kept_max = 32);

  /// A buffer of at least `size` bytes, at most `buffer_bytes`; free again when nobody holds it.
  /// A quarter and less of a whole one comes from smaller ones.
  std::shared_ptr<std::byte> take(std::uint32_t size);

  /// Figures for tests.
  std::size_t kept() const;

 private:
  struct stock;
  std::shared_ptr<stock> stock_;
};

} // namespace troupe::transport
