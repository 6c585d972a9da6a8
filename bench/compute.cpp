// What a training step takes on one core, beside its own matrix products and what the core can do.
//
//     build/release/bin/bench_compute [--seconds S] [--rounds N] [--precision fp32|bf16] [--floats]
//         [--model 784-512-512-10] [--batch B] [--python PROGRAM | --no-peer] [--json FILE]
//
// For each model and batch size, one thread, N rounds of S seconds each: whole steps (gather a
// batch of shuffled samples, loss and gradient, plain SGD); the gradient alone; the same matrix
// products alone, through the library that the model uses, with the operands as the model holds
// them; and the processor's peak of fused multiply-adds. PyTorch takes part in every round where it
// is installed (bench/peers/pytorch_step.py), with the kernels its BLAS chooses by itself and,
// where it overlooks AVX-512, with those as well. Our samples are bytes in memory, as pictures are,
// or with --floats floats, as PyTorch's always are here. Prints microseconds (p50, p99), samples
// per second, and ratios: medians over all rounds, and the range of the ratio of a round.
#include "command_line.hpp"
#include "matrix_product.hpp"
#include "peer.hpp"
#include "report.hpp"
#include "troupe/random.hpp"
#include "troupe/tensor/optimizer.hpp"
#include "troupe/tensor/permutation.hpp"
#include "troupe/tensor/sequential.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#include <immintrin.h>
#include <nlohmann/json.hpp>

namespace tensor = troupe::tensor;
using bench_clock = std::chrono::steady_clock;

namespace {

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "bench_compute: " << why << '\n';
  std::exit(1);
}

struct options {
  double seconds = 0.3;
  int rounds = 5;
  tensor::precision precision = tensor::precision::fp32;
  std::string model;     // all when empty
  std::size_t batch = 0; // all when 0
  std::string python = "/usr/bin/python3";
  bool peer = true;
  bool floats = false; // samples in memory, instead of bytes
  std::string json_file;
};

// -- what the core can do -------------------------------------------------------------------------

// Enough independent chains to fill every unit for the length of an addition: 2 units, 4 or 5
// cycles. noipa: the compiler must not see that two calls compute the same.
constexpr int chains = 14;

#define TROUPE_PEAK(NAME, TARGET, VECTOR, SET, FMA, WIDTH)                                         \
  __attribute__((noipa, target(TARGET))) double NAME(std::int64_t rounds) {                        \
    VECTOR sums[chains];                                                                           \
    for (auto& s : sums) s = SET(1.0f);                                                            \
    VECTOR factor = SET(0.999f), term = SET(0.001f);                                               \
    const auto begun = bench_clock::now();                                                         \
    for (std::int64_t r = 0; r < rounds; ++r)                                                      \
      for (auto& s : sums) {                                                                       \
        s = FMA(s, factor, term);                                                                  \
        asm volatile("" : "+v"(s));                                                                \
      }                                                                                            \
    const std::chrono::duration<double> took = bench_clock::now() - begun;                         \
    return 2.0 * WIDTH * chains * static_cast<double>(rounds) / took.count();                      \
  }
TROUPE_PEAK(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 16)
TROUPE_PEAK(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 8)
#undef TROUPE_PEAK

struct peak {
  const char* name;
  double (*measure)(std::int64_t rounds);
};

peak processor_peak() {
  if (__builtin_cpu_supports("avx512f")) return {"AVX-512 FMA", peak_avx512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {"AVX2 FMA", peak_avx2};
  fail("expected a processor with AVX2 and FMA");
}

// -- one model and batch size ---------------------------------------------------------------------

struct times {
  std::vector<double> all;      // seconds
  std::vector<double> of_round; // medians
  std::size_t begun = 0;

  void end_round() {
    std::vector<double> part(all.begin() + static_cast<std::ptrdiff_t>(begun), all.end());
    of_round.push_back(quantile(part, 0.5));
    begun = all.size();
  }
  static double quantile(std::vector<double> values, double q) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  }
  double p50() const { return quantile(all, 0.5); }
  double p99() const { return quantile(all, 0.99); }
};

template <class F>
void measure(times& t, double seconds, F f) {
  f(); // brings the caches back from whoever ran before
  const auto end = bench_clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto begun = bench_clock::now();
    f();
    t.all.push_back(std::chrono::duration<double>(bench_clock::now() - begun).count());
  } while (bench_clock::now() < end);
  t.end_round();
}

