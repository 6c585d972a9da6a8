#include "temporary_folder.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace troupe::cli_test {

temporary_folder::temporary_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "troupe-cli-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  path_ = name;
}

temporary_folder::~temporary_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path temporary_folder::write(const std::string& name,
                                              std::string_view text) const {
  const auto file = path_ / name;
  std::ofstream out(file, std::ios::binary);
  out << text;
  if (!out.flush()) throw std::runtime_error("cannot write " + file.string());
  return file;
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string digits_job(std::string_view more) {
  return R"(name = "small"
seed = 3
[model]
layers = [ { dense = 16 }, "relu", { dense = 10 } ]
loss = "softmax_cross_entropy"
[data]
format = "digits"
samples = 600
held_out = 0.2
[train]
epochs = 2
batch_size = 16
consistency = "ssp"
staleness = 2
batches_per_step = 2
optimizer = { name = "sgd", learning_rate = 0.05, momentum = 0.5 }
[cluster]
workers = 2
shards = 2
)" + std::string(more);
}

} // namespace troupe::cli_test
