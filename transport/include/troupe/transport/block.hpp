#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "troupe/transport/shared_pools.hpp"
#include "troupe/values/aligned.hpp"

namespace troupe::transport {

/// A ref-counted, immutable view of contiguous raw bytes: the form in which parameters and
/// gradients travel. Within a process a copy shares the memory. Between processes a block is a
/// length and one raw write, so NaN, infinities and subnormals are unchanged; between processes of
/// one host that share memory it is the place of the bytes in that memory. Received blocks are
/// 64-byte aligned. A block cut from a larger buffer is as aligned as its place in the buffer.
///
/// BLOCK-1 A block on the wire holds at most `max_bytes`; a longer length is refused before
///         anything is allocated for it.
/// BLOCK-2 The bytes never change while any block refers to them: the owner must not write.
/// BLOCK-3 If shared memory cannot be read, the block says so (`unreadable`), and this is no error:
///         the receiver asks for the bytes themselves.
///
/// Thread-safety: like std::shared_ptr; the bytes may be read from any thread.
class block {
 public:
  static constexpr std::uint32_t max_bytes = 1u << 20;

  block() = default;

  /// Shares `size` bytes at `data`, which `owner` keeps alive. `size` <= max_bytes.
  block(std::shared_ptr<const void> owner, const void* data, std::uint32_t size)
      : owner_(std::move(owner)), data_(static_cast<const std::byte*>(data)), size_(size) {}

  /// The same for bytes that came from another process. Their memory is a receive buffer, and the
  /// sender waits until it is free.
  static block received(std::shared_ptr<const void> owner, const void* data, std::uint32_t size) {
    block b{std::move(owner), data, size};
    b.received_ = true;
    return b;
  }

  /// A block with its own copy of `bytes`, aligned to 64 bytes.
  static block copy_of(std::span<const std::byte> bytes) {
    auto [b, to] = writable(static_cast<std::uint32_t>(bytes.size()));
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    return b;
  }

  /// A fresh block and the memory to fill in, before any other copy of the block exists.
  static std::pair<block, std::byte*> writable(std::uint32_t size) {
    if (size == 0) return {block{}, nullptr};
    auto buffer =
        std::make_shared_for_overwrite<chunk[]>((size + sizeof(chunk) - 1) / sizeof(chunk));
    auto* at = reinterpret_cast<std::byte*>(buffer.get());
    return {block{std::move(buffer), at, size}, at};
  }

  /// The same bytes as a block that goes to another process through shared memory: those that lie
  /// there already as they are, others copied. When there is no room the block itself, which goes
  /// as bytes.
  block in_shared_memory(shared_pools& pools) const {
    block b = *this;
    b.lent_ = pools.can_lend(bytes());
    if (b.lent_) return b;
    if (auto copy = pools.copy(bytes())) {
      b = block{std::move(copy->owner), copy->data, copy->size};
      b.lent_ = true;
    }
    return b;
  }

  /// Whether the block goes to another process through shared memory.
  bool lent() const noexcept { return lent_; }

  /// Whether the block came through shared memory that this process cannot read; `size()` is 0.
  bool unreadable() const noexcept { return unreadable_; }

  /// It came from another process: holding it longer than it takes to read keeps others waiting.
  bool received() const noexcept { return received_; }

  /// Whether the block came through shared memory.
  bool borrowed() const noexcept { return borrowed_; }

  /// The owner that keeps the bytes alive.
  const std::shared_ptr<const void>& owner() const noexcept { return owner_; }
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  std::uint32_t size() const noexcept { return size_; }

  /// The bytes as floats. The block must hold whole floats at a float's alignment; parts of a
  /// transfer do (TRANSFER-1).
  std::span<const float> floats() const noexcept {
    return {reinterpret_cast<const float*>(data_), size_ / sizeof(float)};
  }

  /// Where the bytes of a block that goes through shared memory lie. None: it goes as bytes, also
  /// when the memory cannot be lent any more.
  /// `pools`: those of `in_shared_memory`, or null.
  std::optional<shared_descriptor> lend(shared_pools* pools) const {
    return lent_ && pools != nullptr ? pools->lend(bytes()) : std::nullopt;
  }
  /// The block that another process lent. It is `unreadable` if `pools` is null or cannot map it.
  static block borrow(const shared_descriptor& d, shared_pools* pools) {
    block b;
    if (auto found = pools != nullptr ? pools->open(d) : std::nullopt) {
      b = received(std::move(found->owner), found->data, found->size);
      b.borrowed_ = true;
    } else {
      b.unreadable_ = true;
    }
    return b;
  }

 private:
  struct alignas(tensor::alignment) chunk {
    std::byte bytes[tensor::alignment];
  };

  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  std::uint32_t size_ = 0;
  bool lent_ = false;
  bool received_ = false;
  bool borrowed_ = false;
  bool unreadable_ = false;
};

/// Pieces of a run of bytes by their offsets in it, ascending; they do not overlap.
using placed_blocks = std::vector<std::pair<std::uint64_t, block>>;

} // namespace troupe::transport
