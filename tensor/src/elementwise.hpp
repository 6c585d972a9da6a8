#pragma once

#include <cstddef>
#include <cstdint>

namespace troupe::tensor {

/// Vectorized functions on n values in place (or into `out`), for float and double.
///
/// `values` must be 64-byte aligned and have room for n rounded up to padded(n): whole vectors are
/// computed, so every element takes the same code and the same bits come out wherever in a batch it
/// stands. What lies in the padding is overwritten.
inline constexpr std::size_t padding = 16;
constexpr std::size_t padded(std::size_t n) { return (n + padding - 1) / padding * padding; }

template <class T>
void exp_in_place(T* values, std::size_t n);
template <class T>
void tanh_in_place(T* values, std::size_t n);
/// 1 / (1 + exp(-x))
template <class T>
void sigmoid_in_place(T* values, std::size_t n);
/// out = log(1 + exp(-|x|)), the part of the logistic loss that needs no care with large x.
template <class T>
void log1p_exp_of_minus_abs(const T* values, T* out, std::size_t n);

/// A NaN stays a NaN.
template <class T>
void relu_in_place(T* values, std::size_t n);
/// The same for bfloat16.
void relu_in_place(std::uint16_t* values, std::size_t n);

/// delta *= f'(x), given y = f(x).
template <class T>
void multiply_relu_derivative(const T* y, T* delta, std::size_t n);
/// The same for bfloat16.
void multiply_relu_derivative(const std::uint16_t* y, std::uint16_t* delta, std::size_t n);
template <class T>
void multiply_tanh_derivative(const T* y, T* delta, std::size_t n);
template <class T>
void multiply_sigmoid_derivative(const T* y, T* delta, std::size_t n);

/// sums[i] += values[i]; values of type T, or bfloat16.
template <class T, class Value>
void add_to(T* sums, const Value* values, std::size_t n);

} // namespace troupe::tensor
