#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "troupe/job.hpp"
#include "troupe/model.hpp"
#include "troupe/tensor/model_file.hpp"

namespace troupe::cli {

/// The model that a run left, ready to be used. Needs neither the job file nor the training data.
class saved_model {
 public:
  /// `run` is a run folder or a model file. Overrides change the job that the file holds, not the
  /// parameters. Throws file_error, tensor::error or job_error.
  explicit saved_model(const std::filesystem::path& run,
                       const std::vector<std::string>& overrides = {});

  const std::filesystem::path& path() const noexcept { return path_; }
  const troupe::job& job() const noexcept { return job_; }
  const tensor::model_file& file() const noexcept { return file_; }
  tensor::model& model() const noexcept { return *model_; }

  /// The same samples on the scale that the model was trained on. Throws file_error when they have
  /// another number of features than the model has inputs.
  tensor::data_set prepare(const tensor::data_set& raw, const std::string& where) const;

  /// rows x output_count of the prepared samples.
  tensor::aligned_vector<float> predict(const tensor::data_set& prepared) const;

 private:
  std::filesystem::path path_;
  tensor::model_file file_;
  troupe::job job_;
  std::unique_ptr<tensor::model> model_;
};

} // namespace troupe::cli
