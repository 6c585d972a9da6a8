#pragma once

#include <caf/all.hpp>

namespace troupe::actors {

/// A CAF configuration with every Troupe message registered and the settings that measured best on
/// small machines: one shared run queue, no extra deserializer threads.
///
/// `networked`: load CAF's middleman. CAF's own file and command-line options are not read.
class system_config : public caf::actor_system_config {
 public:
  explicit system_config(bool networked);
};

} // namespace troupe::actors
