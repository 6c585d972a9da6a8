#include "troupe/cli/commands.hpp"

#include <catch2/catch.hpp>

using namespace troupe::cli;

namespace {

std::variant<arguments, int> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "troupe");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

template <class T>
T parsed(std::vector<const char*> words) {
  return std::get<T>(std::get<arguments>(parse(std::move(words))));
}

} // namespace

TEST_CASE("train takes a job, overrides, a run folder and an events file") {
  const auto a = parsed<train_arguments>({"train", "job.toml", "--set", "a.b=1", "--run", "r",
                                          "--events", "e", "--set", "c=x=y", "--in-process"});
  CHECK(a.job_file == "job.toml");
  CHECK(a.overrides == std::vector<std::string>{"a.b=1", "c=x=y"});
  CHECK(a.run == "r");
  CHECK(a.events == "e");
  CHECK(a.in_process);
}

TEST_CASE("one --set may hold several pairs, and the job may stand behind it") {
  CHECK(parsed<train_arguments>({"train", "job.toml", "--set", "a=1", "b=2"}).overrides ==
        std::vector<std::string>{"a=1", "b=2"});
  CHECK(parsed<train_arguments>({"train", "--set", "a=1", "job.toml"}).job_file == "job.toml");
  CHECK(parsed<train_arguments>({"train", "job.toml"}).run == std::nullopt);
}

TEST_CASE("a node has one shard and one worker unless told otherwise") {
  const auto a = parsed<node_arguments>({"node", "--join", "h:1"});
  CHECK(a.join == "h:1");
  CHECK(a.shards == 1);
  CHECK(a.workers == 1);
  const auto b =
      parsed<node_arguments>({"node", "--join", "h:1", "--listen", "0.0.0.0:2", "--advertise",
                              "box", "--shards", "0", "--workers", "3", "--job", "id"});
  CHECK(b.listen == "0.0.0.0:2");
  CHECK(b.advertise == "box");
  CHECK(b.shards == 0);
  CHECK(b.workers == 3);
  CHECK(b.job_id == "id");
}
