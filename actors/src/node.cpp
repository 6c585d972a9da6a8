#include "troupe/actors/node.hpp"

#include <nlohmann/json.hpp>

#include "troupe/actors/pulse.hpp"
#include "troupe/actors/shard.hpp"
#include "troupe/actors/worker.hpp"

namespace troupe::actors {

namespace {

// Between two live processes an answer takes milliseconds; a model of gigabytes takes a while to
// set up.
constexpr auto hello_timeout = std::chrono::seconds(10);
constexpr auto find_timeout = std::chrono::seconds(30);

} // namespace

void node_state::start(node_actor_options o) {
  options = std::move(o);
  self->set_down_handler([this](caf::down_msg& d) { on_down(d); });
  // Children are linked: they die with the node, and the node hears of their end.
  self->set_exit_handler([this](caf::exit_msg& e) { on_exit(e); });
  self->set_exception_handler([this](std::exception_ptr& e) {
    auto err = report_exception("the node", e, nullptr);
    fail(reason_of(err));
    return err;
  });
  self->monitor(options.scheduler);
}

void node_state::on_begin(const begin_node& b) {
  hello h{protocol_version, options.job_id,  b.at,
          options.shards,   options.workers, node_actor{self}};
  self->request(options.scheduler, hello_timeout, h)
      .then([this](const welcome& w) { on_welcome(w); },
            [this](const caf::error& err) {
              end(node_result::status::failed,
                  "the scheduler refused this node: " + reason_of(err));
            });
}

void node_state::on_welcome(const welcome& w) {
  start_pulse(w.node);
  try {
    job_id_ = w.job_id;
    job_ = job_from_json(nlohmann::json::parse(w.job));
    work_ = options.make_workload(job_);
    data_ = work_.load_data();
    auto model = work_.make_model();
    check_workload(job_, *model, *data_);
    plan_.emplace(scheduler::batch_plan::options{data_->train.size(), job_.train.batch_size,
                                                 job_.train.epochs});
    ranges_ = scheduler::make_shard_ranges(model->parameter_layout().size(), job_.cluster.shards);
    welcomed_ = true;
  } catch (const std::exception& e) {
    fail(e.what());
  }
}

void node_state::start_pulse(node_id id) {
  pulse_options p;
  p.node = id;
  p.scheduler = options.scheduler;
  p.end_node = [address = self->address()](std::string reason) {
    if (auto node = caf::actor_cast<caf::actor>(address))
      caf::anon_send(node, stop_node{std::move(reason)});
  };
  adopt(self->spawn<caf::linked>(pulse, std::move(p)), "the heartbeat of " + to_string(id));
}

void node_state::fail(const std::string& reason) {
  self->send(options.scheduler, actor_failed{reason});
  end(node_result::status::failed, reason);
}

std::function<void(std::string)> node_state::failure_reporter() {
  // A weak handle: a child must not keep its node alive.
  return [address = self->address()](std::string reason) {
    if (auto node = caf::actor_cast<caf::actor>(address))
      caf::anon_send(node, actor_failed{std::move(reason)});
  };
}

caf::result<shards_placed> node_state::on_place_shards(const place_shards& p) {
  if (!welcomed_) return make_error(errc::cannot_place, "the node has not been welcomed yet");
  auto model = work_.make_model();
  tensor::aligned_vector<float> initial(model->parameter_layout().size());
  model->initialize(job_.seed, initial);
  shards_placed placed;
  for (auto id : p.shards) {
    if (id.value >= ranges_.size())
      return make_error(errc::cannot_place, to_string(id) + " is not of this job");
    const auto& range = ranges_[id.value];
    shard_core::options core{*plan_, job_.train.consistency, job_.train.optimizer, p.workers,
                             job_.train.staleness_damping};
    auto& held = shards_[id];
    held.core = std::make_shared<shard_core>(
        core, std::span<const float>{initial}.subspan(range.first, range.size));
    held.actor = self->spawn<caf::linked>(
        shard, shard_options{id, failure_reporter(), options.observer}, held.core);
    adopt(held.actor, to_string(id));
    placed.shards.push_back(held.actor);
  }
  return placed;
}

caf::result<workers_placed> node_state::on_place_workers(const place_workers& p) {
  if (!welcomed_) return make_error(errc::cannot_place, "the node has not been welcomed yet");
  auto state = std::make_shared<placing>();
  state->request = p;
  state->promise = self->make_response_promise<workers_placed>();
  state->shards.resize(p.shards.size());
  std::map<std::pair<std::string, std::uint16_t>, node_actor> nodes;
  for (std::uint32_t s = 0; s < p.shards.size(); ++s) {
    shard_id id{s};
    if (auto own = shards_.find(id); own != shards_.end()) {
      found(state, id, own->second.actor);
      continue;
    }
    const auto& at = p.shards[s];
    auto& node = nodes[{at.host, at.port}];
    if (!node) {
      if (!options.connect) {
        refuse(state, to_string(id) + " is not in this process");
        break;
      }
      auto reached = options.connect(at);
      if (!reached) {
        refuse(state,
               "cannot reach the node of " + to_string(id) + ": " + reason_of(reached.error()));
        break;
      }
      node = *reached;
    }
    look_up(state, id, node);
  }
  return state->promise;
}

void node_state::look_up(const std::shared_ptr<placing>& p, shard_id id, const node_actor& at) {
  self->request(at, find_timeout, find_shard{protocol_version, job_id_, id})
      .then([this, p, id](const shard_found& f) { found(p, id, f.shard); },
            [this, p, id](const caf::error& err) {
              refuse(p, to_string(id) + " was not found: " + reason_of(err));
            });
}

void node_state::refuse(const std::shared_ptr<placing>& p, const std::string& reason) {
  if (!std::exchange(p->failed, true)) p->promise.deliver(make_error(errc::cannot_place, reason));
}

void node_state::found(const std::shared_ptr<placing>& p, shard_id id, const shard_actor& shard) {
  p->shards[id.value] = shard;
  if (++p->found < p->shards.size() || p->failed) return;
  address_book peers{options.scheduler, p->shards};
  workers_placed placed;
  for (auto worker : p->request.workers) placed.workers.push_back(spawn_worker(worker, peers));
  p->promise.deliver(std::move(placed));
}

worker_actor node_state::spawn_worker(worker_id id, const address_book& peers) {
  worker_options w;
  w.id = id;
  w.peers = peers;
  w.core = {*plan_, job_.train.consistency, job_.train.optimizer, ranges_, {}};
  for (std::uint32_t s = 0; s < ranges_.size(); ++s) {
    auto own = shards_.find(shard_id{s});
    if (own != shards_.end() && own->second.core->shared())
      w.shared.push_back({shard_id{s}, ranges_[s], own->second.core->shared()});
    else
      w.core.remote.insert(shard_id{s});
  }
  w.duplicate_push_every = job_.inject.duplicate_push_every;
  w.on_failure = failure_reporter();

  bool slow = job_.inject.slow_worker == static_cast<std::int64_t>(id.value);
  cpu_compute_options c{work_,
                        data_,
                        *plan_,
                        job_.seed,
                        job_.train.staleness_damping,
                        slow ? job_.inject.slow_factor : 1.0};
  if (options.spawn_compute)
    w.compute = options.spawn_compute(self->system(), id, std::move(c));
  else
    w.compute = self->system().spawn<caf::detached>(cpu_compute, std::move(c));
  self->link_to(w.compute);
  adopt(w.compute, "the compute actor of " + to_string(id));
  worker_actor actor = self->spawn<caf::linked>(worker, std::move(w));
  adopt(actor, to_string(id));
  return actor;
}

caf::result<shard_found> node_state::on_find_shard(const find_shard& f) {
  if (f.version != protocol_version)
    return make_error(errc::protocol_mismatch, "expected protocol version " +
                                                   std::to_string(protocol_version) + ", found " +
                                                   std::to_string(f.version));
  if (f.job_id != job_id_)
    return make_error(errc::job_mismatch, "expected job " + job_id_ + ", found " + f.job_id);
  auto i = shards_.find(f.shard);
  if (i == shards_.end())
    return make_error(errc::no_such_shard, to_string(f.shard) + " does not live here");
  return shard_found{i->second.actor};
}

void node_state::on_down(const caf::down_msg& d) {
  if (d.source == options.scheduler.address()) {
    end(node_result::status::failed, "the scheduler was lost");
  }
}

void node_state::on_exit(const caf::exit_msg& e) {
  auto i = names_.find(e.source);
  if (i != names_.end())
    self->send(options.scheduler, actor_failed{i->second + " ended: " + reason_of(e.reason)});
  else
    end(node_result::status::failed, "ended from outside: " + reason_of(e.reason));
}

void node_state::end(node_result::status outcome, std::string error) {
  if (std::exchange(ended_, true)) return;
  self->set_down_handler([](caf::down_msg&) {});
  self->set_exit_handler([](caf::exit_msg&) {});
  for (auto& child : children_)
    self->send_exit(caf::actor_cast<caf::actor>(child), caf::exit_reason::user_shutdown);
  children_.clear();
  shards_.clear();
  if (options.on_end) options.on_end({outcome, std::move(error)});
  self->quit();
}

node_impl_actor::behavior_type node(node_state::self_pointer self, node_actor_options options) {
  auto& state = self->state;
  state.start(std::move(options));
  return {
      [&state](const place_shards& p) { return state.on_place_shards(p); },
      [&state](const place_workers& p) { return state.on_place_workers(p); },
      [&state](const find_shard& f) { return state.on_find_shard(f); },
      [&state](const stop_node& s) {
        state.end(s.reason.empty() ? node_result::status::finished : node_result::status::failed,
                  s.reason);
      },
      [&state](const begin_node& b) { state.on_begin(b); },
      [&state](const actor_failed& f) { state.self->send(state.options.scheduler, f); },
  };
}

} // namespace troupe::actors
