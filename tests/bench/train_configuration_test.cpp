#include "train_configuration.hpp"

#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

using namespace troupe::bench;

namespace {

train_options parse(std::vector<std::string> words) {
  words.insert(words.begin(), "bench_train");
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  return parse_train_options(static_cast<int>(argv.size()), argv.data());
}

} // namespace

TEST_CASE("without arguments every configuration that there is runs once") {
  const auto all = configurations_of(parse({}));
  std::set<std::string> names;
  for (const auto& c : all) names.insert(c.name());
  CHECK(names.size() == all.size());
  // 3 modes x (1 worker or 2) x (one process, and 1 or 2 replicas in 2 other places); hogwild: 2 x
  // 2
  CHECK(all.size() == 3 * 2 * (1 + 2 * 2) + 4);
  CHECK(names.contains("async, 1 worker, one process"));
  CHECK(names.contains("bsp, 2 workers, 2 replicas, TCP"));
  CHECK(names.contains("hogwild, 2 workers, shared memory"));
  // What there is not: a second replica in one process, workers of hogwild on several nodes.
  CHECK_FALSE(names.contains("ssp, 1 worker, 2 replicas, one process"));
  CHECK_FALSE(names.contains("hogwild, 2 workers, TCP"));
}

TEST_CASE("the arguments choose among them") {
  const auto o = parse({"--modes", "ssp", "--workers", "2", "--replicas", "1,2", "--places",
                        "shared", "--models", "784-64-10", "--rounds", "3", "--plain-peer"});
  CHECK(o.models == std::vector<std::vector<std::size_t>>{{784, 64, 10}});
  CHECK(o.rounds == 3);
  CHECK(o.peer);
  CHECK_FALSE(o.tuned_peer);
  const auto all = configurations_of(o);
  REQUIRE(all.size() == 2);
  CHECK(all[0].name() == "ssp, 2 workers, shared memory");
  CHECK(all[1].name() == "ssp, 2 workers, 2 replicas, shared memory");
}

TEST_CASE("a configuration is recorded, and sets what its name says") {
  const auto r = configuration{"bsp", 2, 2, placement::tcp}.request_of("job.toml");
  CHECK(r.record);
  CHECK(r.where == placement::tcp);
  for (const char* pair : {"train.consistency=bsp", "train.batches_per_step=2", "cluster.workers=2",
                           "cluster.replicas=2"})
    CHECK(std::ranges::count(r.set, pair) == 1);
}

TEST_CASE("a peer is named shortly, with its kernels where they were chosen") {
  CHECK(name_of_peer("PyTorch 1.13.0, OpenBLAS Haswell", "DDP") == "PyTorch, DDP");
  CHECK(name_of_peer("PyTorch 1.13.0, OpenBLAS SkylakeX", "DDP") == "PyTorch AVX-512, DDP");
}
