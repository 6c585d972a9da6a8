#include "troupe/actors/assembly.hpp"

#include <chrono>
#include <map>

#include <nlohmann/json.hpp>

#include "troupe/actors/node.hpp"
#include "troupe/actors/system_config.hpp"

namespace troupe::actors {

namespace {

// Beyond the epochs, whose permutations are streams of the same seed.
constexpr std::uint64_t batch_time_streams = std::uint64_t{1} << 32;

// For messages.
std::string files_of(const data_spec& data) {
  if (data.type == data_spec::format::idx)
    return data.images.string() + ", " + data.labels.string();
  return data.file.string();
}

template <class Unit>
caf::timespan timespan_of(double length) {
  return std::chrono::duration_cast<caf::timespan>(
      std::chrono::duration<double, typename Unit::period>(length));
}

} // namespace

assembly::assembly(job j, workload w)
    : job_(std::move(j)), work_(std::move(w)), data_(work_.load_data()) {
  const auto model = work_.make_model();
  check_workload(job_, *model, *data_);
  identity_ = jobs::workload_identity(*model, *data_, files_of(job_.data));
  plan_ = scheduler::batch_plan{{data_->train.size(), job_.train.batch_size, job_.train.epochs}};
  ranges_ = scheduler::make_shard_ranges(model->parameter_layout().size(), job_.cluster.shards);
  orders_ = std::make_shared<tensor::epoch_orders>(plan_.samples(), job_.seed);
  work_.load_data = [data = data_] { return data; };
}

scheduler_actor_options assembly::for_scheduler(caf::actor_system& system,
                                                const scheduler_place& place) const {
  scheduler_actor_options o;
  o.work = job_;
  o.job_id = place.job_id;
  o.workload = identity_;
  o.plan = plan_;
  o.lease_timeout = timespan_of<std::chrono::seconds>(job_.train.lease_timeout_seconds);
  o.recorder = place.recorder;
  o.spawn_evaluator = [&system, a = *this](address_book peers) -> evaluator_actor {
    auto options = a.for_evaluator(std::move(peers));
    options.pools = pools_of(system);
    return system.spawn(evaluator, std::move(options));
  };
  if (!place.checkpoints.empty())
    o.spawn_archive = [&system, a = for_archive(place)](archive_client_actor client) {
      auto options = a;
      options.scheduler = std::move(client);
      options.pools = pools_of(system);
      return system.spawn(archive, std::move(options));
    };
  return o;
}

archive_options assembly::for_archive(const scheduler_place& place) const {
  archive_options a;
  a.folder = place.checkpoints;
  a.keep = job_.checkpoint.keep;
  a.job_id = place.job_id;
  a.batches_per_epoch = plan_.batches_per_epoch();
  a.epochs = plan_.epochs();
  a.workload = identity_;
  a.ranges = ranges_;
  a.files = place.files;
  a.recorder = place.recorder;
  return a;
}

evaluator_options assembly::for_evaluator(address_book peers) const {
  evaluator_options e;
  e.on_failure = [to = peers.scheduler()](std::string reason) {
    caf::anon_send(to, actor_failed{std::move(reason)});
  };
  e.peers = std::move(peers);
  e.ranges = ranges_;
  e.work = work_;
  e.data = data_;
  return e;
}

storage::run_journal::content assembly::for_journal(const std::string& job_id) const {
  storage::run_journal::content first;
  first.job_id = job_id;
  first.job = to_json(job_).dump();
  return first;
}

shard_core::options assembly::for_shard(std::uint32_t workers) const {
  return {plan_, job_.train.consistency, job_.train.optimizer, workers,
          job_.train.damps_staleness()};
}

tensor::aligned_vector<float> assembly::initial_parameters() const {
  auto model = work_.make_model();
  tensor::aligned_vector<float> initial(model->parameter_layout().size());
  model->initialize(job_.seed, initial);
  return initial;
}

worker_options assembly::for_worker(worker_id id) const {
  worker_options w;
  w.id = id;
  w.core = {plan_, job_.train.consistency, job_.train.optimizer, ranges_, {}};
  w.duplicate_push_every = job_.inject.duplicate_push_every;
  return w;
}

cpu_compute_options assembly::for_compute(worker_id id) const {
  const bool slow = job_.inject.slow_worker == static_cast<std::int64_t>(id.value);
  return {work_,
          data_,
          plan_,
          orders_,
          job_.seed,
          job_.train.damps_staleness(),
          slow ? job_.inject.slow_factor : 1.0,
          timespan_of<std::chrono::milliseconds>(job_.inject.batch_ms_low),
          timespan_of<std::chrono::milliseconds>(job_.inject.most_batch_ms()),
          batch_time_streams | id.value};
}

local_nodes::local_nodes(caf::actor_system& system, const assembly& a, const scheduler_actor& root,
                         const std::string& job_id,
                         const std::shared_ptr<history::recorder>& recorder) {
  const auto& cluster = a.the_job().cluster;
  const auto name_of = [](std::uint32_t i) { return "this process, part " + std::to_string(i); };
  // Complete before the first node begins. Addresses: handles would keep the nodes alive for ever.
  auto addresses = std::make_shared<std::map<std::string, caf::actor_addr>>();
  for (std::uint32_t i = 0; i < cluster.replicas; ++i) {
    node_actor_options n;
    n.scheduler = root;
    n.job_id = job_id;
    n.shards = cluster.shards;
    n.workers = i == 0 ? cluster.workers : 0;
    n.make_workload = [work = a.work()](const job&) { return work; };
    n.recorder = recorder;
    n.connect = [addresses](const contact& at) -> caf::expected<node_actor> {
      if (auto other = caf::actor_cast<node_actor>(addresses->at(at.host))) return other;
      return make_error(errc::unreachable, at.host + " has ended");
    };
    nodes_.push_back(system.spawn(node, std::move(n)));
    addresses->emplace(name_of(i), nodes_.back().address());
  }
  for (std::uint32_t i = 0; i < cluster.replicas; ++i)
    caf::anon_send(caf::actor_cast<node_impl_actor>(nodes_[i]), begin_node{{name_of(i), 0}});
}

} // namespace troupe::actors
