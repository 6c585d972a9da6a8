#pragma once

#include <string_view>
#include <vector>

namespace troupe::jobs {

/// Every key of a job, and every table, as a dotted path: "name", "train", "train.epochs", ...
const std::vector<std::string_view>& job_keys();

} // namespace troupe::jobs
