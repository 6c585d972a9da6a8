#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace troupe::tensor {

/// The exception of namespace troupe::tensor for bad input. The text reads
/// "[troupe::tensor::load_idx] reason (expected, found): file, offset"; if no place is known, the
/// part after the last colon is absent. A function of another namespace that throws this error
/// gives its name with that namespace: "actors::decode".
class error : public std::runtime_error {
 public:
  error(std::string_view function, std::string_view reason, std::string_view place = {})
      : std::runtime_error(text(function, reason, place)), reason_(reason) {}

  /// The reason without function and place, for callers that add a better place.
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
