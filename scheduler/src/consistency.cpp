#include "troupe/values/consistency.hpp"

#include <limits>
#include <stdexcept>

namespace troupe::scheduler {

namespace {

[[noreturn]] void fail(const std::string& reason) {
  throw std::invalid_argument("[troupe::scheduler::consistency] " + reason);
}

} // namespace

consistency consistency::hogwild() { return {mode::hogwild, 0}; }

consistency consistency::async() { return {mode::async, 0}; }

consistency consistency::ssp(clock_value staleness) { return {mode::ssp, staleness}; }

consistency consistency::bsp(std::uint32_t batches_per_step) {
  if (batches_per_step == 0) fail("expected at least one batch in a step, found 0");
  return {mode::bsp, batches_per_step};
}

consistency consistency::from(mode m, std::uint64_t parameter) {
  switch (m) {
  case mode::hogwild:
  case mode::async:
    if (parameter != 0)
      fail("expected no parameter for " + std::string(name_of(m)) + ", found " +
           std::to_string(parameter));
    return {m, 0};
  case mode::ssp:
    return ssp(parameter);
  case mode::bsp:
    if (parameter > std::numeric_limits<std::uint32_t>::max())
      fail("expected fewer than 2^32 batches in a step, found " + std::to_string(parameter));
    return bsp(static_cast<std::uint32_t>(parameter));
  }
  fail("expected a mode of 0 to 3, found " + std::to_string(static_cast<unsigned>(m)));
}

consistency consistency::of(mode m, clock_value staleness, std::uint32_t batches_per_step) {
  switch (m) {
  case mode::hogwild:
    return hogwild();
  case mode::async:
    return async();
  case mode::ssp:
    return ssp(staleness);
  case mode::bsp:
    return bsp(batches_per_step);
  }
  fail("expected a mode of 0 to 3, found " + std::to_string(static_cast<unsigned>(m)));
}

std::optional<clock_value> consistency::staleness() const noexcept {
  if (mode_ != mode::ssp) return std::nullopt;
  return parameter_;
}

std::optional<std::uint32_t> consistency::batches_per_step() const noexcept {
  if (mode_ != mode::bsp) return std::nullopt;
  return static_cast<std::uint32_t>(parameter_);
}

std::string to_string(const consistency& c) {
  const std::string name(name_of(c.type()));
  return c.bounded() ? name + "(" + std::to_string(c.parameter()) + ")" : name;
}

} // namespace troupe::scheduler
