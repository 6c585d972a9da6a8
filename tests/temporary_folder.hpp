#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace troupe::cli_test {

/// A new folder that goes away with the object.
class temporary_folder {
 public:
  temporary_folder();
  ~temporary_folder();
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// Writes a file and gives its path.
  std::filesystem::path write(const std::string& name, std::string_view text) const;

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& file);

/// A small job on generated digits; `more` is put at the end.
std::string digits_job(std::string_view more = {});

} // namespace troupe::cli_test
