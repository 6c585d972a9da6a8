// What whole training jobs reach, of what the cores can do, and beside PyTorch.
//
//     build/release/bin/bench_train [--rounds N] [--epochs N] [--accuracy A] [--models LIST]
//       [--modes LIST] [--workers LIST] [--replicas LIST] [--places LIST]
//       [--python PROGRAM | --no-peer] [--plain-peer] [--json FILE]
//
// Each job is the real program in all its processes, batches of 64, plain SGD, one shard, 8,000
// digits for training and 2,000 held out, which are measured after every epoch. First each
// configuration trains the integer model and must end with its one right sum. Then, N times, every
// configuration and every peer in turn, beginning with another one each round. Prints
//   steady    samples/s without the first epoch
//   whole     samples/s from the start of the first process to the end of the last
//   to A      seconds from the first batch to the end of the epoch that reached the accuracy
//   cpu us    processor time of all processes for a sample, starts included
//   of limit  steady, of the gradients alone: as many threads as workers, at most the cores, that
//             compute gradients of such batches and nothing else, in the same round
// as medians, the range of the rounds in brackets, and then the ratios that were aimed for, each
// within a round. Every run is recorded and its history checked (docs/reference/history.md):
// a violation ends the benchmark, so no figure stands for a run that broke a promise. What
// recording costs, bench_recording tells.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "job_run.hpp"
#include "peer.hpp"
#include "report.hpp"
#include "train_configuration.hpp"
#include "train_data.hpp"
#include "troupe/tensor/idx.hpp"
#include "troupe/tensor/integer_sum.hpp"
#include "troupe/tensor/model_file.hpp"
#include "troupe/tensor/sequential.hpp"

using namespace troupe::bench;
namespace fs = std::filesystem;
namespace tensor = troupe::tensor;
using bench_clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t batch_size = 64;
constexpr double held_out = 0.2, learning_rate = 0.1;
constexpr double seconds_of_limit = 0.4;

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "bench_train: " << why << '\n';
  std::exit(1);
}

// -- the jobs -------------------------------------------------------------------------------------

std::string digit_job(const train_options& o, const std::vector<std::size_t>& widths,
                      const digit_files& data) {
  std::ostringstream text;
  text << "name = \"digits\"\n[model]\nlayers = [";
  for (std::size_t i = 1; i < widths.size(); ++i)
    text << (i > 1 ? ", \"relu\", " : " ") << "{ dense = " << widths[i] << " }";
  text << " ]\n[data]\nformat = \"idx\"\nimages = " << data.images << "\nlabels = " << data.labels
       << "\nheld_out = " << held_out << "\n[train]\nepochs = " << o.epochs
       << "\nbatch_size = " << batch_size
       << "\noptimizer = { name = \"sgd\", learning_rate = " << learning_rate
       << " }\n[checkpoint]\nevery_seconds = 0\n";
  return text.str();
}

// So many parameters that a transfer takes several parts, and so many samples that sums of shares
// are exact (INTEGER-1).
constexpr std::size_t integers = 70'000, integer_samples = 320, integer_epochs = 10;

constexpr std::size_t integer_batches = integer_samples / 4 * integer_epochs;

const std::string integer_job =
    "name = \"integers\"\n[model]\nkind = \"integer_sum\"\n"
    "parameters = " +
    std::to_string(integers) +
    "\n[data]\nformat = \"integers\"\nsamples = " + std::to_string(integer_samples) +
    "\n[train]\nepochs = " + std::to_string(integer_epochs) +
    "\nbatch_size = 4\noptimizer = { name = \"sgd\", "
    "learning_rate = 1.0 }\n[checkpoint]\nevery_seconds = 0\n";

/// The parameter hash that it must end with. In bsp a step applies the mean of its batches.
std::string right_hash(const std::vector<double>& sum, const configuration& c) {
  std::vector<float> right;
  const double scale = integer_epochs / (c.mode == "bsp" ? double{batches_per_step} : 1.0);
  for (const auto s : sum) right.push_back(static_cast<float>(0.0 - s * scale));
  return tensor::parameter_hash(right);
}

