#pragma once

#include <string>

namespace troupe::tensor {

/// The kind of arithmetic that products of matrices use on this processor. Two processes with
/// different kinds may get different last bits from the same operands.
std::string arithmetic_of_processor();

} // namespace troupe::tensor
