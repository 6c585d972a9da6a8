#include "troupe/tensor/output_file.hpp"

#include "troupe/values/error.hpp"

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::tensor {

namespace {

/// Removes its name unless told that the file has arrived under another.
class temporary_file {
 public:
  temporary_file(std::string_view function, const std::filesystem::path& target)
      : function_(function), target_(target.string()) {
    // Two savers of one path must not write into one temporary.
    static std::atomic<unsigned> count{0};
    name_ = target_ + ".partial-" + std::to_string(::getpid()) + "-" +
            std::to_string(count.fetch_add(1, std::memory_order_relaxed));
    descriptor_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail("cannot create a file in this folder");
    exists_ = true;
  }
  ~temporary_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (exists_) ::unlink(name_.c_str());
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;

  void write(std::span<const char> bytes) {
    while (!bytes.empty()) {
      const auto n = ::write(descriptor_, bytes.data(), bytes.size());
      if (n < 0) {
        if (errno == EINTR) continue;
        fail("cannot write");
      }
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }

  void become_target() {
    if (::fsync(descriptor_) != 0) fail("cannot flush to disk");
    const int descriptor = std::exchange(descriptor_, -1);
    if (::close(descriptor) != 0) fail("cannot close");
    if (::rename(name_.c_str(), target_.c_str()) != 0) fail("cannot rename the finished file");
    exists_ = false;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    const auto code = errno;
    throw error(function_, std::string(what) + ": " + std::generic_category().message(code),
                target_);
  }

  std::string function_;
  std::string target_;
  std::string name_;
  int descriptor_ = -1;
  bool exists_ = false;
};

std::filesystem::path folder_of(const std::filesystem::path& path) {
  auto parent = path.parent_path();
  return parent.empty() ? "." : parent;
}

class folder {
 public:
  /// `target`: whom it is opened for, named when something fails.
  folder(std::string_view function, const std::filesystem::path& path,
         const std::filesystem::path& target)
      : function_(function), target_(target.string()) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0) fail("cannot open its folder");
  }
  ~folder() { ::close(descriptor_); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  /// Makes a rename survive a power failure. File systems that cannot flush a folder say EINVAL;
  /// the file is then as safe as they make it.
  void flush() {
    if (::fsync(descriptor_) != 0 && errno != EINVAL)
      fail("written, but its folder could not be flushed to disk");
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw error(function_, std::string(what) + ": " + std::generic_category().message(errno),
                target_);
  }

  std::string function_;
  std::string target_;
  int descriptor_ = -1;
};

} // namespace

void replace_file(std::string_view function, const std::filesystem::path& path,
                  std::initializer_list<std::span<const char>> pieces) {
  folder parent(function, folder_of(path), path);
  temporary_file file(function, path);
  for (auto piece : pieces) file.write(piece);
  file.become_target();
  parent.flush();
}

void make_folder(std::string_view function, const std::filesystem::path& path) {
  // "a/" is "a": without a name of its own there would be no parent to flush.
  const auto target = path.has_filename() ? path : path.parent_path();
  std::error_code unknown;
  if (target.empty() || std::filesystem::is_directory(target, unknown)) return;
  if (const auto parent = folder_of(target); parent != target) make_folder(function, parent);
  // Made by somebody else in between: then it is there.
  if (::mkdir(target.c_str(), 0755) != 0 && errno != EEXIST)
    throw error(function, "cannot create this folder: " + std::generic_category().message(errno),
                target.string());
  if (!std::filesystem::is_directory(target, unknown))
    throw error(function, "expected a folder, found something else", target.string());
  folder(function, folder_of(target), target).flush();
}

void flush_folder(std::string_view function, const std::filesystem::path& path) {
  folder(function, path, path).flush();
}

} // namespace troupe::tensor
