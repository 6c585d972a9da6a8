#include "wire_stream.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.hpp"
#include "troupe/actors/bulk_routes.hpp"
#include "troupe/actors/connect.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/actors/system_config.hpp"
#include "troupe/transport/peer.hpp"
#include "troupe/transport/shareable_array.hpp"
#include "wire_raw.hpp"

namespace troupe::bench {

namespace {

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
using bench_clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "bench_wire: " << why << '\n';
  std::exit(1);
}

double since(bench_clock::time_point begun) {
  return std::chrono::duration<double>(bench_clock::now() - begun).count();
}

// -- one end of a stream --------------------------------------------------------------------------

struct stream_for { // to the peer; answered when it is over
  std::uint64_t us = 0;
};
struct taken { // asked of a receiver: the bytes so far
  std::uint64_t bytes = 0;
};
struct question { // its answer says the same
  std::string text;
};
struct peer_is;
using end_actor = transfer_actor::extend<
    caf::replies_to<stream_for>::with<taken>, caf::replies_to<taken>::with<taken>,
    caf::replies_to<question>::with<question>, caf::replies_to<peer_is>::with<taken>>;
struct peer_is {
  end_actor peer;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stream_for& x) {
  return f(caf::meta::type_name("stream_for"), x.us);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, taken& x) {
  return f(caf::meta::type_name("taken"), x.bytes);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, question& x) {
  return f(caf::meta::type_name("question"), x.text);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, peer_is& x) {
  return f(caf::meta::type_name("peer_is"), x.peer);
}

// How parts travel.
enum class way_of_parts { messages, bulk_connection, shared_memory };

struct bench_config : system_config {
  explicit bench_config(way_of_parts way) : system_config(true) {
    if (way != way_of_parts::shared_memory) pools->disable();
    add_message_type<stream_for>("bench::stream_for");
    add_message_type<taken>("bench::taken");
    add_message_type<question>("bench::question");
    add_message_type<peer_is>("bench::peer_is");
  }
};

// Blocks are transfers between production peers, with their window, parts and credit.
struct end_state {
  // First, so that CAF makes the state of nothing, not of its actor.
  transport::peer link{0, nullptr};
  end_actor peer;
  shareable_array source;
  transfer_ids ids{0};
  taken so_far;
  std::uint64_t sum = 0;
  std::size_t next_block = 0;
  bench_clock::time_point until;
  caf::typed_response_promise<taken> promise; // pending while it streams
};
using end_pointer = end_actor::stateful_pointer<end_state>;

auto poster(end_pointer self) {
  return [self](auto&& what) { self->send(self->state.peer, std::forward<decltype(what)>(what)); };
}

void send_more(end_pointer self) {
  auto& s = self->state;
  if (!s.promise.pending()) return;
  if (bench_clock::now() >= s.until) {
    s.link.lost();
    s.promise.deliver(s.so_far);
    return;
  }
  while (s.link.waiting() == 0) // else the window is full
    s.link.send({s.ids.next(), s.source, block_at(s.source, s.next_block++), block_bytes},
                poster(self));
}

end_actor::behavior_type end_of_stream(end_pointer self) {
  const auto pools = pools_of(self->system());
  self->state.link = transport::peer{0, pools.get()};
  self->state.source = blocks(pools);
  return {[self](const part& p) {
            auto& s = self->state;
            s.sum += touch(p.data.bytes());
            s.so_far.bytes += p.data.size();
            s.link.take(p);
            s.link.post_credit(poster(self));
          },
          [self](const credit& c) {
            self->state.link.take(c, poster(self));
            send_more(self);
          },
          [self](const stream_for& f) -> caf::result<taken> {
            auto& s = self->state;
            s.until = bench_clock::now() + std::chrono::microseconds(f.us);
            s.promise = self->make_response_promise<taken>();
            auto promise = s.promise;
            send_more(self);
            return promise;
          },
          [self](const taken&) { return self->state.so_far; },
          [](const question& q) { return q; },
          [self](const peer_is& p) {
            self->state.peer = p.peer;
            self->state.link.reach_over(bulk_lane_to(self->system(), p.peer));
            return self->state.so_far;
          }};
}

// -- the other process ----------------------------------------------------------------------------

struct served {
  std::uint16_t end = 0, echo = 0, raw = 0, bulk = 0;
  std::uint64_t token = 0;
};

[[noreturn]] void serve(int out, way_of_parts way) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::uint16_t raw_port = 0;
  const int listener = listen_raw(raw_port);
  if (listener < 0) ::_exit(1);
  bench_config config{way};
  caf::actor_system system{config};
  std::optional<bulk_routes> bulk;
  contact own;
  if (way == way_of_parts::bulk_connection)
    own = bulk.emplace(config, system, "127.0.0.1", [](const auto& line) { fail(line); })
              .reached_at({});
  auto end = system.spawn(end_of_stream), echo = system.spawn(end_of_stream);
  auto port = system.middleman().publish(end, 0, "127.0.0.1");
  auto echo_port = system.middleman().publish(echo, 0, "127.0.0.1");
  if (!port || !echo_port) ::_exit(1);
  served s{*port, *echo_port, raw_port, own.bulk_port, own.bulk_token};
  if (::write(out, &s, sizeof s) != sizeof s) ::_exit(1);
  serve_raw(listener);
  ::_exit(1);
}

