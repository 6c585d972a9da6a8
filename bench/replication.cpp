// What a second replica costs, against one replica in the same run.
//
//     build/release/bin/bench_replication [--seconds S] [--rounds N] [--jobs N] [--replicas R]
//                                         [--json FILE]
//
// First table: push throughput. The replicas of one shard are production actors, each in a process
// of its own over TCP, and one pusher sends gradients with two batches in flight (`async`, plain
// SGD). The pusher computes nothing: this is what the replicas can take. Further tables: samples
// per second of jobs under `troupe train` with two workers that compute what they push. All
// alternate between one replica and R, N times, and print the median and the range over the rounds,
// and the median and range of the ratio within a round.
//
// Next to each rate stands the processor time that a push took in each process: on a machine with
// fewer cores than threads that work, a backup takes time from its primary, which it would not do
// on a host of its own. There, the busiest process decides; the ratio that follows from its
// processor time stands below.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command_line.hpp"
#include "job_run.hpp"
#include "report.hpp"
#include "troupe/actors/connect.hpp"
#include "troupe/actors/shard.hpp"
#include "troupe/actors/system_config.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;
using troupe::bench::job_runner;
using troupe::bench::percentile;
using troupe::bench::spread;
using troupe::bench::spread_of;
using bench_clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t batches_in_flight = 2;

bool share_memory = true;

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "bench_replication: " << why << '\n';
  std::exit(1);
}

double since(bench_clock::time_point begun) {
  return std::chrono::duration<double>(bench_clock::now() - begun).count();
}

// Processor time of all threads of a process so far.
double cpu_seconds(pid_t pid) {
  clockid_t clock;
  timespec at{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &at) != 0)
    fail("a process has ended");
  return static_cast<double>(at.tv_sec) + static_cast<double>(at.tv_nsec) / 1e9;
}

// -- the replicas ---------------------------------------------------------------------------------

// One replica; `next_port` is where the one after it in the chain listens, 0 at the tail.
[[noreturn]] void serve(int out, std::size_t bytes, std::uint32_t place, std::uint16_t next_port) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  system_config config{true};
  if (!share_memory) config.pools->disable();
  caf::actor_system system{config};
  become_replica part{view_number{1}, place == 0, false, {}, no_node, false};
  if (next_port != 0) {
    auto next = connect<shard_actor>(system, {"127.0.0.1", next_port}, std::chrono::seconds(10));
    if (!next) ::_exit(1);
    part.downstream = *next;
    part.downstream_node = node_id{place + 2};
  }
  std::vector<float> initial(bytes / sizeof(float), 1.0f);
  shard_options o;
  o.id = shard_id{0};
  o.node = node_id{place + 1};
  o.core = {scheduler::batch_plan{{1u << 24, 1, 1}},
            scheduler::consistency::async(),
            {.learning_rate = 0.01f},
            1,
            false,
            config.pools};
  o.slot = std::make_shared<shard_slot>();
  o.slot->core =
      std::make_shared<shard_core>(o.core, scheduler::shard_range{0, initial.size()}, initial);
  auto actor = caf::actor_cast<shard_actor>(system.spawn(shard, o));
  caf::anon_send(actor, part);
  auto port = system.middleman().publish(actor, 0, "127.0.0.1");
  if (!port || ::write(out, &*port, sizeof *port) != sizeof *port) ::_exit(1);
  for (;;) ::pause(); // until it is killed
}

