#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

/// The files of actors as an interface, so that a test can lose, tear and damage them. The
/// operations are those of a disk with a power switch: written bytes survive a power failure once
/// they were synced, and a name once its folder was synced.
///
/// Every function may wait for the disk. Throws tensor::error with the path and the reason.
class file_system {
 public:
  struct status {
    enum class kind { missing, file, folder, other };
    kind what = kind::missing;
    std::uint64_t size = 0; ///< of a file
  };

  virtual ~file_system() = default;

  virtual status look(const std::filesystem::path& path) = 0;
  bool exists(const std::filesystem::path& path) {
    return look(path).what != status::kind::missing;
  }
  /// The names in a folder, in any order; empty if it does not exist.
  virtual std::vector<std::string> list(const std::filesystem::path& folder) = 0;
  /// Reads the file's first bytes.size() bytes. Returns the number of bytes read.
  virtual std::size_t read(const std::filesystem::path& file, std::span<std::byte> bytes) = 0;
  /// Writes a file of this content; replaces an existing file.
  virtual void write(const std::filesystem::path& file, std::span<const std::byte> bytes) = 0;
  /// Syncs the file: the bytes written so far survive a power failure.
  virtual void sync(const std::filesystem::path& file) = 0;
  /// Renames a file; replaces an existing file of the new name.
  virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  /// Syncs the folder: its present names, and the removal of others, survive a power failure.
  virtual void sync_folder(const std::filesystem::path& folder) = 0;
  /// Makes a folder and its parents, which survive a power failure. Does nothing if it exists.
  virtual void make_folder(const std::filesystem::path& folder) = 0;
  /// Removes a file. Returns true if it existed.
  virtual bool remove(const std::filesystem::path& file) = 0;
  virtual void remove_all(const std::filesystem::path& path) = 0;
};

/// The file system of the machine.
std::shared_ptr<file_system> real_files();

/// Puts a file of this content in the place of `path`: written under a temporary name, synced,
/// renamed, and its folder synced. When it throws, the temporary is removed, and `path` is as it
/// was or (where the folder could not be synced) new.
void replace_file(file_system& files, const std::filesystem::path& path,
                  std::span<const std::byte> bytes);

} // namespace troupe::storage
