#pragma once

#include "troupe/tensor/optimizer.hpp"
#include "troupe/values/aligned.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace troupe::tensor {

/// Parameters that the threads of one process read and write at the same time, after Niu, Recht,
/// Re, Wright 2011, "HOGWILD!: A Lock-Free Approach to Parallelizing Stochastic Gradient Descent".
/// Nobody holds the array. Whoever reads or writes takes turns with the others at a region of 4096
/// components, for less than a microsecond each: inside a turn they are plain memory, which the
/// compiler vectorizes, and there is no data race. So the array as a whole is never locked, and a
/// region is: a thread whose core is taken away within a turn keeps others from that region until
/// it goes on. Claiming and counting batches is lock-free.
///
/// Promised:
/// HOGWILD-1: a batch is applied at most once, whoever applies it and however often.
/// HOGWILD-2: no update is lost: that of a component is atomic, as the paper assumes, and integer
///            gradients end in their exact sum.
/// HOGWILD-3: every value read was written by someone, and the values of a region together.
///
/// Not promised: that read() is a snapshot (between two regions it may mix parameters of before and
/// after an update), and an order of updates. Results differ from run to run.
///
/// Any number of threads may call every member function at once. A read() after an apply() of
/// another thread need not see it; join the threads or send a message to have the final parameters.
class shared_parameters {
 public:
  /// `batch_count`: how many batches will ever be applied; their ordinals are [0, batch_count).
  /// Throws `error` on options sgd refuses.
  shared_parameters(std::span<const float> initial, sgd_options options, std::size_t batch_count);

  /// Claims the batch and applies `scale` times the gradient. False, and nothing done, when it was
  /// claimed before. Throws `error`, nothing claimed, when the ordinal is not below batch_count or
  /// the gradient has another size than the parameters.
  bool apply(std::uint64_t batch_ordinal, std::span<const float> gradient, float scale = 1);

  /// How many gradients have been applied so far; those under way not counted.
  std::uint64_t updates() const noexcept { return updates_.load(std::memory_order_relaxed); }

  /// Copies all parameters. Throws `error` when out has another size.
  void read(std::span<float> out) const;

  /// Whether someone claimed the batch; its update may still be under way.
  bool claimed(std::uint64_t batch_ordinal) const;

  // To save the state and to go on from it. For a state that belongs to the parameters read, while
  // no other thread applies anything:

  /// Copies the optimizer's state. Throws `error` when out has another size than sgd::state_size.
  void read_state(std::span<float> out) const;
  /// Replaces it. Throws `error` when it has another size.
  void set_state(std::span<const float> state);
  /// The parameters contain this batch already. Throws `error` when the ordinal is not below
  /// batch_count.
  void claim(std::uint64_t batch_ordinal);

  std::size_t size() const noexcept { return parameters_.size(); }
  std::size_t batch_count() const noexcept { return batch_count_; }

 private:
  struct alignas(64) flag {
    std::atomic<bool> taken = false;
  };
  class turn;

  /// Calls f(first, size) for every region in a turn of its own.
  template <class F>
  void in_turns(F f) const;

  aligned_vector<float> parameters_; // and
  aligned_vector<float> velocity_;   // of a region: of whose turn it is
  sgd optimizer_;
  mutable std::vector<flag> turns_;
  mutable std::atomic<std::uint64_t> passes_ = 0;
  std::size_t batch_count_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> claims_;
  std::atomic<std::uint64_t> updates_ = 0;
};

} // namespace troupe::tensor
