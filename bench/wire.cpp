// How fast the parameters of a shard travel between two processes over TCP, against what the
// machine can do: raw TCP between the same two processes, and memcpy, measured in the same run.
//
//     build/release/bin/bench_wire [--seconds S] [--json FILE]
//
// The shard is the production actor in a process of its own; the client pulls its whole range again
// and again, or pushes gradients for it, one after the other (so a figure includes the request's
// way there and the answer's way back, and for a push the application of the gradient). Prints a
// table: MB/s (10^6 bytes), the ratio to raw TCP, and p50 and p99 of one transfer. Then a table of
// streams (wire_stream.hpp): blocks of 1 MiB in the transport's window, each way and both at once,
// as messages, over a bulk connection and through shared memory; what a request of 64 bytes takes
// meanwhile; and what the sender's memory grows by while the other process is stopped.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <thread>
#include <vector>

#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command_line.hpp"
#include "report.hpp"
#include "troupe/actors/connect.hpp"
#include "troupe/actors/shard.hpp"
#include "troupe/actors/system_config.hpp"
#include "troupe/transport/peer.hpp"
#include "troupe/transport/range_pulls.hpp"
#include "wire_stream.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;
using bench_clock = std::chrono::steady_clock;

namespace {

struct figures {
  double mb_per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
  std::size_t count = 0;
};

figures summarize(std::vector<double> seconds_each, std::size_t bytes) {
  figures f;
  f.count = seconds_each.size();
  if (f.count == 0) return f;
  std::ranges::sort(seconds_each);
  double total = 0;
  for (auto s : seconds_each) total += s;
  f.mb_per_second = static_cast<double>(bytes) * static_cast<double>(f.count) / total / 1e6;
  f.p50_us = seconds_each[f.count / 2] * 1e6;
  f.p99_us = seconds_each[std::min(f.count - 1, f.count * 99 / 100)] * 1e6;
  return f;
}

double since(bench_clock::time_point begun) {
  return std::chrono::duration<double>(bench_clock::now() - begun).count();
}

// Repeats `once` for the time given, after three rounds that are not counted.
template <class F>
figures measure(std::size_t bytes, double seconds, F once) {
  for (int i = 0; i < 3; ++i) once();
  std::vector<double> each;
  for (auto begun = bench_clock::now(); since(begun) < seconds;) {
    auto at = bench_clock::now();
    once();
    each.push_back(since(at));
  }
  return summarize(std::move(each), bytes);
}

bool share_memory = true;

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "bench_wire: " << why << '\n';
  std::exit(1);
}

// -- the other process
// ------------------------------------------------------------------------------

void write_all(int fd, const void* data, std::size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    auto n = ::write(fd, at, size);
    if (n <= 0) ::_exit(0); // the client is gone
    at += n;
    size -= static_cast<std::size_t>(n);
  }
}

void read_all(int fd, void* data, std::size_t size) {
  auto* at = static_cast<char*>(data);
  while (size > 0) {
    auto n = ::read(fd, at, size);
    if (n <= 0) ::_exit(0);
    at += n;
    size -= static_cast<std::size_t>(n);
  }
}

struct served {
  std::uint16_t shard_port;
  std::uint16_t raw_port;
};

// Serves a shard of `bytes` and, on a plain socket, the same number of bytes for every byte it
// gets.
[[noreturn]] void serve(int out, std::size_t bytes) {
  int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      ::listen(listener, 1) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    ::_exit(1);
  std::vector<float> initial(bytes / sizeof(float), 1.0f);
  shard_core::options o{scheduler::batch_plan{{1u << 20, 1, 1}},
                        scheduler::consistency::async(),
                        {.learning_rate = 0.01f},
                        1,
                        false};
  system_config config{true};
  if (!share_memory) config.pools->disable();
  o.pools = config.pools;
  caf::actor_system system{config};
  shard_options shard_of;
  shard_of.core = o;
  shard_of.slot = std::make_shared<shard_slot>();
  shard_of.slot->core =
      std::make_shared<shard_core>(o, scheduler::shard_range{0, initial.size()}, initial);
  auto actor = caf::actor_cast<shard_actor>(system.spawn(shard, shard_of));
  caf::anon_send(actor, become_replica{view_number{1}, true, false, {}, no_node, false});
  auto port = system.middleman().publish(actor, 0, "127.0.0.1");
  if (!port) ::_exit(1);
  served s{*port, ntohs(at.sin_port)};
  write_all(out, &s, sizeof s);
  int peer = ::accept(listener, nullptr, nullptr);
  int on = 1;
  ::setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (char asked; ::read(peer, &asked, 1) == 1;) write_all(peer, initial.data(), bytes);
  for (;;) ::pause(); // the shard serves on, until it is killed
}

