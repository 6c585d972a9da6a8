#include "troupe/job.hpp"

#include <functional>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "temporary_folder.hpp"

using namespace troupe;
using cli_test::digits_job;
using cli_test::temporary_folder;

TEST_CASE("every key of a job file arrives in the job") {
  temporary_folder folder;
  const auto file = folder.write("every.toml", R"(
name = "every"
seed = 7
[model]
layers = [ { dense = 128 }, "relu", { dense = 32 }, "tanh", "sigmoid", { dense = 10 } ]
loss = "mean_squared_error"
[data]
format = "csv"
file = "table.csv"
target = "price"
held_out = 0.25
[train]
epochs = 11
batch_size = 33
consistency = "bsp"
batches_per_step = 5
lease_timeout_seconds = 1.5
precision = "bf16"
optimizer = { name = "sgd", learning_rate = 0.125, momentum = 0.5, nesterov = true, weight_decay = 0.25 }
[cluster]
workers = 4
shards = 3
replicas = 2
shared_memory = false
bulk_connections = false
stall_limit_seconds = 90
[checkpoint]
every_batches = 500
every_seconds = 2.5
keep = 4
[inject]
duplicate_push_every = 9
slow_worker = 3
slow_factor = 5.5
batch_ms_low = 2.5
batch_ms_high = 4
)");
  const job j = load_job(file);
  CHECK(j.name == "every");
  CHECK(j.seed == 7);
  CHECK(j.model.type == model_spec::kind::sequential);
  using kind = tensor::layer_spec::kind;
  CHECK(j.model.layers == std::vector<tensor::layer_spec>{{kind::dense, 128},
                                                          {kind::relu, 0},
                                                          {kind::dense, 32},
                                                          {kind::tanh, 0},
                                                          {kind::sigmoid, 0},
                                                          {kind::dense, 10}});
  CHECK(j.model.loss == tensor::loss::mean_squared_error);
  CHECK(j.data.type == data_spec::format::csv);
  CHECK(j.data.file == folder / "table.csv");
  CHECK(j.data.target == "price");
  CHECK(j.data.held_out == 0.25);
  CHECK(j.train.epochs == 11);
  CHECK(j.train.batch_size == 33);
  CHECK(j.train.consistency == scheduler::consistency::bsp(5));
  CHECK(j.train.optimizer == tensor::sgd_options{0.125f, 0.5f, true, 0.25f});
  CHECK(j.train.precision == tensor::precision::bf16);
  CHECK(j.cluster.workers == 4);
  CHECK(j.cluster.replicas == 2);
  CHECK_FALSE(j.cluster.shared_memory);
  CHECK_FALSE(j.cluster.bulk_connections);
  CHECK(j.cluster.stall_limit_seconds == 90);
  CHECK(j.checkpoint.every_batches == 500);
  CHECK(j.checkpoint.every_seconds == 2.5);
  CHECK(j.checkpoint.keep == 4);
  CHECK(j.cluster.shards == 3);
  CHECK(j.inject.duplicate_push_every == 9);
  CHECK(j.inject.slow_worker == 3);
  CHECK(j.inject.slow_factor == 5.5);
  CHECK(j.inject.batch_ms_low == 2.5);
  CHECK(j.inject.batch_ms_high == 4);
  CHECK(j.train.lease_timeout_seconds == 1.5);
}

TEST_CASE("the shortest job has the documented defaults") {
  temporary_folder folder;
  const auto file = folder.write("my short job.toml", R"(
[model]
layers = [ { dense = 10 } ]
[data]
format = "digits"
samples = 100
)");
  const job j = load_job(file);
  CHECK(j.name == "my-short-job");
  CHECK(j.seed == 1);
  CHECK(j.model.loss == tensor::loss::softmax_cross_entropy);
  CHECK(j.data.held_out == 0.2);
  CHECK(j.train.epochs == 1);
  CHECK(j.train.batch_size == 64);
  CHECK(j.train.consistency == scheduler::consistency::async());
  CHECK(j.train.optimizer == tensor::sgd_options{});
  CHECK(j.train.precision == tensor::precision::fp32);
  CHECK(j.cluster.workers == 1);
  CHECK(j.cluster.shards == 1);
  CHECK(j.cluster.shared_memory);
  CHECK(j.cluster.bulk_connections);
  CHECK(j.cluster.stall_limit_seconds == 0);
  CHECK(j.inject.duplicate_push_every == 0);
  CHECK(j.inject.slow_worker == -1);
  CHECK(j.inject.most_batch_ms() == 0);
  CHECK(j.train.lease_timeout_seconds == 120);
}

TEST_CASE(
    "a key that is not given means the same in a program as in a file, whatever else is given") {
  using nlohmann::json;
  struct variant {
    const char* description;
    json given;
    std::function<void(job&)> same;
  };
  const auto digits = [](job& j) {
    j.model.layers = {{tensor::layer_spec::kind::dense, 10}};
    j.data.samples = 100;
  };
  const json base = {{"model", {{"layers", {{{"dense", 10}}}}}},
                     {"data", {{"format", "digits"}, {"samples", 100}}}};
  const variant variants[] = {
      {"nothing", {}, [](job&) {}},
      {"momentum",
       {{"train", {{"optimizer", {{"momentum", 0.5}}}}}},
       [](job& j) { j.train.optimizer.momentum = 0.5F; }},
      {"momentum without damping",
       {{"train", {{"optimizer", {{"momentum", 0.5}}}, {"staleness_damping", false}}}},
       [](job& j) {
         j.train.optimizer.momentum = 0.5F;
         j.train.staleness_damping = false;
       }},
      {"slower batches",
       {{"inject", {{"batch_ms_low", 3}}}},
       [](job& j) { j.inject.batch_ms_low = 3; }},
      {"integers",
       {{"model", {{"kind", "integer_sum"}, {"parameters", 7}}},
        {"data", {{"format", "integers"}, {"samples", 64}}}},
       [](job& j) {
         j.model = {};
         j.model.type = model_spec::kind::integer_sum;
         j.model.parameters = 7;
         j.data = {};
         j.data.type = data_spec::format::integers;
         j.data.samples = 64;
       }},
      {"bsp", {{"train", {{"consistency", "bsp"}}}}, [](job& j) {
         j.train.consistency = scheduler::consistency::bsp(4);
       }}};
  for (const auto& v : variants) {
    INFO(v.description);
    auto text = base;
    if (v.given.contains("model"))
      text = v.given;
    else
      text.merge_patch(v.given.is_null() ? json::object() : v.given);
    job program;
    digits(program);
    v.same(program);
    // All keys of both, as they act.
    CHECK(to_json(job_from_json(text)) == to_json(program));
  }
}

