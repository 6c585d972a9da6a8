#pragma once

#include <stdexcept>
#include <string>

namespace troupe::actors {

/// A job that cannot be run as it is written. `what()` is one line: the key, what was expected and
/// what was found; once a file was read, also the file and its line.
class job_error : public std::runtime_error {
 public:
  explicit job_error(const std::string& line) : std::runtime_error(line), reason_(line) {}

  /// `key` is a dotted path into the job ("train.epochs", "model.layers[1]").
  job_error(std::string key, const std::string& reason)
      : std::runtime_error(key.empty() ? reason : key + ": " + reason), key_(std::move(key)),
        reason_(reason) {}

  const std::string& key() const noexcept { return key_; }       ///< empty: the job as a whole
  const std::string& reason() const noexcept { return reason_; } ///< the line without the key

 private:
  std::string key_;
  std::string reason_;
};

} // namespace troupe::actors
