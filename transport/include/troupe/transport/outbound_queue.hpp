#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "troupe/transport/bulk_lane.hpp"
#include "troupe/transport/transfer.hpp"

/// Inside of `peer`.
namespace troupe::transport {

/// What waits to be sent to one peer, and the credit that lets it go. Not thread-safe.
class outbound_queue {
 public:
  /// `pools`: of this process, or null; they must outlive the queue.
  explicit outbound_queue(shared_pools* pools, std::uint32_t window = default_window)
      : pools_(pools), window_(window) {}

  /// From now on the lane is used where it is open. May be null.
  void use(std::shared_ptr<bulk_lane> lane) { lane_ = std::move(lane); }
  /// What lies in these blocks, each by itself.
  void add(const std::vector<part>& parts);
  /// A transfer, which is cut as it is sent.
  void add(transfer_id id, peer_number from, std::shared_ptr<const void> owner, const void* data,
           std::uint64_t bytes);
  /// Forgets this transfer, what waits and what is on its way: the asker gave it up, and the credit
  /// for lost parts would never come.
  void cancel(transfer_id id);
  /// The next part that may be sent now as a message, after those before it that go over the bulk
  /// connection were given to that; none: nothing waits or the window is full. A part that is
  /// handed out counts as on its way.
  std::optional<part> next();
  /// The same for what goes with the announcement of this transfer: one part, or all that lie in
  /// shared memory. Empty when parts of others wait before it, and when it goes over the bulk
  /// connection.
  std::vector<part> next_of(transfer_id id);
  /// The peer took in `parts` parts of the transfer; more than are on their way count as all.
  /// `key`: the peer's (shared_pools::key), 0 if it could not read them (TRANSFER-5).
  void credit(transfer_id id, std::uint32_t parts, std::uint64_t key);
  /// The peer of this key has answered the transfer, so it needs no further part.
  void settle(transfer_id id, std::uint64_t key);
  /// Forgets all parts that wait or are on their way; the key and the lane of the peer stay.
  void clear();
  /// The same, and forgets which way parts take: another counterpart is reached.
  void forget() {
    clear();
    shares_.reset();
  }

  std::uint32_t on_their_way() const noexcept { return static_cast<std::uint32_t>(sent_.size()); }
  /// Bytes that wait to be sent.
  std::uint64_t waiting() const noexcept;

 private:
  // The bytes of a transfer from `offset` to `end`, not cut yet.
  struct run {
    transfer_id transfer;
    peer_number from;
    std::uint64_t offset;
    std::uint64_t end;
    std::uint64_t total;
    std::shared_ptr<const void> owner;
    const std::byte* data; // at `offset`
  };
  struct sent_part {
    part what;
    std::uint64_t connection; // that took it; 0: it went as a message
  };

  void learn(std::uint64_t key);
  std::uint32_t next_size() const;
  bool fits_lane(std::uint32_t size) const;
  part take_first(std::uint32_t size);
  std::optional<part> send_first(bool lane_too);
  static run run_of(const part& p);
  void take_back_lost();

  // Small, for there is a queue for each worker and shard: no memory is held for what is not there.
  shared_pools* pools_;
  std::uint32_t window_;
  std::optional<bool> shares_; // memory with the peer; none: nothing is known
  std::shared_ptr<bulk_lane> lane_;
  std::vector<sent_part> sent_; // not credited, in the order in which they were sent
  std::list<run> waiting_;
};

} // namespace troupe::transport
