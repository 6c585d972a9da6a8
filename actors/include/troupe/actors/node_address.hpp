#pragma once

#include <optional>
#include <string>

#include "troupe/runtime.hpp"

namespace troupe::actors {

/// Where a node listens, and which host it tells the others. Pure: it looks nothing up.
///
/// ADDR-1  A wildcard is never told to others: they would reach themselves.
/// ADDR-2  A loopback address is told only if the scheduler is on the same host.
/// ADDR-3  If nothing is asked for, the node listens at the address from which it reaches the
///         scheduler, and tells this address. If it listens at a wildcard, it tells that address.
struct node_address {
  struct facts {
    std::optional<endpoint> listen = {}; ///< as asked for; none: not at all
    bool listens_everywhere = false;     ///< `listen` is a wildcard ("0.0.0.0", "::")
    bool listens_to_itself = false;      ///< `listen` is a loopback address
    std::string advertise = {};          ///< as asked for; empty: not at all
    bool advertises_wildcard = false;
    std::string way = {};        ///< this host's address on the connection to the scheduler
    bool scheduler_here = false; ///< the other end of that connection is the same address
  };

  endpoint listen;
  std::string told;
  std::string refusal; ///< if not empty: why there is no address, in one line
};

node_address choose_address(const node_address::facts& f);

/// The facts about a node that connects to `scheduler`. Blocks for at most `timeout`.
node_address::facts address_facts(const node_options& options, std::chrono::milliseconds timeout);

} // namespace troupe::actors
