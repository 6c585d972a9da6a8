#include "troupe/chaos/packet_switch.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

namespace troupe::chaos {
namespace {

using namespace std::chrono_literals;
using time_point = packet_switch::time_point;
using packet = std::vector<std::byte>;

constexpr std::uint8_t syn = 0x02, rst = 0x04, ack = 0x10;
const time_point t0{};

void put(packet& p, std::size_t at, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i)
    p[at + static_cast<std::size_t>(i)] = static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
}

std::uint32_t get(const packet& p, std::size_t at, int bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value = value << 8 | std::to_integer<std::uint32_t>(p[at + static_cast<std::size_t>(i)]);
  return value;
}

// From host to host, port 1000 + host, with `mark` as its data.
packet tcp(std::uint32_t from, std::uint32_t to, std::uint8_t flags, std::uint8_t mark = 0,
           std::uint32_t acknowledges = 0) {
  packet p(41);
  put(p, 0, 0x45, 1);
  put(p, 2, 41, 2);
  put(p, 9, 6, 1);
  put(p, 12, 0x0a4d0001 + from, 4);
  put(p, 16, 0x0a4d0001 + to, 4);
  put(p, 20, 1000 + from, 2);
  put(p, 22, 1000 + to, 2);
  put(p, 28, acknowledges, 4);
  put(p, 33, flags, 1);
  put(p, 40, mark, 1);
  return p;
}

// The sum of 16-bit words, in which a right checksum gives all ones.
std::uint32_t sum_of(const packet& p, std::size_t from, std::size_t to, std::uint32_t sum = 0) {
  for (auto i = from; i < to; i += 2) sum += get(p, i, 2);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

TEST_CASE("a packet goes to the host of its address, at once and as it is") {
  packet_switch s(3, 1);
  CHECK(packet_switch::address_of(2) == "10.77.0.3");
  const auto sent = tcp(0, 2, syn, 7);
  const auto out = s.pass(0, sent, t0);
  REQUIRE(out.size() == 1);
  CHECK(out[0].to == 2);
  CHECK(out[0].at == t0);
  CHECK(out[0].packet == sent);
}

TEST_CASE("what is not for another host of the network is lost") {
  packet_switch s(3, 1);
  CHECK(s.pass(0, tcp(0, 3, syn), t0).empty()); // no such host
  CHECK(s.pass(0, tcp(0, 0, syn), t0).empty()); // itself
  auto elsewhere = tcp(0, 1, syn);
  put(elsewhere, 16, 0x08080808, 4);
  CHECK(s.pass(0, elsewhere, t0).empty());
  auto six = tcp(0, 1, syn);
  put(six, 0, 0x60, 1);
  CHECK(s.pass(0, six, t0).empty());
  CHECK(s.pass(0, packet(19), t0).empty());
  CHECK(s.pass(0, {}, t0).empty());
}

TEST_CASE("SWITCH-1: packets are late by latency and jitter and keep their order") {
  packet_switch s(2, 5);
  s.set_link(0, 1, {.latency = 10ms, .jitter = 20ms});
  auto last = t0;
  std::chrono::nanoseconds earliest = 1h, latest = 0ns;
  for (int i = 0; i < 200; ++i) {
    const auto now = t0 + i * 1s; // far apart: none has to wait for the one before
    const auto out = s.pass(0, tcp(0, 1, ack), now);
    REQUIRE(out.size() == 1);
    earliest = std::min<std::chrono::nanoseconds>(earliest, out[0].at - now);
    latest = std::max<std::chrono::nanoseconds>(latest, out[0].at - now);
  }
  CHECK(earliest >= 10ms);
  CHECK(earliest < 12ms);
  CHECK(latest > 28ms);
  CHECK(latest <= 30ms);
  for (int i = 0; i < 200; ++i) {
    const auto out = s.pass(0, tcp(0, 1, ack), t0 + 300s + i * 1us);
    REQUIRE(out.size() == 1);
    CHECK(out[0].at >= last);
    last = out[0].at;
  }
  CHECK(s.pass(1, tcp(1, 0, ack), t0)[0].at == t0); // the other direction is another link
}

TEST_CASE("SWITCH-1: a link with a rate carries one packet after the other") {
  packet_switch s(2, 5);
  s.set_link(0, 1, {.bytes_per_second = 41000}); // a packet in a millisecond
  CHECK(s.pass(0, tcp(0, 1, ack), t0)[0].at == t0 + 1ms);
  CHECK(s.pass(0, tcp(0, 1, ack), t0)[0].at == t0 + 2ms);
  CHECK(s.pass(0, tcp(0, 1, ack), t0 + 10ms)[0].at == t0 + 11ms);
}

TEST_CASE("what a link drops, repeats and reorders is about what it was told") {
  constexpr int sent = 1000;
  packet_switch s(2, 5);
  const auto arrived = [&](const link_properties& p) {
    s.set_link(0, 1, p);
    int count = 0, later_than_next = 0;
    auto last = t0;
    for (int i = 0; i < sent; ++i)
      for (const auto& d : s.pass(0, tcp(0, 1, ack), t0 + i * 1us)) {
        ++count;
        later_than_next += d.at < last ? 1 : 0;
        last = d.at;
      }
    return std::pair(count, later_than_next);
  };
  CHECK(arrived({}) == std::pair(sent, 0));
  CHECK(arrived({.drop = 1}).first == 0);
  CHECK(arrived({.duplicate = 1}).first == 2 * sent);
  const auto [kept, in_order] = arrived({.drop = 0.3});
  CHECK(kept > 600);
  CHECK(kept < 800);
  CHECK(in_order == 0);
  CHECK(arrived({.reorder = 0.3}).second > 100);
}

TEST_CASE("SWITCH-2: a cut link carries nothing, in its direction, until all its cuts are healed") {
  packet_switch s(2, 1);
  s.cut(0, 1);
  s.cut(0, 1);
  CHECK(s.pass(0, tcp(0, 1, ack), t0).empty());
  CHECK(s.pass(1, tcp(1, 0, ack), t0).size() == 1);
  s.heal(0, 1);
  CHECK(s.pass(0, tcp(0, 1, ack), t0).empty());
  s.heal(0, 1);
  CHECK(s.pass(0, tcp(0, 1, ack), t0).size() == 1);
}

TEST_CASE("SWITCH-3: who sends on a broken connection is told, with a reset that is believed") {
  packet_switch s(3, 1);
  s.pass(0, tcp(0, 1, syn), t0);
  s.pass(0, tcp(0, 2, syn), t0);
  s.break_connections(1, 0);
  const auto out = s.pass(1, tcp(1, 0, ack, 9, 0x12345678), t0);
  REQUIRE(out.size() == 1);
  CHECK(out[0].to == 1);
  const auto& p = out[0].packet;
  REQUIRE(p.size() == 40);
  CHECK(get(p, 12, 4) == 0x0a4d0001); // as if from host 0
  CHECK(get(p, 16, 4) == 0x0a4d0002);
  CHECK(get(p, 20, 2) == 1000);
  CHECK(get(p, 22, 2) == 1001);
  CHECK(get(p, 24, 4) == 0x12345678); // the number that is expected next
  CHECK(get(p, 33, 1) == rst);
  CHECK(sum_of(p, 0, 20) == 0xffff);
  CHECK(sum_of(p, 20, 40, sum_of(p, 12, 20, 6 + 20)) == 0xffff);
  CHECK(s.pass(0, tcp(0, 1, ack), t0)[0].to == 0); // and so is the other
  CHECK(s.pass(0, tcp(0, 2, ack), t0)[0].to == 2); // but on no other connection
  CHECK(s.pass(1, tcp(1, 0, rst), t0).empty());    // a reset has no answer
}

TEST_CASE("SWITCH-3: between the same ports a new connection is another one") {
  packet_switch s(2, 1);
  s.pass(0, tcp(0, 1, syn), t0);
  s.break_connections(0, 1);
  CHECK(s.pass(0, tcp(0, 1, ack), t0)[0].to == 0);
  CHECK(s.pass(0, tcp(0, 1, syn), t0)[0].to == 1);
  CHECK(s.pass(1, tcp(1, 0, syn | ack), t0)[0].to == 0);
  CHECK(s.pass(0, tcp(0, 1, ack), t0)[0].to == 1);
}

} // namespace
} // namespace troupe::chaos
