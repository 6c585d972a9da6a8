#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace troupe::cli {

/// What the events of an earlier run say about how far it came.
struct run_record {
  std::string last;                     ///< the name of the last event; empty: there is none
  std::string reason;                   ///< of a run that failed
  std::uint32_t epochs_done = 0;        ///< the highest
  std::optional<std::uint64_t> samples; ///< of a run that finished: how many were counted
};

/// Reads a file of events (docs/reference/events.md). A missing file is one without events; a line
/// that is no event, such as one cut off by the end of its writer, is passed over.
run_record read_run_record(const std::filesystem::path& events_file);

} // namespace troupe::cli
