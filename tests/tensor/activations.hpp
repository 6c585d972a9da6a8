#pragma once

#include "troupe/values/layers.hpp"

#include <vector>

/// Every kind of layer without parameters, so that a new one is tested without being named.
inline std::vector<troupe::tensor::layer_spec::kind> activations() {
  using kind = troupe::tensor::layer_spec::kind;
  std::vector<kind> all;
  for (const auto name : troupe::names_of<kind>)
    if (name != name_of(kind::dense)) all.push_back(*troupe::value_of<kind>(name));
  return all;
}
