#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace troupe::jobs {

/// A TOML text as the values that it holds and the line that each of them stands at, for readers
/// that are strict and name the line of what they refuse (see strict_object).
class toml_document {
 public:
  /// `name` stands for the text in errors. Throws job_error with one line "NAME:LINE: ..." for a
  /// text that is no TOML, a date or time, and an integer that does not fit.
  static toml_document parse(const std::string& text, const std::string& name);

  const nlohmann::json& values() const noexcept { return values_; }

  /// The line at which `key` ("model.layers[1].dense"), or the last part of its path that exists,
  /// stands; 0 when it is the whole text.
  std::size_t line_of(std::string_view key) const;

 private:
  nlohmann::json values_;
  std::map<std::string, std::size_t, std::less<>> lines_; ///< by key
};

/// The text of a file of at most 1 MiB that a user wrote; `what` names it in errors ("job file").
/// Throws job_error with one line where it cannot be read.
std::string read_small_file(const std::filesystem::path& file, std::string_view what);

} // namespace troupe::jobs
