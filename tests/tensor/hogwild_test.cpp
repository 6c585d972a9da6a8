#include "troupe/tensor/hogwild.hpp"

#include "refusal.hpp"
#include "troupe/tensor/integer_sum.hpp"
#include "troupe/tensor/integers.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <thread>
#include <vector>

using namespace troupe::tensor;
using Catch::Contains;

namespace {

// The tests' own counters order nothing: ThreadSanitizer would take an ordering counter for the
// synchronization that shared_parameters must do by itself.
constexpr auto relaxed = std::memory_order_relaxed;

/// Runs f(0) to f(count - 1) at the same time: none begins before all are there, or a short f would
/// be over in one thread before the next has started.
template <class F>
void on_threads(std::size_t count, F f) {
  std::atomic<std::size_t> arrived{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < count; ++t)
    threads.emplace_back([&, t] {
      arrived.fetch_add(1, relaxed);
      while (arrived.load(relaxed) < count) std::this_thread::yield();
      f(t);
    });
  for (auto& thread : threads) thread.join();
}

} // namespace

TEST_CASE("one thread's updates are those of the optimizer, bit for bit") {
  for (const auto& options :
       {sgd_options{.learning_rate = 0.1f}, sgd_options{.learning_rate = 0.1f, .momentum = 0.9f},
        sgd_options{.learning_rate = 0.1f, .momentum = 0.9f, .nesterov = true},
        sgd_options{.learning_rate = 0.1f, .weight_decay = 0.01f},
        sgd_options{.learning_rate = 0.1f, .momentum = 0.9f, .weight_decay = 0.01f}})
    for (std::size_t n : {1u, 4u, 1023u, 1024u, 1025u, 5000u}) {
      std::vector<float> p(n), gradient(n);
      for (std::size_t i = 0; i < n; ++i) {
        p[i] = static_cast<float>(i) - 2.3f;
        gradient[i] = static_cast<float>(i % 7) * 0.7f - 1;
      }
      shared_parameters shared(p, options, 3);
      const sgd o(options);
      std::vector<float> v(o.state_size(p.size()));
      for (std::uint64_t batch = 0; batch < 3; ++batch) {
        CHECK(shared.apply(batch, gradient));
        o.apply(p, gradient, v);
      }
      std::vector<float> read(p.size());
      shared.read(read);
      CHECK(read == p);
    }
}

TEST_CASE("a scaled gradient is applied as the optimizer would, and updates are counted") {
  for (const auto& options :
       {sgd_options{.learning_rate = 0.5f}, sgd_options{.learning_rate = 0.5f, .momentum = 0.5f},
        sgd_options{.learning_rate = 0.5f, .weight_decay = 0.25f}}) {
    std::vector<float> p{1, -2};
    const std::vector<float> gradient{8, 0.5f};
    shared_parameters shared(p, options, 2);
    CHECK(shared.updates() == 0);
    CHECK(shared.apply(0, gradient, 0.25f));
    CHECK_FALSE(shared.apply(0, gradient, 0.25f));
    CHECK(shared.updates() == 1);
    const sgd o(options);
    std::vector<float> v(o.state_size(2)), read(2);
    o.apply(p, gradient, v, 0.25f);
    shared.read(read);
    CHECK(read == p);
  }
}

TEST_CASE("HOGWILD-1: a repeated batch is not applied again") {
  shared_parameters shared(std::vector<float>{0}, {.learning_rate = 1}, 130);
  const std::vector<float> one{1};
  for (std::uint64_t batch : {0u, 63u, 64u, 129u}) {
    CHECK_FALSE(shared.claimed(batch));
    CHECK(shared.apply(batch, one));
    CHECK(shared.claimed(batch));
    CHECK_FALSE(shared.apply(batch, one));
  }
  CHECK_FALSE(shared.claimed(1));
  std::vector<float> out(1);
  shared.read(out);
  CHECK(out[0] == -4.0f);
}

