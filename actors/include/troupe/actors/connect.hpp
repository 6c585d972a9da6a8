#pragma once

#include <chrono>

#include <caf/all.hpp>
#include <caf/io/middleman.hpp>

#include "troupe/runtime.hpp"

namespace troupe::actors {

/// Reaches what is published at an address of another process. Blocks for at most `timeout`.
///
/// CAF 0.17.6 by itself would freeze every connect of the process on one to a black hole and wait
/// for ever for a port that accepts but says nothing. So a plain non-blocking connect tries the
/// address first, and CAF's own handshake runs under the same deadline.
///
/// Errors, all errc::unreachable with one line that names the address: no process listens, no
/// answer in time, something other than a Troupe process of this protocol's interface.
caf::expected<caf::strong_actor_ptr> connect(caf::actor_system& system, const endpoint& at,
                                             std::chrono::milliseconds timeout,
                                             std::set<std::string> interface);

template <class Handle>
caf::expected<Handle> connect(caf::actor_system& system, const endpoint& at,
                              std::chrono::milliseconds timeout) {
  auto reached =
      connect(system, at, timeout, system.message_types(caf::detail::type_list<Handle>{}));
  if (!reached) return reached.error();
  return caf::actor_cast<Handle>(std::move(*reached));
}

/// Lets other processes reach an actor at `at`; port 0: any free one. Gives the port.
template <class Handle>
caf::expected<std::uint16_t> publish(caf::actor_system& system, const Handle& handle,
                                     const endpoint& at) {
  return system.middleman().publish(handle, at.port, at.host.c_str(), true);
}

/// Whether this process can listen at `at`; the reason if not (the port is in use, the address is
/// of another host, ...), in words: what CAF reports does not tell them apart.
caf::error try_listen(const endpoint& at);

/// Whether the host of `at` refuses a connection to that port: no process listens there any more.
/// Anything else, silence within `timeout` included, is false.
bool connection_refused(const endpoint& at, std::chrono::milliseconds timeout);

} // namespace troupe::actors
