#include "troupe/cli/cluster_watch.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include "troupe/actors/status_connection.hpp"

namespace troupe::cli {

using namespace std::chrono_literals;
using nlohmann::json;
using clock = std::chrono::steady_clock;

namespace {

constexpr auto look_pause = 20ms;
constexpr auto retry_pause = 100ms;
constexpr auto patience = 300ms; // a scheduler that is stopped does not answer

std::string said_by(const json& event) {
  const auto name = event.value("event", "");
  if (name == "notice") return event.value("text", "");
  if (name == "failed") return "failed: " + event.value("reason", "");
  return name == "finished" ? name : "";
}

endpoint address_in(const std::filesystem::path& run) {
  std::ifstream in(run / "scheduler.address");
  std::string text;
  std::getline(in, text);
  return parse_endpoint(text);
}

} // namespace

class cluster_watch::scheduler_line {
 public:
  explicit scheduler_line(const std::filesystem::path& run)
      : connection_(address_in(run), patience) {}
  std::string ask() { return connection_.ask(patience); }

 private:
  actors::status_connection connection_;
};

cluster_watch::cluster_watch(std::filesystem::path run, std::vector<std::string> hosts)
    : run_(std::move(run)), hosts_(std::move(hosts)) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

cluster_watch::~cluster_watch() = default;

void cluster_watch::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    read_events(false);
    auto pause = look_pause;
    try {
      look();
    } catch (const std::exception&) { // it is away, and nobody has to be told
      scheduler_.reset();
      pause = retry_pause;
    }
    std::mutex m;
    std::unique_lock lock(m);
    never_.wait_for(lock, stop, pause, [] { return false; });
  }
  scheduler_.reset();
}

void cluster_watch::look() {
  if (!std::filesystem::exists(run_ / "scheduler.address")) return;
  if (!scheduler_) scheduler_ = std::make_unique<scheduler_line>(run_);
  take(scheduler_->ask());
  ask_to_drain();
}

void cluster_watch::drain(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  to_drain_.push_back(number);
}

void cluster_watch::ask_to_drain() {
  std::vector<std::uint32_t> numbers;
  {
    const std::lock_guard lock(mutex_);
    numbers.swap(to_drain_);
  }
  for (const auto number : numbers)
    if (const auto node = node_of_.find(number); node != node_of_.end())
      request_drain(address_in(run_), node->second, patience);
}

void cluster_watch::take(const std::string& text) {
  const auto status = json::parse(text);
  std::map<std::uint32_t, std::uint32_t> number_of; // by the scheduler's number of a node
  node_of_.clear();
  for (const auto& node : status.at("nodes")) {
    const auto address = node.at("address").get<std::string>();
    const auto host = std::ranges::find(hosts_, address.substr(0, address.rfind(':')));
    if (host == hosts_.end()) continue;
    const auto number = static_cast<std::uint32_t>(host - hosts_.begin());
    number_of[node.at("node")] = number;
    node_of_[number] = node.at("node");
  }
  std::vector<std::vector<std::uint32_t>> chains;
  for (const auto& shard : status.at("shards")) {
    auto& chain = chains.emplace_back();
    for (const auto& member : shard.at("chain"))
      if (const auto at = number_of.find(member); at != number_of.end())
        chain.push_back(at->second);
  }
  const std::lock_guard lock(mutex_);
  chains_ = std::move(chains);
  seen_.status = text;
}

// A line without its end may still be written.
void cluster_watch::read_events(bool to_the_end) {
  std::ifstream in(run_ / "events.jsonl");
  in.seekg(read_up_to_);
  for (std::string line; std::getline(in, line);) {
    if (in.eof() && !to_the_end) return;
    read_up_to_ += static_cast<std::streamoff>(line.size()) + 1;
    const auto event = json::parse(line, nullptr, false);
    if (!event.is_object()) continue;
    if (auto text = said_by(event); !text.empty())
      seen_.said.push_back({clock::now(), std::move(text)});
  }
}

std::vector<std::vector<std::uint32_t>> cluster_watch::chains() const {
  const std::lock_guard lock(mutex_);
  return chains_;
}

cluster_watch::sight cluster_watch::stop() {
  thread_.request_stop();
  thread_.join();
  read_events(true);
  return std::move(seen_);
}

} // namespace troupe::cli
