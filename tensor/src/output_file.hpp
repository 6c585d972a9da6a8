#pragma once

#include <filesystem>
#include <initializer_list>
#include <span>
#include <string_view>

namespace troupe::tensor {

/// Puts a file holding `pieces`, one after the other, in the place of `path`: written to a
/// temporary name in the same folder, flushed to disk, renamed, and the folder flushed. On failure
/// the temporary is removed, `path` is as it was, and `error` is thrown in the name of `function`.
void replace_file(std::string_view function, const std::filesystem::path& path,
                  std::initializer_list<std::span<const char>> pieces);

} // namespace troupe::tensor
