#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace troupe::tensor {

/// What every function of this folder throws on bad input. The text reads
/// "[troupe::tensor::load_idx] reason (expected, found): file, offset"; the part after the colon is
/// absent when there is no place to name. A function of another folder that speaks of the same
/// things gives its name with the folder: "actors::decode".
class error : public std::runtime_error {
 public:
  error(std::string_view function, std::string_view reason, std::string_view place = {})
      : std::runtime_error(text(function, reason, place)), reason_(reason) {}

  /// Without function and place, for whoever names a better place.
  const std::string& reason() const noexcept { return reason_; }

 private:
  static std::string text(std::string_view function, std::string_view reason,
                          std::string_view place) {
    std::string result = "[troupe::";
    if (function.find("::") == function.npos) result.append("tensor::");
    result.append(function).append("] ").append(reason);
    if (!place.empty()) result.append(": ").append(place);
    return result;
  }

  std::string reason_;
};

} // namespace troupe::tensor
