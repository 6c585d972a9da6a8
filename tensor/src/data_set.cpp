#include "troupe/data_set.hpp"

#include "troupe/random.hpp"
#include "troupe/tensor/permutation.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>
#include <utility>

namespace troupe::tensor {

namespace {

std::size_t samples_of(const data_set::contents& c) {
  const auto refuse = [](const std::string& reason) { throw error("data_set", reason); };
  if (!c.features.empty() && !c.bytes.empty()) refuse("features given both as floats and as bytes");
  if (!c.features.empty() && c.norm != normalization{})
    refuse("a normalization given, but floats, which it is not for");
  const auto means = c.norm.mean.size();
  if (c.norm.scale.size() != means || (means > 1 && means != c.feature_count))
    refuse("expected a normalization of " + std::to_string(c.feature_count) + " features, found " +
           std::to_string(means) + " means and " + std::to_string(c.norm.scale.size()) + " scales");
  const auto values = c.features.size() + c.bytes.size();
  if (c.feature_count == 0) {
    if (values > 0) refuse("features given, but a feature_count of 0");
    if (!c.labels.empty() || !c.targets.empty()) refuse("labels or targets without features");
    return 0;
  }
  if (values % c.feature_count != 0)
    refuse("expected a multiple of " + std::to_string(c.feature_count) + " feature values, found " +
           std::to_string(values));
  const auto n = values / c.feature_count;
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

/// How far ahead rows are fetched that lie in random order: long enough before they are read, and
/// no more than the processor has under way at once.
constexpr std::size_t bytes_ahead = 4096;

void prefetch(const void* memory, std::size_t bytes) {
  const auto* p = static_cast<const char*>(memory);
  for (std::size_t i = 0; i < bytes; i += alignment) __builtin_prefetch(p + i);
}

/// Calls copy(row, i) for the i-th of the rows.
template <class T, class F>
void each_row(const T* values, std::size_t width, std::span<const std::uint32_t> rows, F copy) {
  const auto bytes = width * sizeof(T);
  const auto ahead = std::max<std::size_t>(1, bytes_ahead / bytes);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + ahead < rows.size()) prefetch(values + rows[i + ahead] * width, bytes);
    copy(values + rows[i] * width, i);
  }
}

float from_byte(unsigned char b) { return static_cast<float>(b) / 255.0f; }

void to_floats(const unsigned char* bytes, std::size_t n, const normalization& norm, float* out) {
  if (norm.mean.empty()) {
    for (std::size_t j = 0; j < n; ++j) out[j] = from_byte(bytes[j]);
  } else if (norm.mean.size() == 1) {
    const float m = norm.mean[0];
    const float s = norm.scale[0];
    for (std::size_t j = 0; j < n; ++j) out[j] = (from_byte(bytes[j]) - m) * s;
  } else {
    const float* m = norm.mean.data();
    const float* s = norm.scale.data();
    for (std::size_t j = 0; j < n; ++j) out[j] = (from_byte(bytes[j]) - m[j]) * s[j];
  }
}

data_set::contents rows_of(const data_set& data, std::span<const std::uint32_t> rows) {
  const auto& from = data.stored();
  data_set::contents c;
  const auto pick = [&](const auto& values, auto& out, std::size_t width) {
    if (values.empty()) return;
    out.reserve(rows.size() * width);
    each_row(values.data(), width, rows,
             [&](auto* row, std::size_t) { out.insert(out.end(), row, row + width); });
  };
  c.feature_count = from.feature_count;
  c.class_count = from.class_count;
  c.target_count = from.target_count;
  c.feature_names = from.feature_names;
  c.suggested = from.suggested;
  c.norm = from.norm;
  pick(from.features, c.features, c.feature_count);
  pick(from.bytes, c.bytes, c.feature_count);
  pick(from.labels, c.labels, 1);
  pick(from.targets, c.targets, c.target_count);
  return c;
}

/// Calls f(features) for the features of all samples, in their order, some rows at a time.
template <class F>
void for_features(const data_set& data, F f) {
  constexpr std::size_t chunk = 256;
  batch_buffer buffer;
  std::vector<std::uint32_t> rows;
  for (std::size_t first = 0; first < data.size(); first += chunk) {
    rows.resize(std::min(chunk, data.size() - first));
    std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(first));
    f(data.gather(rows, buffer).features);
  }
}

} // namespace

struct data_set::memory {
  explicit memory(contents c) : given(std::move(c)) {}

