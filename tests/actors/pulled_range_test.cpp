#include "troupe/actors/pulled_range.hpp"

#include <bit>

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;

namespace {

using values = tensor::aligned_vector<float>;

// The last of the model's parameters; more than two pieces are done at a time.
constexpr scheduler::shard_range range{5, 5003};
constexpr std::size_t model_size = range.first + range.size;

float pulled(std::size_t i) { return 1.0f + static_cast<float>(i % 97) / 7; }
float gradient(std::size_t i, int n) { return static_cast<float>((i * 31 + 7 * n) % 89) / 3 - 11; }

std::shared_ptr<const values> gradient(int n) {
  auto all = std::make_shared<values>(model_size);
  for (std::size_t i = 0; i < model_size; ++i) (*all)[i] = gradient(i, n);
  return all;
}

block kept(std::size_t first, std::size_t end) {
  values part(end - first);
  for (auto i = first; i < end; ++i) part[i - first] = pulled(i);
  return block::copy_of(std::as_bytes(std::span{part}));
}

} // namespace

TEST_CASE("PULLED-1: each element is what was pulled less own gradients, wherever it lies") {
  const auto writes = GENERATE(0, 1, 2, 3);
  const bool all_kept = GENERATE(false, true);
  pulled_range p{range, {}, {}, 0.3f};
  for (int n = 0; n < writes; ++n) p.own_writes.push_back(gradient(n));
  // Kept at the begin, in the middle and at the end, or everywhere.
  if (all_kept) {
    p.kept = {{0, kept(0, 3000)}, {3000 * sizeof(float), kept(3000, range.size)}};
  } else {
    p.kept = {{0, kept(0, 1)},
              {2000 * sizeof(float), kept(2000, 4500)},
              {5000 * sizeof(float), kept(5000, range.size)}};
  }
  auto held = [&](std::size_t i) {
    return all_kept || i < 1 || (i >= 2000 && i < 4500) || i >= 5000;
  };
  values parameters(model_size, -9.0f);
  for (std::size_t i = 0; i < range.size; ++i)
    if (!held(i)) parameters[range.first + i] = pulled(i);
  settle(p, parameters);
  for (std::size_t i = 0; i < range.first; ++i) REQUIRE(parameters[i] == -9.0f);
  for (std::size_t i = 0; i < range.size; ++i) {
    float expected = pulled(i);
    for (int n = 0; n < writes; ++n) {
      const volatile float product = 0.3f * gradient(range.first + i, n); // rounded by itself
      expected -= product;
    }
    REQUIRE(std::bit_cast<std::uint32_t>(parameters[range.first + i]) ==
            std::bit_cast<std::uint32_t>(expected));
  }
  const auto once = parameters;
  settle(pulled_range{p}, parameters); // PULLED-2
  CHECK(parameters == once);
}

TEST_CASE("an empty range is settled") {
  values parameters(3, 1.0f);
  settle({{3, 0}, {}, {}, 1.0f}, parameters);
  settle({{0, 0}, {}, {gradient(0)}, 1.0f}, parameters);
  CHECK(parameters == values(3, 1.0f));
}
