#include "troupe/transport/range_pulls.hpp"

namespace troupe::transport {

void range_pulls::wait_for(pull_of_range& p, transfer_id id) {
  if (p.transfer == 0) ++open_;
  p.transfer = id;
  p.own_applied.reset();
}

void range_pulls::begin(std::uint32_t shard, std::span<float> target, transfer_id id,
                        local_parts local) {
  if (shard >= pulls_.size()) pulls_.resize(shard + 1);
  auto& p = pulls_[shard];
  p.bytes.begin(std::as_writable_bytes(target), local);
  wait_for(p, id);
}

void range_pulls::restart(std::uint32_t shard, transfer_id id) {
  auto& p = pulls_.at(shard);
  p.bytes.restart();
  wait_for(p, id);
}

// Its pull, if that is the one that is open.
range_pulls::pull_of_range* range_pulls::of(std::uint32_t shard, transfer_id id) {
  if (id == 0 || shard >= pulls_.size() || pulls_[shard].transfer != id) return nullptr;
  return &pulls_[shard];
}

std::optional<range_pulls::whole> range_pulls::announced(std::uint32_t shard, transfer_id id,
                                                         std::uint64_t own_applied,
                                                         std::uint64_t seen_updates) {
  auto* p = of(shard, id);
  if (p == nullptr) return std::nullopt;
  p->own_applied = own_applied;
  p->seen_updates = seen_updates;
  return close_if_whole(shard);
}

std::optional<range_pulls::whole> range_pulls::add(const part& p) {
  auto* open = of(p.from, p.transfer);
  if (open == nullptr || !open->bytes.add(p)) return std::nullopt;
  return close_if_whole(p.from);
}

std::optional<range_pulls::whole> range_pulls::close_if_whole(std::uint32_t shard) {
  auto& p = pulls_[shard];
  if (!p.own_applied || !p.bytes.complete()) return std::nullopt;
  p.transfer = 0;
  --open_;
  return whole{shard, *p.own_applied, p.seen_updates, p.bytes.take_kept()};
}

std::vector<std::uint32_t> range_pulls::open() const {
  std::vector<std::uint32_t> shards;
  for (std::uint32_t s = 0; s < pulls_.size(); ++s)
    if (pulls_[s].transfer != 0) shards.push_back(s);
  return shards;
}

} // namespace troupe::transport
