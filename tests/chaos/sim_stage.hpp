#pragma once

#include <functional>
#include <memory>

#include <caf/all.hpp>

#include "troupe/simulation.hpp"

namespace troupe::chaos {

struct ping {
  std::uint32_t number = 0;
};
struct pong {
  std::uint32_t number = 0;
};
struct unknown_to_caf {
  std::uint32_t number = 0;
};
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, ping& p) {
  return f(p.number);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pong& p) {
  return f(p.number);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, unknown_to_caf& u) {
  return f(u.number);
}

using ping_actor = caf::typed_actor<caf::replies_to<ping>::with<pong>>;
using listener_actor = caf::typed_actor<caf::reacts_to<ping>>;

inline ping_actor::behavior_type doubler() {
  return {[](const ping& p) { return pong{2 * p.number}; }};
}

inline listener_actor::behavior_type listener(std::function<void(std::uint32_t)> heard) {
  return {[heard = std::move(heard)](const ping& p) { heard(p.number); }};
}

/// A simulation that knows the messages above.
struct stage {
  static simulation_options options(std::uint64_t seed) {
    simulation_options o;
    o.seed = seed;
    o.configure = [] {
      auto c = std::make_unique<caf::actor_system_config>();
      c->add_message_type<ping>("ping");
      c->add_message_type<pong>("pong");
      return c;
    };
    o.datagram = [](std::string_view name) { return name == "ping"; };
    return o;
  }
  explicit stage(std::uint64_t seed = 1) : sim(options(seed)) {}

  simulation sim;
};

} // namespace troupe::chaos
