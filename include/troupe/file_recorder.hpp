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

/// Records events in a file, from any number of threads. A record is written through a shared
/// mapping into the page cache. This needs no system call and no lock, and takes about as long as
/// reading the clock.
///
/// FILE-1  If the process is killed, every event whose record() call had returned is in the file,
///         because the page cache outlives the process. (It does not outlive the machine: nothing
///         is flushed to disk.) The header is written first.
/// FILE-2  A reader recognises a record that was being written when the process was killed, and
///         leaves it out. The records of other threads before and after it are in the file.
/// FILE-3  If the disk is full, recording stops, `on_stop` is called once, and the file says so.
///         The caller of record() gets no error. Space is reserved before it is written to.
///
/// docs/reference/history.md gives the bytes. record() may be called concurrently; no other member
/// may.
class file_recorder : public recorder {
 public:
  struct options {
    std::filesystem::path file; ///< must not exist
    std::string name;           ///< of the process, for messages; at most 19 bytes are kept
    std::uint64_t records_at_a_time = 1u << 16; ///< the file grows by so many; a power of 2, >= 64
    std::uint64_t records_max = std::uint64_t{1} << 30;
    std::function<void(std::string)> on_stop =
        nullptr; ///< called with the reason when recording stopped, from a recording thread
  };

  /// Creates the file. Throws `error` if the file exists or cannot be created.
  explicit file_recorder(options o);
  /// Cuts the file to its written length and marks it as complete.
  ~file_recorder() override;
  file_recorder(const file_recorder&) = delete;
  file_recorder& operator=(const file_recorder&) = delete;

  void record(const event& e) noexcept override;

  /// Number of events recorded so far.
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
