#include "troupe/cli/status_text.hpp"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <vector>

#include <nlohmann/json.hpp>

#include "troupe/cli/progress_text.hpp"

namespace troupe::cli {

using nlohmann::json;

namespace {

// A phi below is the rhythm of a healthy node; it is worth a word only when it grows.
constexpr double suspicious_phi = 1;

struct branch {
  std::string text;
  std::vector<std::string> leaves;
};

const json& member(const json& object, const char* key) {
  static const json nothing;
  const auto at = object.find(key);
  return at == object.end() ? nothing : *at;
}

std::string text(const json& value) {
  if (value.is_number_integer()) return value.dump();
  std::string plain = value.is_string() ? value.get<std::string>() : "?";
  for (char& c : plain)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return plain;
}

std::string text(const json& object, const char* key) { return text(member(object, key)); }

bool truth(const json& object, const char* key) {
  const json& value = member(object, key);
  return value.is_boolean() && value.get<bool>();
}

std::uint64_t count(const json& object, const char* key) {
  const json& value = member(object, key);
  return value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
}

std::string counted(std::uint64_t n, const std::string& one, const std::string& many) {
  return grouped(n) + " " + (n == 1 ? one : many);
}

std::string seconds(const json& object, const char* key) {
  const json& value = member(object, key);
  return duration_text(value.is_number() ? value.get<double>() : -1);
}

std::string milliseconds(const json& object, const char* key) {
  const std::uint64_t ms = count(object, key);
  return ms < 1000 ? std::to_string(ms) + " ms" : duration_text(static_cast<double>(ms) / 1000);
}

std::string headline(const json& status) {
  std::string line = "job " + text(status, "job");
  if (status.contains("job_id")) line += " (" + text(status, "job_id") + ")";
  line += ": " + text(status, "phase");
  if (count(status, "epochs") > 0)
    line += ", epoch " + text(status, "epoch") + " of " + text(status, "epochs");
  if (count(status, "batches_total") > 0)
    line += ", batch " + grouped(count(status, "batches_done")) + " of " +
            grouped(count(status, "batches_total"));
  return line;
}

std::string restarts(const json& object) {
  const auto n = count(object, "restarts");
  return n == 0 ? "" : ", started again " + counted(n, "time", "times");
}

branch scheduler_branch(const json& scheduler) {
  return {"scheduler: up " + seconds(scheduler, "uptime_s") + restarts(scheduler), {}};
}

branch checkpoint_branch(const json& checkpoint) {
  if (!checkpoint.is_object()) return {"checkpoint: none yet", {}};
  return {"checkpoint " + text(checkpoint, "number") + ": " +
              counted(count(checkpoint, "batches"), "batch", "batches") + ", " +
              seconds(checkpoint, "age_s") + " old",
          {}};
}

std::string shares(const json& time) {
  return time_text([&time](scheduler::activity a) {
    const json& value = member(time, std::string(name_of(a)).c_str());
    return value.is_number() ? value.get<double>() : 0;
  });
}

std::string replica_line(const json& replica) {
  return "shard " + text(replica, "shard") + ": " + text(replica, "role") + ", view " +
         text(replica, "view");
}

std::string worker_line(const json& worker) {
  std::string line = "worker " + text(worker, "worker") + ": clock " + text(worker, "clock");
  if (truth(worker, "suspended")) line += ", suspended";
  std::string leases;
  for (const json& lease : member(worker, "leases"))
    leases += (leases.empty() ? ", " : "; ") + text(lease);
  line += leases.empty() ? ", idle" : leases;
  if (const json& time = member(worker, "time"); time.is_object()) line += "; " + shares(time);
  return line;
}

branch node_branch(const json& node) {
  branch b{"node " + text(node, "node"), {}};
  if (node.contains("address")) b.text += " at " + text(node, "address");
  b.text += ": heard " + milliseconds(node, "silent_ms") + " ago";
  const json& phi = member(node, "phi");
  if (phi.is_number() && phi.get<double>() >= suspicious_phi) {
    char buffer[48];
    std::snprintf(buffer, sizeof buffer, ", suspicion %.1f", phi.get<double>());
    b.text += buffer;
  }
  b.text += restarts(node);
  if (truth(node, "draining")) b.text += ", draining";
  for (const json& replica : member(node, "replicas")) b.leaves.push_back(replica_line(replica));
  for (const json& worker : member(node, "workers")) b.leaves.push_back(worker_line(worker));
  if (b.leaves.empty()) b.text += ", holds nothing";
  return b;
}

branch lost_branch(const json& node) {
  return {"node " + text(node, "node") + ": lost, " + text(node, "why"), {}};
}

branch shard_branch(const json& shard) {
  std::string chain;
  for (const json& node : member(shard, "chain"))
    chain += (chain.empty() ? "node " : " -> node ") + text(node);
  std::string line = "shard " + text(shard, "shard") + ", view " + text(shard, "view") + ": " +
                     (chain.empty() ? "no replica" : chain);
  if (!member(shard, "learner").is_null()) line += ", node " + text(shard, "learner") + " learns";
  return {std::move(line), {}};
}

void draw(std::string& out, const std::vector<branch>& branches) {
  for (std::size_t i = 0; i < branches.size(); ++i) {
    const bool last = i + 1 == branches.size();
    out += (last ? "`- " : "|- ") + branches[i].text + "\n";
    const auto& leaves = branches[i].leaves;
    for (std::size_t j = 0; j < leaves.size(); ++j)
      out += (last ? "   " : "|  ") + std::string(j + 1 == leaves.size() ? "`- " : "|- ") +
             leaves[j] + "\n";
  }
}

} // namespace

std::string status_text(const json& status) {
  if (!status.is_object() || !status.contains("job") || !status.contains("phase"))
    throw std::runtime_error("expected the status of a run, found something else: the scheduler "
                             "may be of another version");
  std::vector<branch> branches;
  if (status.contains("scheduler")) branches.push_back(scheduler_branch(status["scheduler"]));
  if (const json& waiting = member(status, "waiting"); waiting.is_object())
    branches.push_back(
        {"nothing moves: " + text(waiting, "for") + ", for " + seconds(waiting, "seconds"), {}});
  if (status.contains("checkpoint")) branches.push_back(checkpoint_branch(status["checkpoint"]));
  if (const json& time = member(status, "time"); time.is_object())
    branches.push_back({"workers: " + shares(time), {}});
  for (const json& node : member(status, "nodes")) branches.push_back(node_branch(node));
  for (const json& node : member(status, "lost")) branches.push_back(lost_branch(node));
  for (const json& shard : member(status, "shards")) branches.push_back(shard_branch(shard));
  std::string out = headline(status) + "\n";
  draw(out, branches);
  return out;
}

} // namespace troupe::cli
