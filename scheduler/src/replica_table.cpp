#include "troupe/scheduler/replica_table.hpp"

#include <algorithm>

namespace troupe::scheduler {

std::vector<shard_id> replica_table::shards() const {
  std::vector<shard_id> result;
  for (std::uint32_t s = 0; s < views_.shards(); ++s) result.push_back(shard_id{s});
  return result;
}

primary_replica replica_table::primary(shard_id shard) const {
  const auto& chain = views_.view(shard).chain;
  if (chain.empty() || !exists(shard, chain.front())) return {shard, std::nullopt};
  return {shard, chain.front()};
}

std::vector<primary_replica> replica_table::primaries() const {
  std::vector<primary_replica> result;
  for (auto shard : shards()) result.push_back(primary(shard));
  return result;
}

bool replica_table::leads(node_id node) const {
  return std::ranges::any_of(views_.views(), [&](const shard_view& view) {
    return !view.chain.empty() && view.chain.front() == node;
  });
}

orders::changed_views replica_table::present(const std::vector<shard_id>& changed) const {
  orders::changed_views result;
  for (auto shard : changed) result.emplace_back(shard, views_.view(shard));
  return result;
}

std::vector<shard_id> replica_table::on(node_id node) const {
  std::vector<shard_id> result;
  for (const auto& [shard, holder] : existing_)
    if (holder == node) result.push_back(shard);
  return result;
}

} // namespace troupe::scheduler
