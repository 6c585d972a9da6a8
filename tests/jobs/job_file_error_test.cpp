#include "troupe/job.hpp"

#include <catch2/catch.hpp>

#include "temporary_folder.hpp"

using namespace troupe;
using Catch::Contains;
using Catch::EndsWith;
using cli_test::digits_job;
using cli_test::temporary_folder;

namespace {

// The error of a job file, which must be one line.
std::string error_of(const std::filesystem::path& file,
                     const std::vector<std::string>& overrides = {}) {
  try {
    load_job(file, overrides);
  } catch (const job_error& e) {
    const std::string line = e.what();
    CHECK(line.find('\n') == std::string::npos);
    CHECK(line.size() < 400);
    return line;
  }
  return "no error";
}

std::string error_of_text(const std::string& text) {
  temporary_folder folder;
  return error_of(folder.write("job.toml", text));
}

std::string error_of_override(const std::string& pair) {
  temporary_folder folder;
  return error_of(folder.write("job.toml", digits_job()), {pair});
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), by);
}

} // namespace

TEST_CASE("an error names file, line, key, what was expected and what was found") {
  CHECK_THAT(error_of_text(replaced(digits_job(), "epochs = 2", "epochs = \"two\"")),
             EndsWith("job.toml:11: train.epochs: expected an integer from 1 to 1000000, "
                      "found \"two\""));
  CHECK_THAT(error_of_text(replaced(digits_job(), "\"relu\"", "\"rellu\"")),
             EndsWith("job.toml:4: model.layers[1]: expected { dense = UNITS }, \"relu\", \"tanh\" "
                      "or \"sigmoid\", found \"rellu\""));
  CHECK_THAT(error_of_text(replaced(digits_job(), "momentum = 0.5", "momentum = 1.0")),
             Contains("train.optimizer.momentum: expected a number from 0 up to, not including, 1, "
                      "found 1.0"));
}

TEST_CASE("an unknown key suggests the nearest known one") {
  CHECK_THAT(error_of_text(replaced(digits_job(), "epochs = 2", "epoch = 2")),
             EndsWith("job.toml:11: train.epoch: unknown key; did you mean train.epochs?"));
  CHECK_THAT(error_of_text(replaced(digits_job(), "[cluster]", "[clutser]")),
             Contains("clutser: unknown key; did you mean cluster?"));
  // The right name in the wrong table.
  CHECK_THAT(error_of_text(replaced(digits_job(), "epochs = 2", "workers = 2")),
             Contains("train.workers: unknown key; did you mean cluster.workers?"));
  CHECK_THAT(error_of_text(replaced(digits_job(), "epochs = 2", "zebra = 2")),
             Contains("train.zebra: unknown key; expected one of epochs, batch_size, "));
}

TEST_CASE("a missing key is named with the table it belongs to") {
  CHECK_THAT(error_of_text("[data]\nformat = \"digits\"\nsamples = 9\n"),
             EndsWith("job.toml: model: expected this key, found nothing"));
  CHECK_THAT(error_of_text(replaced(digits_job(), "samples = 600", "")),
             EndsWith("job.toml:6: data.samples: expected this key, found nothing"));
  CHECK_THAT(error_of_text(replaced(digits_job(), "format = \"digits\"", "format = \"idx\"")),
             Contains("data.images: expected this key"));
}

TEST_CASE("impossible values are refused") {
  const auto expect = [](const std::string& pair, const std::string& text) {
    INFO(pair);
    CHECK_THAT(error_of_override(pair), Contains("--set " + pair + ": ") && Contains(text));
  };
  expect("cluster.workers=0", "cluster.workers: expected an integer from 1 to 1024, found 0");
  expect("cluster.shards=0", "expected an integer from 1 to 1024, found 0");
  expect("train.staleness=-1", "expected an integer from 0 to 1000000, found -1");
  expect("train.batches_per_step=0", "expected an integer from 1 to 1000000, found 0");
  expect("train.batch_size=0", "expected an integer from 1");
  expect("train.epochs=0", "expected an integer from 1");
  expect("train.epochs=2.5", "found 2.5");
  expect("train.consistency=sync",
         "expected one of \"hogwild\", \"async\", \"ssp\", \"bsp\", found");
  expect("train.optimizer.learning_rate=0", "expected a number above 0, found 0");
  expect("train.optimizer.learning_rate=nan", "expected a number above 0, found nan");
  expect("train.optimizer.learning_rate=inf", "found infinity");
  expect("train.optimizer.weight_decay=-1", "expected a number of at least 0, found -1");
  expect("train.optimizer.name=adam", "expected \"sgd\", found \"adam\"");
  expect("train.optimizer=0.1", "expected a table, found 0.1");
  expect("model.layers=[]", "expected 1 to 1000 layers, found 0");
  expect("model.layers=[\"relu\"]", "expected at least one { dense = UNITS }, found none");
  expect("model.layers=[{dense=0}]", "expected an integer from 1 to 1048576, found 0");
  expect("model.layers=[{dens=4}]", "found a table with the key \"dens\"");
  expect("model.loss=hinge", "expected one of \"softmax_cross_entropy\"");
  expect("data.held_out=1", "expected a number from 0 up to, not including, 1, found 1");
  expect("data.format=png", "expected one of \"idx\", \"csv\", \"digits\", \"integers\"");
  expect("data.samples=0", "expected an integer from 1");
  expect("cluster.replicas=0", "expected an integer from 1 to 16, found 0");
  expect("cluster.stall_limit_seconds=-1", "expected 0 (never) or a number of seconds, found -1");
  expect("checkpoint.every_seconds=-1", "expected 0 (never) or a number of seconds, found -1");
  expect("checkpoint.keep=0", "expected an integer from 1 to 1000, found 0");
  expect("inject.slow_worker=2", "expected -1 (none) or the index of one of the 2 workers");
  expect("inject.slow_factor=0.5", "expected a number from 1 to 1000000, found 0.5");
  expect("inject.batch_ms_low=-1", "expected a number of milliseconds from 0 to 3600000, found -1");
  expect("inject.batch_ms_high=-1", "expected a number of milliseconds from batch_ms_low");
  expect("train.lease_timeout_seconds=0", "expected a number of seconds from 0.001 to 1000000");
  expect("name=a/b", "expected 1 to 100 letters, digits");
  expect("seed=-1", "expected an integer of at least 0, found -1");
}