TEST_CASE("each consistency takes its own parameter and ignores the other's") {
  temporary_folder folder;
  const auto file = folder.write("job.toml", digits_job());
  const auto consistency = [&](const std::string& mode) {
    return load_job(file, {"train.consistency=" + mode}).train.consistency;
  };
  CHECK(consistency("ssp") == scheduler::consistency::ssp(2));
  CHECK(consistency("bsp") == scheduler::consistency::bsp(2));
  CHECK(consistency("async") == scheduler::consistency::async());
  CHECK(consistency("hogwild") == scheduler::consistency::hogwild());
}

TEST_CASE("an integer job holds nothing out unless told to") {
  temporary_folder folder;
  const auto file = folder.write("sum.toml", R"(
[model]
kind = "integer_sum"
parameters = 100
[data]
format = "integers"
samples = 64
)");
  const job j = load_job(file);
  CHECK(j.model.type == model_spec::kind::integer_sum);
  CHECK(j.model.parameters == 100);
  CHECK(j.data.samples == 64);
  CHECK(j.data.held_out == 0);
  CHECK(load_job(file, {"data.held_out=0.5"}).data.held_out == 0.5);
}

TEST_CASE("a job comes back from its JSON as it was") {
  temporary_folder folder;
  const auto file = folder.write("job.toml", digits_job());
  for (const std::string mode : {"hogwild", "async", "ssp", "bsp"}) {
    const auto text = to_json(load_job(file, {"train.consistency=" + mode}));
    CHECK(to_json(job_from_json(text)) == text);
    CHECK(to_json(job_from_json(nlohmann::json::parse(text.dump()))) == text);
  }
  for (const float rate : {0.05f, 0.1f, 1e-7f, 3.0e-39f, 16777216.0f, 0.333333343f}) {
    job j = load_job(file);
    j.train.optimizer.learning_rate = rate;
    j.seed = 18446744073709551615u;
    const job back = job_from_json(nlohmann::json::parse(to_json(j).dump()));
    CHECK(back.train.optimizer.learning_rate == rate);
    CHECK(back.seed == j.seed);
  }
}

TEST_CASE("a learning rate is written as a person would write it") {
  job j;
  j.train.optimizer.learning_rate = 0.05f;
  CHECK(to_json(j)["train"]["optimizer"].dump().find("\"learning_rate\":0.05,") !=
        std::string::npos);
}

TEST_CASE("a job with a model and data of the program's own crosses the wire") {
  const job j; // what a program fills in beside its own workload
  const auto text = to_json(j);
  CHECK(text["model"]["kind"] == "own");
  CHECK(text["data"]["format"] == "own");
  CHECK(to_json(job_from_json(text)) == text);
}

TEST_CASE("the job that a run folder holds can be read and run again") {
  temporary_folder folder;
  const auto text = to_json(load_job(folder.write("job.toml", digits_job())));
  CHECK(to_json(load_job(folder.write("job.json", text.dump(2)))) == text);
  CHECK(to_json(load_job_text(text.dump(), "model.troupe")) == text);
}

TEST_CASE("a relative data path belongs to the job file, that of an override to the shell") {
  temporary_folder folder;
  std::filesystem::create_directory(folder / "jobs");
  const auto file = folder.write("jobs/job.toml", R"(
[model]
layers = [ { dense = 10 } ]
[data]
format = "idx"
images = "../data/images.gz"
labels = "/absolute/labels"
)");
  CHECK(load_job(file).data.images == folder / "data/images.gz");
  CHECK(load_job(file).data.labels == "/absolute/labels");
  CHECK(load_job(file, {"data.images=here.gz"}).data.images ==
        std::filesystem::current_path() / "here.gz");
}

TEST_CASE("an override sets any key, as TOML where it is TOML and as text elsewhere") {
  temporary_folder folder;
  const auto file = folder.write("job.toml", digits_job());
  CHECK(load_job(file, {"train.epochs=9"}).train.epochs == 9);
  CHECK(load_job(file, {"train.optimizer.momentum=0.25"}).train.optimizer.momentum == 0.25f);
  CHECK(load_job(file, {"train.optimizer.momentum=0.25"}).train.optimizer.learning_rate == 0.05f);
  CHECK(load_job(file, {"name=other"}).name == "other");
  CHECK(load_job(file, {"name=\"quoted\""}).name == "quoted");
  CHECK(load_job(file, {"name=2fast"}).name == "2fast");
  CHECK(load_job(file, {R"(model.layers=[{dense=8},"tanh",{dense=10}])"}).model.layers.size() == 3);
  CHECK(load_job(file, {"inject.slow_worker=1", "inject.slow_factor=5"}).inject.slow_factor == 5);
  CHECK(load_job(file, {"seed=5", "seed=6"}).seed == 6);
}
