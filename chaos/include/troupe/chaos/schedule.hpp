#pragma once

#include <cstdint>

#include "troupe/chaos/scenario.hpp"

namespace troupe::chaos {

/// The faults of a scenario for one seed, ordered by their beginning: those given one by one, and
/// those that its families draw.
///
/// DRAW-1  A function of the scenario and the seed alone, the same on every machine.
/// DRAW-2  Each fault is drawn from a stream of its own, by its family's place in the scenario and
///         its own place in the family: how others came out, and whether they are there at all,
///         changes nothing about it.
/// DRAW-3  Times and lengths are whole microseconds, probabilities whole thousandths: a scenario
///         file holds them exactly and shortly.
/// DRAW-4  Every fault begins within the window of its family and before the quiet phase. A rate
///         gives a number of faults that varies from seed to seed around rate times window, never
///         more than eight times that, and one more.
schedule draw(const scenario& s, std::uint64_t seed);

/// The scenario with exactly these faults and no family, to be replayed with `seed`.
scenario with_schedule(scenario s, const schedule& faults, std::uint64_t seed);

} // namespace troupe::chaos
