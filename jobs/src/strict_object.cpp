#include "troupe/jobs/strict_object.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <nlohmann/json.hpp>

#include "troupe/job.hpp"

namespace troupe::jobs {

using nlohmann::json;

namespace {

constexpr std::size_t max_described = 60;

// Levenshtein distance, one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

struct split_key {
  std::string_view table;
  std::string_view leaf;
};

split_key split(std::string_view key) {
  const auto dot = key.rfind('.');
  if (dot == std::string_view::npos) return {{}, key};
  return {key.substr(0, dot), key.substr(dot + 1)};
}

std::string integer_words(std::int64_t min, std::int64_t max) {
  if (max == std::numeric_limits<std::int64_t>::max())
    return "an integer of at least " + std::to_string(min);
  return "an integer from " + std::to_string(min) + " to " + std::to_string(max);
}

} // namespace

std::string describe(const json& value) {
  if (value.is_object()) return "a table";
  if (value.is_array()) return "an array";
  if (value.is_null()) return "nothing";
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    return std::isnan(value.get<double>()) ? "nan" : "infinity";
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > max_described) text = text.substr(0, max_described) + "...";
  return text;
}

std::string expected_found(std::string_view expected, const json& value) {
  return "expected " + std::string(expected) + ", found " + describe(value);
}

std::string nearest_key(std::string_view key, std::span<const std::string_view> known) {
  const auto wanted = split(key);
  std::string_view best;
  std::size_t best_distance = 1 + wanted.leaf.size() / 3;
  for (const auto candidate : known) {
    const auto parts = split(candidate);
    const std::size_t distance =
        edit_distance(wanted.leaf, parts.leaf) + (parts.table == wanted.table ? 0 : 1);
    if (distance <= best_distance && (best.empty() || distance < best_distance)) {
      best = candidate;
      best_distance = distance;
    }
  }
  return std::string(best);
}

strict_object::strict_object(const json& value, std::string path,
                             std::span<const std::string_view> known)
    : value_(&value), path_(std::move(path)) {
  if (!value.is_object()) throw job_error(path_, expected_found("a table", value));
  for (const auto& item : value.items()) {
    const std::string key = this->path(item.key());
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string nearest = nearest_key(key, known);
    if (!nearest.empty()) throw job_error(key, "unknown key; did you mean " + nearest + "?");
    std::string list;
    for (const auto candidate : known) {
      if (split(candidate).table != path_) continue;
      list += (list.empty() ? "" : ", ") + std::string(split(candidate).leaf);
    }
    throw job_error(key, "unknown key; expected one of " + list);
  }
}

const json* strict_object::find(std::string_view key) const {
  const auto found = value_->find(std::string(key));
  return found == value_->end() ? nullptr : &*found;
}

bool strict_object::has(std::string_view key) const { return find(key) != nullptr; }

std::string strict_object::path(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const json& strict_object::at(std::string_view key) const {
  if (const json* found = find(key)) return *found;
  throw job_error(path(key), "expected this key, found nothing");
}

std::string strict_object::text(std::string_view key, std::string_view fallback) const {
  const json* found = find(key);
  if (!found) return std::string(fallback);
  if (!found->is_string()) throw job_error(path(key), expected_found("a text in quotes", *found));
  return found->get<std::string>();
}

std::size_t strict_object::choice(std::string_view key, std::span<const std::string_view> choices,
                                  std::size_t fallback) const {
  const json* found = find(key);
  if (!found) return fallback;
  if (found->is_string()) {
    const auto at = std::find(choices.begin(), choices.end(), found->get<std::string>());
    if (at != choices.end()) return static_cast<std::size_t>(at - choices.begin());
  }
  std::string list;
  for (const auto choice : choices)
    list += (list.empty() ? "\"" : ", \"") + std::string(choice) + "\"";
  throw job_error(path(key), expected_found((choices.size() > 1 ? "one of " : "") + list, *found));
}

std::int64_t strict_object::integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                                    std::int64_t max) const {
  const json* found = find(key);
  if (!found) return fallback;
  const bool in_range =
      found->is_number_integer() &&
      (!found->is_number_unsigned() ||
       found->get<std::uint64_t>() <= std::uint64_t(std::numeric_limits<std::int64_t>::max())) &&
      found->get<std::int64_t>() >= min && found->get<std::int64_t>() <= max;
  if (!in_range) throw job_error(path(key), expected_found(integer_words(min, max), *found));
  return found->get<std::int64_t>();
}

std::uint64_t strict_object::unsigned_integer(std::string_view key, std::uint64_t fallback) const {
  const json* found = find(key);
  if (!found) return fallback;
  if (!found->is_number_unsigned() &&
      !(found->is_number_integer() && found->get<std::int64_t>() >= 0))
    throw job_error(path(key), expected_found("an integer of at least 0", *found));
  return found->get<std::uint64_t>();
}

bool strict_object::boolean(std::string_view key, bool fallback) const {
  const json* found = find(key);
  if (!found) return fallback;
  if (!found->is_boolean()) throw job_error(path(key), expected_found("true or false", *found));
  return found->get<bool>();
}

double strict_object::number(std::string_view key, double fallback,
                             const number_range& range) const {
  const json* found = find(key);
  if (!found) return fallback;
  if (found->is_number()) {
    const double value = found->get<double>();
    const bool above = range.min_open ? value > range.min : value >= range.min;
    const bool below = range.max_open ? value < range.max : value <= range.max;
    if (std::isfinite(value) && above && below) return value;
  }
  throw job_error(path(key), expected_found(range.words, *found));
}

} // namespace troupe::jobs
