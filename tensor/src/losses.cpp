#include "losses.hpp"

#include "elementwise.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace troupe::tensor {

namespace {

[[noreturn]] void refuse(const std::string& expected, const std::string& found) {
  throw error("model", "expected " + expected + ", found " + found);
}

void check_labels(std::span<const std::int32_t> labels, std::size_t rows, std::size_t classes) {
  if (labels.size() != rows)
    refuse(std::to_string(rows) + " class labels", std::to_string(labels.size()));
  for (auto label : labels) // a negative one becomes a huge one
    if (static_cast<std::size_t>(label) >= classes)
      refuse("labels from 0 to " + std::to_string(classes - 1) + " for " + std::to_string(classes) +
                 " classes",
             "label " + std::to_string(label));
}

/// exp(z - max of the row); the derivative of the loss does not change by the subtraction.
template <class T>
void shifted_exponentials(std::size_t rows, std::size_t outputs, const T* z, T* result) {
  for (std::size_t i = 0; i < rows; ++i) {
    const T* row = z + i * outputs;
    T largest = row[0];
    for (std::size_t j = 1; j < outputs; ++j) largest = row[j] > largest ? row[j] : largest;
    for (std::size_t j = 0; j < outputs; ++j) result[i * outputs + j] = row[j] - largest;
  }
}

template <class T>
double softmax_cross_entropy(std::size_t rows, std::size_t outputs, const T* z,
                             std::span<const std::int32_t> labels, T* delta) {
  double total = 0;
  shifted_exponentials(rows, outputs, z, delta);
  for (std::size_t i = 0; i < rows; ++i)
    total -= static_cast<double>(delta[i * outputs + static_cast<std::size_t>(labels[i])]);
  exp_in_place(delta, rows * outputs);
  const T share = T(1) / static_cast<T>(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    T* row = delta + i * outputs;
    T sum = 0;
    for (std::size_t j = 0; j < outputs; ++j) sum += row[j];
    total += std::log(static_cast<double>(sum));
    const T factor = share / sum;
    for (std::size_t j = 0; j < outputs; ++j) row[j] *= factor;
    row[static_cast<std::size_t>(labels[i])] -= share;
  }
  return total / static_cast<double>(rows);
}

template <class T>
double binary_cross_entropy(std::size_t rows, std::size_t outputs, const T* z,
                            const basic_answers<T>& answers, T* delta, T* scratch) {
  const auto n = rows * outputs;
  std::copy_n(z, n, delta);
  sigmoid_in_place(delta, n);
  log1p_exp_of_minus_abs(z, scratch, n);
  const T share = T(1) / static_cast<T>(n);
  double total = 0;
  const auto add = [&](std::size_t i, T target) {
    total += static_cast<double>((z[i] < 0 ? T(0) : z[i]) - z[i] * target + scratch[i]);
    delta[i] = (delta[i] - target) * share;
  };
  if (answers.targets.empty())
    for (std::size_t i = 0; i < n; ++i) add(i, static_cast<T>(answers.labels[i]));
  else
    for (std::size_t i = 0; i < n; ++i) add(i, answers.targets[i]);
  return total / static_cast<double>(n);
}

template <class T>
double mean_squared_error(std::size_t n, const T* z, const T* targets, T* delta) {
  const T share = T(2) / static_cast<T>(n);
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const T difference = z[i] - targets[i];
    total += static_cast<double>(difference) * static_cast<double>(difference);
    delta[i] = difference * share;
  }
  return total / static_cast<double>(n);
}

} // namespace

template <class T>
void check_answers(loss l, std::size_t rows, std::size_t outputs, const basic_answers<T>& answers) {
  if (l == loss::softmax_cross_entropy) return check_labels(answers.labels, rows, outputs);
  const bool labels_do = l == loss::binary_cross_entropy && outputs == 1 && answers.targets.empty();
  if (labels_do) return check_labels(answers.labels, rows, 2);
  if (answers.targets.size() != rows * outputs || (rows > 0 && answers.target_count != outputs))
    refuse(std::to_string(outputs) +
               " target value(s) per sample, as many as the model has outputs",
           answers.labels.empty() ? std::to_string(answers.target_count) : "class labels");
  if (l == loss::binary_cross_entropy)
    for (auto target : answers.targets)
      if (!(target >= 0 && target <= 1))
        refuse("targets from 0 to 1 for the binary cross-entropy", std::to_string(target));
}

template <class T>
double loss_and_delta(loss l, std::size_t rows, std::size_t outputs, const T* z,
                      const basic_answers<T>& answers, T* delta, T* scratch) {
  switch (l) {
  case loss::softmax_cross_entropy:
    return softmax_cross_entropy(rows, outputs, z, answers.labels, delta);
  case loss::binary_cross_entropy:
    return binary_cross_entropy(rows, outputs, z, answers, delta, scratch);
  case loss::mean_squared_error:
    break;
  }
  return mean_squared_error(rows * outputs, z, answers.targets.data(), delta);
}

template <class T>
void predictions(loss l, std::size_t rows, std::size_t outputs, const T* z, T* result) {
  if (l == loss::softmax_cross_entropy) {
    shifted_exponentials(rows, outputs, z, result);
    exp_in_place(result, rows * outputs);
    for (std::size_t i = 0; i < rows; ++i) {
      T* row = result + i * outputs;
      T sum = 0;
      for (std::size_t j = 0; j < outputs; ++j) sum += row[j];
      const T factor = 1 / sum;
      for (std::size_t j = 0; j < outputs; ++j) row[j] *= factor;
    }
    return;
  }
  std::copy_n(z, rows * outputs, result);
  if (l == loss::binary_cross_entropy) sigmoid_in_place(result, rows * outputs);
}

#define TROUPE_INSTANTIATE(T)                                                                      \
  template void check_answers(loss, std::size_t, std::size_t, const basic_answers<T>&);            \
  template double loss_and_delta(loss, std::size_t, std::size_t, const T*,                         \
                                 const basic_answers<T>&, T*, T*);                                 \
  template void predictions(loss, std::size_t, std::size_t, const T*, T*);

TROUPE_INSTANTIATE(float)
TROUPE_INSTANTIATE(double)
#undef TROUPE_INSTANTIATE

} // namespace troupe::tensor
