#pragma once

#include <functional>
#include <memory>

#include "troupe/data_set.hpp"
#include "troupe/job.hpp"
#include "troupe/model.hpp"

namespace troupe {

/// The model and the data of a job, as every process of a cluster makes them for itself. Both
/// functions must be deterministic: each process calls them, and all must get the same. They may be
/// called from several threads at once. Replace one to bring a model or data of your own.
struct workload {
  std::function<std::unique_ptr<tensor::model>()> make_model;
  std::function<std::shared_ptr<const tensor::data_split>()> load_data;
};

/// The workload that a job describes. Loads nothing yet.
workload make_workload(const job& j);

/// Checks what can only be checked with model and data in hand: as many shards as parameters at
/// most, a batch no larger than the training data, model inputs and outputs that fit the data, ...
/// Throws job_error.
void check_workload(const job& j, const tensor::model& model, const tensor::data_split& data);

} // namespace troupe
