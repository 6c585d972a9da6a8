#include "troupe/chaos/simulated_run.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include "troupe/chaos/cluster.hpp"
#include "troupe/history/checker.hpp"

namespace troupe::chaos {

namespace {

using history::event_kind;

static_assert(invariants == history::rules + 2); // those that are looked at when the run has ended

constexpr std::size_t notices_told = 8;

constexpr invariant as_invariant(history::rule r) {
  return static_cast<invariant>(static_cast<std::size_t>(r) + 1);
}
static_assert(as_invariant(history::rule::exactly_once) == invariant::exactly_once);
static_assert(as_invariant(history::rule::checkpoints) == invariant::checkpoints);

std::string seconds(sim_time t) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f s", std::chrono::duration<double>(t).count());
  return text;
}

violation crash(const std::string& why) {
  return {"crash", {}, "the run did not end well: " + why, {}};
}

cluster_options options_of(const scenario& s, std::uint64_t seed) {
  cluster_options o;
  o.work = job_of(s, seed);
  o.seed = seed;
  for (const auto& group : s.cluster.nodes)
    o.nodes.insert(o.nodes.end(), group.count, {group.shards, group.workers});
  o.lease_timeout = s.work.lease_timeout;
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

  void judge(outcome& o) {
    o.virtual_time = cluster_->sim().now();
    o.steps = cluster_->sim().steps();
    o.fingerprint = cluster_->fingerprint();
    for (const auto& done : cluster_->done()) ++o.faults[static_cast<std::size_t>(done.what.kind)];
    check_end(o);
    check_history(o);
  }

  timeline picture() const;

 private:
  struct part {
    std::uint32_t process;
    std::shared_ptr<history::memory_recorder> recorder;
  };

  std::shared_ptr<history::recorder> recorder_for(const process& p) {
    auto name = p.name();
    if (p.incarnation() > 1) name += " (start " + std::to_string(p.incarnation()) + ")";
    auto recorder = std::make_shared<history::memory_recorder>(
        std::move(name), [this] { return cluster_ ? cluster_->sim().now().count() : 0; });
    parts_.push_back({p.number(), recorder});
    return recorder;
  }

  void add(outcome& o, invariant i, sim_time at, std::string what,
           std::vector<std::string> by) const {
    if (!scenario_.unchecked.contains(i))
      o.violations.push_back({std::string(name_of(i)), at, std::move(what), std::move(by)});
  }

  std::vector<timeline::notice> notices() const {
    std::vector<timeline::notice> result;
    for (const auto& e : cluster_->events())
      if (const auto* n = std::get_if<actors::notice_event>(&e.what))
        result.push_back({e.at, n->text});
      else if (const auto* f = std::get_if<actors::failed_event>(&e.what))
        result.push_back({e.at, "failed: " + f->reason});
      else if (std::holds_alternative<actors::finished_event>(e.what))
        result.push_back({e.at, "finished"});
    return result;
  }

  std::vector<std::string> last_notices() const {
    std::vector<std::string> lines;
    const auto all = notices();
    const auto first = all.size() > notices_told ? all.size() - notices_told : 0;
    for (auto i = first; i < all.size(); ++i)
      lines.push_back(seconds(all[i].at) + ": " + all[i].text);
    if (const auto status = cluster_->status()) lines.push_back("status: " + *status);
    return lines;
  }

  void check_end(outcome& o) const {
    const auto& result = cluster_->result();
    if (!result || result->outcome != actors::run_result::status::finished) {
      add(o, invariant::finishes, o.virtual_time,
          "expected the run to have finished by " + seconds(scenario_.quiet.finish_by) +
              (result ? ", found that it failed: " + result->error
                      : ", found that it has not ended"),
          last_notices());
      return;
    }
    const auto expected = expected_parameters(work_);
    const auto& found = result->parameters;
    const auto [a, b] = std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
    if (a != expected.end() || b != found.end())
      add(o, invariant::exact_parameters, o.virtual_time,
          "expected parameter " + std::to_string(a - expected.begin()) + " to be " +
              (a != expected.end() ? std::to_string(*a) : "none") + ", found " +
              (b != found.end() ? std::to_string(*b) : "none"),
          last_notices());
    const auto samples = std::uint64_t{scenario_.work.samples} * scenario_.work.epochs;
    if (result->summary && result->summary->samples != samples)
      add(o, invariant::exact_parameters, o.virtual_time,
          "expected " + std::to_string(samples) + " samples to be counted, found " +
              std::to_string(result->summary->samples),
          last_notices());
  }

  void check_history(outcome& o) const {
    std::vector<history::process_history> processes;
    for (const auto& p : parts_) processes.push_back(p.recorder->history());
    const auto report = history::check(processes, {.violations_kept = 3, .one_clock = true});
    for (std::size_t i = 0; i < history::rules; ++i) {
      const auto rule = static_cast<history::rule>(i + 1);
      o.judged[std::string(name_of(as_invariant(rule)))] += report.of(rule).judged;
    }
    for (const auto& v : report.violations) {
      const auto& events = processes.at(v.at.process).events;
      const auto at =
          v.at.index < events.size() ? sim_time(events[v.at.index].time_ns) : o.virtual_time;
      add(o, as_invariant(v.broken), at, v.what, v.by);
    }
  }

  const scenario& scenario_;
  actors::job work_;
  std::vector<part> parts_; // before the cluster, whose actors record until they are gone
  std::unique_ptr<cluster> cluster_;
};

timeline simulated_run::picture() const {
  timeline t;
  std::map<std::string, std::uint32_t> numbers;
  const auto end = cluster_->sim().now();
  for (const auto& p : cluster_->sim().processes()) {
    numbers[p->name()] = static_cast<std::uint32_t>(t.processes.size());
    t.processes.push_back(p->name());
  }
  for (const auto& done : cluster_->done()) {
    const bool ends =
        done.what.kind == fault_kind::kill || done.what.kind == fault_kind::power_loss;
    const bool for_good = ends && done.what.lasts.count() == 0;
    for (const auto& name : done.to)
      t.spans.push_back({numbers.at(name), done.what.kind, done.at,
                         for_good ? end : std::min(end, done.at + done.what.lasts),
                         to_string(done.what)});
  }
  t.notices = notices();

  std::map<std::uint32_t, std::uint32_t> process_of; // by the scheduler's number of a node
  for (const auto& p : parts_)
    for (const auto& e : p.recorder->history().events)
      if (e.what == event_kind::node_entered) process_of[e.node.value] = p.process;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::size_t> views;
  for (const auto& p : parts_)
    for (const auto& e : p.recorder->history().events) {
      if (e.what == event_kind::batch_finished)
        t.clocks.push_back({e.worker.value, e.clock, sim_time(e.time_ns)});
      if (e.what != event_kind::view_decided ||
          static_cast<history::role>(e.detail) == history::role::learner)
        continue;
      const auto [i, fresh] = views.try_emplace({e.shard.value, e.view}, t.views.size());
      if (fresh) t.views.push_back({e.shard.value, e.view, sim_time(e.time_ns), {}});
      if (const auto node = process_of.find(e.node.value); node != process_of.end())
        t.views[i->second].chain.push_back(node->second);
    }
  std::ranges::stable_sort(t.clocks, {}, &timeline::clock::at);
  // Of one process in its own order, which time does not contradict.
  std::vector<std::pair<std::int64_t, std::string>> lines;
  for (const auto& p : parts_)
    for (const auto& e : p.recorder->history().events)
      lines.emplace_back(e.time_ns, seconds(sim_time(e.time_ns)) + "  " +
                                        p.recorder->history().name + ": " + to_string(e));
  for (const auto& n : t.notices)
    lines.emplace_back(n.at.count(), seconds(n.at) + "  said: " + n.text);
  std::ranges::stable_sort(lines, {}, &std::pair<std::int64_t, std::string>::first);
  for (auto& line : lines) t.events.push_back(std::move(line.second));
  return t;
}

} // namespace

