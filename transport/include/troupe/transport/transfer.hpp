#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "troupe/transport/block.hpp"

/// The transport seam: "move these bytes to that peer, with credit". The classes here decide what
/// may be sent when and put together what arrived; they know no CAF. Whoever owns them sends the
/// parts and the credit as messages (see shard.cpp, worker.cpp).
///
/// A transfer is a run of bytes cut into parts of at most `part_bytes`:
///
///     sender                                   receiver
///       announcement{id, part}          ---->    inbound_transfer / landing: copies or keeps it
///       part{id, offset, total, block}  ---->
///       part ...  (at most `window` not credited)
///                              <----  credit{parts}   when half a window is owed
///                              <----  an answer       stands for the credit that is left
///
/// A message costs more than a small part, so what the window lets go at once comes within the
/// message that announces the transfer (one part, or all that lie in shared memory), and what
/// answers a transfer (`pushed`, `replicated`, the next `pull`) credits all of it.
///
/// With each credit and answer the receiver says who it is to those that may share memory with it:
/// from then on parts go through shared memory where they can. Where they cannot, those of at least
/// `least_bulk_bytes` go over a connection of their own (`bulk_lane`) while there is one;
/// announcements, credit and what is small are always messages.
///
/// TRANSFER-1 Offsets and lengths of parts are multiples of a float's size but for the end of the
///            transfer, and parts do not overlap.
/// TRANSFER-2 At most `window` parts are on their way to one peer at any time, whatever the number
///            of transfers: memory in flight is bounded however slow the peer is.
/// TRANSFER-3 A part that does not fit what is expected (unknown id, other total, out of range,
///            repeated) changes nothing and is still credited as others are.
/// TRANSFER-4 Parts may arrive in any order and before the message that announces them.
/// TRANSFER-5 A part that the receiver cannot read because it cannot have the memory it lies in is
///            credited at once, with key 0. The sender shares nothing with this peer from then on,
///            and sends again what was on its way.
/// TRANSFER-6 A receiver owes credit for less than half a window, so a sender never starves: of a
///            full window that has arrived, more than half is credited, whether answers come or
///            not.
/// TRANSFER-7 What was on its way over a bulk connection that broke is sent again, over another one
///            or as messages, when its sender looks next. Credit counts parts and does not name
///            them: where it counted one that was lost, whoever asked for the transfer asks again.
/// TRANSFER-8 What came as bytes is copied as it is taken in, so that its buffer is free again.
///            What lies in this process anyway, or is lent in shared memory and of a transfer of
///            a window's size at most, is kept as it is by whom asks for that.
namespace troupe::transport {

/// Chosen by whoever asks for the transfer, unique within the job: the asker's number in the upper
/// 32 bits, a counter below.
using transfer_id = std::uint64_t;

/// Names the two ends of a transfer to each other. To a shard: a worker by its index, the evaluator
/// and the archive by numbers of their own, another replica of the shard by `replica_peer`. To a
/// puller: a shard by its index.
using peer_number = std::uint32_t;
inline constexpr peer_number evaluator_peer = UINT32_MAX;
inline constexpr peer_number archive_peer = UINT32_MAX - 1;
inline constexpr peer_number first_replica_peer = peer_number{1} << 31;

/// The replica on the node of this number.
constexpr peer_number replica_peer(std::uint32_t node) { return first_replica_peer + node; }
/// A replica or the archive: whoever sends changes and images.
constexpr bool is_replica_peer(peer_number n) {
  return n >= first_replica_peer && n != evaluator_peer;
}

/// The ids that one asker gives to its transfers. 0 means: no transfer.
class transfer_ids {
 public:
  explicit transfer_ids(peer_number asker) : next_((std::uint64_t{asker} << 32) + 1) {}
  transfer_id next() noexcept { return next_++; }

