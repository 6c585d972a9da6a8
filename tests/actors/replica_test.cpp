#include "troupe/actors/shard.hpp"

#include <catch2/catch.hpp>

#include "replica_stage.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;

TEST_CASE("REPLICA-1: a push is applied, acknowledged and seen only when the next replica has it") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a, f.probe});
  f.send_push(a, 0);
  REQUIRE(f.log.changes.size() == 1);
  CHECK(f.log.changes[0].sequence == 1);
  CHECK(f.log.changes[0].batch == batch_id{0, 0});
  CHECK(f.log.parts.size() == 2); // of the gradient
  CHECK(f.confirmed().empty());
  CHECK_FALSE(a.applied(0));
  f.send_pull(a);
  CHECK(f.pulled() == 100.0f);

  f.acknowledge(a, 1, 1);
  CHECK(f.confirmed() == batches{0});
  CHECK(a.applied(0));
  f.send_pull(a);
  CHECK(f.pulled() == 99.0f);
}

TEST_CASE("an acknowledgement of another view or from another node counts for nothing") {
  replica_stage f;
  auto a = f.spawn();
  f.install(2, {a, f.probe});
  f.send_push(a, 0);
  f.acknowledge(a, 1, 1);
  f.acknowledge(a, 3, 1);
  caf::anon_send(a.actor, replicated{shard_0, {2}, 1, replica_peer(78)});
  f.settle();
  CHECK(f.confirmed().empty());
  CHECK_FALSE(a.applied(0));
  f.acknowledge(a, 2, 1);
  CHECK(f.confirmed() == batches{0});
}

TEST_CASE("all replicas of a chain have the same state, bit for bit (SHARD-8)") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn(), c = f.spawn();
  f.install(1, {a, b, c});
  for (std::uint32_t i = 0; i < 5; ++i) f.send_push(a, i, 0.1f * static_cast<float>(i + 1));
  CHECK(f.confirmed() == batches{0, 1, 2, 3, 4});
  CHECK(a.value() < 100.0f);
  CHECK(f.same_state(a, b));
  CHECK(f.same_state(a, c));
  CHECK(a.slot->core->clocks() == c.slot->core->clocks());
}

TEST_CASE("a batch that comes again is acknowledged, and applied on no replica a second time") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn();
  f.install(1, {a, b});
  f.send_push(a, 0);
  f.send_push(a, 0, 50);
  CHECK(f.confirmed() == batches{0, 0});
  CHECK(a.value() == 99.0f);
  CHECK(b.value() == 99.0f);
  CHECK(f.same_state(a, b));
}

TEST_CASE("a batch that comes again before the next replica has it is not acknowledged before it") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a, f.probe});
  f.send_push(a, 0);
  f.send_push(a, 0, 50);
  REQUIRE(f.log.changes.size() == 2);
  CHECK(f.log.changes[1].transfer == 0); // without its gradient
  CHECK(f.confirmed().empty());
  f.acknowledge(a, 1, 2);
  CHECK(f.confirmed() == batches{0, 0});
  CHECK(a.value() == 99.0f);
}

TEST_CASE("REPLICA-2: the old primary of a replaced view acknowledges nothing") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn();
  f.install(1, {a, b});
  f.send_push(a, 0);
  f.tell(b, 2, {b}); // a is thought lost, and knows nothing of it
  f.send_push(a, 1);
  f.pass(std::chrono::seconds(10)); // it tries again
  CHECK(f.confirmed() == batches{0});
  CHECK_FALSE(a.applied(1));
  CHECK_FALSE(b.applied(1));
  f.send_push(b, 1, 2); // the worker's next attempt
  CHECK(f.confirmed() == batches{0, 1});
  f.send_push(b, 2);
  CHECK(f.confirmed() == batches{0, 1, 2});
  CHECK_FALSE(a.applied(2));
}

