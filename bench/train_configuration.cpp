#include "train_configuration.hpp"

#include <charconv>
#include <iostream>
#include <optional>
#include <sstream>

namespace troupe::bench {

namespace {

[[noreturn]] void refuse(const std::string& why) {
  std::cerr << "bench_train: " << why
            << "\nusage: bench_train [--rounds N] [--epochs N] [--accuracy A]\n"
               "  [--models 784-512-512-10,784-64-10] [--modes async,ssp,bsp,hogwild]\n"
               "  [--workers 1,2] [--replicas 1,2] [--places one,shared,tcp]\n"
               "  [--python PROGRAM | --no-peer] [--plain-peer] [--json FILE]\n";
  std::exit(2);
}

template <class T>
T number(const std::string& option, const std::string& text, T least, T most) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most)
    refuse(option + ": expected a number from " + std::to_string(least) + " to " +
           std::to_string(most) + ", found '" + text + "'");
  return value;
}

std::vector<std::string> parts(const std::string& text, char between) {
  std::vector<std::string> result;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, between);) result.push_back(part);
  return result;
}

std::vector<std::uint32_t> counts(const std::string& option, const std::string& text) {
  std::vector<std::uint32_t> result;
  for (const auto& p : parts(text, ',')) result.push_back(number(option, p, 1u, 2u));
  return result;
}

std::vector<std::size_t> widths_of(const std::string& text) {
  std::vector<std::size_t> widths;
  for (const auto& p : parts(text, '-'))
    widths.push_back(number<std::size_t>("--models", p, 1, 65536));
  if (widths.size() < 2 || widths.front() != 784 || widths.back() != 10)
    refuse("--models: expected layers from 784 to 10, found '" + text + "'");
  return widths;
}

placement place_of(const std::string& text) {
  if (text == "one") return placement::one_process;
  if (text == "shared") return placement::shared_memory;
  if (text == "tcp") return placement::tcp;
  refuse("--places: expected one, shared or tcp, found '" + text + "'");
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
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--no-peer" || option == "--plain-peer") {
      (option == "--no-peer" ? o.peer : o.tuned_peer) = false;
      continue;
    }
    if (i + 1 == argc) refuse("expected options with a value each, found " + option);
    const std::string value = argv[++i];
    if (option == "--rounds") {
      o.rounds = number(option, value, 1, 1000);
    } else if (option == "--epochs") {
      o.epochs = number(option, value, 1, 1000);
    } else if (option == "--accuracy") {
      o.accuracy = number(option, value, 0.0, 1.0);
    } else if (option == "--workers") {
      o.workers = counts(option, value);
    } else if (option == "--replicas") {
      o.replicas = counts(option, value);
    } else if (option == "--models") {
      o.models.clear();
      for (const auto& p : parts(value, ',')) o.models.push_back(widths_of(p));
    } else if (option == "--modes") {
      o.modes = parts(value, ',');
      for (const auto& m : o.modes)
        if (m != "async" && m != "ssp" && m != "bsp" && m != "hogwild")
          refuse("--modes: expected async, ssp, bsp or hogwild, found '" + m + "'");
    } else if (option == "--places") {
      o.places.clear();
      for (const auto& p : parts(value, ',')) o.places.push_back(place_of(p));
    } else if (option == "--python") {
      o.python = value;
    } else if (option == "--json") {
      o.json_file = value;
    } else {
      refuse("unknown option " + option);
    }
  }
  if (configurations_of(o).empty()) refuse("expected options that leave something to run");
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
