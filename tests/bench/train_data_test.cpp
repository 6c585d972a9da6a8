#include "train_data.hpp"

#include <algorithm>
#include <fstream>

#include <catch2/catch.hpp>

#include "job_run.hpp"
#include "troupe/tensor/digits.hpp"
#include "troupe/tensor/idx.hpp"

using namespace troupe::bench;
namespace tensor = troupe::tensor;

TEST_CASE("digits that were drawn come back from their files as they were") {
  const job_runner scratch("bench_tests"); // for its folder
  const auto files = write_digits(scratch.folder());
  const auto read = tensor::load_idx(files.images, files.labels);
  const auto drawn = tensor::make_digits(10'000, 1);
  REQUIRE(read.size() == drawn.size());
  REQUIRE(read.feature_count() == 784);
  CHECK(read.class_count() == 10);
  const auto a = read.all(), b = drawn.all();
  CHECK(std::ranges::equal(a.labels, b.labels));
  CHECK(std::ranges::equal(a.features, b.features, [](float x, float y) {
    return std::abs(x - y) <= 1e-6f; // multiples of 1/255
  }));
}

TEST_CASE("the files that are found can be read, real or drawn") {
  const job_runner scratch("bench_tests");
  const auto files = find_digits(scratch.folder());
  CHECK(tensor::load_idx(files.images, files.labels).size() == 10'000);
  CHECK_FALSE(files.name.empty());
}
