#include "troupe/model.hpp"

#include "troupe/values/aligned.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <string>

namespace troupe::tensor {

double model::loss_and_streamed_gradient(std::span<const float> parameters, const batch_view& batch,
                                         std::span<float> gradient, const final_listener&) {
  return loss_and_gradient(parameters, batch, gradient);
}

evaluation model::evaluate(std::span<const float> parameters, const data_set& data) {
  constexpr std::size_t chunk = 256;
  aligned_vector<float> gradient(parameters.size());
  aligned_vector<float> outputs(std::min(chunk, data.size()) * output_count());
  double loss = 0;
  std::size_t correct = 0;
  for (std::size_t first = 0; first < data.size(); first += chunk) {
    const auto rows = std::min(chunk, data.size() - first);
    const auto batch = data.view(first, rows);
    loss += loss_and_gradient(parameters, batch, gradient) * static_cast<double>(rows);
    if (data.class_count() == 0) continue;
    const auto part = std::span(outputs).first(rows * output_count());
    predict(parameters, batch, part);
    correct += count_correct(part, output_count(), batch.labels);
  }
  evaluation result;
  result.samples = data.size();
  if (data.size() == 0) return result;
  const auto samples = static_cast<double>(data.size());
  result.loss = loss / samples;
  if (data.class_count() > 0) result.accuracy = static_cast<double>(correct) / samples;
  return result;
}

std::size_t count_correct(std::span<const float> outputs, std::size_t output_count,
                          std::span<const std::int32_t> labels) {
  if (outputs.size() != labels.size() * output_count)
    throw error("count_correct", "expected " + std::to_string(labels.size() * output_count) +
                                     " outputs, found " + std::to_string(outputs.size()));
  std::size_t correct = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = outputs.subspan(i * output_count, output_count);
    const auto label = static_cast<std::size_t>(labels[i]);
    if (output_count == 1) {
      correct += (label == 1 && row[0] >= 0.5f) || (label == 0 && row[0] < 0.5f);
      continue;
    }
    // Written so that every comparison with a NaN says no; of equal outputs the first counts.
    bool largest = label < output_count;
    for (std::size_t j = 0; largest && j < output_count; ++j)
      largest = j < label ? row[label] > row[j] : row[label] >= row[j];
    correct += largest;
  }
  return correct;
}

} // namespace troupe::tensor
