#include "troupe/tensor/hogwild.hpp"

#include "sgd_step.hpp"
#include "troupe/tensor/error.hpp"

#include <algorithm>
#include <string>
#include <thread>

namespace troupe::tensor {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

float load(float& x) { return std::atomic_ref<float>(x).load(relaxed); }
void store(float& x, float value) { std::atomic_ref<float>(x).store(value, relaxed); }

static_assert(std::atomic_ref<float>::is_always_lock_free);

void check_ordinal(const char* function, std::uint64_t ordinal, std::size_t count) {
  if (ordinal >= count)
    throw error(function, "expected a batch ordinal below " + std::to_string(count) + ", found " +
                              std::to_string(ordinal));
}

void check_size(const char* function, std::size_t expected, std::size_t found) {
  if (expected != found)
    throw error(function,
                "expected " + std::to_string(expected) + " floats, found " + std::to_string(found));
}

/// Components whose updates take turns: a page of them. Long enough that the taking of a turn costs
/// nothing beside the update, short enough that a turn is over in a fraction of a microsecond.
constexpr std::size_t region = 1024;

} // namespace

class shared_parameters::turn {
 public:
  explicit turn(flag& f) : flag_(f) {
    while (flag_.taken.exchange(true, std::memory_order_acquire))
      // Whoever has it is about to be done, unless the system took its core away.
      for (int spins = 0; flag_.taken.load(relaxed); ++spins)
        if (spins >= 100) std::this_thread::yield();
  }
  ~turn() { flag_.taken.store(false, std::memory_order_release); }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

 private:
  flag& flag_;
};

shared_parameters::shared_parameters(std::span<const float> initial, sgd_options options,
                                     std::size_t batch_count)
    : parameters_(initial.begin(), initial.end()),
      velocity_(sgd(options).state_size(initial.size())), options_(options),
      turns_((initial.size() + region - 1) / region), batch_count_(batch_count),
      claims_(std::make_unique<std::atomic<std::uint64_t>[]>(batch_count / 64 + 1)) {}

bool shared_parameters::apply(std::uint64_t batch_ordinal, std::span<const float> gradient,
                              float scale) {
  check_ordinal("shared_parameters::apply", batch_ordinal, batch_count_);
  check_size("shared_parameters::apply", parameters_.size(), gradient.size());
  const auto bit = std::uint64_t{1} << (batch_ordinal % 64);
  if ((claims_[batch_ordinal / 64].fetch_or(bit, relaxed) & bit) != 0) return false;

  const auto regions = turns_.size();
  // Threads that begin at different places seldom meet.
  const auto begin = regions == 0 ? 0 : batch_ordinal * 0x9e3779b97f4a7c15u % regions;
  for (std::size_t i = 0; i < regions; ++i) {
    const auto r = begin + i < regions ? begin + i : begin + i - regions;
    const turn alone(turns_[r]);
    const auto first = r * region;
    apply_to(first, gradient.subspan(first, std::min(region, gradient.size() - first)), scale);
  }
  updates_.fetch_add(1, relaxed);
  return true;
}

void shared_parameters::apply_to(std::size_t first, std::span<const float> gradient, float scale) {
  float* const p = parameters_.data() + first;
  float* const v = velocity_.empty() ? nullptr : velocity_.data() + first; // of whose turn it is
  const float* const g = gradient.data();
  const auto n = gradient.size();
  const auto options = options_;
  with_sgd_step(options, [&](auto step) {
    for (std::size_t i = 0; i < n; ++i) {
      float parameter = load(p[i]);
      if constexpr (step.has_momentum) {
        step(options, parameter, scale * g[i], v[i]);
      } else {
        step(options, parameter, scale * g[i]);
      }
      store(p[i], parameter);
    }
  });
}

void shared_parameters::read(std::span<float> out) const {
  check_size("shared_parameters::read", parameters_.size(), out.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = load(parameters_[i]);
}

void shared_parameters::read_state(std::span<float> out) const {
  check_size("shared_parameters::read_state", velocity_.size(), out.size());
  std::ranges::copy(velocity_, out.begin());
}

void shared_parameters::set_state(std::span<const float> state) {
  check_size("shared_parameters::set_state", velocity_.size(), state.size());
  std::ranges::copy(state, velocity_.begin());
}

void shared_parameters::claim(std::uint64_t batch_ordinal) {
  check_ordinal("shared_parameters::claim", batch_ordinal, batch_count_);
  const auto bit = std::uint64_t{1} << (batch_ordinal % 64);
  if ((claims_[batch_ordinal / 64].fetch_or(bit, relaxed) & bit) == 0)
    updates_.fetch_add(1, relaxed);
}

bool shared_parameters::claimed(std::uint64_t batch_ordinal) const {
  check_ordinal("shared_parameters::claimed", batch_ordinal, batch_count_);
  return (claims_[batch_ordinal / 64].load(relaxed) >> (batch_ordinal % 64) & 1) != 0;
}

} // namespace troupe::tensor
