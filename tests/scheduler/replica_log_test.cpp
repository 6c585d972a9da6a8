#include "troupe/scheduler/replica_log.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;

namespace {

using text_log = replica_log<std::string>;
using list = std::vector<std::string>;
using enum text_log::downstream;

list apply_all(text_log& l) {
  list result;
  while (auto next = l.next_to_apply()) {
    CHECK(next->first == l.applied() + 1);
    result.push_back(*next->second);
    l.was_applied();
  }
  return result;
}

list send_all(text_log& l) {
  list result;
  while (auto next = l.next_to_send()) result.push_back(*next->second);
  return result;
}

list open(const text_log& l) {
  list result;
  l.for_each_open([&](const std::string& change) { result.push_back(change); });
  return result;
}

text_log with_changes(const list& changes) {
  text_log l;
  for (const auto& c : changes) l.append(c);
  return l;
}

} // namespace

TEST_CASE("changes are applied once in the order of their numbers, however they arrive (LOG-1)") {
  text_log l;
  CHECK(l.receive(3, "c"));
  CHECK(apply_all(l).empty());
  CHECK(l.last() == 0);
  CHECK(l.receive(1, "a"));
  CHECK(l.last() == 1);
  CHECK(apply_all(l) == list{"a"});
  CHECK_FALSE(l.receive(1, "a again"));
  CHECK_FALSE(l.receive(3, "c again"));
  CHECK(l.receive(2, "b"));
  CHECK(l.last() == 3);
  CHECK(apply_all(l) == list{"b", "c"});
  CHECK_FALSE(l.receive(2, "b again"));
  CHECK(apply_all(l).empty());
  CHECK(l.applied() == 3);
}

TEST_CASE("a log that begins with an image takes the changes after it and no others (LOG-1)") {
  text_log l{5};
  CHECK(l.applied() == 5);
  CHECK(l.last() == 5);
  CHECK_FALSE(l.receive(5, "contained"));
  CHECK(l.receive(7, "g"));
  CHECK(l.receive(6, "f"));
  CHECK(apply_all(l) == list{"f", "g"});
  CHECK(l.append("h") == 8);
}

TEST_CASE("a primary without a successor applies at once (LOG-2)") {
  text_log l;
  CHECK(l.append("a") == 1);
  CHECK(l.append("b") == 2);
  CHECK(apply_all(l) == list{"a", "b"});
  CHECK(l.held() == 0);
}

TEST_CASE("a replica with a successor applies what that has acknowledged and no more (LOG-2)") {
  text_log l;
  l.install(successor, false);
  l.append("a");
  l.append("b");
  l.append("c");
  CHECK(apply_all(l).empty());
  CHECK(l.acknowledge(2));
  CHECK(apply_all(l) == list{"a", "b"});
  CHECK_FALSE(l.acknowledge(2)); // no news
  CHECK_FALSE(l.acknowledge(1));
  CHECK(l.acknowledged() == 2);
  CHECK(l.acknowledge(99)); // no more than there is
  CHECK(l.acknowledged() == 3);
  CHECK(apply_all(l) == list{"c"});
  CHECK(l.held() == 0);
}

TEST_CASE("nobody downstream acknowledges nothing") {
  auto l = with_changes({"a"});
  CHECK_FALSE(l.acknowledge(1));
  CHECK(l.acknowledged() == 0);
}

TEST_CASE("when the successor is lost, what it had not acknowledged is applied (LOG-2)") {
  text_log l;
  l.install(successor, false);
  l.append("a");
  l.append("b");
  l.acknowledge(1);
  CHECK(apply_all(l) == list{"a"});
  l.install(none, false);
  CHECK(apply_all(l) == list{"b"});
  CHECK(l.held() == 0);
}

TEST_CASE("a change is kept until it is applied and acknowledged (LOG-3)") {
  text_log l;
  l.install(successor, false);
  l.append("a");
  l.append("b");
  send_all(l);
  CHECK(l.held() == 2);
  l.acknowledge(1);
  CHECK(l.held() == 2); // not applied here
  CHECK(apply_all(l) == list{"a"});
  CHECK(l.held() == 1);

  auto lonely = with_changes({"a", "b"});
  lonely.install(learner, true);
  apply_all(lonely);
  CHECK(lonely.held() == 2); // the learner lacks them
  lonely.acknowledge(1);
  CHECK(lonely.held() == 1);
  lonely.acknowledge(2);
  CHECK(lonely.held() == 0);
}

TEST_CASE("a successor is sent each change once, and again when that is asked for") {
  text_log l;
  l.install(successor, false);
  l.append("a");
  l.append("b");
  CHECK(send_all(l) == list{"a", "b"});
  CHECK(send_all(l).empty());
  l.append("c");
  CHECK(send_all(l) == list{"c"});
  l.acknowledge(1);
  CHECK(send_all(l).empty());
  l.send_again();
  CHECK(send_all(l) == list{"b", "c"});
}

TEST_CASE("a change beyond a gap is not sent on before the gap is closed") {
  text_log l;
  l.install(successor, false);
  l.receive(2, "b");
  CHECK(send_all(l).empty());
  l.receive(1, "a");
  CHECK(send_all(l) == list{"a", "b"});
}

