// Between two processes: what this one sends comes back as it was sent.
#include "troupe/actors/messages.hpp"

#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <caf/io/all.hpp>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../transport/awkward_stream.hpp"
#include "troupe/actors/bulk_routes.hpp"
#include "troupe/actors/connect.hpp"
#include "troupe/actors/system_config.hpp"
#include "troupe/transport/peer.hpp"
#include "troupe/transport/tcp_socket.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;

namespace {

using echo_actor = caf::typed_actor<caf::replies_to<part>::with<part>,
                                    caf::replies_to<batch_done>::with<batch_done>>;

// Whoever sends a credit gets the parts back that come after it.
struct mirror_state {
  // First, so that CAF makes the state of nothing, not of its actor.
  transport::peer link{2, nullptr, 64};
  transfer_actor peer;
};
transfer_actor::behavior_type mirror(transfer_actor::stateful_pointer<mirror_state> self) {
  return {[self](const part& p) {
            auto& s = self->state;
            s.link.send({p}, [&](part as_message) { self->send(s.peer, std::move(as_message)); });
          },
          [self](const credit&) {
            auto& s = self->state;
            s.peer = caf::actor_cast<transfer_actor>(self->current_sender());
            s.link.moved(bulk_lane_to(self->system(), s.peer));
            self->send(s.peer, credit{}); // what goes over a bulk connection may overtake messages
          }};
}

struct ports {
  std::uint16_t echo = 0;
  std::uint16_t mirror = 0;
  contact bulk_of() const { return {"127.0.0.1", 0, bulk, token}; }
  std::uint16_t bulk = 0;
  std::uint64_t token = 0;
};

// A child process that publishes an echo and a mirror and writes its ports to `out`; never returns.
[[noreturn]] void run_echo(int out, const stream_maker& streams) {
  {
    system_config config{true};
    config.streams = streams;
    caf::actor_system system{config};
    auto echo = system.spawn([](echo_actor::pointer) -> echo_actor::behavior_type {
      return {[](const part& p) { return p; }, [](const batch_done& d) { return d; }};
    });
    auto port = system.middleman().publish(echo, 0, "127.0.0.1");
    auto mirror_port = system.middleman().publish(system.spawn(mirror), 0, "127.0.0.1");
    bulk_routes bulk{config, system, "127.0.0.1", {}};
    const auto at = bulk.reached_at({});
    const ports p{port ? *port : std::uint16_t{0}, mirror_port ? *mirror_port : std::uint16_t{0},
                  at.bulk_port, at.bulk_token};
    if (::write(out, &p, sizeof p) != sizeof p) ::_exit(1);
    ::pause(); // until it is killed
  }
  ::_exit(0);
}

class echo_process {
 public:
  explicit echo_process(const stream_maker& streams = {}) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) run_echo(ends[1], streams);
    ::close(ends[1]);
    pollfd ready{ends[0], POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 20'000) == 1);
    REQUIRE(::read(ends[0], &at, sizeof at) == sizeof at);
    ::close(ends[0]);
    REQUIRE(at.echo != 0);
  }
  ~echo_process() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  endpoint address() const { return {"127.0.0.1", at.echo}; }
  void kill() const { ::kill(pid_, SIGKILL); }

  ports at;

 private:
  pid_t pid_ = -1;
};

} // namespace

