#include "matrix_product.hpp"

#include "troupe/values/error.hpp"

#include <type_traits>

namespace troupe::tensor {

template <class T>
std::unique_ptr<matrix_products<T>> make_products(precision p) {
  if (!supports(p) || (p != precision::fp32 && !std::is_same_v<T, float>))
    throw error("make_products",
                "expected a processor with AVX512-BF16 or AMX-BF16, and a build with oneDNN, for "
                "precision bf16; found neither or one of them");
  if constexpr (std::is_same_v<T, float>)
    if (auto products = make_onednn_products(p)) return products;
  return make_eigen_products<T>();
}

template std::unique_ptr<matrix_products<float>> make_products(precision);
template std::unique_ptr<matrix_products<double>> make_products(precision);

} // namespace troupe::tensor
