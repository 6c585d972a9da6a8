#include "troupe/storage/run_journal.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>

#include <catch2/catch.hpp>
#include <poll.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "temporary_folder.hpp"

using namespace troupe::storage;
using namespace troupe::scheduler;
using troupe::cli_test::read_file;
using troupe::cli_test::temporary_folder;

namespace {

using content = run_journal::content;
using nodes = std::vector<node_id>;

struct journal_folder : temporary_folder {
  std::filesystem::path file() const { return path() / "run.journal"; }
  std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(path()), {});
  }
};

void put_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(out.flush());
}

job_progress::content some_progress() {
  using seconds = job_progress::seconds;
  return {.epochs =
              {{.loss_sum = 0.1,
                .loss_samples = 9,
                .samples = 10,
                .batches = 3,
                .duration = seconds(1.0 / 3)},
               {.loss_sum = 1e-320, .loss_samples = 4, .samples = 4, .batches = 1, .duration = {}}},
          .non_finite_loss = batch_id{0, 2},
          .elapsed = seconds(7.7)};
}

content some_content() {
  return {.job_id = "3f2a",
          .job = R"({"name": "digits", "text": "ünïcode, a
line and a )" + std::string(1, '\0') +
                 "zero\"}",
          .next_node = 8,
          .next_worker = 5,
          .nodes = {{.id = {2}, .host = "a", .port = 4701, .shards = 1, .workers = 4},
                    {.id = {7}, .host = "b.example", .port = 4702, .shards = 3, .workers = 0}},
          .views = {{.number = {4}, .chain = {{7}, {2}}, .learner = {}},
                    {.number = {std::numeric_limits<std::uint64_t>::max()},
                     .chain = {{2}},
                     .learner = node_id{7}},
                    {.number = {9}, .chain = {}, .learner = {}}},
          .evaluated_epochs = 1,
          .progress = some_progress(),
          .restarts = 2,
          .ended = false};
}

std::string refusal(const std::function<void()>& what) {
  try {
    what();
  } catch (const journal_error& e) {
    return e.what();
  }
  return "nothing was refused";
}

std::string open_refusal(const std::filesystem::path& file) {
  return refusal([&] { run_journal::open(file); });
}

// Another process that runs `body`, which says how far it is by a byte to each call of its
// argument.
class process {
 public:
  using says = std::function<void(char)>;