TEST_CASE("more shards than parameters are refused for a model whose size the job gives") {
  temporary_folder folder;
  const auto file = folder.write("sum.toml", R"([model]
kind = "integer_sum"
parameters = 2
[data]
format = "integers"
samples = 64
[cluster]
shards = 3
)");
  CHECK_THAT(error_of(file), EndsWith("sum.toml:8: cluster.shards: expected at most one shard for "
                                      "each of the 2 parameters, found 3"));
}

TEST_CASE("nesterov needs momentum, integer_sum needs integers") {
  temporary_folder folder;
  const auto file = folder.write("job.toml", digits_job());
  CHECK_THAT(error_of(file, {"train.optimizer.nesterov=true", "train.optimizer.momentum=0"}),
             Contains("train.optimizer.nesterov: expected false without momentum, found true"));
  CHECK_THAT(error_of(file, {"model.kind=integer_sum", "model.parameters=5"}),
             Contains("data.format: expected \"integers\" for model.kind = \"integer_sum\", found "
                      "\"digits\""));
}

TEST_CASE("text that is not TOML gives the line at fault, in one line") {
  CHECK_THAT(error_of_text("name = \"x\"\nseed = \n"), Contains("job.toml:2: not a TOML file: "));
  CHECK_THAT(error_of_text("name = \"x\n"), Contains("job.toml:1: not a TOML file: "));
  CHECK_THAT(error_of_text("[train]\n[train]\n"), Contains("job.toml:2: not a TOML file: "));
  CHECK_THAT(error_of_text("seed = 1\nseed = 2\n"), Contains("already exists"));
  CHECK_THAT(error_of_text("seed = 007\n"), Contains("leading zero"));
  CHECK_THAT(error_of_text("x = [1, 2\n"), Contains("not a TOML file: "));
  CHECK_THAT(error_of_text("\xff\xfe\x01"), Contains("not a TOML file: "));
  CHECK_THAT(error_of_text(std::string("a\0b", 3)), Contains("not a TOML file: "));
  CHECK_THAT(error_of_text("seed = 99999999999999999999\n"),
             Contains("job.toml:1: seed: expected an integer below 9223372036854775807"));
  CHECK_THAT(error_of_text("seed = 2020-01-01\n"), Contains("found a date or time"));
}

TEST_CASE("a job file that cannot be read says why") {
  temporary_folder folder;
  CHECK_THAT(error_of(folder / "none.toml"),
             EndsWith("none.toml: cannot read the job file: No such file or directory"));
  CHECK_THAT(error_of(folder.path()), EndsWith("expected a job file, found a folder"));
  CHECK_THAT(error_of(folder.write("big.toml", std::string(2 << 20, '#'))),
             Contains("expected a job file of at most 1048576 bytes"));
  CHECK_THAT(error_of(folder.write("bad.json", "{ \"name\": ")),
             EndsWith("bad.json: expected a job as JSON, found other text"));
  CHECK_THAT(error_of(folder.write("array.json", "[1, 2]")),
             EndsWith("array.json: expected a table, found an array"));
  CHECK_THAT(error_of(folder.write("empty.toml", "")),
             EndsWith("empty.toml: model: expected this key, found nothing"));
}

TEST_CASE("an override that is none is refused") {
  CHECK_THAT(error_of_override("train.epochs"), Contains("expected KEY=VALUE"));
  CHECK_THAT(error_of_override("=3"), Contains("expected KEY=VALUE"));
  CHECK_THAT(error_of_override("train..epochs=3"), Contains("expected a key such as"));
  CHECK_THAT(error_of_override("train.epochs.x=3"), Contains("train.epochs is not a table"));
  CHECK_THAT(error_of_override("epochs=3"),
             Contains("--set epochs=3: epochs: unknown key; did you mean train.epochs?"));
  CHECK_THAT(error_of_override("name=x\nseed = 4"), Contains("name: expected 1 to 100 letters"));
}

TEST_CASE("found text is quoted, cut when long, and can break no line") {
  CHECK_THAT(error_of_override("train.epochs=\"a\\nb\""), Contains(R"(found "a\nb")"));
  CHECK_THAT(error_of_text("seed = \"" + std::string(5000, 'x') + "\"\n[model]\n[data]"),
             Contains("xxx..."));
}
