// What a run on real processes leaves behind. Each is run in a process of its own, as run_real
// asks.
#include "troupe/cli/real_run.hpp"

#include <chrono>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program_fixture.hpp"
#include "temporary_folder.hpp"
#include "troupe/chaos/scenario_file.hpp"

using namespace troupe::cli_test;
namespace chaos = troupe::chaos;
namespace cli = troupe::cli;
namespace fs = std::filesystem;

namespace {

chaos::scenario scenario(int epochs) {
  auto s = chaos::scenario_from_toml(R"([workload]
modes = ["async"]
samples = 64
epochs = )" + std::to_string(epochs) + R"(
batch_ms = [10, 20]
[cluster]
workers = 2
shards = 2
replicas = 2
[quiet]
from_ms = 100
finish_by_ms = 50000
)",
                                     "real_run_test");
  s.name = "s";
  return s;
}

struct place {
  temporary_folder folder;
  cli::real_run_options options{
      .program = program_path(), .folder = folder / "while", .kept = folder / "kept"};
  fs::path run = options.folder / "s-1.run";

  place() { fs::create_directories(options.folder); }
};

// Begins the run of seed 1 in another process, which ends with the number of its violations.
pid_t begin(const place& p, const chaos::scenario& s) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const auto result = cli::run_real(s, 1, {}, p.options);
  ::_exit(static_cast<int>(result.violations.size()));
}

int exit_code_of(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// What all processes of a run write, and hold open for as long as they live.
class run_output {
 public:
  explicit run_output(const place& p) {
    fs::create_directories(p.run);
    const auto pipe = p.run / "output.txt";
    if (::mkfifo(pipe.c_str(), 0600) != 0) throw std::runtime_error("cannot make a pipe");
    end_ = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~run_output() { ::close(end_); }

  /// Reads until the output holds `text`, or, when that is empty, until no process has it open any
  /// more. False: not within the limit.
  bool read_until(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + program::limit / 2;
    std::string seen;
    while (text.empty() || seen.find(text) == std::string::npos) {
      pollfd waiting{end_, POLLIN, 0};
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0)
        return false;
      char buffer[4096];
      const auto size = ::read(end_, buffer, sizeof buffer);
      if (size == 0 && text.empty()) return true;
      if (size > 0) seen.append(buffer, static_cast<std::size_t>(size));
    }
    return true;
  }

 private:
  int end_ = -1;
};

} // namespace

TEST_CASE("REAL-1: of a run that holds, neither a process nor its folder is left") {
  place p;
  orphan_watch orphans;
  CHECK(exit_code_of(begin(p, scenario(2))) == 0);
  CHECK(orphans.reap_all() == 0);
  CHECK(fs::is_empty(p.options.folder));
  CHECK_FALSE(fs::exists(p.options.kept));
}

TEST_CASE("REAL-1: of a run that fails, no process is left, and its folder is where it is kept") {
  place p;
  auto s = scenario(400);
  s.quiet.finish_by = std::chrono::milliseconds(500);
  orphan_watch orphans;
  CHECK(exit_code_of(begin(p, s)) == 1);
  CHECK(orphans.reap_all() == 0);
  CHECK(fs::is_empty(p.options.folder));
  const auto kept = cli::kept_run(s, 1, p.options);
  CHECK(kept == p.options.kept / "s-1.run");
  CHECK(fs::exists(kept / "run" / "events.jsonl"));
}

TEST_CASE("REAL-2: a run whose own process is killed ends, and its folder stays where it is") {
  place p;
  const auto s = scenario(1000); // longer than the test waits
  run_output output(p);
  orphan_watch orphans;
  const pid_t pid = begin(p, s);
  REQUIRE(output.read_until("training with")); // by now there are all of them
  ::kill(pid, SIGKILL);
  CHECK(exit_code_of(pid) == -1);
  CHECK(output.read_until("")); // no process has it open: all have ended
  orphans.reap_all();
  CHECK(fs::exists(p.run / "run" / "events.jsonl"));
  CHECK_FALSE(fs::exists(p.options.kept));
  CHECK(cli::keep_killed_run(s, 1, p.options) == p.options.kept / "s-1.run");
}
