#pragma once

#include <functional>
#include <memory>

#include "troupe/data_set.hpp"
#include "troupe/job.hpp"
#include "troupe/model.hpp"

namespace troupe {

/// The model and the data of a job. Every process of a cluster makes both for itself, so both
/// functions must be deterministic: all processes must get equal models and equal data. Both may be
/// called from several threads at once. Replace a function to bring a model or data of your own.
struct workload {
  std::function<std::unique_ptr<tensor::model>()> make_model;
  std::function<std::shared_ptr<const tensor::data_split>()> load_data;
};

/// The workload that a job describes. Loads no data yet.
workload make_workload(const job& j);

/// Makes the checks that need the model and the data: at most as many shards as parameters, a batch
/// no larger than the training data, model inputs and outputs that fit the data, and so on. Throws
/// job_error.
void check_workload(const job& j, const tensor::model& model, const tensor::data_split& data);

} // namespace troupe
