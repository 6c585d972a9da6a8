#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace troupe::cli {

/// A file of lines, each handed to the system as soon as it is written. Not for two threads at
/// once.
class event_file {
 public:
  enum class mode { make, append };

  /// Makes the file. One that exists is refused, unless it is a pipe or a device; or, to append, is
  /// taken, and an incomplete last line, of a writer that was killed, is cut off. Throws
  /// file_error.
  explicit event_file(const std::filesystem::path& path, mode m = mode::make);
  ~event_file();
  event_file(const event_file&) = delete;
  event_file& operator=(const event_file&) = delete;

  /// Writes `line` and a newline. After the first failure nothing more is written and error() says
  /// why: a run is worth more than the record of it.
  void write(std::string_view line);

  /// Empty while every line was written; else one line that names the file.
  const std::string& error() const noexcept { return error_; }

  /// Removes the file again where this object made it; for a run that never began.
  void remove() noexcept;

 private:
  void check_open() const;
  void cut_incomplete_line();

  std::filesystem::path path_;
  int fd_ = -1;
  bool made_ = true;
  std::string error_;
};

} // namespace troupe::cli
