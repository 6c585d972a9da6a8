// The scheduler actor among nodes, shards and workers that do nothing but answer.
#include "scale.hpp"

#include <algorithm>
#include <bit>
#include <deque>
#include <future>
#include <mutex>
#include <stdexcept>

#include <caf/all.hpp>

#include "report.hpp"
#include "timed_scheduler.hpp"
#include "troupe/actors/assembly.hpp"
#include "troupe/actors/system_config.hpp"

namespace troupe::bench {

using namespace storage;

using namespace actors;
using bench_clock = std::chrono::steady_clock;
using nlohmann::json;

namespace {

constexpr auto patience = std::chrono::minutes(2);
constexpr std::size_t lease_ahead = 4;
constexpr std::size_t latencies_kept = 200; // of each worker

double microseconds_since(bench_clock::time_point begun) {
  return std::chrono::duration<double, std::micro>(bench_clock::now() - begun).count();
}

// What the workers saw; written by each when it is told to end, read when all have ended.
struct seen {
  std::mutex mutex;
  std::vector<double> latencies_us; // from batch_done to the next lease
};

struct worker_state {
  clock_value clock = 0;
  std::size_t leases = 0;
  std::deque<bench_clock::time_point> asked; // for leases that have not come
  std::vector<double> latencies_us;
};

worker_actor::behavior_type idle_worker(worker_actor::stateful_pointer<worker_state> self,
                                        worker_id id, scheduler_actor root,
                                        std::shared_ptr<seen> all) {
  self->attach_functor([self, all] {
    const std::lock_guard lock(all->mutex);
    const auto& own = self->state.latencies_us;
    all->latencies_us.insert(all->latencies_us.end(), own.begin(), own.end());
  });
  return {[](const part&) {},
          [](const credit&) {},
          [](const parameters&) {},
          [](const pushed&) {},
          [self, id, root](const batch_lease& l) {
            auto& s = self->state;
            for (auto batch : l.batches) {
              if (s.leases++ >= lease_ahead && !s.asked.empty()) {
                if (s.latencies_us.size() < latencies_kept)
                  s.latencies_us.push_back(microseconds_since(s.asked.front()));
                s.asked.pop_front();
              }
              s.asked.push_back(bench_clock::now());
              self->send(root, batch_done{id, batch, ++s.clock, std::bit_cast<std::uint64_t>(1.0)});
            }
          },
          [](const shard_moved&) {},
          [](const use_scheduler&) {},
          [](const lease_request&) { return leases_held{}; }};
}

shard_actor::behavior_type idle_shard(shard_actor::pointer, shard_id id) {
  return {[](const push&) {},
          [](const pull&) {},
          [](const pull_snapshot&) {},
          [](const applied_in_place&) {},
          [](const part&) {},
          [](const credit&) {},
          [](const replicate&) {},
          [](const replicated&) {},
          [](const replica_image&) {},
          [](const become_replica&) {},
          [](const take_image&) {},
          [](const use_scheduler&) {},
          [](const applied_request&) -> caf::result<applied_report> {
            return make_error(errc::not_primary);
          },
          [](const enter_clock& e) {
            return clock_entered{e.worker, e.clock};
          },
          [](const leave_clock&) {},
          [id](const report_request&) {
            return shard_report{id, 0, 0, 0, {}};
          }};
}

evaluator_actor::behavior_type idle_evaluator(evaluator_actor::pointer self, scheduler_actor root) {
  return {[](const part&) {}, [](const credit&) {}, [](const parameters&) {},
          [self, root](const evaluate_epoch& e) {
            self->send(root, epoch_evaluated{e.epoch, std::nullopt,
                                             std::make_shared<tensor::aligned_vector<float>>(1)});
          },
          [](const shard_moved&) {}};
}

struct node_state {
  std::vector<worker_actor> workers;
};

node_actor::behavior_type idle_node(node_actor::stateful_pointer<node_state> self,
                                    scheduler_actor root, std::shared_ptr<seen> all) {
  return {[self](const place_replicas& p) {
            replicas_placed placed;
            for (auto s : p.shards) placed.replicas.push_back(self->spawn(idle_shard, s));
            return placed;
          },
          [self, root, all](const place_workers& p) {
            workers_placed placed;
            for (auto w : p.workers)
              placed.workers.push_back(self->spawn(idle_worker, w, root, all));
            self->state.workers = placed.workers;
            return placed;
          },
          [](const install_view&) {},
          [](const drop_replica&) {},
          [](const clear_roles&) { return roles_cleared{}; },
          [](const greet&) {},
          [](const find_replica&) -> caf::result<replica_found> {
            return make_error(errc::no_such_shard);
          },
          [self](const stop_node&) {
            for (const auto& w : self->state.workers)
              self->send_exit(w, caf::exit_reason::user_shutdown);
            self->quit();
          },
          [](const actor_failed&) {}};
}

struct measured {
  bench_clock::time_point at = bench_clock::now();
  double scheduler = 0; // its processor time so far
};

struct lessor_state {
  std::uint64_t given = 0;
  std::uint64_t done = 0;
};

struct lessor_options {
  scheduler::batch_plan plan;
  std::uint32_t workers;
  std::shared_ptr<seen> all;
  measured& begun;
  measured& over;
  std::promise<std::string>& ended;
};

// In the scheduler's place: the same messages, no decision.
scheduler_actor::behavior_type bare_lessor(scheduler_actor::stateful_pointer<lessor_state> self,
                                           const lessor_options& o) {
  std::vector<worker_actor> workers;
  for (std::uint32_t w = 0; w < o.workers; ++w)
    workers.push_back(self->spawn(idle_worker, worker_id{w}, scheduler_actor{self}, o.all));
  auto give = [self, o](const worker_actor& to) {
    auto& s = self->state;
    if (s.given < o.plan.total_batches())
      self->send(to, batch_lease{{o.plan.batch_at(s.given++)}, 0});
  };
  o.begun = {};
  for (std::size_t n = 0; n < lease_ahead; ++n)
    for (const auto& w : workers) give(w);
  return {[](const hello&) -> caf::result<welcome> { return make_error(errc::not_a_member); },
          [self, o, give, workers](const batch_done& d) {
            give(workers[d.worker.value]);
            if (++self->state.done < o.plan.total_batches()) return;
            o.over = {};
            for (const auto& w : workers) self->send_exit(w, caf::exit_reason::user_shutdown);
            self->quit();
            o.ended.set_value("");
          },
          [](const epoch_evaluated&) {},
          [](const stop_training&) {},
          [](const actor_failed&) {},
          [](const role_failed&) {},
          [](const caught_up&) {},
          [](const diverged&) {},
          [](const heartbeat&) {},
          [](const status_request&) { return status_report{}; },
          [](const leave_request&) {},
          [](const reach_report&) {},
          [](const node_unfit&) {},
          [](const drain_request&) -> caf::result<drain_accepted> {
            return make_error(errc::not_a_member);
          }};
}

json figures(const job& j, std::uint64_t batches, const measured& begun, const measured& over,
             std::vector<double> latencies) {
  std::ranges::sort(latencies);
  const auto seconds = std::chrono::duration<double>(over.at - begun.at).count();
  const auto n = static_cast<double>(batches);
  return {{"workers", j.cluster.workers},
          {"leases", batches},
          {"leases_per_second", n / seconds},
          {"scheduler_us_per_lease", 1e6 * (over.scheduler - begun.scheduler) / n},
          {"latency_us",
           {{"count", latencies.size()},
            {"p50", percentile(latencies, 50)},
            {"p99", percentile(latencies, 99)}}}};
}

} // namespace

json lease_rate(const job& j, const std::filesystem::path& folder, bool real) {
  const assembly a{j, make_workload(j)};
  const auto& plan = a.plan();
  const auto all = std::make_shared<seen>();
  processor_meter meter;
  measured begun, over;
  {
    std::promise<std::string> ended; // with what is wrong
    auto result = ended.get_future();
    system_config config{false};
    caf::actor_system system{config};
    scheduler_actor root;
    if (real) {
      std::filesystem::create_directories(folder);
      auto o = a.for_scheduler(system, {.job_id = "toy"});
      o.journal = std::make_shared<run_journal>(
          run_journal::create(folder / "journal.db", a.for_journal("toy")));
      o.on_end = [&ended](const run_result& r) {
        ended.set_value(r.outcome == run_result::status::finished ? "" : "failed: " + r.error);
      };
      o.emit = [&](const event& e) { // by the scheduler
        const auto* n = std::get_if<notice_event>(&e);
        if (n != nullptr && n->type == notice_event::kind::started)
          begun = {bench_clock::now(), meter.so_far()};
        if (std::holds_alternative<finished_event>(e)) over = {bench_clock::now(), meter.so_far()};
      };
      o.spawn_evaluator = [&system](const address_book& peers) -> evaluator_actor {
        return system.spawn(idle_evaluator, peers.scheduler());
      };
      root = system.spawn<timed_scheduler>(std::move(o), std::ref(meter));
      node_actor node = system.spawn(idle_node, root, all);
      caf::scoped_actor self{system};
      self->request(
              root, patience,
              hello{protocol_version, "", {"here", 0}, j.cluster.shards, j.cluster.workers, node})
          .receive([](const welcome&) {},
                   [&ended](const caf::error&) { ended.set_value("not welcome"); });
    } else {
      root = system.spawn(bare_lessor,
                          lessor_options{plan, j.cluster.workers, all, begun, over, ended});
    }
    root = nullptr;
    if (result.wait_for(patience) != std::future_status::ready)
      throw std::runtime_error("the leases were not all given");
    if (const auto wrong = result.get(); !wrong.empty()) throw std::runtime_error(wrong);
  }
  return figures(j, plan.total_batches(), begun, over, std::move(all->latencies_us));
}

} // namespace troupe::bench
