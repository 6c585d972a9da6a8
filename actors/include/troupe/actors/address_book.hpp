#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// Role and index to the actor that fills it now. The only place where an actor finds its peers, so
/// that a replaced one (or a link under test) is swapped in here and nowhere else. A plain value,
/// owned by one actor.
class address_book {
 public:
  address_book() = default;
  address_book(scheduler_actor scheduler, std::vector<shard_actor> shards)
      : scheduler_(std::move(scheduler)), shards_(std::move(shards)) {}

  const scheduler_actor& scheduler() const noexcept { return scheduler_; }
  std::uint32_t shard_count() const noexcept { return static_cast<std::uint32_t>(shards_.size()); }
  const std::vector<shard_actor>& shards() const noexcept { return shards_; }

  /// Throws std::out_of_range for an index that is not of this job.
  const shard_actor& shard(shard_id id) const { return shards_.at(id.value); }
  void replace(shard_id id, shard_actor by) { shards_.at(id.value) = std::move(by); }

 private:
  scheduler_actor scheduler_;
  std::vector<shard_actor> shards_;
};

} // namespace troupe::actors
