#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "troupe/transport/bulk_frame.hpp"
#include "troupe/transport/byte_stream.hpp"
#include "troupe/transport/receive_buffers.hpp"
#include "troupe/transport/shared_pools.hpp"
#include "troupe/transport/tcp_socket.hpp"

namespace troupe::transport {

/// One piece of a transfer on a bulk connection. `data.size` is 1 to `bulk_max_bytes`.
struct bulk_part {
  std::uint64_t receiver = 0; ///< a number that the other process knows
  std::uint64_t transfer = 0;
  std::uint32_t from = 0;
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  shared_bytes data; ///< sent: not written while it is held. Received: 4096-byte aligned
};

/// The bulk connections of a process: two TCP connections with each peer, one for each way, over
/// which parts of transfers go while everything small goes elsewhere. Knows no CAF; bulk_frame.hpp
/// has the bytes, and byte_stream.hpp what they pass through on their way to the socket.
///
///     A  keep("B", address of B)                           B  listen()
///          -- greeting{token of B, A sends, "A"} ---------->   refuses a wrong token
///          <--------------------- greeting{0, "B"} ---------   A refuses another name
///        part, part ...       -------------------->
///          -- greeting{token of B, B sends, "A"} ---------->   the same for the other one
///          <--------------------- greeting{0, "B"} ---------
///                             <--------------------            part, part ...
///
/// There are two, because reading and writing take turns at a socket: over one connection, both
/// ways at once took twice as long (docs/notes/wire.md). If one of the two breaks, the end that
/// connected makes both anew.
///
/// Three threads, however many peers and parts there are: one connects, one writes, one accepts and
/// reads. A slow or stopped peer delays no other peer: no socket blocks.
///
/// Parts of one connection arrive in the order in which they were sent. Their order relative to
/// messages on other connections is not defined. The receiver confirms parts elsewhere. If a
/// connection breaks, the parts on their way may be lost (`broke`).
///
/// BULK-2 From a connection that has not named the token, only 128 bytes are read, within
///        `greeting_timeout`; at most `guests_max` such connections are open at once. The token is
///        random and travels over the connection that the peers have anyway.
/// BULK-3 A malformed (BULK-1) or refused frame closes its own connection, with a line to `tell`,
///        and changes nothing else. A part for an unknown receiver is read and dropped.
/// BULK-4 Only parts that were sent and are not credited wait to be written; they use the sender's
///        memory without a copy. Only the receiver holds a part that was read.
/// BULK-5 If a connection breaks or cannot be made, it is tried again `retries` times, each time
///        after twice as long, and then only after the next `keep`.
///
/// Thread-safe, except the constructor and destructor.
class bulk_links {
 public:
  struct options {
    std::string name; ///< of this process among its peers, 1 to `bulk_name_max` bytes
    /// Whether there is such a receiver. Called from one thread.
    std::function<bool(std::uint64_t receiver)> takes;
    /// Called from the same thread; must not block.
    std::function<void(bulk_part)> deliver;
    /// A line for the user; at most `told_max` in all. From any thread. May be null.
    std::function<void(const std::string&)> tell;
    stream_maker streams = plain_stream; ///< of each connection
    std::chrono::milliseconds dial_timeout{1'000};
    std::chrono::milliseconds greeting_timeout{5'000};
    std::chrono::milliseconds first_retry{100};
    unsigned retries = 10;
    std::size_t guests_max = 64;
    unsigned told_max = 16;
  };
  struct address {
    std::string host;
    std::uint16_t port = 0;
    std::uint64_t token = 0;
  };

  explicit bulk_links(options o);
  ~bulk_links();
  bulk_links(const bulk_links&) = delete;
  bulk_links& operator=(const bulk_links&) = delete;

  /// Accepts peers at any free port of `host`, once. Port 0: that is not possible.
  address listen(const std::string& host);
  /// Connects to the peer that is there, in its own time, and again when the connection breaks. An
  /// earlier address of this peer is forgotten; a connection that there is gives way to the new
  /// one.
  void keep(const std::string& peer, address at);
  /// Whether connections are made and used; they are at first.
  void use(bool on);
  /// Ends all connections and threads, within a moment. Nothing is delivered afterwards.
  void stop();

  /// Whether there is a connection for parts to the peer.
  bool open(const std::string& peer) const;
  /// Hands the part to the newest connection for parts to the peer, and gives that one's number,
  /// from 1 on; 0: there is none.
  std::uint64_t send(const std::string& peer, bulk_part p);
  /// Whether the connection of this number has ended.
  bool broke(std::uint64_t connection) const;

 private:
  struct link;
  struct guest;
  struct target;
  using link_ptr = std::shared_ptr<link>;
  using clock = std::chrono::steady_clock;

  void write_all();
  bool write_some(link& l);
  static bool flush(link& l);
  void read_all();
  void accept_guests();
  void listen_for(std::uint32_t events);
  void hear(std::uint64_t number);
  stream_result::outcome greet(guest& g, std::string& why);
  bool read_some(link& l, std::string& why);
  bool is_silent(link& l, std::string& why);
  void dial_all();
  std::unique_ptr<byte_stream> dial(const std::string& peer, const address& at, bulk_sender sender,
                                    std::string& why);
  link_ptr adopt(std::unique_ptr<byte_stream> s, const std::string& peer, bool sends);
  void end(const link_ptr& l, const std::string& why);
  link_ptr find(std::uint64_t number) const;
  void tell(const std::string& line);

  const options options_;
  receive_buffers buffers_;
  tcp_socket listening_, stopped_, work_, reads_, writes_; // two events, two epoll sets
  std::uint64_t token_ = 0;
  std::atomic<bool> used_{true};
  std::atomic<bool> stopping_{false};

  mutable std::mutex mutex_;
  std::condition_variable dials_;
  std::uint64_t next_number_;
  std::map<std::uint64_t, link_ptr> live_;
  std::map<std::string, std::vector<link_ptr>> peers_; // for sending; the newest last
  std::map<std::string, std::shared_ptr<target>> targets_;
  unsigned told_ = 0;

  std::map<std::uint64_t, std::shared_ptr<guest>> guests_;             // the reader's
  std::optional<std::chrono::steady_clock::time_point> accepts_again_; // the reader's
  std::vector<std::byte> unwanted_; // the reader's: where parts for nobody go
  std::thread reader_, writer_, dialer_;
};

} // namespace troupe::transport
