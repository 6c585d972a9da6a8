#include "troupe/history_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_format.hpp"

namespace troupe::history {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view part_extension = ".part";

std::string reason(int number) { return std::generic_category().message(number); }

/// The bytes of a file, mapped.
class mapped_file {
 public:
  explicit mapped_file(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw error(path.string() + ": cannot be read: " + reason(errno));
    struct stat about {};
    const bool known = ::fstat(fd, &about) == 0;
    if (known && !S_ISREG(about.st_mode)) {
      ::close(fd);
      throw error(path.string() + ": cannot be read: not a file");
    }
    if (known && about.st_size > 0) {
      size_ = static_cast<std::size_t>(about.st_size);
      bytes_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    const int failed = errno;
    ::close(fd);
    if (!known || bytes_ == MAP_FAILED)
      throw error(path.string() + ": cannot be read: " + reason(failed));
  }
  ~mapped_file() {
    if (bytes_ != nullptr && bytes_ != MAP_FAILED) ::munmap(bytes_, size_);
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;

  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(bytes_), size_};
  }

 private:
  void* bytes_ = nullptr;
  std::size_t size_ = 0;
};

class file_reader {
 public:
  file_reader(const fs::path& path, std::span<const std::byte> bytes)
      : path_(path), bytes_(bytes) {}

  void read(std::vector<process_history>& into) {
    if (never_begun()) {
      into.push_back({path_.stem().string(), {}});
      return;
    }
    std::uint32_t parts = 1;
    for (std::uint32_t part = 0; part < parts; ++part) {
      const auto h = header(part, parts);
      parts = h.parts;
      into.push_back(records(h));
    }
    if (at_ < bytes_.size())
      refuse(std::to_string(bytes_.size() - at_) + " bytes behind the last record");
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw error(path_.string() + ": damaged at byte " + std::to_string(at_) + ": " + what);
  }

  /// The part of a process that was killed between making the file and its first write. A file that
  /// was cut off, or whose blocks were lost with the machine, is not told from it: so the checker
  /// takes a part without events for no node's that did anything (facts::find_what_is_missing).
  bool never_begun() const {
    return path_.extension() == part_extension &&
           std::ranges::all_of(bytes_, [](std::byte b) { return b == std::byte{0}; });
  }

  part_header header(std::uint32_t part, std::uint32_t parts) const {
    part_header h;
    const auto left = bytes_.size() - at_;
    if (at_ == 0 && (left < file_magic.size() ||
                     std::memcmp(bytes_.data(), file_magic.data(), file_magic.size()) != 0))
      throw error(path_.string() + ": not a history: expected it to begin with '" +
                  std::string(file_magic) + "'");
    if (left < sizeof h)
      refuse("expected the header of part " + std::to_string(part + 1) + " of " +
             std::to_string(parts) + ", found the end");
    std::memcpy(&h, bytes_.data() + at_, sizeof h);
    if (h.version != file_version)
      throw error(path_.string() + ": another format version: expected " +
                  std::to_string(file_version) + ", found " + std::to_string(h.version));
    if (h.checksum != checksum_of(h)) refuse("a header whose checksum differs");
    const bool fits = std::ranges::equal(h.magic, file_magic) && h.bytes_of_record == record_size &&
                      h.part == part && h.parts > part && (part == 0 || h.parts == parts) &&
                      (h.flags & ~known_flags) == 0 && h.name.back() == 0 &&
                      (h.count != still_open || h.parts == 1);
    if (!fits) refuse("a header that cannot stand here");
    return h;
  }

  process_history records(const part_header& h) {
    process_history p;
    p.name = h.name.data();
    p.complete = (h.flags & flag_incomplete) == 0;
    at_ += sizeof h;
    const bool open = h.count == still_open;
    const auto there = (bytes_.size() - at_) / record_size;
    if (!open && h.count > there)
      refuse("truncated: expected " + std::to_string(h.count) + " records, found " +
             std::to_string(there));
    const auto count = open ? there : h.count;
    p.events.reserve(std::min<std::uint64_t>(count, 1u << 20));
    for (std::uint64_t i = 0; i < count; ++i) {
      event e;
      std::memcpy(&e, bytes_.data() + at_, sizeof e);
      // Of a process that was killed: not written, or not to its end.
      const bool unfinished = e.check == 0 && open;
      if (!unfinished && e.check != check_of(e, i)) refuse("a record whose checksum differs");
      at_ += record_size;
      if (!unfinished) p.events.push_back(e);
    }
    if (open) at_ = bytes_.size(); // less than a record is left
    return p;
  }

  const fs::path& path_;
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

} // namespace

std::vector<fs::path> parts_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failed;
  for (fs::directory_iterator i(folder, failed), end; !failed && i != end; i.increment(failed))
    if (i->path().extension() == part_extension) found.push_back(i->path());
  if (failed) throw error(folder.string() + ": cannot be read: " + failed.message());
  std::ranges::sort(found);
  return found;
}

std::vector<process_history> read_history(std::span<const fs::path> paths) {
  std::vector<process_history> all;
  const auto read = [&all](const fs::path& path) {
    const mapped_file file(path);
    file_reader(path, file.bytes()).read(all);
  };
  for (const auto& path : paths) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
      read(path);
      continue;
    }
    const auto parts = parts_in(path);
    if (parts.empty()) throw error(path.string() + ": expected a part of a history, found none");
    for (const auto& part : parts) read(part);
  }
  return all;
}

void write_history(const fs::path& file, std::span<const process_history> processes) {
  if (processes.empty()) throw error(file.string() + ": a history without a process");
  auto temporary = file;
  temporary += ".tmp";
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    errno = 0;
    const auto parts = static_cast<std::uint32_t>(processes.size());
    for (std::uint32_t p = 0; p < parts && out; ++p) {
      part_header h;
      std::ranges::copy(file_magic, h.magic.begin());
      h.count = processes[p].events.size();
      h.part = p;
      h.parts = parts;
      h.flags = processes[p].complete ? 0 : flag_incomplete;
      const auto length = std::min(processes[p].name.size(), h.name.size() - 1);
      std::copy_n(processes[p].name.begin(), length, h.name.begin());
      h.checksum = checksum_of(h);
      out.write(reinterpret_cast<const char*>(&h), sizeof h);
      for (std::uint64_t i = 0; i < h.count; ++i) {
        event e = processes[p].events[i];
        e.check = check_of(e, i);
        out.write(reinterpret_cast<const char*>(&e), sizeof e);
      }
    }
    if (!out.flush()) {
      const auto why = errno != 0 ? reason(errno) : std::string("not written");
      std::error_code ignored;
      fs::remove(temporary, ignored);
      throw error(file.string() + ": cannot be written: " + why);
    }
  }
  std::error_code failed;
  fs::rename(temporary, file, failed);
  if (failed) throw error(file.string() + ": cannot be written: " + failed.message());
}

} // namespace troupe::history
