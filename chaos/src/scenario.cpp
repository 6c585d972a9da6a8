#include "troupe/chaos/scenario.hpp"

namespace troupe::chaos {

std::uint32_t scenario::node_count() const {
  std::uint32_t count = 0;
  for (const auto& group : cluster.nodes) count += group.count;
  return count;
}

std::string_view name_of(fault_kind kind) {
  return fault_kind_names.at(static_cast<std::size_t>(kind));
}

std::string_view name_of(fault_target target) {
  return fault_target_names.at(static_cast<std::size_t>(target));
}

std::string_view name_of(disk_fault disk) {
  return disk_fault_names.at(static_cast<std::size_t>(disk));
}

std::string_view name_of(cut_from from) {
  return cut_from_names.at(static_cast<std::size_t>(from));
}

std::string_view name_of(direction way) {
  return direction_names.at(static_cast<std::size_t>(way));
}

std::string_view name_of(invariant i) { return invariant_names.at(static_cast<std::size_t>(i)); }

} // namespace troupe::chaos
