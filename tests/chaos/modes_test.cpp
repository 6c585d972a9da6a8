// Training in every mode, and what a run says of itself.
#include "recorded_cluster.hpp"

#include <catch2/catch.hpp>

namespace troupe::chaos {

using namespace std::chrono_literals;

namespace {

const std::vector<scheduler::consistency> all_modes{
    scheduler::consistency::hogwild(), scheduler::consistency::async(),
    scheduler::consistency::ssp(2), scheduler::consistency::bsp(4)};

// Reads that a bound of so many clocks would have refused: the run is judged as if it had promised
// that bound.
std::uint64_t reads_beyond(const recorded_cluster& c, scheduler::clock_value bound) {
  auto histories = c.histories();
  for (auto& p : histories)
    for (auto& e : p.events)
      if (e.what == history::event_kind::job_described) {
        e.detail = static_cast<std::uint8_t>(scheduler::mode::ssp);
        e.value = bound;
      }
  return history::check(histories).of(history::rule::staleness).violations;
}

} // namespace

TEST_CASE("4 workers and 3 shards end in the exact sum in every mode, with duplicated pushes") {
  for (const auto& mode : all_modes)
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode);
      j.inject.duplicate_push_every = 3;
      // hogwild needs the workers where the shards are; the others cross between nodes.
      std::vector<cluster_options::node_share> nodes{{j.cluster.shards, j.cluster.workers}};
      if (!mode.in_place()) nodes = {{1, 0}, {2, 1}, {0, 3}};
      recorded_cluster c(options_for(j, seed, nodes));
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(c.result()->summary->samples == 960);
      const auto proved = c.check();
      CHECK(proved.of(history::rule::exactly_once).judged > 3 * 96);
      CHECK(proved.of(history::rule::exactly_once).unknown == 0);
      // Every third push of each worker went out twice: that is what was dropped.
      if (!mode.in_place()) CHECK(c.result()->summary->duplicates_dropped >= 3 * 28);
    }
}

TEST_CASE("hogwild across processes is async, and as exact") {
  auto j = longer_job(scheduler::consistency::hogwild());
  recorded_cluster c(options_for(j, 3, {{1, 2}, {2, 2}}));
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
}

TEST_CASE("ssp(s): no pull sees a clock older than its bound with a worker 5 times slower; async "
          "does") {
  auto slow = [](actors::worker_id w) -> sim_time {
    return std::chrono::milliseconds(w.value == 0 ? 50 : 10);
  };
  for (scheduler::clock_value bound : {0, 1, 3}) {
    auto j = longer_job(scheduler::consistency::ssp(bound));
    recorded_cluster c(options_for(j, bound + 1, {{3, 0}, {0, 4}}, slow));
    REQUIRE(c.run(ever));
    check_exact_and_history(c, j);
    REQUIRE(c.check().of(history::rule::staleness).judged > 200);
    CHECK(reads_beyond(c, bound) == 0);
    // The bound is used: without waiting at it this test would prove nothing.
    if (bound > 0) CHECK(reads_beyond(c, bound - 1) > 0);
    CHECK(c.result()->summary->staleness.max() <= bound);
    CHECK(c.result()->summary->blocked_seconds > 0);
  }
  auto j = longer_job(scheduler::consistency::async());
  recorded_cluster c(options_for(j, 1, {{3, 0}, {0, 4}}, slow));
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
  CHECK(reads_beyond(c, 3) > 0);
  CHECK(c.result()->summary->staleness.max() > 3);
}

TEST_CASE("a real model in bsp is bitwise the same for any workers, shards, nodes and timing") {
  job j;
  j.model.layers = {{tensor::layer_spec::kind::dense, 16},
                    {tensor::layer_spec::kind::relu},
                    {tensor::layer_spec::kind::dense, 10}};
  j.data.type = data_spec::format::digits;
  j.data.samples = 300;
  j.train.epochs = 2;
  j.train.batch_size = 16; // 15 batches: the last step of an epoch has 3 of 4
  j.train.consistency = scheduler::consistency::bsp(4);
  j.train.optimizer = {.learning_rate = 0.05f, .momentum = 0.9f};
  std::optional<std::string> expected;
  std::uint64_t seed = 0;
  for (std::uint32_t workers : {1u, 2u, 3u, 4u})
    for (std::uint32_t shards : {1u, 3u})
      for (bool many_nodes : {false, true}) {
        j.cluster = {workers, shards};
        std::vector<cluster_options::node_share> nodes{{j.cluster.shards, j.cluster.workers}};
        if (many_nodes) nodes = {{shards, 0}, {0, workers}};
        auto uneven = [](actors::worker_id w) -> sim_time {
          return std::chrono::microseconds(100 + 170 * w.value);
        };
        recorded_cluster c(options_for(j, ++seed, nodes, uneven));
        REQUIRE(c.run(ever));
        REQUIRE(c.result()->outcome == run_result::status::finished);
        const auto& hash = c.result()->summary->parameter_hash;
        CHECK(complaints(c.check()) == "");
        if (!expected) expected = hash;
        CHECK(hash == *expected);
      }
}

