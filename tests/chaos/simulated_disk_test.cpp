#include "troupe/chaos/simulated_disk.hpp"

#include <algorithm>
#include <bit>
#include <optional>

#include <catch2/catch.hpp>

#include "troupe/values/error.hpp"

namespace troupe::chaos {

namespace {

using bytes = std::vector<std::byte>;

bytes of(std::size_t size, int value) { return bytes(size, static_cast<std::byte>(value)); }

struct disk_stage {
  explicit disk_stage(std::uint64_t seed = 1)
      : disk(seed, 0, [this](sim_time length) { waited += length; }) {
    disk.make_folder("/run/a");
  }
  std::optional<bytes> content(const char* path) {
    const auto found = disk.look(path);
    if (found.what != storage::file_system::status::kind::file) return std::nullopt;
    bytes result(found.size);
    CHECK(disk.read(path, result) == found.size);
    return result;
  }

  sim_time waited{};
  simulated_disk disk;
};

} // namespace

TEST_CASE("DISK-1: files are written, renamed, listed and removed") {
  disk_stage s;
  s.disk.write("/run/a/x", of(3, 1));
  s.disk.write("/run/a/y", of(2, 2));
  s.disk.rename("/run/a/y", "/run/a/z");
  CHECK(s.content("/run/a/x") == of(3, 1));
  CHECK(s.content("/run/a/z") == of(2, 2));
  auto names = s.disk.list("/run/a");
  std::ranges::sort(names);
  CHECK(names == std::vector<std::string>{"x", "z"});
  CHECK(s.disk.list("/run") == std::vector<std::string>{"a"});
  CHECK(s.disk.list("/nowhere").empty());
  CHECK(s.disk.remove("/run/a/x"));
  CHECK(!s.disk.remove("/run/a/x"));
  s.disk.remove_all("/run/a");
  CHECK(!s.disk.exists("/run/a/z"));
  CHECK(!s.disk.exists("/run/a"));
  CHECK_THROWS_AS(s.disk.write("/run/a/x", of(1, 1)), tensor::error);
  CHECK_THROWS_AS(s.disk.sync("/run/x"), tensor::error);
}

TEST_CASE("DISK-2: what was synced survives a loss of power") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    disk_stage s(seed);
    storage::replace_file(s.disk, "/run/a/x", of(2000, 1));
    s.disk.lose_power();
    CHECK(s.content("/run/a/x") == of(2000, 1));
    CHECK(s.disk.list("/run/a").size() == 1);
  }
}

TEST_CASE("DISK-2: of what was not synced there is anything, and everything happens") {
  std::size_t old = 0, whole = 0, torn = 0, mixed = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    disk_stage s(seed);
    storage::replace_file(s.disk, "/run/a/x", of(2048, 1));
    s.disk.write("/run/a/x", of(2048, 2)); // in place: no protocol at all
    s.disk.lose_power();
    const auto c = s.content("/run/a/x");
    REQUIRE(c);
    const auto ones = std::ranges::count(*c, std::byte{1});
    if (*c == of(2048, 1))
      ++old;
    else if (*c == of(2048, 2))
      ++whole;
    else if (c->size() < 2048)
      ++torn;
    else if (ones > 0 && ones % 512 == 0)
      ++mixed;
  }
  CHECK(old > 20);
  CHECK(whole > 20);
  CHECK(torn > 20);
  CHECK(mixed > 20);
  CHECK(old + whole + torn + mixed == 200);
}

TEST_CASE("DISK-2: a rename whose folder was not synced may not have happened") {
  std::size_t before = 0, after = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    disk_stage s(seed);
    storage::replace_file(s.disk, "/run/a/x", of(10, 1));
    s.disk.write("/run/a/y", of(10, 2));
    s.disk.sync("/run/a/y");
    s.disk.rename("/run/a/y", "/run/a/x");
    s.disk.lose_power();
    const auto c = s.content("/run/a/x");
    before += c == of(10, 1);
    after += c == of(10, 2);
  }
  CHECK(before + after == 50);
  CHECK(before > 10);
  CHECK(after > 10);
}

TEST_CASE("a full disk refuses, and leaves a part") {
  disk_stage s;
  s.disk.set_full(true);
  CHECK_THROWS_WITH(s.disk.write("/run/a/x", of(10, 1)),
                    Catch::Contains("No space left on device"));
  CHECK(s.content("/run/a/x") == of(5, 1));
  CHECK_THROWS_AS(storage::replace_file(s.disk, "/run/a/y", of(10, 1)), tensor::error);
  CHECK(s.disk.list("/run/a") == std::vector<std::string>{"x"}); // the temporary is gone
  s.disk.set_full(false);
  storage::replace_file(s.disk, "/run/a/y", of(10, 1));
  CHECK(s.content("/run/a/y") == of(10, 1));
}

TEST_CASE("flipped bits: one in a file that is there, and in every second one that is written") {
  disk_stage s;
  const auto differs = [&](const char* path) {
    std::size_t bits = 0;
    const auto c = s.content(path);
    REQUIRE(c);
    for (auto b : *c) bits += static_cast<std::size_t>(std::popcount(std::to_integer<unsigned>(b)));
    return bits;
  };
  s.disk.flip_bit(); // there is none
  s.disk.write("/run/a/x", of(100, 0));
  s.disk.flip_bit();
  CHECK(differs("/run/a/x") == 1);
  s.disk.set_flipping(true);
  std::size_t flipped = 0;
  for (int i = 0; i < 100; ++i) {
    s.disk.write("/run/a/y", of(100, 0));
    flipped += differs("/run/a/y");
  }
  CHECK(flipped > 25);
  CHECK(flipped < 75);
}

TEST_CASE("operations of a slow disk take time") {
  disk_stage s;
  s.disk.write("/run/a/x", of(10, 1));
  CHECK(s.waited == sim_time{});
  s.disk.set_slow(std::chrono::milliseconds(500));
  for (int i = 0; i < 10; ++i) s.disk.sync("/run/a/x");
  CHECK(s.waited > std::chrono::milliseconds(500));
}

} // namespace troupe::chaos
