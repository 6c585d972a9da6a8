#pragma once

#include <filesystem>
#include <span>
#include <stdexcept>
#include <vector>

#include "troupe/recorder.hpp"

namespace troupe::history {

/// A history file cannot be written or read. The text is one line that names the file.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reads files that a file_recorder or write_history wrote. A path is such a file, or a folder in
/// which every file with a name that ends in ".part" is such a file. The result holds one entry for
/// each process, in the order of the paths, within a folder by name.
///
/// HISTORY-1  The result is exactly what was recorded. If a record or a header is damaged, or the
///            file has less than its header says, read_history throws an `error` that names the
///            file and the offset.
/// HISTORY-2  The part of a killed process is not damaged: it ends with the process's last record.
///            If the process was killed before it wrote anything, its ".part" is empty or holds
///            zeros. The result then has a process without events, with the name of the file.
std::vector<process_history> read_history(std::span<const std::filesystem::path> paths);

/// Writes all processes into one file. The file is written under a temporary name and then renamed,
/// so `file` is complete or does not exist. Throws `error`.
void write_history(const std::filesystem::path& file, std::span<const process_history> processes);

/// The ".part" files of a folder, in the order in which read_history reads them. Throws `error` if
/// the folder cannot be read.
std::vector<std::filesystem::path> parts_in(const std::filesystem::path& folder);

} // namespace troupe::history
