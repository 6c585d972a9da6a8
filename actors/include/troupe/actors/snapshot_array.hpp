#pragma once

#include <memory>
#include <span>
#include <vector>

#include "troupe/storage/shard_image.hpp"
#include "troupe/transport/shareable_array.hpp"

namespace troupe::actors {

using storage::snapshot;
using transport::shareable_array;

/// Floats that are written in place as long as nobody holds a snapshot of them, and copied once
/// when somebody does.
///
/// ARRAY-1  A snapshot never changes, however the array goes on.
/// ARRAY-2  Taking a snapshot costs nothing; the first write after it copies, into memory of an
///          earlier snapshot that was let go if there is some.
/// ARRAY-3  Whoever writes every element copies nothing: it reads the old values where they are and
///          writes the new ones into such memory; into their own place while nobody holds a
///          snapshot.
/// ARRAY-4  However many snapshots were held at a time, the array keeps the memory of few for
/// later.
///
/// One owner takes snapshots and writes; the snapshots may be read and let go by any thread, and by
/// other processes of the host, to whom they are lent where they lie (shareable_array.hpp).
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