nlohmann::json check_exactness(const job_runner& runner, const std::vector<configuration>& all) {
  const auto file = runner.folder() / "integers.toml";
  std::ofstream(file) << integer_job;
  const auto sum = tensor::expected_sum(integers, integer_samples);
  auto rows = nlohmann::json::array();
  for (const auto& c : all) {
    const auto run = runner.run(c.request_of(file));
    if (run.parameter_hash != right_hash(sum, c))
      fail("the integer job did not end with its right sum: " + c.name());
    rows.push_back({{"configuration", c.name()},
                    {"batches", integer_batches},
                    {"events", run.events},
                    {"judged", run.judged}});
  }
  std::printf("%zu configurations, each %zu batches of integer gradients: every sum exact, no rule "
              "broken\n\n",
              all.size(), integer_batches);
  std::fflush(stdout);
  return rows;
}

/// Samples per second of so many threads that compute gradients and nothing else.
double gradients_alone(const std::vector<std::size_t>& widths, const tensor::data_set& data,
                       unsigned threads) {
  std::vector<tensor::layer_spec> layers;
  for (std::size_t i = 1; i < widths.size(); ++i) {
    if (i > 1) layers.push_back({tensor::layer_spec::kind::relu});
    layers.push_back({tensor::layer_spec::kind::dense, widths[i]});
  }
  std::atomic<unsigned> ready = 0;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> done = 0;
  std::vector<std::jthread> all;
  for (unsigned t = 0; t < threads; ++t)
    all.emplace_back([&] {
      const auto model =
          tensor::make_sequential(widths[0], layers, tensor::loss::softmax_cross_entropy);
      const auto size = model->parameter_layout().size();
      tensor::aligned_vector<float> parameters(size), gradient(size);
      model->initialize(1, parameters);
      const auto batch = data.view(0, batch_size);
      model->loss_and_gradient(parameters, batch, gradient); // products are prepared
      ready.fetch_add(1);
      std::uint64_t mine = 0;
      for (; !stop.load(std::memory_order_relaxed); ++mine)
        model->loss_and_gradient(parameters, batch, gradient);
      done.fetch_add(mine);
    });
  while (ready.load() < threads) std::this_thread::yield();
  const auto begun = bench_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds_of_limit));
  stop = true;
  const auto took = std::chrono::duration<double>(bench_clock::now() - begun).count();
  all.clear();
  return static_cast<double>(done.load() * batch_size) / took;
}

// -- one of those that take turns -----------------------------------------------------------------

/// A configuration, or a way in which a peer trains, and its figures by round.
struct contender {
  std::string name;
  nlohmann::json what; // as the JSON file says it
  unsigned workers = 1;
  std::function<job_run()> run;

  std::vector<double> steady = {}, whole = {}, to_accuracy = {}, accuracy = {};
  std::vector<double> processor_us = {}, of_limit = {};
  std::uint64_t judged = 0;

  void take(const job_run& r, const train_options& o, double limit) {
    steady.push_back(r.steady_samples_per_second());
    whole.push_back(r.samples / r.whole_seconds);
    if (const auto s = r.seconds_to(o.accuracy)) to_accuracy.push_back(*s);
    accuracy.push_back(100 * r.epochs.back().held_out_accuracy.value_or(0));
    if (r.processor_seconds > 0) processor_us.push_back(1e6 * r.processor_seconds / r.samples);
    of_limit.push_back(steady.back() / limit);
    judged += r.judged;
  }

  nlohmann::json figures() const {
    auto j = what;
    j.update({{"name", name},
              {"rounds", steady.size()},
              {"steady", spread_of(steady)},
              {"whole", spread_of(whole)},
              {"reached_accuracy", to_accuracy.size()},
              {"held_out_accuracy", spread_of(accuracy)},
              {"of_limit", spread_of(of_limit)}});
    if (!to_accuracy.empty()) j["seconds_to_accuracy"] = spread_of(to_accuracy);
    if (!processor_us.empty()) j["processor_us_per_sample"] = spread_of(processor_us);
    if (judged > 0) j["rules_judged"] = judged; // nothing is promised by a peer
    return j;
  }

  void print() const {
    const auto s = spread_of(steady);
    std::printf("  %-44s %8.0f (%6.0f to %6.0f) %8.0f ", name.c_str(), s.median, s.least, s.most,
                spread_of(whole).median);
    // Of the rounds that reached it; a job that misses it in one is no faster for that.
    if (to_accuracy.size() == steady.size())
      std::printf("%7.2f", spread_of(to_accuracy).median);
    else
      std::printf("%7s", "-");
    std::printf(" %7.2f %%", spread_of(accuracy).median);
    if (processor_us.empty())
      std::printf(" %7s", "");
    else
      std::printf(" %7.1f", spread_of(processor_us).median);
    std::printf(" %8.2f\n", spread_of(of_limit).median);
  }
};

