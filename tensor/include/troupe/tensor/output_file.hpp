#pragma once

#include <filesystem>
#include <initializer_list>
#include <span>
#include <string_view>

namespace troupe::tensor {

/// Files and folders that survive a power failure. Safe to call from any thread.

/// Puts a file holding `pieces`, one after the other, in the place of `path`: written to a
/// temporary name in the same folder, flushed to disk, renamed, and the folder flushed. On failure
/// the temporary is removed, `path` is as it was, and `error` is thrown in the name of `function`.
void replace_file(std::string_view function, const std::filesystem::path& path,
                  std::initializer_list<std::span<const char>> pieces);

/// Makes a folder, and those above it that are missing, each name flushed to disk. One that is
/// there already is left as it is. Throws `error` in the name of `function`.
void make_folder(std::string_view function, const std::filesystem::path& path);

/// Flushes the names in a folder to disk: what was created, renamed or removed in it stays so.
/// Throws `error` in the name of `function`.
void flush_folder(std::string_view function, const std::filesystem::path& path);

} // namespace troupe::tensor
