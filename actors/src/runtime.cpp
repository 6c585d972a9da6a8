#include "troupe/runtime.hpp"

#include <condition_variable>
#include <future>
#include <mutex>

#include <caf/io/all.hpp>
#include <nlohmann/json.hpp>
#include <xxhash.h>

#include "troupe/actors/assembly.hpp"
#include "troupe/actors/bulk_routes.hpp"
#include "troupe/actors/connect.hpp"
#include "troupe/actors/node.hpp"
#include "troupe/actors/node_address.hpp"
#include "troupe/actors/scheduler.hpp"
#include "troupe/actors/status_connection.hpp"
#include "troupe/actors/system_config.hpp"

namespace troupe {

using namespace actors;

namespace {

constexpr auto connect_timeout = std::chrono::seconds(10);
// From node to node, and to a scheduler that may be gone: the node does nothing else meanwhile.
constexpr auto peer_timeout = std::chrono::seconds(1);
constexpr auto reconnect_timeout = std::chrono::milliseconds(500);
constexpr auto retry_pause = std::chrono::milliseconds(200);
constexpr auto sweep_every = std::chrono::seconds(1);

// Waits for the pause or the stop, whichever comes first.
void pause(const std::stop_token& stop, std::chrono::milliseconds length) {
  std::mutex m;
  std::condition_variable_any never;
  std::unique_lock lock{m};
  never.wait_for(lock, stop, length, [] { return false; });
}

std::string cannot_listen(const endpoint& at, const caf::error& why) {
  return "cannot listen at " + to_string(at) +
         ": expected a free port on an address of this host, found " + caf::to_string(why);
}

std::string default_job_id(const job& j) {
  auto text = to_json(j).dump();
  char id[17];
  std::snprintf(id, sizeof id, "%016llx",
                static_cast<unsigned long long>(XXH64(text.data(), text.size(), 0)));
  return j.name + "-" + id;
}

// How a scheduler's actor reaches the program.
void report_to(scheduler_actor_options& o, run_observer* observer,
               std::promise<run_result>& ended) {
  o.emit = [observer](const event& e) {
    if (observer != nullptr) observer->on_event(e);
  };
  o.on_result = [observer](const run_result& r) {
    if (observer != nullptr) observer->on_result(r);
  };
  o.on_end = [&ended](run_result r) { ended.set_value(std::move(r)); };
}

// A closed connection and a port that refuses: the process is gone, not cut off.
bool refuses(const contact& at) {
  constexpr auto patience = std::chrono::milliseconds(100);
  return connection_refused({at.host, at.port}, patience);
}

// Processes of the run so far may still be about: their numbers are not given to others.
void take_numbers_given(const std::filesystem::path& file, run_journal::content& first) {
  try {
    const auto before = run_journal::open(file);
    first.next_node = before.read().next_node;
    first.next_worker = before.read().next_worker;
  } catch (const storage::journal_in_use&) {
    throw;
  } catch (const journal_error&) { // a run can go on without its journal
  }
}

std::shared_ptr<run_journal> open_journal(const assembly& a, const std::string& job_id,
                                          const scheduler_options& options) {
  using enum scheduler_options::beginning;
  const auto file = options.folder / "journal.db";
  // A scheduler may be killed before it has a journal: then nothing was placed.
  if (options.begin == journal && std::filesystem::exists(file))
    return std::make_shared<run_journal>(run_journal::open(file));
  auto first = a.for_journal(job_id);
  if (options.begin == checkpoint) { // the journal is that of the run so far
    take_numbers_given(file, first);
    std::filesystem::remove(file);
  }
  return std::make_shared<run_journal>(run_journal::create(file, first));
}

// Waits for what ends a process's part. The pools of processes that have ended are closed meanwhile
// (POOL-4).
template <class Result>
Result wait_for(std::future<Result>& result, transport::shared_pools& pools) {
  while (result.wait_for(sweep_every) != std::future_status::ready) pools.sweep();
  return result.get();
}

run_result failed(std::string reason) {
  run_result r;
  r.error = std::move(reason);
  return r;
}

} // namespace

run_result train(const job& j, const workload& w, run_observer* observer, std::stop_token stop,
                 std::shared_ptr<history::recorder> recorder) {
  const assembly a{j, w};
  std::promise<run_result> ended;
  auto result = ended.get_future();
  system_config config{false};
  caf::actor_system system{config};
  const auto job_id = default_job_id(j);
  auto o = a.for_scheduler(system, {.job_id = job_id, .recorder = recorder});
  report_to(o, observer, ended);
  o.gather_timeout = std::chrono::minutes(1);
  scheduler_actor root = system.spawn(scheduler_root, std::move(o));
  const local_nodes nodes{system, a, root, job_id, recorder};
  std::stop_callback on_stop{stop, [&root] { caf::anon_send(root, stop_training{}); }};
  return result.get();
}

run_result run_scheduler(const job& j, const workload& w, const scheduler_options& options,
                         run_observer* observer, std::stop_token stop) {
  const assembly a{j, w};
  std::promise<run_result> ended;
  auto result = ended.get_future();
  system_config config{true};
  caf::actor_system system{config};
  if (auto err = try_listen(options.listen)) return failed(reason_of(err));
  scheduler_place place{.job_id = options.job_id.empty() ? default_job_id(j) : options.job_id,
                        .recorder = options.recorder};
  std::shared_ptr<run_journal> journal;
  if (!options.folder.empty()) try {
      journal = open_journal(a, place.job_id, options);
      place.job_id = journal->read().job_id;
      place.checkpoints = options.folder / "checkpoints";
    } catch (const std::exception& e) {
      return failed(e.what());
    }
  auto o = a.for_scheduler(system, place);
  report_to(o, observer, ended);
  o.gather_timeout = options.gather_timeout;
  o.has_ended = refuses;
  o.journal = journal;
  o.resume = journal && options.begin == scheduler_options::beginning::checkpoint;
  bulk_routes bulk{config, system, {}, {}}; // it connects to the nodes, and they not to it
  bulk.apply(j.cluster);
  o.on_member = [&bulk](const contact& at, const node_actor& node) { bulk.keep(node.node(), at); };
  auto job_id = place.job_id;
  scheduler_actor root = system.spawn(scheduler_root, std::move(o));
  auto port = publish(system, root, options.listen);
  if (!port) {
    caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
    return failed(cannot_listen(options.listen, port.error()));
  }
  endpoint bound{options.listen.host, *port};
  if (observer != nullptr)
    observer->on_event(
        notice_event{notice_event::kind::listening,
                     "scheduler of job " + job_id + " listens at " + to_string(bound)});
  config.guests->tell_to([address = root.address()](const std::string& line) {
    if (auto root = caf::actor_cast<caf::actor>(address))
      caf::anon_send(root, operator_warning{line});
  });
  if (options.on_listening) options.on_listening(bound, job_id);
  std::stop_callback on_stop{stop, [&root] { caf::anon_send(root, stop_training{}); }};
  auto r = wait_for(result, *config.pools);
  config.guests->tell_to({}); // the actors go before the configuration
  return r;
}

node_result run_node(const node_options& options, std::stop_token stop) {
  using clock = std::chrono::steady_clock;
  std::promise<node_result> ended;
  auto result = ended.get_future();
  system_config config{true};
  caf::actor_system system{config};

  if (options.listen)
    if (auto err = try_listen(*options.listen))
      return {node_result::status::failed, reason_of(err)};
  // The scheduler may be started a moment later than its nodes.
  auto deadline = clock::now() + options.join_timeout;
  caf::expected<scheduler_actor> root{caf::sec::none};
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now());
    root = connect<scheduler_actor>(system, options.scheduler, std::max(left, retry_pause));
    if (root || stop.stop_requested() || left < retry_pause) break;
    pause(stop, retry_pause);
  }
  if (stop.stop_requested()) return {node_result::status::interrupted, ""};
  if (!root)
    return {node_result::status::failed, "cannot join the scheduler: " + reason_of(root.error())};

  const auto address = choose_address(address_facts(options, peer_timeout));
  if (!address.refusal.empty()) return {node_result::status::failed, address.refusal};

  node_actor_options n;
  n.scheduler = *root;
  n.job_id = options.job_id;
  n.shards = options.shards;
  n.workers = options.workers;
  bulk_routes bulk{config, system, address.listen.host, options.on_notice};
  n.make_workload = [&bulk, make = options.make_workload](const job& j) {
    bulk.apply(j.cluster);
    return make ? make(j) : make_workload(j);
  };
  n.connect = [&system, &bulk](const contact& at) -> caf::expected<node_actor> {
    auto reached = connect<node_actor>(system, endpoint{at.host, at.port}, peer_timeout);
    if (reached) bulk.keep(reached->node(), at);
    return reached;
  };
  n.reconnect = [&system, at = options.scheduler]() {
    return connect<scheduler_actor>(system, at, reconnect_timeout);
  };
  if (options.on_notice) config.guests->tell_to(options.on_notice);
  n.scheduler_patience = options.scheduler_patience;
  n.recorder = options.recorder;
  n.on_end = [&ended](node_result r) { ended.set_value(std::move(r)); };
  auto self = system.spawn(node, std::move(n));
  auto port = publish(system, node_actor{self}, address.listen);
  if (!port) {
    caf::anon_send_exit(self, caf::exit_reason::user_shutdown);
    return {node_result::status::failed, cannot_listen(address.listen, port.error())};
  }
  // The node tells its address in its first message, and the port is known only now.
  caf::anon_send(self, begin_node{bulk.reached_at({address.told, *port})});
  std::stop_callback on_stop{stop, [&self] { caf::anon_send(self, end_asked{}); }};
  auto r = wait_for(result, *config.pools);
  if (stop.stop_requested() && r.outcome == node_result::status::failed)
    return {node_result::status::interrupted, ""};
  return r;
}

std::string query_status(const endpoint& scheduler, std::chrono::milliseconds timeout) {
  return status_connection(scheduler, timeout).ask(timeout);
}

void request_drain(const endpoint& scheduler, std::uint32_t node,
                   std::chrono::milliseconds timeout) {
  system_config config{true};
  caf::actor_system system{config};
  auto root = connect<scheduler_actor>(system, scheduler, timeout);
  if (!root) throw std::runtime_error(reason_of(root.error()));
  caf::error error;
  caf::scoped_actor self{system};
  self->request(*root, timeout, drain_request{node_id{node}})
      .receive([](drain_accepted) {}, [&](caf::error& err) { error = std::move(err); });
  if (error)
    throw std::runtime_error("the scheduler at " + to_string(scheduler) +
                             (is_refusal(error) ? " refused: " : " did not answer: ") +
                             reason_of(error));
}

} // namespace troupe
