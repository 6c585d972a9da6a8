#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/job.hpp"

namespace troupe::actors {

/// Reads a job file: TOML, or JSON where the name ends in ".json".
/// docs/reference/job_file.md is the format.
///
/// Each override is "KEY=VALUE" with a dotted key ("train.optimizer.momentum=0.5"); the value is
/// read as a TOML value and, where it is none, taken as text ("train.consistency=bsp"). Later ones
/// win. Relative data paths become absolute: those of the file relative to the file's folder, those
/// of an override relative to the current folder. A file without `name` gets the file's own name.
///
/// Throws job_error with one line "FILE:LINE: key: expected ..., found ..."; the line number is
/// left out where it is not known, and an override is named instead of the file where it is at
/// fault.
job load_job(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// The same for the JSON text of a job, as model files hold it. `where` names it in errors.
job load_job_text(std::string_view json_text, const std::string& where,
                  const std::vector<std::string>& overrides = {});

} // namespace troupe::actors
