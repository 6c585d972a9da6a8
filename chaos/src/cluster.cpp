// The processes of a simulated cluster, and how they are started.
#include "troupe/chaos/cluster.hpp"

#include <algorithm>
#include <atomic>

#include <unistd.h>

#include "troupe/actors/system_config.hpp"

namespace troupe::chaos {

namespace fs = std::filesystem;
using actors::contact;

namespace {

constexpr sim_time join_pause = std::chrono::milliseconds(200);
constexpr sim_time join_timeout = std::chrono::seconds(10);
constexpr sim_time exit_time = std::chrono::milliseconds(1);
// Of the launcher, for node processes that ended badly.
constexpr sim_time first_restart_pause = std::chrono::milliseconds(50);
constexpr sim_time last_restart_pause = std::chrono::seconds(1);

const char* const job_id = "chaos";
constexpr std::uint64_t disk_stream = 1ull << 32; // beyond those of the processes

simulation_options simulation_options_of(const cluster_options& o) {
  simulation_options s;
  s.seed = o.seed;
  s.configure = [] { return std::make_unique<actors::system_config>(false); };
  s.datagram = actors::is_sent_again;
  s.trace = o.trace;
  return s;
}

fs::path make_own_folder() {
  static std::atomic<std::uint64_t> count = 0; // simulations may run in several threads
  std::error_code none;
  const fs::path memory = "/dev/shm";
  const auto base = fs::is_directory(memory, none) ? memory : fs::temp_directory_path();
  auto folder =
      base / ("troupe-chaos-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

caf::error unreachable(const char* why) {
  return make_error(actors::errc::unreachable, std::string(why));
}

} // namespace

cluster::cluster(cluster_options o)
    : options_(std::move(o)), folder_(options_.folder), sim_(simulation_options_of(options_)),
      assembly_(options_.work, make_workload(options_.work)) {
  if (folder_.empty()) {
    folder_ = make_own_folder();
    own_folder_ = true;
  }
  disk_ = std::make_shared<simulated_disk>(options_.seed, disk_stream,
                                           [this](sim_time length) { sim_.busy(length); });
  scheduler_ = &sim_.add_process("scheduler");
  start_scheduler(beginning::fresh);
  for (auto share : std::exchange(options_.nodes, {})) add_node(share);
}

cluster::~cluster() {
  // Handles go before the systems of their actors.
  root_ = nullptr;
  for (auto& n : nodes_) n.actor = nullptr;
  for (const auto& p : sim_.processes()) sim_.kill(*p);
  sim_.run_until([] { return true; }, sim_time::max());
  journal_ = nullptr;
  std::error_code ignored;
  if (own_folder_) fs::remove_all(folder_, ignored);
}

// -- the scheduler --------------------------------------------------------------------------------

void cluster::start_scheduler(beginning from) {
  const auto file = folder_ / "journal.db";
  if (from != beginning::journal) {
    fs::remove(file);
    if (from == beginning::fresh) // on the simulated disk
      checkpoints_folder_ = "/run-" + std::to_string(resumed_) + "/checkpoints";
    auto first = assembly_.for_journal(job_id);
    first.next_node = last_journal_.next_node; // of the run so far: no number is given twice
    first.next_worker = last_journal_.next_worker;
    journal_ = std::make_shared<storage::run_journal>(storage::run_journal::create(file, first));
  } else {
    journal_ = std::make_shared<storage::run_journal>(storage::run_journal::open(file));
  }
  auto& system = scheduler_->system();
  auto s = assembly_.for_scheduler(
      system, {.job_id = job_id,
               .checkpoints = checkpoints_folder_,
               .files = disk_,
               .recorder = options_.recorder ? options_.recorder(*scheduler_) : nullptr});
  s.has_ended = [this](const contact& at) {
    auto* n = node_at(at);
    return n == nullptr || !n->where->alive();
  };
  s.emit = [this](const event& e) {
    if (!scheduler_->alive()) return;
    if (std::holds_alternative<progress_event>(e)) started_ = true;
    events_.push_back({sim_.now(), e});
  };
  s.on_result = [this](const run_result& r) {
    // Saved: a scheduler that is killed now has done its work.
    if (scheduler_->alive() && !goes_on_after(r)) result_ = r;
  };
  s.on_end = [this](run_result r) {
    if (scheduler_->alive()) on_end(std::move(r));
  };
  s.journal = journal_;
  s.resume = from == beginning::checkpoint;
  s.status = status_ = std::make_shared<std::function<actors::status_report()>>();
  root_ = system.spawn(actors::scheduler_root, std::move(s));
}

bool cluster::all_checkpoints_damaged(const run_result& r) const {
  return resumed_ > 0 && disk_faults_until_.contains(disk_fault::flipped_bit) &&
         r.error.starts_with("there is no complete checkpoint");
}

// A run that was asked to stop just before its last epoch was evaluated may finish. If all its
// checkpoints are damaged, whoever resumed the run begins a new one.
bool cluster::goes_on_after(const run_result& r) const {
  if (r.outcome == run_result::status::finished) return false;
  return resume_after_ || all_checkpoints_damaged(r);
}

void cluster::on_end(run_result r) {
  if (!goes_on_after(r)) {
    result_ = std::move(r);
    return;
  }
  give_up_checkpoints_ = all_checkpoints_damaged(r);
  const auto after = std::exchange(resume_after_, std::nullopt).value_or(exit_time);
  sim_.schedule_at(sim_.now() + exit_time, [this] {
    end(*scheduler_, false, {});
    for (auto& n : nodes_) end(*n.where, false, {}); // as the launcher does at the end
  });
  sim_.schedule_at(sim_.now() + exit_time + std::max(after, exit_time), [this] { resume(); });
}

void cluster::resume() {
  if (scheduler_->alive() || result_) return;
  ++resumed_;
  sim_.restart(*scheduler_, nullptr);
  start_scheduler(std::exchange(give_up_checkpoints_, false) ? beginning::fresh
                                                             : beginning::checkpoint);
  for (const auto& n : nodes_) start_again(*n.where);
}

void cluster::remember_journal() {
  if (journal_) last_journal_ = journal_->read();
  journal_ = nullptr;
  root_ = nullptr;
}

std::vector<scheduler::shard_view> cluster::views() const {
  return journal_ ? journal_->read().views : last_journal_.views;
}

std::optional<std::string> cluster::status() const {
  if (!scheduler_->alive() || !*status_) return std::nullopt;
  return (*status_)().json;
}

// -- the nodes ------------------------------------------------------------------------------------

std::size_t cluster::add_node(cluster_options::node_share share) {
  const auto i = nodes_.size();
  node n;
  n.share = share;
  n.where = &sim_.add_process("node " + std::to_string(i));
  nodes_.push_back(std::move(n));
  start_node(i);
  return i;
}

void cluster::start_node(std::size_t i) {
  auto& n = nodes_[i];
  n.port = next_port_++;
  n.asked_to_end = false;
  try_to_join(i, n.where->incarnation(), sim_.now() + join_timeout);
}

// As run_node does: the scheduler may come a moment later.
void cluster::try_to_join(std::size_t i, std::uint32_t incarnation, sim_time until) {
  auto& p = *nodes_[i].where;
  if (!p.alive() || p.incarnation() != incarnation) return;
  if (!p.paused() && root_ && scheduler_->alive()) {
    if (auto root = sim_.connect(p, actors::scheduler_actor{root_})) {
      spawn_node(i, *root);
      return;
    }
  }
  if (sim_.now() >= until) {
    on_node_end(i, incarnation, {node_result::status::failed, "cannot join the scheduler"});
    return;
  }
  sim_.schedule_at(sim_.now() + join_pause,
                   [this, i, incarnation, until] { try_to_join(i, incarnation, until); });
}

void cluster::spawn_node(std::size_t i, actors::scheduler_actor root) {
  auto& slot = nodes_[i];
  auto& p = *slot.where;
  actors::node_actor_options n;
  n.scheduler = std::move(root);
  n.job_id = job_id;
  n.shards = slot.share.shards;
  n.workers = slot.share.workers;
  n.make_workload = [work = assembly_.work()](const job&) { return work; };
  n.connect = [this, &p](const contact& at) -> caf::expected<actors::node_actor> {
    auto* other = node_at(at);
    if (other == nullptr || !other->actor) return unreachable("connection refused");
    return sim_.connect(p, actors::node_actor{other->actor});
  };
  n.reconnect = [this, &p]() -> caf::expected<actors::scheduler_actor> {
    if (!root_ || !scheduler_->alive()) return unreachable("connection refused");
    return sim_.connect(p, actors::scheduler_actor{root_});
  };
  n.spawn_compute = [this, &p](caf::actor_system& system, actors::worker_id id,
                               actors::cpu_compute_options c) {
    c.takes = [this, &p, id]() -> caf::timespan {
      if (options_.batch_time_of) return options_.batch_time_of(id);
      if (options_.batch_jitter.count() <= 0) return options_.batch_time;
      const auto jitter = static_cast<std::uint64_t>(options_.batch_jitter.count());
      return options_.batch_time + sim_time(p.random().below(jitter));
    };
    return actors::compute_actor{system.spawn(actors::cpu_compute, std::move(c))};
  };
  if (options_.recorder) n.recorder = options_.recorder(p);
  n.on_end = [this, i, &p, incarnation = p.incarnation()](node_result r) {
    // The process ends when its actors have: by then its last messages are out.
    if (!p.alive()) return;
    sim_.schedule_at(sim_.now() + exit_time,
                     [this, i, incarnation, r] { on_node_end(i, incarnation, r); });
  };
  slot.actor = p.system().spawn(actors::node, std::move(n));
  caf::anon_send(slot.actor, actors::begin_node{{"node", slot.port}});
}

cluster::node* cluster::node_at(const contact& at) {
  auto i = std::ranges::find(nodes_, at.port, &node::port);
  return i != nodes_.end() ? &*i : nullptr;
}

// As the launcher does (LAUNCH-5), but that it never gives up.
void cluster::on_node_end(std::size_t i, std::uint32_t incarnation, const node_result& r) {
  auto& n = nodes_[i];
  if (!n.where->alive() || n.where->incarnation() != incarnation) return;
  n.actor = nullptr;
  n.end = r;
  sim_.kill(*n.where);
  if (result_) return;
  if (r.outcome == node_result::status::finished || n.asked_to_end) { // drained, or as it was asked
    if (n.back_after_drain.count() > 0)
      sim_.schedule_at(sim_.now() + n.back_after_drain,
                       [this, i] { start_again(*nodes_[i].where); });
    return;
  }
  const auto pause =
      std::min(last_restart_pause, first_restart_pause * (1 << std::min(n.failures++, 10u)));
  sim_.schedule_at(sim_.now() + pause, [this, i] { start_again(*nodes_[i].where); });
}

// -- running --------------------------------------------------------------------------------------

bool cluster::run(sim_time limit) { return run_until(nullptr, limit); }

bool cluster::run_until(const std::function<bool()>& condition, sim_time limit) {
  sim_.run_until([&] { return result_ || (condition && condition()); }, limit);
  return result_.has_value();
}

// -- jobs with one right result -------------------------------------------------------------------

job integer_job(scheduler::consistency mode) {
  job j;
  j.name = "integers";
  j.model.type = model_spec::kind::integer_sum;
  j.model.parameters = 100;
  j.data.type = data_spec::format::integers;
  j.data.samples = 200;
  j.data.held_out = 0;
  j.train.epochs = 3;
  j.train.batch_size = 10; // 20 batches an epoch
  j.train.consistency = mode;
  j.train.optimizer.learning_rate = 1;
  j.cluster = {4, 3, 2};
  return j;
}

} // namespace troupe::chaos
