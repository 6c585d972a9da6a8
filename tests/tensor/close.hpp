#pragma once

#include <cmath>
#include <cstddef>
#include <iterator>

/// Whether a and b have equal sizes and differ by at most `tolerance` everywhere. A NaN is never
/// close to anything: the comparison that says yes is the one that must hold.
template <class A, class B>
bool close(const A& a, const B& b, double tolerance) {
  if (std::size(a) != std::size(b)) return false;
  bool all = true;
  for (std::size_t i = 0; i < std::size(a); ++i)
    all = all && std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])) <= tolerance;
  return all;
}
