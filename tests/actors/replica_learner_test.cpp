// How a replica is brought up while the others go on, and how images travel.
#include "troupe/actors/shard.hpp"

#include <catch2/catch.hpp>

#include "replica_stage.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;

TEST_CASE("a learner is given the state and the changes since, and is told of when it has them") {
  replica_stage f;
  auto a = f.spawn(), l = f.spawn(true);
  f.install(1, {a});
  for (std::uint32_t i = 0; i < 3; ++i) f.send_push(a, i, 0.3f);
  f.install(2, {a}, &l);
  REQUIRE(l.slot->core);
  CHECK(f.same_state(a, l));
  REQUIRE(f.log.learned.size() == 1);
  CHECK(f.log.learned[0].learner == l.node);
  CHECK(f.log.learned[0].view == view_number{2});

  f.send_push(a, 3, 0.7f);
  CHECK(f.confirmed() == batches{0, 1, 2, 3});
  CHECK(l.applied(3));
  CHECK(f.same_state(a, l));
  CHECK(f.log.learned.size() == 1); // told once

  f.install(3, {a, l});
  f.send_push(a, 4, 0.7f);
  CHECK(f.confirmed() == batches{0, 1, 2, 3, 4});
  CHECK(f.same_state(a, l));
}

TEST_CASE("the tail brings up the learner, not the primary") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn(), l = f.spawn(true);
  f.install(1, {a, b});
  f.send_push(a, 0, 0.3f);
  f.install(2, {a, b}, &l);
  f.send_push(a, 1, 0.3f);
  CHECK(f.same_state(a, l));
  f.install(3, {a, b, l});
  f.install(4, {l}); // the others are lost
  f.send_push(l, 1, 50);
  CHECK(f.confirmed() == batches{0, 1, 1});
  CHECK(f.same_state(a, l));
}

TEST_CASE("an image that arrives before its view is used when the view is installed") {
  replica_stage f;
  auto a = f.spawn(), l = f.spawn(true);
  f.install(1, {a});
  f.send_push(a, 0, 0.3f);
  f.tell(a, 2, {a}, &l);
  f.send_push(a, 1, 0.3f);
  CHECK_FALSE(l.slot->core);
  f.tell(l, 2, {a}, &l); // no time passes: nothing is sent again
  REQUIRE(l.slot->core);
  CHECK(f.same_state(a, l));
}

TEST_CASE("REPLICA-5: a learner may join when it has everything applied, and is waited for then") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a});
  f.install(2, {a}, &f.probe);
  REQUIRE(f.log.images.size() == 1);
  CHECK(f.log.images[0].sequence == 0);
  for (std::uint32_t i = 0; i < 3; ++i) f.send_push(a, i);
  CHECK(f.confirmed() == batches{0, 1, 2}); // it holds nobody back
  CHECK(f.log.changes.size() == 3);

  f.acknowledge(a, 2, 0); // the image is in use; three changes are missing
  CHECK(f.log.learned.empty());
  f.send_push(a, 3);
  CHECK(f.confirmed() == batches{0, 1, 2}); // now it does
  f.acknowledge(a, 2, 2);
  CHECK(f.log.learned.empty());
  f.acknowledge(a, 2, 3);
  CHECK(f.log.learned.size() == 1);
  CHECK(f.confirmed() == batches{0, 1, 2});
  f.acknowledge(a, 2, 4);
  CHECK(f.confirmed() == batches{0, 1, 2, 3});
}

TEST_CASE("a learner that is far behind holds nobody back") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a});
  f.install(2, {a}, &f.probe);
  for (std::uint32_t i = 0; i < 65; ++i) f.send_push(a, i);
  f.acknowledge(a, 2, 0);
  f.send_push(a, 65);
  CHECK(f.confirmed().size() == 66);
  CHECK(f.log.learned.empty());
}

TEST_CASE("when a learner that was waited for is lost, the others go on") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a});
  f.install(2, {a}, &f.probe);
  f.acknowledge(a, 2, 0);
  f.send_push(a, 0);
  CHECK(f.confirmed().empty());
  f.install(3, {a});
  CHECK(f.confirmed() == batches{0});
}

TEST_CASE("a learner that joined is sent what it had not acknowledged") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a});
  f.install(2, {a}, &f.probe);
  f.acknowledge(a, 2, 0);
  f.send_push(a, 0);
  f.log.changes.clear();
  f.install(3, {a, f.probe});
  REQUIRE(f.log.changes.size() == 1);
  CHECK(f.log.changes[0].sequence == 1);
  CHECK(f.log.changes[0].view == view_number{3});
  CHECK(f.log.images.size() == 1); // no second image
  f.acknowledge(a, 3, 1);
  CHECK(f.confirmed() == batches{0});
}

