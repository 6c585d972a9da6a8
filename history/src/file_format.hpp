#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <xxhash.h>

#include "troupe/values/history_event.hpp"

/// The bytes of docs/reference/history.md.
namespace troupe::history {

static_assert(std::endian::native == std::endian::little, "records are written as they lie");

inline constexpr std::string_view file_magic = "TROUPEHI";
inline constexpr std::uint32_t file_version = 1;
inline constexpr std::uint64_t still_open = UINT64_MAX;
inline constexpr std::size_t record_size = sizeof(event);

/// Stands before the records of one process.
struct part_header {
  std::array<char, 8> magic{};
  std::uint32_t version = file_version;
  std::uint32_t bytes_of_record = record_size;
  std::uint64_t count = still_open; ///< of records; still_open: to the end of the file
  std::uint32_t part = 0;           ///< of `parts` in this file
  std::uint32_t parts = 1;
  std::uint32_t flags = 0;
  std::array<char, 20> name{};
  std::uint64_t checksum = 0; ///< XXH64 of all bytes above
};
static_assert(sizeof(part_header) == 64 && record_size == 64);

inline constexpr std::uint32_t flag_incomplete = 1; ///< recording stopped before the process ended
inline constexpr std::uint32_t known_flags = flag_incomplete;

inline std::uint64_t checksum_of(const part_header& h) {
  return XXH64(&h, offsetof(part_header, checksum), 0);
}

/// Of a record at a place in its part; never 0, which stands for "not written yet".
inline std::uint32_t check_of(event e, std::uint64_t number) {
  e.check = 0;
  const auto hash = static_cast<std::uint32_t>(XXH64(&e, sizeof e, number));
  return hash != 0 ? hash : 1;
}

} // namespace troupe::history
