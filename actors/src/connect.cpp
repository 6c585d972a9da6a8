#include "troupe/actors/connect.hpp"

#include <cerrno>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <caf/io/all.hpp>

#include "troupe/actors/errc.hpp"

namespace troupe::actors {

namespace {

using clock = std::chrono::steady_clock;

struct file_descriptor {
  int fd;
  ~file_descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// 0, or the errno of the failed attempt.
int try_connect(const addrinfo& address, clock::time_point deadline) {
  file_descriptor s{::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (s.fd < 0) return errno;
  if (::connect(s.fd, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
    if (left <= 0) return ETIMEDOUT;
    pollfd p{s.fd, POLLOUT, 0};
    int n = ::poll(&p, 1, static_cast<int>(left));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 ? ETIMEDOUT : errno;
    int result = 0;
    socklen_t size = sizeof result;
    if (::getsockopt(s.fd, SOL_SOCKET, SO_ERROR, &result, &size) != 0) return errno;
    return result;
  }
}

} // namespace

namespace {

// 0 when somebody answers, the errno of the last attempt, or the error of the name.
int connect_errno(const endpoint& at, std::chrono::milliseconds timeout, std::string& bad_name) {
  auto deadline = clock::now() + timeout;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  auto port = std::to_string(at.port);
  if (int e = ::getaddrinfo(at.host.c_str(), port.c_str(), &hints, &list); e != 0) {
    bad_name = ::gai_strerror(e);
    return EINVAL;
  }
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{list, &::freeaddrinfo};
  int result = EHOSTUNREACH;
  for (auto* a = list; a != nullptr && result != 0; a = a->ai_next)
    result = try_connect(*a, deadline);
  return result;
}

} // namespace

caf::error probe(const endpoint& at, std::chrono::milliseconds timeout) {
  std::string bad_name;
  int result = connect_errno(at, timeout, bad_name);
  if (!bad_name.empty())
    return make_error(errc::unreachable, to_string(at) + " is not an address: " + bad_name);
  if (result == 0) return {};
  return make_error(errc::unreachable,
                    "nobody answers at " + to_string(at) + ": " + std::strerror(result));
}

bool connection_refused(const endpoint& at, std::chrono::milliseconds timeout) {
  std::string bad_name;
  // Of a process that is ending, the kernel may close the connections before the port.
  auto deadline = clock::now() + timeout;
  int result = 0;
  while (result == 0 && clock::now() < deadline) result = connect_errno(at, timeout, bad_name);
  return bad_name.empty() && result == ECONNREFUSED;
}

caf::error probe_listen(const endpoint& at) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  auto port = std::to_string(at.port);
  if (int e = ::getaddrinfo(at.host.c_str(), port.c_str(), &hints, &list); e != 0)
    return make_error(errc::unreachable,
                      "cannot listen at " + to_string(at) + ": " + ::gai_strerror(e));
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{list, &::freeaddrinfo};
  int result = EADDRNOTAVAIL;
  for (auto* a = list; a != nullptr && result != 0; a = a->ai_next) {
    file_descriptor s{::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int on = 1;
    if (s.fd >= 0) ::setsockopt(s.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool bound =
        s.fd >= 0 && ::bind(s.fd, a->ai_addr, a->ai_addrlen) == 0 && ::listen(s.fd, 1) == 0;
    result = bound ? 0 : errno;
  }
  if (result == 0) return {};
  return make_error(errc::unreachable, "cannot listen at " + to_string(at) + ": " +
                                           std::strerror(result) +
                                           "; expected a free port on an address of this host");
}

caf::expected<caf::strong_actor_ptr> connect(caf::actor_system& system, const endpoint& at,
                                             std::chrono::milliseconds timeout,
                                             std::set<std::string> interface) {
  auto deadline = clock::now() + timeout;
  if (auto err = probe(at, timeout)) return err;
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now());
  left = std::max(left, std::chrono::milliseconds(1));
  caf::scoped_actor self{system};
  caf::expected<caf::strong_actor_ptr> result{caf::strong_actor_ptr{}};
  self->request(system.middleman().actor_handle(), left, caf::connect_atom::value, at.host, at.port)
      .receive(
          [&](const caf::node_id&, caf::strong_actor_ptr& reached,
              const std::set<std::string>& found) {
            if (reached && system.assignable(found, interface))
              result = std::move(reached);
            else
              result = make_error(errc::unreachable,
                                  to_string(at) + " is not the Troupe process that was expected "
                                                  "there (another program or another version)");
          },
          [&](caf::error& err) {
            result = make_error(errc::unreachable,
                                to_string(at) +
                                    " does not answer as a Troupe process: " + caf::to_string(err));
          });
  return result;
}

} // namespace troupe::actors
