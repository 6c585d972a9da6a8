#include "troupe/transport/inbound_transfer.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace troupe::transport {

namespace {

std::uint64_t length_of(const block& b) { return b.size(); }
std::uint64_t length_of(std::uint64_t length) { return length; }

// Where a piece [offset, offset + length) belongs among those taken, which ascend; none: it does
// not lie in [0, total), or overlaps.
template <class Taken>
std::optional<typename Taken::iterator> place_for(Taken& taken, std::uint64_t offset,
                                                  std::uint64_t length, std::uint64_t total) {
  if (offset > total || length > total - offset) return std::nullopt;
  if (length == 0) return std::nullopt; // an empty part says nothing
  if (offset % sizeof(float) != 0) return std::nullopt;
  if (length % sizeof(float) != 0 && offset + length != total) return std::nullopt;
  const auto after =
      std::ranges::lower_bound(taken, offset, {}, [](const auto& piece) { return piece.first; });
  if (after != taken.end() && after->first < offset + length) return std::nullopt;
  if (after != taken.begin()) {
    const auto& [first, before] = *std::prev(after);
    if (first + length_of(before) > offset) return std::nullopt;
  }
  return after;
}

// TRANSFER-8
bool may_keep_lent(const part& p) {
  return p.total <= std::uint64_t{default_window} * shared_part_bytes && p.data.borrowed();
}

} // namespace

bool inbound_transfer::add(const part& p) {
  if (started_ && p.total != total_) return false;
  const auto place = place_for(parts_, p.offset, p.data.size(), p.total);
  if (!place) return false;
  started_ = true;
  total_ = p.total;
  parts_.emplace(*place, p.offset, p.data);
  received_ += p.data.size();
  return true;
}

void landing::begin(std::span<std::byte> target, local_parts local) {
  target_ = target;
  local_ = local;
  kept_.clear();
  received_ = 0;
  taken_.clear();
}

bool landing::add(const part& p) {
  if (p.total != target_.size()) return false;
  const auto place = place_for(taken_, p.offset, p.data.size(), p.total);
  if (!place) return false;
  taken_.emplace(*place, p.offset, p.data.size());
  received_ += p.data.size();
  if (local_ == local_parts::kept && (!p.data.received() || may_keep_lent(p)))
    kept_.emplace(*place_for(kept_, p.offset, p.data.size(), p.total), p.offset, p.data);
  else
    std::memcpy(target_.data() + p.offset, p.data.bytes().data(), p.data.size());
  return true;
}

} // namespace troupe::transport
