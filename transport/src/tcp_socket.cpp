#include "troupe/transport/tcp_socket.hpp"

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace troupe::transport {

namespace {

using clock = std::chrono::steady_clock;

// The first socket that `attempt` makes of an address of the host; it gives 0 or an errno.
tcp_attempt try_addresses(const std::string& host, std::uint16_t port, int flags,
                          const std::function<int(const addrinfo&, tcp_socket&)>& attempt) {
  tcp_attempt result;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  if (int e = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list); e != 0) {
    result.error = EINVAL;
    result.bad_name = ::gai_strerror(e);
    return result;
  }
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{list, &::freeaddrinfo};
  result.error = EADDRNOTAVAIL;
  for (auto* a = list; a != nullptr; a = a->ai_next) {
    tcp_socket s{::socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    result.error = s.open() ? attempt(*a, s) : errno;
    if (result.error != 0) continue;
    result.socket = std::move(s);
    break;
  }
  return result;
}

} // namespace

tcp_socket::~tcp_socket() {
  if (fd_ >= 0) ::close(fd_);
}

std::string tcp_attempt::why() const { return bad_name.empty() ? std::strerror(error) : bad_name; }

int wait_for_socket(int fd, short events, clock::time_point deadline, int cancelled) {
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
    if (left <= 0) return ETIMEDOUT;
    pollfd p[] = {{fd, events, 0}, {cancelled, POLLIN, 0}}; // -1 is passed over
    int n = ::poll(p, 2, static_cast<int>(left));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (p[1].revents != 0) return ECANCELED;
    if (p[0].revents != 0) return 0;
  }
}

tcp_attempt tcp_connect(const std::string& host, std::uint16_t port, clock::time_point deadline,
                        int cancelled) {
  return try_addresses(host, port, 0, [=](const addrinfo& a, tcp_socket& s) {
    if (::connect(s.fd(), a.ai_addr, a.ai_addrlen) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    if (int e = wait_for_socket(s.fd(), POLLOUT, deadline, cancelled); e != 0) return e;
    int result = 0;
    socklen_t size = sizeof result;
    if (::getsockopt(s.fd(), SOL_SOCKET, SO_ERROR, &result, &size) != 0) return errno;
    return result;
  });
}

tcp_attempt tcp_listen(const std::string& host, std::uint16_t port, int backlog) {
  return try_addresses(host, port, AI_PASSIVE, [=](const addrinfo& a, tcp_socket& s) {
    int on = 1;
    ::setsockopt(s.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const bool bound =
        ::bind(s.fd(), a.ai_addr, a.ai_addrlen) == 0 && ::listen(s.fd(), backlog) == 0;
    return bound ? 0 : errno;
  });
}

void limit_silence(int connected) {
  const auto set = [connected](int level, int option, int value) {
    ::setsockopt(connected, level, option, &value, sizeof value);
  };
  constexpr int limit_ms = std::chrono::milliseconds(silence_limit).count();
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, limit_ms);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 2);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 1);
}

bool is_near(int connected) {
  constexpr unsigned near_us = 1'000;
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(connected, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_rtt > 0 &&
         info.tcpi_rtt < near_us; // 0: not measured
}

std::uint16_t port_of(const tcp_socket& listening) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  if (::getsockname(listening.fd(), reinterpret_cast<sockaddr*>(&at), &size) != 0) return 0;
  return ntohs(at.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(at).sin6_port
                                        : reinterpret_cast<sockaddr_in&>(at).sin_port);
}

namespace {

using name_call = int (*)(int, sockaddr*, socklen_t*);

// The host and port of one end, in digits; empty: not known.
std::pair<std::string, std::string> digits_of(int fd, name_call call) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (call(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&at), size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return {};
  return {host, port};
}

host_kind kind_of_address(const sockaddr& address) {
  if (address.sa_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    if (IN6_IS_ADDR_UNSPECIFIED(&in6)) return host_kind::wildcard;
    return IN6_IS_ADDR_LOOPBACK(&in6) ? host_kind::loopback : host_kind::other;
  }
  const auto ip = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
  if (ip == INADDR_ANY) return host_kind::wildcard;
  return ip >> 24 == IN_LOOPBACKNET ? host_kind::loopback : host_kind::other;
}

} // namespace

std::string peer_of(const tcp_socket& connected) {
  const auto [host, port] = digits_of(connected.fd(), &::getpeername);
  if (host.empty()) return "somebody";
  return host.find(':') != std::string::npos ? "[" + host + "]:" + port : host + ":" + port;
}

std::string own_host_of(const tcp_socket& connected) {
  return digits_of(connected.fd(), &::getsockname).first;
}

bool is_same_host(const tcp_socket& connected) {
  const auto other = digits_of(connected.fd(), &::getpeername).first;
  return !other.empty() &&
         (other == own_host_of(connected) || kind_of(other) == host_kind::loopback);
}

host_kind kind_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return host_kind::other;
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{list, &::freeaddrinfo};
  return list != nullptr ? kind_of_address(*list->ai_addr) : host_kind::other;
}

} // namespace troupe::transport