// The processes of one shard, primary first.
class chain {
 public:
  chain(std::size_t bytes, std::uint32_t replicas) {
    for (auto place = replicas; place-- > 0;) {
      int ends[2];
      if (::pipe(ends) != 0) fail("no pipe");
      auto pid = ::fork();
      if (pid == 0) serve(ends[1], bytes, place, port_);
      ::close(ends[1]);
      pids_.insert(pids_.begin(), pid);
      pollfd ready{ends[0], POLLIN, 0};
      if (::poll(&ready, 1, 30'000) != 1 || ::read(ends[0], &port_, sizeof port_) != sizeof port_)
        fail("the process of a replica did not start");
      ::close(ends[0]);
    }
  }
  chain(const chain&) = delete;
  chain& operator=(const chain&) = delete;
  ~chain() {
    for (auto pid : pids_) ::kill(pid, SIGKILL);
    for (auto pid : pids_) ::waitpid(pid, nullptr, 0);
  }

  std::uint16_t port() const { return port_; } // of the primary
  std::vector<double> cpu() const {
    std::vector<double> each;
    for (auto pid : pids_) each.push_back(cpu_seconds(pid));
    return each;
  }

 private:
  std::vector<pid_t> pids_;
  std::uint16_t port_ = 0;
};

// -- the pusher -----------------------------------------------------------------------------------

// An order: push for so long, then wait for what is in flight. Answered with the time of each push.
struct push_for {
  double seconds;
};
struct pushes_done {
  std::vector<double> seconds_each;
};
using client_actor = pusher_actor::extend<caf::replies_to<push_for>::with<pushes_done>>;

struct client_state {
  // First, so that CAF makes the state of nothing, not of its actor.
  transport::peer link{0, nullptr};
  shard_actor primary;
  std::shared_ptr<tensor::aligned_vector<float>> gradient;
  transfer_ids ids{0};
  clock_value clock = 0;
  bench_clock::time_point until;
  std::map<batch_id, bench_clock::time_point> open;
  pushes_done done;
  caf::typed_response_promise<pushes_done> promise;
};

auto poster(client_actor::stateful_pointer<client_state> self) {
  return [self](part p) { self->send(self->state.primary, std::move(p)); };
}

void push_more(client_actor::stateful_pointer<client_state> self) {
  auto& s = self->state;
  while (s.open.size() < batches_in_flight && bench_clock::now() < s.until) {
    auto id = s.ids.next();
    batch_id batch{0, static_cast<std::uint32_t>(s.clock)};
    s.open[batch] = bench_clock::now();
    s.link.send(
        {id, s.gradient, s.gradient->data(), s.gradient->size() * sizeof(float)},
        [&](std::vector<part> first) {
          self->send(s.primary, push{worker_id{0}, s.clock, batch, s.clock, id, pusher_actor{self},
                                     std::move(first)});
        },
        poster(self));
    ++s.clock;
  }
  if (s.open.empty()) s.promise.deliver(std::exchange(s.done, {}));
}

client_actor::behavior_type client(client_actor::stateful_pointer<client_state> self,
                                   shard_actor primary, std::size_t bytes) {
  auto& s = self->state;
  s.link = transport::peer{0, pools_of(self->system()).get()};
  s.primary = std::move(primary);
  s.gradient = std::make_shared<tensor::aligned_vector<float>>(bytes / sizeof(float), 1e-6f);
  return {
      [](const parameters&) {},
      [](const part&) {},
      [self](const credit& c) { self->state.link.take(c, poster(self)); },
      [self](const pushed& p) {
        auto& s = self->state;
        s.link.answered(p.transfer, p.key);
        s.link.flush(poster(self));
        auto i = s.open.find(p.batch);
        if (i == s.open.end()) return;
        s.done.seconds_each.push_back(since(i->second));
        s.open.erase(i);
        push_more(self);
      },
      [self](push_for p) -> caf::result<pushes_done> {
        auto& s = self->state;
        s.until = bench_clock::now() + std::chrono::duration_cast<bench_clock::duration>(
                                           std::chrono::duration<double>(p.seconds));
        s.promise = self->make_response_promise<pushes_done>();
        auto promise = s.promise;
        push_more(self);
        return promise;
      },
  };
}

} // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(push_for)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pushes_done)

namespace {

// -- table 1: pushes ------------------------------------------------------------------------------

// All rounds of one number of replicas.
struct push_side {
  std::vector<double> mb_per_second;   // by round
  std::vector<double> seconds_each;    // of all pushes
  std::vector<double> cpu_us_per_push; // pusher, primary, backups; summed, then divided
};

void push_round(caf::scoped_actor& self, const client_actor& c, const chain& replicas,
                std::size_t bytes, double seconds, push_side* side) {
  auto before = replicas.cpu();
  before.insert(before.begin(), cpu_seconds(::getpid()));
  auto begun = bench_clock::now();
  pushes_done done;
  self->request(c, std::chrono::seconds(30 + static_cast<int>(seconds)), push_for{seconds})
      .receive([&](pushes_done& d) { done = std::move(d); },
               [](const caf::error& e) { fail("no answer: " + reason_of(e)); });
  auto took = since(begun);
  if (side == nullptr) return; // the first round warms up
  auto after = replicas.cpu();
  after.insert(after.begin(), cpu_seconds(::getpid()));
  side->mb_per_second.push_back(static_cast<double>(bytes * done.seconds_each.size()) / took / 1e6);
  side->seconds_each.insert(side->seconds_each.end(), done.seconds_each.begin(),
                            done.seconds_each.end());
  side->cpu_us_per_push.resize(after.size());
  for (std::size_t i = 0; i < after.size(); ++i)
    side->cpu_us_per_push[i] += (after[i] - before[i]) * 1e6;
}

nlohmann::json print(std::size_t bytes, std::uint32_t replicas, push_side& side) {
  std::ranges::sort(side.seconds_each);
  auto count = side.seconds_each.size();
  for (auto& us : side.cpu_us_per_push) us /= static_cast<double>(std::max<std::size_t>(1, count));
  auto rate = spread_of(side.mb_per_second);
  auto p50 = percentile(side.seconds_each, 50) * 1e6, p99 = percentile(side.seconds_each, 99) * 1e6;
  std::printf("%9zu %8u %7.0f MB/s (%5.0f to %5.0f)  p50 %7.0f us  p99 %7.0f us  n %6zu  cpu us:",
              bytes, replicas, rate.median, rate.least, rate.most, p50, p99, count);
  for (auto us : side.cpu_us_per_push) std::printf(" %6.0f", us);
  std::printf("\n");
  std::fflush(stdout);
  return {{"bytes", bytes}, {"replicas", replicas},
          {"p50_us", p50},  {"mb_per_second", rate},
          {"p99_us", p99},  {"cpu_us_per_push", side.cpu_us_per_push},
          {"count", count}};
}

spread print_ratio(const std::vector<double>& one, const std::vector<double>& more,
                   std::uint32_t replicas) {
  std::vector<double> each;
  for (std::size_t i = 0; i < std::min(one.size(), more.size()); ++i)
    each.push_back(more[i] / one[i]);
  auto ratio = spread_of(each);
  std::printf("          %u replicas / 1: %.2f (%.2f to %.2f)\n", replicas, ratio.median,
              ratio.least, ratio.most);
  std::fflush(stdout);
  return ratio;
}

nlohmann::json push_table(double seconds, int rounds, std::uint32_t replicas) {
  std::printf("\npushes, %zu batches in flight; cpu: of the pusher, the primary, the backups, for "
              "each push\n",
              batches_in_flight);
  auto rows = nlohmann::json::array();
  for (std::size_t bytes : {64u << 10, 1u << 20, 4u << 20, 16u << 20}) {
    chain one{bytes, 1}, more{bytes, replicas};
    system_config config{true};
    if (!share_memory) config.pools->disable();
    caf::actor_system system{config};
    push_side sides[2];
    const chain* chains[] = {&one, &more};
    client_actor clients[2];
    for (int i : {0, 1}) {
      auto primary =
          connect<shard_actor>(system, {"127.0.0.1", chains[i]->port()}, std::chrono::seconds(10));
      if (!primary) fail(reason_of(primary.error()));
      clients[i] = system.spawn(client, *primary, bytes);
    }
    {
      caf::scoped_actor self{system};
      for (int i : {0, 1}) push_round(self, clients[i], *chains[i], bytes, seconds / 2, nullptr);
      for (int r = 0; r < rounds; ++r)
        for (int turn : {0, 1}) {
          auto i = (r + turn) % 2; // nobody is always first
          push_round(self, clients[i], *chains[i], bytes, seconds, &sides[i]);
        }
    }
    for (auto& c : clients) caf::anon_send_exit(c, caf::exit_reason::user_shutdown);
    rows.push_back(print(bytes, 1, sides[0]));
    rows.push_back(print(bytes, replicas, sides[1]));
    rows.back()["of_one_replica"] =
        print_ratio(sides[0].mb_per_second, sides[1].mb_per_second, replicas);
    auto busiest = [](const push_side& s) { return std::ranges::max(s.cpu_us_per_push); };
    auto by_busiest = busiest(sides[0]) / busiest(sides[1]);
    std::printf("          by the processor time of the busiest process: %.2f\n", by_busiest);
    rows.back()["of_one_replica_by_busiest_process"] = by_busiest;
  }
  return rows;
}

// -- table 2: a training job ----------------------------------------------------------------------

// A job, and what the table says of it.
struct bench_job {
  const char* name;
  const char* text;
};

constexpr bench_job jobs_measured[] = {{"784-128-10, batches of 64, 2 shards", R"(name = "digits"
[model]
layers = [ { dense = 128 }, "relu", { dense = 10 } ]
[data]
format = "digits"
samples = 12000
[train]
epochs = 20
batch_size = 64
consistency = "async"
optimizer = { name = "sgd", learning_rate = 0.05 }
[cluster]
workers = 2
shards = 2
[checkpoint]
every_seconds = 0
)"},
                                       {"784-512-512-10, batches of 64, 1 shard", R"(name = "digits"
[model]
layers = [ { dense = 512 }, "relu", { dense = 512 }, "relu", { dense = 10 } ]
[data]
format = "digits"
samples = 12000
[train]
epochs = 8
batch_size = 64
consistency = "async"
optimizer = { name = "sgd", learning_rate = 0.05 }
[cluster]
workers = 2
shards = 1
[checkpoint]
every_seconds = 0
)"}};

nlohmann::json job_table(const bench_job& job, int rounds, std::uint32_t replicas) {
  if (rounds <= 0) return nlohmann::json::array();
  const job_runner runner("bench_replication");
  const auto file = runner.folder() / "job.toml";
  std::ofstream(file) << job.text;
  std::printf("\ntroupe train, %s, 2 workers, async, digits\n", job.name);
  std::vector<double> rates[2];
  for (int r = 0; r < rounds; ++r)
    for (int turn : {0, 1}) {
      auto i = (r + turn) % 2;
      const auto held = std::to_string(i == 0 ? 1 : replicas);
      rates[i].push_back(
          runner.run({.job = file, .set = {"cluster.replicas=" + held}}).samples_per_second());
    }
  auto rows = nlohmann::json::array();
  for (int i : {0, 1}) {
    auto rate = spread_of(rates[i]);
    auto held = i == 0 ? 1 : replicas;
    std::printf("%9s %8u %7.0f samples/s (%.0f to %.0f)  n %zu\n", "job", held, rate.median,
                rate.least, rate.most, rates[i].size());
    rows.push_back({{"job", job.name}, {"replicas", held}, {"samples_per_second", rate}});
  }
  rows.back()["of_one_replica"] = print_ratio(rates[0], rates[1], replicas);
  return rows;
}

} // namespace

int main(int argc, char** argv) {
  double seconds = 1;
  int rounds = 7, jobs = 5;
  std::uint32_t replicas = 2;
  std::string json_file;
  troupe::bench::command_line line("What further replicas of a shard cost, beside one.", json_file);
  line.app.add_option("--seconds", seconds, "Of each measurement")->check(troupe::bench::duration);
  line.app.add_option("--rounds", rounds, "Of pushes")->check(troupe::bench::count);
  line.app.add_option("--jobs", jobs, "Rounds of jobs")->check(CLI::Range(0, 1'000'000));
  line.app.add_option("--replicas", replicas)->check(CLI::Range(2, 16));
  line.app.add_flag("!--no-shared-memory", share_memory,
                    "Nothing between the processes goes that way");
  line.read(argc, argv);
  const auto cores = std::thread::hardware_concurrency();
  auto figures = troupe::bench::origin("replication", troupe::bench::command_of(argc, argv));
  troupe::bench::print_origin(figures);
  if (cores < 2 * (replicas + 1))
    std::printf("the pusher and the replicas share %u cores: a backup's own work also slows down "
                "the primary\n",
                cores);
  auto pushes = push_table(seconds, rounds, replicas);
  auto job_rows = nlohmann::json::array();
  for (const auto& job : jobs_measured)
    for (auto& row : job_table(job, jobs, replicas)) job_rows.push_back(row);
  figures.update(
      {{"seconds_each", seconds}, {"rounds", rounds}, {"pushes", pushes}, {"jobs", job_rows}});
  if (!troupe::bench::write_json(json_file, figures)) fail(json_file + ": cannot write");
}