TEST_CASE("HOGWILD-1 and 2: four threads racing for every batch end in the exact sum") {
  constexpr std::size_t batches = 300;
  constexpr std::size_t parameters = 37;
  const auto data = make_integers(batches);
  shared_parameters shared(std::vector<float>(parameters), {.learning_rate = 1}, batches);
  std::atomic<std::size_t> applied{0};
  std::atomic<bool> torn{false};
  on_threads(4, [&](std::size_t t) {
    const auto m = make_integer_sum(parameters);
    std::vector<float> p(parameters), gradient(parameters);
    for (std::size_t k = 0; k < batches; ++k) {
      const auto batch = (k + t) % batches;
      shared.read(p);
      // HOGWILD-3: sums of integers are integers at every instant.
      for (auto x : p)
        if (x != std::round(x) || std::abs(x) > 3 * batches) torn.store(true, relaxed);
      m->loss_and_gradient(p, data.view(batch, 1), gradient);
      if (shared.apply(batch, gradient)) applied.fetch_add(1, relaxed);
    }
  });
  CHECK(applied == batches);
  CHECK_FALSE(torn);
  std::vector<float> p(parameters);
  shared.read(p);
  const auto expected = expected_sum(parameters, batches);
  for (std::size_t j = 0; j < parameters; ++j) CHECK(p[j] == -expected[j]);
}

