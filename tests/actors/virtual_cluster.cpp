#include "virtual_cluster.hpp"

#include <algorithm>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "troupe/history_file.hpp"
#include "troupe/tensor/integer_sum.hpp"

namespace troupe::actors {

using namespace storage;

struct virtual_cluster::testing_config : system_config {
  testing_config() : system_config(false) { set("scheduler.policy", caf::atom("testing")); }
};

virtual_cluster::virtual_cluster(options o)
    : options_(std::move(o)), config_(std::make_unique<testing_config>()),
      system_(std::make_unique<caf::actor_system>(*config_)),
      coordinator_(&dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler())),
      random_(options_.seed) {
  const auto& j = options_.work;
  begun_ = coordinator_->clock().now();
  if (!options_.folder.empty()) {
    run_journal::content first;
    first.job_id = "test";
    first.job = to_json(j).dump();
    auto file = options_.folder / "journal.db";
    std::filesystem::remove(file);
    journal_ = std::make_shared<run_journal>(run_journal::create(file, first));
  }
  spawn_root(options_.resume);
  if (options_.nodes.empty()) options_.nodes = {{j.cluster.shards, j.cluster.workers}};
  for (auto [shards, workers] : options_.nodes) add_node(shards, workers);
}

void virtual_cluster::spawn_root(bool resume) {
  const auto& j = options_.work;
  auto work = make_workload(j);
  auto data = work.load_data();
  auto model = work.make_model();
  scheduler::batch_plan plan{{data->train.size(), j.train.batch_size, j.train.epochs}};
  auto ranges = scheduler::make_shard_ranges(model->parameter_layout().size(), j.cluster.shards);
  scheduler_actor_options s;
  s.work = j;
  s.job_id = "test";
  s.plan = plan;
  s.has_ended = [this](const contact& at) { return killed_.contains(at.port - 1u); };
  s.emit = [this](const event& e) { events_.push_back(e); };
  s.on_end = [this](run_result r) { result_ = std::move(r); };
  s.lease_timeout = options_.lease_timeout;
  s.journal = journal_;
  s.recorder = new_recorder("scheduler " + std::to_string(recorders_.size()));
  s.resume = resume;
  if (!options_.folder.empty())
    s.spawn_archive = [this, plan, ranges, recorder = s.recorder](archive_client_actor client) {
      return system_->spawn(archive,
                            archive_options{options_.folder / "checkpoints", 2, "test",
                                            plan.batches_per_epoch(), plan.epochs(), ranges,
                                            std::move(client), real_files(), recorder});
    };
  s.spawn_evaluator = [this, work, data, ranges](address_book peers) -> evaluator_actor {
    return system_->spawn(evaluator,
                          evaluator_options{std::move(peers), ranges, work, data,
                                            std::chrono::seconds(10), [](std::string) {}});
  };
  auto first_id = system_->latest_actor_id();
  root_ = system_->spawn(scheduler_root, std::move(s));
  root_lives_ = true;
  own(0, first_id);
}

std::size_t virtual_cluster::add_node(std::uint32_t shards, std::uint32_t workers) {
  auto time_of = options_.batch_time ? options_.batch_time : [](worker_id) -> caf::timespan {
    return std::chrono::milliseconds(10);
  };
  auto i = nodes_.size();
  node_actor_options n;
  n.scheduler = root_;
  n.shards = shards;
  n.workers = workers;
  n.make_workload = make_workload;
  n.connect = [this](const contact& at) -> caf::expected<node_actor> {
    auto node = at.port - 1u;
    if (killed_.contains(node)) return make_error(errc::unreachable, "killed");
    return node_actor{nodes_.at(node)};
  };
  if (journal_)
    n.reconnect = [this]() -> caf::expected<scheduler_actor> {
      if (!root_lives_) return make_error(errc::unreachable, "killed");
      return scheduler_actor{root_};
    };
  n.spawn_compute = [time_of](caf::actor_system& system, worker_id id, cpu_compute_options c) {
    c.takes = [takes = time_of(id)] { return takes; };
    return compute_actor{system.spawn(cpu_compute, std::move(c))};
  };
  n.recorder = new_recorder("node process " + std::to_string(i));
  ends_.emplace_back();
  n.on_end = [this, i](node_result r) { ends_[i] = std::move(r); };
  auto first_id = system_->latest_actor_id();
  nodes_.push_back(system_->spawn(node, std::move(n)));
  own(process_of(i), first_id);
  caf::anon_send(nodes_.back(), begin_node{{"node", static_cast<std::uint16_t>(i + 1)}});
  return i;
}

