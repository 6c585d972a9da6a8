#pragma once

#include <cstdint>
#include <string>

#include "troupe/actors/events.hpp"

namespace troupe::cli {

/// 1234567 as "1,234,567".
std::string grouped(std::uint64_t n);

/// Seconds as "0.42 s", "12.3 s", "4 min 05 s", "2 h 13 min".
std::string duration_text(double seconds);

/// The lines that a user reads, without a final newline.
std::string progress_line(const actors::progress_event& e);
std::string epoch_line(const actors::epoch_event& e, std::uint32_t epochs);
std::string finished_line(const actors::finished_event& e);
std::string interrupted_line(const actors::interrupted_event& e);

} // namespace troupe::cli
