#include "matrix_product.hpp"
#include "troupe/values/aligned.hpp"

#include <Eigen/Core>

#include <algorithm>

namespace troupe::tensor {

namespace {

using Eigen::ColMajor;
using Eigen::Index;
using Eigen::RowMajor;

template <class T>
struct packing_memory {
  aligned_vector<T> left;
  aligned_vector<T> right;
};

/// Eigen's own product allocates its packing memory on every call once it exceeds 128 KiB, and
/// picks other code for small sizes whose summation order depends on alignment. Its blocked kernel
/// takes the memory as an argument; this hands it ours. The kernel lies in Eigen::internal: of
/// the 3.4 series, which CMakeLists.txt asks for.
template <class T>
class blocking : public Eigen::internal::level3_blocking<T, T> {
 public:
  blocking(Index rows, Index columns, Index depth, packing_memory<T>& memory) {
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

/// The operands are always packed first, so the bits of the result do not depend on where they
/// lie.
template <class T>
class eigen_products final : public matrix_products<T> {
 public:
  const char* name() const noexcept override { return "Eigen"; }

  factor<T> factor_of(const T* values, std::size_t, factor_memory&) override { return {values}; }

  void multiply(product_size size, factor<T> a, factor<T> b, const T* bias,
                product_result<T> to) override {
    T* result = to.values;
    // The kernel adds to what is there, so the bias costs no pass of its own.
    for (std::size_t i = 0; bias != nullptr && i < size.rows; ++i)
      std::copy_n(bias, size.columns, result + i * size.columns);
    if (bias == nullptr) std::fill_n(result, size.rows * size.columns, T(0));
    add<ColMajor, ColMajor>(size, a.values, size.depth, b.values, size.columns, result);
  }

  void multiply_transposed(product_size size, factor<T> a, factor<T> b,
                           product_result<T> to) override {
    T* result = to.values;
    std::fill_n(result, size.rows * size.columns, T(0));
    add<RowMajor, ColMajor>(size, a.values, size.rows, b.values, size.columns, result);
  }

  void multiply_by_transposed(product_size size, factor<T> a, factor<T> b,
                              product_result<T> to) override {
    T* result = to.values;
    std::fill_n(result, size.rows * size.columns, T(0));
    add<ColMajor, RowMajor>(size, a.values, size.depth, b.values, size.depth, result);
  }

 private:
  /// Eigen's kernel writes column-major, and a row-major result is its own transpose seen that
  /// way: result^T = b^T * a^T. A row-major matrix read as column-major is already transposed.
  template <int StorageOfA, int StorageOfB>
  void add(product_size size, const T* a, std::size_t stride_a, const T* b, std::size_t stride_b,
           T* result) {
    if (size.rows == 0 || size.columns == 0 || size.depth == 0) return;
    const auto rows = static_cast<Index>(size.columns);
    const auto columns = static_cast<Index>(size.rows);
    const auto depth = static_cast<Index>(size.depth);
    blocking<T> space(rows, columns, depth, memory_);
    Eigen::internal::general_matrix_matrix_product<Index, T, StorageOfB, false, T, StorageOfA,
                                                   false, ColMajor,
                                                   1>::run(rows, columns, depth, b,
                                                           static_cast<Index>(stride_b), a,
                                                           static_cast<Index>(stride_a), result, 1,
                                                           rows, T(1), space, nullptr);
  }

  packing_memory<T> memory_;
};

} // namespace

template <class T>
std::unique_ptr<matrix_products<T>> make_eigen_products() {
  return std::make_unique<eigen_products<T>>();
}

template std::unique_ptr<matrix_products<float>> make_eigen_products();
template std::unique_ptr<matrix_products<double>> make_eigen_products();

} // namespace troupe::tensor
