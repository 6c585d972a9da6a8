#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "troupe/transport/block.hpp"

/// What goes between two ends: "move these bytes to that peer, with credit". At each end, a `peer`
/// (peer.hpp) decides what may be sent when.
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
/// TRANSFER-1 Offsets and lengths of parts are multiples of a float's size, except at the end of
///            the transfer. Parts do not overlap.
/// TRANSFER-2 At most `window` parts are on their way to one peer at any time, whatever the number
///            of transfers: memory in flight is bounded however slow the peer is.
/// TRANSFER-3 A part that does not fit (unknown id, other total, out of range, repeated) changes
///            nothing and is still credited like other parts.
/// TRANSFER-4 Parts may arrive in any order and before the message that announces them.
/// TRANSFER-5 If the receiver cannot map the memory of a part, it credits the part at once, with
///            key 0. From then on the sender shares nothing with this peer, and sends again the
///            parts that were on their way.
/// TRANSFER-6 A receiver owes credit for less than half a window, so a sender never starves: when a
///            full window has arrived, more than half of it is credited, with answers or without.
/// TRANSFER-7 If a bulk connection breaks, the parts on their way are sent again, over another
///            connection or as messages, when their sender looks next. Credit counts parts and does
///            not name them: if it counted a lost part, the asker of the transfer asks again.
/// TRANSFER-8 A part that came as bytes is copied when it is taken in, so that its buffer is free
///            again. A part that lies in this process anyway, or is lent in shared memory by a
///            transfer of at most a window's size, is kept in place if the receiver asks for that.
namespace troupe::transport {

/// The number of a transfer, chosen by the asker and unique within the job: the asker's number in
/// the upper 32 bits, a counter below.
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
/// The sender of changes and images: a replica or the archive.
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

} // namespace troupe::transport
