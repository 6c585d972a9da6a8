#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::tensor {

/// A regular file opened for reading. Every failure throws `error` in the name of the public
/// function that asked.
class input_file {
 public:
  input_file(std::string_view function, const std::filesystem::path& path);
  ~input_file();
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;

  /// Bytes, as the file system says.
  std::size_t size() const noexcept { return size_; }

  /// Fills `out` with what comes next; returns less than out.size() only at the end of the file.
  std::size_t read(std::span<char> out);

  /// All bytes from here to the end.
  std::vector<char> read_rest();

 private:
  std::string function_;
  std::string path_;
  std::size_t size_ = 0;
  std::size_t position_ = 0;
  int descriptor_ = -1;
};

} // namespace troupe::tensor
