#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// Whether two handles are the same handle. CAF finds two handles equal if they name the same
/// actor; they may still belong to different connections to its process. A message to the older
/// handle is then lost.
template <class Handle>
bool same_handle(const Handle& a, const Handle& b) {
  return caf::actor_cast<caf::actor_control_block*>(a) ==
         caf::actor_cast<caf::actor_control_block*>(b);
}

/// Maps role and index to the actor that fills the role now. Actors find their peers only here, so
/// a replaced actor (or a link under test) is exchanged here and nowhere else. A plain value, owned
/// by one actor.
class address_book {
 public:
  address_book() = default;
  /// The primaries of all shards, by index.
  address_book(scheduler_actor scheduler, std::vector<shard_moved> primaries)
      : scheduler_(std::move(scheduler)), shards_(std::move(primaries)) {}

  const scheduler_actor& scheduler() const noexcept { return scheduler_; }
  std::uint32_t shard_count() const noexcept { return static_cast<std::uint32_t>(shards_.size()); }

  /// Throws std::out_of_range for an index that is not of this job.
  const shard_actor& shard(shard_id id) const { return shards_.at(id.value).primary; }

  /// The newest view of the shard that is known here.
  view_number view(shard_id id) const { return shards_.at(id.value).view; }

  void use(scheduler_actor scheduler) { scheduler_ = std::move(scheduler); }
  /// Returns true if the primary is now another actor, or the same actor over another connection. A
  /// view below the known view changes nothing.
  bool replace(const shard_moved& moved) {
    auto& known = shards_.at(moved.shard.value);
    if (moved.view < known.view) return false;
    const bool other = !same_handle(known.primary, moved.primary);
    known = moved;
    return other;
  }

 private:
  scheduler_actor scheduler_;
  std::vector<shard_moved> shards_;
};

} // namespace troupe::actors