TEST_CASE("NaN, infinities, subnormals and every other bit pattern cross between processes "
          "unharmed") {
  echo_process other;
  system_config config{true};
  caf::actor_system system{config};
  auto echo = connect<echo_actor>(system, other.address(), std::chrono::seconds(10));
  REQUIRE(echo);
  std::vector<std::uint32_t> words{0x7fc00001, 0xffc12345, 0x7f800000, 0xff800000,
                                   0x7f800001, 0x00000001, 0x807fffff, 0x80000000};
  std::mt19937 random{7};
  while (words.size() < block::max_bytes / 4) words.push_back(static_cast<std::uint32_t>(random()));
  auto owner = std::make_shared<std::vector<std::uint32_t>>(words);
  caf::scoped_actor self{system};
  for (const auto& sent : cut(5, 1, owner, owner->data(), block::max_bytes)) {
    self->request(*echo, std::chrono::seconds(10), sent)
        .receive(
            [&](const part& back) {
              CHECK(back.transfer == sent.transfer);
              CHECK(back.offset == sent.offset);
              CHECK(back.total == sent.total);
              CHECK(std::ranges::equal(back.data.bytes(), sent.data.bytes()));
            },
            [](const caf::error& err) { FAIL(reason_of(err)); });
  }
  // The loss of a diverged batch.
  for (double loss : {std::numeric_limits<double>::quiet_NaN(),
                      std::numeric_limits<double>::infinity(), 5e-324, -0.0}) {
    batch_done sent{{1}, {2, 3}, 4, std::bit_cast<std::uint64_t>(loss)};
    self->request(*echo, std::chrono::seconds(10), sent)
        .receive([&](const batch_done& back) { CHECK(back.loss_bits == sent.loss_bits); },
                 [](const caf::error& err) { FAIL(reason_of(err)); });
  }
}

TEST_CASE("the same through shared memory, from this process to another (BLOCK-3)") {
  echo_process other;
  system_config config{true};
  caf::actor_system system{config};
  auto echo = connect<echo_actor>(system, other.address(), std::chrono::seconds(10));
  REQUIRE(echo);
  std::vector<std::uint32_t> words{0x7fc00001, 0xff800000, 0x7f800001, 0x00000001, 0x80000000};
  std::mt19937 random{7};
  while (words.size() < block::max_bytes / 4) words.push_back(static_cast<std::uint32_t>(random()));
  auto owner = std::make_shared<std::vector<std::uint32_t>>(words);
  auto& pools = *config.pools;
  caf::scoped_actor self{system};
  const auto free = pools.free_slots();
  for (std::uint32_t skipped : {0u, 4u, 4096u, block::max_bytes - 4}) {
    const auto* at = reinterpret_cast<const std::byte*>(owner->data()) + skipped;
    part sent{5, 1, 0, block::max_bytes - skipped,
              block{owner, at, block::max_bytes - skipped}.in_shared_memory(pools)};
    REQUIRE(pools.contains(sent.data.bytes().data()));
    self->request(*echo, std::chrono::seconds(10), sent)
        .receive(
            [&](const part& back) {
              CHECK_FALSE(back.data.unreadable());
              CHECK(std::ranges::equal(back.data.bytes(), std::span(at, sent.data.size())));
            },
            [](const caf::error& err) { FAIL(reason_of(err)); });
  }
  // The other process lets go of a slot when it has destroyed its message, which may be after the
  // answer.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (pools.free_slots() != free && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  CHECK(pools.free_slots() == free);
}

namespace {

// Collects parts that come to an actor of this process.
struct inbox {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<part> parts;
  bool introduced = false;
  bool is_introduced() {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), [&] { return introduced; });
  }
  // In however many parts: as messages they are smaller than over a bulk connection.
  bool holds(std::uint64_t bytes) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), [&] {
      std::uint64_t held = 0;
      for (const auto& p : parts) held += p.data.size();
      return held >= bytes;
    });
  }
};

template <class Condition>
bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  return condition();
}

} // namespace

