#include "matrix_product.hpp"

#include <Eigen/Core>

namespace troupe::tensor {

namespace {

using Eigen::ColMajor;
using Eigen::Index;
using Eigen::RowMajor;

/// Eigen's own product allocates its packing memory on every call once it exceeds 128 KiB, and
/// picks other code for small sizes whose summation order depends on alignment. Its blocked kernel
/// takes the memory as an argument; this hands it ours. The kernel lies in Eigen::internal: of
/// the 3.4 series, which CMakeLists.txt asks for.
template <class T>
class blocking : public Eigen::internal::level3_blocking<T, T> {
 public:
  blocking(Index rows, Index columns, Index depth, product_memory<T>& memory) {
    this->m_mc = rows;
    this->m_nc = columns;
    this->m_kc = depth;
    Eigen::internal::computeProductBlockingSizes<T, T>(this->m_kc, this->m_mc, this->m_nc,
                                                       Index(1));
    this->m_blockA = room(memory.left, this->m_mc * this->m_kc);
    this->m_blockB = room(memory.right, this->m_kc * this->m_nc);
  }

 private:
  static T* room(aligned_vector<T>& memory, Index size) {
    if (memory.size() < static_cast<std::size_t>(size))
      memory.resize(static_cast<std::size_t>(size));
    return memory.data();
  }
};

/// Eigen's kernel writes column-major, and a row-major result is its own transpose seen that way:
/// result^T = b^T * a^T. A row-major matrix read as column-major is already transposed.
template <class T, int StorageOfA, int StorageOfB>
void run(product_size size, const T* a, std::size_t stride_a, const T* b, std::size_t stride_b,
         T* result, product_memory<T>& memory) {
  if (size.rows == 0 || size.columns == 0 || size.depth == 0) return;
  const auto rows = static_cast<Index>(size.columns);
  const auto columns = static_cast<Index>(size.rows);
  const auto depth = static_cast<Index>(size.depth);
  blocking<T> space(rows, columns, depth, memory);
  Eigen::internal::general_matrix_matrix_product<Index, T, StorageOfB, false, T, StorageOfA, false,
                                                 ColMajor, 1>::run(rows, columns, depth, b,
                                                                   static_cast<Index>(stride_b), a,
                                                                   static_cast<Index>(stride_a),
                                                                   result, 1, rows, T(1), space,
                                                                   nullptr);
}

} // namespace

template <class T>
void add_product(product_size size, const T* a, const T* b, T* result, product_memory<T>& memory) {
  run<T, ColMajor, ColMajor>(size, a, size.depth, b, size.columns, result, memory);
}

template <class T>
void add_product_of_transposed(product_size size, const T* a, const T* b, T* result,
                               product_memory<T>& memory) {
  run<T, RowMajor, ColMajor>(size, a, size.rows, b, size.columns, result, memory);
}

template <class T>
void add_product_with_transposed(product_size size, const T* a, const T* b, T* result,
                                 product_memory<T>& memory) {
  run<T, ColMajor, RowMajor>(size, a, size.depth, b, size.depth, result, memory);
}

template void add_product(product_size, const float*, const float*, float*, product_memory<float>&);
template void add_product(product_size, const double*, const double*, double*,
                          product_memory<double>&);
template void add_product_of_transposed(product_size, const float*, const float*, float*,
                                        product_memory<float>&);
template void add_product_of_transposed(product_size, const double*, const double*, double*,
                                        product_memory<double>&);
template void add_product_with_transposed(product_size, const float*, const float*, float*,
                                          product_memory<float>&);
template void add_product_with_transposed(product_size, const double*, const double*, double*,
                                          product_memory<double>&);

} // namespace troupe::tensor
