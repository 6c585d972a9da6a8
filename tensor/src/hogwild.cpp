#include "troupe/tensor/hogwild.hpp"

#include "troupe/values/error.hpp"

#include <algorithm>
#include <string>
#include <thread>

namespace troupe::tensor {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

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

/// Components that are read and written in one turn. Long enough that the taking of a turn, and the
/// way of its flag from one core's cache to another's, cost little beside the work; short enough
/// that a turn is over in less than a microsecond.
constexpr std::size_t region = 4096;

constexpr int longer_than_a_turn = 3000; // looks at a flag; calling the system costs more than one

} // namespace

class shared_parameters::turn {
 public:
  explicit turn(flag& f) : flag_(f) {
    while (flag_.taken.exchange(true, std::memory_order_acquire))
      // Whoever has it is about to be done, unless the system took its core away.
      for (int spins = 0; flag_.taken.load(relaxed); ++spins)
        if (spins >= longer_than_a_turn) std::this_thread::yield();
  }
  ~turn() { flag_.taken.store(false, std::memory_order_release); }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

 private:
  flag& flag_;
};

shared_parameters::shared_parameters(std::span<const float> initial, sgd_options options,
                                     std::size_t batch_count)
    : parameters_(initial.begin(), initial.end()), optimizer_(options),
      turns_((initial.size() + region - 1) / region), batch_count_(batch_count),
      claims_(std::make_unique<std::atomic<std::uint64_t>[]>(batch_count / 64 + 1)) {
  velocity_.resize(optimizer_.state_size(initial.size()));
}

template <class F>
void shared_parameters::in_turns(F f) const {
  const auto regions = turns_.size();
  if (regions == 0) return;
  // Threads that begin at the same place at the same time would meet at every region; multiples of
  // the golden ratio lie apart.
  const auto begin = passes_.fetch_add(1, relaxed) * 0x9e3779b97f4a7c15u % regions;
  for (std::size_t i = 0; i < regions; ++i) {
    const auto r = begin + i < regions ? begin + i : begin + i - regions;
    const auto first = r * region;
    const turn alone(turns_[r]);
    f(first, std::min(region, parameters_.size() - first));
  }
}

bool shared_parameters::apply(std::uint64_t batch_ordinal, std::span<const float> gradient,
                              float scale) {
  check_ordinal("shared_parameters::apply", batch_ordinal, batch_count_);
  check_size("shared_parameters::apply", parameters_.size(), gradient.size());
  const auto bit = std::uint64_t{1} << (batch_ordinal % 64);
  if ((claims_[batch_ordinal / 64].fetch_or(bit, relaxed) & bit) != 0) return false;

  const auto whole = std::span(parameters_);
  const auto velocity = std::span(velocity_);
  in_turns([&](std::size_t first, std::size_t n) {
    optimizer_.apply(whole.subspan(first, n), gradient.subspan(first, n),
                     velocity.empty() ? velocity : velocity.subspan(first, n), scale);
  });
  updates_.fetch_add(1, relaxed);
  return true;
}

void shared_parameters::read(std::span<float> out) const {
  check_size("shared_parameters::read", parameters_.size(), out.size());
  in_turns([&](std::size_t first, std::size_t n) {
    std::copy_n(parameters_.data() + first, n, out.data() + first);
  });
}

void shared_parameters::read_state(std::span<float> out) const {
  check_size("shared_parameters::read_state", velocity_.size(), out.size());
  if (velocity_.empty()) return;
  in_turns([&](std::size_t first, std::size_t n) {
    std::copy_n(velocity_.data() + first, n, out.data() + first);
  });
}

void shared_parameters::set_state(std::span<const float> state) {
  check_size("shared_parameters::set_state", velocity_.size(), state.size());
  if (velocity_.empty()) return;
  in_turns([&](std::size_t first, std::size_t n) {
    std::copy_n(state.data() + first, n, velocity_.data() + first);
  });
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
