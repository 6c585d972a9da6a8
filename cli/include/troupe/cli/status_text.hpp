#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace troupe::cli {

/// What a scheduler says of itself (`query_status`) as a tree for people, one line for each
/// node, role and shard, with a final newline. Keys that are not there are left out: the scheduler
/// may be of another version. Throws std::runtime_error with one line for what is no status at all.
/// Bytes that would steer a terminal are replaced.
std::string status_text(const nlohmann::json& status);

} // namespace troupe::cli
