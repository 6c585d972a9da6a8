#pragma once

#include <cstddef>

namespace troupe::cli {

/// Whether the standard output is a terminal that can rewrite a line.
bool output_is_terminal();

/// Columns of the terminal at the standard output; 80 where that is not known.
std::size_t terminal_width();

} // namespace troupe::cli
