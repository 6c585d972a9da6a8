#include "troupe/tensor/csv.hpp"

#include "input_file.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace troupe::tensor {

namespace {

constexpr std::string_view function = "load_csv";

/// Splits the text into records. A record is the fields of one line; a quoted field may span lines.
class csv_reader {
 public:
  csv_reader(std::string_view text, std::string path) : text_(text), path_(std::move(path)) {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3; // a byte-order mark, as spreadsheets write it
  }

  /// False at the end. Skips empty lines.
  bool next(std::vector<std::string>& fields) {
    fields.clear();
    while (at_ < text_.size() && end_of_line()) {
    }
    if (at_ >= text_.size()) return false;
    record_line_ = line_;
    do fields.push_back(field());
    while (separator());
    if (at_ < text_.size() && !end_of_line())
      fail("expected a comma or the end of the line after a quoted field");
    return true;
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw error(function, reason, path_ + ", line " + std::to_string(record_line_));
  }

 private:
  bool end_of_line() {
    if (text_.substr(at_).starts_with("\r\n"))
      at_ += 2;
    else if (text_[at_] == '\n')
      ++at_;
    else
      return false;
    ++line_;
    return true;
  }

  bool separator() {
    if (at_ >= text_.size() || text_[at_] != ',') return false;
    ++at_;
    return true;
  }

  std::string field() {
    if (at_ < text_.size() && text_[at_] == '"') return quoted_field();
    const auto end = std::min(text_.find_first_of(",\n", at_), text_.size());
    auto value = text_.substr(at_, end - at_);
    at_ = end;
    if (value.ends_with('\r')) value.remove_suffix(1);
    const auto first = value.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return std::string(value.substr(first, value.find_last_not_of(" \t") - first + 1));
  }

  std::string quoted_field() {
    std::string value;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        if (at_ >= text_.size() || text_[at_] != '"') return value;
      } else if (text_[at_] == '\n') {
        ++line_;
      }
      value += text_[at_];
    }
    fail("a quoted field is not closed");
  }

  std::string_view text_;
  std::string path_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::size_t record_line_ = 1;
};

float number(const csv_reader& reader, std::string_view text, const std::string& column) {
  if (text.empty()) reader.fail("expected a number in column '" + column + "', found nothing");
  // from_chars knows no plus sign; "+-1" must not become -1.
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const auto digits = text.substr(plus ? 1 : 0);
  float value = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (code != std::errc{} || end != digits.data() + digits.size() || !std::isfinite(value))
    reader.fail("expected a finite number in column '" + column + "', found '" + std::string(text) +
                "'");
  return value;
}

std::size_t find_target(const csv_reader& reader, const std::vector<std::string>& names,
                        std::string_view target) {
  const auto found = std::find(names.begin(), names.end(), target);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  reader.fail("expected a column '" + std::string(target) + "', found " + list);
}

/// Whether the values are exactly the classes 0..K-1 with K >= 2.
bool are_classes(const aligned_vector<float>& values) {
  std::vector<bool> seen;
  for (auto value : values) {
    // There cannot be more classes than samples, so the vector stays small.
    if (!(value >= 0 && value < static_cast<float>(values.size())) || value != std::floor(value))
      return false;
    const auto label = static_cast<std::size_t>(value);
    if (label >= seen.size()) seen.resize(label + 1);
    seen[label] = true;
  }
  return seen.size() >= 2 && std::find(seen.begin(), seen.end(), false) == seen.end();
}

void make_labels(data_set::contents& c, const std::string& path, std::string_view target) {
  // 2^24: above it a float no longer tells neighbouring integers apart.
  constexpr float limit = 16777216;
  for (std::size_t i = 0; i < c.targets.size(); ++i) {
    const float value = c.targets[i];
    if (!(value >= 0 && value < limit) || value != std::floor(value))
      throw error(function,
                  "expected class labels (integers from 0) in column '" + std::string(target) +
                      "', found " + std::to_string(value) + " at sample " + std::to_string(i),
                  path);
    c.labels.push_back(static_cast<std::int32_t>(value));
    c.class_count = std::max(c.class_count, static_cast<std::size_t>(value) + 1);
  }
  c.targets.clear();
  c.target_count = 0;
}

data_set load(const std::filesystem::path& path, std::optional<std::string_view> target,
              csv_target kind) {
  input_file file(function, path);
  const auto bytes = file.read_rest();
  csv_reader reader({bytes.data(), bytes.size()}, path.string());
  std::vector<std::string> names;
  if (!reader.next(names)) reader.fail("expected a header line, found an empty file");
  std::unordered_set<std::string> distinct;
  for (const auto& name : names)
    if (!distinct.insert(name).second) reader.fail("two columns are named '" + name + "'");

  const auto target_column = target ? find_target(reader, names, *target) : names.size();
  data_set::contents c;
  c.feature_count = names.size() - (target ? 1 : 0);
  c.target_count = target ? 1 : 0;
  c.suggested = normalization_kind::per_feature;
  if (c.feature_count == 0) reader.fail("expected at least one column beside the target");

  std::vector<std::string> fields;
  while (reader.next(fields)) {
    if (fields.size() != names.size())
      reader.fail("expected " + std::to_string(names.size()) + " fields, found " +
                  std::to_string(fields.size()));
    for (std::size_t j = 0; j < fields.size(); ++j)
      (j == target_column ? c.targets : c.features).push_back(number(reader, fields[j], names[j]));
  }
  if (c.features.empty()) reader.fail("expected at least one row after the header, found none");

  if (target) {
    names.erase(names.begin() + static_cast<std::ptrdiff_t>(target_column));
    if (kind == csv_target::classes || (kind == csv_target::automatic && are_classes(c.targets)))
      make_labels(c, path.string(), *target);
  }
  c.feature_names = std::move(names);
  return data_set(std::move(c));
}

} // namespace

data_set load_csv(const std::filesystem::path& path, std::string_view target, csv_target kind) {
  return load(path, target, kind);
}

data_set load_csv_features(const std::filesystem::path& path) {
  return load(path, std::nullopt, csv_target::automatic);
}

} // namespace troupe::tensor
