#include "virtual_cluster.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::actors;
namespace history = troupe::history;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;

namespace {

const std::vector<scheduler::consistency> modes{
    scheduler::consistency::hogwild(), scheduler::consistency::async(),
    scheduler::consistency::ssp(2), scheduler::consistency::bsp(4)};

// In bsp the mean of four batches' gradients is applied.
float scale_of(const scheduler::consistency& mode) { return mode.applies_on_arrival() ? 1 : 0.25f; }

void check_exact(const virtual_cluster& cluster, const job& j) {
  REQUIRE(cluster.result());
  INFO(cluster.result()->error);
  REQUIRE(cluster.result()->outcome == run_result::status::finished);
  const auto& found = cluster.result()->parameters;
  auto expected = expected_parameters(j, j.data.samples, scale_of(j.train.consistency));
  REQUIRE(std::ranges::equal(found, expected));
  CHECK(complaints(cluster.check()) == "");
}

// Reads that a bound of so many clocks would have refused: the run is judged as if it had promised
// that bound.
std::uint64_t reads_beyond(const virtual_cluster& cluster, clock_value bound) {
  auto histories = cluster.histories();
  for (auto& p : histories)
    for (auto& e : p.events)
      if (e.what == history::event_kind::job_described) {
        e.detail = static_cast<std::uint8_t>(scheduler::mode::ssp);
        e.value = bound;
      }
  return history::check(histories).of(history::rule::staleness).violations;
}

template <class Event>
std::vector<Event> all(const virtual_cluster& c) {
  std::vector<Event> result;
  for (const auto& e : c.events())
    if (const auto* x = std::get_if<Event>(&e)) result.push_back(*x);
  return result;
}

} // namespace

TEST_CASE("4 workers and 3 shards end in the exact sum in every mode, with duplicated pushes") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = integer_job(mode);
      j.inject.duplicate_push_every = 3;
      // hogwild needs the workers where the shards are; the others cross between nodes.
      std::vector<std::pair<std::uint32_t, std::uint32_t>> nodes;
      if (!mode.in_place()) nodes = {{1, 0}, {2, 1}, {0, 3}};
      virtual_cluster cluster{{j, seed, nullptr, nodes}};
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(cluster.result()->summary->samples == 960);
      const auto proved = cluster.check();
      CHECK(proved.of(history::rule::exactly_once).judged > 3 * 96);
      CHECK(proved.of(history::rule::exactly_once).unknown == 0);
      // Every third push of each worker went out twice: that is what was dropped.
      if (!mode.in_place()) CHECK(cluster.result()->summary->duplicates_dropped >= 3 * 28);
    }
}

TEST_CASE("hogwild across processes is async, and as exact") {
  auto j = integer_job(scheduler::consistency::hogwild());
  virtual_cluster cluster{{j, 3, nullptr, {{1, 2}, {2, 2}}}};
  REQUIRE(cluster.run());
  check_exact(cluster, j);
}

