#include "input_file.hpp"

#include "troupe/values/error.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::tensor {

namespace {

std::string reason(int code) { return std::generic_category().message(code); }

} // namespace

input_file::input_file(std::string_view function, const std::filesystem::path& path)
    : function_(function), path_(path.string()) {
  // O_NONBLOCK: opening a pipe nobody writes to would otherwise wait for ever.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) throw error(function_, "cannot open: " + reason(errno), path_);
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw error(function_, "expected a regular file, found something else", path_);
  }
  size_ = static_cast<std::size_t>(status.st_size);
}

input_file::~input_file() { ::close(descriptor_); }

std::size_t input_file::read(std::span<char> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto n = ::read(descriptor_, out.data() + done, out.size() - done);
    if (n == 0) break;
    if (n < 0) {
      if (errno == EINTR) continue;
      throw error(function_, "cannot read: " + reason(errno),
                  path_ + ", offset " + std::to_string(position_ + done));
    }
    done += static_cast<std::size_t>(n);
  }
  position_ += done;
  return done;
}

std::vector<char> input_file::read_rest() {
  std::vector<char> bytes(size_ - std::min(position_, size_));
  bytes.resize(read(bytes));
  return bytes;
}

} // namespace troupe::tensor
