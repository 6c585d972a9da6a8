#pragma once

#include <cstdint>

#include "troupe/transport/transfer.hpp"

namespace troupe::transport {

/// A way to one peer beside the messages, for bulk data: see bulk_links.hpp. Thread-safe.
class bulk_lane {
 public:
  virtual ~bulk_lane() = default;
  /// A connection is up.
  virtual bool open() const = 0;
  /// Hands the part to the connection and gives its number; 0: none took it. Does not block.
  virtual std::uint64_t send(const part& p) = 0;
  /// Whether that connection broke: what it took may not have arrived.
  virtual bool broke(std::uint64_t connection) const = 0;
};

} // namespace troupe::transport
