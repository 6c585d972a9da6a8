#pragma once

#include "troupe/cli/commands.hpp"
#include "troupe/runtime.hpp"

namespace troupe::cli {

/// Where the scheduler that the user means listens: the address given, or what the run folder says.
/// Throws usage_error for a text that is no address; file_error for a folder that is none, or of a
/// run that no scheduler runs. That an address is found does not mean that somebody listens there:
/// a scheduler that was killed leaves its own.
endpoint scheduler_address(const scheduler_place& place);

} // namespace troupe::cli
