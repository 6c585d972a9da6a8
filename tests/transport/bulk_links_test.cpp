#include "troupe/transport/bulk_links.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <optional>

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bulk_links_stage.hpp"

using namespace troupe::transport;

TEST_CASE("parts cross both ways, unharmed and in order") {
  pair_of p;
  const std::vector<std::uint32_t> sizes{
      1, 4, 47, 48, 49, 65536, bulk_max_bytes - 1, bulk_max_bytes};
  for (std::uint64_t i = 0; i < sizes.size(); ++i) {
    CHECK(p.a.links->send("B", part_of(i, sizes[i])) != 0);
    CHECK(p.b.links->send("A", part_of(100 + i, sizes[i])) != 0);
  }
  REQUIRE(p.a.got(sizes.size()));
  REQUIRE(p.b.got(sizes.size()));
  const auto at_a = p.a.take(), at_b = p.b.take();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    INFO(sizes[i]);
    CHECK(is_part_of(at_b[i], i, sizes[i]));
    CHECK(is_part_of(at_a[i], 100 + i, sizes[i]));
    CHECK(reinterpret_cast<std::uintptr_t>(at_b[i].data.data) % 4096 == 0);
  }
  CHECK(p.a.lines() + p.b.lines() == 0);
}

TEST_CASE("what the link cannot take it does not take, and a sender's memory is let go when it is "
          "written") {
  pair_of p;
  CHECK(p.a.links->send("C", part_of(1, 8)) == 0); // nobody
  CHECK(p.a.links->send("B", part_of(1, 0)) == 0);
  CHECK(p.a.links->send("B", part_of(1, bulk_max_bytes + 1)) == 0);
  auto part = part_of(2, 1000);
  std::weak_ptr<const void> owner = part.data.owner;
  CHECK(p.a.links->send("B", std::move(part)) != 0);
  REQUIRE(p.b.got(1));
  CHECK(comes_true([&] { return owner.expired(); }));
  p.a.links->use(false);
  CHECK_FALSE(p.a.links->open("B"));
  CHECK(p.a.links->send("B", part_of(3, 8)) == 0);
  p.a.links->use(true);
  CHECK(p.a.links->send("B", part_of(3, 8)) != 0);
}

