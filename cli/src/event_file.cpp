#include "troupe/cli/event_file.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "troupe/cli/failure.hpp"

namespace troupe::cli {

event_file::event_file(const std::filesystem::path& path, mode m) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0 && errno == EEXIST) {
    made_ = false;
    struct stat status {};
    const bool known = ::stat(path.c_str(), &status) == 0;
    if (known && S_ISREG(status.st_mode) && m == mode::append) {
      fd_ = ::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
      if (fd_ >= 0) cut_incomplete_line();
      check_open();
      return;
    }
    if (known && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
      throw file_error(path.string() + ": expected a new file for the events, found one that is "
                                       "there; remove it or give another --events");
    fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  }
  check_open();
}

void event_file::check_open() const {
  if (fd_ < 0)
    throw file_error(path_.string() + ": cannot write the events: " + std::strerror(errno));
}

// Readers take the file line by line: half a line would spoil the one that is written after it. A
// file without any line is none that this class wrote, and keeps what it holds.
void event_file::cut_incomplete_line() {
  const off_t size = ::lseek(fd_, 0, SEEK_END);
  off_t end = size;
  char last = 0;
  while (end > 0 && ::pread(fd_, &last, 1, end - 1) == 1 && last != '\n') --end;
  if (end == size || (last == '\n' && ::ftruncate(fd_, end) == 0)) return;
  if (last != '\n' && end == 0 && ::write(fd_, "\n", 1) == 1) return;
  const int error = errno;
  ::close(std::exchange(fd_, -1));
  errno = error;
}

event_file::~event_file() { ::close(fd_); }

void event_file::write(std::string_view line) {
  if (!goes_on_) return;
  std::string text(line);
  text += '\n';
  std::size_t written = 0;
  while (written < text.size()) {
    const auto n = ::write(fd_, text.data() + written, text.size() - written);
    if (n > 0) {
      written += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      lose(written);
      return;
    }
  }
}

// A later line must not follow half of this one: where that cannot be taken back, none follows.
void event_file::lose(std::size_t written) {
  if (lost_++ == 0) why_ = std::strerror(errno);
  struct stat status {};
  goes_on_ = ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode) &&
             (written == 0 || ::ftruncate(fd_, status.st_size - static_cast<off_t>(written)) == 0);
}

std::string event_file::error() const {
  if (lost_ == 0) return {};
  auto text = path_.string() + ": cannot write the events: " + why_;
  if (goes_on_)
    text += " (" + std::to_string(lost_) + (lost_ == 1 ? " line is" : " lines are") + " missing)";
  return text;
}

void event_file::remove() noexcept {
  if (made_) ::unlink(path_.c_str());
}

} // namespace troupe::cli
