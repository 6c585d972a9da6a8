#include "recorded_cluster.hpp"

#include <cstdlib>

#include "troupe/history_file.hpp"

namespace troupe::chaos {

cluster_options process_recorders::recorded(cluster_options o) {
  o.recorder = [this](const process& p) {
    recorders_.push_back(std::make_shared<history::memory_recorder>(
        p.name() + ", start " + std::to_string(p.incarnation()),
        [this] { return clock_ ? static_cast<std::int64_t>(clock_().count()) : 0; }));
    return recorders_.back();
  };
  return o;
}

recorded_cluster::recorded_cluster(cluster_options o) : cluster(recorded(std::move(o))) {
  clock_ = [this] { return sim().now(); };
}

std::vector<history::process_history> recorded_cluster::histories() const {
  std::vector<history::process_history> all;
  for (const auto& r : recorders_) all.push_back(r->history());
  return all;
}

history::report recorded_cluster::check() const {
  auto all = histories();
  auto r = history::check(all, {.one_clock = true});
  // What was wrong can be looked at with troupe check.
  if (const char* file = std::getenv("TROUPE_DUMP"); file && r.total_violations() > 0)
    history::write_history(file, all);
  return r;
}

void recorded_cluster::run_steps(std::uint64_t count) {
  const auto until = sim().steps() + count;
  run_until([&] { return sim().steps() >= until; }, ever);
}

job longer_job(scheduler::consistency mode, std::uint32_t replicas) {
  auto j = integer_job(mode);
  j.data.samples = 320;
  j.cluster.replicas = replicas;
  j.checkpoint = {.every_batches = 0, .every_seconds = 0};
  return j;
}

cluster_options options_for(job work, std::uint64_t seed,
                            std::vector<cluster_options::node_share> nodes,
                            std::function<sim_time(scheduler::worker_id)> batch_time_of) {
  cluster_options o;
  o.work = std::move(work);
  o.seed = seed;
  o.nodes = std::move(nodes);
  o.batch_jitter = {};
  o.batch_time_of = std::move(batch_time_of);
  return o;
}

std::vector<std::string> notices(const cluster& c, notice_event::kind kind) {
  std::vector<std::string> result;
  for (const auto& n : all<notice_event>(c))
    if (n.type == kind) result.push_back(n.text);
  return result;
}

std::string complaints(const history::report& r) {
  std::string text;
  for (const auto& m : r.missing) text += "missing: " + m + "\n";
  if (r.violations.empty()) return text;
  const auto& first = r.violations.front();
  text += history::name_of(first.broken) + ": " + first.what + "\n";
  for (const auto& line : first.by) text += "  " + line + "\n";
  return text;
}

void check_exact_and_history(const recorded_cluster& c, const job& j) {
  check_exact(c, j);
  CHECK(complaints(c.check()) == "");
}

} // namespace troupe::chaos
