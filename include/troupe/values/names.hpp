#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

/// The names of enumerators in files, messages and errors. Such an enumeration counts from 0 and
/// has a constexpr `name_of` in its namespace: a switch without a default that gives an empty text
/// for a value that is no enumerator. This switch is the only list of the names. If it lacks an
/// enumerator, it does not compile.
namespace troupe {

/// The names of all enumerators, in their order, as a std::array.
template <class Enum>
inline constexpr auto names_of = [] {
  constexpr auto count = [] {
    std::size_t n = 0;
    while (!name_of(static_cast<Enum>(n)).empty()) ++n;
    return n;
  }();
  std::array<std::string_view, count> names;
  for (std::size_t i = 0; i < count; ++i) names[i] = name_of(static_cast<Enum>(i));
  return names;
}();

/// The enumerator of this name; none if no enumerator has it.
template <class Enum>
constexpr std::optional<Enum> value_of(std::string_view name) {
  for (std::size_t i = 0; i < names_of<Enum>.size(); ++i)
    if (names_of<Enum>[i] == name) return static_cast<Enum>(i);
  return std::nullopt;
}

} // namespace troupe