 private:
  transfer_id next_;
};

/// One piece of a transfer.
struct part {
  transfer_id transfer = 0;
  peer_number from = 0;     ///< the sender
  std::uint64_t offset = 0; ///< bytes from the start of the transfer
  std::uint64_t total = 0;  ///< bytes of the whole transfer
  block data;
};

/// receiver -> sender: so many parts were taken in.
struct credit {
  std::uint32_t parts = 0;
  peer_number from = 0; ///< who took them in
  transfer_id transfer = 0;
  std::uint64_t key = 0; ///< shared_pools::key of its process, or 0: it cannot read them
};

/// 256 KiB: large enough for 90 % of the rate of larger ones, small enough that a control message
/// behind a few of them waits a millisecond or two.
inline constexpr std::uint32_t part_bytes = 256 * 1024;

/// Through shared memory, where a part is a few words: a slot's worth, so that there are few of
/// them.
inline constexpr std::uint32_t shared_part_bytes = block::max_bytes;

/// Over a bulk connection.
inline constexpr std::uint32_t bulk_part_bytes = block::max_bytes;

/// Less than this is not worth a way of its own: it goes as a message.
inline constexpr std::uint32_t least_bulk_bytes = 32 * 1024;

/// Parts on their way to one peer that it has not credited.
inline constexpr std::uint32_t default_window = 16;

/// Cuts `[data, data + bytes)`, kept alive by `owner`, into parts of at most `part_size` that share
/// its memory.
std::vector<part> cut(transfer_id id, peer_number from, std::shared_ptr<const void> owner,
                      const void* data, std::uint64_t bytes, std::uint32_t part_size = part_bytes);

/// A way to one peer beside the messages, for bulk data: see bulk_links.hpp. Thread-safe.
class bulk_lane {
 public:
  virtual ~bulk_lane() = default;
  /// A connection is up.
  virtual bool open() const = 0;
  /// Hands the part to the connection and gives its number; 0: none took it. Does not block.
  virtual std::uint64_t send(const part& p) = 0;
  /// Whether that connection broke: what it took may not have arrived.
  virtual bool broke(std::uint64_t connection) const = 0;
};

/// What waits to be sent to one peer, and the credit that lets it go. Not thread-safe.
class outbound_queue {
 public:
  explicit outbound_queue(std::uint32_t window = default_window) : window_(window) {}

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
  /// The peer of this key needs no more of the transfer: it has answered it.
  void settle(transfer_id id, std::uint64_t key);
  /// Forgets everything that is to be sent or on its way; what is known of the peer stays.
  void clear();

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
  std::uint32_t window_;
  std::optional<bool> shares_; // memory with the peer; none: nothing is known
  std::shared_ptr<bulk_lane> lane_;
  std::vector<sent_part> sent_; // not credited, in the order in which they were sent
  std::list<run> waiting_;
};

/// What a receiver owes one sender for parts that it took in. Not thread-safe.
class owed_credit {
 public:
  explicit owed_credit(std::uint32_t window = default_window) : most_(window / 2) {}

  void add(const part& p);
  /// An answer of the receiver's credits the transfer.
  void settle(transfer_id id);
  /// The transfer is whole, and no answer will say so.
  void close(transfer_id id);
  void clear();
  /// What is to be sent now, as credit of `from` (TRANSFER-5, TRANSFER-6).
  std::vector<credit> due(peer_number from);

 private:
  std::uint32_t most_;
  std::uint32_t parts_ = 0;                                 // of all transfers
  std::vector<std::pair<transfer_id, std::uint32_t>> owed_; // for few transfers
  std::vector<credit> due_;                                 // whatever else is owed
};

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
  /// What is to be sent to the shard now for parts that came from it. The next pull stands for the
  /// rest.
  std::vector<credit> credit_due(std::uint32_t shard, peer_number own);
  /// Another replica answers for the shard from now on.
  void moved(std::uint32_t shard);

  /// The shards whose ranges have not landed.
  std::vector<std::uint32_t> open() const;
  bool all_landed() const noexcept { return open_ == 0; }

 private:
  struct pull_of_range {
    transfer_id transfer = 0; // 0: none is open
    landing bytes;
    std::optional<std::uint64_t> own_applied; // once announced
    std::uint64_t seen_updates = 0;
    bool owes = false; // it was asked, and is still the one that answers
    owed_credit owed;
  };
  pull_of_range* of(std::uint32_t shard, transfer_id id);
  void wait_for(pull_of_range& p, transfer_id id);
  std::optional<whole> close_if_whole(std::uint32_t shard);

  std::vector<pull_of_range> pulls_; // by shard
  std::size_t open_ = 0;             // of these
};

} // namespace troupe::transport
