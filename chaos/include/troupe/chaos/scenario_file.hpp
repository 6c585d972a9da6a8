#pragma once

#include <filesystem>
#include <string>

#include "troupe/chaos/scenario.hpp"

namespace troupe::chaos {

/// Reads a scenario file (docs/reference/scenario.md). Strict: an unknown key, a wrong type, an
/// impossible value and a key that has no meaning for its kind of fault each throw
/// job_error with one line "FILE:LINE: key: expected ..., found ...". A scenario without
/// `name` gets the file's own.
scenario load_scenario(const std::filesystem::path& file);

/// The same for a text; `where` stands for the file in errors.
scenario scenario_from_toml(const std::string& text, const std::string& where);

/// The text of a scenario file, every default filled in.
/// SCENARIO-1  `scenario_from_toml(to_toml(s), "")` gives `s` back, times to the nanosecond.
std::string to_toml(const scenario& s);

} // namespace troupe::chaos
