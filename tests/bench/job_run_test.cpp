#include "job_run.hpp"

#include <fstream>

#include <catch2/catch.hpp>

#include "train_configuration.hpp"
#include "troupe/tensor/integer_sum.hpp"
#include "troupe/tensor/model_file.hpp"

using namespace troupe::bench;

namespace {

job_run two_epochs() {
  job_run r;
  r.samples = 2000;
  r.seconds = 5;
  r.epochs = {{4.0, 0.80}, {5.0, 0.95}};
  return r;
}

} // namespace

TEST_CASE("the steady rate leaves the first epoch out") {
  auto r = two_epochs();
  CHECK(r.samples_per_second() == Approx(400));
  CHECK(r.steady_samples_per_second() == Approx(1000)); // 1000 samples in the second from 4 to 5
  r.measured_steady = 7;
  CHECK(r.steady_samples_per_second() == Approx(7));
}

TEST_CASE("the steady rate of one epoch is that of the job") {
  job_run r;
  r.samples = 600;
  r.seconds = 3;
  r.epochs = {{3.0, {}}};
  CHECK(r.steady_samples_per_second() == Approx(200));
}

TEST_CASE("an accuracy is reached at the end of the first epoch that has it, or never") {
  const auto r = two_epochs();
  CHECK(r.seconds_to(0.8).value_or(0) == Approx(4));
  CHECK(r.seconds_to(0.81).value_or(0) == Approx(5));
  CHECK_FALSE(r.seconds_to(0.96));
}

TEST_CASE("a job runs in every place, with its history checked, and ends in the same sum") {
  const job_runner runner("bench_tests");
  const auto file = runner.folder() / "integers.toml";
  constexpr std::size_t parameters = 1000, samples = 400, epochs = 3;
  std::ofstream(file) << "name = \"integers\"\n[model]\nkind = \"integer_sum\"\nparameters = "
                      << parameters << "\n[data]\nformat = \"integers\"\nsamples = " << samples
                      << "\n[train]\nepochs = " << epochs
                      << "\nbatch_size = 10\noptimizer = { name = \"sgd\", learning_rate = 1.0 }\n";
  std::vector<float> right;
  for (const auto s : troupe::tensor::expected_sum(parameters, samples))
    right.push_back(static_cast<float>(0.0 - s * double{epochs}));
  for (const auto where : {placement::one_process, placement::shared_memory, placement::tcp}) {
    if (!runner.obstacle(where).empty()) {
      WARN("SKIPPED: " + to_string(where) + ": " + runner.obstacle(where));
      continue;
    }
    INFO(to_string(where));
    const configuration c{"ssp", 2, where == placement::one_process ? 1u : 2u, where};
    const auto run = runner.run(c.request_of(file));
    CHECK(run.parameter_hash == troupe::tensor::parameter_hash(right));
    CHECK(run.samples == double{samples * epochs});
    REQUIRE(run.epochs.size() == epochs);
    CHECK(run.epochs[0].seconds > 0);
    CHECK(run.epochs[2].seconds == Approx(run.seconds));
    CHECK(run.whole_seconds > run.seconds);
    CHECK(run.processor_seconds > 0);
    // Each batch is leased, computed, pushed, applied and acknowledged.
    CHECK(run.events > 5 * samples / 10 * epochs);
    CHECK(run.judged > samples / 10 * epochs);
  }
}
