#include "wire_raw.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace troupe::bench {

using namespace transport;

namespace {

using transport::shareable_array;
using bench_clock = std::chrono::steady_clock;

constexpr std::size_t blocks_kept = 8;

double since(bench_clock::time_point begun) {
  return std::chrono::duration<double>(bench_clock::now() - begun).count();
}

struct raw_order {
  std::uint64_t back_us = 0; // for so long the other process sends
  std::uint64_t there = 0;   // whether this one does
};

// As bulk connections have them. With the buffers that the kernel would choose, several MB, the
// bytes on their way leave the caches and the upper limit would be half as high.
void bound_buffers(int fd) {
  const int sent = 192 * 1024, received = 512 * 1024;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sent, sizeof sent);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &received, sizeof received);
}

bool write_all(int fd, const void* data, std::size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    auto n = ::send(fd, at, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

// Gives the bytes.
std::uint64_t raw_send(int fd, const shareable_array& source, double seconds) {
  auto begun = bench_clock::now();
  std::uint64_t n = 0;
  while (since(begun) < seconds && write_all(fd, block_at(source, n), block_bytes)) ++n;
  ::shutdown(fd, SHUT_WR);
  return n * block_bytes;
}

// Bytes that came until the other side stopped.
std::uint64_t raw_receive(int fd, std::uint64_t& sum) {
  std::vector<std::byte> buffer(block_bytes);
  std::uint64_t bytes = 0;
  for (;;) {
    auto n = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) return bytes;
    sum += touch({buffer.data(), static_cast<std::size_t>(n)});
    bytes += static_cast<std::uint64_t>(n);
  }
}

} // namespace

std::uint64_t touch(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 64) sum += static_cast<std::uint64_t>(bytes[i]);
  return sum;
}

shareable_array blocks(const std::shared_ptr<transport::shared_pools>& pools) {
  auto floats = transport::make_shareable(block_bytes * blocks_kept / sizeof(float), pools);
  std::ranges::fill(*floats, 1.0f);
  return floats;
}

const std::byte* block_at(const shareable_array& source, std::size_t i) {
  return reinterpret_cast<const std::byte*>(source->data()) + i % blocks_kept * block_bytes;
}

int listen_raw(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bound_buffers(fd); // and those of what it accepts
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(fd, 4) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    return -1;
  port = ntohs(at.sin_port);
  return fd;
}

void serve_raw(int listener) {
  for (;;) {
    int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) return;
    std::thread([fd] {
      raw_order order;
      std::uint64_t sum = 0;
      if (::recv(fd, &order, sizeof order, MSG_WAITALL) == sizeof order) {
        std::jthread back;
        if (order.back_us > 0)
          back = std::jthread([&, source = blocks(nullptr)] {
            raw_send(fd, source, static_cast<double>(order.back_us) / 1e6);
          });
        if (order.there != 0) raw_receive(fd, sum);
      }
      ::close(fd);
    }).detach();
  }
}

double raw_stream(std::uint16_t port, bool there, bool back, double seconds) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bound_buffers(fd);
  const raw_order order{back ? static_cast<std::uint64_t>(seconds * 1e6) : 0, there};
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      !write_all(fd, &order, sizeof order)) {
    ::close(fd);
    return -1;
  }
  const auto source = blocks(nullptr);
  auto begun = bench_clock::now();
  std::uint64_t sent = 0, received = 0, sum = 0;
  {
    std::jthread second;
    if (there) second = std::jthread([&] { sent = raw_send(fd, source, seconds); });
    received = raw_receive(fd, sum); // until the other process has nothing more, and has all
  }
  auto took = since(begun);
  ::close(fd);
  return static_cast<double>(sent + received) / took / 1e6;
}

double raw_streams(std::uint16_t port, bool there, bool back, double seconds) {
  double rate_there = 0, rate_back = 0;
  {
    std::jthread second;
    if (there) second = std::jthread([&] { rate_there = raw_stream(port, true, false, seconds); });
    if (back) rate_back = raw_stream(port, false, true, seconds);
  }
  return rate_there < 0 || rate_back < 0 ? -1 : rate_there + rate_back;
}

} // namespace troupe::bench
