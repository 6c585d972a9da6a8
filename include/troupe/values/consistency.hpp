#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "troupe/values/ids.hpp"
#include "troupe/values/names.hpp"

namespace troupe::scheduler {

enum class mode : std::uint8_t { hogwild, async, ssp, bsp };

constexpr std::string_view name_of(mode m) {
  switch (m) {
  case mode::hogwild:
    return "hogwild";
  case mode::async:
    return "async";
  case mode::ssp:
    return "ssp";
  case mode::bsp:
    return "bsp";
  }
  return {};
}

/// A consistency mode with its parameter: which updates a pull may miss, and how a push is applied.
/// The value answers the actors' questions, so that only this class branches on the mode. The
/// default is `async()`.
///
/// | mode    | read rule                                      | apply rule               |
/// |---------|------------------------------------------------|--------------------------|
/// | hogwild | never waits                                    | in place, no ordering    |
/// | async   | never waits                                    | on arrival               |
/// | ssp(s)  | clock c: every live worker has applied c - s   | on arrival               |
/// | bsp(G)  | step k: step k - 1 is applied                  | a step at once, in order |
class consistency {
 public:
  /// async()
  consistency() = default;

  static consistency hogwild();
  static consistency async();
  /// `staleness` 0 means lock step.
  static consistency ssp(clock_value staleness);
  /// Throws std::invalid_argument when `batches_per_step` is 0.
  static consistency bsp(std::uint32_t batches_per_step);
  /// The value with this mode and this parameter(), for decoders of messages and files.
  /// Throws std::invalid_argument for a parameter that the mode cannot have (hogwild and async: 0).
  static consistency from(mode m, std::uint64_t parameter);

  /// The value with this mode and, of these, what the mode uses: what a reader of files needs.
  static consistency of(mode m, clock_value staleness, std::uint32_t batches_per_step);

  mode type() const noexcept { return mode_; }
  /// The staleness of ssp, the batches per step of bsp, 0 otherwise. `from(type(), parameter())`
  /// gives the value back.
  std::uint64_t parameter() const noexcept { return parameter_; }

  /// Whether a pull may have to wait: ssp and bsp.
  bool bounded() const noexcept { return mode_ == mode::ssp || mode_ == mode::bsp; }
  /// The bound in clocks, in ssp only. (The bound of bsp is in steps, see step_buffer.)
  std::optional<clock_value> staleness() const noexcept;
  /// The number of batches in a step, in bsp only.
  std::optional<std::uint32_t> batches_per_step() const noexcept;

  /// Whether a push is applied by itself when it arrives: all modes but bsp.
  bool applies_on_arrival() const noexcept { return mode_ != mode::bsp; }
  /// Whether workers of the shard's process read and write its parameters directly: hogwild.
  bool in_place() const noexcept { return mode_ == mode::hogwild; }
  /// Whether a worker adds its own gradients that are not applied yet to the parameters it pulled:
  /// all modes but bsp, where a read misses nothing. ssp promises this; async (and hogwild across
  /// processes) is steadier with it.
  bool own_writes_are_read() const noexcept { return mode_ != mode::bsp; }

  friend bool operator==(const consistency&, const consistency&) = default;

 private:
  consistency(mode m, std::uint64_t parameter) noexcept : mode_(m), parameter_(parameter) {}

  mode mode_ = mode::async;
  std::uint64_t parameter_ = 0;
};

/// "hogwild", "async", "ssp(3)", "bsp(4)".
std::string to_string(const consistency& c);

} // namespace troupe::scheduler
