#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "troupe/recorder.hpp"

namespace troupe::cli {

/// Records what this process does into a new file "ROLE-PID-N.part" of `folder`, which is made
/// where it is missing. When recording stops (the disk is full) that is told, and the process goes
/// on. Throws history::error or file_error.
std::shared_ptr<history::recorder> record_into(const std::filesystem::path& folder,
                                               const std::string& role);

/// The history of all processes of a `troupe train`: each writes a part of its own into `parts()`,
/// and when they have ended these become one file.
class run_recording {
 public:
  /// `file` and its parts' folder must not be there: file_error. Makes the folder.
  explicit run_recording(std::filesystem::path file);

  const std::filesystem::path& parts() const noexcept { return parts_; }

  /// Puts the parts together and removes them. What cannot be is told, and the parts stay. False
  /// then.
  bool finish() noexcept;

 private:
  std::filesystem::path file_;
  std::filesystem::path parts_;
};

} // namespace troupe::cli
