#include "troupe/file_recorder.hpp"

#include <csignal>
#include <filesystem>
#include <latch>
#include <map>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tensor/scratch_folder.hpp"
#include "troupe/history_file.hpp"

using namespace troupe::history;
namespace fs = std::filesystem;

namespace {

event by(std::uint32_t thread, std::uint64_t n) {
  return {.what = event_kind::change_applied,
          .worker = worker_id{thread},
          .sequence = n,
          .value = thread * 1'000'000 + n};
}

process_history read(const fs::path& file) { return read_history(std::vector{file}).at(0); }

// Each thread's events are there from the first on, in its order, none twice.
std::map<std::uint32_t, std::uint64_t> in_order(const process_history& p) {
  std::map<std::uint32_t, std::uint64_t> next;
  for (const auto& e : p.events) {
    REQUIRE(e.sequence == next[e.worker.value]);
    REQUIRE(e.value == e.worker.value * 1'000'000 + e.sequence);
    ++next[e.worker.value];
  }
  return next;
}

} // namespace

TEST_CASE("RECORDER-1: threads record at once, and each one's events are there in its order") {
  constexpr std::uint64_t each = 20'000;
  constexpr std::uint32_t threads = 4;
  const scratch_folder folder;
  const auto file = folder.path() / "a.part";
  {
    file_recorder r({.file = file, .name = "many", .records_at_a_time = 256});
    std::latch begin(threads);
    std::vector<std::jthread> all;
    for (std::uint32_t t = 0; t < threads; ++t)
      all.emplace_back([&, t] {
        begin.arrive_and_wait();
        for (std::uint64_t n = 0; n < each; ++n) r.record(by(t, n));
      });
    all.clear();
    CHECK(r.recorded() == threads * each);
    CHECK_FALSE(r.stopped());
  }
  const auto p = read(file);
  CHECK(p.complete);
  const auto found = in_order(p);
  CHECK(found.size() == threads);
  for (const auto& [t, n] : found) CHECK(n == each);
}

TEST_CASE("FILE-1, FILE-2: a process that is killed while its threads record loses nothing") {
  for (int round = 0; round < 5; ++round) {
    const scratch_folder folder;
    const auto file = folder.path() / "a.part";
    int told[2];
    REQUIRE(::pipe(told) == 0);
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      file_recorder r({.file = file, .name = "to be killed", .records_at_a_time = 256});
      std::vector<std::thread> all;
      for (std::uint32_t t = 0; t < 3; ++t)
        all.emplace_back([&r, t, out = told[1]] {
          for (std::uint64_t n = 0;; ++n) {
            r.record(by(t, n));
            // What was told to somebody else had been recorded.
            if (t == 0 && n % 512 == 0 && ::write(out, &n, sizeof n) < 0) return;
          }
        });
      ::pause();
    }
    ::close(told[1]);
    std::uint64_t last = 0;
    while (last < 20'000) REQUIRE(::read(told[0], &last, sizeof last) == sizeof last);
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    while (::read(told[0], &last, sizeof last) == sizeof last) {
    }
    ::close(told[0]);
    const auto p = read(file);
    CHECK(p.complete);
    CHECK(in_order(p).at(0) > last);
  }
}

TEST_CASE("FILE-1: a process that is killed while its file is made room for leaves its name") {
  const scratch_folder folder;
  const auto file = folder.path() / "a.part";
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // The header fits; asking for more than that is answered with a signal.
    const rlimit header{64, 64}, no_core{0, 0};
    std::signal(SIGXFSZ, SIG_DFL);
    if (::setrlimit(RLIMIT_FSIZE, &header) != 0 || ::setrlimit(RLIMIT_CORE, &no_core) != 0)
      ::_exit(1);
    file_recorder r({.file = file, .name = "to be killed"});
    ::_exit(2);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGXFSZ);
  const auto p = read(file);
  CHECK(p.name == "to be killed");
  CHECK(p.complete);
  CHECK(p.events.empty());
}

TEST_CASE("FILE-3: where there is no more room recording stops, says so once, and keeps the rest") {
  const scratch_folder folder;
  const auto file = folder.path() / "a.part";
  std::vector<std::string> told;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  {
    file_recorder r({.file = file,
                     .name = "full",
                     .records_at_a_time = 128,
                     .on_stop = [&](const std::string& why) { told.push_back(why); }});
    const rlimit small{3 * 128 * 64, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (std::uint64_t n = 0; n < 1000; ++n) r.record(by(0, n));
    CHECK(r.stopped());
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  }
  std::signal(SIGXFSZ, ignored);
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Catch::Contains(file.string()) && Catch::Contains("too large"));
  const auto p = read(file);
  CHECK_FALSE(p.complete);
  CHECK(in_order(p).at(0) == 3 * 128 - 1);
}

TEST_CASE("FILE-3: more records than are allowed stop it as well") {
  const scratch_folder folder;
  const auto file = folder.path() / "a.part";
  std::string told;
  {
    file_recorder r({.file = file,
                     .name = "short",
                     .records_at_a_time = 64,
                     .records_max = 128,
                     .on_stop = [&](const std::string& why) { told = why; }});
    for (std::uint64_t n = 0; n < 200; ++n) r.record(by(0, n));
  }
  CHECK_THAT(told, Catch::Contains("no more than 128 records"));
  CHECK(in_order(read(file)).at(0) == 127);
}
