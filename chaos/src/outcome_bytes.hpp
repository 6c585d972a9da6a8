#pragma once

#include <string>
#include <string_view>

#include "troupe/chaos/outcome.hpp"

namespace troupe::chaos {

/// From one process of this program to another of the same: no format for files.
std::string to_bytes(const outcome& o);
outcome from_bytes(std::string_view bytes);

} // namespace troupe::chaos
