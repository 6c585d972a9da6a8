#include "troupe/chaos/simulated_run.hpp"

#include <memory>

#include "troupe/chaos/cluster.hpp"
#include "troupe/chaos/verdict.hpp"

namespace troupe::chaos {

namespace {

violation crash(const std::string& why) {
  return {"crash", {}, "the run did not end well: " + why, {}};
}

cluster_options options_of(const scenario& s, std::uint64_t seed) {
  cluster_options o;
  o.work = job_of(s, seed);
  o.seed = seed;
  for (const auto& group : s.cluster.nodes)
    o.nodes.insert(o.nodes.end(), group.count, {group.shards, group.workers});
  o.batch_time = s.work.batch_time.low;
  o.batch_jitter = s.work.batch_time.high - s.work.batch_time.low;
  return o;
}

/// One run from beginning to end.
class simulated_run {
 public:
  simulated_run(const scenario& s, std::uint64_t seed) : scenario_(s) {
    auto o = options_of(s, seed);
    work_ = o.work;
    o.recorder = [this](const process& p) { return recorder_for(p); };
    cluster_ = std::make_unique<cluster>(std::move(o));
  }

  void carry_out(const schedule& faults) {
    cluster_->schedule(faults);
    cluster_->run(scenario_.quiet.finish_by);
  }

  void conclude(outcome& o, bool with_timeline) {
    const auto r = remains();
    judge(scenario_, r, o);
    o.steps = cluster_->sim().steps();
    o.fingerprint = cluster_->fingerprint();
    if (with_timeline) o.seen = picture_of(r);
  }

 private:
  struct part {
    std::uint32_t process;
    std::uint32_t resumed;
    std::shared_ptr<history::memory_recorder> recorder;
  };

  std::shared_ptr<history::recorder> recorder_for(const process& p) {
    auto name = p.name();
    if (p.incarnation() > 1) name += " (start " + std::to_string(p.incarnation()) + ")";
    auto recorder = std::make_shared<history::memory_recorder>(
        std::move(name), [this] { return cluster_ ? cluster_->sim().now().count() : 0; });
    parts_.push_back({p.number(), cluster_ ? cluster_->resumed() : 0, recorder});
    return recorder;
  }

  run_remains remains() const {
    run_remains r;
    r.work = work_;
    r.one_clock = true;
    r.end = cluster_->sim().now();
    take_result(r);
    for (const auto& p : cluster_->sim().processes()) r.processes.push_back(p->name());
    for (const auto& p : parts_) {
      r.histories.push_back(p.recorder->history());
      r.recorded_by.push_back(p.process);
      r.resumed.push_back(p.resumed);
    }
    r.done = cluster_->done();
    take_notices(r);
    r.status = cluster_->status().value_or("");
    return r;
  }

  void take_result(run_remains& r) const {
    const auto& result = cluster_->result();
    r.finished = result && result->outcome == run_result::status::finished;
    if (r.finished) {
      r.parameters = result->parameters;
      if (result->summary) r.samples = result->summary->samples;
    } else {
      r.why_not = result ? "that it failed: " + result->error : "that it has not ended";
    }
  }

  void take_notices(run_remains& r) const {
    for (const auto& e : cluster_->events())
      if (const auto* n = std::get_if<notice_event>(&e.what))
        r.notices.push_back({e.at, n->text});
      else if (const auto* f = std::get_if<failed_event>(&e.what))
        r.notices.push_back({e.at, "failed: " + f->reason});
      else if (std::holds_alternative<finished_event>(e.what))
        r.notices.push_back({e.at, "finished"});
  }

  const scenario& scenario_;
  job work_;
  std::vector<part> parts_; // before the cluster, whose actors record until they are gone
  std::unique_ptr<cluster> cluster_;
};

} // namespace

job job_of(const scenario& s, std::uint64_t seed) {
  job j;
  j.name = s.name;
  j.seed = seed;
  j.model.type = model_spec::kind::integer_sum;
  j.model.parameters = s.work.parameters;
  j.data.type = data_spec::format::integers;
  j.data.samples = s.work.samples;
  j.data.held_out = 0;
  j.train.epochs = s.work.epochs;
  j.train.batch_size = s.work.batch_size;
  j.train.consistency = s.mode_of(seed);
  j.train.optimizer.learning_rate = 1;
  j.train.lease_timeout_seconds = std::chrono::duration<double>(s.lease_timeout_of(seed)).count();
  using milliseconds = std::chrono::duration<double, std::milli>;
  j.inject.batch_ms_low = milliseconds(s.work.batch_time.low).count();
  j.inject.batch_ms_high = milliseconds(s.work.batch_time.high).count();
  j.cluster = {s.cluster.workers, s.cluster.shards, s.cluster.replicas};
  j.checkpoint.every_batches = s.work.checkpoint_every;
  j.checkpoint.every_seconds = 0;
  return j;
}

outcome run_simulated(const scenario& s, std::uint64_t seed, const schedule& faults,
                      bool with_timeline) {
  outcome o;
  const auto before = probes_reached();
  try {
    simulated_run run(s, seed);
    try {
      run.carry_out(faults);
    } catch (const std::exception& e) {
      o.violations.push_back(crash(e.what()));
    }
    run.conclude(o, with_timeline);
  } catch (const std::exception& e) {
    o.violations.push_back(crash(e.what()));
  }
  o.probes = probes_reached();
  for (std::size_t i = 0; i < o.probes.size(); ++i) o.probes[i] -= before[i];
  return o;
}

} // namespace troupe::chaos
