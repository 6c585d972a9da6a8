#include "troupe/chaos/bad_links.hpp"

#include <algorithm>
#include <utility>

namespace troupe::chaos {

std::uint64_t bad_links::add(std::set<std::uint32_t> who, const link_properties& properties) {
  entries_[++next_] = {std::move(who), properties};
  return next_;
}

void bad_links::remove(std::uint64_t number) { entries_.erase(number); }

link_properties bad_links::between(std::uint32_t from, std::uint32_t to) const {
  link_properties all;
  for (const auto& [number, e] : entries_) {
    if (!e.who.empty() && !e.who.contains(from) && !e.who.contains(to)) continue;
    const auto& l = e.properties;
    all.latency += l.latency;
    all.jitter += l.jitter;
    all.drop = std::max(all.drop, l.drop);
    all.duplicate = std::max(all.duplicate, l.duplicate);
    all.reorder = std::max(all.reorder, l.reorder);
    if (l.bytes_per_second > 0)
      all.bytes_per_second = all.bytes_per_second > 0
                                 ? std::min(all.bytes_per_second, l.bytes_per_second)
                                 : l.bytes_per_second;
  }
  return all;
}

} // namespace troupe::chaos
