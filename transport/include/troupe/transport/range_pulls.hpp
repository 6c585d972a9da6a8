#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "troupe/transport/inbound_transfer.hpp"

namespace troupe::transport {

/// The open pulls of one puller, one for each shard. Not thread-safe.
class range_pulls {
 public:
  /// `target`: where the shard's range goes; must outlive the pull. Replaces an open pull.
  void begin(std::uint32_t shard, std::span<float> target, transfer_id id,
             local_parts local = local_parts::copied);
  /// Begins the shard's pull anew under another transfer.
  void restart(std::uint32_t shard, transfer_id id);

  /// A range that has landed.
  struct whole {
    std::uint32_t shard;
    std::uint64_t own_applied;
    std::uint64_t seen_updates;
    placed_blocks kept; ///< of the range; the rest is in the target
  };
  /// What `parameters` announced. Gives the range if it is whole with this; it is then closed.
  /// An unknown or older transfer changes nothing (TRANSFER-3).
  std::optional<whole> announced(std::uint32_t shard, transfer_id id, std::uint64_t own_applied,
                                 std::uint64_t seen_updates);
  std::optional<whole> add(const part& p);

  /// The shards whose ranges have not landed.
  std::vector<std::uint32_t> open() const;
  bool all_landed() const noexcept { return open_ == 0; }

 private:
  struct pull_of_range {
    transfer_id transfer = 0; // 0: none is open
    landing bytes;
    std::optional<std::uint64_t> own_applied; // once announced
    std::uint64_t seen_updates = 0;
  };
  pull_of_range* of(std::uint32_t shard, transfer_id id);
  void wait_for(pull_of_range& p, transfer_id id);
  std::optional<whole> close_if_whole(std::uint32_t shard);

  std::vector<pull_of_range> pulls_; // by shard
  std::size_t open_ = 0;             // of these
};

} // namespace troupe::transport
