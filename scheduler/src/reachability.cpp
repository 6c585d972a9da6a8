#include "troupe/scheduler/reachability.hpp"

#include <algorithm>

namespace troupe::scheduler {

bool reachability::report(const std::string& from, const std::string& to, const std::string& why,
                          time_point now) {
  if (from.empty() || to.empty() || from == to) return false;
  auto [i, first] = entries_.try_emplace(key(from, to), entry{{}, options_.holds, {}, false});
  auto& e = i->second;
  const bool began = !std::exchange(e.apart, true);
  if (began && !first) e.holds = std::min(2 * e.holds, options_.holds_most);
  e.last = {from, to, why};
  e.until = now + e.holds;
  return began;
}

bool reachability::connected(const std::string& from, const std::string& to) {
  const auto i = entries_.find(key(from, to));
  return i != entries_.end() && std::exchange(i->second.apart, false);
}

bool reachability::expire(time_point now) {
  bool ended = false;
  for (auto& [ends, e] : entries_)
    if (e.apart && now >= e.until) {
      e.apart = false;
      ended = true;
    }
  return ended;
}

bool reachability::apart(const std::string& a, const std::string& b) const {
  const auto i = entries_.find(key(a, b));
  return i != entries_.end() && i->second.apart;
}

bool reachability::apart_from_any(const std::string& a, const std::set<std::string>& others) const {
  return std::ranges::any_of(others, [&](const auto& other) { return apart(a, other); });
}

std::size_t reachability::count(const std::string& at) const {
  return static_cast<std::size_t>(std::ranges::count_if(entries_, [&](const auto& entry) {
    const auto& [ends, e] = entry;
    return e.apart && (ends.first == at || ends.second == at);
  }));
}

std::vector<reachability::gap> reachability::gaps() const {
  std::vector<gap> result;
  for (const auto& [ends, e] : entries_)
    if (e.apart) result.push_back(e.last);
  return result;
}

std::vector<node_offer> reachability::usable(std::vector<node_offer> offers) const {
  for (;;) {
    const auto gaps_of = [&](const node_offer& offer) {
      return std::ranges::count_if(
          offers, [&](const node_offer& other) { return apart(offer.at, other.at); });
    };
    auto worst = offers.end();
    std::ptrdiff_t most = 0;
    for (auto i = offers.begin(); i != offers.end(); ++i)
      if (const auto n = gaps_of(*i); n > 0 && n >= most) {
        most = n;
        worst = i;
      }
    if (worst == offers.end()) return offers;
    offers.erase(worst);
  }
}

} // namespace troupe::scheduler
