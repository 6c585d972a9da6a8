#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe::tensor {

/// The order of the samples in each epoch, made once for all who compute in a process: made by each
/// of them, it would cost a worker time and memory in proportion to the samples of the job.
///
/// ORDERS-1  of(e) is tensor::permutation(samples, seed, e), whoever asks, and however often.
/// ORDERS-2  The orders of the two epochs asked for last are kept; leases run ahead over one epoch
///           border at a time. An older one is made again.
///
/// Thread-safe. Whoever asks for an order that is being made waits for it.
class epoch_orders {
 public:
  using order = std::shared_ptr<const std::vector<std::uint32_t>>;

  epoch_orders(std::size_t samples, std::uint64_t seed) : samples_(samples), seed_(seed) {}

  order of(std::uint32_t epoch);
  /// How many orders were made.
  std::uint64_t made() const;

 private:
  struct entry {
    order samples;
    std::uint64_t asked_at = 0;
  };

  const std::size_t samples_;
  const std::uint64_t seed_;
  mutable std::mutex mutex_;
  std::map<std::uint32_t, entry> kept_;
  std::uint64_t asked_ = 0;
  std::uint64_t made_ = 0;
};

} // namespace troupe::tensor