actors::job job_of(const scenario& s, std::uint64_t seed) {
  actors::job j;
  j.name = s.name;
  j.seed = seed;
  j.model.type = actors::model_spec::kind::integer_sum;
  j.model.parameters = s.work.parameters;
  j.data.type = actors::data_spec::format::integers;
  j.data.samples = s.work.samples;
  j.data.held_out = 0;
  j.train.epochs = s.work.epochs;
  j.train.batch_size = s.work.batch_size;
  j.train.consistency = s.mode_of(seed);
  j.train.optimizer.learning_rate = 1;
  j.cluster = {s.cluster.workers, s.cluster.shards, s.cluster.replicas};
  j.checkpoint.every_batches = s.work.checkpoint_every;
  j.checkpoint.every_seconds = 0;
  return j;
}

outcome run_simulated(const scenario& s, std::uint64_t seed, const schedule& faults,
                      bool with_timeline) {
  outcome o;
  const auto before = scheduler::probes_reached();
  try {
    simulated_run run(s, seed);
    try {
      run.carry_out(faults);
    } catch (const std::exception& e) {
      o.violations.push_back(crash(e.what()));
    }
    run.judge(o);
    if (with_timeline) o.seen = run.picture();
  } catch (const std::exception& e) {
    o.violations.push_back(crash(e.what()));
  }
  o.probes = scheduler::probes_reached();
  for (std::size_t i = 0; i < o.probes.size(); ++i) o.probes[i] -= before[i];
  return o;
}

} // namespace troupe::chaos
