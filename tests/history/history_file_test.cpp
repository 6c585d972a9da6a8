#include "troupe/history_file.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include <catch2/catch.hpp>

#include "../tensor/scratch_folder.hpp"
#include "sample_history.hpp"
#include "troupe/file_recorder.hpp"

using namespace troupe::history;
namespace fs = std::filesystem;

namespace {

event numbered(std::uint64_t n) {
  return {.what = event_kind::change_applied,
          .detail = 3,
          .instance = 7,
          .shard = shard_id{static_cast<std::uint32_t>(n)},
          .worker = worker_id{9},
          .node = node_id{11},
          .view = 13,
          .clock = n * 3,
          .sequence = n,
          .batch = {1, 2},
          .value = ~n};
}

/// Without what the recorder adds.
event plain(event e) {
  e.check = 0;
  e.time_ns = 0;
  return e;
}

std::vector<process_history> read(const fs::path& path) { return read_history(std::vector{path}); }

std::string refusal(const fs::path& path) {
  try {
    read(path);
  } catch (const error& e) {
    return e.what();
  }
  return "";
}

fs::path recorded(const scratch_folder& folder, std::uint64_t events,
                  const std::string& name = "a.part") {
  const auto file = folder.path() / name;
  file_recorder r({.file = file, .name = "node of process 7", .records_at_a_time = 64});
  for (std::uint64_t n = 0; n < events; ++n) r.record(numbered(n));
  return file;
}

} // namespace

TEST_CASE("HISTORY-1: what was recorded is read back, over any number of chunks") {
  for (const std::uint64_t events : {0, 1, 62, 63, 64, 65, 1000}) {
    INFO(events);
    const scratch_folder folder;
    const auto file = recorded(folder, events);
    CHECK(fs::file_size(file) == 64 * (events + 1));
    const auto all = read(file);
    REQUIRE(all.size() == 1);
    CHECK(all[0].name == "node of process 7");
    CHECK(all[0].complete);
    REQUIRE(all[0].events.size() == events);
    bool same = true, timed = true;
    for (std::uint64_t n = 0; n < events; ++n) {
      same = same && plain(all[0].events[n]) == numbered(n);
      timed = timed && all[0].events[n].time_ns > 0 &&
              (n == 0 || all[0].events[n].time_ns >= all[0].events[n - 1].time_ns);
    }
    CHECK(same);
    CHECK(timed);
  }
}

TEST_CASE("a folder's parts are read by name, and merged into one file they are the same") {
  const scratch_folder folder;
  recorded(folder, 3, "b.part");
  recorded(folder, 2, "a.part");
  folder.write("not a part.txt", "x");
  auto all = read(folder.path());
  REQUIRE(all.size() == 2);
  CHECK(all[0].events.size() == 2);
  CHECK(all[1].events.size() == 3);
  all[1].complete = false;
  const auto merged = folder.path() / "run.history";
  write_history(merged, all);
  CHECK_FALSE(fs::exists(folder.path() / "run.history.tmp"));
  const auto again = read(merged);
  REQUIRE(again.size() == 2);
  CHECK(again[0].complete);
  CHECK_FALSE(again[1].complete);
  for (std::size_t p = 0; p < 2; ++p) {
    CHECK(again[p].name == all[p].name);
    const bool same = again[p].events == all[p].events;
    CHECK(same);
  }
  CHECK(read_history(std::vector{merged, folder.path()}).size() == 4);
}

TEST_CASE("HISTORY-1: a file with any bit flipped is refused by its name, or is the same") {
  const scratch_folder folder;
  sample_history sample;
  const auto file = folder.path() / "run.history";
  write_history(file, sample.processes);
  const auto bytes = read_bytes(file);
  const auto whole = read(file);
  std::mt19937_64 random{1};
  for (int i = 0; i < 2000; ++i) {
    auto damaged = bytes;
    const auto at = random() % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    const auto path = folder.write("damaged", damaged);
    INFO("byte " << at);
    CHECK_THAT(refusal(path), Catch::Contains(path.string()));
  }
}

TEST_CASE(
    "HISTORY-1: a file that is cut off anywhere is refused, and so is one with more behind it") {
  const scratch_folder folder;
  sample_history sample;
  const auto file = folder.path() / "run.history";
  write_history(file, sample.processes);
  const auto bytes = read_bytes(file);
  for (std::size_t size = 0; size < bytes.size(); size += size < 200 ? 1 : 37) {
    INFO(size);
    const auto path = folder.write("cut", bytes.substr(0, size));
    CHECK_THAT(refusal(path), Catch::Contains(path.string()));
  }
  CHECK_THAT(refusal(folder.write("longer", bytes + "x")),
             Catch::Contains("behind the last record"));
  CHECK_THAT(refusal(folder.write("other", "something else entirely, and long enough for a header "
                                           "of sixty-four bytes")),
             Catch::Contains("not a history"));
  CHECK_THAT(refusal(folder.path() / "absent"), Catch::Contains("cannot be read: No such file"));
}

TEST_CASE(
    "HISTORY-2: the part of a process that was killed before it wrote anything says nothing") {
  const scratch_folder folder;
  recorded(folder, 3, "node-7-1.part");
  folder.write("node-8-1.part", "");
  folder.write("node-9-1.part", std::string(3 * 64, '\0'));
  const auto all = read(folder.path());
  REQUIRE(all.size() == 3);
  CHECK(all[0].events.size() == 3);
  for (std::size_t p : {1, 2}) {
    CHECK(all[p].events.empty());
    CHECK(all[p].complete);
  }
  CHECK(all[1].name == "node-8-1");
  CHECK(all[2].name == "node-9-1");
  const auto merged = folder.path() / "run.history";
  write_history(merged, all);
  CHECK(read(merged).size() == 3);
  // Something is in it; and what is no part has a header.
  auto begun = std::string(3 * 64, '\0');
  begun.back() = 1;
  CHECK_THAT(refusal(folder.write("node-9-2.part", begun)), Catch::Contains("not a history"));
  CHECK_THAT(refusal(folder.write("other.history", "")), Catch::Contains("not a history"));
}

TEST_CASE("a file of another version or with a bad record says so, and where") {
  const scratch_folder folder;
  auto bytes = read_bytes(recorded(folder, 3));
  auto other = bytes;
  other[8] = 9;
  CHECK_THAT(refusal(folder.write("other", other)),
             Catch::Contains("format version: expected 1, found 9"));
  bytes[64 * 2 + 20] ^= 1;
  CHECK_THAT(refusal(folder.write("bad", bytes)),
             Catch::Contains("damaged at byte 128: a record whose checksum differs"));
  const scratch_folder empty;
  CHECK_THAT(refusal(empty.path()), Catch::Contains("expected a part of a history, found none"));
}

TEST_CASE("records that change places are noticed") {
  const scratch_folder folder;
  auto bytes = read_bytes(recorded(folder, 4));
  std::swap_ranges(bytes.begin() + 64, bytes.begin() + 128, bytes.begin() + 128);
  CHECK_THAT(refusal(folder.write("swapped", bytes)), Catch::Contains("checksum differs"));
}

TEST_CASE("a recorder does not write over a file, and says why it cannot make one") {
  const scratch_folder folder;
  const auto file = folder.write("there.part", "mine");
  CHECK_THROWS_WITH(file_recorder({.file = file, .name = "x"}), Catch::Contains("File exists"));
  CHECK(read_bytes(file) == "mine");
  CHECK_THROWS_WITH(file_recorder({.file = folder.path() / "no/where.part", .name = "x"}),
                    Catch::Contains("No such file"));
}