TEST_CASE("HOGWILD-1: of threads that claim the same batch at once, one wins") {
  constexpr std::size_t batches = 60'000;
  shared_parameters shared(std::vector<float>(1), {.learning_rate = 1}, batches);
  const std::vector<float> one{1};
  std::atomic<std::size_t> applied{0};
  std::atomic<std::size_t> arrived{0};
  on_threads(2, [&](std::size_t t) {
    std::size_t mine = 0;
    for (std::uint64_t batch = 0; batch < batches; ++batch) {
      arrived.fetch_add(1, relaxed);
      for (int spins = 0; arrived.load(relaxed) < 2 * (batch + 1); ++spins)
        if (spins > 1000) std::this_thread::yield();
      // One of the two starts a little later, by a time that sweeps over what the other needs to
      // claim: a claim in two steps would let both through somewhere on the way.
      for (std::uint64_t k = batch % 256; t == 0 && k > 0; --k) arrived.load(relaxed);
      mine += shared.apply(batch, one);
    }
    applied.fetch_add(mine, relaxed);
  });
  CHECK(applied == batches);
  std::vector<float> p(1);
  shared.read(p);
  CHECK(p[0] == -20'000.0f);
}

TEST_CASE("HOGWILD-2: updates that meet on a component all count") {
  // Long enough for the threads to be spread over the cores: an addition of a load and a store then
  // loses some of these. A gradient that is always the same ends at the same bits in every order.
  struct size {
    std::size_t batches, components;
  };
  for (const auto [batches, components] : {size{100'000, 64}, size{4'000, 2500}})
    for (const auto& options :
         {sgd_options{.learning_rate = 1},
          sgd_options{.learning_rate = 0.01f, .momentum = 0.5f, .weight_decay = 0.01f}}) {
      shared_parameters shared(std::vector<float>(components), options, batches);
      std::vector<float> gradient(components), right(components);
      for (std::size_t j = 0; j < components; ++j) gradient[j] = static_cast<float>(j % 64) - 20;
      on_threads(4, [&](std::size_t t) {
        for (auto batch = t; batch < batches; batch += 4) shared.apply(batch, gradient);
      });
      const sgd alone(options);
      std::vector<float> state(alone.state_size(components)), p(components);
      for (std::size_t batch = 0; batch < batches; ++batch) alone.apply(right, gradient, state);
      shared.read(p);
      CHECK(shared.updates() == batches);
      CHECK(p == right);
    }
}

TEST_CASE("HOGWILD-3: what is read of 4096 components is from between two updates") {
  constexpr std::size_t region = 4096, components = region + 5, batches = 60'000;
  shared_parameters shared(std::vector<float>(components), {.learning_rate = 1, .momentum = 0.5f},
                           batches);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> mixed{false};
  on_threads(3, [&](std::size_t t) {
    // The same for every component, so those of a region are equal whenever nobody is at it.
    const std::vector<float> gradient(components, 1.0f + static_cast<float>(t));
    std::vector<float> p(components);
    const auto look = [&] {
      for (std::size_t i = 0; i < components; ++i)
        if (p[i] != p[i / region * region]) mixed.store(true, relaxed);
    };
    for (std::size_t b = next.fetch_add(1, relaxed); b < batches; b = next.fetch_add(1, relaxed)) {
      shared.apply(b, gradient);
      shared.read(p);
      look();
      shared.read_state(p);
      look();
    }
  });
  CHECK_FALSE(mixed);
  CHECK(shared.updates() == batches);
}

TEST_CASE("with momentum, threads meet in the same array without a data race") {
  constexpr std::size_t batches = 400;
  shared_parameters shared(std::vector<float>(100, 1.0f),
                           {.learning_rate = 0.001f, .momentum = 0.5f}, batches);
  std::atomic<std::size_t> next{0};
  on_threads(3, [&](std::size_t) {
    std::vector<float> p(100), gradient(100);
    for (;;) {
      const auto batch = next.fetch_add(1, relaxed);
      if (batch >= batches) break;
      shared.read(p);
      for (std::size_t j = 0; j < p.size(); ++j) gradient[j] = p[j]; // of p^2 / 2: towards 0
      shared.apply(batch, gradient);
    }
  });
  std::vector<float> p(100);
  shared.read(p);
  bool moved = true;
  for (auto x : p) moved = moved && x > 0.0f && x < 1.0f;
  CHECK(moved);
}

TEST_CASE("wrong sizes and ordinals are refused and claim nothing") {
  shared_parameters shared(std::vector<float>(2), {.learning_rate = 1}, 2);
  std::vector<float> two(2), three(3);
  CHECK_THAT(refusal([&] { shared.apply(2, two); }), Contains("ordinal below 2, found 2"));
  CHECK_THAT(refusal([&] { shared.apply(1, three); }), Contains("expected 2 floats, found 3"));
  CHECK_THAT(refusal([&] { shared.read(three); }), Contains("expected 2 floats, found 3"));
  CHECK_THAT(refusal([&] { shared.claimed(2); }), Contains("ordinal below 2"));
  CHECK_FALSE(shared.claimed(1));
  CHECK_THAT(refusal([] { shared_parameters({}, {.momentum = 2}, 1); }), Contains("momentum"));
}

TEST_CASE("no parameters and no batches are no error") {
  shared_parameters shared({}, {}, 0);
  CHECK(shared.size() == 0);
  CHECK_NOTHROW(shared.read({}));
}

TEST_CASE("a batch that is claimed counts as applied, and is not applied again (HOGWILD-1)") {
  const std::vector<float> initial{1, 2, 3}, gradient{1, 1, 1};
  shared_parameters shared(initial, {.learning_rate = 1}, 70);
  shared.claim(65);
  CHECK(shared.claimed(65));
  CHECK_FALSE(shared.claimed(64));
  CHECK(shared.updates() == 1);
  shared.claim(65); // twice is once
  CHECK(shared.updates() == 1);
  CHECK_FALSE(shared.apply(65, gradient));
  std::vector<float> now(3);
  shared.read(now);
  CHECK(now == initial);
  CHECK(shared.apply(64, gradient));
  CHECK(shared.updates() == 2);
  CHECK_THROWS_WITH(shared.claim(70), Contains("below 70"));
}

TEST_CASE("an array that goes on with another's state ends where that does, bit for bit") {
  const sgd_options options{.learning_rate = 0.1f, .momentum = 0.9f};
  const std::vector<float> initial{1, -2, 0.3f}, first{0.7f, 0.1f, -3}, second{0.2f, 5, 0.9f};
  shared_parameters whole(initial, options, 2), begun(initial, options, 2);
  whole.apply(0, first);
  begun.apply(0, first);
  std::vector<float> parameters(3), state(3);
  begun.read(parameters);
  begun.read_state(state);
  CHECK(state != std::vector<float>(3));
  shared_parameters restored(parameters, options, 2);
  restored.claim(0);
  restored.set_state(state);
  whole.apply(1, second);
  restored.apply(1, second);
  std::vector<float> expected(3), found(3);
  whole.read(expected);
  restored.read(found);
  CHECK(found == expected);
  CHECK(restored.updates() == whole.updates());
}

TEST_CASE("a state of another size is refused, and without momentum there is none") {
  const std::vector<float> initial{1, 2, 3};
  shared_parameters with(initial, {.learning_rate = 1, .momentum = 0.5f}, 1);
  std::vector<float> none, short_one(2);
  CHECK_THROWS_WITH(with.read_state(short_one), Contains("expected 3 floats, found 2"));
  CHECK_THROWS_WITH(with.set_state(none), Contains("expected 3 floats, found 0"));
  shared_parameters without(initial, {.learning_rate = 1}, 1);
  CHECK_NOTHROW(without.read_state(none));
  CHECK_NOTHROW(without.set_state(none));
}
