#include <iostream>

#include <nlohmann/json.hpp>

#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/saved_model.hpp"
#include "troupe/jobs/job_data.hpp"

namespace troupe::cli {

int run(const evaluate_arguments& a) {
  const saved_model saved(a.run, a.overrides);
  const job& j = saved.job();
  tensor::data_set data = load_samples(j);
  // Unnormalized: the model's own normalization is applied, also to data it was not trained on.
  if (!a.all)
    data = tensor::split(data, j.data.share_held_out(), j.seed, tensor::normalization_kind::none)
               .held_out;
  if (data.size() == 0)
    throw usage_error("expected held-out samples, found data.held_out = 0; give --all to evaluate "
                      "on every sample");
  data = saved.prepare(data, "the job's data");
  const tensor::evaluation result = saved.model().evaluate(saved.file().parameters, data);

  const char* name = a.all ? "accuracy" : "held_out_accuracy";
  if (a.json) {
    nlohmann::ordered_json line;
    line[name] = result.accuracy ? nlohmann::ordered_json(*result.accuracy) : nullptr;
    line["loss"] = result.loss;
    line["samples"] = result.samples;
    line["parameter_hash"] = tensor::parameter_hash(saved.file().parameters);
    std::cout << line.dump() << std::endl;
    return success;
  }
  std::cout.precision(4);
  if (result.accuracy)
    std::cout << (a.all ? "accuracy " : "held-out accuracy ") << *result.accuracy * 100 << " %, ";
  std::cout << "loss " << result.loss << ", " << result.samples << " samples, model "
            << saved.path().string() << std::endl;
  return success;
}

} // namespace troupe::cli