/// `name`: of the contender whose figures are divided by those of `by`.
nlohmann::json ratio_of(const std::vector<contender>& all, const std::string& name,
                        const std::string& by, double aim) {
  const auto find = [&](const std::string& n) {
    return std::ranges::find(all, n, &contender::name);
  };
  const auto a = find(name), b = find(by);
  if (a == all.end() || b == all.end()) return nullptr;
  std::vector<double> of_round;
  for (std::size_t r = 0; r < a->steady.size(); ++r)
    of_round.push_back(a->steady[r] / b->steady[r]);
  return {{"of", name}, {"by", by}, {"aim", aim}, {"ratio", spread_of(of_round)}};
}

job_run from_peer(const nlohmann::json& answer) {
  job_run r;
  r.samples = answer.at("samples").get<double>();
  r.seconds = answer.at("seconds").get<double>();
  r.whole_seconds = answer.at("whole_seconds").get<double>();
  for (const auto& e : answer.at("epochs"))
    r.epochs.push_back({e.at("seconds").get<double>(), e.at("held_out_accuracy").get<double>()});
  r.measured_steady = answer.at("steady_samples_per_second").get<double>();
  return r;
}

std::vector<contender> contenders_of(const train_options& o, const std::vector<std::size_t>& widths,
                                     const fs::path& job, const digit_files& data,
                                     const std::vector<configuration>& configurations,
                                     const job_runner& runner, std::vector<peer>& peers) {
  std::vector<contender> all;
  for (const auto& c : configurations)
    all.push_back({.name = c.name(),
                   .what = {{"mode", c.mode},
                            {"workers", c.workers},
                            {"replicas", c.replicas},
                            {"place", to_string(c.where)}},
                   .workers = c.workers,
                   .run = [&runner, c, job] { return runner.run(c.request_of(job)); }});
  for (auto& p : peers)
    for (const auto& [kind, name, workers] :
         {std::tuple{"one", "one process", 1u}, std::tuple{"ddp", "DDP, 2 processes", 2u},
          std::tuple{"hogwild", "Hogwild, 2 processes", 2u}}) {
      const nlohmann::json request{{"kind", kind},
                                   {"layers", widths},
                                   {"batch", batch_size},
                                   {"epochs", o.epochs},
                                   {"learning_rate", learning_rate},
                                   {"images", data.images.string()},
                                   {"labels", data.labels.string()},
                                   {"held_out", held_out},
                                   {"seed", 1}};
      all.push_back({.name = name_of_peer(p.name(), name),
                     .what = {{"peer", p.name()}, {"kind", kind}, {"workers", workers}},
                     .workers = workers,
                     .run = [&p, request] { return from_peer(p.ask(request)); }});
    }
  return all;
}

nlohmann::json aims(const std::vector<contender>& all,
                    const std::vector<configuration>& configurations,
                    const std::vector<peer>& peers) {
  auto rows = nlohmann::json::array();
  const auto add = [&](nlohmann::json row) {
    if (!row.is_null()) rows.push_back(std::move(row));
  };
  for (const auto& c : configurations) {
    if (c.workers != 2) {
      continue;
    }
    auto one = c;
    one.workers = 1;
    if (c.replicas == 1) add(ratio_of(all, c.name(), one.name(), c.mode == "hogwild" ? 1.85 : 1.8));
    auto bare = c;
    bare.replicas = 1;
    if (c.replicas > 1) add(ratio_of(all, c.name(), bare.name(), 0.8));
    for (const auto& p : peers) {
      if (c.replicas > 1) continue;
      if (c.mode == "hogwild")
        add(ratio_of(all, c.name(), name_of_peer(p.name(), "Hogwild, 2 processes"), 1.3));
      else
        add(ratio_of(all, c.name(), name_of_peer(p.name(), "DDP, 2 processes"), 2.0));
    }
  }
  return rows;
}

