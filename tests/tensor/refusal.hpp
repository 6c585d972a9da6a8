#pragma once

#include "troupe/values/error.hpp"

#include <string>

/// The text of the error f throws, or "nothing was thrown".
template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const troupe::tensor::error& e) {
    return e.what();
  }
  return "nothing was thrown";
}
