#include "troupe/transport/transfer.hpp"

#include <algorithm>
#include <utility>

namespace troupe::transport {

std::vector<part> cut(transfer_id id, peer_number from, std::shared_ptr<const void> owner,
                      const void* data, std::uint64_t bytes, std::uint32_t part_size) {
  std::vector<part> parts;
  parts.reserve(bytes / part_size + 1);
  const auto* at = static_cast<const std::byte*>(data);
  for (std::uint64_t offset = 0; offset < bytes; offset += part_size) {
    const auto size =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(part_size, bytes - offset));
    parts.push_back({id, from, offset, bytes, block{owner, at + offset, size}});
  }
  return parts;
}

} // namespace troupe::transport