TEST_CASE("REPLICA-2: a backup refuses what a replica of a replaced view sends on") {
  replica_stage f;
  auto a = f.spawn(), c = f.spawn();
  f.install(2, {a, c}); // the probe stood between them, and knows nothing of it
  replicate r{shard_0, {1}, 1, 3, {5}, 4, {}, unknown_updates, 0, replica_peer(77), f.probe.actor};
  caf::anon_send(c.actor, r);
  f.settle();
  CHECK_FALSE(c.slot->core->clocks().live({5}));
  CHECK(f.log.acknowledged.empty());
  f.send_push(a, 0);
  CHECK(f.confirmed() == batches{0});
  CHECK(f.same_state(a, c));
}

TEST_CASE("REPLICA-2: a change of a view above waits until that view is installed") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn();
  f.install(1, {a});
  f.tell(b, 1, {f.probe, b});
  f.tell(a, 2, {a, b});
  f.send_push(a, 0);
  CHECK_FALSE(b.applied(0));
  CHECK(f.confirmed().empty());
  f.tell(b, 2, {a, b});
  CHECK(b.applied(0));
  CHECK(f.confirmed() == batches{0});
}

TEST_CASE("a view that is not above the known one changes nothing") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn();
  f.install(2, {a, b});
  f.tell(b, 1, {b}); // overtaken on its way
  f.send_push(b, 0);
  CHECK(f.confirmed().empty());
  f.send_push(a, 1);
  CHECK(f.confirmed() == batches{1});
}

TEST_CASE(
    "when the next replica is lost, what it had not acknowledged is applied and acknowledged") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a, f.probe});
  f.send_push(a, 0);
  f.send_push(a, 1);
  CHECK(f.confirmed().empty());
  f.install(2, {a});
  CHECK(f.confirmed() == batches{0, 1});
}

TEST_CASE("when the middle replica is lost, its successor gets from the primary what it lacks") {
  replica_stage f;
  auto a = f.spawn(), c = f.spawn();
  f.install(1, {a, f.probe});
  f.tell(c, 1, {a, f.probe, c});
  f.send_push(a, 0);
  f.send_push(a, 1);
  f.install(2, {a, c});
  CHECK(f.confirmed() == batches{0, 1});
  CHECK(f.same_state(a, c));
}

TEST_CASE("TRANSFER-3: a part that comes with the announcement of another transfer is none of it") {
  replica_stage f;
  auto b = f.spawn();
  f.tell(b, 1, {f.probe, b});
  const auto change = [&](std::uint64_t sequence, transfer_id id, std::vector<part> first) {
    return replicate{shard_0,
                     {1},
                     sequence,
                     0,
                     w0,
                     sequence - 1,
                     {0, std::uint32_t(sequence - 1)},
                     unknown_updates,
                     id,
                     replica_peer(77),
                     f.probe.actor,
                     std::move(first)};
  };
  auto of_first = constant(900, replica_peer(77), 1);
  auto of_second = constant(901, replica_peer(77), 10);
  // What was lost of the first goes out again, and happens to come with the second.
  caf::anon_send(b.actor, change(2, 901, {of_first[0]}));
  for (const auto& p : of_second) caf::anon_send(b.actor, p);
  caf::anon_send(b.actor, change(1, 900, {}));
  caf::anon_send(b.actor, of_first[1]);
  f.settle();
  CHECK(b.applied(0));
  CHECK(b.applied(1));
  const auto& values = *b.slot->core->current();
  CHECK(values.front() == values.back()); // every element got both
}

