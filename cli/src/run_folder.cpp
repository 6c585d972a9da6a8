#include "troupe/cli/run_folder.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "troupe/cli/failure.hpp"

namespace troupe::cli {

namespace fs = std::filesystem;

namespace {

constexpr const char* lock_name = "lock";

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

fs::path without_final_slash(const fs::path& folder) {
  fs::path path = folder.lexically_normal();
  return path.has_filename() ? path : path.parent_path(); // "runs/a/"
}

// A lock alone is what a process left that was killed before it wrote anything.
void expect_empty(const fs::path& path) {
  std::error_code error;
  fs::directory_iterator at(path, error);
  for (const fs::directory_iterator end; !error && at != end; at.increment(error)) {
    const auto name = at->path().filename().string();
    if (name != lock_name)
      throw file_error(path.string() +
                       ": expected a new or empty folder for the run, found one "
                       "that holds " +
                       name + "; give another --run, nothing was changed");
  }
  if (error)
    throw file_error(path.string() +
                     ": expected a new or empty folder for the run: " + error.message());
}

// 0, or what went wrong.
int write_all(int fd, std::string_view text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const auto n = ::write(fd, text.data() + written, text.size() - written);
    if (n > 0)
      written += static_cast<std::size_t>(n);
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

// The lock makes this process the only one that writes here, so the temporary name is free.
void replace_text(const fs::path& file, std::string_view text) {
  const std::string temporary = file.string() + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) throw file_error(file.string() + ": cannot write: " + reason(errno));
  int error = write_all(fd, text);
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), file.c_str()) != 0) error = errno;
  if (error == 0) return;
  ::unlink(temporary.c_str());
  throw file_error(file.string() + ": cannot write: " + reason(error));
}

std::string first_word(int fd) {
  char buffer[32];
  const auto n = ::pread(fd, buffer, sizeof buffer, 0);
  const std::string text(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
  return text.substr(0, text.find('\n'));
}

} // namespace

run_folder::run_folder(fs::path path, origin from) : path_(std::move(path)), origin_(from) {
  try {
    lock();
  } catch (...) {
    if (origin_ == origin::made) ::rmdir(path_.c_str()); // fails where somebody else has begun
    throw;
  }
}

// Whoever takes a run back removes the lock while he holds it: one that was opened before that is
// no file of the folder any more when it is free, and the next is tried.
void run_folder::lock() {
  const fs::path file = path_ / lock_name;
  while (true) {
    unique_fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!fd.open()) throw file_error(file.string() + ": cannot open: " + reason(errno));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) throw file_error(file.string() + ": cannot lock: " + reason(errno));
      const std::string pid = first_word(fd.get()); // empty: it has not yet written it
      throw file_error(path_.string() + ": another scheduler is using this run folder" +
                       (pid.empty() ? "" : " (pid " + pid + ")"));
    }
    struct stat held {
    }, named{};
    if (::fstat(fd.get(), &held) != 0 || ::stat(file.c_str(), &named) != 0 ||
        held.st_ino != named.st_ino || held.st_dev != named.st_dev)
      continue;
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd.get(), 0) != 0 || write_all(fd.get(), pid) != 0) {
      const int error = errno;
      if (origin_ != origin::existing) ::unlink(file.c_str());
      throw file_error(file.string() + ": cannot write: " + reason(error));
    }
    lock_ = std::move(fd);
    return;
  }
}

run_folder run_folder::next(const fs::path& base, const std::string& name) {
  make_parents(base);
  unsigned long number = 0;
  std::error_code error;
  for (fs::directory_iterator at(base, error), end; !error && at != end; at.increment(error))
    number = std::max(number, run_number(at->path().filename().string(), name));
  while (true) {
    fs::path path = base / (name + "-" + std::to_string(++number));
    if (::mkdir(path.c_str(), 0777) == 0) return {std::move(path), origin::made};
    if (errno != EEXIST)
      throw file_error(path.string() + ": cannot make the run folder: " + reason(errno));
  }
}

run_folder run_folder::at(const fs::path& folder) {
  fs::path path = without_final_slash(folder);
  make_parents(path.parent_path());
  if (::mkdir(path.c_str(), 0777) == 0) return {std::move(path), origin::made};
  if (errno != EEXIST)
    throw file_error(path.string() + ": cannot make the run folder: " + reason(errno));
  expect_empty(path);
  run_folder taken(path, origin::given);
  expect_empty(path); // a whole run may lie between the first look and the lock
  return taken;
}

run_folder run_folder::existing(const fs::path& folder) {
  fs::path path = without_final_slash(folder);
  std::error_code error;
  const auto type = fs::status(path, error).type();
  if (type == fs::file_type::not_found)
    throw file_error(path.string() + ": expected a run folder, found nothing");
  if (type != fs::file_type::directory)
    throw file_error(path.string() + ": expected a run folder, found something else");
  if (!fs::exists(path / "job.json", error))
    throw file_error(path.string() + ": expected a run folder, found one without job.json");
  return {std::move(path), origin::existing};
}

void run_folder::write_job(std::string_view text) const {
  const std::string file = job_file().string();
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST)
    throw file_error(file + ": another run has just taken this folder; give another --run");
  if (fd < 0) throw file_error(file + ": cannot write: " + reason(errno));
  int error = write_all(fd, text);
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0) return;
  abandon();
  throw file_error(file + ": cannot write: " + reason(error));
}

void run_folder::replace_job(std::string_view text) const { replace_text(job_file(), text); }

void run_folder::write_address(std::string_view address) const {
  replace_text(address_file(), std::string(address) + "\n");
}

void run_folder::remove_address() const noexcept { ::unlink(address_file().c_str()); }

void run_folder::abandon() const noexcept {
  remove_address();
  if (origin_ == origin::existing) return;
  ::unlink(job_file().c_str());
  ::unlink(events_file().c_str());
  ::unlink((path_ / lock_name).c_str());
  for (const char* journal : {"journal.db", "journal.db-wal", "journal.db-shm"})
    ::unlink((path_ / journal).c_str());
  if (origin_ == origin::made) ::rmdir(path_.c_str());
}

} // namespace troupe::cli
