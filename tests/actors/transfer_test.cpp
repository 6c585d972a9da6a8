#include "troupe/actors/transfer.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include <catch2/catch.hpp>

#include "troupe/actors/shareable_array.hpp"

using namespace troupe::actors;

namespace {

std::shared_ptr<std::vector<float>> ramp(std::size_t n) {
  auto values = std::make_shared<std::vector<float>>(n);
  std::iota(values->begin(), values->end(), 1.0f);
  return values;
}

std::vector<part> parts_of(const std::shared_ptr<std::vector<float>>& values, transfer_id id = 7) {
  return cut(id, 3, values, values->data(), values->size() * sizeof(float));
}

} // namespace

TEST_CASE("a transfer is cut into parts that cover it once and share its memory") {
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
      CHECK(p.data.bytes().data() == reinterpret_cast<std::byte*>(values->data()) + at);
      at += p.data.size();
    }
    CHECK(at == n * sizeof(float));
  }
}

TEST_CASE("TRANSFER-2: no more than the window is on its way, however many transfers wait") {
  outbound_queue queue{4};
  auto values = ramp(65536 * 5);
  queue.add(parts_of(values, 1));
  queue.add(parts_of(values, 2));
  int sent = 0;
  while (queue.next()) ++sent;
  CHECK(sent == 4);
  CHECK(queue.on_their_way() == 4);
  CHECK(queue.waiting() == 6);
  queue.credit(1, 2, 0);
  sent = 0;
  while (queue.next()) ++sent;
  CHECK(sent == 2);
  CHECK(queue.on_their_way() == 4);
}

