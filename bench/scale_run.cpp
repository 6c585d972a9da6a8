// A whole cluster in one process, and bare CAF actors that send each other as much.
#include "scale.hpp"

#include <fstream>
#include <future>
#include <stdexcept>

#include <caf/all.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "timed_scheduler.hpp"
#include "troupe/actors/assembly.hpp"
#include "troupe/actors/system_config.hpp"

namespace troupe::bench {

using namespace actors;
using bench_clock = std::chrono::steady_clock;
using nlohmann::json;

namespace {

constexpr std::size_t batch_size = 4;
constexpr std::size_t parameters_a_shard = 16;
constexpr auto patience = std::chrono::minutes(5);

// Time, processor time and memory at one instant.
struct mark {
  bench_clock::time_point at = bench_clock::now();
  double process = process_seconds();
  double resident = resident_bytes();
  double scheduler = 0; // of processor time
};

double since(bench_clock::time_point begun) {
  return std::chrono::duration<double>(bench_clock::now() - begun).count();
}

} // namespace

job toy_job(std::uint32_t workers, std::uint32_t shards, std::uint64_t batches,
            scheduler::consistency mode, std::uint32_t epochs) {
  job j;
  j.name = "toy";
  j.model.type = model_spec::kind::integer_sum;
  j.model.parameters = parameters_a_shard * shards;
  j.data.type = data_spec::format::integers;
  j.data.held_out = 0;
  j.train.epochs = epochs;
  j.train.batch_size = batch_size;
  j.data.samples = batches / j.train.epochs * batch_size;
  j.train.consistency = mode;
  j.train.optimizer.learning_rate = 1;
  j.cluster = {workers, shards, 1};
  j.checkpoint.every_seconds = 0;
  return j;
}

json in_child(const std::function<json()>& work) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
  const auto pid = ::fork();
  if (pid == 0) {
    ::close(ends[0]);
    std::string text;
    try {
      text = work().dump();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "bench_scale: %s\n", e.what());
      ::_exit(1);
    }
    for (std::size_t at = 0; at < text.size();) {
      const auto n = ::write(ends[1], text.data() + at, text.size() - at);
      if (n <= 0) ::_exit(1);
      at += static_cast<std::size_t>(n);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || status != 0)
    throw std::runtime_error("a measurement did not end well");
  return json::parse(text);
}

double process_seconds() {
  rusage u{};
  ::getrusage(RUSAGE_SELF, &u);
  const auto s = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return s(u.ru_utime) + s(u.ru_stime);
}

double thread_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double whole = 0, resident = 0;
  in >> whole >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

json whole_run(std::uint32_t workers, std::uint32_t shards, std::uint64_t batches,
               scheduler::consistency mode) {
  // The first epoch begins with memory that nobody has touched, and in the last one workers leave
  // one after the other: what is between them is measured.
  constexpr std::uint32_t epochs = 4;
  const auto j = toy_job(workers, shards, 2 * batches, mode, epochs);
  const assembly a{j, make_workload(j)};
  system_config config{false};
  caf::actor_system system{config};
  const mark idle;
  processor_meter meter;
  std::optional<mark> started, begun, over;
  std::promise<run_result> ended;
  auto result = ended.get_future();

  auto o = a.for_scheduler(system, {.job_id = "toy"});
  o.on_end = [&ended](run_result r) { ended.set_value(std::move(r)); };
  o.emit = [&](const event& e) { // by the scheduler
    const auto* n = std::get_if<notice_event>(&e);
    if (n != nullptr && n->type == notice_event::kind::started) started.emplace();
    const auto* done = std::get_if<epoch_event>(&e);
    if (done == nullptr || (done->epoch != 1 && done->epoch != epochs - 1)) return;
    (done->epoch == 1 ? begun : over).emplace().scheduler = meter.so_far();
  };
  scheduler_actor root = system.spawn<timed_scheduler>(std::move(o), std::ref(meter));
  const local_nodes nodes{system, a, root, "toy", nullptr};
  root = nullptr;
  if (result.wait_for(patience) != std::future_status::ready)
    throw std::runtime_error("the run did not end");
  const auto r = result.get();
  if (r.outcome != run_result::status::finished || !started || !begun || !over)
    throw std::runtime_error("the run failed: " + r.error);

  const auto measured = static_cast<double>(a.plan().batches_per_epoch()) * (epochs - 2);
  const auto seconds = std::chrono::duration<double>(over->at - begun->at).count();
  return {{"workers", j.cluster.workers},
          {"batches", measured},
          {"seconds", seconds},
          {"batches_per_second", measured / seconds},
          {"cpu_us_per_batch", 1e6 * (over->process - begun->process) / measured},
          {"scheduler_us_per_batch", 1e6 * (over->scheduler - begun->scheduler) / measured},
          {"start_cpu_ms", 1e3 * (started->process - idle.process)},
          {"resident_bytes", over->resident - idle.resident}};
}

