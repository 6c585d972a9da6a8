#pragma once

#include <memory>
#include <span>
#include <vector>

#include "troupe/storage/shard_image.hpp"
#include "troupe/transport/shareable_array.hpp"

namespace troupe::actors {

using storage::snapshot;
using transport::shareable_array;

/// An array of floats that is written in place while no snapshot of it is held, and copied once
/// when a snapshot is held.
///
/// ARRAY-1  A snapshot never changes, however the array goes on.
/// ARRAY-2  Taking a snapshot costs nothing. The first write after it copies, into the memory of an
///          earlier, released snapshot if there is one.
/// ARRAY-3  A write of every element copies nothing: it reads the old values in place and writes
///          the new values into such memory. If no snapshot is held, the new values replace the old
///          values in place.
/// ARRAY-4  Whatever the number of snapshots held at a time, the array keeps only the memory of a
///          few for later.
///
/// One owner takes snapshots and writes. Any thread may read and release a snapshot, and so may
/// other processes of the host, to which snapshots are lent in place (shareable_array.hpp).
class snapshot_array {
 public:
  snapshot_array() : snapshot_array(std::span<const float>{}) {}
  /// `pools`: to lend snapshots to other processes; null: it is not.
  explicit snapshot_array(std::span<const float> values,
                          std::shared_ptr<transport::shared_pools> pools = nullptr);

  std::size_t size() const noexcept { return values_->size(); }
  snapshot current() const noexcept { return values_; }
  /// Valid until the next snapshot is taken.
  std::span<float> writable();

  /// The values as they were, and where all of those go that the array holds from now on.
  struct rewrite {
    snapshot before;
    std::span<float> after; ///< as long as `before`: its memory, or other with anything in it
  };
  /// Valid until the next snapshot is taken; by then all of `after` must be written.
  rewrite rewritten();

 private:
  shareable_array take_spare();
  void replace(shareable_array fresh);

  std::shared_ptr<transport::shared_pools> pools_;
  shareable_array values_; // shared with snapshots
  std::vector<shareable_array> spares_;
};

} // namespace troupe::actors
