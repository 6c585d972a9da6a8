#include "troupe/actors/node_address.hpp"

#include "troupe/transport/tcp_socket.hpp"

namespace troupe::actors {

node_address choose_address(const node_address::facts& f) {
  if (f.advertises_wildcard)
    return {{},
            {},
            "the address to advertise: expected one host, found " + f.advertise +
                ", which stands for every address of a host"};
  node_address a{f.listen.value_or(endpoint{f.way, 0}), f.advertise, {}};
  if (!a.told.empty()) return a;
  if (!f.listen || f.listens_everywhere) {
    a.told = f.way;
  } else if (f.listens_to_itself && !f.scheduler_here) {
    a.refusal = "the scheduler is on another host, from where nobody can reach this node at " +
                to_string(*f.listen) + "; leave --listen out, give it an address of this host (" +
                f.way + "), or give --advertise";
  } else {
    a.told = f.listen->host;
  }
  return a;
}

node_address::facts address_facts(const node_options& options, std::chrono::milliseconds timeout) {
  using transport::host_kind;
  node_address::facts f{.listen = options.listen, .advertise = options.advertise_host};
  const auto kind = options.listen ? transport::kind_of(options.listen->host) : host_kind::other;
  f.listens_everywhere = kind == host_kind::wildcard;
  f.listens_to_itself = kind == host_kind::loopback;
  f.advertises_wildcard =
      !f.advertise.empty() && transport::kind_of(f.advertise) == host_kind::wildcard;
  const auto probe = transport::tcp_connect(options.scheduler.host, options.scheduler.port,
                                            std::chrono::steady_clock::now() + timeout);
  f.way = probe.socket.open() ? transport::own_host_of(probe.socket) : options.scheduler.host;
  f.scheduler_here = !probe.socket.open() || transport::is_same_host(probe.socket);
  return f;
}

} // namespace troupe::actors
