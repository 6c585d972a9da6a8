#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "troupe/events.hpp"

namespace troupe::cli {

/// 1234567 as "1,234,567".
std::string grouped(std::uint64_t n);

/// Seconds as "0.42 s", "12.3 s", "4 min 05 s", "2 h 13 min".
std::string duration_text(double seconds);

/// The lines that a user reads, without a final newline.
std::string progress_line(const progress_event& e);
std::string epoch_line(const epoch_event& e, std::uint32_t epochs);
std::string finished_line(const finished_event& e);
/// What the workers' time went into: a line for all, and where there are several one for each, up
/// to 16. Empty where none told.
std::vector<std::string> time_lines(const finished_event& e);
/// "computing 93.1 %, waiting for parameters 4.0 %, ..." of the share, 0 to 1, of each activity.
std::string time_text(const std::function<double(scheduler::activity)>& share);
std::string interrupted_line(const interrupted_event& e);

} // namespace troupe::cli
