#include "fault.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

namespace troupe::chaos_test {

using namespace std::chrono_literals;
using cli_test::process_role;
using clock = std::chrono::steady_clock;

namespace {

// Shorter stops than a node's silence may last, and longer ones.
constexpr auto shortest_stop = 500ms;
constexpr auto longest_stop = 4000ms;

struct fault_name {
  fault_kind kind;
  std::string_view text;
};

constexpr std::array fault_names = {
    fault_name{fault_kind::kill_worker, "kill_worker"},
    fault_name{fault_kind::kill_shard, "kill_shard"},
    fault_name{fault_kind::kill_chain, "kill_chain"},
    fault_name{fault_kind::kill_scheduler, "kill_scheduler"},
    fault_name{fault_kind::stop_worker, "stop_worker"},
    fault_name{fault_kind::stop_shard, "stop_shard"},
    fault_name{fault_kind::stop_scheduler, "stop_scheduler"},
};

std::string pids(const std::vector<pid_t>& processes) {
  std::string text;
  for (const pid_t process : processes)
    text += (text.empty() ? "" : " and ") + std::to_string(process);
  return text;
}

} // namespace

const std::vector<fault_kind>& all_faults() {
  static const auto all = [] {
    std::vector<fault_kind> kinds;
    for (const auto& f : fault_names) kinds.push_back(f.kind);
    return kinds;
  }();
  return all;
}

std::string_view name(fault_kind kind) {
  return std::ranges::find(fault_names, kind, &fault_name::kind)->text;
}

std::optional<fault_kind> fault_named(std::string_view text) {
  const auto at = std::ranges::find(fault_names, text, &fault_name::text);
  return at == fault_names.end() ? std::nullopt : std::optional(at->kind);
}

fault_injector::fault_injector(pid_t launcher, std::filesystem::path run, seeded_draws& draws)
    : launcher_(launcher), run_(std::move(run)), draws_(draws) {}

// The launcher alone reaps its children, so a pid that is still among them is still the same one.
bool fault_injector::is_child(pid_t process) const {
  const auto children = cli_test::children_with(launcher_, " ");
  return std::ranges::find(children, process) != children.end();
}

std::vector<pid_t> fault_injector::running(process_role role) const {
  auto processes = cli_test::processes_of(launcher_, role);
  std::erase_if(processes, [this](pid_t process) {
    return std::ranges::find(stopped_, process, &stopped::process) != stopped_.end();
  });
  return processes;
}

std::vector<pid_t> fault_injector::one_chain() {
  const auto schedulers = running(process_role::scheduler);
  if (schedulers.empty()) return {}; // nobody would say where the chain is
  const auto status = cli_test::status_of(run_);
  if (!status || status->at("shards").empty()) return {};
  return cli_test::processes_of_chain(launcher_, *status,
                                      draws_.below(status->at("shards").size()));
}

std::optional<std::string> fault_injector::inject(fault_kind kind) {
  const auto one_of = [this](process_role role) {
    const auto processes = cli_test::processes_of(launcher_, role); // a stopped one can be killed
    return processes.empty() ? processes : std::vector{draws_.one_of(processes)};
  };
  switch (kind) {
  case fault_kind::kill_worker:
    return kill(kind, one_of(process_role::worker_node));
  case fault_kind::kill_shard:
    return kill(kind, one_of(process_role::shard_node));
  case fault_kind::kill_chain:
    return kill(kind, one_chain());
  case fault_kind::kill_scheduler:
    return kill(kind, one_of(process_role::scheduler));
  case fault_kind::stop_worker:
    return stop(kind, process_role::worker_node);
  case fault_kind::stop_shard:
    return stop(kind, process_role::shard_node);
  case fault_kind::stop_scheduler:
    break;
  }
  return stop(kind, process_role::scheduler);
}

std::optional<std::string> fault_injector::kill(fault_kind kind,
                                                const std::vector<pid_t>& processes) {
  std::vector<pid_t> killed;
  for (const pid_t process : processes)
    if (is_child(process) && ::kill(process, SIGKILL) == 0) killed.push_back(process);
  std::erase_if(stopped_, [&](const stopped& s) {
    return std::ranges::find(killed, s.process) != killed.end();
  });
  if (killed.empty()) return std::nullopt;
  return std::string(name(kind)) + " " + pids(killed);
}

std::optional<std::string> fault_injector::stop(fault_kind kind, process_role role) {
  const auto processes = running(role);
  if (processes.empty()) return std::nullopt;
  const pid_t process = draws_.one_of(processes);
  const auto length = draws_.between(shortest_stop, longest_stop);
  if (!is_child(process) || ::kill(process, SIGSTOP) != 0) return std::nullopt;
  stopped_.push_back({process, clock::now() + length});
  return std::string(name(kind)) + " " + std::to_string(process) + " for " +
         std::to_string(length.count()) + " ms";
}

fault_injector::time_point fault_injector::next_due() const {
  auto next = time_point::max();
  for (const auto& s : stopped_) next = std::min(next, s.until);
  return next;
}

std::vector<std::string> fault_injector::continue_due(time_point now) {
  std::vector<std::string> lines;
  std::erase_if(stopped_, [&](const stopped& s) {
    if (now < s.until) return false;
    if (is_child(s.process) && ::kill(s.process, SIGCONT) == 0)
      lines.push_back("continue " + std::to_string(s.process));
    return true;
  });
  return lines;
}

} // namespace troupe::chaos_test
