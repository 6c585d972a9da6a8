#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "troupe/chaos/cluster.hpp"

namespace troupe::chaos {

inline const std::vector<scheduler::consistency> modes{scheduler::consistency::async(),
                                                       scheduler::consistency::ssp(2),
                                                       scheduler::consistency::bsp(4)};

/// 3 nodes for the replicas of 3 shards, 2 with 2 workers each.
inline cluster_options options_for(scheduler::consistency mode, std::uint64_t seed) {
  cluster_options o;
  o.work = integer_job(mode);
  o.work.checkpoint = {.every_batches = 0, .every_seconds = 0};
  o.seed = seed;
  o.nodes = {{3, 0}, {3, 0}, {3, 0}, {0, 2}, {0, 2}};
  return o;
}

inline std::string told(const cluster& c) {
  std::string lines;
  for (const auto& d : c.done()) {
    lines += to_string(d.what) + ":";
    for (const auto process : d.to) lines += " " + std::to_string(process);
    lines += "\n";
  }
  for (const auto& e : c.events())
    if (const auto* n = std::get_if<notice_event>(&e.what)) lines += n->text + "\n";
  return lines;
}

inline std::size_t count_notices(const cluster& c, const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(c.events(), [&](const auto& e) {
    const auto* n = std::get_if<notice_event>(&e.what);
    return n != nullptr && n->text.find(text) != n->text.npos;
  }));
}

inline void check_exact([[maybe_unused]] const cluster& c, [[maybe_unused]] const job& j) {
  INFO(told(c));
  REQUIRE(c.result());
  INFO(c.result()->error);
  REQUIRE(c.result()->outcome == run_result::status::finished);
  CHECK(std::ranges::equal(c.result()->parameters, expected_parameters(j)));
}

/// Faults of every kind, as the seed has them, within the first `span`.
inline schedule any_faults(std::uint64_t seed, std::size_t count, sim_time span) {
  tensor::generator g(seed, 1);
  const auto below = [&g](std::uint64_t n) { return g.below(n); };
  schedule result;
  for (std::size_t i = 0; i < count; ++i) {
    fault f;
    f.at = sim_time(below(static_cast<std::uint64_t>(span.count())));
    f.kind = static_cast<fault_kind>(below(7));
    f.target = static_cast<fault_target>(below(6));
    if (f.kind == fault_kind::disk) f.target = fault_target::scheduler;
    if (f.kind == fault_kind::link && below(2) == 0) f.target = fault_target::everybody;
    f.index = static_cast<std::uint32_t>(below(8));
    f.lasts = std::chrono::milliseconds(10 + below(below(2) == 0 ? 300 : 3000));
    f.way = static_cast<direction>(below(3));
    f.breaks = below(2) == 0;
    f.disk = static_cast<disk_fault>(below(3));
    if (f.kind == fault_kind::link)
      f.link = {std::chrono::milliseconds(below(20)), std::chrono::milliseconds(below(20)),
                0.1 * static_cast<double>(below(3)),  0.1 * static_cast<double>(below(3)),
                0.1 * static_cast<double>(below(4)),  1e5 * static_cast<double>(below(10))};
    result.push_back(f);
  }
  std::ranges::sort(result, {}, &fault::at);
  return result;
}

} // namespace troupe::chaos
