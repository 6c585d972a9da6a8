// A cluster of many processes in the simulator.
#include <map>
#include <stdexcept>

#include "scale.hpp"
#include "troupe/chaos/cluster.hpp"

namespace troupe::bench {

using nlohmann::json;
using namespace std::chrono_literals;

namespace {

// "... node 7 runs actor 12: troupe.worker takes troupe::pushed": who takes what.
std::string taken(const std::string& line) {
  const auto at = line.find(": ");
  return line.find(" runs actor ") == line.npos || at == line.npos ? "" : line.substr(at + 2);
}

bool started(const chaos::cluster& c) {
  for (const auto& e : c.events())
    if (const auto* n = std::get_if<notice_event>(&e.what))
      if (n->type == notice_event::kind::started) return true;
  return false;
}

struct ran {
  std::map<std::string, std::uint64_t> by_type; // counted alone
  std::uint64_t steps_to_start = 0;
  std::uint64_t steps = 0; // since training began
  double cpu_to_start = 0;
  double cpu = 0;
  chaos::sim_time took{}; // virtual
};

ran run(const job& j, std::uint32_t nodes, std::uint32_t workers_each, bool counted) {
  ran result;
  bool counting = false;
  chaos::cluster_options o;
  o.work = j;
  const auto shards_each = (j.cluster.shards + nodes - 1) / nodes;
  for (std::uint32_t n = 0; n < nodes; ++n) o.nodes.push_back({shards_each, workers_each});
  if (counted)
    o.trace = [&](const std::string& line) {
      if (!counting) return;
      if (auto what = taken(line); !what.empty()) ++result.by_type[what];
    };
  chaos::cluster c{o};
  const auto cpu_begin = process_seconds();
  constexpr chaos::sim_time limit = 10min;
  c.run_until([&] { return started(c); }, limit);
  if (!started(c)) throw std::runtime_error("the simulated run did not begin");
  counting = true;
  result.steps_to_start = c.sim().steps();
  result.cpu_to_start = process_seconds() - cpu_begin;
  const auto cpu_started = process_seconds();
  const auto at = c.sim().now();
  c.run(limit);
  counting = false;
  if (!c.result() || c.result()->outcome != run_result::status::finished)
    throw std::runtime_error("the simulated run did not finish");
  result.steps = c.sim().steps() - result.steps_to_start;
  result.cpu = process_seconds() - cpu_started;
  result.took = c.sim().now() - at;
  return result;
}

} // namespace

json simulated(const job& j, std::uint32_t nodes, std::uint32_t workers_each) {
  const auto timed = run(j, nodes, workers_each, false);
  const auto counted = run(j, nodes, workers_each, true);
  const auto batches = static_cast<double>(j.data.samples / j.train.batch_size * j.train.epochs);
  json types = json::object();
  double scheduler = 0;
  for (const auto& [type, n] : counted.by_type) {
    types[type] = static_cast<double>(n) / batches;
    if (type.starts_with("troupe.scheduler ")) scheduler += static_cast<double>(n);
  }
  const auto steps = static_cast<double>(timed.steps);
  return {{"nodes", nodes},
          {"workers", nodes * workers_each},
          {"batches", batches},
          {"virtual_seconds", std::chrono::duration<double>(timed.took).count()},
          {"messages_to_start", timed.steps_to_start},
          {"start_cpu_ms", 1e3 * timed.cpu_to_start},
          {"messages_per_batch", steps / batches},
          {"scheduler_messages_per_batch", scheduler / batches},
          {"cpu_us_per_batch", 1e6 * timed.cpu / batches},
          {"cpu_us_per_message", 1e6 * timed.cpu / steps},
          {"by_type_per_batch", types}};
}

} // namespace troupe::bench
