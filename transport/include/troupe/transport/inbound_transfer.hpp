#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "troupe/transport/transfer.hpp"

namespace troupe::transport {

/// Collects the parts of one transfer without copying them. Not thread-safe.
class inbound_transfer {
 public:
  /// False (and nothing changed) if the part does not fit. The first part fixes the total.
  bool add(const part& p);
  bool complete() const noexcept { return started_ && received_ == total_; }
  std::uint64_t total() const noexcept { return total_; }
  std::uint64_t received() const noexcept { return received_; }
  /// Covers [0, total) once complete.
  const placed_blocks& parts() const noexcept { return parts_; }
  placed_blocks take_parts() { return std::move(parts_); }

 private:
  bool started_ = false;
  std::uint64_t total_ = 0;
  std::uint64_t received_ = 0;
  placed_blocks parts_;
};

/// What a landing does with parts that lie in this process already.
enum class local_parts : std::uint8_t { copied, kept };

/// Takes the parts of one expected transfer, and copies them into memory of the receiver's, but for
/// those it is to keep (TRANSFER-8). Not thread-safe.
class landing {
 public:
  landing() = default;
  /// `target` must outlive the landing; its size is the only total accepted.
  explicit landing(std::span<std::byte> target, local_parts local = local_parts::copied)
      : target_(target), local_(local) {}
  /// False (and nothing changed) if the part does not fit.
  bool add(const part& p);
  bool complete() const noexcept { return received_ == target_.size(); }
  /// What was kept; all else lies in the target.
  placed_blocks take_kept() { return std::move(kept_); }
  /// Takes the same bytes again, under another transfer.
  void restart() { begin(target_, local_); }
  /// Is from now on what a landing made of these would be.
  void begin(std::span<std::byte> target, local_parts local);

 private:
  std::span<std::byte> target_;
  local_parts local_ = local_parts::copied;
  placed_blocks kept_;
  std::uint64_t received_ = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> taken_; ///< offset and length, ascending
};

} // namespace troupe::transport
