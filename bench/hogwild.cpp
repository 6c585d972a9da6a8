// How one shared array of parameters scales over threads.
//
//     build/release/bin/bench_hogwild [--threads N] [--seconds S] [--rounds R] [--momentum M]
//     [--json FILE]
//
// Threads train one model as the workers of a process do in mode hogwild: read the shared
// parameters, compute the gradient of a batch of 64, apply it. One thread and N, in alternation;
// and N threads with an array each, which is what cores and memory allow. Prints samples per
// second: the median over R rounds of S seconds, its range, the ratio to one thread within a round,
// and what one application takes when nobody else applies.
#include "troupe/tensor/hogwild.hpp"
#include "troupe/tensor/digits.hpp"
#include "troupe/tensor/sequential.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "report.hpp"

namespace tensor = troupe::tensor;
using troupe::bench::percentile;
using troupe::bench::spread;
using troupe::bench::spread_of;
using bench_clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t batch_size = 64;
constexpr std::size_t batches = std::size_t{1} << 26; // more than anyone applies

struct network {
  const char* name;
  std::vector<tensor::layer_spec> layers;
};

std::unique_ptr<tensor::model> make(const network& n) {
  return tensor::make_sequential(784, n.layers, tensor::loss::softmax_cross_entropy);
}

double seconds_since(bench_clock::time_point begun) {
  return std::chrono::duration<double>(bench_clock::now() - begun).count();
}

/// Samples per second of so many threads on one array, or on an array each.
double rate(const network& n, const tensor::data_set& data, const tensor::sgd_options& options,
            unsigned threads, bool shared, double seconds) {
  const auto size = make(n)->parameter_layout().size();
  tensor::aligned_vector<float> initial(size);
  make(n)->initialize(1, initial);
  std::vector<std::unique_ptr<tensor::shared_parameters>> arrays;
  for (unsigned i = 0; i < (shared ? 1 : threads); ++i)
    arrays.push_back(std::make_unique<tensor::shared_parameters>(initial, options, batches));
  std::atomic<std::uint64_t> ordinal = 0, done = 0;
  std::atomic<unsigned> ready = 0;
  std::atomic<bool> stop = false;
  std::vector<std::jthread> all;
  for (unsigned t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      auto& array = *arrays[shared ? 0 : t];
      const auto model = make(n);
      tensor::aligned_vector<float> parameters(size), gradient(size);
      tensor::batch_buffer buffer;
      std::vector<std::uint32_t> rows(batch_size);
      std::uint64_t mine = 0;
      const auto step = [&] {
        const auto b = ordinal.fetch_add(1);
        std::iota(rows.begin(), rows.end(),
                  static_cast<std::uint32_t>(b * batch_size % (data.size() - batch_size)));
        array.read(parameters);
        model->loss_and_gradient(parameters, data.gather(rows, buffer), gradient);
        array.apply(b, gradient);
      };
      step(); // products are prepared at their first use
      ready.fetch_add(1);
      while (ready.load() < threads) std::this_thread::yield();
      for (; !stop.load(std::memory_order_relaxed); ++mine) step();
      done.fetch_add(mine);
    });
  while (ready.load() < threads) std::this_thread::yield();
  const auto begun = bench_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  const auto took = seconds_since(begun);
  all.clear();
  return static_cast<double>(done.load() * batch_size) / took;
}

/// Microseconds of applications when nobody else applies, ascending.
std::vector<double> us_of_apply(const network& n, const tensor::sgd_options& options) {
  const auto size = make(n)->parameter_layout().size();
  const std::vector<float> gradient(size, 1e-6f);
  tensor::shared_parameters array(std::vector<float>(size), options, 1000);
  std::vector<double> took;
  for (std::uint64_t b = 0; b < 200; ++b) {
    const auto begun = bench_clock::now();
    array.apply(b, gradient);
    took.push_back(1e6 * seconds_since(begun));
  }
  std::ranges::sort(took);
  return took;
}

void print(const char* what, const spread& s, int digits) {
  std::printf("  %-44s %12.*f (%.*f to %.*f)\n", what, digits, s.median, digits, s.least, digits,
              s.most);
}

} // namespace

int main(int argc, char** argv) {
  unsigned threads = 2;
  double seconds = 0.5;
  int rounds = 7;
  std::string json_file;
  tensor::sgd_options options{.learning_rate = 0.001f};
  troupe::bench::command_line line("What threads gain that share one array (hogwild).", json_file);
  line.app.add_option("--threads", threads)->check(CLI::Range(1, 1024));
  line.app.add_option("--seconds", seconds, "Of each measurement")->check(troupe::bench::duration);
  line.app.add_option("--rounds", rounds)->check(troupe::bench::count);
  line.app.add_option("--momentum", options.momentum)->check(CLI::Range(0.0, 1.0));
  line.read(argc, argv);
  auto figures = troupe::bench::origin("hogwild", troupe::bench::command_of(argc, argv));
  troupe::bench::print_origin(figures);
  const auto data = tensor::make_digits(4000, 1);
  using kind = tensor::layer_spec::kind;
  auto results = nlohmann::json::array();
  for (const auto& n :
       {network{"784-128-10", {{kind::dense, 128}, {kind::relu}, {kind::dense, 10}}},
        network{"784-512-512-10",
                {{kind::dense, 512},
                 {kind::relu},
                 {kind::dense, 512},
                 {kind::relu},
                 {kind::dense, 10}}}}) {
    std::vector<double> one, many, apart, ratio, limit;
    for (int r = 0; r < rounds; ++r) {
      one.push_back(rate(n, data, options, 1, true, seconds));
      many.push_back(rate(n, data, options, threads, true, seconds));
      apart.push_back(rate(n, data, options, threads, false, seconds));
      ratio.push_back(many.back() / one.back());
      limit.push_back(apart.back() / one.back());
    }
    const auto apply = us_of_apply(n, options);
    const auto p50 = percentile(apply, 50), p99 = percentile(apply, 99);
    results.push_back({{"model", n.name},
                       {"one", spread_of(one)},
                       {"threads", spread_of(many)},
                       {"apart", spread_of(apart)},
                       {"ratio", spread_of(ratio)},
                       {"limit", spread_of(limit)},
                       {"apply", {{"p50_us", p50}, {"p99_us", p99}, {"count", apply.size()}}}});
    std::printf("%s, batches of %zu, samples/s\n", n.name, batch_size);
    print("one thread", spread_of(one), 0);
    print("all threads, one array", spread_of(many), 0);
    print("all threads, an array each", spread_of(apart), 0);
    print("one array, times one thread", spread_of(ratio), 2);
    print("an array each, times one thread", spread_of(limit), 2);
    std::printf("  %-44s %12.1f us   p99 %.1f   n %zu\n", "one application, alone", p50, p99,
                apply.size());
    std::fflush(stdout);
  }
  figures.update({{"threads", threads},
                  {"rounds", rounds},
                  {"momentum", options.momentum},
                  {"results", results}});
  if (!troupe::bench::write_json(json_file, figures)) {
    std::cerr << "bench_hogwild: " << json_file << ": cannot write\n";
    return 1;
  }
}