tensor::data_set random_samples(std::size_t features, std::size_t classes, bool as_floats) {
  tensor::generator random(1);
  tensor::data_set::contents c;
  constexpr std::size_t samples = 8000; // as the peer
  c.feature_count = features;
  c.class_count = classes;
  if (as_floats) {
    c.features.resize(samples * features);
    for (auto& x : c.features) x = static_cast<float>(random.uniform());
  } else {
    c.bytes.resize(samples * features);
    for (auto& x : c.bytes) x = static_cast<unsigned char>(random.below(256));
    c.norm = {{0.5f}, {3.5f}}; // as split() fits one to pictures
  }
  for (std::size_t i = 0; i < samples; ++i)
    c.labels.push_back(static_cast<std::int32_t>(random.below(classes)));
  return tensor::data_set(std::move(c));
}

std::vector<tensor::layer_spec> layers_of(const std::vector<std::size_t>& widths) {
  std::vector<tensor::layer_spec> layers;
  for (std::size_t i = 1; i < widths.size(); ++i) {
    if (i > 1) layers.push_back({tensor::layer_spec::kind::relu});
    layers.push_back({tensor::layer_spec::kind::dense, widths[i]});
  }
  return layers;
}

/// Everything our side of a measurement needs.
struct subject {
  std::size_t batch;
  tensor::data_set data;
  std::unique_ptr<tensor::model> model;
  tensor::aligned_vector<float> parameters, gradient, state;
  tensor::sgd optimizer{{.learning_rate = 0.01f}};
  std::vector<std::uint32_t> order;
  std::size_t at = 0;
  tensor::batch_buffer buffer;
  tensor::batch_view samples;

  subject(const std::vector<std::size_t>& widths, std::size_t rows, const options& o)
      : batch(rows), data(random_samples(widths.front(), widths.back(), o.floats)),
        model(tensor::make_sequential(widths.front(), layers_of(widths),
                                      tensor::loss::softmax_cross_entropy, o.precision)),
        parameters(model->parameter_layout().size()), gradient(parameters.size()),
        order(tensor::permutation(data.size(), 1, 0)) {
    model->initialize(1, parameters);
    gather();
  }
  void gather() {
    if (at + batch > order.size()) at = 0;
    samples = data.gather(std::span(order).subspan(at, batch), buffer);
    at += batch;
  }
  void compute() { model->loss_and_gradient(parameters, samples, gradient); }
  void apply() { optimizer.apply(parameters, gradient, state); }
};

/// The products of one step, on operands of their own.
struct step_products {
  struct one {
    std::size_t inputs, units;
    tensor::aligned_vector<float> x, weight, bias, y, delta, weight_gradient, x_gradient;
    tensor::factor_memory x_memory, weight_memory, delta_memory;
    tensor::factor<float> x_factor{}, weight_factor{};
  };
  std::size_t batch;
  std::vector<one> layers;
  bool rounded; // hidden layers' outputs and deltas, as the model has them with ReLU
  std::unique_ptr<tensor::matrix_products<float>> library;
  double flops = 0;

  step_products(const std::vector<std::size_t>& widths, std::size_t rows, tensor::precision p)
      : batch(rows), rounded(p == tensor::precision::bf16),
        library(tensor::make_products<float>(p)) {
    for (std::size_t i = 1; i < widths.size(); ++i) {
      const auto in = widths[i - 1], out = widths[i];
      const auto fresh = [](std::size_t n) { return tensor::aligned_vector<float>(n, 0.01f); };
      layers.push_back({.inputs = in,
                        .units = out,
                        .x = fresh(rows * in),
                        .weight = fresh(in * out),
                        .bias = fresh(out),
                        .y = fresh(rows * out),
                        .delta = fresh(rows * out),
                        .weight_gradient = fresh(in * out),
                        .x_gradient = fresh(rows * in),
                        .x_memory = tensor::factor_memory(rows * in),
                        .weight_memory = {},
                        .delta_memory = tensor::factor_memory(rows * out)});
      // The first layer's input needs no derivative.
      flops += 2.0 * static_cast<double>(rows * in * out) * (i == 1 ? 2 : 3);
    }
  }
  void run() {
    using result = tensor::product_result<float>;
    for (std::size_t k = 0; k < layers.size(); ++k) {
      auto& l = layers[k];
      if (k > 0 && rounded)
        l.x_factor = {nullptr, l.x_memory.data()};
      else
        l.x_factor = library->factor_of(l.x.data(), l.x.size(), l.x_memory);
      l.weight_factor = library->factor_of(l.weight.data(), l.weight.size(), l.weight_memory);
      const bool last = k + 1 == layers.size();
      library->multiply({.rows = batch, .columns = l.units, .depth = l.inputs}, l.x_factor,
                        l.weight_factor, l.bias.data(),
                        rounded && !last ? result(layers[k + 1].x_memory.data()) : l.y.data());
    }
    for (auto k = layers.size(); k-- > 0;) {
      auto& l = layers[k];
      const auto delta = rounded && k + 1 < layers.size()
                             ? tensor::factor<float>{nullptr, l.delta_memory.data()}
                             : library->factor_of(l.delta.data(), l.delta.size(), l.delta_memory);
      library->multiply_transposed({.rows = l.inputs, .columns = l.units, .depth = batch},
                                   l.x_factor, delta, l.weight_gradient.data());
      if (k > 0)
        library->multiply_by_transposed(
            {.rows = batch, .columns = l.inputs, .depth = l.units}, delta, l.weight_factor,
            rounded ? result(layers[k - 1].delta_memory.data()) : l.x_gradient.data());
    }
  }
};

