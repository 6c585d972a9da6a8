#include "troupe/actors/messages.hpp"

#include <algorithm>
#include <limits>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <catch2/catch.hpp>

#include "troupe/actors/system_config.hpp"
#include "troupe/transport/peer.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;

namespace {

struct local_system {
  system_config config{false};
  caf::actor_system system{config};
};

template <class T>
std::vector<char> bytes_of(caf::actor_system& system, const T& value) {
  std::vector<char> bytes;
  caf::binary_serializer out{system, bytes};
  REQUIRE_FALSE(out(const_cast<T&>(value)));
  return bytes;
}

template <class T>
caf::error read(caf::actor_system& system, const std::vector<char>& bytes, T& value) {
  caf::binary_deserializer in{system, bytes};
  return in(value);
}

// Through the same type-erased path that a message between processes takes.
template <class T>
void check_round_trip(caf::actor_system& system, const T& value) {
  auto sent = caf::make_message(value);
  std::vector<char> bytes;
  caf::binary_serializer out{system, bytes};
  INFO(caf::deep_to_string(value));
  REQUIRE_FALSE(out(sent));
  caf::message received;
  REQUIRE_FALSE(read(system, bytes, received));
  REQUIRE(received.match_elements<T>());
  auto before = bytes_of(system, value);
  CHECK(bytes_of(system, received.get_as<T>(0)) == before);
  // Every field matters: a default value must look different.
  if (!before.empty()) CHECK(bytes_of(system, T{}) != before);
  // A message that ends early is an error, not a half-filled value.
  for (std::size_t cut : {std::size_t{0}, before.size() / 2, before.size() - 1}) {
    if (cut >= before.size()) continue;
    T partial{};
    CHECK(
        read(system, {before.begin(), before.begin() + static_cast<std::ptrdiff_t>(cut)}, partial));
  }
}

block block_of(std::vector<std::uint32_t> words) {
  return block::copy_of(std::as_bytes(std::span{words}));
}

} // namespace

TEST_CASE("a block of shared memory that cannot be had arrives as unreadable (BLOCK-3)") {
  local_system local;
  auto sent = block_of({1, 2, 3}).in_shared_memory();
  auto bytes = bytes_of(local.system, sent);
  CHECK(bytes.size() < 40); // where they lie
  block here;
  REQUIRE_FALSE(read(local.system, bytes, here));
  CHECK(std::ranges::equal(here.bytes(), sent.bytes()));
  CHECK(here.bytes().data() == sent.bytes().data()); // not copied
  CHECK(here.received());                            // TRANSFER-8
  bytes[12] ^= 1;                                    // the pool's token
  block lost = block_of({7});
  REQUIRE_FALSE(read(local.system, bytes, lost));
  CHECK(lost.unreadable());
  CHECK(lost.size() == 0);
  peer reader{3};
  reader.take(part{5, 1, 0, 12, lost});
  std::vector<credit> due; // at once (TRANSFER-5)
  reader.post_credit([&](const credit& c) { due.push_back(c); });
  REQUIRE(due.size() == 1);
  CHECK(due[0].key == 0);
  CHECK(due[0].from == 3);
  CHECK(due[0].transfer == 5);
}

