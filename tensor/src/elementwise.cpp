#include "elementwise.hpp"

#include <Eigen/Core>

#include <bit>
#include <type_traits>

namespace troupe::tensor {

namespace {

template <class T>
auto whole_vectors(T* values, std::size_t n) {
  using array = std::conditional_t<std::is_const_v<T>, const Eigen::ArrayX<std::remove_const_t<T>>,
                                   Eigen::ArrayX<T>>;
  return Eigen::Map<array, Eigen::Aligned64>(values, static_cast<Eigen::Index>(padded(n)));
}

} // namespace

template <class T>
void exp_in_place(T* values, std::size_t n) {
  auto x = whole_vectors(values, n);
  x = x.exp();
}

template <class T>
void tanh_in_place(T* values, std::size_t n) {
  auto x = whole_vectors(values, n);
  x = x.tanh();
}

template <class T>
void sigmoid_in_place(T* values, std::size_t n) {
  auto x = whole_vectors(values, n);
  x = x.logistic();
}

template <class T>
void log1p_exp_of_minus_abs(const T* values, T* out, std::size_t n) {
  whole_vectors(out, n) = (-whole_vectors(values, n).abs()).exp().log1p();
}

template <class T>
void relu_in_place(T* values, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) values[i] = values[i] < 0 ? T(0) : values[i];
}

template <class T>
void multiply_relu_derivative(const T* y, T* delta, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) delta[i] = y[i] > 0 ? delta[i] : T(0);
}

// A bfloat16 is the upper half of a float32: the sign, and then what grows with the magnitude, up
// to infinity; NaN lies above.
constexpr std::uint16_t minus_zero = 0x8000;
constexpr std::uint16_t infinity = 0x7f80;
constexpr std::uint16_t minus_infinity = 0xff80;

void relu_in_place(std::uint16_t* values, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    values[i] =
        values[i] > minus_zero && values[i] <= minus_infinity ? std::uint16_t(0) : values[i];
}

void multiply_relu_derivative(const std::uint16_t* y, std::uint16_t* delta, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    delta[i] = y[i] > 0 && y[i] <= infinity ? delta[i] : std::uint16_t(0);
}

template <class T>
void multiply_tanh_derivative(const T* y, T* delta, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) delta[i] *= 1 - y[i] * y[i];
}

template <class T>
void multiply_sigmoid_derivative(const T* y, T* delta, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) delta[i] *= y[i] * (1 - y[i]);
}

template <class T, class Value>
void add_to(T* sums, const Value* values, std::size_t n) {
  if constexpr (std::is_same_v<T, Value>)
    for (std::size_t i = 0; i < n; ++i) sums[i] += values[i];
  else
    for (std::size_t i = 0; i < n; ++i)
      sums[i] += std::bit_cast<float>(static_cast<std::uint32_t>(values[i]) << 16);
}

#define TROUPE_INSTANTIATE(T)                                                                      \
  template void exp_in_place(T*, std::size_t);                                                     \
  template void tanh_in_place(T*, std::size_t);                                                    \
  template void sigmoid_in_place(T*, std::size_t);                                                 \
  template void log1p_exp_of_minus_abs(const T*, T*, std::size_t);                                 \
  template void relu_in_place(T*, std::size_t);                                                    \
  template void multiply_relu_derivative(const T*, T*, std::size_t);                               \
  template void multiply_tanh_derivative(const T*, T*, std::size_t);                               \
  template void multiply_sigmoid_derivative(const T*, T*, std::size_t);                            \
  template void add_to(T*, const T*, std::size_t);                                                 \
  template void add_to(T*, const std::uint16_t*, std::size_t);

TROUPE_INSTANTIATE(float)
TROUPE_INSTANTIATE(double)
#undef TROUPE_INSTANTIATE

} // namespace troupe::tensor