TEST_CASE("credit for another transfer, or more than is on its way, opens no larger window") {
  outbound_queue queue{2};
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
  outbound_queue queue{3};
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

namespace {

// Shares memory while it lives.
struct sharing_process {
  sharing_process() { pools.enable(); }
  ~sharing_process() { pools.disable(); }
  // Another process of this host and user, as its credits say it.
  std::uint64_t peer() const { return pools.key() ^ 1; }
  bool shared(const part& p) const { return pools.contains(p.data.bytes().data()); }

  shared_pools& pools = shared_pools::of_process();
};

} // namespace

TEST_CASE("after its first credit a peer of this host gets parts through shared memory") {
  sharing_process here;
  auto values = ramp(65536 * 2 + 5);
  outbound_queue queue;
  queue.add(parts_of(values, 1));
  while (auto p = queue.next()) CHECK_FALSE(here.shared(*p));
  queue.credit(1, 3, here.peer());
  const auto free = here.pools.free_slots();
  queue.add(2, 3, values, values->data(), values->size() * sizeof(float));
  {
    auto p = queue.next();
    REQUIRE(p);
    CHECK(here.shared(*p));
    CHECK(std::ranges::equal(p->data.floats(), *values)); // in one part
    CHECK_FALSE(queue.next());
    CHECK(here.pools.free_slots() == free - 1);
  }
  queue.credit(2, 1, here.peer());
  CHECK(queue.on_their_way() == 0);
  CHECK(here.pools.free_slots() == free);
}

TEST_CASE("a shareable array is cut where its slots end, and no part of it is copied (POOL-5)") {
  sharing_process here;
  constexpr std::size_t slot = shared_part_bytes / sizeof(float);
  const auto array = make_shareable(3 * slot);
  outbound_queue queue;
  queue.add(parts_of(ramp(10), 1));
  while (queue.next()) {
  }
  queue.credit(1, 1, here.peer());
  const auto free = here.pools.free_slots();
  const auto* from = array->data() + slot - 100; // of the second shard, say
  queue.add(2, 3, array, from, (slot + 300) * sizeof(float));
  std::vector<std::uint32_t> sizes;
  std::uint64_t offset = 0;
  while (auto p = queue.next()) {
    CHECK(p->offset == offset);
    CHECK(p->data.floats().data() == from + offset / sizeof(float));
    CHECK(p->data.lent());
    sizes.push_back(p->data.size());
    offset += p->data.size();
  }
  CHECK(sizes == std::vector<std::uint32_t>{400, shared_part_bytes, 800});
  CHECK(here.pools.free_slots() == free);
  // Cut elsewhere, for somebody of this process: what does not lie in one slot is copied into one.
  const block across{array, from, 800};
  const auto lent = across.in_shared_memory();
  CHECK(lent.lent());
  CHECK(lent.floats().data() != from);
  CHECK(here.pools.free_slots() == free - 1);
}

TEST_CASE("a peer of another host, and one that shares nothing, get the bytes") {
  sharing_process here;
  for (std::uint64_t key : {std::uint64_t{0}, here.peer() ^ (std::uint64_t{1} << 40)}) {
    auto values = ramp(10);
    outbound_queue queue;
    for (transfer_id id : {1, 2, 3}) {
      queue.add(parts_of(values, id));
      auto p = queue.next();
      REQUIRE(p);
      CHECK_FALSE(here.shared(*p));
      queue.credit(id, 1, key);
    }
  }
}

TEST_CASE("TRANSFER-5: what a peer cannot read is sent again as bytes, and so is all the rest") {
  sharing_process here;
  auto values = ramp(65536);
  outbound_queue queue;
  queue.add(parts_of(values, 1));
  queue.next();
  queue.credit(1, 1, here.peer());
  const auto free = here.pools.free_slots();
  for (transfer_id id : {2, 3, 4}) queue.add(parts_of(values, id));
  for (int i = 0; i < 2; ++i) CHECK(here.shared(*queue.next()));
  queue.credit(2, 1, 0);
  CHECK(queue.on_their_way() == 0);
  std::set<transfer_id> again;
  while (auto p = queue.next()) {
    CHECK(std::ranges::equal(p->data.floats(), *values));
    again.insert(p->transfer);
    queue.credit(p->transfer, 1, here.peer()); // whatever it says now
  }
  CHECK(again == std::set<transfer_id>{2, 3, 4});
  CHECK(here.pools.free_slots() == free);
  queue.add(parts_of(values, 5));
  CHECK_FALSE(here.shared(*queue.next()));
}

TEST_CASE("an answer gives back a transfer's place in the window, and says who the peer is") {
  sharing_process here;
  outbound_queue queue{3};
  auto values = ramp(65536 * 2);
  for (transfer_id id : {1, 2}) queue.add(parts_of(values, id));
  while (queue.next()) {
  }
  CHECK(queue.on_their_way() == 3);
  queue.settle(1, here.peer());
  CHECK(queue.on_their_way() == 1);
  auto next = queue.next();
  REQUIRE(next);
  CHECK(next->transfer == 2);
  CHECK(here.shared(*next));
  queue.settle(9, here.peer()); // unknown
  CHECK(queue.on_their_way() == 2);
}

TEST_CASE("with its announcement goes one part of a transfer, or all that lie in shared memory") {
  sharing_process here;
  auto values = ramp(65536 * 10);
  const auto bytes = values->size() * sizeof(float);
  outbound_queue queue;
  queue.add(1, 3, values, values->data(), bytes);
  auto first = queue.next_of(1);
  REQUIRE(first.size() == 1);
  CHECK(first[0].offset == 0);
  queue.add(2, 3, values, values->data(), bytes);
  CHECK(queue.next_of(2).empty()); // parts of 1 wait before it
  while (queue.next()) {
  }
  for (transfer_id id : {1, 2}) queue.settle(id, here.peer());
  queue.add(3, 3, values, values->data(), bytes);
  CHECK(queue.next_of(3).size() == 3); // 2.5 MiB
  CHECK_FALSE(queue.next());
  queue.settle(3, here.peer());

  outbound_queue small{2};
  small.settle(0, here.peer());
  small.add(4, 3, values, values->data(), bytes);
  CHECK(small.next_of(4).size() == 2); // TRANSFER-2
}

TEST_CASE("TRANSFER-6: of a window that has arrived more than half is credited") {
  auto values = ramp(65536 * 40);
  for (std::uint32_t window : {2u, 3u, 4u, 16u}) {
    INFO(window);
    outbound_queue queue{window};
    owed_credit owed{window};
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
  owed_credit owed{16};
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

TEST_CASE("a pull credits the one before it, and a long one credits itself on the way") {
  auto values = ramp(65536 * 20);
  std::vector<float> target(values->size());
  range_pulls pulls;
  pulls.begin(3, target, 1);
  auto parts = parts_of(values, 1);
  std::uint32_t credited = 0;
  for (const auto& p : parts) {
    pulls.add(p);
    for (const auto& c : pulls.credit_due(3, 4)) {
      CHECK(c.from == 4);
      credited += c.parts;
    }
  }
  CHECK(credited == 16);
  pulls.restart(3, 2); // the four are forgotten
  parts = parts_of(values, 2);
  for (int i = 0; i < 7; ++i) {
    pulls.add(parts[i]);
    CHECK(pulls.credit_due(3, 4).empty());
  }
  pulls.add(parts[7]);
  CHECK(pulls.credit_due(3, 4).size() == 1);
  CHECK(pulls.credit_due(77, 4).empty());
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
  CHECK(kept.at(0).floats().data() == values->data());
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
  const auto lent = block::copy_of(std::as_bytes(std::span{*values})).in_shared_memory();
  REQUIRE(lent.lent());
  const auto came = block::received(lent.owner(), lent.bytes().data(), lent.size());
  for (bool fits : {true, false}) {
    const std::uint64_t total =
        std::uint64_t{default_window} * shared_part_bytes + (fits ? 0 : sizeof(float));
    std::vector<float> target(total / sizeof(float));
    landing land{std::as_writable_bytes(std::span{target}), local_parts::kept};
    REQUIRE(land.add({7, 0, 64, total, came}));
    CHECK(land.take_kept().contains(64) == fits);
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
  CHECK(a.next() == 1);
  CHECK(b.next() >> 32 == 1);
  CHECK(evaluator.next() >> 32 == evaluator_peer);
}

namespace {

// Connections that tests make and break.
class lane_of_test : public bulk_lane {
 public:
  bool open() const override { return now != 0; }
  std::uint64_t send(const part& p) override {
    if (now != 0) taken.push_back(p);
    return now;
  }
  bool broke(std::uint64_t connection) const override { return broken.contains(connection); }

  std::uint64_t now = 1;
  std::set<std::uint64_t> broken;
  std::vector<part> taken;
};

std::vector<std::uint64_t> offsets_of(const std::vector<part>& parts) {
  std::vector<std::uint64_t> offsets;
  for (const auto& p : parts) offsets.push_back(p.offset);
  return offsets;
}

} // namespace

TEST_CASE(
    "bulk goes over the connection where there is one; what is small, and without one all, as "
    "messages") {
  auto lane = std::make_shared<lane_of_test>();
  outbound_queue queue;
  queue.use(lane);
  auto values = ramp(bulk_part_bytes / sizeof(float) * 2 + 5);
  queue.add(1, 3, values, values->data(), values->size() * sizeof(float));
  CHECK(queue.next_of(1).empty()); // nothing waits for the announcement
  CHECK(lane->taken.empty());
  auto last = queue.next(); // 20 bytes
  REQUIRE(last);
  CHECK(last->data.size() == 20);
  CHECK(offsets_of(lane->taken) == std::vector<std::uint64_t>{0, bulk_part_bytes});
  CHECK(lane->taken[0].data.bytes().data() == reinterpret_cast<std::byte*>(values->data()));
  CHECK(queue.on_their_way() == 3);
  queue.credit(1, 3, 0);
  CHECK(queue.on_their_way() == 0);

  queue.add(2, 3, values, values->data(), 1000);
  REQUIRE(queue.next_of(2).size() == 1); // small: with its announcement

  lane->now = 0;
  queue.add(3, 3, values, values->data(), values->size() * sizeof(float));
  CHECK(queue.next_of(3).size() == 1);
  std::size_t messages = 1;
  while (auto p = queue.next()) {
    CHECK(p->data.size() <= part_bytes);
    ++messages;
  }
  CHECK(messages == 9);
  CHECK(lane->taken.size() == 2);
}

TEST_CASE("TRANSFER-2: over a bulk connection no more than the window is on its way either") {
  auto lane = std::make_shared<lane_of_test>();
  outbound_queue queue{3};
  queue.use(lane);
  auto values = ramp(bulk_part_bytes / sizeof(float) * 8);
  for (transfer_id id : {1, 2})
    queue.add(id, 3, values, values->data(), values->size() * sizeof(float));
  CHECK_FALSE(queue.next());
  CHECK(lane->taken.size() == 3);
  queue.credit(1, 2, 0);
  CHECK_FALSE(queue.next());
  CHECK(lane->taken.size() == 5);
  CHECK(queue.waiting() == 11);
}

TEST_CASE("TRANSFER-7: what was on its way over a connection that broke is sent again, in order") {
  auto lane = std::make_shared<lane_of_test>();
  outbound_queue queue;
  queue.use(lane);
  auto values = ramp(bulk_part_bytes / sizeof(float) * 2);
  const auto bytes = values->size() * sizeof(float);
  queue.add(1, 3, values, values->data(), bytes);
  CHECK_FALSE(queue.next());
  lane->now = 2; // another connection, beside the first
  queue.add(2, 3, values, values->data(), bytes);
  CHECK_FALSE(queue.next());
  REQUIRE(lane->taken.size() == 4);
  queue.credit(1, 1, 0); // one of the first transfer arrived
  lane->taken.clear();
  SECTION("over the connection that is left") {
    lane->broken = {1};
    CHECK_FALSE(queue.next());
    REQUIRE(lane->taken.size() == 1);
    CHECK(lane->taken[0].transfer == 1);
    CHECK(lane->taken[0].offset == bulk_part_bytes);
    CHECK(queue.on_their_way() == 3);
  }
  SECTION("as messages when none is left") {
    lane->broken = {1, 2};
    lane->now = 0;
    std::vector<std::pair<transfer_id, std::uint64_t>> again;
    while (auto p = queue.next()) again.emplace_back(p->transfer, p->offset);
    CHECK(again == std::vector<std::pair<transfer_id, std::uint64_t>>{
                       {1, bulk_part_bytes}, {2, 0}, {2, bulk_part_bytes}});
    CHECK(lane->taken.empty());
    CHECK(queue.on_their_way() == 3);
    queue.settle(1, 0);
    queue.settle(2, 0);
    CHECK(queue.on_their_way() == 0);
  }
  SECTION("and what was credited or given up is not") {
    queue.credit(1, 1, 0);
    queue.cancel(2);
    lane->broken = {1, 2};
    CHECK_FALSE(queue.next());
    CHECK(lane->taken.empty());
  }
}

TEST_CASE("shared memory is chosen before a bulk connection") {
  sharing_process here;
  auto lane = std::make_shared<lane_of_test>();
  outbound_queue queue;
  queue.use(lane);
  auto values = ramp(65536);
  queue.settle(0, here.peer());
  queue.add(parts_of(values, 1));
  auto p = queue.next();
  REQUIRE(p);
  CHECK(here.shared(*p));
  CHECK(lane->taken.empty());
}