std::shared_ptr<history::recorder> virtual_cluster::new_recorder(std::string name) {
  recorders_.push_back(std::make_shared<history::memory_recorder>(
      std::move(name), [this] { return static_cast<std::int64_t>(now().count()); }));
  return recorders_.back();
}

std::vector<history::process_history> virtual_cluster::histories() const {
  std::vector<history::process_history> all;
  for (const auto& r : recorders_) all.push_back(r->history());
  return all;
}

void virtual_cluster::kill_root() {
  root_lives_ = false;
  caf::anon_send_exit(root_, caf::exit_reason::kill);
}

void virtual_cluster::restart_root() { spawn_root(false); }

virtual_cluster::~virtual_cluster() {
  for (const auto& n : nodes_) caf::anon_send_exit(n, caf::exit_reason::kill);
  caf::anon_send_exit(root_, caf::exit_reason::kill);
  nodes_.clear();
  root_ = nullptr;
  while (coordinator_->try_run_once()) {
  }
}

void virtual_cluster::own(process p, caf::actor_id from) {
  for (auto id = from + 1; id <= system_->latest_actor_id(); ++id) owners_[id] = p;
}

virtual_cluster::process virtual_cluster::owner_of(const caf::resumable* job) const {
  auto* actor = dynamic_cast<const caf::scheduled_actor*>(job);
  auto i = actor != nullptr ? owners_.find(actor->id()) : owners_.end();
  return i != owners_.end() ? i->second : 0;
}

bool virtual_cluster::step() {
  auto& jobs = coordinator_->jobs;
  // Those of stopped processes wait at the end.
  auto runnable =
      std::stable_partition(jobs.begin(), jobs.end(),
                            [this](const auto* job) { return !stopped_.contains(owner_of(job)); }) -
      jobs.begin();
  if (runnable == 0) return coordinator_->trigger_timeout();
  auto chosen = static_cast<std::ptrdiff_t>(random_() % static_cast<std::uint64_t>(runnable));
  std::rotate(jobs.begin(), jobs.begin() + chosen, jobs.begin() + chosen + 1);
  auto owner = owner_of(jobs.front());
  auto first_id = system_->latest_actor_id();
  coordinator_->run_once();
  own(owner, first_id);
  return true;
}

bool virtual_cluster::run(const std::function<bool()>& condition, std::size_t max_steps) {
  for (std::size_t i = 0; i < max_steps && !result_; ++i) {
    if (condition && condition()) return false;
    if (!step()) return false;
  }
  return result_.has_value();
}

caf::timespan virtual_cluster::now() const { return coordinator_->clock().now() - begun_; }

void virtual_cluster::kill(std::size_t node) {
  killed_.insert(node);
  caf::anon_send_exit(nodes_.at(node), caf::exit_reason::kill);
}

history::report virtual_cluster::check() const {
  auto all = histories();
  auto r = history::check(all);
  // What was wrong can be looked at with troupe check.
  if (const char* file = std::getenv("TROUPE_DUMP"); file && r.total_violations() > 0)
    history::write_history(file, all);
  return r;
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

std::vector<float> expected_parameters(const job& j, std::size_t samples, float scale) {
  auto sums = tensor::expected_sum(j.model.parameters, samples);
  std::vector<float> result;
  for (auto sum : sums)
    result.push_back(static_cast<float>(-sum * j.train.epochs * static_cast<double>(scale)));
  return result;
}

job integer_job(scheduler::consistency mode) {
  job j;
  j.name = "integers";
  j.model.type = model_spec::kind::integer_sum;
  j.model.parameters = 100;
  j.data.type = data_spec::format::integers;
  j.data.samples = 320;
  j.data.held_out = 0;
  j.train.epochs = 3;
  j.train.batch_size = 10; // 32 batches an epoch
  j.train.consistency = mode;
  j.train.optimizer.learning_rate = 1;
  j.cluster = {4, 3};
  return j;
}

} // namespace troupe::actors
