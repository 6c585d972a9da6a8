#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "job_run.hpp"

namespace troupe::bench {

/// Batches in a step of `bsp`: one for each of two workers, as in DDP with two processes.
inline constexpr int batches_per_step = 2;

/// How a job of one shard is run.
struct configuration {
  std::string mode; ///< async, ssp (bound 3), bsp or hogwild
  std::uint32_t workers = 1;
  std::uint32_t replicas = 1;
  placement where = placement::one_process;

  std::string name() const; ///< "async, 2 workers, 2 replicas, TCP"
  /// Recorded and checked.
  job_runner::request request_of(const std::filesystem::path& job) const;
};

struct train_options {
  int rounds = 5;
  int epochs = 12;
  double accuracy = 0.93;
  std::vector<std::vector<std::size_t>> models = {{784, 512, 512, 10}, {784, 64, 10}};
  std::vector<std::string> modes = {"async", "ssp", "bsp", "hogwild"};
  std::vector<std::uint32_t> workers = {1, 2};
  std::vector<std::uint32_t> replicas = {1, 2};
  std::vector<placement> places = {placement::one_process, placement::shared_memory,
                                   placement::tcp};
  std::string python = "/usr/bin/python3";
  bool peer = true;
  bool tuned_peer = true; ///< also with kernels that its user would have to choose
  std::string json_file;
};

/// Ends the program with 2 and a usage where the arguments are wrong.
train_options parse_train_options(int argc, char** argv);

/// All combinations that there are: two replicas need two nodes, and the workers of hogwild one.
std::vector<configuration> configurations_of(const train_options& o);

std::string name_of(const std::vector<std::size_t>& widths); ///< "784-64-10"
/// Short enough for a table: `kind` behind "PyTorch", and its kernels where they were chosen.
std::string name_of_peer(const std::string& peer, const std::string& kind);

} // namespace troupe::bench
