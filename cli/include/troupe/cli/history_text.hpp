#pragma once

#include <string>

#include "troupe/checker.hpp"

namespace troupe::cli {

/// What was proved, as lines: the counts of each rule, what is missing, and the first violation
/// with the events that led to it, or all that are kept.
std::string report_text(const history::report& r, bool all);

/// The same as one JSON object (docs/reference/history.md), without a newline.
std::string report_json(const history::report& r);

} // namespace troupe::cli
