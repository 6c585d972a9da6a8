#include "breakable_link.hpp"

#include <cerrno>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace troupe::cli_test {

namespace {

sockaddr_in address_of(const std::string& host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  return address;
}

// As the programs on both sides do: else each small message waits for an acknowledgement.
void send_at_once(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// A port below those that the kernel gives to outgoing connections. Otherwise a connection of
// another test could take the same port of 127.0.0.1 before the process behind the link listens.
std::uint16_t next_port() {
  static std::uint16_t next = static_cast<std::uint16_t>(20000 + ::getpid() % 10000);
  return next++;
}

int bound_socket(const std::string& host, std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = address_of(host, port);
  if (socket >= 0 &&
      ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return socket;
  if (socket >= 0) ::close(socket);
  return -1;
}

void pass_on(int from, int to) {
  char buffer[1 << 16];
  for (;;) {
    const auto n = ::recv(from, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    for (ssize_t sent = 0; sent < n;) {
      const auto m = ::send(to, buffer + sent, static_cast<std::size_t>(n - sent), MSG_NOSIGNAL);
      if (m <= 0) break;
      sent += m;
    }
  }
  ::shutdown(from, SHUT_RDWR);
  ::shutdown(to, SHUT_RDWR);
}

} // namespace

breakable_link::breakable_link(const std::string& host) {
  for (int attempt = 0; attempt < 200 && listener_ < 0; ++attempt) {
    const auto port = next_port();
    const int probe = bound_socket("127.0.0.1", port);
    if (probe < 0) continue;
    ::close(probe);
    listener_ = bound_socket(host, port);
    port_ = port;
  }
  if (listener_ < 0 || ::listen(listener_, 16) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot listen at " + host);
  acceptor_ = std::thread([this] { accept_all(); });
}

breakable_link::~breakable_link() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  break_all();
  for (auto& c : broken_) {
    c.there.join();
    c.back.join();
    ::close(c.from);
    ::close(c.to);
  }
}

void breakable_link::lead_to(std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  target_ = port;
}

std::size_t breakable_link::break_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& c : open_) {
    ::shutdown(c.from, SHUT_RDWR);
    ::shutdown(c.to, SHUT_RDWR);
  }
  const auto count = open_.size();
  broken_.splice(broken_.end(), open_);
  return count;
}

void breakable_link::accept_all() {
  for (;;) {
    const int from = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (from < 0 && errno == EINTR) continue;
    if (from < 0) return;
    const std::lock_guard lock(mutex_);
    const int to = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = address_of("127.0.0.1", target_);
    if (::connect(to, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(from);
      ::close(to);
      continue;
    }
    send_at_once(from);
    send_at_once(to);
    open_.push_back({from, to, std::thread(pass_on, from, to), std::thread(pass_on, to, from)});
  }
}

} // namespace troupe::cli_test