TEST_CASE("bsp stays bitwise the same though a worker is lost, at any instant") {
  job j;
  j.model.layers = {{tensor::layer_spec::kind::dense, 40},
                    {tensor::layer_spec::kind::relu},
                    {tensor::layer_spec::kind::dense, 10}};
  j.data.samples = 200;
  j.train.epochs = 2;
  j.train.batch_size = 16;
  j.train.optimizer = {.learning_rate = 0.05f, .momentum = 0.9f};
  j.cluster = {3, 3};
  for (std::uint32_t batches_per_step : {1u, 2u, 4u}) {
    j.train.consistency = scheduler::consistency::bsp(batches_per_step);
    std::optional<std::string> expected;
    for (std::uint64_t seed = 0; seed <= 40; ++seed) {
      INFO(batches_per_step << " batches a step, seed " << seed);
      // Slower than the messages, so that shards are often a step apart when the worker goes.
      auto time = [](actors::worker_id w) -> sim_time {
        return std::chrono::microseconds(10 + 5 * w.value);
      };
      recorded_cluster c(options_for(j, seed, {{1, 1}, {1, 1}, {1, 0}, {0, 1}}, time));
      if (seed > 0) {
        c.run_until([&] { return all<notice_event>(c).size() > 4; });
        c.run_steps(seed * 8);
        REQUIRE_FALSE(c.result());
        c.kill(3);
      }
      REQUIRE(c.run(ever));
      INFO(c.result()->error);
      REQUIRE(c.result()->outcome == run_result::status::finished);
      CHECK(complaints(c.check()) == "");
      if (!expected) expected = c.result()->summary->parameter_hash;
      CHECK(c.result()->summary->parameter_hash == *expected);
    }
  }
}

TEST_CASE(
    "a worker that hangs for ever holds up a run for its lease timeout and no longer, in every "
    "mode") {
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(1),
                           scheduler::consistency::bsp(4), scheduler::consistency::bsp(1)})
    for (std::uint32_t hung : {0u, 2u}) {
      INFO(to_string(mode) << ", worker " << hung);
      auto j = longer_job(mode);
      auto time = [hung](actors::worker_id w) -> sim_time {
        return w.value == hung ? sim_time(std::chrono::hours(100)) : std::chrono::milliseconds(10);
      };
      j.train.lease_timeout_seconds = 2;
      recorded_cluster c(options_for(j, 4, {{3, 0}, {0, 4}}, time));
      REQUIRE(c.run(ever));
      REQUIRE(c.result()->outcome == run_result::status::finished);
      CHECK(std::ranges::equal(c.result()->parameters, expected_parameters(j)));
      CHECK(c.now() < std::chrono::seconds(30));
      CHECK(complaints(c.check()) == "");
    }
}

TEST_CASE("the loss of a worker's node costs nothing but time") {
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(1),
                           scheduler::consistency::bsp(4)})
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode);
      // Slow and fast workers, so that at most instants some wait for the others.
      auto uneven = [](actors::worker_id w) -> sim_time {
        return std::chrono::milliseconds(w.value % 2 == 0 ? 40 : 5);
      };
      recorded_cluster c(options_for(j, seed, {{3, 1}, {0, 2}, {0, 1}}, uneven));
      c.run_until([&] { return all<notice_event>(c).size() > 3; }); // training has begun
      c.run_steps(seed * 29);                                       // any instant after that
      REQUIRE_FALSE(c.result());
      c.kill(1);
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      bool told = false;
      for (const auto& n : all<notice_event>(c)) told |= n.type == notice_event::kind::worker_lost;
      CHECK(told);
    }
}

TEST_CASE("a run that nobody comes to take up again fails by name") {
  auto j = longer_job(scheduler::consistency::async());
  {
    recorded_cluster c(options_for(j, 1, {{1, 0}, {2, 0}, {0, 4}}));
    c.run_until([&] { return c.now() >= std::chrono::milliseconds(50); });
    c.kill(0);
    REQUIRE(c.run(ever));
    CHECK(c.result()->outcome == run_result::status::failed);
    CHECK(c.result()->error == "waited 600 s for nodes to join; still missing: 1 more shard");
  }
  {
    recorded_cluster c(options_for(j, 1, {{3, 0}, {0, 4}}));
    c.run_until([&] { return c.now() >= std::chrono::milliseconds(50); });
    c.kill(1);
    REQUIRE(c.run(ever));
    CHECK(c.result()->outcome == run_result::status::failed);
    CHECK(c.result()->error == "no worker is left, and none has come");
  }
}

