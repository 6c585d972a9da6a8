#include "program_fixture.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "temporary_folder.hpp"
#include "troupe/tensor/model_file.hpp"
#include "troupe/tensor/sequential.hpp"

using namespace troupe;
using namespace troupe::cli_test;
using Catch::Contains;
using Catch::EndsWith;
using Catch::StartsWith;
namespace fs = std::filesystem;

namespace {

// A failure is one line on the error stream and an exit code, and leaves no run folder.
void check_failure(const temporary_folder& folder, const std::vector<std::string>& arguments,
                   int code, const std::string& text) {
  INFO("troupe " << arguments.front());
  orphan_watch orphans;
  const auto result = run_program(arguments, folder.path());
  CHECK(result.code == code);
  CHECK_THAT(result.err, StartsWith("troupe: ") && Contains(text) && EndsWith("\n"));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(orphans.reap_all() == 0);
  if (fs::exists(folder / "runs")) CHECK(fs::is_empty(folder / "runs"));
}

std::string idx_job(const std::string& images, const std::string& labels) {
  return "[model]\nlayers = [ { dense = 10 } ]\n[data]\nformat = \"idx\"\nimages = \"" + images +
         "\"\nlabels = \"" + labels + "\"\n[train]\nbatch_size = 1\n";
}

// A run folder with a model that predicts class 1 for (1, 0) and class 0 for (0, 1).
fs::path saved_run(const temporary_folder& folder) {
  const auto model = tensor::make_sequential(2, {{tensor::layer_spec::kind::dense, 2}},
                                             tensor::loss::softmax_cross_entropy);
  tensor::model_file file;
  file.job = R"({"name":"hand","model":{"layers":[{"dense":2}]},
                 "data":{"format":"csv","file":")" +
             (folder / "table.csv").string() + R"(","target":"t","held_out":0.5}})";
  file.parameters_layout = model->parameter_layout();
  file.parameters = {0, 5, 5, 0, 0, 0}; // weight [in x units], bias
  fs::create_directory(folder / "run");
  tensor::save_model(folder / "run/model.troupe", file);
  folder.write("table.csv", "a,b,t\n1,0,1\n0,1,0\n1,0.5,1\n0,2,0\n");
  return folder / "run";
}

} // namespace

TEST_CASE("the program explains itself") {
  const auto help = run_program({"--help"});
  CHECK(help.code == 0);
  CHECK_THAT(help.out, Contains("train") && Contains("scheduler") && Contains("node") &&
                           Contains("evaluate") && Contains("predict") && Contains("Exit codes"));
  CHECK(help.err.empty());
  for (const std::string command :
       {"train", "scheduler", "node", "evaluate", "predict", "status", "drain", "chaos"}) {
    const auto result = run_program({command, "--help"});
    CHECK(result.code == 0);
    CHECK_THAT(result.out, Contains("Usage: troupe " + command) && Contains("130"));
    CHECK_THAT(result.out, !Contains("ready-fd"));
  }
  CHECK_THAT(run_program({"--version"}).out, StartsWith("troupe 0."));
}

