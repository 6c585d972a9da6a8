// What stands in for onednn_products.cpp in a build without oneDNN.
#include "matrix_product.hpp"
#include "troupe/tensor/arithmetic.hpp"

namespace troupe::tensor {

bool supports(precision p) noexcept { return p == precision::fp32; }

std::string arithmetic_of_processor() { return "Eigen"; }

std::unique_ptr<matrix_products<float>> make_onednn_products(precision) { return nullptr; }

} // namespace troupe::tensor
