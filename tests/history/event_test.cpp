#include "troupe/values/history_event.hpp"

#include <set>

#include <catch2/catch.hpp>

using namespace troupe::history;

TEST_CASE("every kind of event has a name and a text of its own") {
  std::set<std::string> names, texts;
  for (unsigned n = 0; n < 256; ++n) {
    event e;
    e.what = static_cast<event_kind>(n);
    const auto name = name_of(e.what);
    if (name.starts_with("event ")) continue;
    CHECK(names.insert(name).second);
    if (e.what == event_kind::none) continue;
    INFO(name);
    CHECK(texts.insert(to_string(e)).second);
    CHECK(to_string(e).find(name) == std::string::npos); // words, not the name alone
  }
  CHECK(names.size() == 38);
}

TEST_CASE("an event reads as a sentence with its numbers") {
  event e{.what = event_kind::push_acknowledged,
          .shard = shard_id{1},
          .worker = worker_id{2},
          .node = node_id{3},
          .view = 4,
          .sequence = 41,
          .batch = {5, 6}};
  CHECK(to_string(e) ==
        "shard 1 (node 3, view 4) acknowledges batch 6 of epoch 5 to worker 2: change 41");
  e = {.what = event_kind::lease_given, .detail = 1, .worker = worker_id{2}, .batch = {5, 6}};
  CHECK(to_string(e) == "batch 6 of epoch 5 is leased to worker 2 as a backup task");
}

TEST_CASE("a step stands where a batch does, whole") {
  for (const std::uint64_t step : {0ull, 1ull, 0x1234567890ull, ~0ull}) {
    event e;
    e.batch = as_batch(step);
    CHECK(e.step() == step);
  }
}
