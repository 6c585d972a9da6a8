#pragma once

#include "troupe/data_set.hpp"
#include "troupe/job.hpp"

namespace troupe {

/// All samples of a job as they come from their files or generator: neither shuffled, split nor
/// normalized. `tensor::split(load_samples(j), j.data.held_out, j.seed)` is what a workload trains
/// on. Throws job_error for data that only the program itself can bring, tensor::error for a file
/// that cannot be read.
tensor::data_set load_samples(const job& j);

} // namespace troupe
