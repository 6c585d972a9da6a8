#pragma once

#include <stdexcept>

namespace troupe::history {

/// A history file that cannot be written or read. One line that names the file.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

} // namespace troupe::history
