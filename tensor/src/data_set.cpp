#include "troupe/tensor/data_set.hpp"

#include "troupe/tensor/error.hpp"
#include "troupe/tensor/permutation.hpp"
#include "troupe/tensor/random.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace troupe::tensor {

namespace {

std::size_t samples_of(const data_set::contents& c) {
  const auto refuse = [](const std::string& reason) { throw error("data_set", reason); };
  if (c.feature_count == 0) {
    if (!c.features.empty()) refuse("features given, but a feature_count of 0");
    if (!c.labels.empty() || !c.targets.empty()) refuse("labels or targets without features");
    return 0;
  }
  if (c.features.size() % c.feature_count != 0)
    refuse("expected a multiple of " + std::to_string(c.feature_count) + " feature values, found " +
           std::to_string(c.features.size()));
  const auto n = c.features.size() / c.feature_count;
  if (c.class_count > 0 && c.target_count > 0) refuse("labels and targets exclude each other");
  if (c.labels.size() != (c.class_count > 0 ? n : 0))
    refuse("expected " + std::to_string(c.class_count > 0 ? n : 0) + " labels, found " +
           std::to_string(c.labels.size()));
  if (c.targets.size() != n * c.target_count)
    refuse("expected " + std::to_string(n * c.target_count) + " target values, found " +
           std::to_string(c.targets.size()));
  for (std::size_t i = 0; i < c.labels.size(); ++i)
    if (c.labels[i] < 0 || static_cast<std::size_t>(c.labels[i]) >= c.class_count)
      refuse("expected labels below " + std::to_string(c.class_count) + ", found " +
             std::to_string(c.labels[i]) + " at sample " + std::to_string(i));
  if (!c.feature_names.empty() && c.feature_names.size() != c.feature_count)
    refuse("expected " + std::to_string(c.feature_count) + " feature names, found " +
           std::to_string(c.feature_names.size()));
  return n;
}

void prefetch(const float* values, std::size_t n) {
  for (std::size_t i = 0; i < n; i += alignment / sizeof(float)) __builtin_prefetch(values + i);
}

data_set::contents rows_of(const data_set& data, std::span<const std::uint32_t> rows) {
  batch_buffer buffer;
  data.gather(rows, buffer);
  return {.feature_count = data.feature_count(),
          .features = std::move(buffer.features),
          .labels = std::move(buffer.labels),
          .class_count = data.class_count(),
          .targets = std::move(buffer.targets),
          .target_count = data.target_count(),
          .feature_names = data.feature_names(),
          .suggested = data.suggested_normalization()};
}

} // namespace

data_set::data_set() : contents_(std::make_shared<const contents>()) {}

data_set::data_set(contents c) : size_(samples_of(c)) {
  contents_ = std::make_shared<const contents>(std::move(c));
}

std::size_t data_set::size() const noexcept { return size_; }
std::size_t data_set::feature_count() const noexcept { return contents_->feature_count; }
std::size_t data_set::target_count() const noexcept { return contents_->target_count; }
std::size_t data_set::class_count() const noexcept { return contents_->class_count; }
const std::vector<std::string>& data_set::feature_names() const noexcept {
  return contents_->feature_names;
}
normalization_kind data_set::suggested_normalization() const noexcept {
  return contents_->suggested;
}

batch_view data_set::view(std::size_t first, std::size_t rows) const {
  if (first > size_ || rows > size_ - first)
    throw error("data_set::view", "expected rows within " + std::to_string(size_) + ", found " +
                                      std::to_string(first) + " + " + std::to_string(rows));
  const auto& c = *contents_;
  const auto part = [&](const auto& values, std::size_t width) {
    return std::span(values).subspan(first * width, rows * width);
  };
  batch_view result;
  result.features = part(c.features, c.feature_count);
  result.rows = rows;
  result.feature_count = c.feature_count;
  if (c.class_count > 0) result.labels = part(c.labels, 1);
  if (c.target_count > 0) result.targets = part(c.targets, c.target_count);
  result.target_count = c.target_count;
  return result;
}

batch_view data_set::gather(std::span<const std::uint32_t> rows, batch_buffer& out) const {
  const auto& c = *contents_;
  for (auto row : rows)
    if (row >= size_)
      throw error("data_set::gather", "expected rows below " + std::to_string(size_) + ", found " +
                                          std::to_string(row));
  out.features.resize(rows.size() * c.feature_count);
  out.labels.resize(c.class_count > 0 ? rows.size() : 0);
  out.targets.resize(rows.size() * c.target_count);
  const auto width = c.feature_count;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    // Rows lie in random order, and the processor foresees only what lies in a line.
    if (i + 1 < rows.size()) prefetch(c.features.data() + rows[i + 1] * width, width);
    std::copy_n(c.features.data() + rows[i] * width, width, out.features.data() + i * width);
    if (c.class_count > 0) out.labels[i] = c.labels[rows[i]];
    if (c.target_count > 0)
      std::copy_n(c.targets.data() + rows[i] * c.target_count, c.target_count,
                  out.targets.data() + i * c.target_count);
  }
  return {out.features, rows.size(), width, out.labels, out.targets, c.target_count};
}

