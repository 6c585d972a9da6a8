#pragma once

// What bulk_links keeps of each connection; each field belongs to one thread or to the mutex.

#include <array>
#include <deque>

#include "troupe/transport/bulk_links.hpp"

namespace troupe::transport {

// What the two epoll sets know by number; connections have those that follow.
inline constexpr std::uint64_t stop_number = 0;
inline constexpr std::uint64_t work_number = 1;
inline constexpr std::uint64_t listen_number = 2;
inline constexpr std::uint64_t first_number = 3;

struct bulk_links::link {
  std::uint64_t number;
  std::string peer;
  bool sends;                          // parts to the peer; else it receives them
  std::unique_ptr<byte_stream> stream; // of a link that sends, the reader watches the socket alone
  clock::time_point made = clock::now();

  std::deque<bulk_part> waiting; // the mutex's

  // The writer's.
  struct outgoing {
    std::array<std::byte, frame_bytes> head;
    shared_bytes data;
  };
  bool writable = true;
  std::deque<outgoing> writing;
  std::size_t written = 0; // bytes of the first

  // The reader's.
  std::array<std::byte, frame_bytes> head;
  std::size_t head_got = 0; // less than frame_bytes, or a part is being read:
  bulk_frame frame;
  std::shared_ptr<std::byte> buffer; // null: nobody takes it
  std::uint32_t got = 0;             // bytes of the part
};

// Somebody who connected and has not been answered.
struct bulk_links::guest {
  std::unique_ptr<byte_stream> stream;
  clock::time_point until;
  std::uint32_t events; // of its socket that are waited for
  std::array<std::byte, greeting_bytes> said;
  std::size_t got = 0; // bytes of these
  bulk_greeting greeting;
  std::array<std::byte, greeting_bytes> answer;
  std::size_t put = 0; // bytes of these
};

// A peer to connect to.
struct bulk_links::target {
  address at;
  clock::time_point due;                  // of the next attempt; max: none
  unsigned failures = 0;                  // in a row
  std::vector<std::uint64_t> connections; // none, or one for each way
};

} // namespace troupe::transport
