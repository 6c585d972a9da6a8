#include "troupe/actors/assembly.hpp"

#include <bit>
#include <map>
#include <set>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace troupe::actors {

using nlohmann::json;

namespace {

/// Everything that actors of a cluster are given of a job, by actor and option.
std::map<std::string, std::string> options_of(const job& j) {
  const assembly a{j, make_workload(j)};
  caf::actor_system_config config;
  caf::actor_system system{config};
  std::map<std::string, std::string> result;
  const auto plan = [&](const std::string& of, const scheduler::batch_plan& p) {
    result[of + ".plan"] = std::to_string(p.samples()) + " samples, " + std::to_string(p.epochs()) +
                           " x " + std::to_string(p.batch_size());
  };
  const auto ranges = [&](const std::string& of, const std::vector<scheduler::shard_range>& all) {
    for (const auto& r : all) result[of + ".ranges"] += std::to_string(r.size) + " ";
  };
  const auto optimizer = [&](const std::string& of, const tensor::sgd_options& o) {
    result[of + ".optimizer"] = std::to_string(o.learning_rate) + " " + std::to_string(o.momentum) +
                                " " + std::to_string(o.nesterov) + " " +
                                std::to_string(o.weight_decay);
  };
  const scheduler_place place{.job_id = "x", .checkpoints = "/checkpoints"};
  const auto s = a.for_scheduler(system, place);
  result["scheduler.work"] = to_json(s.work).dump();
  result["scheduler.lease_timeout"] = std::to_string(s.lease_timeout.count());
  plan("scheduler", s.plan);
  const auto archive = a.for_archive(place);
  result["archive.keep"] = std::to_string(archive.keep);
  result["archive.epochs"] = std::to_string(archive.epochs);
  result["archive.batches"] = std::to_string(archive.batches_per_epoch);
  ranges("archive", archive.ranges);
  const auto evaluator = a.for_evaluator({});
  result["evaluator.held out"] = std::to_string(evaluator.data->held_out.size());
  ranges("evaluator", evaluator.ranges);
  result["journal.job"] = a.for_journal("x").job;
  const auto shard = a.for_shard(3);
  result["shard.mode"] = to_string(shard.mode);
  result["shard.damping"] = std::to_string(shard.staleness_damping);
  plan("shard", shard.plan);
  optimizer("shard", shard.optimizer);
  for (auto x : a.initial_parameters())
    result["shard.initial"] += std::to_string(std::bit_cast<std::uint32_t>(x)) + " ";
  const auto worker = a.for_worker(worker_id{1});
  result["worker.mode"] = to_string(worker.core.mode);
  result["worker.duplicates"] = std::to_string(worker.duplicate_push_every);
  plan("worker", worker.core.plan);
  ranges("worker", worker.core.ranges);
  optimizer("worker", worker.core.optimizer);
  const auto compute = a.for_compute(worker_id{1});
  result["compute.seed"] = std::to_string(compute.seed);
  result["compute.damping"] = std::to_string(compute.staleness_damping);
  result["compute.slow"] = std::to_string(compute.slow_factor);
  result["compute.longer"] = std::to_string(compute.longer_low.count()) + " to " +
                             std::to_string(compute.longer_high.count());
  plan("compute", compute.plan);
  return result;
}

/// The options that are not the same, without those that hold the job as a whole.
std::set<std::string> changed(const job& from, const job& to) {
  const auto before = options_of(from);
  std::set<std::string> result;
  for (const auto& [name, value] : options_of(to))
    if (before.at(name) != value && name != "scheduler.work" && name != "journal.job")
      result.insert(name);
  return result;
}

job small_job() {
  job j;
  j.model.layers = {{tensor::layer_spec::kind::dense, 10}};
  j.data.samples = 100;
  j.train.batch_size = 10;
  j.cluster = {2, 2, 2};
  return j;
}

using names = std::set<std::string>;
const names in_all_plans{"scheduler.plan", "shard.plan", "worker.plan", "compute.plan"};

names with(names more) {
  more.insert(in_all_plans.begin(), in_all_plans.end());
  return more;
}

/// A key of a job with a value other than in `small_job`, and the options that it acts in.
struct acting_key {
  std::string key;
  std::function<void(job&)> change;
  names in;
};

const std::vector<acting_key> acting{
    {"seed", [](job& j) { j.seed = 7; }, {"compute.seed", "shard.initial"}},
    {"train.epochs", [](job& j) { j.train.epochs = 3; }, with({"archive.epochs"})},
    {"train.batch_size", [](job& j) { j.train.batch_size = 5; }, with({"archive.batches"})},
    {"train.consistency",
     [](job& j) { j.train.consistency = scheduler::consistency::ssp(5); },
     {"shard.mode", "worker.mode"}},
    {"train.optimizer",
     [](job& j) { j.train.optimizer = {.learning_rate = 0.5f}; },
     {"shard.optimizer", "worker.optimizer"}},
    {"train.staleness_damping",
     [](job& j) { j.train.staleness_damping = true; },
     {"shard.damping", "compute.damping"}},
    {"train.lease_timeout_seconds",
     [](job& j) { j.train.lease_timeout_seconds = 1.5; },
     {"scheduler.lease_timeout"}},
    {"cluster.shards",
     [](job& j) { j.cluster.shards = 3; },
     {"archive.ranges", "evaluator.ranges", "worker.ranges"}},
    {"checkpoint.keep", [](job& j) { j.checkpoint.keep = 5; }, {"archive.keep"}},
    {"data.held_out", [](job& j) { j.data.held_out = 0.5; },
     with({"evaluator.held out", "archive.batches"})},
    {"inject.duplicate_push_every",
     [](job& j) { j.inject.duplicate_push_every = 3; },
     {"worker.duplicates"}},
    {"inject.batch_ms_low", [](job& j) { j.inject.batch_ms_low = 3; }, {"compute.longer"}},
    {"inject.batch_ms_high", [](job& j) { j.inject.batch_ms_high = 3; }, {"compute.longer"}}};

} // namespace

