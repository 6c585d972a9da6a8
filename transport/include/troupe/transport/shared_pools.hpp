#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "troupe/values/aligned.hpp"

/// Memory that processes of one host share, so that bytes go from one process to another with a
/// single copy, or none. Knows no CAF.
namespace troupe::transport {

/// The place of bytes in a pool, in the form in which a message carries it to another process.
struct shared_descriptor {
  std::uint32_t process = 0; ///< the process that made the pool
  std::uint32_t file = 0;    ///< its descriptor there
  std::uint64_t token = 0;   ///< of the pool, random
  std::uint32_t slot = 0;
  std::uint32_t offset = 0; ///< within the slot
  std::uint32_t size = 0;
  friend bool operator==(const shared_descriptor&, const shared_descriptor&) = default;
};

/// Bytes in a pool. They do not change while `owner` is held.
struct shared_bytes {
  std::shared_ptr<const void> owner;
  const std::byte* data = nullptr;
  std::uint32_t size = 0;
};

/// The pool that a process fills and those of other processes that it reads. Each actor system has
/// such pools of its own, and hands them to the code that uses them. A pool is a file in memory
/// without a name, cut into slots. Each slot counts its holders in all processes:
///
///     filled by copy()        read in another process
///       slot: 1 holder
///       lend(): 2 holders  -- descriptor in a message -->  open(): takes the second over
///       let go: 1 holder                                   lends it on, or lets go: it is free
///
/// POOL-1  Only the process of a pool writes a slot, and only while the slot has no holder. So
///         bytes do not change under a reader, even if the reader was stopped for an hour.
/// POOL-2  A killed holder, or a descriptor that was lost on its way, leaves its slot taken. If no
///         slot is free and the pool is older than `pool_patience`, another pool takes its place.
///         The old pool is gone when its last holder lets go.
/// POOL-3  A descriptor is accepted only if the file has this pool's form and token and the bytes
///         lie within a slot. The file cannot shrink under a reader (sealed).
/// POOL-4  Nothing stays behind: the file ends with the processes that have it open, and a reader
///         closes the pools of processes that ended (`sweep`).
/// POOL-5  An array (`arrays`) is a run of slots. Only the owner writes to an array, and only while
///         `held_elsewhere` is false. Parts of an array that lie within a slot are lent like
///         copies. When the array ends, the parts that other processes hold stay taken until these
///         let go. Arrays have at most three quarters of a pool's slots.
///
/// Thread-safe.
class shared_pools {
 public:
  struct options {
    std::uint32_t slots = 1024;          ///< memory is taken only as slots are used
    std::uint32_t slot_bytes = 1u << 20; ///< a multiple of 4096
    std::uint64_t pool_patience_ms = 5'000;
    std::uint32_t least_array_bytes = 32 * 1024; ///< smaller arrays lie on the heap
  };

  shared_pools() : shared_pools(options{}) {}
  explicit shared_pools(options o);
  ~shared_pools();
  shared_pools(const shared_pools&) = delete;
  shared_pools& operator=(const shared_pools&) = delete;

  /// Nothing is shared before: there is nothing to share in one process with all its peers, or
  /// under simulated time.
  void enable();
  /// From now on this process neither shares nor says that it can. What it lent stays readable.
  void disable() noexcept;

  /// Who this process is to others that may share memory with it: its host, its user and its
  /// number; 0 while it shares nothing.
  std::uint64_t key() const noexcept;
  /// Whether a process of this key may be able to read this process's pool: same host and user,
  /// another process.
  bool shares_with(std::uint64_t key) const noexcept;

  /// Copies at most a slot's bytes into the pool. Returns none if no slot is free or the pool
  /// cannot be made.
  std::optional<shared_bytes> copy(std::span<const std::byte> bytes);
  /// Memory for arrays that other processes of the host can read without a copy, or of the heap:
  /// for less than `least_array_bytes`, while this process shares nothing, and when the pool is
  /// full. A child of fork() has the same arrays, not copies, and must neither write nor end them.
  tensor::memory_source& arrays() noexcept { return arrays_source_; }
  /// Whether another process holds a part of the array that begins here.
  bool held_elsewhere(const void* array) const;
  /// Whether the array that begins here lies in a pool that was replaced. A new array would be
  /// shared again.
  bool outdated(const void* array) const;
  /// The number of bytes from here on in one slot of this process's pool; 0 outside the pool.
  std::uint32_t left_in_slot(const std::byte* data) const;

  /// Whether these bytes lie in a pool, of this process or another.
  bool contains(const std::byte* data) const;
  /// Whether `lend` would lend these bytes: they lie in one slot of a pool that can still be
  /// opened.
  bool can_lend(std::span<const std::byte> bytes) const;
  /// Lends the bytes: the process that opens the descriptor becomes a holder too. Returns none if
  /// `can_lend` is false.
  std::optional<shared_descriptor> lend(std::span<const std::byte> bytes);
  /// Opens the bytes that another process lent. Call it once for a descriptor. Returns none if the
  /// bytes cannot be had here (another host, a process that has ended, a descriptor that fits
  /// nothing).
  std::optional<shared_bytes> open(const shared_descriptor& d);

  /// Closes the pools of processes that ended or made another pool.
  void sweep();

  /// Figures for tests.
  std::uint32_t free_slots() const;
  std::size_t pools_open() const;

 private:
  class pool;
  using pool_ptr = std::shared_ptr<pool>;
  struct array {
    pool_ptr in;
    std::uint32_t first_slot;
    std::uint32_t slots;
  };
  class array_source final : public tensor::memory_source {
   public:
    explicit array_source(shared_pools& pools) : pools_(pools) {}
    void* allocate(std::size_t bytes) override;
    void deallocate(void* p, std::size_t bytes) noexcept override;

   private:
    shared_pools& pools_;
  };

  bool have_own();
  void* take_array(std::size_t bytes);
  bool give_back(void* array) noexcept;

  shared_bytes bytes_of(const pool_ptr& p, const shared_descriptor& d) const;
  pool_ptr pool_at(const std::byte* data) const;

  const options options_;
  mutable std::mutex mutex_;
  std::uint64_t key_ = 0;
  pool_ptr own_;
  std::vector<pool_ptr> open_; // of other processes
  std::map<const void*, array> arrays_;
  array_source arrays_source_{*this};
};

/// The key to tell others; 0 without pools.
inline std::uint64_t key_of(const shared_pools* pools) noexcept {
  return pools != nullptr ? pools->key() : 0;
}

} // namespace troupe::transport
