#include "troupe/workload.hpp"

#include <catch2/catch.hpp>

#include "temporary_folder.hpp"
#include "troupe/job.hpp"
#include "troupe/jobs/job_data.hpp"
#include "troupe/values/error.hpp"

using namespace troupe;
using Catch::Contains;
using Catch::StartsWith;
using cli_test::digits_job;
using cli_test::temporary_folder;

namespace {

job digits(const std::vector<std::string>& overrides = {}) {
  temporary_folder folder;
  return load_job(folder.write("job.toml", digits_job()), overrides);
}

std::string check_error(const job& j) {
  const workload w = make_workload(j);
  try {
    check_workload(j, *w.make_model(), *w.load_data());
  } catch (const job_error& e) {
    return e.what();
  }
  return "no error";
}

// A table of 10 rows; the target column as given by row.
template <class F>
job csv_job(const temporary_folder& folder, F target, const std::string& loss, int units) {
  std::string table = "a,b,t\n";
  for (int i = 0; i < 10; ++i)
    table += std::to_string(i) + "," + std::to_string(i * i) + "," + target(i) + "\n";
  folder.write("table.csv", table);
  return load_job(folder.write("csv.toml", R"([model]
layers = [ { dense = )" + std::to_string(units) +
                                               R"( } ]
loss = ")" + loss + R"("
[data]
format = "csv"
file = "table.csv"
target = "t"
[train]
batch_size = 2
)"));
}

} // namespace

TEST_CASE("a workload gives equal data to every caller and equal models to every process") {
  const job j = digits();
  const workload w = make_workload(j), other = make_workload(j);
  CHECK(w.load_data() == w.load_data());
  const auto data = w.load_data(), again = other.load_data();
  CHECK(data->train.size() == 480);
  CHECK(data->held_out.size() == 120);
  CHECK(std::equal(data->train.all().features.begin(), data->train.all().features.end(),
                   again->train.all().features.begin(), again->train.all().features.end()));
  const auto model = w.make_model();
  CHECK(model->input_count() == 784);
  CHECK(model->output_count() == 10);
  CHECK(model->parameter_layout() == other.make_model()->parameter_layout());
  CHECK_NOTHROW(check_workload(j, *model, *data));
}

TEST_CASE("a batch larger than the training data is refused") {
  CHECK(check_error(digits({"train.batch_size=481"})) ==
        "train.batch_size: expected at most the 480 training samples, found 481");
  CHECK(check_error(digits({"train.batch_size=480"})) == "no error");
}

TEST_CASE("more shards than parameters are refused") {
  temporary_folder folder;
  job j = csv_job(
      folder, [](int i) { return std::to_string(i) + ".5"; }, "mean_squared_error", 1);
  j.cluster.shards = 3;
  CHECK(check_error(j) == "no error");
  j.cluster.shards = 4;
  CHECK(check_error(j) ==
        "cluster.shards: expected at most one shard for each of the 3 parameters, found 4");
}

TEST_CASE("the outputs of a model must fit the data and the loss") {
  CHECK_THAT(check_error(digits({"model.layers=[{dense=9}]"})),
             StartsWith("model.layers: expected a last dense layer of at least 10 units"));
  CHECK(check_error(digits({"model.layers=[{dense=11}]"})) == "no error");
  CHECK_THAT(check_error(digits({"model.loss=mean_squared_error"})),
             StartsWith("model.loss: expected data with targets for mean_squared_error"));
  CHECK_THAT(check_error(digits({"model.loss=binary_cross_entropy"})),
             StartsWith("model.loss: expected two classes and one output"));

  temporary_folder folder;
  const auto fraction = [](int i) { return std::to_string(i) + ".5"; };
  const auto bit = [](int i) { return std::to_string(i % 2); };
  CHECK_THAT(check_error(csv_job(folder, fraction, "mean_squared_error", 2)),
             StartsWith("model.layers: expected a last dense layer of 1 unit"));
  CHECK_THAT(check_error(csv_job(folder, fraction, "binary_cross_entropy", 1)),
             StartsWith("model.loss: expected targets from 0 to 1"));
  CHECK(check_error(csv_job(folder, bit, "binary_cross_entropy", 1)) == "no error");
  CHECK(check_error(csv_job(folder, bit, "softmax_cross_entropy", 2)) == "no error");
  // The loss decides what whole numbers mean.
  CHECK(check_error(csv_job(folder, bit, "mean_squared_error", 1)) == "no error");
  CHECK_THROWS_AS(
      csv_job(folder, fraction, "softmax_cross_entropy", 2).name.size() > 0 &&
          make_workload(csv_job(folder, fraction, "softmax_cross_entropy", 2)).load_data(),
      tensor::error);
}

TEST_CASE("a job that a program made passes the same checks as a file") {
  job j = digits();
  j.train.epochs = 0;
  CHECK_THAT(check_error(j), StartsWith("train.epochs: expected an integer from 1"));
}

TEST_CASE("what only the starting program can bring is refused elsewhere") {
  job j = digits();
  j.model.layers.clear();
  CHECK_THROWS_WITH(make_workload(j).make_model(), Contains("model.kind") && Contains("own"));
  j.data.samples = 0;
  CHECK_THROWS_WITH(load_samples(j), Contains("data.format") && Contains("own"));
}
