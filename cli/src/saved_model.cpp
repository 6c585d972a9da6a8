#include "troupe/cli/saved_model.hpp"

#include "troupe/cli/failure.hpp"
#include "troupe/job.hpp"
#include "troupe/tensor/integer_sum.hpp"
#include "troupe/tensor/sequential.hpp"

namespace troupe::cli {

namespace {

constexpr std::size_t chunk_rows = 1024;

std::filesystem::path model_path(const std::filesystem::path& run) {
  if (!std::filesystem::exists(run))
    throw file_error(run.string() + ": expected a run folder, found nothing");
  if (!std::filesystem::is_directory(run)) return run;
  const auto path = run / "model.troupe";
  if (!std::filesystem::exists(path))
    throw file_error(path.string() + ": no model here; the run has not ended, or failed");
  return path;
}

std::unique_ptr<tensor::model> make_model(const std::filesystem::path& path, const model_spec& spec,
                                          const tensor::layout& layout) {
  std::unique_ptr<tensor::model> model;
  if (spec.type == model_spec::kind::integer_sum) {
    model = tensor::make_integer_sum(spec.parameters);
  } else if (spec.layers.empty()) {
    throw file_error(path.string() + ": this model was made by a program with a model of its own; "
                                     "only that program can use it");
  } else {
    // The first weight is [inputs x units].
    const auto& entries = layout.entries();
    if (!entries.empty() && entries.front().shape.size() == 2)
      model = tensor::make_sequential(entries.front().shape[0], spec.layers, spec.loss);
  }
  if (!model || !(model->parameter_layout() == layout))
    throw file_error(path.string() + ": expected the parameters of the job's model, found others");
  return model;
}

} // namespace

saved_model::saved_model(const std::filesystem::path& run,
                         const std::vector<std::string>& overrides)
    : path_(model_path(run)), file_(tensor::load_model(path_)),
      job_(load_job_text(file_.job, path_.string(), overrides)),
      model_(make_model(path_, job_.model, file_.parameters_layout)) {}

tensor::data_set saved_model::prepare(const tensor::data_set& raw, const std::string& where) const {
  if (raw.feature_count() != model_->input_count())
    throw file_error(where + ": expected " + std::to_string(model_->input_count()) +
                     " features in each sample, as the model was trained on, found " +
                     std::to_string(raw.feature_count()));
  return tensor::normalized(raw, file_.norm);
}

tensor::aligned_vector<float> saved_model::predict(const tensor::data_set& prepared) const {
  const std::size_t outputs = model_->output_count();
  tensor::aligned_vector<float> result(prepared.size() * outputs);
  for (std::size_t first = 0; first < prepared.size(); first += chunk_rows) {
    const std::size_t rows = std::min(chunk_rows, prepared.size() - first);
    model_->predict(file_.parameters, prepared.view(first, rows),
                    std::span(result).subspan(first * outputs, rows * outputs));
  }
  return result;
}

} // namespace troupe::cli
