#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "troupe/transport/transfer.hpp"

/// Inside of `peer`.
namespace troupe::transport {

/// What a receiver owes one sender for parts that it took in. Not thread-safe.
class owed_credit {
 public:
  /// `pools`: of this process, or null; they must outlive this.
  explicit owed_credit(const shared_pools* pools, std::uint32_t window = default_window)
      : pools_(pools), most_(window / 2) {}

  void add(const part& p);
  /// An answer of the receiver's credits the transfer.
  void settle(transfer_id id);
  /// The transfer is whole, and no answer will say so.
  void close(transfer_id id);
  void clear();
  /// The credit to send now, as credit of `from` (TRANSFER-5, TRANSFER-6).
  std::vector<credit> due(peer_number from);

 private:
  const shared_pools* pools_;
  std::uint32_t most_;
  std::uint32_t parts_ = 0;                                 // of all transfers
  std::vector<std::pair<transfer_id, std::uint32_t>> owed_; // for few transfers
  std::vector<credit> due_;                                 // whatever else is owed
};

} // namespace troupe::transport
