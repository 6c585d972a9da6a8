// Bulk connections over a stream that is not plain TCP: what TLS will ask of them.
#include <catch2/catch.hpp>

#include "awkward_stream.hpp"
#include "bulk_links_stage.hpp"

using namespace troupe::transport;

namespace {

using enum stream_result::outcome;

bulk_links::options awkward() {
  bulk_links::options o;
  o.streams = [](tcp_socket s, stream_side side) {
    return std::make_unique<awkward_stream>(std::move(s), side, true);
  };
  return o;
}

} // namespace

TEST_CASE(
    "over a stream that shakes hands and takes few bytes at a time, parts cross both ways in order "
    "(STREAM-1, STREAM-2)") {
  pair_of p{awkward()};
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
  }
  CHECK(p.a.lines() + p.b.lines() == 0);
}

TEST_CASE("what a stream keeps back is written when nothing comes after it (STREAM-3)") {
  pair_of p{awkward()};
  for (std::uint64_t i = 0; i < 20; ++i) {
    p.a.links->send("B", part_of(i, 100));
    REQUIRE(p.b.got(1));
    CHECK(is_part_of(p.b.take().at(0), i, 100));
  }
}

TEST_CASE("more than a turn to a peer that read ahead arrives whole (STREAM-4)") {
  pair_of p{awkward()};
  for (std::uint64_t round = 0; round < 20; ++round) {
    for (std::uint64_t i = 0; i < 4; ++i) p.a.links->send("B", part_of(i, bulk_max_bytes));
    p.a.links->send("B", part_of(4, 20'000));
    REQUIRE(p.b.got(5));
    CHECK(is_part_of(p.b.take().back(), 4, 20'000));
  }
}

TEST_CASE("a peer that reads nothing holds up nobody else, and gets all of it later (STREAM-5)") {
  pair_of p{awkward()};
  auto slow = tcp_connect(p.at_b.host, p.at_b.port, clock_type::now() + patience);
  REQUIRE(slow.error == 0);
  awkward_stream end{std::move(slow.socket), stream_side::connecting, true};
  const auto all = [&](auto step, std::size_t size) {
    for (std::size_t at = 0; at < size;) {
      const auto r = step(at);
      REQUIRE(r.what != ended);
      at += r.bytes;
      if (r.what != moved)
        REQUIRE(wait_for_socket(end.socket().fd(), r.what == wants_input ? POLLIN : POLLOUT,
                                clock_type::now() + patience) == 0);
    }
  };
  auto said = encode(bulk_greeting{p.at_b.token, bulk_sender::listening, "slow"});
  all(
      [&](std::size_t at) {
        const iovec piece{said.data() + at, said.size() - at};
        return end.write({&piece, 1});
      },
      said.size());
  REQUIRE(end.flush().what == moved);
  REQUIRE(comes_true([&] { return p.b.links->open("slow"); }));
  constexpr std::uint64_t parts = 12; // more than the kernel takes, and than a turn
  for (std::uint64_t i = 0; i < parts; ++i) p.b.links->send("slow", part_of(i, bulk_max_bytes));
  for (std::uint64_t i = 0; i < parts; ++i) p.b.links->send("A", part_of(i, bulk_max_bytes));
  REQUIRE(p.a.got(parts));
  std::vector<std::byte> heard(greeting_bytes + parts * (frame_bytes + bulk_max_bytes));
  all(
      [&](std::size_t at) {
        const iovec piece{heard.data() + at, heard.size() - at};
        return end.read({&piece, 1});
      },
      heard.size());
  const auto last = part_of(parts - 1, bulk_max_bytes);
  CHECK(std::memcmp(heard.data() + heard.size() - bulk_max_bytes, last.data.data, bulk_max_bytes) ==
        0);
}

TEST_CASE("who does not shake hands is refused with the stream's reason, and harms nobody") {
  pair_of p{awkward()};
  stranger plain{p.at_b};
  plain.say(encode(bulk_greeting{p.at_b.token, bulk_sender::connecting, "A"}));
  CHECK(plain.is_closed());
  CHECK(p.b.was_told("was refused: it shakes no hands"));
  p.a.links->send("B", part_of(1, 100));
  CHECK(p.b.got(1));
}

TEST_CASE("one who shakes no hand at all is heard for a bounded time (BULK-2)") {
  auto o = awkward();
  o.greeting_timeout = std::chrono::milliseconds(200);
  process b{"B", o};
  stranger silent{b.links->listen("127.0.0.1")};
  CHECK(silent.is_closed());
}