TEST_CASE("wrong arguments get one line and exit code 2") {
  temporary_folder folder;
  check_failure(folder, {"trian"}, 2, "found \"trian\"");
  check_failure(folder, {"train"}, 2,
                "expected JOB or --resume RUN, found neither; see troupe train --help");
  check_failure(folder, {"train", "job.toml", "--bogus"}, 2, "--bogus");
  check_failure(folder, {"train", "job.toml", "--resume", "run"}, 2, "expected no JOB");
  check_failure(folder, {"train", "--resume", "run", "--set", "train.epochs=3"}, 2,
                "only cluster.* and checkpoint.* can be set, found train.epochs=3");
  check_failure(folder, {"scheduler", "--listen", "127.0.0.1:0"}, 2,
                "expected JOB, --resume RUN or --restart RUN, found none of them");
  check_failure(folder, {"status"}, 2, "expected RUN or --scheduler HOST:PORT, found neither");
  check_failure(folder, {"status", "--scheduler", "nowhere"}, 2, "--scheduler: ");
  check_failure(folder, {"drain", "three", "run"}, 2, "NODE");
  check_failure(folder, {"chaos"}, 2, "expected SCENARIO, --list-probes or --list-mutants");
  check_failure(folder, {"chaos", "no.toml"}, 2, "no.toml: cannot read the scenario file");
  check_failure(folder, {"chaos", "no.toml", "--seeds", "0"}, 2, "--seeds");
  folder.write("typo.toml", "[workload]\nmode = \"ssp\"\n");
  check_failure(folder, {"chaos", "typo.toml"}, 2,
                "typo.toml:2: workload.mode: unknown key; did you mean workload.modes?");
  folder.write("good.toml", "");
  check_failure(folder, {"chaos", "good.toml", "--report", "no/such/page.html"}, 3,
                "no/such/page.html: cannot write this file");
  check_failure(folder, {"chaos", "good.toml", "--mutant", "nonsense"}, 2, "--mutant: ");
  check_failure(folder, {"node"}, 2, "--join is required");
  check_failure(folder, {"node", "--join", "nowhere"}, 2, "--join: ");
  check_failure(folder, {"node", "--join", "127.0.0.1:1", "--shards", "-1"}, 2, "--shards");
  check_failure(folder, {"node", "--join", "127.0.0.1:1", "--shards", "0", "--workers", "0"}, 2,
                "at least one shard or worker");
  CHECK(run_program({}).code == 2);
}

TEST_CASE("a bad job file gets one line and exit code 2") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  check_failure(folder, {"train", "none.toml"}, 2, "none.toml: cannot read the job file");
  check_failure(folder, {"train", "job.toml", "--set", "train.epoch=1"}, 2,
                "did you mean train.epochs?");
  check_failure(folder, {"train", "job.toml", "--set", "train.batch_size=481"}, 2,
                "job.toml: train.batch_size: expected at most the 480 training samples, found 481");
  check_failure(folder, {"train", "job.toml", "--set", "model.layers=[{dense=1}]"}, 2,
                "job.toml: model: ");
  check_failure(folder, {"train", "job.toml", "--in-process", "--set", "cluster.workers=0"}, 2,
                "cluster.workers: expected an integer from 1");
}

TEST_CASE("bfloat16 on a processor without it is refused by name") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  // oneDNN then knows of no instructions beyond these, and without oneDNN there is no bfloat16.
  ::setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
  check_failure(folder, {"train", "job.toml", "--set", "train.precision=bf16"}, 2,
                "job.toml: train.precision: expected \"fp32\" where the processor has neither");
  ::unsetenv("DNNL_MAX_CPU_ISA");
}

TEST_CASE("data that cannot be read gets one line and exit code 3") {
  temporary_folder folder;
  folder.write("job.toml", idx_job("images", "labels"));
  check_failure(folder, {"train", "job.toml"}, 3, (folder / "images").string());

  using namespace std::string_literals;
  const std::string header = "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02"s;
  folder.write("labels", "\0\0\x08\x01\0\0\0\x02\x01\0"s);
  folder.write("images", header + "1234567"s); // one byte short
  check_failure(folder, {"train", "job.toml"}, 3, (folder / "images").string());
  folder.write("images", "\0\0\x08\x01"s + header.substr(4) + "12345678"s);
  check_failure(folder, {"train", "job.toml"}, 3, (folder / "images").string());
  folder.write("images", "not an image file at all");
  check_failure(folder, {"train", "job.toml"}, 3, (folder / "images").string());
}