// -- bare CAF -------------------------------------------------------------------------------------

namespace {

struct ask {
  std::uint32_t client = 0;
  caf::actor from;
};
struct answer {};
struct task {};
struct done_with {
  caf::actor from;
};
struct go_on {};

} // namespace

} // namespace troupe::bench

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::bench::ask)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::bench::answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::bench::task)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::bench::done_with)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::bench::go_on)

namespace troupe::bench {

namespace {

caf::behavior server(caf::event_based_actor* self) {
  return {[self](const ask& a) { self->send(a.from, answer{}); }};
}

caf::behavior calculator(caf::event_based_actor* self) {
  return {
      [self](task) { self->send(caf::actor_cast<caf::actor>(self->current_sender()), task{}); }};
}

struct client_state {
  std::size_t missing = 0;
  bool pulling = false;
};

// Pulls from every server, computes, pushes to every server, says so.
caf::behavior client(caf::stateful_actor<client_state>* self, std::vector<caf::actor> servers,
                     caf::actor compute, caf::actor root) {
  auto ask_all = [self, servers](bool pulling) {
    self->state.pulling = pulling;
    self->state.missing = servers.size();
    for (const auto& s : servers) self->send(s, ask{0, self});
  };
  return {[ask_all](go_on) { ask_all(true); },
          [self, compute, root](answer) {
            if (--self->state.missing > 0) return;
            if (self->state.pulling)
              self->send(compute, task{});
            else
              self->send(root, done_with{self});
          },
          [ask_all](task) { ask_all(false); }};
}

} // namespace

json bare_run(std::uint32_t workers, std::uint32_t shards, std::uint64_t batches) {
  system_config config{false};
  caf::actor_system system{config};
  std::promise<void> ended;
  auto result = ended.get_future();
  auto left = std::make_shared<std::int64_t>(batches);
  auto root = system.spawn([&ended, left](caf::event_based_actor* self) {
    return caf::behavior{[self, &ended, left](const done_with& d) {
      --*left;
      if (*left > 0) self->send(d.from, go_on{}); // else all come to rest
      if (*left == 0) ended.set_value();
    }};
  });
  std::vector<caf::actor> servers, clients;
  for (std::uint32_t s = 0; s < shards; ++s) servers.push_back(system.spawn(server));
  for (std::uint32_t w = 0; w < workers; ++w)
    clients.push_back(system.spawn(client, servers, system.spawn<caf::detached>(calculator), root));
  const mark begun;
  for (const auto& c : clients) caf::anon_send(c, go_on{});
  if (result.wait_for(patience) != std::future_status::ready)
    throw std::runtime_error("the bare actors did not end");
  const auto seconds = since(begun.at);
  const auto cpu = process_seconds() - begun.process;
  const auto n = static_cast<double>(batches);
  return {{"workers", workers},
          {"batches", batches},
          {"seconds", seconds},
          {"batches_per_second", n / seconds},
          {"messages_per_batch", 4 * shards + 4},
          {"cpu_us_per_batch", 1e6 * cpu / n}};
}

} // namespace troupe::bench
