#include "troupe/actors/message_guard.hpp"

#include <vector>

#include <catch2/catch.hpp>

using namespace troupe::actors;
using troupe::transport::stream_side;
using verdict = message_guard::verdict;

namespace {

std::vector<std::byte> header(unsigned operation, std::uint32_t payload) {
  std::vector<std::byte> h(message_guard::header_size);
  h[0] = std::byte(operation);
  for (int i = 0; i < 4; ++i) h[4 + i] = std::byte(payload >> (24 - 8 * i) & 0xff);
  return h;
}

std::vector<std::byte> payload(std::size_t size) { return std::vector<std::byte>(size); }

message_guard shaken(stream_side side = stream_side::accepting) {
  message_guard g{side};
  CHECK(g.look(header(side == stream_side::accepting ? 1 : 0, 100)) == verdict::pass);
  CHECK(g.look(payload(100)) == verdict::handshaken);
  return g;
}

} // namespace

TEST_CASE("GUARD-1: the first message is a handshake of the kind that this side waits for") {
  for (const auto side : {stream_side::accepting, stream_side::connecting})
    for (unsigned operation = 0; operation < 256; ++operation) {
      message_guard g{side};
      const bool expected = operation == (side == stream_side::accepting ? 1u : 0u);
      CHECK((g.look(header(operation, 100)) == verdict::pass) == expected);
    }
}

TEST_CASE("GUARD-1: a handshake is short, and not empty") {
  for (const auto& [size, passes] : {std::pair{0u, false},
                                     {1u, true},
                                     {message_guard::handshake_max, true},
                                     {message_guard::handshake_max + 1, false},
                                     {0xa4ff534du, false},
                                     {~0u, false}}) {
    message_guard g{stream_side::accepting};
    CHECK((g.look(header(1, size)) == verdict::pass) == passes);
    CHECK(g.announced() == size);
  }
}

TEST_CASE("GUARD-2: later messages are of any kind, with or without a payload, and bounded") {
  auto g = shaken();
  for (unsigned operation = 0; operation < 256; ++operation) {
    CHECK(g.look(header(operation, 0)) == verdict::pass);
    CHECK(g.look(header(operation, 5)) == verdict::pass);
    CHECK(g.look(payload(5)) == verdict::pass);
  }
  CHECK(g.look(header(2, message_guard::message_max)) == verdict::pass);
  CHECK(g.look(payload(message_guard::message_max)) == verdict::pass);
  CHECK(g.look(header(2, message_guard::message_max + 1)) == verdict::refuse);
  CHECK(shaken(stream_side::connecting).look(header(6, 0)) == verdict::pass);
}

TEST_CASE("a piece that is no header where one is due is refused") {
  message_guard g{stream_side::accepting};
  CHECK(g.look(payload(31)) == verdict::refuse);
}