// -- printing -------------------------------------------------------------------------------------

nlohmann::json as_json(const times& t) {
  return {{"p50_us", 1e6 * t.p50()}, {"p99_us", 1e6 * t.p99()}, {"count", t.all.size()}};
}

/// a / b by rounds.
nlohmann::json ratio(const times& a, const times& b) {
  std::vector<double> of_round;
  for (std::size_t r = 0; r < a.of_round.size(); ++r)
    of_round.push_back(a.of_round[r] / b.of_round[r]);
  return {{"median", a.p50() / b.p50()},
          {"least", *std::ranges::min_element(of_round)},
          {"most", *std::ranges::max_element(of_round)}};
}

void print(const char* what, const times& t) {
  std::printf("  %-34s %10.1f us   p99 %10.1f   n %zu\n", what, 1e6 * t.p50(), 1e6 * t.p99(),
              t.all.size());
}

void print(const char* what, const nlohmann::json& r) {
  std::printf("  %-46s %5.2f (%.2f to %.2f)\n", what, r["median"].get<double>(),
              r["least"].get<double>(), r["most"].get<double>());
}

std::string name_of(const std::vector<std::size_t>& widths) {
  std::string name;
  for (auto w : widths) name += (name.empty() ? "" : "-") + std::to_string(w);
  return name;
}

options parse(int argc, char** argv) {
  options o;
  troupe::bench::command_line line("A training step on one core, beside its products and PyTorch.",
                                   o.json_file);
  line.app.add_option("--seconds", o.seconds, "Of each measurement")
      ->check(troupe::bench::duration);
  line.app.add_option("--rounds", o.rounds)->check(troupe::bench::count);
  line.app.add_option("--precision", o.precision, "fp32 or bf16")
      ->transform(CLI::CheckedTransformer(std::map<std::string, tensor::precision>{
          {"fp32", tensor::precision::fp32}, {"bf16", tensor::precision::bf16}}))
      ->default_str("fp32");
  line.app.add_option("--model", o.model, "One alone, such as 784-512-512-10");
  line.app.add_option("--batch", o.batch, "One size alone; 0: all")
      ->check(CLI::Range(0, 1'000'000));
  line.app.add_option("--python", o.python, "With PyTorch");
  line.app.add_flag("!--no-peer", o.peer, "Not beside PyTorch");
  line.app.add_flag("--floats", o.floats, "Samples are floats in memory, instead of bytes");
  line.read(argc, argv);
  return o;
}

