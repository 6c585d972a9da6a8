#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "troupe/values/time_shares.hpp"

namespace troupe::actors {

/// What a worker's time went into, as the status and the events tell it: the whole in seconds, and
/// the share of each activity, 0 to 1. `Json`: one of nlohmann's objects.
template <class Json>
Json time_json(const scheduler::time_shares& t) {
  Json out = {{"seconds", std::chrono::duration<double>(t.whole()).count()}};
  for (std::size_t i = 0; i < scheduler::activities; ++i) {
    const auto a = static_cast<scheduler::activity>(i);
    out[std::string(name_of(a))] = t.share(a);
  }
  return out;
}

} // namespace troupe::actors
