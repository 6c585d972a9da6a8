#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/types.h>

/// The processes that `troupe train` started, seen from outside: through /proc and `troupe status`.
/// Looking changes nothing; what was seen may be out of date when it is used.
namespace troupe::cli_test {

/// What the launcher started a process for.
enum class process_role { scheduler, shard_node, worker_node };

/// The launcher's children whose command line holds `text`. One that has ended is not among them.
std::vector<pid_t> children_with(pid_t launcher, const std::string& text);
std::vector<pid_t> processes_of(pid_t launcher, process_role role);

/// What `troupe status RUN --json` says; none when no scheduler answered.
std::optional<nlohmann::json> status_of(const std::filesystem::path& run);

/// Which of these processes listens at this address of a status ("127.0.0.1:41234").
std::optional<pid_t> listener_at(const std::string& address, const std::vector<pid_t>& among);

/// The processes of a shard's chain, the primary first. Empty when one of them was not found: the
/// status was of a moment before.
std::vector<pid_t> processes_of_chain(pid_t launcher, const nlohmann::json& status,
                                      std::size_t shard);

} // namespace troupe::cli_test