class other_process {
 public:
  explicit other_process(way_of_parts way) {
    int ends[2];
    if (::pipe(ends) != 0) fail("no pipe");
    pid_ = ::fork();
    if (pid_ == 0) serve(ends[1], way);
    ::close(ends[1]);
    pollfd ready{ends[0], POLLIN, 0};
    if (::poll(&ready, 1, 30'000) != 1 || ::read(ends[0], &at_, sizeof at_) != sizeof at_)
      fail("the other process did not start");
    ::close(ends[0]);
  }
  other_process(const other_process&) = delete;
  other_process& operator=(const other_process&) = delete;
  ~other_process() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  const served& at() const { return at_; }

 private:
  pid_t pid_;
  served at_;
};

// -- the table ------------------------------------------------------------------------------------

constexpr auto patience = std::chrono::seconds(60);

template <class Answer, class Handle, class Request>
Answer ask(caf::scoped_actor& self, const Handle& to, const Request& request) {
  Answer answer;
  self->request(to, patience, request)
      .receive([&](const Answer& a) { answer = a; },
               [](const caf::error& e) { fail("no answer: " + reason_of(e)); });
  return answer;
}

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  double whole = 0, resident = 0;
  statm >> whole >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

// One pair of ends; rates in MB/s, of what the receivers took while the senders sent.
class measured_path {
 public:
  measured_path(way_of_parts way, const other_process& other)
      : other_(other), config_(way), system_(config_),
        bulk_(config_, system_, {}, [](const auto& line) { fail(line); }), self_(system_),
        asker_(system_) {
    here_ = system_.spawn(end_of_stream);
    there_ = reach(other.at().end);
    bulk_.keep(there_.node(), {"127.0.0.1", 0, other.at().bulk, other.at().token});
    auto lane = bulk_lane_to(system_, there_);
    for (auto begun = bench_clock::now(); other.at().bulk != 0 && !lane->open();)
      if (since(begun) > 10) fail("no bulk connection");
    echo_ = reach(other.at().echo);
    ask<taken>(self_, here_, peer_is{there_});
    ask<taken>(self_, there_, peer_is{here_});
    idle_mb_ = resident_mb();
  }
  ~measured_path() { caf::anon_send_exit(here_, caf::exit_reason::user_shutdown); }

  struct rates {
    double there = 0, back = 0;
    std::vector<double> request_us; // ascending
  };
  // With requests, one is due every 5 ms and its time counts from then, so that one that is
  // late does not hide those behind it. They take turns of the same cores, so that a rate is one
  // without them.
  rates stream(bool there, bool back, double seconds, bool requests) {
    const stream_for order{static_cast<std::uint64_t>(seconds * 1e6)};
    auto at_there = bytes_at(there_), at_here = bytes_at(here_);
    auto begun = bench_clock::now();
    std::vector<decltype(self_->request(here_, patience, order))> open;
    if (there) open.push_back(self_->request(here_, patience, order));
    if (back) open.push_back(self_->request(there_, patience, order));
    rates r;
    for (auto due = begun; requests && since(begun) < seconds * 0.9;) {
      due += std::chrono::milliseconds(5);
      std::this_thread::sleep_until(due);
      ask<question>(asker_, echo_, question{std::string(64, 'q')});
      r.request_us.push_back(since(due) * 1e6);
    }
    for (auto& o : open)
      o.receive([](const taken&) {},
                [](const caf::error& e) { fail("no answer: " + reason_of(e)); });
    auto took = since(begun);
    r.there = static_cast<double>(bytes_at(there_) - at_there) / took / 1e6;
    r.back = static_cast<double>(bytes_at(here_) - at_here) / took / 1e6;
    std::ranges::sort(r.request_us);
    return r;
  }

  // By how much the sender's memory is above what it was before it streamed, at most, while the
  // other process is stopped; MB.
  double growth_when_stopped(double seconds) {
    auto answer =
        self_->request(here_, patience, stream_for{static_cast<std::uint64_t>(seconds * 1e6)});
    std::this_thread::sleep_for(std::chrono::milliseconds(50)); // it streams
    ::kill(other_.pid(), SIGSTOP);
    auto stopped = bench_clock::now();
    double most = 0;
    while (since(stopped) < seconds) {
      most = std::max(most, resident_mb());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ::kill(other_.pid(), SIGCONT);
    answer.receive([](const taken&) {},
                   [](const caf::error& e) { fail("no answer: " + reason_of(e)); });
    return most - idle_mb_;
  }

 private:
  end_actor reach(std::uint16_t port) {
    auto reached = connect<end_actor>(system_, {"127.0.0.1", port}, std::chrono::seconds(10));
    if (!reached) fail(reason_of(reached.error()));
    return *reached;
  }
  template <class Handle>
  std::uint64_t bytes_at(const Handle& end) {
    return ask<taken>(self_, end, taken{}).bytes;
  }

  const other_process& other_;
  bench_config config_;
  caf::actor_system system_;
  bulk_routes bulk_;
  caf::scoped_actor self_, asker_;
  end_actor here_;
  end_actor there_, echo_;
  double idle_mb_ = 0;
};

// What raw TCP reaches the same way, in MB/s; 0: not measured.
struct raw_rates {
  double a_connection_each_way = 0;
  double one_connection = 0; // when bytes go both ways
};

nlohmann::json row(const char* path, const char* way, double rate, const raw_rates& raw,
                   const std::vector<double>& requests) {
  const auto p50 = percentile(requests, 50), p99 = percentile(requests, 99);
  const auto of_raw = rate / raw.a_connection_each_way, of_one = rate / raw.one_connection;
  std::printf("%-14s %-5s", path, way);
  if (raw.a_connection_each_way > 0) std::printf(" %6.0f MB/s  %5.2f of raw TCP", rate, of_raw);
  if (raw.one_connection > 0) std::printf("  %5.2f over one connection", of_one);
  if (!requests.empty())
    std::printf("  request p50 %5.0f us  p99 %5.0f us  n %zu", p50, p99, requests.size());
  std::printf("\n");
  std::fflush(stdout);
  nlohmann::json j{{"path", path}, {"way", way}};
  if (raw.a_connection_each_way > 0) j.update({{"mb_per_second", rate}, {"of_raw_tcp", of_raw}});
  if (raw.one_connection > 0) j["of_raw_tcp_over_one_connection"] = of_one;
  if (!requests.empty())
    j.update({{"request_p50_us", p50}, {"request_p99_us", p99}, {"requests", requests.size()}});
  return j;
}

} // namespace

nlohmann::json stream_table(double seconds, const std::string& only) {
  std::printf(
      "\nblocks of 1 MiB in the transport's window, every cache line looked at, and requests "
      "of 64 bytes meanwhile\n");
  auto rows = nlohmann::json::array();
  struct way {
    const char* name;
    bool there, back;
  };
  constexpr way ways[] = {{"there", true, false}, {"back", false, true}, {"both", true, true}};
  struct path_of_table {
    const char* name;
    way_of_parts by;
  };
  constexpr path_of_table paths[] = {{"messages", way_of_parts::messages},
                                     {"bulk", way_of_parts::bulk_connection},
                                     {"shared memory", way_of_parts::shared_memory}};
  for (const auto& [name, by] : paths) {
    if (!only.empty() && only != name) continue;
    other_process other{by};
    measured_path path{by, other};
    rows.push_back(row(name, "idle", 0, {}, path.stream(false, false, seconds, true).request_us));
    path.stream(true, true, seconds / 4, false); // the ends get to know each other
    for (const auto& w : ways) {
      // Just before: the machine is another one a minute later.
      raw_rates raw{raw_streams(other.at().raw, w.there, w.back, seconds)};
      if (w.there && w.back) raw.one_connection = raw_stream(other.at().raw, true, true, seconds);
      if (raw.a_connection_each_way < 0 || raw.one_connection < 0) fail("no raw connection");
      rows.push_back(row("raw TCP", w.name, raw.a_connection_each_way, raw, {}));
      auto r = path.stream(w.there, w.back, seconds, false);
      auto late = path.stream(w.there, w.back, seconds, true).request_us;
      rows.push_back(row(name, w.name, r.there + r.back, raw, late));
    }
    const auto grown = path.growth_when_stopped(2);
    std::printf("%-14s stopped: the sender's memory is %.1f MB above idle\n", name, grown);
    rows.push_back({{"path", name}, {"above_idle_when_stopped_mb", grown}});
  }
  return rows;
}

} // namespace troupe::bench
