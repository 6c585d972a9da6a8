#pragma once

#include <filesystem>
#include <span>
#include <stdexcept>
#include <vector>

#include "troupe/recorder.hpp"

namespace troupe::history {

/// A history file that cannot be written or read. One line that names the file.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reads what file_recorders and write_history wrote: files, or folders in which every file whose
/// name ends in ".part" is one. The processes come in the order of the paths, within a folder by
/// name.
///
/// HISTORY-1  What is returned is what was recorded. A file in which a record or a header is
///            damaged, or something is missing from what it says it holds, is refused with an
///            `error` that names it and the offset.
/// HISTORY-2  The part of a process that was killed is no damaged file: it ends with its last
///            record. Killed before it wrote anything it left a ".part" of no bytes, or of zeros:
///            a process without events, by the name of its file.
std::vector<process_history> read_history(std::span<const std::filesystem::path> paths);

/// Writes all of it into one file, through a temporary name: it is there whole or not at all.
/// Throws `error`.
void write_history(const std::filesystem::path& file, std::span<const process_history> processes);

/// The parts of a folder, in the order in which read_history takes them. Throws `error` for a
/// folder that cannot be read.
std::vector<std::filesystem::path> parts_in(const std::filesystem::path& folder);

} // namespace troupe::history