TEST_CASE("ASSEMBLY-1: each key of a job that acts in an actor reaches the actor's options") {
  for (const auto& key : acting) {
    INFO(key.key);
    auto other = small_job();
    key.change(other);
    CHECK(changed(small_job(), other) == key.in);
  }
  SECTION("the factor of a slow worker acts in that worker alone") {
    auto slow = small_job();
    slow.inject.slow_factor = 4;
    slow.inject.slow_worker = 1;
    CHECK(changed(small_job(), slow) == names{"compute.slow"});
    slow.inject.slow_worker = 0;
    CHECK(changed(small_job(), slow) == names{});
  }
}

TEST_CASE("ASSEMBLY-1: whether a key acts in an actor's options is known of every key of a job") {
  names known{// Above, as one.
              "inject.slow_factor", "inject.slow_worker",
              // Of train.consistency, below.
              "train.staleness", "train.batches_per_step",
              // Of the workload.
              "model", "data.format", "data.samples", "train.precision",
              // The scheduler has the job as a whole, and asks these of it.
              "name", "cluster.workers", "cluster.replicas", "checkpoint.every_batches",
              "checkpoint.every_seconds",
              // Of a process and its connections.
              "cluster.shared_memory", "cluster.bulk_connections", "cluster.stall_limit_seconds"};
  for (const auto& key : acting) known.insert(key.key);
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(2),
                           scheduler::consistency::bsp(2)}) {
    auto j = small_job();
    j.train.consistency = mode;
    const auto all = to_json(j);
    for (const auto& [table, values] : all.items()) {
      if (known.contains(table)) continue;
      REQUIRE(values.is_object());
      for (const auto& [key, value] : values.items()) {
        INFO(table << "." << key << " is in neither list of this test");
        CHECK(known.contains(table + "." + key));
      }
    }
  }
}

TEST_CASE("ASSEMBLY-2: what a job does not decide is left as it is") {
  const auto j = small_job();
  const assembly a{j, make_workload(j)};
  caf::actor_system_config config;
  caf::actor_system system{config};
  const auto o = a.for_scheduler(system, {.job_id = "x"});
  const scheduler_actor_options unset;
  CHECK(o.job_id == "x");
  CHECK(o.spawn_evaluator);
  CHECK_FALSE(o.spawn_archive); // without a place for checkpoints
  CHECK_FALSE(o.has_ended);
  CHECK_FALSE(o.journal);
  CHECK_FALSE(o.on_end);
  CHECK(o.gather_timeout == unset.gather_timeout);
}

} // namespace troupe::actors
