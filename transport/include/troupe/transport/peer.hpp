#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "troupe/transport/outbound_queue.hpp"
#include "troupe/transport/owed_credit.hpp"

namespace troupe::transport {

/// Bytes that go to a peer as one transfer; `owner` keeps them alive.
struct outbound_transfer {
  transfer_id id = 0;
  std::shared_ptr<const void> owner;
  const void* data = nullptr;
  std::uint64_t bytes = 0;
};

/// Everything that one end of a connection keeps of one counterpart: the parts that wait or are on
/// their way, the credit that is owed, and the way that parts take (shared memory, a bulk
/// connection, messages).
///
/// A peer sends no message. Each verb that has something to send takes a callable `post`, which
/// gets a `part` or a `credit` and sends it to the counterpart:
///
///     this end                                              the counterpart
///       send(bytes, announce, post)   -- announcement, parts -->  take(part), post_credit(post)
///       take(credit, post)            <-- credit ---------------
///       answered(id, key)             <-- an answer ------------  answer(id), key()
///
/// PEER-1  `send` announces a transfer first and posts its other parts afterwards, in order. What
///         waited before it is posted before its other parts.
/// PEER-2  An answer stands for the credit that its transfer is still owed: `answer` leaves none to
///         post, and `answered` opens the window by all parts of the transfer.
/// PEER-3  `moved` forgets what was to be sent, what is owed and which way parts take: all of it
///         belonged to the earlier counterpart. Parts that come before `asked` may still be from
///         the earlier counterpart, and are not credited.
/// PEER-4  `lost` forgets what was to be sent, and keeps what is known of the counterpart.
/// PEER-5  `reach_over` changes the connection alone: what waits stays, and what was on its way
///         over a connection that broke is sent again (TRANSFER-7).
///
/// Not thread-safe.
class peer {
 public:
  /// `own`: the number by which the counterpart knows this end. `pools`: the memory that this
  /// process may share, or null; it must outlive the peer.
  explicit peer(peer_number own, shared_pools* pools, std::uint32_t window = default_window)
      : pools_(pools), own_(own), owed_(pools, window), out_(pools, window) {}

  /// Tells the counterpart whether it may share memory with this end; goes with questions and
  /// answers.
  std::uint64_t key() const noexcept { return key_of(pools_); }

  /// Sets the lane over which the counterpart is reached; null: by messages alone.
  void reach_over(std::shared_ptr<bulk_lane> lane) { out_.use(std::move(lane)); }
  /// Another counterpart replaces the counterpart (PEER-3).
  void moved(std::shared_ptr<bulk_lane> lane);

  // -- what goes to the counterpart

  /// `announce` gets the parts that go with the announcement, and sends it.
  template <class Announce, class Post>
  void send(outbound_transfer t, Announce&& announce, Post&& post) {
    const auto id = t.id;
    add(std::move(t));
    announce(out_.next_of(id));
    flush(post);
  }
  /// The parts of a transfer that was announced without parts.
  template <class Post>
  void send(outbound_transfer t, Post&& post) {
    add(std::move(t));
    flush(post);
  }
  /// Parts that lie in blocks, as they are. With `announce`: of one transfer, at least one.
  template <class Announce, class Post>
  void send(const std::vector<part>& parts, Announce&& announce, Post&& post) {
    out_.add(parts);
    announce(out_.next_of(parts.front().transfer));
    flush(post);
  }
  template <class Post>
  void send(const std::vector<part>& parts, Post&& post) {
    out_.add(parts);
    flush(post);
  }
  /// Posts the parts that may go now, and the parts that a broken bulk connection lost.
  template <class Post>
  void flush(Post&& post) {
    while (auto next = out_.next()) post(std::move(*next));
  }
  /// Takes credit, and posts the parts that may go now.
  template <class Post>
  void take(const credit& c, Post&& post) {
    out_.credit(c.transfer, c.parts, c.key);
    flush(post);
  }
  /// The counterpart has the transfer; `key` came with its answer.
  void answered(transfer_id id, std::uint64_t key) { out_.settle(id, key); }
  /// Gives up a transfer.
  void give_up(transfer_id id) { out_.cancel(id); }
  /// The sent parts did not arrive (PEER-4).
  void lost() { out_.clear(); }
  /// The number of bytes that wait to be sent.
  std::uint64_t waiting() const noexcept { return out_.waiting(); }

  // -- what comes from the counterpart

  /// The counterpart was asked for a transfer. The question stands for the credit of those before.
  void asked() {
    owes_ = true;
    owed_.clear();
  }
  /// Counts every part towards the credit, also a part that fits no transfer (TRANSFER-3).
  void take(const part& p) {
    if (owes_) owed_.add(p);
  }
  /// Posts the credit that is due.
  template <class Post>
  void post_credit(Post&& post) {
    for (const auto& c : owed_.due(own_)) post(c);
  }
  /// An answer of this end goes to the counterpart, with `key()`.
  void answer(transfer_id id) { owed_.settle(id); }
  /// The transfer is complete and gets no answer: its credit is due.
  void whole(transfer_id id) { owed_.close(id); }

 private:
  void add(outbound_transfer t) { out_.add(t.id, own_, std::move(t.owner), t.data, t.bytes); }

  shared_pools* pools_;
  peer_number own_;
  bool owes_ = true;
  owed_credit owed_;
  outbound_queue out_;
};

} // namespace troupe::transport