TEST_CASE("nothing of an earlier run is overwritten") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  fs::create_directory(folder / "old");
  folder.write("old/model.troupe", "precious");
  folder.write("events.jsonl", "precious");
  check_failure(folder, {"train", "job.toml", "--run", "old"}, 3, "expected a new or empty folder");
  check_failure(folder, {"train", "job.toml", "--run", "new", "--events", "events.jsonl"}, 3,
                "events.jsonl: expected a new file for the events");
  CHECK(read_file(folder / "old/model.troupe") == "precious");
  CHECK(read_file(folder / "events.jsonl") == "precious");
  CHECK_FALSE(fs::exists(folder / "new"));
  check_failure(folder, {"train", "job.toml", "--run", "job.toml/below"}, 3, "job.toml");
}

TEST_CASE("a scheduler that is not there is a failure, not a hang") {
  temporary_folder folder;
  check_failure(folder, {"node", "--join", "127.0.0.1:1", "--wait", "0"}, 1, "127.0.0.1:1");
}

TEST_CASE("evaluate measures the model on held-out data") {
  temporary_folder folder;
  const auto run = saved_run(folder);
  const auto result = run_program({"evaluate", run.string(), "--json"});
  REQUIRE(result.code == 0);
  const auto line = nlohmann::json::parse(result.out);
  CHECK(line["held_out_accuracy"] == 1.0);
  CHECK(line["samples"] == 2);
  CHECK_THAT(run_program({"evaluate", run.string()}).out, Contains("held-out accuracy 100 %"));
  CHECK_THAT(run_program({"evaluate", run.string(), "--all"}).out, Contains("4 samples"));

  folder.write("other.csv", "a,b,t\n1,0,0\n0,1,1\n");
  const auto other = run_program({"evaluate", run.string(), "--all", "--json", "--set",
                                  "data.file=" + (folder / "other.csv").string()});
  CHECK(nlohmann::json::parse(other.out)["accuracy"] == 0.0);
}

TEST_CASE("predict prints one prediction for a row") {
  temporary_folder folder;
  const auto run = saved_run(folder);
  folder.write("new.csv", "a,b\n0,1\n1,0\n3,2\n");
  CHECK(run_program({"predict", run.string(), "--data", (folder / "new.csv").string()}).out ==
        "0\n1\n1\n");
  // The target column of a table like the training data is no feature.
  CHECK(run_program({"predict", run.string(), "--data", (folder / "table.csv").string()}).out ==
        "1\n0\n1\n0\n");
  const auto values =
      run_program({"predict", run.string(), "--values", "--data", (folder / "new.csv").string()});
  CHECK_THAT(values.out, StartsWith("0.99"));
  CHECK(run_program({"predict", run.string(), "--data", (folder / "new.csv").string(), "--out",
                     (folder / "out.txt").string()})
            .code == 0);
  CHECK(read_file(folder / "out.txt") == "0\n1\n1\n");
  check_failure(folder, {"predict", "run", "--data", "new.csv", "--out", "out.txt"}, 3,
                "out.txt: expected a new file");
}

TEST_CASE("a model or data that cannot be used gets one line and exit code 3") {
  temporary_folder folder;
  const auto run = saved_run(folder);
  folder.write("three.csv", "a,b,c\n1,2,3\n");
  check_failure(folder, {"predict", "run", "--data", "three.csv"}, 3,
                "three.csv: expected 2 features in each sample");
  check_failure(folder, {"predict", "run", "--data", "none.csv"}, 3, "none.csv");
  check_failure(folder, {"evaluate", "nowhere"}, 3, "nowhere: expected a run folder");
  fs::create_directory(folder / "empty");
  check_failure(folder, {"evaluate", "empty"}, 3, "no model here");

  std::string bytes = read_file(run / "model.troupe");
  bytes[bytes.size() / 2] ^= 1;
  folder.write("run/model.troupe", bytes);
  check_failure(folder, {"evaluate", "run"}, 3, "model.troupe");
  folder.write("run/model.troupe", bytes.substr(0, bytes.size() / 2));
  check_failure(folder, {"predict", "run", "--data", "table.csv"}, 3, "model.troupe");
}
