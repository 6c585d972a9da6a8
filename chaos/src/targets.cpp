#include "troupe/chaos/targets.hpp"

#include <algorithm>
#include <set>

namespace troupe::chaos {

namespace {

using numbers = std::vector<std::uint32_t>;

numbers living(numbers all, const standing& now) {
  std::erase_if(all, [&](auto number) { return !now.processes.at(number).alive; });
  return all;
}

numbers chain_of(std::uint32_t shard, const standing& now) {
  if (now.chains.empty()) return {};
  return living(now.chains[shard % now.chains.size()], now);
}

numbers nodes_of(const fault& f, const standing& now) {
  std::set<std::uint32_t> with_replicas;
  for (const auto& chain : now.chains)
    for (const auto number : living(chain, now)) with_replicas.insert(number);
  numbers all;
  for (std::uint32_t number = 1; number < now.processes.size(); ++number) {
    const auto& p = now.processes[number];
    const bool runs_workers_alone = p.workers > 0 && !with_replicas.contains(number);
    if (p.alive && (f.target == fault_target::node || runs_workers_alone)) all.push_back(number);
  }
  numbers some;
  for (std::size_t i = 0; i < std::min<std::size_t>(f.nodes, all.size()); ++i)
    some.push_back(all[(f.index + i) % all.size()]);
  return some;
}

} // namespace

numbers targets_of(const fault& f, const standing& now) {
  switch (f.target) {
  case fault_target::scheduler:
    return living({0}, now);
  case fault_target::node:
  case fault_target::worker_node:
    return nodes_of(f, now);
  case fault_target::primary: {
    const auto chain = chain_of(f.index, now);
    return chain.empty() ? numbers{} : numbers{chain.front()};
  }
  case fault_target::backup: {
    const auto chain = chain_of(f.index, now);
    return chain.size() < 2 ? numbers{} : numbers{chain.back()};
  }
  case fault_target::chain:
    return chain_of(f.index, now);
  case fault_target::everybody: {
    numbers all;
    for (std::uint32_t number = 0; number < now.processes.size(); ++number) all.push_back(number);
    return living(std::move(all), now);
  }
  }
  return {};
}

std::vector<std::pair<std::uint32_t, std::uint32_t>>
cut_pairs(const fault& f, const numbers& targets, std::size_t processes) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  const auto cut = [&](std::size_t place, std::uint32_t other) {
    const auto found = std::ranges::find(targets, other);
    switch (f.from) {
    case cut_from::everybody:
      return found == targets.end();
    case cut_from::scheduler:
      return found == targets.end() && other == 0;
    case cut_from::each_other:
      return found != targets.end() && static_cast<std::size_t>(found - targets.begin()) > place;
    }
    return false;
  };
  for (std::size_t place = 0; place < targets.size(); ++place)
    for (std::uint32_t other = 0; other < processes; ++other)
      if (cut(place, other)) pairs.emplace_back(targets[place], other);
  return pairs;
}

} // namespace troupe::chaos
