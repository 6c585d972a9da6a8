#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "troupe/scheduler/placement.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// Which nodes cannot connect to each other, although the scheduler hears both: the network between
/// them is cut, or an address is wrong. Nodes are told apart by their addresses (node_offer::at),
/// because a node that lost its roles comes back under another number. An empty address, of a node
/// in a run of one process, is never apart from another.
///
/// REACH-1  Two addresses are apart from the first report about them until they have been connected,
///          or until `holds` after the last report. A node that still cannot connect repeats its
///          report (NODE-9). If the two are reported again after `holds`, they are apart for twice
///          as long, up to `holds_most`: each attempt to use such a pair costs time.
/// REACH-2  `usable` leaves no two offers that are apart. It keeps the offers that are apart from
///          fewer others, and of two equals the earlier offer.
///
/// Not thread-safe. Memory is proportional to the pairs that were ever reported.
class reachability {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct options {
    duration holds = std::chrono::seconds(10);
    duration holds_most = std::chrono::minutes(5);
  };
  /// A pair that is apart, as the last report about it said.
  struct gap {
    std::string from; ///< the address of the node that reported it
    std::string to;   ///< the address that could not be reached
    std::string why;
  };

  reachability() = default;
  explicit reachability(options o) : options_(o) {}

  /// `from` could not connect to `to`. True if the two were not apart before.
  bool report(const std::string& from, const std::string& to, const std::string& why,
              time_point now);
  /// The two are connected. True if they were apart before.
  bool connected(const std::string& from, const std::string& to);
  /// Ends what no report has confirmed for long enough. True if a pair is no longer apart.
  bool expire(time_point now);

  bool apart(const std::string& a, const std::string& b) const;
  bool apart_from_any(const std::string& a, const std::set<std::string>& others) const;
  /// How many addresses this address is apart from.
  std::size_t count(const std::string& at) const;
  /// The pairs that are apart, by address.
  std::vector<gap> gaps() const;

  /// Some of these offers, in their order. REACH-2
  std::vector<node_offer> usable(std::vector<node_offer> offers) const;

 private:
  struct entry {
    gap last;
    duration holds;
    time_point until;
    bool apart = true;
  };
  static std::pair<std::string, std::string> key(const std::string& a, const std::string& b) {
    return std::minmax(a, b);
  }

  options options_;
  std::map<std::pair<std::string, std::string>, entry> entries_;
};

} // namespace troupe::scheduler
