#include "troupe/cli/child_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::cli {

namespace {

constexpr std::size_t max_line = 4096;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(const child_process::options& o, char* const* arguments, pid_t parent,
                         int errors, int failed) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127); // the parent went away before the line above
  if (o.quiet) {
    const int nowhere = ::open("/dev/null", O_RDWR);
    ::dup2(nowhere, STDIN_FILENO);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
  }
  if (!o.quiet && o.output >= 0) {
    ::dup2(o.output, STDOUT_FILENO);
    ::dup2(o.output, STDERR_FILENO);
  }
  if (o.inherited_fd >= 0) ::fcntl(o.inherited_fd, F_SETFD, 0);
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGXFSZ, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (o.network < 0 || ::setns(o.network, CLONE_NEWNET) == 0) ::execv(o.program.c_str(), arguments);
  const int error = errno;
  [[maybe_unused]] const auto n = ::write(failed, &error, sizeof error);
  ::_exit(127);
}

} // namespace

void unique_fd::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

pipe_ends make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) fail("cannot make a pipe");
  return {unique_fd(fds[0]), unique_fd(fds[1])};
}

std::string to_string(const process_end& end) {
  if (end.signal == 0) return "exit code " + std::to_string(end.code);
  const char* name = ::sigabbrev_np(end.signal); // none: a signal of no fixed meaning
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(end.signal);
}

std::vector<std::string> line_pipe::read_lines() {
  std::vector<std::string> lines;
  char buffer[1024];
  while (fd_.open()) {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 0) <= 0) return lines;
    const auto n = ::read(fd_.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      fd_.close();
      if (!partial_.empty()) lines.push_back(std::exchange(partial_, {}));
      return lines;
    }
    for (const char c : std::string_view(buffer, static_cast<std::size_t>(n))) {
      if (c == '\n')
        lines.push_back(std::exchange(partial_, {}));
      else if (partial_.size() < max_line)
        partial_ += c;
    }
  }
  return lines;
}

child_process::child_process(const options& o) {
  // By its own name in lists of processes, where the file is /proc/self/exe.
  std::vector<std::string> texts = {o.title.empty() ? o.program.string() : o.title};
  texts.insert(texts.end(), o.arguments.begin(), o.arguments.end());
  std::vector<char*> arguments;
  for (auto& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);

  auto failed = make_pipe(); // closed by a successful exec, else the reason
  pipe_ends errors;
  if (o.quiet) errors = make_pipe();
  const pid_t parent = ::getpid();
  pid_.value = ::fork();
  if (pid_.value < 0) fail("cannot start a process");
  if (pid_.value == 0) become(o, arguments.data(), parent, errors.write.get(), failed.write.get());
  failed.write.close();
  int error = 0;
  ssize_t n = 0;
  do n = ::read(failed.read.get(), &error, sizeof error);
  while (n < 0 && errno == EINTR);
  if (n == sizeof error) {
    ::waitpid(pid_.value, nullptr, 0);
    throw std::system_error(error, std::generic_category(), "cannot run " + o.program.string());
  }
  if (o.quiet) errors_ = line_pipe(std::move(errors.read));
}

child_process::~child_process() {
  if (pid_.value <= 0 || end_) return;
  ::kill(pid_.value, SIGKILL);
  while (::waitpid(pid_.value, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void child_process::send(int signal) const noexcept {
  if (pid_.value > 0 && !end_) ::kill(pid_.value, signal);
}

void child_process::check() noexcept {
  if (pid_.value <= 0 || end_) return;
  int status = 0;
  if (::waitpid(pid_.value, &status, WNOHANG) != pid_.value) return;
  process_end end;
  if (WIFSIGNALED(status))
    end.signal = WTERMSIG(status);
  else
    end.code = WEXITSTATUS(status);
  end_ = end;
}

} // namespace troupe::cli
