#include "cluster_processes.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <set>
#include <sstream>

#include "program_fixture.hpp"

namespace troupe::cli_test {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// The inodes of the sockets that listen at this port, as /proc/net/tcp tells them.
std::set<std::string> listening_at(std::uint16_t port) {
  constexpr const char* listening = "0A";
  std::set<std::string> inodes;
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line); // the titles
  while (std::getline(table, line)) {
    std::istringstream in(line);
    std::string slot, local, remote, state, queues, timer, retries, user, probes, inode;
    in >> slot >> local >> remote >> state >> queues >> timer >> retries >> user >> probes >> inode;
    const auto colon = local.find(':');
    if (!in || state != listening || colon == std::string::npos) continue;
    unsigned number = 0;
    std::from_chars(local.data() + colon + 1, local.data() + local.size(), number, 16);
    if (number == port) inodes.insert("socket:[" + inode + "]");
  }
  return inodes;
}

bool holds_one_of(pid_t process, const std::set<std::string>& sockets) {
  std::error_code gone;
  for (fs::directory_iterator fd("/proc/" + std::to_string(process) + "/fd", gone), end;
       !gone && fd != end; fd.increment(gone))
    if (sockets.contains(fs::read_symlink(*fd, gone).string())) return true;
  return false;
}

} // namespace

std::vector<pid_t> children_with(pid_t launcher, const std::string& text) {
  const auto id = std::to_string(launcher);
  std::ifstream children("/proc/" + id + "/task/" + id + "/children");
  std::vector<pid_t> result;
  for (pid_t child; children >> child;) {
    std::ifstream file("/proc/" + std::to_string(child) + "/cmdline");
    std::string line;
    std::getline(file, line, '\n'); // reading fails when the process ended meanwhile: no line then
    std::ranges::replace(line, '\0', ' ');
    if (line.find(text) != std::string::npos) result.push_back(child);
  }
  return result;
}

std::vector<pid_t> processes_of(pid_t launcher, process_role role) {
  switch (role) {
  case process_role::scheduler:
    return children_with(launcher, " scheduler ");
  case process_role::shard_node:
    return children_with(launcher, "--workers 0 ");
  case process_role::worker_node:
    break;
  }
  return children_with(launcher, "--workers 1 ");
}

std::optional<json> status_of(const fs::path& run) {
  const auto result = run_program({"status", run.string(), "--json"});
  if (result.code != 0) return std::nullopt;
  return json::parse(result.out);
}

std::optional<pid_t> listener_at(const std::string& address, const std::vector<pid_t>& among) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::uint16_t port = 0;
  std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  const auto sockets = listening_at(port);
  const auto at =
      std::ranges::find_if(among, [&](pid_t process) { return holds_one_of(process, sockets); });
  return at == among.end() ? std::nullopt : std::optional(*at);
}

std::vector<pid_t> processes_of_chain(pid_t launcher, const json& status, std::size_t shard) {
  const auto nodes = processes_of(launcher, process_role::shard_node);
  std::vector<pid_t> chain;
  for (const auto& member : status.at("shards").at(shard).at("chain"))
    for (const auto& node : status.at("nodes"))
      if (node.at("node") == member)
        if (const auto process = listener_at(node.at("address"), nodes)) chain.push_back(*process);
  return chain.size() == status["shards"][shard]["chain"].size() ? chain : std::vector<pid_t>{};
}

} // namespace troupe::cli_test
