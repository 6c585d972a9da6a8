#include "troupe/chaos/schedule.hpp"

#include <algorithm>
#include <cmath>

#include "troupe/random.hpp"

namespace troupe::chaos {

namespace {

using tensor::generator;
using microseconds = std::chrono::microseconds;

sim_time between(generator& random, const range<sim_time>& r) {
  const auto low = std::chrono::ceil<microseconds>(r.low).count();
  const auto high = std::chrono::floor<microseconds>(r.high).count();
  if (high <= low) return microseconds(low);
  return microseconds(low) + microseconds(random.below(static_cast<std::uint64_t>(high - low) + 1));
}

// In whole numbers: sums of products of floats differ in the last bit between builds.
std::uint64_t between(generator& random, std::uint64_t low, std::uint64_t high) {
  return high <= low ? low : low + random.below(high - low + 1);
}

// The double that is next to the decimal fraction which a file shows.
double thousandths(generator& random, double low, double high) {
  const auto whole = [](double x) { return static_cast<std::uint64_t>(std::llround(x * 1000)); };
  return static_cast<double>(between(random, whole(low), whole(high))) / 1000;
}

bool befalls(generator& random, double probability) { return random.uniform() < probability; }

template <class T>
T one_of(generator& random, const std::vector<T>& values) {
  return values[random.below(values.size())];
}

// Of what a target's index counts.
std::uint32_t indices(const scenario& s, fault_target target) {
  switch (target) {
  case fault_target::primary:
  case fault_target::backup:
  case fault_target::chain:
    return s.cluster.shards;
  case fault_target::node:
  case fault_target::worker_node:
    return s.node_count();
  case fault_target::scheduler:
  case fault_target::everybody:
    break;
  }
  return 1;
}

link_properties draw_link(generator& random, const range<link_properties>& r) {
  link_properties link;
  link.latency = between(random, {r.low.latency, r.high.latency});
  link.jitter = between(random, {r.low.jitter, r.high.jitter});
  link.drop = thousandths(random, r.low.drop, r.high.drop);
  link.duplicate = thousandths(random, r.low.duplicate, r.high.duplicate);
  link.reorder = thousandths(random, r.low.reorder, r.high.reorder);
  link.bytes_per_second =
      static_cast<double>(between(random, static_cast<std::uint64_t>(r.low.bytes_per_second),
                                  static_cast<std::uint64_t>(r.high.bytes_per_second)));
  return link;
}

// Every draw is made whether it is used or not, so that a change of one property of a family leaves
// the others as they were.
fault draw_fault(const scenario& s, const fault_family& family, generator& random,
                 const range<sim_time>& window) {
  fault f;
  f.kind = family.kind;
  f.target = family.target;
  f.at = between(random, window);
  f.lasts = between(random, family.lasts);
  const bool for_good = befalls(random, family.for_good);
  const auto index = static_cast<std::uint32_t>(random.below(indices(s, family.target)));
  f.index = family.index.value_or(index);
  const auto way = one_of(random, family.ways);
  const bool breaks = befalls(random, family.breaks);
  const auto disk = one_of(random, family.disks);
  f.nodes = static_cast<std::uint32_t>(between(random, family.nodes.low, family.nodes.high));
  const auto from = one_of(random, family.from);
  switch (family.kind) {
  case fault_kind::kill:
  case fault_kind::power_loss:
  case fault_kind::drain:
  case fault_kind::stop:
    if (for_good) f.lasts = sim_time{};
    break;
  case fault_kind::partition:
    f.way = way;
    f.from = from;
    f.breaks = breaks;
    break;
  case fault_kind::link:
    f.link = draw_link(random, family.link);
    break;
  case fault_kind::disk:
    f.disk = disk;
    break;
  case fault_kind::pause:
  case fault_kind::clock_jump:
    break;
  }
  return f;
}

void draw_family(const scenario& s, std::uint64_t seed, std::uint64_t place, schedule& out) {
  const auto& family = s.families[place];
  auto window = family.window;
  window.high = std::min(window.high, s.quiet.from - microseconds(1));
  if (window.high < window.low) return;
  const auto stream = [&](std::uint64_t number) {
    return generator(seed, ((place + 1) << 32) | number);
  };
  if (family.rate == 0) {
    auto random = stream(0);
    const auto count = between(random, family.count.low, family.count.high);
    for (std::uint64_t i = 0; i < count; ++i) {
      auto own = stream(i + 1);
      out.push_back(draw_fault(s, family, own, window));
    }
    return;
  }
  // A binomial number with the mean of the rate: the window in slots, each with a fault or none.
  const std::chrono::duration<double> length = window.high - window.low;
  const double mean = family.rate * length.count();
  const auto slots = static_cast<std::uint64_t>(std::ceil(mean)) * 8;
  for (std::uint64_t i = 0; i < slots; ++i) {
    auto own = stream(i + 1);
    if (!befalls(own, mean / static_cast<double>(slots))) continue;
    const auto width = (window.high - window.low) / static_cast<std::int64_t>(slots);
    const auto from = window.low + width * static_cast<std::int64_t>(i);
    out.push_back(draw_fault(s, family, own, {from, std::min(from + width, window.high)}));
  }
}

} // namespace

schedule draw(const scenario& s, std::uint64_t seed) {
  schedule faults = s.faults;
  for (std::uint64_t place = 0; place < s.families.size(); ++place)
    draw_family(s, seed, place, faults);
  std::ranges::stable_sort(faults, {}, &fault::at);
  return faults;
}

scenario with_schedule(scenario s, const schedule& faults, std::uint64_t seed) {
  s.families.clear();
  s.faults = faults;
  s.seed = seed;
  return s;
}

} // namespace troupe::chaos
