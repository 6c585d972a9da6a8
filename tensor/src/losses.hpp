#pragma once

#include "troupe/tensor/sequential.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::tensor {

/// The answers of a batch, for a scalar type.
template <class T>
struct basic_answers {
  std::span<const std::int32_t> labels;
  std::span<const T> targets;
  std::size_t target_count = 0;
};

/// Throws `error` unless the loss can be computed from these answers with this many outputs.
template <class T>
void check_answers(loss l, std::size_t rows, std::size_t outputs, const basic_answers<T>& answers);

/// The mean loss over the rows of z [rows x outputs], its derivative by z into `delta`. The answers
/// must have been checked. z, delta and scratch are aligned and padded as elementwise.hpp asks.
template <class T>
double loss_and_delta(loss l, std::size_t rows, std::size_t outputs, const T* z,
                      const basic_answers<T>& answers, T* delta, T* scratch);

/// What predict() gives for z: probabilities, or z itself.
template <class T>
void predictions(loss l, std::size_t rows, std::size_t outputs, const T* z, T* result);

} // namespace troupe::tensor
