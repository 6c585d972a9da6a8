// What many workers and nodes cost, counted in messages: no figure of these depends on a machine.
#include <catch2/catch.hpp>

#include "cluster_stage.hpp"

namespace troupe::chaos {

using namespace std::chrono_literals;

namespace {

struct counted {
  double to_start = 0;  ///< messages that actors took before training began
  double per_batch = 0; ///< and after that, for each batch
};

// So many nodes with so many workers each, and eight shards; ten batches for each worker.
counted messages(std::uint32_t nodes, std::uint32_t workers_each, scheduler::consistency mode) {
  constexpr std::uint32_t shards = 8;
  constexpr std::uint32_t batches_each = 10;
  const auto workers = nodes * workers_each;
  auto o = options_for(mode, 1);
  o.work.data.samples = std::size_t{workers} * batches_each;
  o.work.train.batch_size = 1;
  o.work.train.epochs = 1;
  o.work.cluster = {workers, shards, 1};
  o.nodes.assign(nodes, {(shards + nodes - 1) / nodes, workers_each});
  cluster c(o);
  const auto trains = [&c] { return count_notices(c, "training with") > 0; };
  c.run_until(trains, 60s);
  REQUIRE(trains());
  const auto begun = c.sim().steps();
  c.run(600s);
  check_exact(c, o.work);
  return {static_cast<double>(begun),
          static_cast<double>(c.sim().steps() - begun) / (workers * batches_each)};
}

} // namespace

TEST_CASE("each further worker of a node costs as many messages to start, and to compute a batch, "
          "as those before it") {
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(3)}) {
    INFO(to_string(mode));
    const auto ten = messages(1, 10, mode), twenty = messages(1, 20, mode);
    const auto hundred = messages(1, 100, mode), hundred_and_ten = messages(1, 110, mode);
    CHECK(hundred_and_ten.to_start - hundred.to_start <= twenty.to_start - ten.to_start);
    CHECK(hundred.per_batch <= 1.05 * ten.per_batch);
  }
}

TEST_CASE("each further node costs as many messages to start, and a batch as many among more "
          "nodes, as before") {
  const auto mode = scheduler::consistency::async();
  const auto ten = messages(10, 2, mode), twenty = messages(20, 2, mode);
  const auto forty = messages(40, 2, mode), fifty = messages(50, 2, mode);
  CHECK(fifty.to_start - forty.to_start <= 1.1 * (twenty.to_start - ten.to_start));
  CHECK(forty.per_batch <= 1.05 * ten.per_batch);
}

} // namespace troupe::chaos
