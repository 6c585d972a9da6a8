// Between two processes: what this one sends comes back as it was sent.
#include "troupe/actors/messages.hpp"

#include <csignal>
#include <cstdio>
#include <random>
#include <thread>

#include <caf/io/all.hpp>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe/actors/connect.hpp"
#include "troupe/actors/system_config.hpp"

using namespace troupe::actors;

namespace {

using echo_actor = caf::typed_actor<caf::replies_to<part>::with<part>,
                                    caf::replies_to<batch_done>::with<batch_done>>;

// A child process that publishes an echo and writes its port to `out`; never returns.
[[noreturn]] void run_echo(int out) {
  {
    system_config config{true};
    caf::actor_system system{config};
    auto echo = system.spawn([](echo_actor::pointer) -> echo_actor::behavior_type {
      return {[](const part& p) { return p; }, [](const batch_done& d) { return d; }};
    });
    auto port = system.middleman().publish(echo, 0, "127.0.0.1");
    std::uint16_t number = port ? *port : 0;
    if (::write(out, &number, sizeof number) != sizeof number) ::_exit(1);
    ::pause(); // until it is killed
  }
  ::_exit(0);
}

class echo_process {
 public:
  echo_process() {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) run_echo(ends[1]);
    ::close(ends[1]);
    pollfd ready{ends[0], POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 20'000) == 1);
    REQUIRE(::read(ends[0], &port_, sizeof port_) == sizeof port_);
    ::close(ends[0]);
    REQUIRE(port_ != 0);
  }
  ~echo_process() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  endpoint address() const { return {"127.0.0.1", port_}; }

 private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
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
  auto& pools = shared_pools::of_process();
  caf::scoped_actor self{system};
  const auto free = pools.free_slots();
  for (std::uint32_t skipped : {0u, 4u, 4096u, block::max_bytes - 4}) {
    const auto* at = reinterpret_cast<const std::byte*>(owner->data()) + skipped;
    part sent{5, 1, 0, block::max_bytes - skipped,
              block{owner, at, block::max_bytes - skipped}.in_shared_memory()};
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