TEST_CASE("the same over a bulk connection, there and back; and as messages when it is gone") {
  echo_process other;
  system_config config{true};
  config.pools->disable();
  caf::actor_system system{config};
  auto mirrored =
      connect<transfer_actor>(system, {"127.0.0.1", other.at.mirror}, std::chrono::seconds(10));
  REQUIRE(mirrored);
  std::vector<std::uint32_t> words{0x7fc00001, 0xff800000, 0x7f800001, 0x00000001, 0x80000000};
  std::mt19937 random{7};
  while (words.size() < 3 * block::max_bytes / 4 + 100)
    words.push_back(static_cast<std::uint32_t>(random()));
  auto owner = std::make_shared<std::vector<std::uint32_t>>(words);
  const auto bytes = words.size() * 4;
  auto got = std::make_shared<inbox>();
  auto here = system.spawn([got](transfer_actor::pointer) -> transfer_actor::behavior_type {
    return {[got](const part& p) {
              std::lock_guard lock(got->mutex);
              got->parts.push_back(p);
              got->changed.notify_all();
            },
            [got](const credit&) {
              std::lock_guard lock(got->mutex);
              got->introduced = true;
              got->changed.notify_all();
            }};
  });
  // The registry holds whoever another process knows.
  const auto end_it = [](transfer_actor* a) {
    caf::anon_send_exit(*a, caf::exit_reason::user_shutdown);
  };
  std::unique_ptr<transfer_actor, decltype(end_it)> ends_with_the_test{&here, end_it};
  auto introduce = [&] {
    {
      std::lock_guard lock(got->mutex);
      got->parts.clear();
      got->introduced = false;
    }
    caf::send_as(here, *mirrored, credit{});
    REQUIRE(got->is_introduced());
  };
  auto came_back = [&] {
    std::map<std::uint64_t, block> sorted;
    for (const auto& p : got->parts) sorted.emplace(p.offset, p.data);
    std::uint64_t at = 0;
    for (const auto& [offset, data] : sorted) {
      if (offset != at ||
          std::memcmp(data.bytes().data(), reinterpret_cast<std::byte*>(owner->data()) + at,
                      data.size()) != 0)
        return false;
      at += data.size();
    }
    return at == bytes;
  };
  transport::peer out{2, nullptr};
  std::vector<part> posted;
  const auto post = [&](part p) { posted.push_back(std::move(p)); };
  {
    bulk_routes bulk{config, system, {}, {}};
    auto lane = bulk_lane_to(system, *mirrored);
    REQUIRE(lane);
    bulk.keep(mirrored->node(), other.at.bulk_of());
    REQUIRE(comes_true([&] { return lane->open(); }));
    introduce();
    out.reach_over(lane);
    out.send({1, owner, owner->data(), bytes}, post);
    REQUIRE(posted.size() == 1);
    const auto small = posted.front(); // the last 400 bytes
    CHECK(small.data.size() == 400);
    caf::send_as(here, *mirrored, small);
    REQUIRE(got->holds(bytes));
    for (const auto& p : got->parts) CHECK(p.data.received()); // TRANSFER-8
    CHECK(came_back());
    // Of an actor that takes no parts, and of one that is not there, nobody hears.
    auto echo = connect<echo_actor>(system, other.address(), std::chrono::seconds(10));
    REQUIRE(echo);
    bulk_lane_to(system, *echo)->send(small);
    bulk_lane_to(system, mirrored->node(), 1u << 30)->send(small);
    lane->send(small);
    REQUIRE(got->holds(bytes + small.data.size()));
    CHECK(got->parts.back().transfer == 1);
    out.answered(1, 0);
  }
  CHECK_FALSE(bulk_lane_to(system, *mirrored)->open());
  introduce();
  posted.clear();
  out.send({2, owner, owner->data(), bytes}, post);
  for (const auto& p : posted) caf::send_as(here, *mirrored, p);
  CHECK(posted.size() == 13);
  REQUIRE(got->holds(bytes));
  CHECK(came_back());
}

namespace {

// What the kernel keeps at most of what is sent, for each TCP connection of this process but one.
std::vector<int> send_buffers(int but) {
  std::vector<int> sizes;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (fd == but || ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 ||
        peer.ss_family == AF_UNIX)
      continue;
    int bytes = 0;
    size = sizeof bytes;
    if (::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) == 0) sizes.push_back(bytes);
  }
  return sizes;
}

} // namespace

