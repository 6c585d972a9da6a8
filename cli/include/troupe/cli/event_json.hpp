#pragma once

#include <string>

#include "troupe/events.hpp"

namespace troupe::cli {

/// The event as one line of JSON without a final newline, "event" first; docs/reference/events.md
/// has every field. A number that is not finite becomes null.
std::string event_json(const event& e);

} // namespace troupe::cli
