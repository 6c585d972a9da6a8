#include "troupe/transport/inbound_transfer.hpp"
#include "troupe/transport/outbound_queue.hpp"
#include "troupe/transport/owed_credit.hpp"
#include "troupe/transport/range_pulls.hpp"

#include <algorithm>
#include <utility>

#include <catch2/catch.hpp>

#include "transfer_stage.hpp"

using namespace troupe::transport;

TEST_CASE("TRANSFER-1: a transfer is cut into parts that cover it once and share its memory") {
  for (std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{65535}, std::size_t{65536},
                        std::size_t{65537}, std::size_t{200001}}) {
    auto values = ramp(n);
    std::uint64_t at = 0;
    for (const auto& p : parts_of(values)) {
      CHECK(p.transfer == 7);
      CHECK(p.from == 3);
      CHECK(p.offset == at);
      CHECK(p.total == n * sizeof(float));
      CHECK(p.data.size() <= part_bytes);
      CHECK(p.data.size() % sizeof(float) == 0);
      CHECK(p.data.bytes().data() == reinterpret_cast<std::byte*>(values->data()) + at);
      at += p.data.size();
    }
    CHECK(at == n * sizeof(float));
  }
}

TEST_CASE("TRANSFER-2: no more than the window is on its way, however many transfers wait") {
  outbound_queue queue{nullptr, 4};
  auto values = ramp(65536 * 5);
  queue.add(parts_of(values, 1));
  queue.add(parts_of(values, 2));
  int sent = 0;
  while (queue.next()) ++sent;
  CHECK(sent == 4);
  CHECK(queue.on_their_way() == 4);
  CHECK(queue.waiting() == 6 * part_bytes);
  queue.credit(1, 2, 0);
  sent = 0;
  while (queue.next()) ++sent;
  CHECK(sent == 2);
  CHECK(queue.on_their_way() == 4);
}

TEST_CASE("credit for another transfer, or more than is on its way, opens no larger window") {
  outbound_queue queue{nullptr, 2};
  auto values = ramp(65536 * 6);
  queue.add(parts_of(values, 1));
  while (queue.next()) {
  }
  queue.credit(9, 2, 0);
  CHECK_FALSE(queue.next());
  queue.credit(1, 1000, 0);
  CHECK(queue.on_their_way() == 0);
  int sent = 0;
  while (queue.next()) ++sent;
  CHECK(sent == 2);
}

TEST_CASE("a cancelled transfer gives back its place in the window though its credit never comes") {
  outbound_queue queue{nullptr, 3};
  auto values = ramp(65536 * 5);
  queue.add(parts_of(values, 1));
  while (queue.next()) {
  }
  queue.add(parts_of(values, 2));
  queue.cancel(1);
  CHECK(queue.on_their_way() == 0);
  auto next = queue.next();
  REQUIRE(next);
  CHECK(next->transfer == 2);
  queue.credit(1, 1, 0); // late credit of the cancelled one
  CHECK(queue.on_their_way() == 1);
}

TEST_CASE("TRANSFER-6: of a window that has arrived more than half is credited") {
  auto values = ramp(65536 * 40);
  for (std::uint32_t window : {2u, 3u, 4u, 16u}) {
    INFO(window);
    outbound_queue queue{nullptr, window};
    owed_credit owed{nullptr, window};
    for (transfer_id id : {1, 2, 3}) queue.add(parts_of(values, id));
    std::size_t sent = 0, credits = 0;
    for (bool moved = true; std::exchange(moved, false);) {
      std::vector<part> arriving;
      while (auto p = queue.next()) arriving.push_back(std::move(*p));
      moved = !arriving.empty();
      sent += arriving.size();
      for (const auto& p : arriving) {
        owed.add(p);
        for (const auto& c : owed.due(5)) {
          CHECK(c.from == 5);
          ++credits;
          queue.credit(c.transfer, c.parts, c.key);
        }
      }
      CHECK(queue.on_their_way() < std::max(2u, (window + 1) / 2));
    }
    CHECK(sent == 120);
    CHECK(credits <= 120 / (window / 2) + 2); // two where a transfer ends
  }
}

TEST_CASE("credit that an answer stands for is not given again") {
  auto values = ramp(65536 * 7);
  owed_credit owed{nullptr, 16};
  for (transfer_id id = 1; id <= 20; ++id) {
    for (const auto& p : parts_of(values, id)) owed.add(p);
    CHECK(owed.due(3).empty());
    owed.settle(id);
  }
  for (const auto& p : parts_of(values, 21)) owed.add(p);
  owed.close(21); // nothing will answer it
  owed.close(22); // unknown
  const auto due = owed.due(3);
  REQUIRE(due.size() == 1);
  CHECK(due[0].parts == 7);
  CHECK(due[0].transfer == 21);
  CHECK(owed.due(3).empty());
}

TEST_CASE("TRANSFER-4: parts in any order make the transfer whole") {
  auto values = ramp(65536 * 3 + 5);
  auto parts = parts_of(values);
  std::ranges::reverse(parts);
  inbound_transfer in;
  std::vector<float> target(values->size());
  landing land{std::as_writable_bytes(std::span{target})};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    CHECK_FALSE(in.complete());
    CHECK_FALSE(land.complete());
    CHECK(in.add(parts[i]));
    CHECK(land.add(parts[i]));
  }
  CHECK(in.complete());
  CHECK(land.complete());
  CHECK(target == *values);
}

