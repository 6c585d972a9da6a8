#include "troupe/chaos/fault.hpp"

#include <cstdio>

namespace troupe::chaos {

namespace {

std::string seconds(sim_time t) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(t).count());
  return text;
}

// "node 3", "2 nodes from 3 on"
std::string several(const fault& f, const std::string& what) {
  const auto index = std::to_string(f.index);
  if (f.nodes == 1) return what + " " + index;
  return std::to_string(f.nodes) + " " + what + "s from " + index + " on";
}

std::string target_of(const fault& f) {
  const auto index = std::to_string(f.index);
  switch (f.target) {
  case fault_target::scheduler:
    return "the scheduler";
  case fault_target::node:
    return several(f, "node");
  case fault_target::worker_node:
    return several(f, "worker node");
  case fault_target::primary:
    return "the primary of shard " + index;
  case fault_target::backup:
    return "the last replica of shard " + index;
  case fault_target::chain:
    return "all replicas of shard " + index;
  case fault_target::everybody:
    return "everybody";
  }
  return {};
}

std::string what_happens(const fault& f) {
  const auto target = target_of(f);
  switch (f.kind) {
  case fault_kind::kill:
    return "kill of " + target;
  case fault_kind::pause:
    return "pause of " + target;
  case fault_kind::partition:
    return "partition of " + target +
           (f.from == cut_from::scheduler    ? " from the scheduler"
            : f.from == cut_from::each_other ? " from each other"
                                             : "");
  case fault_kind::link:
    return "bad links of " + target;
  case fault_kind::disk:
    switch (f.disk) {
    case disk_fault::full:
      return "full disk of " + target;
    case disk_fault::slow:
      return "slow disk of " + target;
    case disk_fault::flipped_bit:
      return "flipped bits on the disk of " + target;
    }
    return {};
  case fault_kind::power_loss:
    return "power loss of " + target;
  case fault_kind::clock_jump:
    return "clock jump of " + target;
  case fault_kind::drain:
    return "drain of " + target;
  case fault_kind::stop:
    return "stop of " + target;
  }
  return {};
}

} // namespace

std::string to_string(const fault& f) {
  auto text = what_happens(f) + " at " + seconds(f.at);
  if (f.kind == fault_kind::clock_jump) return text + " by " + seconds(f.lasts);
  if (f.kind == fault_kind::kill || f.kind == fault_kind::power_loss ||
      f.kind == fault_kind::drain || f.kind == fault_kind::stop)
    return text + (f.lasts.count() == 0 ? ", for good" : ", back after " + seconds(f.lasts));
  return text + " for " + seconds(f.lasts);
}

} // namespace troupe::chaos
