#pragma once

#include "troupe/data_set.hpp"

#include <filesystem>
#include <string_view>

namespace troupe::tensor {

/// What the target column of a table means.
enum class csv_target {
  automatic, ///< classes when the values are exactly the integers 0..K-1 with K >= 2, else
             ///< regression
  classes,   ///< integers >= 0, else an error
  regression
};

/// Reads a comma-separated file whose first line names the columns. Fields may be quoted as in RFC
/// 4180; LF and CRLF both end a line; empty lines are skipped. All columns but `target` are
/// features, in file order. Every field must be a finite number.
///
/// Throws `error` naming file and line when the file is missing, has no header, no row or no
/// feature column, a column name is repeated, `target` is not a column (the message lists those
/// there are), a line has another number of fields than the header, or a field is not a finite
/// number.
data_set load_csv(const std::filesystem::path& path, std::string_view target,
                  csv_target kind = csv_target::automatic);

/// All columns are features: a table to predict from. Same errors.
data_set load_csv_features(const std::filesystem::path& path);

} // namespace troupe::tensor
