#pragma once

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <poll.h>
#include <sys/socket.h>

#include "troupe/transport/bulk_frame.hpp"
#include "troupe/transport/bulk_links.hpp"

// Processes that are connected, and strangers.
namespace troupe::transport {

using clock_type = std::chrono::steady_clock;
inline constexpr auto patience = std::chrono::seconds(20);
inline constexpr std::uint64_t receiver = 5;

inline std::vector<std::uint8_t> values(std::uint32_t size, unsigned seed) {
  std::vector<std::uint8_t> v(size);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<std::uint8_t>(i * 31 + seed);
  return v;
}

inline bulk_part part_of(std::uint64_t transfer, std::uint32_t size, std::uint64_t to = receiver) {
  auto bytes = std::make_shared<const std::vector<std::uint8_t>>(
      values(size, static_cast<unsigned>(transfer)));
  const auto* at = reinterpret_cast<const std::byte*>(bytes->data());
  return {to, transfer, 3, 0, size, {bytes, at, size}};
}

inline bool is_part_of(const bulk_part& p, std::uint64_t transfer, std::uint32_t size) {
  const auto expected = values(size, static_cast<unsigned>(transfer));
  return p.transfer == transfer && p.from == 3 && p.total == size && p.data.size == size &&
         std::memcmp(p.data.data, expected.data(), size) == 0;
}

// One process's end, with all that it was given and told.
class process {
 public:
  explicit process(std::string name, bulk_links::options o = {}) {
    o.name = std::move(name);
    o.takes = [](std::uint64_t to) { return to == receiver; };
    o.deliver = [this](bulk_part p) {
      std::lock_guard lock(mutex_);
      arrived_.push_back(std::move(p));
      changed_.notify_all();
    };
    o.tell = [this](const std::string& line) {
      std::lock_guard lock(mutex_);
      told_.push_back(line);
      changed_.notify_all();
    };
    links.emplace(std::move(o));
  }
  ~process() { links.reset(); }

  bool got(std::size_t parts) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return arrived_.size() >= parts; });
  }
  bool was_told(const std::string& text) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] {
      return std::ranges::any_of(
          told_, [&](const auto& line) { return line.find(text) != std::string::npos; });
    });
  }
  std::vector<bulk_part> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(arrived_, {});
  }
  std::size_t lines() {
    std::lock_guard lock(mutex_);
    return told_.size();
  }

  std::optional<bulk_links> links;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bulk_part> arrived_;
  std::vector<std::string> told_;
};

template <class Condition>
bool comes_true(Condition condition) {
  for (auto until = clock_type::now() + patience; clock_type::now() < until;) {
    if (condition()) return true;
    std::this_thread::yield();
  }
  return false;
}

// A and B, connected by A.
struct pair_of {
  explicit pair_of(bulk_links::options o = {}) : a("A", o), b("B", o) {
    at_b = b.links->listen("127.0.0.1");
    a.links->keep("B", at_b);
    REQUIRE(comes_true([this] { return a.links->open("B") && b.links->open("A"); }));
  }
  process a, b;
  bulk_links::address at_b;
};

// A stranger's connection, without deadlines but those of the tests.
class stranger {
 public:
  explicit stranger(const bulk_links::address& at)
      : socket_(tcp_connect(at.host, at.port, clock_type::now() + patience).socket) {
    REQUIRE(socket_.open());
  }
  template <std::size_t N>
  void say(const std::array<std::byte, N>& bytes) {
    REQUIRE(::send(socket_.fd(), bytes.data(), N, MSG_NOSIGNAL) == N);
  }
  // Until the other end has closed it; what came before is thrown away.
  bool is_closed() {
    for (;;) {
      if (wait_for_socket(socket_.fd(), POLLIN, clock_type::now() + patience) != 0) return false;
      char bytes[256];
      const auto n = ::recv(socket_.fd(), bytes, sizeof bytes, 0);
      if (n <= 0) return n == 0 || errno != EAGAIN;
    }
  }
  int fd() const { return socket_.fd(); }

 private:
  tcp_socket socket_;
};

} // namespace troupe::transport
