#include "troupe/file_recorder.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file_format.hpp"
#include "troupe/history_file.hpp"

namespace troupe::history {

namespace {

std::string reason(int number) { return std::generic_category().message(number); }

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace

// The header takes the place of record 0, so that every chunk begins at a page. It is written
// before anything that takes time: a process that is killed meanwhile leaves its name.
file_recorder::file_recorder(options o) : options_(std::move(o)) {
  const auto at_a_time = std::bit_ceil(std::max<std::uint64_t>(options_.records_at_a_time, 64));
  chunk_shift_ = static_cast<unsigned>(std::countr_zero(at_a_time));
  chunk_bytes_ = at_a_time * record_size;
  chunk_count_ = std::max<std::uint64_t>(options_.records_max >> chunk_shift_, 1);
  chunks_ = std::make_unique<std::atomic<std::byte*>[]>(chunk_count_);
  fd_ = ::open(options_.file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd_ < 0) throw error(options_.file.string() + ": cannot be made: " + reason(errno));
  if (!write_header(false, still_open) || grow(0) == nullptr) {
    const auto why = reason(errno);
    ::close(fd_);
    ::unlink(options_.file.c_str());
    throw error(options_.file.string() + ": no room for a history: " + why);
  }
  next_.store(1, std::memory_order_relaxed);
}

file_recorder::~file_recorder() {
  const auto end = recorded() + 1;
  if (!stopped()) {
    write_header(true, end - 1);
    if (::ftruncate(fd_, static_cast<off_t>(end * record_size)) != 0) {
      // The rest stays as it is, and is known for what it is: the header says how many records.
    }
  }
  for (std::uint64_t i = 0; i < chunk_count_; ++i)
    if (auto* bytes = chunks_[i].load(std::memory_order_relaxed)) ::munmap(bytes, chunk_bytes_);
  ::close(fd_);
}

bool file_recorder::write_header(bool closed, std::uint64_t count) noexcept {
  part_header h;
  std::ranges::copy(file_magic, h.magic.begin());
  h.count = count;
  if (stopped() && !closed) h.flags = flag_incomplete;
  const auto length = std::min(options_.name.size(), h.name.size() - 1);
  std::copy_n(options_.name.begin(), length, h.name.begin());
  h.checksum = checksum_of(h);
  return ::pwrite(fd_, &h, sizeof h, 0) == static_cast<ssize_t>(sizeof h);
}

std::uint64_t file_recorder::recorded() const noexcept {
  const auto most = chunk_count_ << chunk_shift_;
  return std::min(next_.load(std::memory_order_relaxed), most) - 1;
}

std::byte* file_recorder::chunk(std::uint64_t number) noexcept {
  if (number >= chunk_count_) return nullptr;
  if (auto* bytes = chunks_[number].load(std::memory_order_acquire)) return bytes;
  const std::lock_guard lock(growing_);
  if (auto* bytes = chunks_[number].load(std::memory_order_relaxed)) return bytes;
  return stopped() ? nullptr : grow(number);
}

std::byte* file_recorder::grow(std::uint64_t number) noexcept {
  const auto offset = static_cast<off_t>(number * chunk_bytes_);
  // A write to a mapped page for which the disk has no room would kill the process.
  if (const int failed = ::posix_fallocate(fd_, offset, static_cast<off_t>(chunk_bytes_))) {
    errno = failed;
    return nullptr;
  }
  void* bytes = ::mmap(nullptr, chunk_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, offset);
  if (bytes == MAP_FAILED) return nullptr;
  chunks_[number].store(static_cast<std::byte*>(bytes), std::memory_order_release);
  return static_cast<std::byte*>(bytes);
}

void file_recorder::stop(const std::string& why) noexcept {
  if (stopped_.exchange(true)) return;
  write_header(false, still_open);
  if (options_.on_stop) options_.on_stop(options_.file.string() + ": " + why);
}

void file_recorder::record(const event& e) noexcept {
  if (stopped()) return;
  const auto slot = next_.fetch_add(1, std::memory_order_relaxed);
  errno = 0;
  auto* bytes = chunk(slot >> chunk_shift_);
  if (bytes == nullptr) {
    stop(errno != 0 ? reason(errno)
                    : "no more than " + std::to_string(options_.records_max) + " records");
    return;
  }
  event stamped = e;
  stamped.time_ns = now_ns();
  stamped.check = check_of(stamped, slot - 1);
  bytes += (slot & ((std::uint64_t{1} << chunk_shift_) - 1)) * record_size;
  // All but the check, then the check: a record without one was not finished (FILE-2).
  const auto check = stamped.check;
  stamped.check = 0;
  std::memcpy(bytes, &stamped, sizeof stamped);
  std::atomic_ref<std::uint32_t> last(
      *reinterpret_cast<std::uint32_t*>(bytes + offsetof(event, check)));
  last.store(check, std::memory_order_release);
}

} // namespace troupe::history