class shard_process {
 public:
  explicit shard_process(std::size_t bytes) {
    int ends[2];
    if (::pipe(ends) != 0) fail("no pipe");
    pid_ = ::fork();
    if (pid_ == 0) serve(ends[1], bytes);
    ::close(ends[1]);
    pollfd ready{ends[0], POLLIN, 0};
    if (::poll(&ready, 1, 30'000) != 1 || ::read(ends[0], &at_, sizeof at_) != sizeof at_)
      fail("the shard's process did not start");
    ::close(ends[0]);
  }
  ~shard_process() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  const served& at() const { return at_; }

 private:
  pid_t pid_;
  served at_{};
};

// -- the client
// ------------------------------------------------------------------------------------

// One order of the benchmark, answered when the range has landed or the push is confirmed.
struct pull_once {};
struct push_once {};
using client_actor = pusher_actor::extend<caf::replies_to<pull_once>::with<bool>,
                                          caf::replies_to<push_once>::with<bool>>;

struct client_state {
  // First, so that CAF makes the state of nothing, not of its actor.
  transport::peer link{0, nullptr};
  shard_actor shard;
  tensor::aligned_vector<float> target;
  shareable_array gradient;
  range_pulls pulls;
  transfer_ids ids{0};
  clock_value clock = 0;
  caf::typed_response_promise<bool> promise;
};

client_actor::behavior_type client(client_actor::stateful_pointer<client_state> self,
                                   shard_actor to, std::size_t bytes) {
  auto& s = self->state;
  s.shard = std::move(to);
  s.target.resize(bytes / sizeof(float));
  const auto pools = pools_of(self->system());
  s.link = transport::peer{0, pools.get()};
  s.gradient = make_shareable(bytes / sizeof(float), pools);
  std::ranges::fill(*s.gradient, 1e-6f);
  auto post = [self, &s](auto&& what) { self->send(s.shard, std::forward<decltype(what)>(what)); };
  auto landed = [&s](const auto& whole) {
    if (whole) s.promise.deliver(true);
  };
  auto take = [&s, landed, post](const part& p) {
    auto whole = s.pulls.add(p);
    s.link.take(p);
    s.link.post_credit(post);
    landed(whole);
  };
  return {
      [&s, landed, take](const parameters& p) {
        landed(s.pulls.announced(0, p.transfer, p.own_applied, p.seen_updates));
        for (const auto& first : p.first) take(first);
      },
      take,
      [&s, post](const credit& c) { s.link.take(c, post); },
      [&s](const pushed& p) {
        s.link.answered(p.transfer, p.key);
        s.promise.deliver(true);
      },
      [self, &s](pull_once) -> caf::result<bool> {
        auto id = s.ids.next();
        s.pulls.begin(0, s.target, id);
        s.link.asked();
        self->send(s.shard, pull{worker_id{0}, s.clock, 0, id, puller_actor{self}, s.link.key()});
        return s.promise = self->make_response_promise<bool>();
      },
      [self, &s, post](push_once) -> caf::result<bool> {
        auto id = s.ids.next();
        batch_id batch{0, static_cast<std::uint32_t>(s.clock)};
        s.link.send(
            {id, s.gradient, s.gradient->data(), s.gradient->size() * sizeof(float)},
            [&](std::vector<part> first) {
              self->send(s.shard, push{worker_id{0}, s.clock, batch, s.clock, id,
                                       pusher_actor{self}, std::move(first)});
            },
            post);
        ++s.clock;
        return s.promise = self->make_response_promise<bool>();
      },
  };
}

template <class Order>
void order(caf::scoped_actor& self, const client_actor& c) {
  self->request(c, std::chrono::seconds(30), Order{})
      .receive([](bool) {}, [](const caf::error& e) { fail("no answer: " + reason_of(e)); });
}

int connect_raw(std::uint16_t port) {
  int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) fail("no raw connection");
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

nlohmann::json row(std::size_t bytes, const char* what, const figures& f, const figures& limit) {
  auto ratio = limit.mb_per_second > 0 ? f.mb_per_second / limit.mb_per_second : 0;
  std::printf("%10zu  %-10s %10.0f MB/s  %5.2f of raw TCP  p50 %9.0f us  p99 %9.0f us  n %zu\n",
              bytes, what, f.mb_per_second, ratio, f.p50_us, f.p99_us, f.count);
  std::fflush(stdout);
  return {{"bytes", bytes},      {"what", what},       {"mb_per_second", f.mb_per_second},
          {"of_raw_tcp", ratio}, {"p50_us", f.p50_us}, {"p99_us", f.p99_us},
          {"count", f.count}};
}

} // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pull_once)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(push_once)

int main(int argc, char** argv) {
  double seconds = 1;
  std::string json_file, streams_of;
  troupe::bench::command_line line("Pulls, pushes, streams and requests between two processes.",
                                   json_file);
  line.app.add_option("--seconds", seconds, "Of each measurement")->check(troupe::bench::duration);
  line.app.add_option("--streams", streams_of, "Those over one path, and nothing else")
      ->check(CLI::IsMember({"messages", "bulk", "shared memory"}));
  line.app.add_flag("!--no-shared-memory", share_memory, "Nothing goes through shared memory");
  line.read(argc, argv);
  auto all = troupe::bench::origin("wire", troupe::bench::command_of(argc, argv));
  troupe::bench::print_origin(all);
  nlohmann::json rows = nlohmann::json::array();
  for (std::size_t bytes : {64u << 10, 1u << 20, 4u << 20, 16u << 20, 64u << 20}) {
    if (!streams_of.empty()) break;
    shard_process other{bytes};
    std::vector<char> from(bytes, 1), to(bytes);
    int raw = connect_raw(other.at().raw_port);
    auto limit = measure(bytes, seconds, [&] {
      char ask = 1;
      write_all(raw, &ask, 1);
      read_all(raw, to.data(), bytes);
    });
    ::close(raw);
    auto copied = measure(bytes, seconds / 4, [&] {
      std::memcpy(to.data(), from.data(), bytes);
      asm volatile("" : : "r"(to.data()) : "memory");
    });
    system_config config{true};
    if (!share_memory) config.pools->disable();
    caf::actor_system system{config};
    auto reached = connect<shard_actor>(system, {"127.0.0.1", other.at().shard_port},
                                        std::chrono::seconds(10));
    if (!reached) fail(reason_of(reached.error()));
    auto c = system.spawn(client, *reached, bytes);
    {
      caf::scoped_actor self{system};
      rows.push_back(row(bytes, "raw TCP", limit, limit));
      rows.push_back(row(bytes, "memcpy", copied, limit));
      rows.push_back(
          row(bytes, "pull", measure(bytes, seconds, [&] { order<pull_once>(self, c); }), limit));
      rows.push_back(
          row(bytes, "push", measure(bytes, seconds, [&] { order<push_once>(self, c); }), limit));
    }
    caf::anon_send_exit(c, caf::exit_reason::user_shutdown);
  }
  auto streams = troupe::bench::stream_table(seconds, streams_of);
  all.update({{"seconds_each", seconds}, {"rows", rows}, {"streams", streams}});
  if (!troupe::bench::write_json(json_file, all)) fail(json_file + ": cannot write");
}