TEST_CASE("a new successor is sent everything that is not applied here (LOG-4)") {
  text_log l;
  l.install(successor, false);
  for (const auto* c : {"a", "b", "c", "d"}) l.append(c);
  send_all(l);
  l.acknowledge(3);
  l.next_to_apply();
  l.was_applied(); // a alone
  l.install(successor, false);
  CHECK(l.acknowledged() == 1);
  CHECK(send_all(l) == list{"b", "c", "d"});
  CHECK(apply_all(l).empty()); // the new one has said nothing yet
  l.acknowledge(2);
  CHECK(apply_all(l) == list{"b"});
}

TEST_CASE("the same successor in a new view is sent what it did not acknowledge (LOG-4)") {
  text_log l;
  l.install(successor, false);
  for (const auto* c : {"a", "b", "c"}) l.append(c);
  send_all(l);
  l.acknowledge(2);
  l.install(successor, true);
  CHECK(send_all(l) == list{"c"});
  CHECK(apply_all(l) == list{"a", "b"});
}

TEST_CASE("a learner is sent nothing before its image and everything after it (LOG-5)") {
  auto l = with_changes({"a", "b"});
  apply_all(l);
  l.install(learner, false);
  l.append("c");
  CHECK(send_all(l).empty());
  CHECK(apply_all(l) == list{"c"}); // holds nobody back
  l.append("d");
  l.learner_begins(); // with an image that has a to c
  CHECK(send_all(l) == list{"d"});
  CHECK(apply_all(l) == list{"d"});
  CHECK(l.held() == 1);
  l.acknowledge(4);
  CHECK(l.held() == 0);
}

TEST_CASE("a learner that begins again is sent what comes after its second image (LOG-5)") {
  text_log l;
  l.install(learner, false);
  l.learner_begins();
  l.append("a");
  CHECK(send_all(l) == list{"a"});
  apply_all(l);
  l.append("b");
  l.learner_begins();
  CHECK(send_all(l) == list{"b"});
}

TEST_CASE("a learner that becomes the successor is sent what it did not acknowledge (LOG-4)") {
  text_log l;
  l.install(learner, false);
  l.learner_begins();
  for (const auto* c : {"a", "b", "c"}) l.append(c);
  send_all(l);
  l.acknowledge(2);
  apply_all(l);
  l.install(successor, true);
  l.append("d");
  CHECK(send_all(l) == list{"c", "d"});
  CHECK(apply_all(l).empty());
  l.acknowledge(4);
  CHECK(apply_all(l) == list{"d"});
}

TEST_CASE(
    "a learner that is awaited may join when it has everything applied, and stays so (LOG-6)") {
  text_log l;
  l.install(learner, false);
  l.learner_begins();
  for (const auto* c : {"a", "b", "c"}) l.append(c);
  send_all(l);
  apply_all(l);
  l.acknowledge(2);
  CHECK_FALSE(l.learner_may_join());
  l.await_learner();
  CHECK_FALSE(l.learner_may_join()); // c is applied here
  l.append("d");
  CHECK(apply_all(l).empty());
  l.acknowledge(3);
  CHECK(l.learner_may_join());
  CHECK(apply_all(l).empty());
  CHECK(send_all(l) == list{"d"});
  l.acknowledge(4);
  CHECK(apply_all(l) == list{"d"});
  CHECK(l.learner_may_join());

  l.install(learner, true); // a new view in which it still learns
  l.append("e");
  CHECK(apply_all(l).empty());
  l.install(none, false); // it is lost
  CHECK_FALSE(l.learner_may_join());
  CHECK(apply_all(l) == list{"e"});
}

TEST_CASE("a learner that must begin again is awaited no longer (LOG-6)") {
  text_log l;
  l.install(learner, false);
  l.learner_begins();
  l.await_learner();
  l.append("a");
  CHECK(apply_all(l).empty());
  const bool by_image = GENERATE(true, false);
  if (by_image)
    l.learner_begins();
  else
    l.install(learner, false);
  CHECK(apply_all(l) == list{"a"});
  CHECK_FALSE(l.learner_may_join());
}

TEST_CASE("nobody is awaited where there is no learner (LOG-6)") {
  text_log l;
  l.await_learner();
  l.append("a");
  CHECK(apply_all(l) == list{"a"});
  CHECK_FALSE(l.learner_may_join());
}

TEST_CASE("a new primary drops what lies beyond a gap, and goes on in its place (LOG-1)") {
  text_log l;
  l.receive(1, "a");
  l.receive(3, "c");
  CHECK(open(l) == list{"a", "c"});
  l.become_primary();
  CHECK(open(l) == list{"a"});
  CHECK(l.append("other") == 2);
  CHECK(apply_all(l) == list{"a", "other"});
}

TEST_CASE("what is open is what is held and not applied, in order") {
  text_log l;
  l.install(successor, false);
  for (const auto* c : {"a", "b", "c"}) l.append(c);
  l.acknowledge(2);
  l.next_to_apply();
  l.was_applied();
  CHECK(open(l) == list{"b", "c"});
}
