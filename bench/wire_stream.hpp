#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace troupe::bench {

/// Streams blocks of 1 MiB from one process to another and back, for about `seconds` each, over a
/// raw TCP connection, as CAF messages, over a bulk connection and through shared memory; asks
/// requests of 64 bytes meanwhile; stops the other process and looks at the sender's memory. Prints
/// a table and gives its rows. Ends the program when a process does not answer. `only`: the name of
/// the one path to measure; empty: all.
nlohmann::json stream_table(double seconds, const std::string& only = {});

} // namespace troupe::bench
