// The cluster as an operator sees it, as JSON text.
#include <chrono>

#include <nlohmann/json.hpp>

#include "troupe/actors/scheduler.hpp"
#include "troupe/actors/time_json.hpp"

namespace troupe::actors {

namespace {

using nlohmann::json;
using scheduler::cluster_status;

std::int64_t whole_ms(cluster_status::duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

double seconds(cluster_status::duration d) { return std::chrono::duration<double>(d).count(); }

// Null where there is no time yet.
json time_of(const scheduler::time_shares& t) {
  return t.whole().count() == 0 ? json(nullptr) : time_json<json>(t);
}

json json_of(const cluster_status::node& n, const contact& at) {
  json out = {{"node", n.node.value},
              {"address", at.host + ":" + std::to_string(at.port)},
              {"silent_ms", whole_ms(n.silent)},
              {"phi", n.phi},
              {"interval_ms", whole_ms(n.interval)},
              {"draining", n.draining},
              {"replicas", json::array()},
              {"workers", json::array()},
              {"restarts", n.restarts}};
  for (const auto& r : n.replicas)
    out["replicas"].push_back({{"shard", r.shard.value}, {"role", r.role}, {"view", r.view.value}});
  for (const auto& w : n.workers) {
    json leases = json::array();
    for (auto batch : w.leases) leases.push_back(to_string(batch));
    out["workers"].push_back({{"worker", w.worker.value},
                              {"clock", w.clock},
                              {"leases", leases},
                              {"suspended", w.suspended},
                              {"time", time_of(w.spent)}});
  }
  return out;
}

json json_of(const cluster_status::shard& s) {
  json chain = json::array();
  for (auto node : s.chain) chain.push_back(node.value);
  return {{"shard", s.shard.value},
          {"view", s.view.value},
          {"chain", chain},
          {"learner", s.learner ? json(s.learner->value) : json(nullptr)}};
}

} // namespace

status_report scheduler_state::status() const {
  const auto s = decisions_->status(now());
  json out = {{"job", options_.work.name},
              {"job_id", options_.job_id},
              {"phase", s.phase},
              {"epoch", s.epoch},
              {"epochs", s.epochs},
              {"batches_done", s.batches_done},
              {"batches_total", s.batches_total},
              {"scheduler", {{"restarts", s.restarts}, {"uptime_s", seconds(s.uptime)}}},
              {"waiting", nullptr},
              {"checkpoint", nullptr},
              {"time", time_of(s.spent)},
              {"nodes", json::array()},
              {"lost", json::array()},
              {"shards", json::array()}};
  if (!s.waits_for.empty()) out["waiting"] = {{"for", s.waits_for}, {"seconds", seconds(s.still)}};
  if (const auto& last = s.last_checkpoint)
    out["checkpoint"] = {
        {"number", last->number}, {"batches", last->batches}, {"age_s", seconds(last->age)}};
  for (const auto& n : s.nodes) out["nodes"].push_back(json_of(n, nodes_.at(n.node).at));
  for (const auto& l : s.lost) out["lost"].push_back({{"node", l.node.value}, {"why", l.why}});
  for (const auto& shard : s.shards) out["shards"].push_back(json_of(shard));
  return {out.dump()};
}

} // namespace troupe::actors