void normalization::apply(std::span<float> features) const {
  if (mean.size() != scale.size())
    throw error("normalization::apply", "expected as many scales as means, found " +
                                            std::to_string(scale.size()) + " and " +
                                            std::to_string(mean.size()));
  if (mean.empty()) return;
  if (mean.size() == 1) {
    const float m = mean[0];
    const float s = scale[0];
    for (auto& x : features) x = (x - m) * s;
    return;
  }
  const auto width = mean.size();
  if (features.size() % width != 0)
    throw error("normalization::apply", "expected a multiple of " + std::to_string(width) +
                                            " features, found " + std::to_string(features.size()));
  for (std::size_t row = 0; row < features.size(); row += width)
    for (std::size_t j = 0; j < width; ++j)
      features[row + j] = (features[row + j] - mean[j]) * scale[j];
}

normalization fit_normalization(const data_set& data, normalization_kind kind) {
  if (kind == normalization_kind::none || data.size() == 0) return {};
  const auto width = kind == normalization_kind::global ? 1 : data.feature_count();
  const auto features = data.all().features;
  const auto per_column = static_cast<double>(features.size() / width);
  // Two passes: the one-pass formula cancels for columns whose mean is far from 0.
  std::vector<double> mean(width, 0.0);
  std::vector<double> square(width, 0.0);
  for (std::size_t row = 0; row < features.size(); row += width)
    for (std::size_t j = 0; j < width; ++j) mean[j] += features[row + j];
  for (auto& m : mean) m /= per_column;
  for (std::size_t row = 0; row < features.size(); row += width)
    for (std::size_t j = 0; j < width; ++j) {
      const double d = features[row + j] - mean[j];
      square[j] += d * d;
    }
  normalization result;
  for (std::size_t j = 0; j < width; ++j) {
    const double deviation = std::sqrt(square[j] / per_column);
    // A constant column leaves rounding noise, not exactly 0; dividing by it would blow it up.
    const bool constant = !(deviation > 1e-7 * std::abs(mean[j]));
    result.mean.push_back(static_cast<float>(mean[j]));
    result.scale.push_back(constant ? 1.0f : static_cast<float>(1 / deviation));
  }
  return result;
}

data_set normalized(const data_set& data, const normalization& norm) {
  if (norm.mean.empty() && norm.scale.empty()) return data;
  if (norm.mean.size() > 1 && norm.mean.size() != data.feature_count())
    throw error("normalized", "expected a normalization of " +
                                  std::to_string(data.feature_count()) + " features, found " +
                                  std::to_string(norm.mean.size()));
  const auto v = data.all();
  data_set::contents c{.feature_count = data.feature_count(),
                       .features = {v.features.begin(), v.features.end()},
                       .labels = {v.labels.begin(), v.labels.end()},
                       .class_count = data.class_count(),
                       .targets = {v.targets.begin(), v.targets.end()},
                       .target_count = data.target_count(),
                       .feature_names = data.feature_names(),
                       .suggested = data.suggested_normalization()};
  norm.apply(c.features);
  return data_set(std::move(c));
}

data_split split(data_set data, double held_out, std::uint64_t seed) {
  const auto kind = data.suggested_normalization();
  return split(std::move(data), held_out, seed, kind);
}

data_split split(data_set data, double held_out, std::uint64_t seed, normalization_kind kind) {
  if (!(held_out >= 0 && held_out < 1))
    throw error("split", "expected a held-out share of at least 0 and below 1, found " +
                             std::to_string(held_out));
  const auto n = data.size();
  const auto apart =
      std::min(n, static_cast<std::size_t>(std::llround(held_out * static_cast<double>(n))));
  if (n == apart)
    throw error("split", "holding out " + std::to_string(apart) + " of " + std::to_string(n) +
                             " samples leaves none to train on");
  // A stream of its own: epochs use permutation(n, seed, epoch).
  auto order = permutation(n, mix(seed ^ 0x68656c645f6f7574u), 0);
  const std::span<const std::uint32_t> rows(order);
  auto train = rows_of(data, rows.first(n - apart));
  auto held = rows_of(data, rows.last(apart));
  data_split result{data_set(std::move(train)), data_set(std::move(held)), {}};
  result.norm = fit_normalization(result.train, kind);
  result.train = normalized(result.train, result.norm);
  result.held_out = normalized(result.held_out, result.norm);
  return result;
}

} // namespace troupe::tensor
