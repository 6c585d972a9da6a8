#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "troupe/recorder.hpp"

namespace troupe::history {

/// Takes down events in a file, from any number of threads. A record is written straight into the
/// page cache through a shared mapping: no system call, no lock, about as long as reading the
/// clock.
///
/// FILE-1  What record() was called with before this process was killed is in the file; the page
///         cache outlives the process. (Not the machine: nothing is flushed to disk.) The header is
///         the first thing written.
/// FILE-2  A record that was being written when the process was killed is recognised and left out;
///         those of other threads before and after it are there.
/// FILE-3  When the disk is full recording stops, this is told once, and the file says so; the
///         caller of record() notices nothing. Room is taken before it is written to.
///
/// docs/reference/history.md has the bytes. record() may be called concurrently; nothing else may.
class file_recorder : public recorder {
 public:
  struct options {
    std::filesystem::path file; ///< must not exist
    std::string name;           ///< of the process, for messages; at most 19 bytes are kept
    std::uint64_t records_at_a_time = 1u << 16; ///< the file grows by so many; a power of 2, >= 64
    std::uint64_t records_max = std::uint64_t{1} << 30;
    std::function<void(std::string)> on_stop =
        nullptr; ///< recording stopped: why; from a recording thread
  };

  /// Makes the file. Throws error.
  explicit file_recorder(options o);
  /// Cuts the file to what was written and marks it as whole.
  ~file_recorder() override;
  file_recorder(const file_recorder&) = delete;
  file_recorder& operator=(const file_recorder&) = delete;

  void record(const event& e) noexcept override;

  std::uint64_t recorded() const noexcept;
  /// FILE-3
  bool stopped() const noexcept { return stopped_.load(std::memory_order_relaxed); }

 private:
  std::byte* chunk(std::uint64_t number) noexcept;
  std::byte* grow(std::uint64_t number) noexcept;
  void stop(const std::string& why) noexcept;
  bool write_header(bool closed, std::uint64_t count) noexcept;

  options options_;
  int fd_ = -1;
  std::uint64_t chunk_bytes_ = 0;
  unsigned chunk_shift_ = 0;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> stopped_{false};
  std::unique_ptr<std::atomic<std::byte*>[]> chunks_;
  std::uint64_t chunk_count_ = 0;
  std::mutex growing_;
};

} // namespace troupe::history
