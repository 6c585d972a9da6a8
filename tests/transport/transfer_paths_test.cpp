// Which way the parts of a transfer go: through shared memory, over a bulk connection, as messages.
#include "troupe/transport/outbound_queue.hpp"

#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

#include "transfer_stage.hpp"
#include "troupe/transport/shareable_array.hpp"

using namespace troupe::transport;

namespace {

struct sharing_process {
  sharing_process() { pools.enable(); }
  // Another process of this host and user, as its credits say it.
  std::uint64_t peer() const { return pools.key() ^ 1; }
  bool shared(const part& p) const { return pools.contains(p.data.bytes().data()); }

  const std::shared_ptr<shared_pools> memory = std::make_shared<shared_pools>();
  shared_pools& pools = *memory;
};

} // namespace

TEST_CASE("after its first credit a peer of this host gets parts through shared memory") {
  sharing_process here;
  auto values = ramp(65536 * 2 + 5);
  outbound_queue queue{&here.pools};
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
  const auto array = make_shareable(3 * slot, here.memory);
  outbound_queue queue{&here.pools};
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
  const auto lent = across.in_shared_memory(here.pools);
  CHECK(lent.lent());
  CHECK(lent.floats().data() != from);
  CHECK(here.pools.free_slots() == free - 1);
}

TEST_CASE("a peer of another host, and one that shares nothing, get the bytes") {
  sharing_process here;
  for (std::uint64_t key : {std::uint64_t{0}, here.peer() ^ (std::uint64_t{1} << 40)}) {
    auto values = ramp(10);
    outbound_queue queue{&here.pools};
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
  outbound_queue queue{&here.pools};
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
  outbound_queue queue{&here.pools, 3};
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
  outbound_queue queue{&here.pools};
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

  outbound_queue small{&here.pools, 2};
  small.settle(0, here.peer());
  small.add(4, 3, values, values->data(), bytes);
  CHECK(small.next_of(4).size() == 2); // TRANSFER-2
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
  outbound_queue queue{nullptr};
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
  outbound_queue queue{nullptr, 3};
  queue.use(lane);
  auto values = ramp(bulk_part_bytes / sizeof(float) * 8);
  for (transfer_id id : {1, 2})
    queue.add(id, 3, values, values->data(), values->size() * sizeof(float));
  CHECK_FALSE(queue.next());
  CHECK(lane->taken.size() == 3);
  queue.credit(1, 2, 0);
  CHECK_FALSE(queue.next());
  CHECK(lane->taken.size() == 5);
  CHECK(queue.waiting() == 11 * bulk_part_bytes);
}

TEST_CASE("TRANSFER-7: what was on its way over a connection that broke is sent again, in order") {
  auto lane = std::make_shared<lane_of_test>();
  outbound_queue queue{nullptr};
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
  SECTION("as messages when none is left, in parts of their size") {
    lane->broken = {1, 2};
    lane->now = 0;
    std::vector<std::pair<transfer_id, std::uint64_t>> again, expected;
    while (auto p = queue.next()) again.emplace_back(p->transfer, p->offset);
    for (std::uint64_t at = bulk_part_bytes; at < bytes; at += part_bytes)
      expected.emplace_back(1, at);
    for (std::uint64_t at = 0; at < bytes; at += part_bytes) expected.emplace_back(2, at);
    CHECK(again == expected);
    CHECK(lane->taken.empty());
    CHECK(queue.on_their_way() == 12);
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

TEST_CASE("TRANSFER-7: what was lost does not come with the announcement of the next transfer") {
  auto lane = std::make_shared<lane_of_test>();
  outbound_queue queue{nullptr};
  queue.use(lane);
  auto values = ramp(bulk_part_bytes / sizeof(float));
  const auto bytes = values->size() * sizeof(float);
  queue.add(1, 3, values, values->data(), bytes);
  CHECK_FALSE(queue.next());
  lane->broken = {1};
  lane->now = 0;
  queue.add(2, 3, values, values->data(), bytes);
  CHECK(queue.next_of(2).empty());
  std::vector<transfer_id> order;
  while (auto p = queue.next()) order.push_back(p->transfer);
  CHECK(order == std::vector<transfer_id>{1, 1, 1, 1, 2, 2, 2, 2});
}

TEST_CASE("shared memory is chosen before a bulk connection") {
  sharing_process here;
  auto lane = std::make_shared<lane_of_test>();
  outbound_queue queue{&here.pools};
  queue.use(lane);
  auto values = ramp(65536);
  queue.settle(0, here.peer());
  queue.add(parts_of(values, 1));
  auto p = queue.next();
  REQUIRE(p);
  CHECK(here.shared(*p));
  CHECK(lane->taken.empty());
}
