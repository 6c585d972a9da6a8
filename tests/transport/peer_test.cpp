#include "troupe/transport/peer.hpp"

#include <variant>

#include <catch2/catch.hpp>

#include "transfer_stage.hpp"

using namespace troupe::transport;

namespace {

// What a peer posts and announces, in order.
struct mailbox {
  struct announcement {
    transfer_id of;
    std::size_t parts;
  };
  std::vector<std::variant<announcement, part, credit>> sent;

  auto post() {
    return [this](auto what) { sent.emplace_back(std::move(what)); };
  }
  auto announce(transfer_id of) {
    return [this, of](std::vector<part> first) {
      sent.emplace_back(announcement{of, first.size()});
      for (auto& p : first) sent.emplace_back(std::move(p));
    };
  }
  template <class What>
  std::vector<What> all() const {
    std::vector<What> found;
    for (const auto& s : sent)
      if (auto* w = std::get_if<What>(&s)) found.push_back(*w);
    return found;
  }
  // The transfers of the parts posted since the last call.
  std::vector<transfer_id> take_transfers() {
    std::vector<transfer_id> ids;
    for (const auto& p : all<part>()) ids.push_back(p.transfer);
    sent.clear();
    return ids;
  }
};

outbound_transfer transfer_of(transfer_id id, std::size_t parts) {
  const auto values = ramp(parts * part_bytes / sizeof(float));
  return {id, values, values->data(), values->size() * sizeof(float)};
}

// A bulk connection that takes everything until it breaks.
struct breakable_lane : bulk_lane {
  bool open() const override { return up; }
  std::uint64_t send(const part& p) override {
    taken.push_back(p.transfer);
    return 1;
  }
  bool broke(std::uint64_t) const override { return !up; }

  bool up = true;
  std::vector<transfer_id> taken;
};

using ids = std::vector<transfer_id>;

} // namespace

TEST_CASE("PEER-1: a transfer is announced first, with one part, and its others follow in order") {
  peer to{4, nullptr};
  mailbox box;
  to.send(transfer_of(1, 3), box.announce(1), box.post());
  REQUIRE(box.sent.size() == 4);
  REQUIRE(std::holds_alternative<mailbox::announcement>(box.sent[0]));
  CHECK(std::get<mailbox::announcement>(box.sent[0]).parts == 1);
  std::uint64_t offset = 0;
  for (const auto& p : box.all<part>()) {
    CHECK(p.from == 4); // this end, as the counterpart knows it
    CHECK(p.offset == offset);
    offset += p.data.size();
  }
  CHECK(offset == 3 * part_bytes);
}

TEST_CASE("PEER-1: what waited goes after an announcement and before the parts announced") {
  peer to{4, nullptr, 2};
  mailbox box;
  to.send(transfer_of(1, 3), box.announce(1), box.post());
  CHECK(to.waiting() == part_bytes);
  box.sent.clear();
  to.send(transfer_of(2, 1), box.announce(2), box.post());
  REQUIRE(box.sent.size() == 1);
  CHECK(std::get<mailbox::announcement>(box.sent[0]).parts == 0);
  box.sent.clear();
  to.take(credit{2, 9, 1, 0}, box.post());
  CHECK(box.take_transfers() == ids{1, 2});
  CHECK(to.waiting() == 0);
}

TEST_CASE("a transfer that was announced without parts, and one that lies in blocks") {
  peer to{4, nullptr};
  mailbox box;
  to.send(transfer_of(1, 2), box.post());
  CHECK(box.take_transfers() == ids{1, 1});
  const auto blocks = parts_of(ramp(2 * part_bytes / sizeof(float)), 2);
  to.send(blocks, box.announce(2), box.post());
  REQUIRE(box.all<mailbox::announcement>().size() == 1);
  CHECK(box.all<part>().at(1).data.bytes().data() == blocks[1].data.bytes().data());
  CHECK(box.take_transfers() == ids{2, 2});
}

TEST_CASE("PEER-2: an answer of the counterpart opens the window by its whole transfer") {
  peer to{4, nullptr, 2};
  mailbox box;
  to.send(transfer_of(1, 2), box.post());
  to.send(transfer_of(2, 2), box.post());
  CHECK(box.take_transfers() == ids{1, 1});
  to.answered(1, 0);
  to.flush(box.post());
  CHECK(box.take_transfers() == ids{2, 2});
}

TEST_CASE("a transfer that is given up gives way to those behind it") {
  peer to{4, nullptr, 2};
  mailbox box;
  for (transfer_id id : {1, 2, 3}) to.send(transfer_of(id, 2), box.post());
  to.give_up(2); // it waited
  to.give_up(1); // it was on its way
  box.sent.clear();
  to.flush(box.post());
  CHECK(box.take_transfers() == ids{3, 3});
}

