#include "train_configuration.hpp"

#include <charconv>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>

#include "command_line.hpp"

namespace troupe::bench {

namespace {

// Of "784-512-512-10"; empty for what is no model of the digits.
std::vector<std::size_t> widths_of(const std::string& text) {
  std::vector<std::size_t> widths;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, '-');) {
    const auto* end = part.data() + part.size();
    const auto read = std::from_chars(part.data(), end, widths.emplace_back());
    if (read.ec != std::errc{} || read.ptr != end || widths.back() == 0 || widths.back() > 65536)
      return {};
  }
  const bool known = widths.size() >= 2 && widths.front() == 784 && widths.back() == 10;
  return known ? widths : std::vector<std::size_t>{};
}

} // namespace

std::string configuration::name() const {
  return mode + ", " + std::to_string(workers) + (workers == 1 ? " worker" : " workers") +
         (replicas > 1 ? ", " + std::to_string(replicas) + " replicas" : "") + ", " +
         to_string(where);
}

job_runner::request configuration::request_of(const std::filesystem::path& job) const {
  return {.job = job,
          .set = {"train.consistency=" + mode, "train.staleness=3",
                  "train.batches_per_step=" + std::to_string(batches_per_step),
                  "cluster.workers=" + std::to_string(workers),
                  "cluster.replicas=" + std::to_string(replicas)},
          .where = where,
          .workers = workers,
          .replicas = replicas,
          .record = true};
}

train_options parse_train_options(int argc, char** argv) {
  train_options o;
  std::vector<std::string> models;
  for (const auto& m : o.models) models.push_back(name_of(m));
  command_line line("Whole jobs, beside PyTorch.", o.json_file);
  const CLI::Validator is_model(
      [](const std::string& text) {
        return widths_of(text).empty() ? "expected layers from 784 to 10, found " + text : "";
      },
      "784-...-10");
  line.app.add_option("--rounds", o.rounds)->check(CLI::Range(1, 1000));
  line.app.add_option("--epochs", o.epochs)->check(CLI::Range(1, 1000));
  line.app.add_option("--accuracy", o.accuracy, "Held-out, to be reached")
      ->check(CLI::Range(0.0, 1.0));
  line.app.add_option("--models", models)->delimiter(',')->check(is_model);
  line.app.add_option("--modes", o.modes)
      ->delimiter(',')
      ->check(CLI::IsMember({"async", "ssp", "bsp", "hogwild"}));
  line.app.add_option("--workers", o.workers)->delimiter(',')->check(CLI::Range(1, 2));
  line.app.add_option("--replicas", o.replicas)->delimiter(',')->check(CLI::Range(1, 2));
  line.app.add_option("--places", o.places, "one, shared, tcp")
      ->delimiter(',')
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, placement>{{"one", placement::one_process},
                                           {"shared", placement::shared_memory},
                                           {"tcp", placement::tcp}}))
      ->default_str("one,shared,tcp");
  line.app.add_option("--python", o.python, "With PyTorch");
  line.app.add_flag("!--no-peer", o.peer, "Not beside PyTorch");
  line.app.add_flag("!--plain-peer", o.tuned_peer, "No kernels that its user would have to choose");
  line.read(argc, argv);
  o.models.clear();
  for (const auto& m : models) o.models.push_back(widths_of(m));
  if (configurations_of(o).empty()) {
    std::cerr << "bench_train: expected options that leave something to run\n";
    std::exit(2);
  }
  return o;
}

std::vector<configuration> configurations_of(const train_options& o) {
  std::vector<configuration> all;
  for (const auto& mode : o.modes)
    for (const auto where : o.places)
      for (const auto replicas : o.replicas)
        for (const auto workers : o.workers) {
          const bool one_node = mode == "hogwild" || where == placement::one_process;
          if (replicas > 1 && one_node) continue;
          if (mode == "hogwild" && where == placement::tcp) continue;
          all.push_back({mode, workers, replicas, where});
        }
  return all;
}

std::string name_of(const std::vector<std::size_t>& widths) {
  std::string name;
  for (auto w : widths) name += (name.empty() ? "" : "-") + std::to_string(w);
  return name;
}

std::string name_of_peer(const std::string& peer, const std::string& kind) {
  return "PyTorch" + std::string(peer.ends_with("SkylakeX") ? " AVX-512" : "") + ", " + kind;
}

} // namespace troupe::bench