nlohmann::json measure_one(const options& o, const std::vector<std::size_t>& widths,
                           std::size_t batch, const peak& limit, std::vector<peer>& peers) {
  subject ours(widths, batch, o);
  step_products products(widths, batch, o.precision);
  times step, gradient, gather, apply, alone, peak_time;
  std::vector<times> of_peer(peers.size());
  constexpr std::int64_t peak_rounds = 20'000;
  std::vector<double> peak_flops;
  for (int r = 0; r < o.rounds; ++r) {
    measure(step, o.seconds, [&] {
      ours.gather();
      ours.compute();
      ours.apply();
    });
    measure(gradient, o.seconds, [&] { ours.compute(); });
    measure(alone, o.seconds, [&] { products.run(); });
    measure(gather, o.seconds / 4, [&] { ours.gather(); });
    measure(apply, o.seconds / 4, [&] { ours.apply(); });
    double best = 0;
    measure(peak_time, o.seconds / 4, [&] { best = std::max(best, limit.measure(peak_rounds)); });
    peak_flops.push_back(best);
    for (std::size_t p = 0; p < peers.size(); ++p) {
      const auto steps = peers[p]
                             .ask({{"layers", widths}, {"batch", batch}, {"seconds", o.seconds}})
                             .get<std::vector<double>>();
      of_peer[p].all.insert(of_peer[p].all.end(), steps.begin(), steps.end());
      of_peer[p].end_round();
    }
  }
  const auto peak_rate = times::quantile(peak_flops, 0.5);
  const auto rate = static_cast<double>(batch) / step.p50();
  std::printf("%s, batches of %zu: %.0f samples/s\n", name_of(widths).c_str(), batch, rate);
  print("step", step);
  print("  gather", gather);
  print("  loss and gradient", gradient);
  print("  optimizer", apply);
  print("the products alone", alone);
  nlohmann::json result{{"model", name_of(widths)},
                        {"batch", batch},
                        {"samples_per_second", rate},
                        {"step", as_json(step)},
                        {"gather", as_json(gather)},
                        {"gradient", as_json(gradient)},
                        {"optimizer", as_json(apply)},
                        {"products", as_json(alone)},
                        {"peak_flops", peak_rate},
                        {"products_of_gradient", ratio(alone, gradient)},
                        {"products_of_step", ratio(alone, step)},
                        {"products_of_peak", products.flops / alone.p50() / peak_rate},
                        {"step_of_peak", products.flops / step.p50() / peak_rate}};
  print("the products, of the gradient's time", result["products_of_gradient"]);
  print("the products, of the step's time", result["products_of_step"]);
  std::printf("  %-46s %5.2f of %.1f GFLOP/s (%s)\n", "the products, of the peak",
              result["products_of_peak"].get<double>(), peak_rate / 1e9, limit.name);
  std::printf("  %-46s %5.2f\n", "the step, of the peak", result["step_of_peak"].get<double>());
  for (std::size_t p = 0; p < peers.size(); ++p) {
    print(peers[p].name().c_str(), of_peer[p]);
    result["peers"].push_back({{"name", peers[p].name()},
                               {"step", as_json(of_peer[p])},
                               {"times_its_rate", ratio(of_peer[p], step)}});
    print("  times its rate", result["peers"].back()["times_its_rate"]);
  }
  std::fflush(stdout);
  return result;
}

/// PyTorch as it comes, and with AVX-512 kernels where its BLAS does not know the processor.
std::vector<peer> start_peers(const options& o) {
  std::vector<peer> peers;
  if (!o.peer) return peers;
  std::string why;
  if (auto first = peer::start(o.python, "pytorch_step.py", "", why))
    peers.push_back(std::move(*first));
  if (peers.empty()) {
    std::printf("SKIPPED: PyTorch (%s)\n", why.c_str());
    return peers;
  }
  if (__builtin_cpu_supports("avx512f") && peers.front().name().ends_with("Haswell"))
    if (auto second = peer::start(o.python, "pytorch_step.py", "SkylakeX", why))
      peers.push_back(std::move(*second));
  return peers;
}

} // namespace

int main(int argc, char** argv) {
  const auto o = parse(argc, argv);
  auto figures = troupe::bench::origin("compute", troupe::bench::command_of(argc, argv));
  troupe::bench::print_origin(figures);
  const auto limit = processor_peak();
  const auto library = std::string(tensor::make_products<float>(o.precision)->name());
  std::printf("one thread; products by %s\n\n", library.c_str());
  auto peers = start_peers(o);
  nlohmann::json results = nlohmann::json::array();
  for (const auto& widths : std::vector<std::vector<std::size_t>>{
           {784, 64, 10}, {784, 512, 512, 10}, {784, 1024, 1024, 10}})
    for (std::size_t batch : {32u, 64u, 256u})
      if ((o.model.empty() || o.model == name_of(widths)) && (o.batch == 0 || o.batch == batch))
        results.push_back(measure_one(o, widths, batch, limit, peers));
  if (results.empty()) fail("expected one of the models and batch sizes above, found none");
  figures.update({{"precision", o.precision == tensor::precision::bf16 ? "bf16" : "fp32"},
                  {"samples", o.floats ? "floats" : "bytes"},
                  {"library", library},
                  {"peak", limit.name},
                  {"results", results}});
  if (!troupe::bench::write_json(o.json_file, figures)) fail(o.json_file + ": cannot write");
}
