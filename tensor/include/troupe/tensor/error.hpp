#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace troupe::tensor {

/// What every function of this folder throws on bad input. The text reads
/// "[troupe::tensor::load_idx] reason (expected, found): file, offset"; the part after the colon is
/// absent when there is no place to name.
class error : public std::runtime_error {
 public:
  error(std::string_view function, std::string_view reason, std::string_view place = {})
      : std::runtime_error(text(function, reason, place)) {}

 private:
  static std::string text(std::string_view function, std::string_view reason,
                          std::string_view place) {
    std::string result = "[troupe::tensor::";
    result.append(function).append("] ").append(reason);
    if (!place.empty()) result.append(": ").append(place);
    return result;
  }
};

} // namespace troupe::tensor
