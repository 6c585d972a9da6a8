#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iostream>

#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/saved_model.hpp"
#include "troupe/tensor/csv.hpp"
#include "troupe/tensor/idx.hpp"

namespace troupe::cli {

namespace {

// By its first bytes: gzip and IDX begin as no table does.
bool looks_like_idx(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::array<char, 2> first{};
  in.read(first.data(), first.size());
  return in && ((first[0] == '\x1f' && first[1] == '\x8b') || (first[0] == 0 && first[1] == 0));
}

tensor::data_set load_features(const std::filesystem::path& file, const std::string& target) {
  if (looks_like_idx(file)) return tensor::load_idx_images(file);
  tensor::data_set all = tensor::load_csv_features(file);
  const auto& names = all.feature_names();
  if (target.empty() || std::find(names.begin(), names.end(), target) == names.end()) return all;
  // The table that the model was trained on, or one like it: the answer is no feature.
  return tensor::load_csv(file, target, tensor::csv_target::regression);
}

void append(std::string& text, float value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  text.append(digits.data(), end);
}

// One line for one sample: a class where the model was trained on classes, else its outputs.
std::string prediction(std::span<const float> outputs, tensor::loss loss, bool values) {
  std::string line;
  if (!values && loss == tensor::loss::softmax_cross_entropy)
    return std::to_string(std::max_element(outputs.begin(), outputs.end()) - outputs.begin());
  for (const float output : outputs) {
    if (!line.empty()) line += ',';
    if (!values && loss == tensor::loss::binary_cross_entropy)
      line += output >= 0.5f ? '1' : '0';
    else
      append(line, output);
  }
  return line;
}

} // namespace

int run(const predict_arguments& a) {
  const saved_model saved(a.run);
  if (a.out && std::filesystem::exists(*a.out))
    throw file_error(a.out->string() + ": expected a new file for the predictions, found one that "
                                       "is there; remove it or give another --out");
  const auto data = saved.prepare(load_features(a.data, saved.job().data.target), a.data.string());
  const auto outputs = saved.predict(data);

  std::ofstream file;
  if (a.out) file.open(*a.out, std::ios::binary);
  std::ostream& out = a.out ? file : std::cout;
  const std::size_t width = saved.model().output_count();
  for (std::size_t row = 0; row < data.size() && out; ++row)
    out << prediction(std::span(outputs).subspan(row * width, width), saved.job().model.loss,
                      a.values)
        << '\n';
  out.flush();
  if (!out)
    throw file_error((a.out ? a.out->string() : "the standard output") +
                     ": cannot write the predictions");
  return success;
}

} // namespace troupe::cli
