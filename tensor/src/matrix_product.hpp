#pragma once

#include "troupe/values/aligned.hpp"
#include "troupe/values/layers.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace troupe::tensor {

/// Sizes of result [rows x columns] and of the summed dimension.
struct product_size {
  std::size_t rows;
  std::size_t columns;
  std::size_t depth;

  friend bool operator==(const product_size&, const product_size&) = default;
};

/// A matrix that is multiplied, in the form the library takes: from matrix_products::factor_of.
template <class T>
struct factor {
  const T* values;
  const std::uint16_t* rounded = nullptr; ///< the same in bfloat16, where that is the precision
};

/// Where a product's result goes. Where bfloat16 is the precision, it may be rounded once from the
/// float32 sum, which saves a result that is only ever a factor its way through memory in float32.
template <class T>
struct product_result {
  T* values;
  std::uint16_t* rounded = nullptr; ///< not null: here, and `values` is not written

  product_result(T* to) : values(to) {}
  explicit product_result(std::uint16_t* to) : values(nullptr), rounded(to) {}
};

/// Where a factor's other form lies. Grows to the largest seen.
using factor_memory = aligned_vector<std::uint16_t>;

/// The matrix products a model is made of: all matrices row-major and dense, results overwritten,
/// operands of any alignment, none overlapping.
///
/// PRODUCT-1: the bits of a result depend on the sizes and the values alone: not on where the
/// operands lie, on what was multiplied before, on the instance, or on how many threads there are.
///
/// An instance holds what a product of a size needs (packing memory, generated code), made at the
/// first product of the size. One thread at a time may use it; any may.
template <class T>
class matrix_products {
 public:
  virtual ~matrix_products() = default;

  /// The library: "Eigen", "oneDNN".
  virtual const char* name() const noexcept = 0;

  /// The n values as a factor, for any number of products: weights enter the forward and the
  /// backward pass, and are rounded once. It refers to `values` and `memory`, which must stay as
  /// they are until its last product.
  virtual factor<T> factor_of(const T* values, std::size_t n, factor_memory& memory) = 0;

  /// result = a * b, plus bias[j] in column j unless bias is null; a is [rows x depth], b is
  /// [depth x columns].
  virtual void multiply(product_size size, factor<T> a, factor<T> b, const T* bias,
                        product_result<T> result) = 0;

  /// result = transpose(a) * b; a is [depth x rows].
  virtual void multiply_transposed(product_size size, factor<T> a, factor<T> b,
                                   product_result<T> result) = 0;

  /// result = a * transpose(b); b is [columns x depth].
  virtual void multiply_by_transposed(product_size size, factor<T> a, factor<T> b,
                                      product_result<T> result) = 0;
};

/// Runs everywhere, for float and double, and is what the others are compared with.
template <class T>
std::unique_ptr<matrix_products<T>> make_eigen_products();

/// Null when Troupe was built without oneDNN. Throws `error` when the precision is not supported.
std::unique_ptr<matrix_products<float>> make_onednn_products(precision p);

/// The fastest there is. Throws `error` when the precision is not supported; double knows fp32
/// alone (and means double by it).
template <class T>
std::unique_ptr<matrix_products<T>> make_products(precision p);

} // namespace troupe::tensor
