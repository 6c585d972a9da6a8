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

/// The files that actors read and write, so that a test can lose, tear and damage them. The
/// operations are those of a disk with a power switch: what was written survives it once it was
/// synced, and a name once its folder was.
///
/// Every function may wait for the disk and throws tensor::error with the path and the reason.
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
  /// The names in a folder, in any order; none when it does not exist.
  virtual std::vector<std::string> list(const std::filesystem::path& folder) = 0;
  /// The file's first bytes.size() bytes. Gives how many there were.
  virtual std::size_t read(const std::filesystem::path& file, std::span<std::byte> bytes) = 0;
  /// A file of this content, in the place of one that is there.
  virtual void write(const std::filesystem::path& file, std::span<const std::byte> bytes) = 0;
  /// What was written into it survives from here on.
  virtual void sync(const std::filesystem::path& file) = 0;
  /// In the place of a file that is there.
  virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  /// Its names, and that others are gone, survive from here on.
  virtual void sync_folder(const std::filesystem::path& folder) = 0;
  /// With its parents, which survive; nothing when it is there.
  virtual void make_folder(const std::filesystem::path& folder) = 0;
  /// True if there was one.
  virtual bool remove(const std::filesystem::path& file) = 0;
  virtual void remove_all(const std::filesystem::path& path) = 0;
};

/// The machine's.
std::shared_ptr<file_system> real_files();

/// Puts a file of this content in the place of `path`: written under a temporary name, synced,
/// renamed, and its folder synced. When it throws, the temporary is removed, and `path` is as it
/// was or (where the folder could not be synced) new.
void replace_file(file_system& files, const std::filesystem::path& path,
                  std::span<const std::byte> bytes);

} // namespace troupe::storage
