#include "program_fixture.hpp"

#include <cerrno>
#include <csignal>
#include <stdexcept>

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace troupe::cli_test {

using clock = std::chrono::steady_clock;

namespace {

int milliseconds_left(clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now());
  return static_cast<int>(std::max<std::int64_t>(0, left.count()));
}

// Waits for the end of some child; false when the deadline came first. SIGCHLD is blocked, so one
// that comes between a look and this wait is not lost.
bool wait_for_child_signal(clock::time_point deadline) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  const int left = milliseconds_left(deadline);
  const timespec time{left / 1000, left % 1000 * 1'000'000L};
  return left > 0 && (::sigtimedwait(&set, nullptr, &time) == SIGCHLD || errno == EINTR);
}

void block_child_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

} // namespace

std::filesystem::path program_path() { return TROUPE_PROGRAM; }

program::program(const std::vector<std::string>& arguments, const std::filesystem::path& folder) {
  block_child_signal();
  std::vector<std::string> texts = {TROUPE_PROGRAM};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);

  std::array<int, 2> out{}, err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0)
    throw std::runtime_error("cannot make a pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error =
      ::posix_spawn(&pid_, TROUPE_PROGRAM, &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
  if (error != 0) throw std::runtime_error("cannot run " TROUPE_PROGRAM);
}

program::~program() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (out_ >= 0) ::close(out_);
  if (err_ >= 0) ::close(err_);
}

bool program::readable(clock::time_point deadline) {
  polled_ = {{{out_, POLLIN, 0}, {err_, POLLIN, 0}}}; // -1 is left out
  return ::poll(polled_.data(), polled_.size(), milliseconds_left(deadline)) != 0;
}

bool program::read_some(clock::time_point deadline) {
  if (!readable(deadline)) fail("the program neither wrote nor ended in time");
  return take_what_is_there();
}

bool program::read_until(clock::time_point deadline) {
  while (out_ >= 0 || err_ >= 0) {
    if (!readable(deadline)) return true;
    take_what_is_there();
  }
  return false;
}

void program::remark(const std::string& line) {
  if (!result_.out.empty() && result_.out.back() != '\n') result_.out += "...\n";
  result_.out += line + "\n";
}

bool program::take_what_is_there() {
  std::array<char, 4096> buffer{};
  for (auto [fd, text] : {std::pair{&out_, &result_.out}, std::pair{&err_, &result_.err}}) {
    const auto& state = fd == &out_ ? polled_[0] : polled_[1];
    if (*fd < 0 || state.revents == 0) continue;
    const auto count = ::read(*fd, buffer.data(), buffer.size());
    if (count > 0) {
      text->append(buffer.data(), static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      ::close(*fd);
      *fd = -1;
    }
  }
  return out_ >= 0 || err_ >= 0;
}

std::string program::wait_for_line(std::string_view text, std::size_t times) {
  const auto deadline = clock::now() + limit;
  while (true) {
    auto at = result_.out.find(text);
    for (std::size_t i = 1; i < times && at != std::string::npos; ++i)
      at = result_.out.find(text, at + 1);
    const auto end = at == std::string::npos ? at : result_.out.find('\n', at);
    if (end != std::string::npos) {
      const auto begin = result_.out.rfind('\n', at) + 1;
      return result_.out.substr(begin, end - begin);
    }
    if (!read_some(deadline))
      fail("the program ended without writing \"" + std::string(text) + "\"");
  }
}

void program::send(int signal) const { ::kill(pid_, signal); }

program_result program::finish() {
  const auto deadline = clock::now() + limit;
  if (read_until(deadline)) fail("the program did not end in time");
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) != pid_)
    if (!wait_for_child_signal(deadline)) fail("the program closed its output and did not end");
  pid_ = -1;
  if (WIFSIGNALED(status))
    result_.signal = WTERMSIG(status);
  else
    result_.code = WEXITSTATUS(status);
  return result_;
}

void program::fail(const std::string& why) {
  throw std::runtime_error(why + "\n--- output\n" + result_.out + "\n--- errors\n" + result_.err);
}

program_result run_program(const std::vector<std::string>& arguments,
                           const std::filesystem::path& folder) {
  return program(arguments, folder).finish();
}

orphan_watch::orphan_watch() {
  block_child_signal();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

orphan_watch::~orphan_watch() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }

std::size_t orphan_watch::reap_all() {
  const auto deadline = clock::now() + program::limit;
  std::size_t reaped = 0;
  while (true) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid > 0) {
      ++reaped;
    } else if (pid < 0 && errno == ECHILD) {
      return reaped;
    } else if (!wait_for_child_signal(deadline)) {
      throw std::runtime_error("a process of the run still lives");
    }
  }
}

} // namespace troupe::cli_test
