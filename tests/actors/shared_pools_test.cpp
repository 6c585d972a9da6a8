#include "troupe/actors/shared_pools.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::actors {
namespace {

constexpr shared_pools::options four_slots{4, 4096, 1u << 30};

std::span<const std::byte> bytes_of(const std::vector<int>& values) {
  return std::as_bytes(std::span(values));
}

std::vector<int> values_of(const shared_bytes& b) {
  std::vector<int> values(b.size / sizeof(int));
  std::memcpy(values.data(), b.data, b.size);
  return values;
}

// A process that makes a pool, lends one slot of it through a pipe, and then waits to be killed.
class other_process {
 public:
  explicit other_process(const std::vector<int>& values) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      shared_pools pools{four_slots};
      pools.enable();
      auto copy = pools.copy(bytes_of(values));
      auto d = pools.lend({copy->data, copy->size});
      auto n = ::write(ends[1], &*d, sizeof *d);
      for (;;) ::pause(); // until it is killed
      static_cast<void>(n);
    }
    ::close(ends[1]);
    shared_descriptor d;
    const auto n = ::read(ends[0], &d, sizeof d);
    REQUIRE(n == sizeof d);
    lent = d;
    ::close(ends[0]);
  }
  ~other_process() { kill(); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  shared_descriptor lent;

 private:
  pid_t pid_ = 0;
};

TEST_CASE("bytes that one process lends are read by another") {
  const std::vector<int> values{3, 1, 4, 1, 5};
  other_process other{values};
  shared_pools pools{four_slots};
  auto found = pools.open(other.lent);
  REQUIRE(found);
  CHECK(values_of(*found) == values);
  CHECK(pools.contains(found->data));
}

TEST_CASE("what was opened stays readable when its process is killed, and then goes (POOL-4)") {
  const std::vector<int> values{2, 7, 1};
  other_process other{values};
  shared_pools pools{four_slots};
  auto found = pools.open(other.lent);
  REQUIRE(found);
  CHECK(pools.pools_open() == 1);
  pools.sweep();
  CHECK(pools.pools_open() == 1);
  other.kill();
  pools.sweep();
  CHECK(pools.pools_open() == 0);
  CHECK(values_of(*found) == values);
  CHECK_FALSE(pools.open(other.lent));
  // Nobody else could open it any more, so it is not lent on.
  CHECK_FALSE(pools.lend({found->data, found->size}));
}

TEST_CASE("a slot is free again when everybody has let go of it (POOL-1)") {
  shared_pools here{four_slots}, there{four_slots};
  here.enable();
  auto copy = here.copy(bytes_of({1, 2}));
  CHECK(here.free_slots() == 3);
  auto d = here.lend({copy->data, copy->size});
  copy.reset();
  CHECK(here.free_slots() == 3); // on its way
  auto found = there.open(*d);
  auto further = there.lend({found->data, found->size});
  found.reset();
  CHECK(here.free_slots() == 3); // on its way to a third
  auto last = there.open(*further);
  CHECK(values_of(*last) == std::vector<int>{1, 2});
  last.reset();
  CHECK(here.free_slots() == 4);
}

TEST_CASE("without a free slot nothing is copied, until the pool is replaced (POOL-2)") {
  auto o = four_slots;
  shared_pools patient{o};
  std::vector<shared_bytes> held;
  for (int i = 0; i < 4; ++i) held.push_back(*patient.copy(bytes_of({i})));
  CHECK_FALSE(patient.copy(bytes_of({9})));

  o.pool_patience_ms = 0;
  shared_pools here{o}, there{four_slots};
  held.clear();
  for (int i = 0; i < 4; ++i) {
    held.push_back(*here.copy(bytes_of({i})));
    // Descriptors that never arrive.
    REQUIRE(here.lend({held.back().data, held.back().size}));
  }
  auto before = there.open(*here.lend({held[0].data, held[0].size}));
  auto next = here.copy(bytes_of({9}));
  REQUIRE(next);
  CHECK(here.free_slots() == 3);
  CHECK(values_of(*before) == std::vector<int>{0}); // the old pool is there for those who hold it
  CHECK(there.pools_open() == 1);
  there.sweep();
  CHECK(there.pools_open() == 0);
}

