#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "troupe/chaos/fault.hpp"
#include "troupe/random.hpp"
#include "troupe/storage/file_system.hpp"

namespace troupe::chaos {

/// A machine's disk in memory, with a power switch. It outlives the processes that use it.
///
/// DISK-1  Without faults it is a file system as storage::file_system says.
/// DISK-2  When the power goes, what was synced stays. Of a file that was written and not synced
///         there is, as chance has it, the old content, the new one, a part of the new one, or the
///         new one with some sectors of the old. A name that was made, changed or removed is as
///         before or as after, until its folder is synced.
/// DISK-3  The same draws and the same calls give the same content (SIM-1).
class simulated_disk : public storage::file_system {
 public:
  /// `wait` is called with the time that an operation takes on a slow disk: simulation::busy.
  simulated_disk(std::uint64_t seed, std::uint64_t stream, std::function<void(sim_time)> wait);

  // -- faults -------------------------------------------------------------------------------------
  void lose_power();
  /// Nothing can be written: half of the content is there, then "No space left on device".
  void set_full(bool full) noexcept { full_ = full; }
  /// Each operation takes up to so long; 0: no time.
  void set_slow(sim_time longest) noexcept { slow_ = longest; }
  /// One bit of a file, if there is any; and while `also_later`, of every second one written.
  void flip_bit();
  void set_flipping(bool also_later) noexcept { flipping_ = also_later; }

  // -- storage::file_system ------------------------------------------------------------------------
  status look(const std::filesystem::path& path) override;
  std::vector<std::string> list(const std::filesystem::path& folder) override;
  std::size_t read(const std::filesystem::path& file, std::span<std::byte> bytes) override;
  void write(const std::filesystem::path& file, std::span<const std::byte> bytes) override;
  void sync(const std::filesystem::path& file) override;
  void rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  void sync_folder(const std::filesystem::path& folder) override;
  void make_folder(const std::filesystem::path& folder) override;
  bool remove(const std::filesystem::path& file) override;
  void remove_all(const std::filesystem::path& path) override;

 private:
  using content = std::vector<std::byte>;
  struct node {
    content now;
    content synced;
    bool dirty = false;
  };
  using names = std::map<std::string, std::shared_ptr<node>>; // by path

  void operate();
  std::shared_ptr<node> find(const std::filesystem::path& file) const;
  content after_power_loss(const node& n);
  static void flip(content& c, tensor::generator& random);

  tensor::generator random_;
  std::function<void(sim_time)> wait_;
  bool full_ = false;
  bool flipping_ = false;
  sim_time slow_{};
  names now_;
  names synced_;
  std::set<std::string> folders_;
};

} // namespace troupe::chaos
