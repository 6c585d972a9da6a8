#pragma once

#include <cstddef>
#include <cstdint>
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

  /// Writes `line` and a newline, or nothing: a run is worth more than the record of it. A line
  /// that cannot be written, as on a full disk, is missing, and those after it are written when
  /// they can be, unless the file is a pipe or a device.
  void write(std::string_view line);

  /// Empty while every line was written; else one line that names the file.
  std::string error() const;

  /// Removes the file again where this object made it; for a run that never began.
  void remove() noexcept;

 private:
  void check_open() const;
  void cut_incomplete_line();
  void lose(std::size_t written);

  std::filesystem::path path_;
  int fd_ = -1;
  bool made_ = true;
  bool goes_on_ = true;
  std::uint64_t lost_ = 0; // lines
  std::string why_;        // the first was lost
};

} // namespace troupe::cli
