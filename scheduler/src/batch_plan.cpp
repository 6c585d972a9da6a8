#include "troupe/scheduler/batch_plan.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace troupe::scheduler {

namespace {

[[noreturn]] void fail(const std::string& reason) {
  throw std::invalid_argument("[troupe::scheduler::batch_plan] " + reason);
}

} // namespace

batch_plan::batch_plan(options o) : options_(o) {
  if (o.samples == 0) fail("expected at least one sample, found none");
  if (o.batch_size == 0) fail("expected a batch size of at least 1, found 0");
  const std::size_t batches = (o.samples - 1) / o.batch_size + 1;
  if (batches > std::numeric_limits<std::uint32_t>::max())
    fail("expected fewer than 2^32 batches in an epoch, found " + std::to_string(batches));
  batches_per_epoch_ = static_cast<std::uint32_t>(batches);
}

void batch_plan::check(batch_id id) const {
  if (!contains(id))
    fail("expected a batch of the job (" + std::to_string(options_.epochs) + " epochs of " +
         std::to_string(batches_per_epoch_) + " batches), found " + to_string(id));
}

std::size_t batch_plan::samples_in(batch_id id) const {
  return std::min(options_.batch_size, options_.samples - first_position(id));
}

std::size_t batch_plan::first_position(batch_id id) const {
  check(id);
  return std::size_t{id.index} * options_.batch_size;
}

std::uint64_t batch_plan::ordinal(batch_id id) const {
  check(id);
  return std::uint64_t{id.epoch} * batches_per_epoch_ + id.index;
}

batch_id batch_plan::batch_at(std::uint64_t ordinal) const {
  if (ordinal >= total_batches())
    fail("expected a batch number below " + std::to_string(total_batches()) + ", found " +
         std::to_string(ordinal));
  return {.epoch = static_cast<std::uint32_t>(ordinal / batches_per_epoch_),
          .index = static_cast<std::uint32_t>(ordinal % batches_per_epoch_)};
}

} // namespace troupe::scheduler
