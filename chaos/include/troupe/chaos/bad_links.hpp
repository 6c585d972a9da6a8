#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "troupe/chaos/fault.hpp"

namespace troupe::chaos {

/// The faults of links that last at a moment, of processes by number. Those that overlap add up.
class bad_links {
 public:
  /// All links of these processes; with none, those of everybody. Gives the number by which it is
  /// taken away.
  std::uint64_t add(std::set<std::uint32_t> who, const link_properties& properties);
  void remove(std::uint64_t number);

  link_properties between(std::uint32_t from, std::uint32_t to) const;

 private:
  struct entry {
    std::set<std::uint32_t> who;
    link_properties properties;
  };
  std::map<std::uint64_t, entry> entries_;
  std::uint64_t next_ = 0;
};

} // namespace troupe::chaos