TEST_CASE("a part for nobody is dropped, and those after it arrive (BULK-3)") {
  pair_of p;
  p.a.links->send("B", part_of(1, bulk_max_bytes, receiver + 1));
  p.a.links->send("B", part_of(2, 70'001, receiver + 1));
  p.a.links->send("B", part_of(3, 12));
  REQUIRE(p.b.got(1));
  const auto at_b = p.b.take();
  REQUIRE(at_b.size() == 1);
  CHECK(is_part_of(at_b[0], 3, 12));
}

TEST_CASE("who does not name the token is refused, with the reason, and harms nobody (BULK-2)") {
  pair_of p;
  stranger wrong{p.at_b}, other{p.at_b};
  wrong.say(encode(bulk_greeting{p.at_b.token ^ 1, bulk_sender::connecting, "A"}));
  CHECK(wrong.is_closed());
  CHECK(p.b.was_told("a wrong token"));
  std::array<std::byte, greeting_bytes> noise{};
  noise.fill(std::byte{'x'});
  other.say(noise);
  CHECK(other.is_closed());
  CHECK(p.b.was_told("does not speak"));
  p.a.links->send("B", part_of(1, 100));
  CHECK(p.b.got(1));
}

TEST_CASE(
    "one who says nothing is heard for a bounded time, and a bounded number at once (BULK-2)") {
  bulk_links::options o;
  o.greeting_timeout = std::chrono::milliseconds(200);
  o.guests_max = 2;
  process b{"B", o};
  const auto at = b.links->listen("127.0.0.1");
  stranger first{at}, second{at}, third{at};
  CHECK(third.is_closed());
  CHECK(first.is_closed());
  CHECK(second.is_closed());
}

TEST_CASE("without a free descriptor the listener rests, and takes who waited when there is one") {
  process b{"B"};
  const auto at = b.links->listen("127.0.0.1");
  tcp_socket guest{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int lowest_free = ::dup(guest.fd());
  ::close(lowest_free);
  const rlimit none{static_cast<rlim_t>(lowest_free), before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(at.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto processor_ms = [] { return std::clock() / (CLOCKS_PER_SEC / 1000); };
  const auto begun = processor_ms();
  const bool connected = ::connect(guest.fd(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  // Nothing is to come; a listener that asks again and again would take all of this time.
  const int came =
      wait_for_socket(guest.fd(), POLLIN, clock_type::now() + std::chrono::milliseconds(400));
  const auto used = processor_ms() - begun;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(connected);
  CHECK(came == ETIMEDOUT);
  CHECK(used < 200);
  const auto said = encode(bulk_greeting{at.token, bulk_sender::listening, "A"});
  REQUIRE(::send(guest.fd(), said.data(), said.size(), MSG_NOSIGNAL) == greeting_bytes);
  CHECK(comes_true([&] { return b.links->open("A"); }));
}

TEST_CASE("a malformed part closes its own connection, with the reason, and no other (BULK-1)") {
  pair_of p;
  const bulk_frame good{8, receiver, 1, 3, 0, 8};
  auto too_long = good, beyond = good;
  too_long.size = std::numeric_limits<std::uint32_t>::max();
  too_long.total = std::numeric_limits<std::uint64_t>::max();
  beyond.offset = std::numeric_limits<std::uint64_t>::max() - 3;
  auto unmarked = encode(good);
  unmarked[2] = std::byte{0};
  for (const auto& bytes : {encode(too_long), encode(beyond), unmarked}) {
    stranger s{p.at_b};
    s.say(encode(bulk_greeting{p.at_b.token, bulk_sender::connecting, "M"}));
    s.say(bytes);
    CHECK(s.is_closed());
  }
  CHECK(p.b.was_told("with M was closed: expected a part of 1 to 1048576 bytes, found 4294967295"));
  CHECK(p.b.was_told("expected a part within its transfer"));
  CHECK(p.b.was_told("what should begin a part does not"));
  CHECK(p.b.take().empty());
  p.a.links->send("B", part_of(1, 100));
  CHECK(p.b.got(1));
}

TEST_CASE("a process of another name at a peer's address is not taken for the peer") {
  bulk_links::options o;
  o.retries = 0;
  process a{"A", o}, b{"B"};
  a.links->keep("C", b.links->listen("127.0.0.1"));
  CHECK(a.was_told("expected C there, found B"));
  CHECK_FALSE(a.links->open("C"));
}

TEST_CASE("a peer that reads nothing holds up nobody else, and its parts break with it (BULK-4)") {
  pair_of p;
  process c{"C"};
  stranger stuck{p.at_b};
  stuck.say(encode(bulk_greeting{p.at_b.token, bulk_sender::listening, "stuck"}));
  REQUIRE(comes_true([&] { return p.b.links->open("stuck"); }));
  std::vector<std::weak_ptr<const void>> held;
  std::uint64_t connection = 0;
  for (std::uint64_t i = 0; i < 32; ++i) { // more than the kernel takes
    auto part = part_of(i, bulk_max_bytes);
    held.push_back(part.data.owner);
    connection = p.b.links->send("stuck", std::move(part));
    REQUIRE(connection != 0);
  }
  for (std::uint64_t i = 0; i < 32; ++i) p.b.links->send("A", part_of(i, bulk_max_bytes));
  REQUIRE(p.a.got(32));
  CHECK_FALSE(held.back().expired());
  CHECK_FALSE(p.b.links->broke(connection));
  ::shutdown(stuck.fd(), SHUT_RDWR);
  CHECK(comes_true([&] { return p.b.links->broke(connection); }));
  CHECK_FALSE(p.b.links->open("stuck"));
  CHECK(comes_true([&] { return std::ranges::all_of(held, [](auto& h) { return h.expired(); }); }));
}

TEST_CASE("a connection that breaks is made again, and one that is refused given up (BULK-5)") {
  bulk_links::options o;
  o.first_retry = std::chrono::milliseconds(1);
  o.retries = 4;
  process a{"A", o};
  auto listening = tcp_listen("127.0.0.1", 0, 8);
  REQUIRE(listening.socket.open());
  a.links->keep("B", {"127.0.0.1", port_of(listening.socket), 77});
  std::uint64_t before = 0;
  auto answered = [&](bulk_sender sender) {
    REQUIRE(wait_for_socket(listening.socket.fd(), POLLIN, clock_type::now() + patience) == 0);
    tcp_socket s{::accept4(listening.socket.fd(), nullptr, nullptr, 0)};
    std::array<std::byte, greeting_bytes> said;
    REQUIRE(::recv(s.fd(), said.data(), said.size(), MSG_WAITALL) == greeting_bytes);
    bulk_greeting g;
    std::string why;
    REQUIRE(decode(said, g, why));
    CHECK(g.name == "A");
    CHECK(g.token == 77);
    CHECK(g.sender == sender);
    const auto answer = encode(bulk_greeting{0, sender, "B"});
    REQUIRE(::send(s.fd(), answer.data(), answer.size(), MSG_NOSIGNAL) == greeting_bytes);
    return s;
  };
  for (int i = 0; i < 4; ++i) {
    auto there = answered(bulk_sender::connecting), back = answered(bulk_sender::listening);
    std::uint64_t now = 0;
    REQUIRE(comes_true([&] { return (now = a.links->send("B", part_of(1, 8))) > before; }));
    before = now;
    // Whichever breaks, both are made anew; so they are when the peer sends on the wrong one.
    if (i == 2)
      REQUIRE(::send(there.fd(), "x", 1, MSG_NOSIGNAL) == 1);
    else
      ::shutdown((i == 0 ? there : back).fd(), SHUT_RDWR);
    REQUIRE(comes_true([&] { return a.links->broke(now); }));
  }
  CHECK(a.was_told("sends where it is to receive"));
  CHECK_FALSE(a.links->open("B"));
}

TEST_CASE("a peer that is reached anew gets a new connection, and the one before ends") {
  pair_of p;
  const auto first = p.a.links->send("B", part_of(1, 8));
  const auto first_back = p.b.links->send("A", part_of(1, 8));
  p.a.links->keep("B", p.at_b);
  REQUIRE(comes_true([&] { return p.a.links->broke(first) && p.b.links->broke(first_back); }));
  REQUIRE(p.a.links->open("B"));
  CHECK(p.a.links->send("B", part_of(2, 8)) > first);
  CHECK(comes_true([&] { return p.b.got(1) && p.b.take().back().transfer == 2; }));
}

TEST_CASE(
    "stopping waits for nobody: not for a silent listener, nor for a peer that reads nothing") {
  auto silent = tcp_listen("127.0.0.1", 0, 8);
  bulk_links::options o;
  o.dial_timeout = std::chrono::minutes(5);
  process a{"A", o};
  a.links->keep("S", {"127.0.0.1", port_of(silent.socket), 1});
  const auto at = a.links->listen("127.0.0.1");
  stranger stuck{at};
  stuck.say(encode(bulk_greeting{at.token, bulk_sender::listening, "stuck"}));
  REQUIRE(comes_true([&] { return a.links->open("stuck"); }));
  for (std::uint64_t i = 0; i < 16; ++i) a.links->send("stuck", part_of(i, bulk_max_bytes));
  const auto begun = clock_type::now();
  a.links->stop();
  CHECK(clock_type::now() - begun < patience);
  CHECK(a.links->send("stuck", part_of(1, 8)) == 0);
  a.links->stop();
}

TEST_CASE("many threads send at once while connections are made, broken and ended") {
  pair_of p;
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> sent{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; !over && i < 2000; ++i) {
        auto& from = t == 0 ? p.b : p.a;
        if (from.links->send(t == 0 ? "A" : "B", part_of(i, 4096)) != 0) ++sent;
        from.links->open("B");
        from.links->broke(i);
      }
    });
  for (int i = 0; i < 5; ++i) {
    p.a.links->keep("B", p.at_b);
    REQUIRE(p.b.got(1));
    p.b.take();
  }
  p.b.links->stop();
  over = true;
  for (auto& t : threads) t.join();
  CHECK(sent > 0);
  for (const auto& part : p.a.take()) CHECK(is_part_of(part, part.transfer, 4096));
}

TEST_CASE("a buffer is used again when nobody holds it, and only so many are kept") {
  receive_buffers buffers{2};
  auto* first = buffers.take(bulk_max_bytes).get();
  CHECK(buffers.kept() == 1);
  auto again = buffers.take(300'000);
  CHECK(again.get() == first);
  CHECK(buffers.kept() == 0);
  CHECK(buffers.take(100).get() != first); // of another size
  {
    auto a = buffers.take(bulk_max_bytes), b = buffers.take(bulk_max_bytes);
    CHECK(a.get() != again.get());
    CHECK(a.get() != b.get());
    again.reset();
  }
  CHECK(buffers.kept() == 3); // two of this size, one small one
  std::optional<receive_buffers> gone{std::in_place, 2};
  auto outlives = gone->take(10);
  gone.reset();
  std::memset(outlives.get(), 1, 10);
}
