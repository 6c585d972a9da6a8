#include "troupe/transport/shared_pools.hpp"

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

namespace troupe::transport {
namespace {

constexpr shared_pools::options four_slots{4, 4096, 1u << 30, 32 * 1024};

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

// Of ints; a slot of `eight_slots` has 1024.
using int_array = tensor::aligned_vector<int>;
constexpr shared_pools::options eight_slots{8, 4096, 1u << 30, 4096};

int_array array_in(shared_pools& pools, std::size_t size, int value = 0) {
  return int_array(size, value, tensor::aligned_allocator<int>{pools.arrays()});
}

std::span<const std::byte> part_of(const int_array& a, std::size_t first, std::size_t size) {
  return std::as_bytes(std::span(a).subspan(first, size));
}

TEST_CASE("an array is read where it lies, and is its owner's to write when all let go (POOL-5)") {
  shared_pools here{eight_slots}, there{eight_slots};
  here.enable();
  auto array = array_in(here, 2500, 7); // three slots
  CHECK(here.free_slots() == 5);
  CHECK(here.contains(part_of(array, 2499, 1).data()));
  CHECK_FALSE(here.held_elsewhere(array.data()));
  CHECK(here.left_in_slot(part_of(array, 0, 1).data()) == 4096);
  CHECK(here.left_in_slot(part_of(array, 1034, 1).data()) == 4096 - 40);
  CHECK_FALSE(here.lend(part_of(array, 1000, 100))); // of two slots
  CHECK_FALSE(here.can_lend(part_of(array, 1000, 100)));
  CHECK(here.can_lend(part_of(array, 1000, 24)));

  auto d = here.lend(part_of(array, 1024, 1024)); // the second
  REQUIRE(d);
  CHECK(here.held_elsewhere(array.data())); // on its way
  auto found = there.open(*d);
  array[1024] = 8; // the same memory: only to see that nothing was copied
  CHECK(values_of(*found)[0] == 8);
  found.reset();
  CHECK_FALSE(here.held_elsewhere(array.data()));
  array = int_array{};
  CHECK(here.free_slots() == 8);
}

TEST_CASE("what somebody holds of an array outlives it, and its slot is nobody else's (POOL-5)") {
  shared_pools here{eight_slots}, there{eight_slots};
  here.enable();
  std::optional<shared_bytes> found;
  {
    auto array = array_in(here, 3000, 7);
    found = there.open(*here.lend(part_of(array, 2048, 500)));
  }
  CHECK(here.free_slots() == 7);
  for (int i = 0; i < 7; ++i) CHECK(here.copy(bytes_of(std::vector<int>(1024, 9))));
  CHECK(values_of(*found) == std::vector<int>(500, 7));
  auto next = array_in(here, 5000, 1); // a run without that slot
  CHECK(here.contains(part_of(next, 0, 1).data()));
  CHECK(values_of(*found) == std::vector<int>(500, 7));
  found.reset();
  CHECK(here.free_slots() == 3);
}

TEST_CASE("an array whose pool was replaced says so, and the next one lies in the new pool") {
  auto o = eight_slots;
  o.pool_patience_ms = 0;
  shared_pools here{o};
  here.enable();
  std::optional<int_array> array = array_in(here, 4096, 7);
  for (int i = 0; i < 3; ++i) // descriptors that never arrive
    REQUIRE(here.lend({here.copy(bytes_of({i}))->data, sizeof(int)}));
  CHECK_FALSE(here.outdated(array->data()));
  auto next = array_in(here, 2048, 8); // no run of two is left
  CHECK(here.contains(part_of(next, 0, 1).data()));
  CHECK(here.outdated(array->data()));
  CHECK_FALSE(here.can_lend(part_of(*array, 0, 1)));
  CHECK((*array)[4095] == 7);
  CHECK_FALSE(here.outdated(next.data()));
  array.reset();
  CHECK(here.free_slots() == 6);
}

TEST_CASE("arrays lie on the heap when they are small, when none are shared, and when there are "
          "many (POOL-5)") {
  shared_pools pools{eight_slots};
  CHECK_FALSE(pools.contains(part_of(array_in(pools, 1024), 0, 1).data())); // not enabled
  pools.enable();
  CHECK_FALSE(pools.contains(part_of(array_in(pools, 1023), 0, 1).data()));
  auto most = array_in(pools, 6 * 1024);
  CHECK(pools.contains(part_of(most, 0, 1).data()));
  auto heap = array_in(pools, 1024, 3);
  CHECK_FALSE(pools.contains(part_of(heap, 0, 1).data()));
  CHECK(pools.left_in_slot(part_of(heap, 0, 1).data()) == 0);
  CHECK_FALSE(pools.held_elsewhere(heap.data()));
  CHECK(pools.copy(bytes_of({1}))); // there is room left for copies
  auto copied = most;               // as a vector copies: onto the heap
  CHECK_FALSE(pools.contains(part_of(copied, 0, 1).data()));
  std::swap(most, heap);
  CHECK(pools.contains(part_of(heap, 0, 1).data()));
  most = std::move(heap);
  CHECK(pools.contains(part_of(most, 0, 1).data()));
  pools.disable();
  CHECK_FALSE(pools.contains(part_of(array_in(pools, 1024), 0, 1).data()));
}

TEST_CASE("threads that take, lend, open and let go disturb nobody") {
  shared_pools here{eight_slots}, there{four_slots};
  here.enable();
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
        found.reset();
        auto array = array_in(here, 1024, i);
        if (auto lent = here.lend(part_of(array, 0, 1024))) found = there.open(*lent);
        if (found && values_of(*found) != std::vector<int>(1024, i)) ++wrong;
        found.reset();
        if (here.held_elsewhere(array.data())) ++wrong;
      }
    });
  threads.clear();
  CHECK(wrong == 0);
  CHECK(done > 0);
  CHECK(here.free_slots() == 8);
}

} // namespace
} // namespace troupe::transport