TEST_CASE("a backup that becomes primary applies what it holds, and knows those batches") {
  replica_stage f;
  auto b = f.spawn();
  f.tell(b, 1, {f.probe, b, f.probe}); // its successor says nothing, so it only holds
  std::uint64_t sequence = 0;
  for (std::uint32_t batch : {0u, 1u}) {
    const transfer_id id = 900 + batch;
    caf::anon_send(b.actor, replicate{shard_0,
                                      {1},
                                      ++sequence,
                                      0,
                                      w0,
                                      batch,
                                      {0, batch},
                                      unknown_updates,
                                      id,
                                      replica_peer(77),
                                      f.probe.actor});
    for (auto& p : constant(id, replica_peer(77), 1)) caf::anon_send(b.actor, std::move(p));
  }
  f.settle();
  CHECK_FALSE(b.applied(0));
  f.install(2, {b, f.probe});
  f.log.changes.clear();
  f.send_push(b, 1, 50); // the worker has heard nothing
  REQUIRE(f.log.changes.size() == 1);
  CHECK(f.log.changes[0].sequence == 3);
  CHECK(f.log.changes[0].transfer == 0); // repeated
  f.acknowledge(b, 2, 3);
  CHECK(f.confirmed() == batches{1});
  CHECK(b.applied(0));
  CHECK(b.value() == 97.5f); // 1, then 1 and half of the step before
}

TEST_CASE("REPLICA-4: a backup keeps pushes and pulls, and serves them when it is primary") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn();
  f.install(1, {a, b});
  f.send_push(b, 0); // the worker heard of the new view first
  f.send_pull(b);
  CHECK(f.confirmed().empty());
  CHECK_FALSE(f.pulled());
  CHECK_FALSE(b.applied(0));
  f.install(2, {b});
  CHECK(f.confirmed() == batches{0});
  CHECK(f.pulled().has_value());
  CHECK(b.applied(0));
}

TEST_CASE("a backup answers what only a primary may with an error") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn();
  f.install(1, {a, b});
  f.send_push(a, 3);
  caf::error error;
  CHECK_FALSE(f.ask<applied_report>(b, applied_request{}, &error));
  CHECK(error == make_error(errc::not_primary));
  error = {};
  CHECK_FALSE(f.ask<clock_entered>(b, enter_clock{w0, 4}, &error));
  CHECK(error == make_error(errc::not_primary));
  auto report = f.ask<applied_report>(a, applied_request{}, &error);
  REQUIRE(report);
  CHECK(report->applied.size() == 1);
  CHECK(report->applied.contains({0, 3}));
}

TEST_CASE("a worker that enters the clocks is answered when every replica counts it") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a, f.probe});
  caf::error error;
  CHECK_FALSE(f.ask<clock_entered>(a, enter_clock{{5}, 4}, &error));
  CHECK_FALSE(a.slot->core->clocks().live({5}));
  REQUIRE(f.log.changes.size() == 1);
  f.acknowledge(a, 1, 1);
  CHECK(a.slot->core->clocks().applied({5}) == 4);

  replica_stage g;
  auto c = g.spawn(), d = g.spawn();
  g.install(1, {c, d});
  CHECK(g.ask<clock_entered>(c, enter_clock{{6}, 7}, &error));
  CHECK(d.slot->core->clocks().applied({6}) == 7);
  caf::anon_send(c.actor, leave_clock{{6}, true});
  g.settle();
  CHECK_FALSE(d.slot->core->clocks().live({6}));
}

TEST_CASE("REPLICA-3: a primary whose read lease has run out serves no read until it is extended") {
  replica_stage f;
  auto lease = std::make_shared<read_lease>();
  auto a = f.spawn(false, lease);
  f.install(1, {a});
  f.send_push(a, 0);
  CHECK(f.confirmed() == batches{0}); // writes do not need it
  f.send_pull(a);
  CHECK_FALSE(f.pulled()); // it was never given one

  lease->extend(f.now() + std::chrono::seconds(1));
  f.pass(std::chrono::milliseconds(20)); // it looks again
  CHECK(f.pulled() == 99.0f);
  f.pass(std::chrono::seconds(1));
  f.send_pull(a, 1);
  CHECK_FALSE(f.pulled());
  caf::anon_send(a.actor, pull_snapshot{no_epoch, 500, f.worker});
  f.pass(std::chrono::seconds(1));
  CHECK(f.log.ranges.empty());
  lease->extend(f.now() + std::chrono::seconds(1));
  f.pass(std::chrono::milliseconds(20));
  CHECK(f.log.ranges.size() == 2); // the pull and the snapshot

  f.pass(std::chrono::seconds(1));
  caf::anon_send(a.actor, pull_snapshot{no_epoch, 501, f.worker}); // with no pull that waits
  f.pass(std::chrono::milliseconds(20));
  lease->extend(f.now() + std::chrono::seconds(1));
  f.pass(std::chrono::milliseconds(20));
  CHECK(f.log.ranges.size() == 3);
}