  std::span<const float> floats() const {
    if (given.bytes.empty()) return given.features;
    std::call_once(once_, [this] {
      aligned_vector<float> all(given.bytes.size());
      for (std::size_t i = 0; i < all.size(); i += given.feature_count)
        to_floats(given.bytes.data() + i, given.feature_count, given.norm, all.data() + i);
      floats_ = std::move(all);
    });
    return floats_;
  }

  const contents given;

 private:
  mutable std::once_flag once_;
  mutable aligned_vector<float> floats_;
};

data_set::data_set() : memory_(std::make_shared<const memory>(contents{})) {}

data_set::data_set(contents c) : size_(samples_of(c)) {
  memory_ = std::make_shared<const memory>(std::move(c));
}

std::size_t data_set::size() const noexcept { return size_; }
const data_set::contents& data_set::stored() const noexcept { return memory_->given; }
std::size_t data_set::feature_count() const noexcept { return stored().feature_count; }
std::size_t data_set::target_count() const noexcept { return stored().target_count; }
std::size_t data_set::class_count() const noexcept { return stored().class_count; }
const std::vector<std::string>& data_set::feature_names() const noexcept {
  return stored().feature_names;
}
normalization_kind data_set::suggested_normalization() const noexcept { return stored().suggested; }

batch_view data_set::view(std::size_t first, std::size_t rows) const {
  if (first > size_ || rows > size_ - first)
    throw error("data_set::view", "expected rows within " + std::to_string(size_) + ", found " +
                                      std::to_string(first) + " + " + std::to_string(rows));
  const auto& c = stored();
  const auto part = [&](const auto& values, std::size_t width) {
    return std::span(values).subspan(first * width, rows * width);
  };
  batch_view result;
  result.features = part(memory_->floats(), c.feature_count);
  result.rows = rows;
  result.feature_count = c.feature_count;
  if (c.class_count > 0) result.labels = part(c.labels, 1);
  if (c.target_count > 0) result.targets = part(c.targets, c.target_count);
  result.target_count = c.target_count;
  return result;
}

batch_view data_set::gather(std::span<const std::uint32_t> rows, batch_buffer& out) const {
  const auto& c = stored();
  for (auto row : rows)
    if (row >= size_)
      throw error("data_set::gather", "expected rows below " + std::to_string(size_) + ", found " +
                                          std::to_string(row));
  const auto width = c.feature_count;
  const auto outputs = c.target_count;
  out.features.resize(rows.size() * width);
  out.labels.resize(c.class_count > 0 ? rows.size() : 0);
  out.targets.resize(rows.size() * outputs);
  float* const to = out.features.data();
  if (!c.bytes.empty())
    each_row(c.bytes.data(), width, rows, [&](const unsigned char* row, std::size_t i) {
      to_floats(row, width, c.norm, to + i * width);
    });
  else if (!c.features.empty())
    each_row(c.features.data(), width, rows,
             [&](const float* row, std::size_t i) { std::copy_n(row, width, to + i * width); });
  for (std::size_t i = 0; i < out.labels.size(); ++i) out.labels[i] = c.labels[rows[i]];
  if (outputs > 0)
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::copy_n(c.targets.data() + rows[i] * outputs, outputs, out.targets.data() + i * outputs);
  return {out.features, rows.size(), width, out.labels, out.targets, outputs};
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
  const auto per_column = static_cast<double>(data.size() * data.feature_count() / width);
  // Two passes: the one-pass formula cancels for columns whose mean is far from 0.
  std::vector<double> mean(width, 0.0);
  std::vector<double> square(width, 0.0);
  for_features(data, [&](std::span<const float> features) {
    for (std::size_t row = 0; row < features.size(); row += width)
      for (std::size_t j = 0; j < width; ++j) mean[j] += features[row + j];
  });
  for (auto& m : mean) m /= per_column;
  for_features(data, [&](std::span<const float> features) {
    for (std::size_t row = 0; row < features.size(); row += width)
      for (std::size_t j = 0; j < width; ++j) {
        const double d = features[row + j] - mean[j];
        square[j] += d * d;
      }
  });
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
  auto c = data.stored();
  if (!c.bytes.empty() && c.norm == normalization{}) {
    c.norm = norm;
    return data_set(std::move(c));
  }
  if (!c.bytes.empty()) { // normalized before
    const auto features = data.all().features;
    c.features.assign(features.begin(), features.end());
    c.bytes.clear();
    c.norm = {};
  }
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