TEST_CASE("a slot that nobody else holds is taken again, and one that is held never") {
  shared_pools pools{four_slots};
  auto kept = pools.copy(bytes_of({42}));
  for (int i = 0; i < 100; ++i) {
    auto other = pools.copy(bytes_of({i}));
    REQUIRE(other);
    CHECK(other->data != kept->data);
  }
  CHECK(values_of(*kept) == std::vector<int>{42});
}

TEST_CASE("a descriptor that fits nothing is refused (POOL-3)") {
  other_process other{{1, 2, 3}};
  shared_pools pools{four_slots};
  auto changed = [&](auto change) {
    auto d = other.lent;
    change(d);
    return pools.open(d).has_value();
  };
  CHECK_FALSE(changed([](auto& d) { ++d.token; }));
  CHECK_FALSE(changed([](auto& d) { d.file = 0; }));
  CHECK_FALSE(changed([](auto& d) { d.file = 12345; }));
  CHECK_FALSE(changed([](auto& d) { d.process = 1; }));
  CHECK_FALSE(changed([](auto& d) { d.process = 0x7fffffff; }));
  CHECK_FALSE(changed([](auto& d) { d.slot = 4; }));
  CHECK_FALSE(changed([](auto& d) { d.offset = 4097; }));
  CHECK_FALSE(changed([](auto& d) { d.size = 4097; }));
  CHECK_FALSE(changed([](auto& d) { d.offset = 4090; }));
  CHECK(changed([](auto&) {}));
}

TEST_CASE("a file that could shrink under a reader, or is no pool, is refused (POOL-3)") {
  shared_pools pools{four_slots};
  const int file = ::memfd_create("no pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(::ftruncate(file, 1 << 16) == 0);
  const shared_descriptor d{
      static_cast<std::uint32_t>(::getpid()), static_cast<std::uint32_t>(file), 0, 0, 0, 8};
  CHECK_FALSE(pools.open(d));
  ::close(file);
}

TEST_CASE("more than a slot holds is not copied, and nothing neither") {
  shared_pools pools{four_slots};
  CHECK_FALSE(pools.copy(bytes_of(std::vector<int>(1025))));
  CHECK(pools.copy(bytes_of(std::vector<int>(1024))));
  CHECK_FALSE(pools.copy({}));
}

TEST_CASE("bytes elsewhere are not lent") {
  shared_pools pools{four_slots};
  const std::vector<int> values{1};
  CHECK_FALSE(pools.contains(bytes_of(values).data()));
  CHECK_FALSE(pools.lend(bytes_of(values)));
}

TEST_CASE("a process shares with others of its host and user, once it is enabled") {
  shared_pools pools{four_slots};
  CHECK(pools.key() == 0);
  CHECK_FALSE(pools.shares_with(77));
  pools.enable();
  const auto key = pools.key();
  REQUIRE(key != 0);
  CHECK_FALSE(pools.shares_with(0));
  CHECK_FALSE(pools.shares_with(key)); // itself
  CHECK(pools.shares_with(key ^ 1));   // another number, the same host
  CHECK_FALSE(pools.shares_with(key ^ (std::uint64_t{1} << 40)));
  pools.disable();
  CHECK(pools.key() == 0);
  CHECK_FALSE(pools.shares_with(key ^ 1));
}

TEST_CASE("threads that take, lend, open and let go disturb nobody") {
  shared_pools here{{8, 4096, 1u << 30}}, there{four_slots};
  std::atomic<int> wrong{0}, done{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const std::vector<int> values(1000, t * 10'000 + i);
        auto copy = here.copy(bytes_of(values));
        if (!copy) continue;
        auto d = here.lend({copy->data, copy->size});
        copy.reset();
        auto found = there.open(*d);
        if (!found || values_of(*found) != values) ++wrong;
        ++done;
      }
    });
  threads.clear();
  CHECK(wrong == 0);
  CHECK(done > 0);
  CHECK(here.free_slots() == 8);
}

} // namespace
} // namespace troupe::actors
