#include "troupe/scheduler/phi_accrual.hpp"

#include <cmath>
#include <stdexcept>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

phi_accrual::time_point at(phi_accrual::duration since_start) {
  return phi_accrual::time_point(since_start);
}

// `count` heartbeats `period` apart, from the start on; gives when the last one came.
phi_accrual::time_point beat(phi_accrual& d, phi_accrual::time_point from, int count,
                             phi_accrual::duration period) {
  for (int i = 0; i < count; ++i) d.heard(from += period);
  return from;
}

} // namespace

TEST_CASE("PHI-2: phi is that of the normal distribution") {
  phi_accrual::options o;
  o.expected = 1000ms;
  o.mean_max = 2000ms;
  o.deviation_min = 100ms;
  o.deviation_max = 100ms;
  o.pause = 3000ms;
  phi_accrual d{o, at(0ms)};
  REQUIRE(d.mean() == 1000ms);
  const auto phi_at = [&](double z) {
    return d.phi(at(4000ms) + std::chrono::nanoseconds(std::llround(z * 1e8)));
  };
  CHECK(phi_at(0) == Approx(std::log10(2.0)));
  // Upper quantiles of the standard normal distribution: 10^-k of it lies above.
  CHECK(phi_at(1.2815515655) == Approx(1).epsilon(1e-6));
  CHECK(phi_at(2.3263478740) == Approx(2).epsilon(1e-6));
  CHECK(phi_at(3.0902323062) == Approx(3).epsilon(1e-6));
  CHECK(phi_at(5.6120012442) == Approx(8).epsilon(1e-6));
  CHECK(phi_at(-1.2815515655) == Approx(-std::log10(0.9)).epsilon(1e-6));
  CHECK(d.available(at(4561ms)));
  CHECK_FALSE(d.available(at(4562ms)));
}

TEST_CASE("mean and deviation are those of the window, and the first estimate leaves it") {
  phi_accrual::options o;
  o.window = 4;
  o.expected = 400ms;
  o.mean_max = 10s;
  o.deviation_min = 1ms;
  o.deviation_max = 10s;
  phi_accrual d{o, at(0ms)};
  CHECK(d.mean() == 400ms);
  CHECK(d.deviation() == 100ms); // 300 and 500
  d.heard(at(400ms));
  d.heard(at(800ms));
  CHECK(d.mean() == 400ms);
  d.heard(at(1000ms));
  d.heard(at(1600ms)); // 400, 400, 200, 600
  CHECK(d.remembered() == 4);
  CHECK(d.mean() == 400ms);
  CHECK(d.deviation() == std::chrono::nanoseconds(141421356));
}

TEST_CASE("PHI-1: phi never falls while a peer is silent, and ends at infinity") {
  phi_accrual d{{}, at(0ms)};
  auto last = beat(d, at(0ms), 20, 250ms);
  double before = -1;
  for (auto silence = 0ms; silence < 20s; silence += 7ms) {
    const double phi = d.phi(last + silence);
    REQUIRE(phi >= before);
    before = phi;
  }
  CHECK(std::isinf(before));
  CHECK(d.phi(last) < 1e-20);
  CHECK(d.phi(last - 1h) < 1e-20);
  CHECK_FALSE(d.available(last + 24h));
}

TEST_CASE("a heartbeat ends the suspicion; one that comes late or twice is no error") {
  phi_accrual d{{}, at(0ms)};
  auto last = beat(d, at(0ms), 20, 250ms);
  REQUIRE_FALSE(d.available(last + 5s));
  d.heard(last + 5s);
  CHECK(d.available(last + 5s));
  CHECK(d.silence(last + 6s) == 1s);
  d.heard(last + 4s);
  d.heard(last + 5s);
  CHECK(d.silence(last + 6s) == 1s);
}

TEST_CASE("PHI-3: with the defaults regular heartbeats are missed between 1.5 and 2 s") {
  phi_accrual d{{}, at(0ms)};
  CHECK(d.available(at(1500ms))); // before the first one too
  CHECK_FALSE(d.available(at(2s)));
  auto last = beat(d, at(0ms), 200, 250ms);
  CHECK(d.available(last + 1500ms));
  CHECK_FALSE(d.available(last + 2s));
}

TEST_CASE("PHI-3: whatever the history, a silence of 2.9 s is suspected") {
  const auto seed = GENERATE(range(1, 50));
  CAPTURE(seed);
  fixed_seed_generator random(static_cast<std::uint64_t>(seed));
  phi_accrual d{{}, at(0ms)};
  auto last = at(0ms);
  for (int i = 0; i < seed * 3; ++i)
    d.heard(last += std::chrono::milliseconds(random.below(i % 7 == 0 ? 10'000 : 400)));
  CHECK_FALSE(d.available(last + 2900ms));
  CHECK(d.available(last + 1s));
}

TEST_CASE("heartbeats held up by hundreds of ms, as on a busy machine, are no alarm") {
  fixed_seed_generator random(17);
  phi_accrual d{{}, at(0ms)};
  auto sent = at(0ms), arrived = at(0ms);
  for (int i = 0; i < 10'000; ++i) {
    sent += 250ms;
    // Mostly on time, often 0.1 s late, sometimes 0.9 s; those held up arrive together.
    auto late = std::chrono::milliseconds(random.below(100));
    if (random.below(20) == 0) late = std::chrono::milliseconds(random.below(900));
    const auto next = std::max(arrived, sent + late);
    REQUIRE(d.available(next));
    d.heard(arrived = next);
  }
  CHECK_FALSE(d.available(arrived + 2500ms));
}

TEST_CASE("PHI-4: memory stays within the window") {
  phi_accrual d{{}, at(0ms)};
  beat(d, at(0ms), 10'000, 250ms);
  CHECK(d.remembered() == 100);
}

TEST_CASE("options out of their range are refused") {
  const auto refused = [](auto change) {
    phi_accrual::options o;
    change(o);
    CHECK_THROWS_AS(phi_accrual(o, at(0ms)), std::invalid_argument);
  };
  refused([](auto& o) { o.window = 1; });
  refused([](auto& o) { o.threshold = 0; });
  refused([](auto& o) { o.threshold = std::nan(""); });
  refused([](auto& o) { o.pause = -1ms; });
  refused([](auto& o) { o.expected = 0ms; });
  refused([](auto& o) { o.mean_max = 249ms; });
  refused([](auto& o) { o.deviation_min = 0ms; });
  refused([](auto& o) { o.deviation_max = 99ms; });
}
