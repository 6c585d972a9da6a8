#pragma once

#include <set>
#include <utility>

#include <catch2/catch.hpp>

#include "troupe/actors/worker_core.hpp"

// A worker of two shards, and what happens to it.
namespace troupe::actors {

inline const shard_id s0{0}, s1{1};

inline worker_core make(scheduler::consistency mode, scheduler::shard_set remote = {s0, s1},
                        troupe::tensor::sgd_options optimizer = {.learning_rate = 0.5f}) {
  return worker_core{{scheduler::batch_plan{{100, 10, 3}},
                      mode,
                      optimizer,
                      {{0, 16}, {16, 4}},
                      std::move(remote)}};
}

inline batch_id batch(std::uint32_t index) { return {0, index}; }

inline void land(worker_core& w, clock_value own_applied = 0) {
  w.landed(s0, own_applied, 0);
  w.landed(s1, own_applied, 0);
}

inline bool push_everywhere(worker_core& w, batch_id b) {
  bool first = w.pushed(s0, b);
  bool last = w.pushed(s1, b);
  CHECK_FALSE(first);
  return last;
}

} // namespace troupe::actors
