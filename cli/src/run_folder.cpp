#include "troupe/cli/run_folder.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "troupe/cli/failure.hpp"

namespace troupe::cli {

namespace fs = std::filesystem;

namespace {

std::string reason(int error) { return std::strerror(error); }

void make_parents(const fs::path& folder) {
  if (folder.empty()) return;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw file_error(folder.string() + ": cannot make the folder: " + error.message());
}

// The N of "NAME-N"; 0 for any other text.
unsigned long run_number(const std::string& file, const std::string& name) {
  const std::string prefix = name + "-";
  if (!file.starts_with(prefix)) return 0;
  unsigned long number = 0;
  const char* end = file.data() + file.size();
  const auto parsed = std::from_chars(file.data() + prefix.size(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end ? number : 0;
}

} // namespace

run_folder run_folder::next(const fs::path& base, const std::string& name) {
  make_parents(base);
  unsigned long number = 0;
  std::error_code error;
  for (fs::directory_iterator at(base, error), end; !error && at != end; at.increment(error))
    number = std::max(number, run_number(at->path().filename().string(), name));
  while (true) {
    fs::path path = base / (name + "-" + std::to_string(++number));
    if (::mkdir(path.c_str(), 0777) == 0) return {std::move(path), true};
    if (errno != EEXIST)
      throw file_error(path.string() + ": cannot make the run folder: " + reason(errno));
  }
}

run_folder run_folder::at(const fs::path& folder) {
  fs::path path = folder.lexically_normal();
  if (!path.has_filename()) path = path.parent_path(); // "runs/a/"
  make_parents(path.parent_path());
  if (::mkdir(path.c_str(), 0777) == 0) return {std::move(path), true};
  if (errno != EEXIST)
    throw file_error(path.string() + ": cannot make the run folder: " + reason(errno));
  std::error_code error;
  fs::directory_iterator entries(path, error);
  if (error)
    throw file_error(path.string() +
                     ": expected a new or empty folder for the run: " + error.message());
  if (entries != fs::directory_iterator())
    throw file_error(path.string() +
                     ": expected a new or empty folder for the run, found one "
                     "that holds " +
                     entries->path().filename().string() +
                     "; give another --run, nothing was changed");
  return {std::move(path), false};
}

void run_folder::write_job(std::string_view text) const {
  const std::string file = job_file().string();
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST)
    throw file_error(file + ": another run has just taken this folder; give another --run");
  if (fd < 0) throw file_error(file + ": cannot write: " + reason(errno));
  std::size_t written = 0;
  int error = 0;
  while (written < text.size() && error == 0) {
    const auto n = ::write(fd, text.data() + written, text.size() - written);
    if (n > 0)
      written += static_cast<std::size_t>(n);
    else if (errno != EINTR)
      error = errno;
  }
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0) return;
  abandon();
  throw file_error(file + ": cannot write: " + reason(error));
}

void run_folder::abandon() const noexcept {
  ::unlink(job_file().c_str());
  ::unlink(events_file().c_str());
  if (made_) ::rmdir(path_.c_str());
}

} // namespace troupe::cli