  explicit process(const std::function<void(const says&)>& body) {
    std::array<int, 2> ends;
    REQUIRE(::pipe(ends.data()) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      try {
        body([&](char c) {
          if (::write(ends[1], &c, 1) != 1) ::_exit(1);
        });
      } catch (...) {
        ::_exit(2);
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    from_ = ends[0];
  }
  ~process() {
    end();
    ::close(from_);
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  // The next byte; 0 when it has ended without another.
  char hear() {
    pollfd ready{from_, POLLIN, 0};
    if (::poll(&ready, 1, 60'000) != 1) return 0;
    char c = 0;
    return ::read(from_, &c, 1) == 1 ? c : '\0';
  }
  void stop() {
    ::kill(pid_, SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, WUNTRACED) == pid_);
    REQUIRE(WIFSTOPPED(status));
  }
  void end() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int from_ = -1;
};

// Three views that belong together, the same ones for each number.
std::vector<std::pair<shard_id, shard_view>> views_at(std::uint64_t number) {
  std::vector<std::pair<shard_id, shard_view>> result;
  for (std::uint32_t s = 0; s < 3; ++s) {
    shard_view view{.number = {number}, .chain = {}, .learner = {}};
    for (std::uint32_t i = 0; i < 1 + number % 4; ++i)
      view.chain.push_back({static_cast<std::uint32_t>(number) + 10 * i + s});
    if (number % 3 == 0) view.learner = node_id{s};
    result.emplace_back(shard_id{s}, view);
  }
  return result;
}

} // namespace

TEST_CASE("a journal gives back what it was made with, in this process and after it") {
  journal_folder folder;
  const auto first = some_content();
  CHECK(run_journal::create(folder.file(), first).read() == first);
  CHECK(folder.files() == 1);
  const auto again = run_journal::open(folder.file());
  CHECK(again.read() == first);
  CHECK(again.file() == folder.file());
}

TEST_CASE("an empty journal is one") {
  journal_folder folder;
  run_journal::create(folder.file(), {});
  CHECK(run_journal::open(folder.file()).read() == content{});
}

TEST_CASE("a journal of version 1 that was written before is opened") {
  // Every statement as it was; two columns had no meaning even then.
  const auto sql = std::string(R"(
PRAGMA application_id = 0x54727570;
PRAGMA user_version = 1;
CREATE TABLE run (
         only INTEGER PRIMARY KEY CHECK (only = 1),
         job_id TEXT NOT NULL, job TEXT NOT NULL,
         listen_host TEXT NOT NULL, listen_port INTEGER NOT NULL,
         next_node INTEGER NOT NULL, next_worker INTEGER NOT NULL,
         evaluated_epochs INTEGER NOT NULL, restarts INTEGER NOT NULL, ended INTEGER NOT NULL,
         non_finite_epoch INTEGER, non_finite_index INTEGER, elapsed REAL,
         checksum INTEGER NOT NULL) STRICT;
CREATE TABLE nodes (
         id INTEGER PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL,
         shards INTEGER NOT NULL, workers INTEGER NOT NULL) STRICT;
CREATE TABLE views (
         shard INTEGER PRIMARY KEY, number INTEGER NOT NULL, learner INTEGER) STRICT;
CREATE TABLE replicas (
         shard INTEGER NOT NULL, position INTEGER NOT NULL, node INTEGER NOT NULL,
         PRIMARY KEY (shard, position)) STRICT, WITHOUT ROWID;
CREATE TABLE epochs (
         epoch INTEGER PRIMARY KEY, loss_sum REAL NOT NULL, loss_samples INTEGER NOT NULL,
         samples INTEGER NOT NULL, batches INTEGER NOT NULL, duration REAL) STRICT;
INSERT INTO run VALUES (1, '', '', '', 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, 1147408372162918917);
)");
  journal_folder folder;
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(folder.file().c_str(), &db) == SQLITE_OK);
  CHECK(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  auto journal = run_journal::open(folder.file());
  CHECK(journal.read() == content{});
  journal.save_restart();
  CHECK(journal.read().restarts == 1);
}

TEST_CASE("what each save says is what a later process reads (JOURNAL-2)") {
  journal_folder folder;
  auto expected = some_content();
  run_journal::create(folder.file(), expected);
  const auto check = [&](const std::function<void(run_journal&)>& save) {
    {
      auto journal = run_journal::open(folder.file());
      save(journal);
      CHECK(journal.read() == expected);
    }
    CHECK(run_journal::open(folder.file()).read() == expected);
  };
  const run_journal::node_entry joined{{9}, "c", 4703, 1, 1}, back{{2}, "a", 4709, 2, 2};
  expected.nodes.push_back(joined), expected.next_node = 10;
  check([&](run_journal& j) { j.save_node(joined, 10); });
  expected.nodes[0] = back;
  check([&](run_journal& j) { j.save_node(back, 10); });
  expected.nodes.erase(expected.nodes.begin() + 1);
  check([](run_journal& j) { j.save_node_gone({7}), j.save_node_gone({7}); });

  expected.views[2] = {.number = {10}, .chain = {{9}, {2}}, .learner = {}};
  expected.views[0] = {.number = {5}, .chain = {{2}}, .learner = node_id{9}};
  expected.views.push_back({.number = {1}, .chain = {{9}}, .learner = {}});
  check([&](run_journal& j) {
    j.save_views({{{2}, expected.views[2]}, {{0}, expected.views[0]}, {{3}, expected.views[3]}});
  });

  expected.next_worker = 6;
  check([](run_journal& j) { j.save_next_worker(6); });
  expected.progress.epochs.resize(5), expected.progress.epochs[4].loss_sum = 8;
  expected.progress.elapsed = job_progress::seconds(9);
  check([&](run_journal& j) { j.save_progress(expected.progress); });
  expected.evaluated_epochs = 2, expected.progress = {};
  check([&](run_journal& j) { j.save_evaluated(2, expected.progress); });
  expected.restarts = 3;
  check([](run_journal& j) { j.save_restart(); });
  expected.ended = true;
  check([](run_journal& j) { j.save_ended(); });
}

TEST_CASE("a file that is there is not replaced by a new journal") {
  journal_folder folder;
  const auto expected = folder.file().string() + ": expected no run journal yet, found one";
  const auto create = [&] { run_journal::create(folder.file(), {}); };
  put_bytes(folder.file(), "somebody's");
  CHECK(refusal(create) == expected);
  CHECK(read_file(folder.file()) == "somebody's");
  std::filesystem::remove(folder.file());
  run_journal::create(folder.file(), some_content());
  CHECK(refusal(create) == expected);
  CHECK(run_journal::open(folder.file()).read() == some_content());
  CHECK(folder.files() == 1);
}

TEST_CASE("a journal in a folder that does not exist is refused by name") {
  journal_folder folder;
  const auto file = folder.file() / "deep";
  CHECK(refusal([&] { run_journal::create(file, {}); }).starts_with(file.string() + ": cannot "));
  CHECK(open_refusal(file) == file.string() + ": expected a run journal, found no file");
}

TEST_CASE("a scheduler that is killed among its saves leaves a whole state, the last that it was "
          "sure of or the one after (JOURNAL-1, JOURNAL-2)") {
  journal_folder folder;
  std::uint64_t number = 1;
  run_journal::create(folder.file(), {}).save_views(views_at(number));
  // Some rounds are long enough for SQLite to move its log into the file meanwhile.
  for (const int saves : {1, 2, 3, 0, 20, 7, 300, 1, 45, 500, 11, 90}) {
    CAPTURE(saves, number);
    process scheduler([&](const process::says& say) {
      auto journal = run_journal::open(folder.file());
      for (auto n = number + 1;; ++n) journal.save_views(views_at(n)), say('.');
    });
    std::uint64_t sure = number;
    for (int i = 0; i < saves; ++i, ++sure) REQUIRE(scheduler.hear() == '.');
    scheduler.end();
    while (scheduler.hear() == '.') ++sure;
    const auto journal = run_journal::open(folder.file());
    REQUIRE(journal.read().views.size() == 3);
    number = journal.read().views[0].number.value;
    REQUIRE((number == sure || number == sure + 1));
    for (const auto& [shard, view] : views_at(number))
      REQUIRE(journal.read().views[shard.value] == view);
  }
}

TEST_CASE("while its scheduler lives, and be it stopped, nobody else opens a journal (JOURNAL-3)") {
  journal_folder folder;
  run_journal::create(folder.file(), some_content());
  const auto expected = folder.file().string() + ": another scheduler has this run open";
  process scheduler([&](const process::says& say) {
    auto journal = run_journal::open(folder.file());
    journal.save_restart();
    say('o');
    for (;;) ::pause();
  });
  REQUIRE(scheduler.hear() == 'o');
  CHECK(open_refusal(folder.file()) == expected);
  CHECK(refusal([&] { run_journal::create(folder.file(), {}); }).find("found one") !=
        std::string::npos);
  scheduler.stop();
  CHECK(open_refusal(folder.file()) == expected);
  scheduler.end();
  auto journal = run_journal::open(folder.file());
  CHECK(journal.read().restarts == 3);
  journal.save_restart();
  CHECK(journal.read().restarts == 4);
}

TEST_CASE("a journal that has just been made is its maker's, and so is one that was moved "
          "(JOURNAL-3)") {
  journal_folder folder;
  process scheduler([&](const process::says& say) {
    auto made = run_journal::create(folder.file(), some_content());
    say('o');
    auto moved = std::move(made);
    say('o');
    for (;;) ::pause();
  });
  REQUIRE(scheduler.hear() == 'o');
  REQUIRE(scheduler.hear() == 'o');
  CHECK(open_refusal(folder.file()) ==
        folder.file().string() + ": another scheduler has this run open");
}

TEST_CASE("two of one process cannot have a journal open either (JOURNAL-3)") {
  journal_folder folder;
  auto journal = run_journal::create(folder.file(), some_content());
  CHECK(open_refusal(folder.file()) ==
        folder.file().string() + ": another scheduler has this run open");
  journal.save_restart();
  CHECK(journal.read().restarts == 3);
}

TEST_CASE("a save that the disk refuses leaves the state before, and the next makes up for it "
          "(JOURNAL-4)") {
  journal_folder folder;
  run_journal::create(folder.file(), {}).save_views(views_at(1));
  process scheduler([&](const process::says& say) {
    ::signal(SIGXFSZ, SIG_IGN); // so that a write beyond the limit fails like one on a full disk
    const rlimit limit{.rlim_cur = 300'000, .rlim_max = RLIM_INFINITY};
    auto journal = run_journal::open(folder.file());
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return;
    std::uint64_t n = 2;
    const auto refused = refusal([&] {
      for (; n < 10'000; ++n) journal.save_views(views_at(n));
    });
    const bool named = refused.starts_with(folder.file().string() + ": cannot write the run "
                                                                    "journal: ");
    const bool kept = journal.read().views[0].number.value == n - 1;
    say(named && kept && n < 10'000 ? 'k' : 'x');
    // Room again, and it goes on.
    const rlimit none{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    if (::setrlimit(RLIMIT_FSIZE, &none) != 0) return;
    journal.save_next_worker(static_cast<std::uint32_t>(n));
    say('s');
  });
  REQUIRE(scheduler.hear() == 'k');
  REQUIRE(scheduler.hear() == 's');
  REQUIRE(scheduler.hear() == 0);
  const auto found = run_journal::open(folder.file()).read();
  REQUIRE(found.next_worker > 2);
  for (const auto& [shard, view] : views_at(found.next_worker))
    CHECK(found.views[shard.value] == view);
}

TEST_CASE("ids and view numbers never fall, and what cannot be meant changes nothing (JOURNAL-4, "
          "JOURNAL-5)") {
  journal_folder folder;
  auto journal = run_journal::create(folder.file(), some_content());
  using entry = run_journal::node_entry;
  CHECK_THROWS_AS(journal.save_node(entry{{3}, "x", 1, 1, 1}, 7), std::invalid_argument);
  CHECK_THROWS_AS(journal.save_node(entry{{8}, "x", 1, 1, 1}, 8), std::invalid_argument);
  CHECK_THROWS_AS(journal.save_next_worker(4), std::invalid_argument);
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  const auto view = [](std::uint64_t number) {
    return shard_view{.number = {number}, .chain = {{1}}, .learner = {}};
  };
  CHECK_THROWS_AS(journal.save_views({{{0}, view(5)}, {{2}, view(9)}}), std::invalid_argument);
  CHECK_THROWS_AS(journal.save_views({{{2}, view(8)}}), std::invalid_argument);
  CHECK_THROWS_AS(journal.save_views({{{4}, view(most)}}), std::invalid_argument);
  auto progress = some_progress();
  progress.epochs[1].loss_sum = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(journal.save_progress(progress), std::invalid_argument);
  CHECK_NOTHROW(journal.save_views({{{0}, journal.read().views[0]}}));
  CHECK(journal.read() == some_content());
}

TEST_CASE("a journal of nodes that were never named is not made") {
  journal_folder folder;
  auto first = some_content();
  first.next_node = 7;
  CHECK_THROWS_AS(run_journal::create(folder.file(), first), std::invalid_argument);
  first = some_content();
  std::swap(first.nodes[0], first.nodes[1]);
  CHECK_THROWS_AS(run_journal::create(folder.file(), first), std::invalid_argument);
  CHECK(folder.files() == 0);
}

TEST_CASE("what is no journal is refused by name and not touched (JOURNAL-6)") {
  journal_folder folder;
  const auto other =
      folder.file().string() + ": expected a run journal, found another kind of file";
  run_journal::create(folder.file(), some_content());
  const auto whole = read_file(folder.file());
  const auto with = [&](std::size_t at, char byte) {
    auto changed = whole;
    changed[at] = byte;
    return changed;
  };
  // SQLite's header: 60 the version of the user, 68 the id of the application, both big-endian.
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", other},
      {"name = \"digits\"\n", other},
      {std::string(8192, 'x'), other},
      {with(68, 0), other},
      {with(63, 2),
       folder.file().string() + ": expected a run journal of version 1, found version 2"}};
  for (const auto& [bytes, expected] : cases) {
    put_bytes(folder.file(), bytes);
    CHECK(open_refusal(folder.file()) == expected);
    CHECK(read_file(folder.file()) == bytes);
  }
}

TEST_CASE("a damaged journal is refused by name, wherever the damage is, unless nothing that was "
          "saved is lost (JOURNAL-6)") {
  journal_folder folder;
  run_journal::create(folder.file(), some_content());
  const auto whole = read_file(folder.file());
  int refused = 0, by_checksum = 0, harmless = 0;
  const auto try_open = [&](const std::string& bytes) {
    put_bytes(folder.file(), bytes);
    content found;
    const auto line = refusal([&] { found = run_journal::open(folder.file()).read(); });
    if (found == some_content()) {
      ++harmless;
      return;
    }
    ++refused;
    REQUIRE(line.starts_with(folder.file().string() + ": "));
    by_checksum += line.find("checksum") != std::string::npos;
  };
  for (std::size_t length = 0; length < whole.size(); length += 1021)
    try_open(whole.substr(0, length));
  CHECK(harmless == 0);
  // Most of a page is unused: every byte that is not zero, and some that are.
  for (std::size_t at = 0; at < whole.size(); ++at) {
    if (whole[at] == 0 && at % 509 != 0) continue;
    auto changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x04);
    try_open(changed);
  }
  CHECK(refused > 100);
  CHECK(by_checksum > 20);
  // The number of unused pages: nothing is lost yet, but a later save would trust it.
  auto changed = whole;
  changed[39] = 4;
  harmless = 0;
  try_open(changed);
  CHECK(harmless == 0);
}

TEST_CASE("a log that a deleted journal left behind does not get into the new one") {
  journal_folder folder;
  run_journal::create(folder.file(), some_content());
  {
    process scheduler([&](const process::says& say) {
      auto journal = run_journal::open(folder.file());
      journal.save_restart();
      say('s');
      for (;;) ::pause();
    });
    REQUIRE(scheduler.hear() == 's');
  }
  REQUIRE(folder.files() == 2); // the log of the one that was killed
  std::filesystem::remove(folder.file());
  const auto journal = run_journal::create(folder.file(), {});
  CHECK(journal.read() == content{});
}
