#pragma once

#include "troupe/tensor/aligned.hpp"

#include <cstddef>

namespace troupe::tensor {

/// Memory the products pack their operands into. Grows to the largest product seen and stays: a
/// product of a size seen before allocates nothing.
template <class T>
struct product_memory {
  aligned_vector<T> left;
  aligned_vector<T> right;
};

/// Sizes of result [rows x columns] and of the summed dimension.
struct product_size {
  std::size_t rows;
  std::size_t columns;
  std::size_t depth;
};

/// result += a * b, all row-major and dense; a is [rows x depth], b is [depth x columns]. For float
/// and double.
///
/// The operands are always packed first, so the bits of the result do not depend on where they lie.
template <class T>
void add_product(product_size size, const T* a, const T* b, T* result, product_memory<T>& memory);

/// result += transpose(a) * b; a is [depth x rows].
template <class T>
void add_product_of_transposed(product_size size, const T* a, const T* b, T* result,
                               product_memory<T>& memory);

/// result += a * transpose(b); b is [columns x depth].
template <class T>
void add_product_with_transposed(product_size size, const T* a, const T* b, T* result,
                                 product_memory<T>& memory);

} // namespace troupe::tensor