TEST_CASE("a worker that hangs loses its leases, holds nobody back, and counts again when it is "
          "back") {
  auto j = longer_job(scheduler::consistency::ssp(1));
  auto stuck = [](actors::worker_id w) -> sim_time {
    return w.value == 0 ? std::chrono::seconds(7) : std::chrono::milliseconds(10);
  };
  j.train.lease_timeout_seconds = 2;
  recorded_cluster c(options_for(j, 4, {{3, 0}, {0, 4}}, stuck));
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
  bool told = false;
  for (const auto& n : all<notice_event>(c))
    told |= n.text.find("completed nothing in 2 s") != std::string::npos;
  CHECK(told);
  CHECK(c.now() < std::chrono::seconds(60));
}

TEST_CASE("a run without enough nodes says what is missing and ends") {
  auto j = longer_job(scheduler::consistency::async());
  recorded_cluster c(options_for(j, 1, {{3, 2}}));
  REQUIRE(c.run(ever));
  CHECK(c.result()->outcome == run_result::status::failed);
  CHECK(c.result()->error.find("2 more workers") != std::string::npos);
}

TEST_CASE("a stopped run hands out the parameters reached, the same batches on every shard") {
  auto j = longer_job(scheduler::consistency::async());
  j.train.epochs = 1000;
  recorded_cluster c(options_for(j, 1, {{3, 0}, {0, 4}}));
  c.run_until([&] { return c.now() >= std::chrono::milliseconds(500); });
  caf::anon_send(c.root(), actors::stop_training{});
  REQUIRE(c.run(ever));
  REQUIRE(c.result()->outcome == run_result::status::interrupted);
  CHECK(c.result()->batches_done > 50);
  REQUIRE(c.result()->parameters.size() == 100);
  CHECK(all<interrupted_event>(c).size() == 1);
  CHECK(c.now() < std::chrono::seconds(2));
}

TEST_CASE("a loss that is not finite ends the run and names the batch") {
  job j;
  j.model.layers = {{tensor::layer_spec::kind::dense, 10}};
  j.data.samples = 200;
  j.train.batch_size = 10;
  j.train.epochs = 30;
  j.train.optimizer.learning_rate = 1e38f;
  j.cluster = {2, 2};
  recorded_cluster c(options_for(j, 1, {{j.cluster.shards, j.cluster.workers}}));
  REQUIRE(c.run(ever));
  CHECK(c.result()->outcome == run_result::status::failed);
  CHECK(c.result()->error.find("the training loss became") != std::string::npos);
  CHECK(c.result()->error.find("learning_rate") != std::string::npos);
}

TEST_CASE("epoch events come once each, in order, and the samples add up") {
  auto j = longer_job(scheduler::consistency::ssp(3));
  j.train.batch_size = 7; // 46 batches, the last of 5 samples
  recorded_cluster c(options_for(j, 1, {{j.cluster.shards, j.cluster.workers}}));
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
  auto epochs = all<epoch_event>(c);
  REQUIRE(epochs.size() == 3);
  for (std::uint32_t e = 0; e < 3; ++e) CHECK(epochs[e].epoch == e + 1);
  CHECK(all<finished_event>(c).at(0).samples == 960);
}

TEST_CASE("the same seed gives the same run") {
  auto record = [](std::uint64_t seed) {
    recorded_cluster c(
        options_for(longer_job(scheduler::consistency::async()), seed, {{3, 0}, {0, 4}}));
    c.run(ever);
    std::vector<history::event> events;
    for (const auto& p : c.histories())
      events.insert(events.end(), p.events.begin(), p.events.end());
    return events;
  };
  const bool same = record(11) == record(11);
  const bool other = record(11) != record(12);
  CHECK(same);
  CHECK(other);
}

TEST_CASE(
    "a node of another protocol version or job, or with a number that is not known, is refused by "
    "name") {
  auto j = longer_job(scheduler::consistency::async());
  j.train.epochs = 1000;
  recorded_cluster c(options_for(j, 1, {{3, 4}}));
  auto& p = c.scheduler_process();
  const auto node = c.sim().connect(p, actors::node_actor{c.node_root(0)});
  REQUIRE(static_cast<bool>(node));
  caf::scoped_actor self{p.system()};
  auto refused = [&](actors::hello h) {
    h.node = *node;
    std::string reason;
    auto request = self->request(c.root(), std::chrono::seconds(1), h);
    c.run_steps(5000);
    request.receive([&](const actors::welcome&) { reason = "welcome"; },
                    [&](const caf::error& err) { reason = actors::reason_of(err); });
    return reason;
  };
  constexpr auto version = actors::protocol_version;
  CHECK(refused({version + 1, "", {}, 0, 0, {}}).find("protocol version") != std::string::npos);
  CHECK(refused({version, "other", {}, 0, 0, {}}).find("job") != std::string::npos);
  c.run_until([&] { return !all<progress_event>(c).empty(); });
  CHECK(refused({version, "chaos", {}, 0, 0, {}, actors::node_id{77}}) ==
        "node 77 is no member any more");
  CHECK(refused({version, "chaos", {}, 0, 0, {}}) == "welcome");
}

} // namespace troupe::chaos