TEST_CASE("ssp(s): no pull sees a clock older than its bound with a worker 5 times slower; async "
          "does") {
  auto slow = [](worker_id w) -> caf::timespan {
    return std::chrono::milliseconds(w.value == 0 ? 50 : 10);
  };
  for (clock_value bound : {0, 1, 3}) {
    auto j = integer_job(scheduler::consistency::ssp(bound));
    virtual_cluster cluster{{j, bound + 1, slow, {{3, 0}, {0, 4}}}};
    REQUIRE(cluster.run());
    check_exact(cluster, j);
    REQUIRE(cluster.check().of(history::rule::staleness).judged > 200);
    CHECK(reads_beyond(cluster, bound) == 0);
    // The bound is used: without waiting at it this test would prove nothing.
    if (bound > 0) CHECK(reads_beyond(cluster, bound - 1) > 0);
    CHECK(cluster.result()->summary->staleness.max() <= bound);
    CHECK(cluster.result()->summary->blocked_seconds > 0);
  }
  auto j = integer_job(scheduler::consistency::async());
  virtual_cluster cluster{{j, 1, slow, {{3, 0}, {0, 4}}}};
  REQUIRE(cluster.run());
  check_exact(cluster, j);
  CHECK(reads_beyond(cluster, 3) > 0);
  CHECK(cluster.result()->summary->staleness.max() > 3);
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
        std::vector<std::pair<std::uint32_t, std::uint32_t>> nodes;
        if (many_nodes) nodes = {{shards, 0}, {0, workers}};
        auto uneven = [](worker_id w) -> caf::timespan {
          return std::chrono::microseconds(100 + 170 * w.value);
        };
        virtual_cluster cluster{{j, ++seed, uneven, nodes}};
        REQUIRE(cluster.run());
        REQUIRE(cluster.result()->outcome == run_result::status::finished);
        const auto& hash = cluster.result()->summary->parameter_hash;
        CHECK(complaints(cluster.check()) == "");
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
      auto time = [](worker_id w) -> caf::timespan {
        return std::chrono::microseconds(10 + 5 * w.value);
      };
      virtual_cluster cluster{{j, seed, time, {{1, 1}, {1, 1}, {1, 0}, {0, 1}}}};
      if (seed > 0) {
        cluster.run([&] { return all<notice_event>(cluster).size() > 4; });
        cluster.run(nullptr, seed * 10);
        REQUIRE_FALSE(cluster.result());
        cluster.kill(3);
      }
      REQUIRE(cluster.run());
      INFO(cluster.result()->error);
      REQUIRE(cluster.result()->outcome == run_result::status::finished);
      CHECK(complaints(cluster.check()) == "");
      if (!expected) expected = cluster.result()->summary->parameter_hash;
      CHECK(cluster.result()->summary->parameter_hash == *expected);
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
      auto j = integer_job(mode);
      auto time = [hung](worker_id w) -> caf::timespan {
        return w.value == hung ? caf::timespan(std::chrono::hours(100))
                               : std::chrono::milliseconds(10);
      };
      virtual_cluster cluster{{j, 4, time, {{3, 0}, {0, 4}}, std::chrono::seconds(2)}};
      REQUIRE(cluster.run());
      REQUIRE(cluster.result()->outcome == run_result::status::finished);
      auto scale =
          mode.applies_on_arrival() ? 1.0f : 1.0f / static_cast<float>(*mode.batches_per_step());
      CHECK(std::ranges::equal(cluster.result()->parameters,
                               expected_parameters(j, j.data.samples, scale)));
      CHECK(cluster.now() < std::chrono::seconds(30));
      CHECK(complaints(cluster.check()) == "");
    }
}

TEST_CASE("the loss of a worker's node costs nothing but time") {
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(1),
                           scheduler::consistency::bsp(4)})
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = integer_job(mode);
      // Slow and fast workers, so that at most instants some wait for the others.
      auto uneven = [](worker_id w) -> caf::timespan {
        return std::chrono::milliseconds(w.value % 2 == 0 ? 40 : 5);
      };
      virtual_cluster cluster{{j, seed, uneven, {{3, 1}, {0, 2}, {0, 1}}}};
      cluster.run([&] { return all<notice_event>(cluster).size() > 3; }); // training has begun
      cluster.run(nullptr, seed * 29);                                    // any instant after that
      REQUIRE_FALSE(cluster.result());
      cluster.kill(1);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      bool told = false;
      for (const auto& n : all<notice_event>(cluster))
        told |= n.type == notice_event::kind::worker_lost;
      CHECK(told);
    }
}

TEST_CASE("a run that nobody comes to take up again fails by name") {
  auto j = integer_job(scheduler::consistency::async());
  {
    virtual_cluster cluster{{j, 1, nullptr, {{1, 0}, {2, 0}, {0, 4}}}};
    cluster.run([&] { return cluster.now() >= std::chrono::milliseconds(50); });
    cluster.kill(0);
    REQUIRE(cluster.run());
    CHECK(cluster.result()->outcome == run_result::status::failed);
    CHECK(cluster.result()->error == "waited 600 s for nodes to join; still missing: 1 more shard");
  }
  {
    virtual_cluster cluster{{j, 1, nullptr, {{3, 0}, {0, 4}}}};
    cluster.run([&] { return cluster.now() >= std::chrono::milliseconds(50); });
    cluster.kill(1);
    REQUIRE(cluster.run());
    CHECK(cluster.result()->outcome == run_result::status::failed);
    CHECK(cluster.result()->error == "no worker is left, and none has come");
  }
}

