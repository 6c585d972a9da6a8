#include "troupe/tensor/epoch_orders.hpp"

#include <algorithm>

#include "troupe/tensor/permutation.hpp"

namespace troupe::tensor {

namespace {

constexpr std::size_t kept_at_most = 2;

} // namespace

epoch_orders::order epoch_orders::of(std::uint32_t epoch) {
  const std::lock_guard lock(mutex_);
  auto& asked = kept_[epoch];
  asked.asked_at = ++asked_;
  if (!asked.samples) {
    ++made_;
    asked.samples = std::make_shared<const std::vector<std::uint32_t>>(
        tensor::permutation(samples_, seed_, epoch));
    if (kept_.size() > kept_at_most)
      kept_.erase(std::ranges::min_element(
          kept_, {}, [](const auto& entry) { return entry.second.asked_at; }));
  }
  return kept_.at(epoch).samples;
}

std::uint64_t epoch_orders::made() const {
  const std::lock_guard lock(mutex_);
  return made_;
}

} // namespace troupe::tensor