TEST_CASE("every message makes a round trip") {
  local_system s;
  auto& sys = s.system;
  const worker_id w{3};
  const shard_id shard{5};
  const batch_id batch{7, 9};
  const view_number view{6};
  const node_id node{4};
  const std::vector<part> first{{77, 2, 0, 1024, block_of({1, 2, 3})}};
  check_round_trip(sys, contact{"host", 4000, 4001, 0x0123456789abcdef});
  check_round_trip(sys, held_replica{shard, view, {}});
  const leases_held held{w, 12, {batch, {7, 10}}, {}};
  check_round_trip(sys, held);
  hello greeting; // g++ 12 warns of a nested one that is never used uninitialized
  greeting.version = 1;
  greeting.job_id = "job";
  greeting.at = {"h", 9};
  greeting.shards = 2;
  greeting.workers = 4;
  greeting.known_as = node;
  greeting.replicas = {{shard, view, {}}, {{6}, {7}, {}}};
  greeting.leases = {held};
  check_round_trip(sys, greeting);
  check_round_trip(sys, welcome{node, "job", "{}"});
  check_round_trip(sys, place_replicas{{shard, {6}}, 4, true});
  check_round_trip(sys, replicas_placed{{{}, {}}});
  check_round_trip(sys, place_workers{{w, {8}}});
  check_round_trip(sys, workers_placed{{{}}});
  check_round_trip(sys, node_contact{node, {"h", 9, 10, 11}});
  check_round_trip(sys,
                   install_view{shard, view, {{node, {"h", 9}}, {{2}, {}}}, {{{3}, {"i", 8}}}});
  check_round_trip(sys, drop_replica{shard});
  check_round_trip(sys, clear_roles{});
  check_round_trip(sys, roles_cleared{});
  check_round_trip(sys, greet{node, {}});
  check_round_trip(sys, find_replica{1, "job", shard, view});
  check_round_trip(sys, stop_node{"why"});
  check_round_trip(sys, actor_failed{"why"});
  check_round_trip(sys, role_failed{node, true, 3, "why"});
  check_round_trip(sys, lease_request{});
  check_round_trip(sys, heartbeat{node, 77, {}});
  check_round_trip(sys, heartbeat_seen{77});
  check_round_trip(sys, declared_lost{"silent for 1900 ms"});
  check_round_trip(sys, push{w, 8, batch, 55, 77, {}, first});
  check_round_trip(sys, applied_in_place{w, 8, batch, false, {}});
  check_round_trip(sys, pushed{shard, batch, 77, 99});
  check_round_trip(sys, pull{w, 8, 2, 77, {}, 99});
  check_round_trip(sys, pull_snapshot{2, 77, {}, 99});
  check_round_trip(sys, parameters{shard, 77, 6, 55, 1'000'007, first});
  check_round_trip(sys,
                   replicate{shard, view, 1'000'000'007'000, 4, w, 8, batch, 55, 77, 3, {}, first});
  check_round_trip(sys, replicated{shard, view, 1'000'000'007'000, 3, 5, 1'000'000'009, 99});
  check_round_trip(sys, diverged{shard, view, node});
  check_round_trip(sys, replica_image{shard, view, 99, 2, 1'000'000'007'000, 77, 3, {}});
  check_round_trip(sys, caught_up{shard, view, node});
  check_round_trip(sys, take_image{2, 41, 3, {}});
  check_round_trip(sys, applied_request{});
  check_round_trip(sys, part{77, 2, 256, 1024, block_of({1, 2, 3})});
  check_round_trip(sys, credit{3, 2, 77, 99});
  check_round_trip(sys, batch_lease{{batch, {7, 10}}, 12});
  troupe::scheduler::time_shares spent;
  for (std::size_t i = 0; i < troupe::scheduler::activities; ++i)
    spent.add(static_cast<troupe::scheduler::activity>(i),
              std::chrono::nanoseconds(1'000'000'007 * (i + 1)));
  check_round_trip(sys, batch_done{w, batch, 9, 0x7ff8000000000000, spent});
  check_round_trip(sys, enter_clock{w, 9});
  check_round_trip(sys, clock_entered{w, 9});
  check_round_trip(sys, leave_clock{w, true});
  check_round_trip(sys, report_request{});
  troupe::scheduler::staleness_histogram histogram;
  histogram.add(3, 5);
  histogram.add(99);
  check_round_trip(sys, shard_report{shard, 1, 2, 3, histogram});
  check_round_trip(sys, status_request{});
  check_round_trip(sys, status_report{"{}"});
  check_round_trip(sys, drain_request{node});
  check_round_trip(sys, drain_accepted{});
  check_round_trip(sys, stop_training{});
  check_round_trip(sys, evaluate_epoch{4});
}

TEST_CASE("a set of applied batches crosses with its complete epochs and those in progress") {
  local_system s;
  using troupe::scheduler::applied_set;
  const applied_set empty{70, 9};
  applied_set partial{70, 9}; // epochs of two words
  partial.insert_epochs_below(2);
  partial.insert_epoch(4);
  for (std::uint32_t index : {0u, 63u, 64u, 69u}) partial.insert({2, index});
  partial.insert({8, 5});
  applied_set full{70, 9};
  full.insert_epochs_below(9);
  for (const auto& sent : {applied_set{}, empty, partial, full}) {
    check_round_trip(s.system, applied_report{{5}, sent});
    applied_report received;
    REQUIRE_FALSE(read(s.system, bytes_of(s.system, applied_report{{5}, sent}), received));
    CHECK(received.applied == sent);
  }
}

TEST_CASE("a set of applied batches that no job can have is refused") {
  local_system s;
  auto received = [&](std::uint32_t batches, std::uint32_t epochs, std::uint32_t below,
                      std::vector<std::uint32_t> ahead, std::vector<std::uint32_t> open,
                      std::vector<std::uint64_t> words) {
    std::vector<char> bytes;
    caf::binary_serializer out{s.system, bytes};
    shard_id shard{5};
    REQUIRE_FALSE(out(shard, batches, epochs, below, ahead, open, words));
    applied_report report;
    return read(s.system, bytes, report);
  };
  CHECK_FALSE(received(70, 9, 2, {4}, {2}, {1, 1}));
  CHECK(received(70, 9, 10, {}, {}, {}));      // more complete epochs than there are
  CHECK(received(70, 9, 2, {9}, {}, {}));      // an epoch that is not of the job
  CHECK(received(70, 9, 2, {}, {2}, {1}));     // half a bitmap
  CHECK(received(70, 9, 2, {}, {2}, {1, 64})); // batch 70 of 70
  CHECK(received(70, 9, 2, {}, {}, {1, 1}));   // words of no epoch
  CHECK(received(0, 9, 2, {}, {}, {}));        // epochs without batches
}

TEST_CASE("an actor handle in a message is the same actor on the other side") {
  local_system s;
  auto actor = s.system.spawn([](node_actor::pointer) -> node_actor::behavior_type {
    return {[](const place_replicas&) { return replicas_placed{}; },
            [](const place_workers&) { return workers_placed{}; },
            [](const install_view&) {},
            [](const drop_replica&) {},
            [](const clear_roles&) { return roles_cleared{}; },
            [](const greet&) {},
            [](const find_replica&) { return replica_found{}; },
            [](const stop_node&) {},
            [](const actor_failed&) {}};
  });
  hello sent{1, "", {}, 0, 0, actor, no_node, {}, {}};
  hello received;
  REQUIRE_FALSE(read(s.system, bytes_of(s.system, sent), received));
  CHECK(received.node == actor);
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}

TEST_CASE("a block carries NaN payloads, infinities, subnormals and -0 bit for bit") {
  local_system s;
  const std::vector<std::uint32_t> words{0x7fc00001, 0xffc12345, 0x7f800000, 0xff800000,
                                         0x00000001, 0x807fffff, 0x80000000, 0x3f800000};
  auto sent = block_of(words);
  block received;
  REQUIRE_FALSE(read(s.system, bytes_of(s.system, sent), received));
  CHECK(std::ranges::equal(received.bytes(), sent.bytes()));
  CHECK(received.received()); // TRANSFER-8
  CHECK_FALSE(sent.received());
  CHECK(reinterpret_cast<std::uintptr_t>(received.bytes().data()) % troupe::tensor::alignment == 0);
}

TEST_CASE("blocks of 0 bytes, 1 byte and the largest size make a round trip") {
  local_system s;
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{block::max_bytes}}) {
    std::vector<std::byte> data(size, std::byte{0x5a});
    block received;
    REQUIRE_FALSE(read(s.system, bytes_of(s.system, block::copy_of(data)), received));
    CHECK(std::ranges::equal(received.bytes(), data));
  }
}

TEST_CASE("BLOCK-1: a lying length is refused before anything is allocated for it") {
  local_system s;
  auto lie = [&](std::uint32_t length) {
    auto bytes = bytes_of(s.system, length);
    bytes.push_back(1);
    block received;
    return read(s.system, bytes, received);
  };
  CHECK(lie(block::max_bytes + 1));
  CHECK(lie(0xffffffff));
  CHECK(lie(64)); // honest, but the bytes are missing
  CHECK_FALSE(lie(1));
}

TEST_CASE("a histogram that no series of pulls can give is refused") {
  local_system s;
  troupe::scheduler::staleness_histogram histogram;
  histogram.add(3);
  auto bytes = bytes_of(s.system, shard_report{{0}, 0, 0, 0, histogram});
  bytes.back() = char(0x7f); // a byte of the largest staleness
  shard_report received;
  CHECK(read(s.system, bytes, received));
}

TEST_CASE("an error between actors carries its line") {
  auto err = make_error(errc::job_mismatch, "expected job a, found job b");
  CHECK(reason_of(err) == "expected job a, found job b");
  CHECK(reason_of(make_error(errc::unreachable)) == "unreachable");
  CHECK(reason_of(caf::error{}) == "it ended");
  local_system s;
  caf::error received;
  REQUIRE_FALSE(read(s.system, bytes_of(s.system, err), received));
  CHECK(reason_of(received) == "expected job a, found job b");
}
