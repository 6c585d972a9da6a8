#pragma once

#include <memory>
#include <numeric>
#include <vector>

#include "troupe/transport/transfer.hpp"

// What tests of transfers send.
namespace troupe::transport {

// 1, 2, 3 ...
inline std::shared_ptr<std::vector<float>> ramp(std::size_t n) {
  auto values = std::make_shared<std::vector<float>>(n);
  std::iota(values->begin(), values->end(), 1.0f);
  return values;
}

inline std::vector<part> parts_of(const std::shared_ptr<std::vector<float>>& values,
                                  transfer_id id = 7) {
  return cut(id, 3, values, values->data(), values->size() * sizeof(float));
}

} // namespace troupe::transport
