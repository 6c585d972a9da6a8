#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace troupe::jobs {

/// What an error says was found: `"ten"`, `3.5`, `a table`. One line, cut when long.
std::string describe(const nlohmann::json& value);

/// "expected X, found Y" for `value`.
std::string expected_found(std::string_view expected, const nlohmann::json& value);

/// The known key (a dotted path) that `key` was most likely meant to be; empty: none is near.
std::string nearest_key(std::string_view key, std::span<const std::string_view> known);

/// Reads one table of a job, or of another file that is read as strictly. Each getter throws
/// job_error with the full key, what was expected and what was found; a key that is not there gives
/// the fallback.
class strict_object {
 public:
  /// `path` is the table's own key, empty for the whole file. `known` are all keys of a file as
  /// dotted paths; a key of the table that is not among them throws, with the nearest known key.
  strict_object(const nlohmann::json& value, std::string path,
                std::span<const std::string_view> known);

  bool has(std::string_view key) const;
  std::string path(std::string_view key) const;
  const nlohmann::json& at(std::string_view key) const; ///< throws where the key is missing

  std::string text(std::string_view key, std::string_view fallback) const;
  /// One of `choices`, given as its index.
  std::size_t choice(std::string_view key, std::span<const std::string_view> choices,
                     std::size_t fallback) const;
  std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                       std::int64_t max) const;
  std::uint64_t unsigned_integer(std::string_view key, std::uint64_t fallback) const;
  bool boolean(std::string_view key, bool fallback) const;

  /// A finite number that `range` holds; `range` says so in words ("a number above 0").
  struct number_range {
    double min;
    double max;
    bool min_open = false;
    bool max_open = false;
    std::string_view words;
  };
  double number(std::string_view key, double fallback, const number_range& range) const;

 private:
  const nlohmann::json* find(std::string_view key) const;

  const nlohmann::json* value_;
  std::string path_;
};

} // namespace troupe::jobs
