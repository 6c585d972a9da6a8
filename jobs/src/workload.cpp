#include "troupe/workload.hpp"

#include <cmath>
#include <mutex>

#include <nlohmann/json.hpp>

#include "troupe/job.hpp"
#include "troupe/jobs/job_data.hpp"
#include "troupe/tensor/csv.hpp"
#include "troupe/tensor/digits.hpp"
#include "troupe/tensor/idx.hpp"
#include "troupe/tensor/integer_sum.hpp"
#include "troupe/tensor/integers.hpp"
#include "troupe/tensor/sequential.hpp"

namespace troupe {

namespace {

constexpr std::size_t max_parameters = std::size_t{1} << 31;

bool brings_own_model(const job& j) {
  return j.model.type == model_spec::kind::sequential && j.model.layers.empty();
}

bool brings_own_data(const job& j) {
  return j.data.type == data_spec::format::digits && j.data.samples == 0;
}

// The loss says what the target column means.
tensor::csv_target csv_target(tensor::loss loss) {
  switch (loss) {
  case tensor::loss::softmax_cross_entropy:
    return tensor::csv_target::classes;
  case tensor::loss::mean_squared_error:
    return tensor::csv_target::regression;
  case tensor::loss::binary_cross_entropy:
    break;
  }
  return tensor::csv_target::automatic;
}

// Loaded at the first call, then shared by all models and workers of the process.
class shared_data {
 public:
  explicit shared_data(job j) : job_(std::move(j)) {}

  std::shared_ptr<const tensor::data_split> get() {
    const std::lock_guard lock(mutex_);
    if (!data_) data_ = std::make_shared<const tensor::data_split>(split(load_samples(job_)));
    return data_;
  }

 private:
  tensor::data_split split(tensor::data_set all) const {
    const auto samples = static_cast<double>(all.size());
    if (samples > 0 && std::llround(job_.data.share_held_out() * samples) >= std::llround(samples))
      throw job_error("data.held_out",
                      "expected a share that leaves samples to train on, found one that holds out "
                      "all " +
                          std::to_string(all.size()));
    return tensor::split(std::move(all), job_.data.share_held_out(), job_.seed);
  }

  const job job_;
  std::mutex mutex_;
  std::shared_ptr<const tensor::data_split> data_;
};

std::string count(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

// Whether the outputs of a described model are what its loss needs for this data.
void check_outputs(const job& j, const tensor::model& model, const tensor::data_set& data) {
  const std::size_t outputs = model.output_count();
  const bool labels = data.class_count() > 0;
  switch (j.model.loss) {
  case tensor::loss::softmax_cross_entropy:
    if (!labels)
      throw job_error("model.loss", "expected data with class labels for softmax_cross_entropy, "
                                    "found targets; mean_squared_error is for those");
    if (outputs < data.class_count())
      throw job_error("model.layers", "expected a last dense layer of at least " +
                                          count(data.class_count(), "unit") +
                                          ", one for each class of the data, found " +
                                          std::to_string(outputs));
    return;
  case tensor::loss::binary_cross_entropy:
    if (labels && (data.class_count() > 2 || outputs != 1))
      throw job_error("model.loss",
                      "expected two classes and one output for binary_cross_entropy, found " +
                          std::to_string(data.class_count()) + " classes and " +
                          count(outputs, "output"));
    for (const float target : data.stored().targets)
      if (!(target >= 0 && target <= 1))
        throw job_error("model.loss",
                        "expected targets from 0 to 1 for binary_cross_entropy, found " +
                            std::to_string(target));
    break;
  case tensor::loss::mean_squared_error:
    if (labels)
      throw job_error("model.loss", "expected data with targets for mean_squared_error, found "
                                    "class labels; softmax_cross_entropy is for those");
    break;
  }
  if (!labels && outputs != data.target_count())
    throw job_error("model.layers",
                    "expected a last dense layer of " + count(data.target_count(), "unit") +
                        ", one for each target of the data, found " + std::to_string(outputs));
}

} // namespace

tensor::data_set load_samples(const job& j) {
  if (brings_own_data(j))
    throw job_error("data.format",
                    "expected idx, csv, digits or integers, found \"own\": data that "
                    "only the program which started the job can bring");
  switch (j.data.type) {
  case data_spec::format::idx:
    return tensor::load_idx(j.data.images, j.data.labels);
  case data_spec::format::csv:
    return tensor::load_csv(j.data.file, j.data.target, csv_target(j.model.loss));
  case data_spec::format::integers:
    return tensor::make_integers(j.data.samples);
  case data_spec::format::digits:
    break;
  }
  return tensor::make_digits(j.data.samples, j.seed);
}

workload make_workload(const job& j) {
  auto data = std::make_shared<shared_data>(j);
  workload w;
  w.load_data = [data] { return data->get(); };
  w.make_model = [data, model = j.model, precision = j.train.precision, own = brings_own_model(j)] {
    if (own)
      throw job_error("model.kind",
                      "expected sequential or integer_sum, found \"own\": a model that "
                      "only the program which started the job can bring");
    if (model.type == model_spec::kind::integer_sum)
      return tensor::make_integer_sum(model.parameters);
    if (!tensor::supports(precision))
      throw job_error("train.precision",
                      "expected \"fp32\" where the processor has neither AVX512-BF16 nor AMX-BF16 "
                      "or Troupe was built without oneDNN, found \"bf16\"");
    return tensor::make_sequential(data->get()->train.feature_count(), model.layers, model.loss,
                                   precision);
  };
  return w;
}

void check_workload(const job& j, const tensor::model& model, const tensor::data_split& data) {
  job_from_json(to_json(j)); // a job made by a program has passed no check yet
  const std::size_t parameters = model.parameter_layout().size();
  if (parameters == 0 || parameters > max_parameters)
    throw job_error("model", "expected 1 to " + std::to_string(max_parameters) +
                                 " parameters, found " + std::to_string(parameters));
  if (j.cluster.shards > parameters)
    throw job_error("cluster.shards", "expected at most one shard for each of the " +
                                          count(parameters, "parameter") + ", found " +
                                          std::to_string(j.cluster.shards));
  if (j.train.batch_size > data.train.size())
    throw job_error("train.batch_size", "expected at most the " +
                                            count(data.train.size(), "training sample") +
                                            ", found " + std::to_string(j.train.batch_size));
  if (model.input_count() != data.train.feature_count())
    throw job_error("model", "expected a model of " + count(data.train.feature_count(), "input") +
                                 ", one for each feature of the data, found " +
                                 std::to_string(model.input_count()));
  if (j.model.type == model_spec::kind::sequential && !brings_own_model(j))
    for (const auto* part : {&data.train, &data.held_out})
      if (part->size() > 0) check_outputs(j, model, *part);
}

} // namespace troupe