TEST_CASE("a learner goes on where it was when another replica than the tail is lost") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn();
  f.install(1, {a, b});
  f.install(2, {a, b}, &f.probe);
  f.acknowledge(b, 2, 0);
  REQUIRE(f.log.learned.size() == 1);
  f.install(3, {b}, &f.probe);
  CHECK(f.log.images.size() == 1);
  REQUIRE(f.log.learned.size() == 2); // told again, of the new view
  CHECK(f.log.learned[1].view == view_number{3});
  f.send_push(b, 0);
  REQUIRE(f.log.changes.size() == 1);
  CHECK(f.log.changes[0].view == view_number{3});
  CHECK(f.confirmed().empty());
  f.acknowledge(b, 3, 1);
  CHECK(f.confirmed() == batches{0});
}

TEST_CASE("an image that comes again does not take a learner back") {
  replica_stage f;
  auto a = f.spawn(), l = f.spawn(true);
  f.install(1, {a});
  f.send_push(a, 0);
  f.tell(a, 2, {a}, &f.probe);
  REQUIRE(f.log.images.size() == 1);
  const auto image = f.log.images[0];
  std::vector<part> parts;
  for (const auto& p : f.log.parts)
    if (p.transfer == image.transfer) parts.push_back(p);
  const auto send_image = [&] {
    caf::anon_send(l.actor, image);
    for (const auto& p : parts) caf::anon_send(l.actor, p);
    f.settle();
  };
  f.tell(l, 2, {a}, &l);
  send_image();
  REQUIRE(l.slot->core);
  caf::anon_send(
      l.actor,
      replicate{
          shard_0, {2}, 2, 3, {5}, 4, {}, unknown_updates, 0, replica_peer(77), f.probe.actor});
  f.settle();
  CHECK(l.slot->core->clocks().applied({5}) == 4);
  send_image(); // it was late
  REQUIRE(l.slot->core);
  CHECK(l.slot->core->clocks().applied({5}) == 4);
}

TEST_CASE("an image that was lost on its way is sent again") {
  replica_stage f;
  auto a = f.spawn();
  f.install(1, {a});
  f.install(2, {a}, &f.probe);
  REQUIRE(f.log.images.size() == 1);
  f.send_push(a, 0);
  f.pass(std::chrono::seconds(2));
  REQUIRE(f.log.images.size() == 2);
  CHECK(f.log.images[1].sequence == 1);
  f.acknowledge(a, 2, 1);
  f.pass(std::chrono::seconds(10));
  CHECK(f.log.images.size() == 2);
}

TEST_CASE("when the tail is lost, the one before it brings up the learner anew") {
  replica_stage f;
  auto a = f.spawn(), b = f.spawn(), l = f.spawn(true);
  f.install(1, {a, b});
  f.install(2, {a, b}, &l);
  f.send_push(a, 0, 0.3f);
  f.log.learned.clear();
  f.install(3, {a}, &l);
  f.send_push(a, 1, 0.3f);
  CHECK(f.same_state(a, l));
  REQUIRE(f.log.learned.size() == 1);
  CHECK(f.log.learned[0].view == view_number{3});
}

TEST_CASE("the archive is sent an image, and an empty replica begins with one from the archive") {
  const auto mode =
      GENERATE(troupe::scheduler::consistency::async(), troupe::scheduler::consistency::bsp(2));
  replica_stage f{mode};
  auto a = f.spawn(), b = f.spawn(true);
  f.install(1, {a});
  f.send_push(a, 0, 0.3f);
  caf::anon_send(a.actor, take_image{7, 1, 0, f.archive});
  f.settle();
  if (a.slot->core->reads_are_exact()) {
    CHECK(f.log.images.empty()); // until step 0 is whole
    f.send_push(a, 1, 0.5f);
  }
  REQUIRE(f.log.images.size() == 1);
  CHECK(f.log.images[0].checkpoint == 7);

  auto image = f.log.images[0];
  image.sender = archive_peer;
  image.from = f.archive;
  caf::anon_send(b.actor, image);
  for (auto p : f.log.parts) {
    p.from = archive_peer;
    caf::anon_send(b.actor, p);
  }
  f.settle();
  REQUIRE(b.slot->core);
  CHECK(f.same_state(a, b));
  CHECK(b.slot->core->clocks().live_workers().empty());
  REQUIRE(f.log.acknowledged.size() == 1);
  f.install(1, {b});
  f.send_push(b, 2);
  CHECK(f.confirmed().back() == 2);
}