TEST_CASE("acknowledgements are all the credit that pushes and changes need") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn();
  f.install(1, {a, b});
  for (std::uint32_t batch = 0; batch < 40; ++batch) f.send_push(a, batch);
  REQUIRE(f.log.confirmed.size() == 40);
  CHECK(f.log.confirmed[39].transfer > f.log.confirmed[38].transfer); // that it came as
  CHECK(f.log.credits.empty());
  CHECK(b.applied(39)); // no part of the chain ran out of window
}

TEST_CASE("an acknowledgement lets the parts of later changes go") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a, f.probe});
  for (std::uint32_t batch = 0; batch < 10; ++batch) f.send_push(a, batch);
  CHECK(f.log.changes.size() == 10);
  CHECK(f.log.parts.size() == default_window);
  f.acknowledge(a, 1, 1);
  CHECK(f.log.parts.size() == default_window + 2);
  f.acknowledge(a, 1, 8);
  CHECK(f.log.parts.size() == 20);
}

TEST_CASE("a change that was lost on its way is sent again") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a, f.probe});
  f.send_push(a, 0);
  REQUIRE(f.log.changes.size() == 1);
  f.pass(std::chrono::seconds(2));
  REQUIRE(f.log.changes.size() == 2);
  CHECK(f.log.changes[1].sequence == 1);
  CHECK(f.log.changes[1].transfer != f.log.changes[0].transfer);
  CHECK(f.log.parts.size() == 4);
  f.acknowledge(a, 1, 1);
  f.pass(std::chrono::seconds(10));
  CHECK(f.log.changes.size() == 2);
}

TEST_CASE("an acknowledgement that was lost is given again when the change comes again") {
  replica_stage f;
  auto b = f.spawn();
  f.tell(b, 1, {f.probe, b});
  replicate r{shard_0, {1}, 1, 3, {5}, 4, {}, unknown_updates, 0, replica_peer(77), f.probe.actor};
  for (int i = 0; i < 2; ++i) {
    caf::anon_send(b.actor, r);
    f.settle();
  }
  REQUIRE(f.log.acknowledged.size() == 2);
  CHECK(f.log.acknowledged[0].sequence == 1);
  CHECK(f.log.acknowledged[1].sequence == 1);
}

TEST_CASE("REPLICA-6: states are compared every few seconds, and one that differs is reported") {
  replica_stage stage;
  auto a = stage.spawn(), b = stage.spawn(), c = stage.spawn();
  stage.install(1, {a, b, c});
  stage.send_push(a, 0);
  for (int i = 0; i < 10; ++i) stage.pass(std::chrono::seconds(2));
  CHECK(stage.log.differing.empty());
  // Bad memory: an update that nobody else made.
  shard_change stray{shard_change::kind::gradient, w0, 5, {1, 3}, unknown_updates, {}};
  for (auto& p : constant(1, 0, 7)) stray.gradient.emplace_back(p.offset, std::move(p.data));
  c.slot->core->make(stray);
  stage.send_push(a, 1);
  for (int i = 0; i < 10; ++i) stage.pass(std::chrono::seconds(2));
  REQUIRE(stage.log.differing.size() >= 1);
  for (const auto& d : stage.log.differing) {
    CHECK(d.node == c.node);
    CHECK(d.view == view_number{1});
  }
  CHECK(stage.confirmed() == batches{0, 1});
}
