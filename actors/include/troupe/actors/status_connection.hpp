#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "troupe/runtime.hpp"

namespace troupe::actors {

/// One connection to a scheduler, for many questions. One thread at a time.
class status_connection {
 public:
  /// Throws std::runtime_error with one line if no scheduler answers there within `timeout`.
  status_connection(const endpoint& scheduler, std::chrono::milliseconds timeout);
  ~status_connection();
  status_connection(const status_connection&) = delete;
  status_connection& operator=(const status_connection&) = delete;

  /// The cluster as JSON text (docs/reference/status.md). Throws std::runtime_error with one line;
  /// make a new connection then.
  std::string ask(std::chrono::milliseconds timeout);

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

} // namespace troupe::actors
