#include "troupe/actors/node_address.hpp"

#include <catch2/catch.hpp>

#include "troupe/transport/tcp_socket.hpp"

using Catch::Matchers::Contains;
using troupe::endpoint;
using troupe::actors::choose_address;
using troupe::actors::node_address;

namespace {

node_address::facts on_another_host() { return {.way = "10.0.0.2"}; }

} // namespace

TEST_CASE("ADDR-3: by default a node listens where it reaches its scheduler from, and says so") {
  const auto a = choose_address(on_another_host());
  CHECK(a.refusal.empty());
  CHECK(a.listen.host == "10.0.0.2");
  CHECK(a.listen.port == 0);
  CHECK(a.told == "10.0.0.2");
}

TEST_CASE("ADDR-1: a node that listens at a wildcard tells the address to its scheduler") {
  auto f = on_another_host();
  f.listen = endpoint{"0.0.0.0", 4701};
  f.listens_everywhere = true;
  const auto a = choose_address(f);
  CHECK(a.listen.host == "0.0.0.0");
  CHECK(a.listen.port == 4701);
  CHECK(a.told == "10.0.0.2");
}

TEST_CASE("ADDR-1: a wildcard cannot be advertised") {
  auto f = on_another_host();
  f.advertise = "0.0.0.0";
  f.advertises_wildcard = true;
  CHECK_THAT(choose_address(f).refusal, Contains("expected one host, found 0.0.0.0"));
}

TEST_CASE("ADDR-2: a loopback address is told to a scheduler of this host alone") {
  auto f = on_another_host();
  f.listen = endpoint{"127.0.0.1", 4701};
  f.listens_to_itself = true;
  CHECK_THAT(choose_address(f).refusal, Contains("127.0.0.1:4701") && Contains("10.0.0.2"));
  f.scheduler_here = true;
  CHECK(choose_address(f).told == "127.0.0.1");
  f.scheduler_here = false;
  f.advertise = "node.example"; // an address translation leads here
  CHECK(choose_address(f).told == "node.example");
}

TEST_CASE("ADDR-1, ADDR-2: what an address is to other hosts") {
  using namespace troupe::transport;
  for (const auto* host : {"0.0.0.0", "::"}) CHECK(kind_of(host) == host_kind::wildcard);
  for (const auto* host : {"127.0.0.1", "127.8.0.1", "::1", "localhost"})
    CHECK(kind_of(host) == host_kind::loopback);
  for (const auto* host : {"10.0.0.2", "fd00::1", "no such host"})
    CHECK(kind_of(host) == host_kind::other);
}

TEST_CASE("ADDR-2: a scheduler of this host is known by the addresses of a connection to it") {
  const auto listening = troupe::transport::tcp_listen("127.0.0.1", 0, 1);
  REQUIRE(listening.socket.open());
  troupe::node_options o;
  o.scheduler = {"127.0.0.1", troupe::transport::port_of(listening.socket)};
  const auto f = troupe::actors::address_facts(o, std::chrono::seconds(2));
  CHECK(f.way == "127.0.0.1");
  CHECK(f.scheduler_here);
  CHECK_FALSE(f.listen);
}