TEST_CASE("TRANSFER-3: a part that does not fit changes nothing") {
  auto values = ramp(65536 * 2);
  auto parts = parts_of(values);
  inbound_transfer in;
  REQUIRE(in.add(parts[0]));
  auto refused = [&](part p) {
    CHECK_FALSE(in.add(p));
    CHECK(in.received() == part_bytes);
  };
  refused(parts[0]); // repeated
  auto wrong = parts[1];
  wrong.total += 4;
  refused(wrong);
  wrong = parts[1];
  wrong.offset = wrong.total; // beyond the end
  refused(wrong);
  wrong.offset = UINT64_MAX - 3; // an offset that would wrap
  refused(wrong);
  wrong.offset = part_bytes - 4; // overlaps the first
  refused(wrong);
  wrong = parts[1];
  wrong.offset += 2; // splits a float
  refused(wrong);
  wrong = parts[1];
  wrong.data = {};
  refused(wrong);
  CHECK(in.add(parts[1]));
  CHECK(in.complete());
}

TEST_CASE("a landing takes no other total than its own size") {
  auto values = ramp(16);
  std::vector<float> target(17);
  landing land{std::as_writable_bytes(std::span{target})};
  CHECK_FALSE(land.add(parts_of(values)[0]));
  CHECK(std::ranges::all_of(target, [](float x) { return x == 0; }));
}

TEST_CASE("TRANSFER-8: what lies in this process is kept for who asks, what came is copied") {
  auto values = ramp(65536 * 2);
  auto parts = parts_of(values);
  REQUIRE(parts.size() == 2);
  const auto& b = parts[1].data;
  parts[1].data = block::received(b.owner(), b.bytes().data(), b.size());
  std::vector<float> target(values->size());
  auto bytes = std::as_writable_bytes(std::span{target});
  landing keeps{bytes, local_parts::kept};
  for (const auto& p : parts) CHECK(keeps.add(p));
  CHECK(keeps.complete());
  const auto kept = keeps.take_kept();
  REQUIRE(kept.size() == 1);
  CHECK(kept.at(0).second.floats().data() == values->data());
  CHECK(target[0] == 0);
  CHECK(target.back() == values->back());

  landing copies{bytes};
  for (const auto& p : parts) CHECK(copies.add(p));
  CHECK(copies.take_kept().empty());
  CHECK(target == *values);

  keeps.restart();
  for (const auto& p : parts) CHECK(keeps.add(p)); // as it did before
  CHECK(keeps.take_kept().size() == 1);
}

TEST_CASE(
    "TRANSFER-8: what is lent in shared memory is kept, of a transfer that is not too large") {
  auto values = ramp(16);
  shared_pools pools;
  const auto lent = block::copy_of(std::as_bytes(std::span{*values})).in_shared_memory(pools);
  REQUIRE(lent.lent());
  const auto came = block::borrow(lent.lend(&pools).value(), &pools);
  for (bool fits : {true, false}) {
    const std::uint64_t total =
        std::uint64_t{default_window} * shared_part_bytes + (fits ? 0 : sizeof(float));
    std::vector<float> target(total / sizeof(float));
    landing land{std::as_writable_bytes(std::span{target}), local_parts::kept};
    REQUIRE(land.add({7, 0, 64, total, came}));
    CHECK((land.take_kept().size() == 1) == fits);
    CHECK(target[16 + 5] == (fits ? 0.0f : (*values)[5]));
  }
}

TEST_CASE("a pull is whole when its parts and its announcement are there, in either order") {
  auto values = ramp(65536 + 1);
  auto parts = parts_of(values, 21);
  for (bool announced_first : {true, false}) {
    std::vector<float> target(values->size());
    range_pulls pulls;
    pulls.begin(3, target, 21);
    if (announced_first) CHECK_FALSE(pulls.announced(3, 21, 5, 9));
    CHECK_FALSE(pulls.add(parts[1]));
    auto whole = pulls.add(parts[0]);
    if (!announced_first) {
      CHECK_FALSE(whole);
      whole = pulls.announced(3, 21, 5, 9);
    }
    REQUIRE(whole);
    CHECK(whole->shard == 3);
    CHECK(whole->own_applied == 5);
    CHECK(whole->seen_updates == 9);
    CHECK(pulls.open().empty());
    CHECK(target == *values);
  }
}

TEST_CASE("parts and announcements of an earlier attempt do not complete a restarted pull") {
  auto values = ramp(8);
  std::vector<float> target(8);
  range_pulls pulls;
  pulls.begin(3, target, 1);
  CHECK_FALSE(pulls.announced(3, 1, 4, 8));
  pulls.restart(3, 2);
  CHECK_FALSE(pulls.add(parts_of(values, 1)[0]));
  CHECK_FALSE(pulls.add(parts_of(values, 2)[0])); // whole, but not announced again
  auto whole = pulls.announced(3, 2, 6, 10);
  REQUIRE(whole);
  CHECK(whole->own_applied == 6);
  CHECK(whole->seen_updates == 10);
}

TEST_CASE("a replica's number is neither a worker's, the evaluator's nor the archive's") {
  CHECK(is_replica_peer(replica_peer(0)));
  CHECK(is_replica_peer(replica_peer(1'000'000)));
  CHECK(is_replica_peer(archive_peer)); // it sends images as replicas do
  CHECK_FALSE(is_replica_peer(evaluator_peer));
  CHECK_FALSE(is_replica_peer(0));
  CHECK_FALSE(is_replica_peer(first_replica_peer - 1));
  CHECK(replica_peer(3) != replica_peer(4));
}

TEST_CASE("transfer ids of different askers never meet") {
  transfer_ids a{0}, b{1}, evaluator{evaluator_peer};
  CHECK(a.next() != b.next());
  CHECK(transfer_ids{0}.next() == 1); // 0 is none
  CHECK(b.next() >> 32 == 1);
  CHECK(evaluator.next() >> 32 == evaluator_peer);
}
