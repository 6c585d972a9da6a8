#pragma once

#include <csignal>

namespace troupe::cli {

/// The signals by which a user or the system asks a process to end: SIGINT, SIGTERM, and SIGHUP
/// unless the process was started to outlive its terminal (nohup).
sigset_t end_signals();

} // namespace troupe::cli