TEST_CASE("PEER-2: an answer of this end stands for the credit of its transfer") {
  peer from{4, nullptr};
  mailbox box;
  for (transfer_id id = 1; id <= 10; ++id) {
    for (const auto& p : parts_of(ramp(7 * part_bytes / sizeof(float)), id)) from.take(p);
    from.answer(id);
    from.post_credit(box.post());
  }
  CHECK(box.sent.empty());
  for (const auto& p : parts_of(ramp(7 * part_bytes / sizeof(float)), 11)) from.take(p);
  from.whole(11); // nothing will answer it
  from.post_credit(box.post());
  const auto due = box.all<credit>();
  REQUIRE(due.size() == 1);
  CHECK(due[0].from == 4);
  CHECK(due[0].parts == 7);
  CHECK(due[0].transfer == 11);
}

TEST_CASE("PEER-2: a question credits the transfer before it, and a long one credits itself") {
  peer from{4, nullptr};
  mailbox box;
  from.asked();
  std::uint32_t credited = 0;
  for (const auto& p : parts_of(ramp(20 * part_bytes / sizeof(float)), 1)) {
    from.take(p);
    from.post_credit(box.post());
  }
  for (const auto& c : box.all<credit>()) credited += c.parts;
  CHECK(credited == 16);
  box.sent.clear();
  from.asked(); // the four are forgotten
  const auto parts = parts_of(ramp(8 * part_bytes / sizeof(float)), 2);
  for (int i = 0; i < 7; ++i) from.take(parts[i]);
  from.post_credit(box.post());
  CHECK(box.sent.empty());
  from.take(parts[7]);
  from.post_credit(box.post());
  CHECK(box.all<credit>().size() == 1);
}

TEST_CASE("PEER-3: another counterpart gets nothing that was for the one before") {
  auto earlier = std::make_shared<breakable_lane>(), later = std::make_shared<breakable_lane>();
  peer to{4, nullptr, 2};
  mailbox box;
  to.reach_over(earlier);
  to.send(transfer_of(1, 12), box.post()); // over a bulk connection, three parts
  CHECK(earlier->taken == ids{1, 1});
  CHECK(to.waiting() == bulk_part_bytes);
  to.moved(later);
  CHECK(to.waiting() == 0);
  earlier->up = false; // nothing of it is sent again
  to.flush(box.post());
  CHECK(later->taken.empty());
  to.send(transfer_of(2, 1), box.post());
  CHECK(later->taken == ids{2}); // the window is open
  CHECK(box.sent.empty());
}

TEST_CASE("PEER-3: parts that come before another counterpart was asked are not credited") {
  peer from{4, nullptr};
  mailbox box;
  const auto parts = parts_of(ramp(20 * part_bytes / sizeof(float)), 1);
  for (int i = 0; i < 7; ++i) from.take(parts[i]); // one more, and credit is due
  from.moved(nullptr);
  for (const auto& p : parts) from.take(p);
  from.post_credit(box.post());
  CHECK(box.sent.empty());
  from.asked();
  for (int i = 0; i < 8; ++i) from.take(parts[i]);
  from.post_credit(box.post());
  REQUIRE(box.all<credit>().size() == 1);
  CHECK(box.all<credit>()[0].parts == 8);
}

TEST_CASE("PEER-4: what was lost is not sent any more, and leaves the window open") {
  peer to{4, nullptr, 2};
  mailbox box;
  to.send(transfer_of(1, 4), box.post());
  to.lost();
  CHECK(to.waiting() == 0);
  box.sent.clear();
  to.send(transfer_of(2, 2), box.post());
  CHECK(box.take_transfers() == ids{2, 2});
}

TEST_CASE("PEER-5: over another connection what waits stays, and what was lost goes again") {
  auto lane = std::make_shared<breakable_lane>();
  peer to{4, nullptr, 2};
  mailbox box;
  to.reach_over(lane);
  to.send(transfer_of(1, 12), box.post());
  CHECK(lane->taken == ids{1, 1});
  to.reach_over(nullptr);
  CHECK(to.waiting() == bulk_part_bytes);
  to.take(credit{2, 9, 1, 0}, box.post());
  CHECK(box.take_transfers() == ids{1, 1}); // as messages
  to.answered(1, 0);
  lane->taken.clear();
  to.reach_over(lane);
  to.send(transfer_of(2, 4), box.post());
  CHECK(lane->taken == ids{2});
  lane->up = false;
  to.flush(box.post());
  CHECK(box.take_transfers() == ids{2, 2}); // as messages, as far as the window goes
}

TEST_CASE(
    "a counterpart that shares memory is lent the bytes, and another one in its place is not") {
  shared_pools pools;
  pools.enable();
  peer to{4, &pools};
  CHECK(to.key() == pools.key());
  CHECK((peer{4, nullptr}.key()) == 0);
  mailbox box;
  to.send(transfer_of(1, 1), box.post());
  CHECK_FALSE(box.all<part>().at(0).data.lent());
  to.answered(1, pools.key() ^ 1); // another process of this host
  box.sent.clear();
  to.send(transfer_of(2, 1), box.post());
  CHECK(box.all<part>().at(0).data.lent());
  to.moved(nullptr); // PEER-3
  box.sent.clear();
  to.send(transfer_of(3, 1), box.post());
  CHECK_FALSE(box.all<part>().at(0).data.lent());
}