TEST_CASE("a worker that hangs loses its leases, holds nobody back, and counts again when it is "
          "back") {
  auto j = integer_job(scheduler::consistency::ssp(1));
  auto stuck = [](worker_id w) -> caf::timespan {
    return w.value == 0 ? std::chrono::seconds(7) : std::chrono::milliseconds(10);
  };
  virtual_cluster cluster{{j, 4, stuck, {{3, 0}, {0, 4}}, std::chrono::seconds(2)}};
  REQUIRE(cluster.run());
  check_exact(cluster, j);
  bool told = false;
  for (const auto& n : all<notice_event>(cluster))
    told |= n.text.find("completed nothing in 2 s") != std::string::npos;
  CHECK(told);
  CHECK(cluster.now() < std::chrono::seconds(60));
}

TEST_CASE("a run without enough nodes says what is missing and ends") {
  auto j = integer_job(scheduler::consistency::async());
  virtual_cluster cluster{{j, 1, nullptr, {{3, 2}}}};
  REQUIRE(cluster.run());
  CHECK(cluster.result()->outcome == run_result::status::failed);
  CHECK(cluster.result()->error.find("2 more workers") != std::string::npos);
}

TEST_CASE("a stopped run hands out the parameters reached, the same batches on every shard") {
  auto j = integer_job(scheduler::consistency::async());
  j.train.epochs = 1000;
  virtual_cluster cluster{{j, 1, nullptr, {{3, 0}, {0, 4}}}};
  cluster.run([&] { return cluster.now() >= std::chrono::milliseconds(500); });
  caf::anon_send(cluster.root(), stop_training{});
  REQUIRE(cluster.run());
  REQUIRE(cluster.result()->outcome == run_result::status::interrupted);
  CHECK(cluster.result()->batches_done > 50);
  REQUIRE(cluster.result()->parameters.size() == 100);
  CHECK(all<interrupted_event>(cluster).size() == 1);
  CHECK(cluster.now() < std::chrono::seconds(2));
}

TEST_CASE("a loss that is not finite ends the run and names the batch") {
  job j;
  j.model.layers = {{tensor::layer_spec::kind::dense, 10}};
  j.data.samples = 200;
  j.train.batch_size = 10;
  j.train.epochs = 30;
  j.train.optimizer.learning_rate = 1e38f;
  j.cluster = {2, 2};
  virtual_cluster cluster{{j, 1, nullptr, {}}};
  REQUIRE(cluster.run());
  CHECK(cluster.result()->outcome == run_result::status::failed);
  CHECK(cluster.result()->error.find("the training loss became") != std::string::npos);
  CHECK(cluster.result()->error.find("learning_rate") != std::string::npos);
}

TEST_CASE("epoch events come once each, in order, and the samples add up") {
  auto j = integer_job(scheduler::consistency::ssp(3));
  j.train.batch_size = 7; // 46 batches, the last of 5 samples
  virtual_cluster cluster{{j, 1, nullptr, {}}};
  REQUIRE(cluster.run());
  check_exact(cluster, j);
  auto epochs = all<epoch_event>(cluster);
  REQUIRE(epochs.size() == 3);
  for (std::uint32_t e = 0; e < 3; ++e) CHECK(epochs[e].epoch == e + 1);
  CHECK(all<finished_event>(cluster).at(0).samples == 960);
}

TEST_CASE("the same seed gives the same run") {
  auto record = [](std::uint64_t seed) {
    virtual_cluster cluster{
        {integer_job(scheduler::consistency::async()), seed, nullptr, {{3, 0}, {0, 4}}}};
    cluster.run();
    std::vector<history::event> events;
    for (const auto& p : cluster.histories())
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
  auto j = integer_job(scheduler::consistency::async());
  j.train.epochs = 1000;
  virtual_cluster cluster{{j, 1, nullptr, {{3, 4}}}};
  caf::scoped_actor self{cluster.system()};
  auto refused = [&](hello h) {
    h.node = cluster.nodes()[0];
    std::string reason;
    auto request = self->request(cluster.root(), std::chrono::seconds(1), h);
    cluster.run(nullptr, 5000);
    request.receive([&](const welcome&) { reason = "welcome"; },
                    [&](const caf::error& err) { reason = reason_of(err); });
    return reason;
  };
  CHECK(refused({protocol_version + 1, "", {}, 0, 0, {}}).find("protocol version") !=
        std::string::npos);
  CHECK(refused({protocol_version, "other", {}, 0, 0, {}}).find("job") != std::string::npos);
  cluster.run([&] { return !all<progress_event>(cluster).empty(); });
  CHECK(refused({protocol_version, "test", {}, 0, 0, {}, node_id{77}}) ==
        "node 77 is no member any more");
  CHECK(refused({protocol_version, "test", {}, 0, 0, {}}) == "welcome");
}
