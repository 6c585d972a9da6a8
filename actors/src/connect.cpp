#include "troupe/actors/connect.hpp"

#include <cerrno>

#include <caf/io/all.hpp>

#include "troupe/actors/errc.hpp"
#include "troupe/transport/tcp_socket.hpp"

namespace troupe::actors {

namespace {

using clock = std::chrono::steady_clock;

// Whether a TCP connection to `at` can be made within `timeout`; the reason if not.
caf::error try_connect(const endpoint& at, std::chrono::milliseconds timeout) {
  auto attempt = transport::tcp_connect(at.host, at.port, clock::now() + timeout);
  if (!attempt.bad_name.empty())
    return make_error(errc::unreachable, to_string(at) + " is not an address: " + attempt.why());
  if (attempt.error == 0) return {};
  return make_error(errc::unreachable, "nobody answers at " + to_string(at) + ": " + attempt.why());
}

} // namespace

bool connection_refused(const endpoint& at, std::chrono::milliseconds timeout) {
  // Of a process that is ending, the kernel may close the connections before the port.
  auto deadline = clock::now() + timeout;
  transport::tcp_attempt attempt;
  while (attempt.error == 0 && clock::now() < deadline)
    attempt = transport::tcp_connect(at.host, at.port, clock::now() + timeout);
  return attempt.bad_name.empty() && attempt.error == ECONNREFUSED;
}

caf::error try_listen(const endpoint& at) {
  auto attempt = transport::tcp_listen(at.host, at.port, 1);
  if (attempt.error == 0) return {};
  if (!attempt.bad_name.empty())
    return make_error(errc::unreachable,
                      "cannot listen at " + to_string(at) + ": " + attempt.why());
  return make_error(errc::unreachable, "cannot listen at " + to_string(at) + ": " + attempt.why() +
                                           "; expected a free port on an address of this host");
}

caf::expected<caf::strong_actor_ptr> connect(caf::actor_system& system, const endpoint& at,
                                             std::chrono::milliseconds timeout,
                                             std::set<std::string> interface) {
  auto deadline = clock::now() + timeout;
  if (auto err = try_connect(at, timeout)) return err;
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
