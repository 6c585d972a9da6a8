// Shows: a model trained through the public API, with a whole cluster (scheduler, two parameter
// shards, two workers) as actors of this one process and no socket open.
// Run:    build/release/bin/train_in_process
// Prints: one line per epoch with the training loss and the accuracy on held-out digits, then how
//         the run ended. Exits with 1 if the run failed or learned too little.

#include <cstdio>

#include "troupe/runtime.hpp"

namespace {

// README: begin
class epoch_printer : public troupe::run_observer {
 public:
  void on_event(const troupe::event& e) override {
    if (const auto* epoch = std::get_if<troupe::epoch_event>(&e))
      std::printf("epoch %u  loss %.4f  held-out accuracy %.2f %%\n", epoch->epoch, epoch->loss,
                  100 * epoch->held_out_accuracy.value_or(0));
  }
};

troupe::job digits_job() {
  using troupe::tensor::layer_spec;
  troupe::job j;
  j.name = "digits";
  j.model.layers = {{layer_spec::kind::dense, 64},
                    {layer_spec::kind::relu}, //
                    {layer_spec::kind::dense, 10}};
  j.data.samples = 10000; // drawn by the program; a fifth is held out
  j.train.epochs = 8;
  j.train.batch_size = 64;
  j.train.consistency = troupe::scheduler::consistency::ssp(3);
  j.train.optimizer = {.learning_rate = 0.03f, .momentum = 0.9f};
  j.cluster = {.workers = 2, .shards = 2};
  return j;
}

troupe::run_result train_digits() {
  const auto j = digits_job();
  epoch_printer observer;
  return troupe::train(j, troupe::make_workload(j), &observer);
}
// README: end

} // namespace

int main() {
  try {
    const auto result = train_digits();
    if (result.outcome != troupe::run_result::status::finished) {
      std::fprintf(stderr, "train_in_process: %s\n", result.error.c_str());
      return 1;
    }
    const auto& summary = *result.summary;
    const double accuracy = summary.held_out_accuracy.value_or(0);
    std::printf("finished: held-out accuracy %.2f %%, %zu parameters, %llu samples in %.2f s, "
                "staleness at most %llu\n",
                100 * accuracy, result.parameters.size(),
                static_cast<unsigned long long>(summary.samples), summary.seconds,
                static_cast<unsigned long long>(summary.staleness.max()));
    constexpr double expected = 0.90;
    if (accuracy >= expected) return 0;
    std::fprintf(stderr, "train_in_process: expected at least %.0f %%\n", 100 * expected);
    return 1;
  } catch (const std::exception& e) { // a job that cannot begin
    std::fprintf(stderr, "train_in_process: %s\n", e.what());
    return 1;
  }
}
