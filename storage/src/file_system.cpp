#include "troupe/storage/file_system.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "troupe/tensor/output_file.hpp"
#include "troupe/values/error.hpp"

namespace troupe::storage {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view function = "storage::file_system";

[[noreturn]] void fail(const char* what, int code, const fs::path& path) {
  throw tensor::error(function, std::string(what) + ": " + std::generic_category().message(code),
                      path.string());
}

[[noreturn]] void fail(const char* what, const std::error_code& code, const fs::path& path) {
  throw tensor::error(function, std::string(what) + ": " + code.message(), path.string());
}

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const { return fd_; }
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

class machine_files : public file_system {
 public:
  status look(const fs::path& path) override {
    std::error_code code;
    const auto found = fs::status(path, code);
    if (found.type() == fs::file_type::not_found) return {};
    if (code) fail("cannot look at it", code, path);
    if (found.type() == fs::file_type::directory) return {status::kind::folder, 0};
    if (found.type() != fs::file_type::regular) return {status::kind::other, 0};
    const auto size = fs::file_size(path, code);
    if (code) fail("cannot look at it", code, path);
    return {status::kind::file, size};
  }

  std::vector<std::string> list(const fs::path& folder) override {
    std::vector<std::string> names;
    std::error_code code;
    for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
      names.push_back(it->path().filename().string());
    if (code && code != std::errc::no_such_file_or_directory)
      fail("cannot read this folder", code, folder);
    return names;
  }

  std::size_t read(const fs::path& file, std::span<std::byte> bytes) override {
    std::ifstream in(file, std::ios::binary);
    if (!in) fail("cannot open", errno, file);
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return static_cast<std::size_t>(in.gcount());
  }

  void write(const fs::path& file, std::span<const std::byte> bytes) override {
    descriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (out.get() < 0) fail("cannot create a file in this folder", errno, file);
    while (!bytes.empty()) {
      const auto n = ::write(out.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("cannot write", errno, file);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    if (out.close() != 0) fail("cannot close", errno, file);
  }

  void sync(const fs::path& file) override {
    const descriptor d(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (d.get() < 0 || ::fsync(d.get()) != 0) fail("cannot flush to disk", errno, file);
  }

  void rename(const fs::path& from, const fs::path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) fail("cannot rename the finished file", errno, to);
  }

  void sync_folder(const fs::path& folder) override { tensor::flush_folder(function, folder); }
  void make_folder(const fs::path& folder) override { tensor::make_folder(function, folder); }

  bool remove(const fs::path& file) override {
    std::error_code code;
    const bool there = fs::remove(file, code);
    if (code) fail("cannot remove", code, file);
    return there;
  }

  void remove_all(const fs::path& path) override {
    std::error_code code;
    fs::remove_all(path, code);
    if (code) fail("cannot remove", code, path);
  }
};

} // namespace

std::shared_ptr<file_system> real_files() { return std::make_shared<machine_files>(); }

void replace_file(file_system& files, const fs::path& path, std::span<const std::byte> bytes) {
  const auto temporary = fs::path(path.string() + ".partial");
  try {
    files.write(temporary, bytes);
    files.sync(temporary);
    files.rename(temporary, path);
  } catch (const tensor::error& e) {
    try {
      files.remove(temporary);
    } catch (const tensor::error&) { // it lies there until its folder goes
    }
    throw tensor::error(function, e.reason(), path.string());
  }
  files.sync_folder(path.parent_path());
}

} // namespace troupe::storage