nlohmann::json measure(const train_options& o, const std::vector<std::size_t>& widths,
                       const digit_files& data, const std::vector<configuration>& configurations,
                       const job_runner& runner, std::vector<peer>& peers) {
  const auto job = runner.folder() / "digits.toml";
  std::ofstream(job) << digit_job(o, widths, data);
  const auto samples = tensor::split(tensor::load_idx(data.images, data.labels), held_out, 1).train;
  auto all = contenders_of(o, widths, job, data, configurations, runner, peers);
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  std::map<unsigned, std::vector<double>> limits;
  for (int r = 0; r < o.rounds; ++r) {
    for (const unsigned workers : {1u, 2u})
      limits[workers].push_back(gradients_alone(widths, samples, std::min(workers, cores)));
    for (std::size_t k = 0; k < all.size(); ++k) {
      auto& c = all[(k + static_cast<std::size_t>(r)) % all.size()];
      c.take(c.run(), o, limits[c.workers].back());
    }
  }
  std::printf("%s, %s, %d epochs, %d rounds\n", name_of(widths).c_str(), data.name.c_str(),
              o.epochs, o.rounds);
  char to[32];
  std::snprintf(to, sizeof to, "to %.3g", o.accuracy);
  std::printf("  %-44s %8s %18s %8s %7s %9s %7s %8s\n", "", "steady", "", "whole", to, "accuracy",
              "cpu us", "of limit");
  nlohmann::json result{{"model", name_of(widths)}, {"contenders", nlohmann::json::array()}};
  for (const auto& c : all) {
    c.print();
    result["contenders"].push_back(c.figures());
  }
  for (const auto& [workers, rates] : limits) {
    const auto s = spread_of(rates);
    std::printf("  gradients alone, %u thread%-22s %8.0f (%6.0f to %6.0f)\n", workers,
                workers == 1 ? "" : "s", s.median, s.least, s.most);
    result["limits"].push_back({{"threads", workers}, {"samples_per_second", s}});
  }
  result["ratios"] = aims(all, configurations, peers);
  std::printf("\n  steady, of that of                                                    ratio"
              "               aim\n");
  for (const auto& row : result["ratios"]) {
    const auto& s = row["ratio"];
    std::printf("  %-32s %-34s %5.2f (%4.2f to %4.2f)  %4.2f\n",
                row["of"].get<std::string>().c_str(), row["by"].get<std::string>().c_str(),
                s["median"].get<double>(), s["least"].get<double>(), s["most"].get<double>(),
                row["aim"].get<double>());
  }
  std::printf("\n");
  std::fflush(stdout);
  return result;
}

/// PyTorch as it comes, and with AVX-512 kernels where its BLAS does not know the processor.
std::vector<peer> start_peers(const train_options& o) {
  std::vector<peer> peers;
  if (!o.peer) return peers;
  std::string why;
  if (auto first = peer::start(o.python, "pytorch_train.py", "", why))
    peers.push_back(std::move(*first));
  if (peers.empty()) {
    std::printf("SKIPPED: PyTorch (%s)\n\n", why.c_str());
    return peers;
  }
  if (o.tuned_peer && __builtin_cpu_supports("avx512f") &&
      peers.front().name().ends_with("Haswell"))
    if (auto second = peer::start(o.python, "pytorch_train.py", "SkylakeX", why))
      peers.push_back(std::move(*second));
  return peers;
}

} // namespace

int main(int argc, char** argv) {
  const auto o = parse_train_options(argc, argv);
  auto figures = origin("train", command_of(argc, argv));
  print_origin(figures);
  const job_runner runner("bench_train");
  auto configurations = configurations_of(o);
  for (const auto where : o.places)
    if (const auto why = runner.obstacle(where); !why.empty()) {
      std::printf("SKIPPED: %s (%s)\n\n", to_string(where).c_str(), why.c_str());
      std::erase_if(configurations, [&](const auto& c) { return c.where == where; });
    }
  const auto data = find_digits(runner.folder());
  auto peers = start_peers(o);
  figures.update({{"rounds", o.rounds},
                  {"epochs", o.epochs},
                  {"accuracy", o.accuracy},
                  {"data", data.name},
                  {"exactness", check_exactness(runner, configurations)}});
  for (const auto& widths : o.models)
    figures["models"].push_back(measure(o, widths, data, configurations, runner, peers));
  if (!write_json(o.json_file, figures)) fail(o.json_file + ": cannot write");
}
