#include "integer_cluster.hpp"

#include <sstream>
#include <vector>

#include "temporary_folder.hpp"
#include "troupe/tensor/integer_sum.hpp"
#include "troupe/tensor/model_file.hpp"

namespace troupe::cli_test {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t parameters = 1000;

} // namespace

std::string integer_job(std::uint32_t epochs) {
  return R"(name = "integers"
[model]
kind = "integer_sum"
parameters = )" +
         std::to_string(parameters) + R"(
[data]
format = "integers"
samples = )" +
         std::to_string(integer_samples) + R"(
held_out = 0
[train]
epochs = )" +
         std::to_string(epochs) + R"(
batch_size = 10
optimizer = { name = "sgd", learning_rate = 1.0 }
[cluster]
workers = 4
shards = 3
)";
}

std::string expected_hash(std::uint32_t epochs, const std::string& mode) {
  std::vector<float> expected;
  for (const auto sum : tensor::expected_sum(parameters, integer_samples))
    expected.push_back(static_cast<float>(0.0 - sum * epochs / (mode == "bsp" ? 4 : 1)));
  return tensor::parameter_hash(expected);
}

json last_event(const fs::path& run) {
  std::istringstream in(read_file(run / "events.jsonl"));
  std::string line, last;
  while (std::getline(in, line)) last = line;
  return json::parse(last);
}

} // namespace troupe::cli_test