TEST_CASE("little waits in the kernel for a peer that is near, of messages and of bulk data") {
  echo_process other;
  system_config config{true};
  caf::actor_system system{config};
  bulk_routes bulk{config, system, {}, {}};
  auto connected = connect<echo_actor>(system, other.address(), std::chrono::seconds(10));
  REQUIRE(connected);
  bulk.keep(connected->node(), other.at.bulk_of());
  auto here = system.spawn(mirror);
  auto published = system.middleman().publish(here, 0, "127.0.0.1");
  REQUIRE(published);
  auto accepted = tcp_connect("127.0.0.1", *published,
                              std::chrono::steady_clock::now() + std::chrono::seconds(10));
  REQUIRE(accepted.error == 0);
  // One of messages that was made, one that was accepted, and a bulk connection each way.
  const std::vector<int> bounded(4, 2 * near_send_buffer); // the kernel counts what it adds
  CHECK(comes_true([&] { return send_buffers(accepted.socket.fd()) == bounded; }));
  caf::anon_send_exit(here, caf::exit_reason::user_shutdown);
}

TEST_CASE("messages and bulk data go through the stream of the configuration") {
  const stream_maker awkward = [](tcp_socket s, stream_side side) {
    return std::make_unique<awkward_stream>(std::move(s), side, false);
  };
  echo_process other{awkward};
  const auto values = std::make_shared<std::vector<float>>(2 * block::max_bytes / sizeof(float), 7);
  const auto parts = cut(5, 1, values, values->data(), 2 * block::max_bytes);
  {
    system_config config{true};
    config.streams = awkward;
    caf::actor_system system{config};
    auto echo = connect<echo_actor>(system, other.address(), std::chrono::seconds(10));
    REQUIRE(echo);
    caf::scoped_actor self{system};
    for (const auto& sent : parts)
      self->request(*echo, std::chrono::seconds(10), sent)
          .receive(
              [&](const part& back) {
                CHECK(std::ranges::equal(back.data.bytes(), sent.data.bytes()));
              },
              [](const caf::error& err) { FAIL(reason_of(err)); });
    bulk_routes bulk{config, system, {}, {}};
    bulk.keep(echo->node(), other.at.bulk_of());
    const auto lane = bulk_lane_to(system, *echo);
    CHECK(comes_true([&] { return lane->open(); }));
  }
  // A process without that stream understands nothing.
  system_config plain{true};
  caf::actor_system system{plain};
  CHECK_FALSE(connect<echo_actor>(system, other.address(), std::chrono::milliseconds(500)));
}

TEST_CASE("an address where nobody listens is unreachable by name, and at once") {
  system_config config{true};
  caf::actor_system system{config};
  auto reached = connect<node_actor>(system, {"127.0.0.1", 1}, std::chrono::seconds(10));
  REQUIRE_FALSE(reached);
  CHECK(reason_of(reached.error()).find("127.0.0.1:1") != std::string::npos);
  CHECK(reason_of(reached.error()).find("refused") != std::string::npos);
}

TEST_CASE("a port that accepts and stays silent is given up within the timeout") {
  int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  REQUIRE(::listen(listener, 4) == 0);
  socklen_t size = sizeof at;
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) == 0);
  {
    system_config config{true};
    caf::actor_system system{config};
    auto begun = std::chrono::steady_clock::now();
    auto reached = connect<node_actor>(system, {"127.0.0.1", ntohs(at.sin_port)},
                                       std::chrono::milliseconds(300));
    CHECK_FALSE(reached);
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  }
  ::close(listener);
}

TEST_CASE("a Troupe process of another kind is not taken for the one expected") {
  echo_process other;
  system_config config{true};
  caf::actor_system system{config};
  auto reached = connect<node_actor>(system, other.address(), std::chrono::seconds(10));
  REQUIRE_FALSE(reached);
  CHECK(reason_of(reached.error()).find("not the Troupe process") != std::string::npos);
}

TEST_CASE("endpoints are read and written, and a bad one is named") {
  CHECK(parse_endpoint("localhost:80").host == "localhost");
  CHECK(parse_endpoint("[::1]:4000").host == "::1");
  CHECK(to_string(parse_endpoint("[::1]:4000")) == "[::1]:4000");
  for (const auto* bad :
       {"", "host", "host:", ":80", "host:x", "host:65536", "host:-1", "::1:80", "host:80x"}) {
    INFO(bad);
    CHECK_THROWS_WITH(parse_endpoint(bad), Catch::Contains("'" + std::string{bad} + "'"));
  }
}
