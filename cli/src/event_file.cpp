#include "troupe/cli/event_file.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "troupe/cli/failure.hpp"

namespace troupe::cli {

event_file::event_file(const std::filesystem::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0 && errno == EEXIST) {
    made_ = false;
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
      throw file_error(path.string() + ": expected a new file for the events, found one that is "
                                       "there; remove it or give another --events");
    fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  }
  if (fd_ < 0)
    throw file_error(path.string() + ": cannot write the events: " + std::strerror(errno));
}

event_file::~event_file() { ::close(fd_); }

void event_file::write(std::string_view line) {
  if (!error_.empty()) return;
  std::string text(line);
  text += '\n';
  std::size_t written = 0;
  while (written < text.size()) {
    const auto n = ::write(fd_, text.data() + written, text.size() - written);
    if (n > 0) {
      written += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      error_ = path_.string() + ": cannot write the events: " + std::strerror(errno);
      return;
    }
  }
}

void event_file::remove() noexcept {
  if (made_) ::unlink(path_.c_str());
}

} // namespace troupe::cli
