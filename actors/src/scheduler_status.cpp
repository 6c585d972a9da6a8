// The cluster as an operator sees it.
#include <chrono>

#include <nlohmann/json.hpp>

#include "troupe/actors/scheduler.hpp"
#include "troupe/actors/time_json.hpp"

namespace troupe::actors {

namespace {

using nlohmann::json;

template <class Duration>
std::int64_t whole_ms(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

// Null where there is no time yet.
json time_of(const scheduler::time_shares& t) {
  return t.whole().count() == 0 ? json(nullptr) : time_json<json>(t);
}

} // namespace

status_report scheduler_state::status() const {
  constexpr const char* phases[] = {"gathering", "placing",  "reconciling",
                                    "training",  "draining", "ended"};
  auto now = self->clock().now();
  auto spent_by = [this](worker_id id) {
    auto i = spent_.find(id);
    return i != spent_.end() ? i->second : scheduler::time_shares{};
  };
  scheduler::time_shares spent;
  for (const auto& [id, by_worker] : spent_) spent += by_worker;
  json out = {{"job", options_.work.name},
              {"job_id", options_.job_id},
              {"phase", phases[static_cast<std::size_t>(phase_)]},
              {"epoch", progress_->current_epoch() + 1},
              {"epochs", options_.plan.epochs()},
              {"batches_done", progress_->batches_done()},
              {"batches_total", progress_->batches_total()},
              {"scheduler",
               {{"restarts", restarts_},
                {"uptime_s", std::chrono::duration<double>(now - begun_).count()}}},
              {"checkpoint", nullptr},
              {"time", time_of(spent)},
              {"nodes", json::array()},
              {"lost", json::array()},
              {"shards", json::array()}};
  if (last_checkpoint_)
    out["checkpoint"] = {{"number", last_checkpoint_->number},
                         {"batches", last_checkpoint_->batches},
                         {"age_s", std::chrono::duration<double>(now - checkpoint_at_).count()}};
  for (const auto& [id, m] : nodes_) {
    json node = {{"node", id.value},
                 {"address", m.at.host + ":" + std::to_string(m.at.port)},
                 {"silent_ms", whole_ms(now - m.heard_at)},
                 {"phi", m.detector.phi(awake_->last())},
                 {"interval_ms", whole_ms(m.detector.mean())},
                 {"draining", draining_.contains(id)},
                 {"replicas", json::array()},
                 {"workers", json::array()},
                 {"restarts", m.failures}};
    for (std::uint32_t s = 0; s < views_->shards(); ++s) {
      const auto& v = views_->view(shard_id{s});
      std::string role;
      if (!v.chain.empty() && v.chain.front() == id)
        role = "primary";
      else if (std::ranges::find(v.chain, id) != v.chain.end())
        role = "backup";
      else if (v.learner == id)
        role = "learner";
      if (!role.empty())
        node["replicas"].push_back({{"shard", s}, {"role", role}, {"view", v.number.value}});
    }
    for (const auto& [worker, w] : workers_) {
      if (w.node != id) continue;
      json leases = json::array();
      for (auto batch : leases_->held_by(worker)) leases.push_back(to_string(batch));
      node["workers"].push_back({{"worker", worker.value},
                                 {"clock", w.clock},
                                 {"leases", leases},
                                 {"suspended", w.suspended},
                                 {"time", time_of(spent_by(worker))}});
    }
    out["nodes"].push_back(std::move(node));
  }
  for (const auto& [id, l] : lost_) out["lost"].push_back({{"node", id.value}, {"why", l.why}});
  for (std::uint32_t s = 0; s < views_->shards(); ++s) {
    const auto& v = views_->view(shard_id{s});
    json chain = json::array();
    for (auto node : v.chain) chain.push_back(node.value);
    out["shards"].push_back({{"shard", s},
                             {"view", v.number.value},
                             {"chain", chain},
                             {"learner", v.learner ? json(v.learner->value) : json(nullptr)}});
  }
  return {out.dump()};
}

} // namespace troupe::actors
