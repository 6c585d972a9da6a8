#include "troupe/actors/shard_core.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <stdexcept>
#include <string>

#include "troupe/transport/transfer.hpp"

namespace troupe::actors {

namespace {

// SCHED-3: leases run at most one epoch ahead of the last evaluated one.
constexpr std::size_t epochs_kept = 2;

std::uint64_t bytes_in(const gradient_blocks& gradient) {
  std::uint64_t at = 0;
  for (const auto& [offset, b] : gradient) {
    if (offset != at || b.size() % sizeof(float) != 0) return UINT64_MAX;
    at += b.size();
  }
  return at;
}

snapshot gathered(const gradient_blocks& gradient, std::size_t size) {
  auto whole = std::make_shared<tensor::aligned_vector<float>>(size);
  for (const auto& [offset, b] : gradient)
    std::ranges::copy(b.floats(),
                      whole->begin() + static_cast<std::ptrdiff_t>(offset / sizeof(float)));
  return whole;
}

gradient_blocks as_blocks(const snapshot& whole) {
  gradient_blocks blocks;
  for (auto& p : transport::cut(0, 0, whole, whole->data(), whole->size() * sizeof(float)))
    blocks.emplace_back(p.offset, std::move(p.data));
  return blocks;
}

// Adds the floats of the gradient from `first` on.
void add_piece(const gradient_blocks& gradient, std::uint64_t first, std::span<float> to) {
  auto i = std::prev(std::ranges::upper_bound(gradient, first * sizeof(float), {},
                                              [](const auto& piece) { return piece.first; }));
  for (std::size_t done = 0; done < to.size(); ++i) {
    const auto skipped = first + done - i->first / sizeof(float);
    const auto values = i->second.floats().subspan(skipped);
    const auto count = std::min(values.size(), to.size() - done);
    for (std::size_t k = 0; k < count; ++k) to[done + k] += values[k];
    done += count;
  }
}

// Where values come from and go to when all are written, or some.
snapshot_array::rewrite written(snapshot_array& array, bool all) {
  if (all) return array.rewritten();
  const auto values = array.writable();
  return {array.current(), values};
}

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("[troupe::actors::shard_core] " + what);
}

} // namespace

shard_core::shard_core(const options& o, scheduler::shard_range range)
    : plan_(o.plan), mode_(o.mode), optimizer_(o.optimizer), range_(range),
      damping_(o.staleness_damping) {}

shard_core::shard_core(const options& o, scheduler::shard_range range,
                       std::span<const float> initial)
    : shard_core(o, range) {
  if (initial.size() != range.size) refuse("initial parameters of another size than the range");
  segments_ = {{0, range.size, scheduler::applied_set{o.plan}}};
  if (mode_.in_place()) {
    shared_ =
        std::make_shared<tensor::shared_parameters>(initial, o.optimizer, plan_.total_batches());
  } else {
    parameters_ = snapshot_array{initial, o.pools};
    velocity_ =
        snapshot_array{tensor::aligned_vector<float>(optimizer_.state_size(range.size)), o.pools};
  }
  if (auto g = mode_.batches_per_step()) {
    steps_.emplace(scheduler::step_plan{plan_, *g});
  }
  for (std::uint32_t w = 0; w < o.workers; ++w) clocks_.enter(worker_id{w}, 0);
}

shard_core::shard_core(const options& o, const shard_image& image) : shard_core(o, image.range) {
  std::uint64_t covered = 0;
  for (const auto& s : image.segments) {
    if (s.first != covered || s.applied.batches_per_epoch() != plan_.batches_per_epoch() ||
        s.applied.epochs() != plan_.epochs())
      refuse("an image of another job's shape");
    covered += s.size;
    segments_.push_back({s.first, s.size, s.applied});
  }
  auto velocity = optimizer_.state_size(range_.size);
  if (covered != range_.size || !image.parameters || image.parameters->size() != range_.size ||
      (image.velocity ? image.velocity->size() : 0) != velocity)
    refuse("an image of another job's shape");
  if (mode_.in_place()) {
    if (segments_.size() != 1) refuse("an image whose parts differ, in hogwild");
    shared_ = std::make_shared<tensor::shared_parameters>(*image.parameters, optimizer_.options(),
                                                          plan_.total_batches());
    for (std::uint64_t i = 0; i < plan_.total_batches(); ++i)
      if (segments_.front().applied.contains(plan_.batch_at(i))) shared_->claim(i);
    if (image.velocity) shared_->set_state(*image.velocity);
  } else {
    parameters_ = snapshot_array{*image.parameters, o.pools};
    if (image.velocity) velocity_ = snapshot_array{*image.velocity, o.pools};
  }
  if (auto g = mode_.batches_per_step()) {
    steps_.emplace(scheduler::step_plan{plan_, *g}, image.step);
    before_last_step_ = image.before_last_step;
    for (const auto& [batch, gradient] : image.kept) steps_->insert(batch, as_blocks(gradient));
  }
  clocks_ = scheduler::clock_table{image.clocks};
  updates_ = image.updates;
  epochs_ = image.epochs;
  next_epoch_ = applied_everywhere().first_incomplete();
  // Of an epoch that was complete before the image was taken, and not evaluated, the image of a
  // restore onto other ranges may lack the snapshot: what there is now stands in for it.
  for (auto e = next_epoch_ - std::min<std::uint32_t>(next_epoch_, epochs_kept); e < next_epoch_;
       ++e)
    epochs_.try_emplace(e, current());
}

bool shard_core::applied(batch_id batch) const noexcept {
  return std::ranges::all_of(segments_,
                             [batch](const auto& s) { return s.applied.contains(batch); });
}

scheduler::applied_set shard_core::applied_everywhere() const {
  auto common = segments_.front().applied;
  for (std::size_t i = 1; i < segments_.size(); ++i)
    common = scheduler::intersection(common, segments_[i].applied);
  return common;
}

void shard_core::check(const shard_change& change) const {
  using enum shard_change::kind;
  if (change.what == enter || change.what == leave || change.what == compare) return;
  if (!plan_.contains(change.batch))
    refuse("a push of " + to_string(change.batch) + ", which is not of this job");
  if (change.what == gradient && bytes_in(change.gradient) != range_.size * sizeof(float))
    refuse("a gradient of another size than the shard's range of " + std::to_string(range_.size) +
           " parameters");
}

bool shard_core::make(const shard_change& change) {
  using enum shard_change::kind;
  bool fresh = false;
  switch (change.what) {
  case enter:
    clocks_.enter(change.worker, change.clock);
    return false;
  case leave:
    clocks_.leave(change.worker);
    return false;
  case compare:
    return false;
  case gradient:
    fresh = take_gradient(change);
    break;
  case in_place:
    // The shared array decided whether it was new; the set here only follows it.
    fresh = segments_.front().applied.insert(change.batch);
    break;
  case repeated:
    break;
  }
  ++(fresh ? updates_ : duplicates_);
  clocks_.advance(change.worker, change.clock);
  keep_complete_epochs();
  return fresh;
}

bool shard_core::take_gradient(const shard_change& change) {
  bool fresh = false;
  auto scale = scale_for(change);
  for (auto& s : segments_) {
    if (!s.applied.insert(change.batch) && !mutant_active(mutant::duplicate_applied)) continue;
    fresh = true;
    if (steps_)
      steps_->insert(change.batch, change.gradient);
    else if (shared_)
      shared_->apply(plan_.ordinal(change.batch), *gathered(change.gradient, range_.size), scale);
    else
      apply(change.gradient, s, scale);
  }
  if (steps_) apply_ready_steps();
  if (segments_.size() > 1) merge_segments();
  return fresh;
}

void shard_core::merge_segments() {
  for (auto i = std::next(segments_.begin()); i != segments_.end();) {
    auto before = std::prev(i);
    if (before->applied == i->applied) {
      before->size += i->size;
      i = segments_.erase(i);
    } else {
      ++i;
    }
  }
}

float shard_core::scale_for(const shard_change& change) const {
  if (!damping_ || change.seen_updates >= updates_) return 1;
  return tensor::staleness_scale(updates_ - change.seen_updates);
}

bool shard_core::may_read(clock_value clock, std::uint64_t step) const {
  return steps_ ? steps_->may_read(step) : clocks_.may_read(mode_, clock);
}

shard_core::reading shard_core::read(worker_id worker, clock_value clock,
                                     std::uint64_t step) const {
  const bool one_step_behind = steps_ && step + 1 == steps_->current_step() && before_last_step_;
  if (one_step_behind) reached(probe::step_read_again);
  auto own = clocks_.pushes_below(worker).value_or(clock);
  if (mutant_active(mutant::own_writes_overstated)) ++own;
  return {one_step_behind ? before_last_step_ : current(), own, updates_, one_step_behind};
}

void shard_core::apply(const gradient_blocks& gradient, const segment& part, float scale) {
  const auto [before, after] = written(parameters_, part.size == range_.size);
  const std::span old{*before};
  auto velocity = velocity_.size() > 0 ? velocity_.writable() : std::span<float>{};
  for (const auto& [offset, b] : gradient) {
    auto first = std::max<std::uint64_t>(offset / sizeof(float), part.first);
    auto values = b.floats();
    auto last = std::min(offset / sizeof(float) + values.size(), part.first + part.size);
    if (first >= last) continue;
    auto count = last - first;
    optimizer_.apply_into(old.subspan(first, count), after.subspan(first, count),
                          values.subspan(first - offset / sizeof(float), count),
                          velocity.empty() ? velocity : velocity.subspan(first, count), scale);
  }
}

void shard_core::at_step(std::uint64_t step, std::function<void()> then) {
  at_steps_[step] = std::move(then);
  apply_ready_steps();
}

void shard_core::apply_ready_steps() {
  for (;;) {
    auto waiting = at_steps_.begin();
    while (waiting != at_steps_.end() && waiting->first <= steps_->current_step()) {
      if (waiting->first == steps_->current_step()) waiting->second();
      waiting = at_steps_.erase(waiting);
    }
    if (!steps_->ready()) return;
    apply_step(steps_->take());
  }
}

// Piece by piece, so that what is summed is still in the first cache when it is applied. SGD-1: it
// makes no difference to the bits.
void shard_core::apply_step(const std::vector<gradient_blocks>& gradients) {
  before_last_step_ = parameters_.current();
  const auto [before, after] = parameters_.rewritten();
  const std::span old{*before};
  const auto velocity = velocity_.size() > 0 ? velocity_.writable() : std::span<float>{};
  const auto count = static_cast<float>(gradients.size());
  std::array<float, 4096> sum;
  for (std::uint64_t first = 0; first < range_.size; first += sum.size()) {
    const auto size = std::min<std::uint64_t>(sum.size(), range_.size - first);
    std::ranges::fill(sum, 0.0f);
    for (const auto& gradient : gradients) add_piece(gradient, first, std::span{sum}.first(size));
    for (auto& value : sum) value /= count;
    optimizer_.apply_into(old.subspan(first, size), after.subspan(first, size),
                          std::span{sum}.first(size),
                          velocity.empty() ? velocity : velocity.subspan(first, size));
  }
}

void shard_core::keep_complete_epochs() {
  // In bsp an epoch's batches are all accepted exactly when its last step has been applied.
  auto complete = [this](std::uint32_t e) {
    if (mutant_active(mutant::epoch_snapshot_early))
      return segments_.front().applied.count(e) + 1 >= plan_.batches_per_epoch();
    return std::ranges::all_of(segments_, [e](const auto& s) { return s.applied.complete(e); });
  };
  for (; next_epoch_ < plan_.epochs() && complete(next_epoch_); ++next_epoch_) {
    epochs_.insert_or_assign(next_epoch_, current());
    if (epochs_.size() > epochs_kept) epochs_.erase(epochs_.begin());
  }
}

snapshot shard_core::current() const {
  if (!shared_) return parameters_.current();
  auto copy = std::make_shared<tensor::aligned_vector<float>>(range_.size);
  shared_->read(*copy);
  return copy;
}

snapshot shard_core::of_epoch(std::uint32_t epoch) const {
  auto i = epochs_.find(epoch);
  return i == epochs_.end() ? nullptr : i->second;
}

shard_image shard_core::image() const {
  shard_image image;
  image.range = range_;
  for (const auto& s : segments_) image.segments.push_back({s.first, s.size, s.applied});
  if (mutant_active(mutant::applied_set_not_in_image))
    for (auto& s : image.segments) s.applied = scheduler::applied_set{plan_};
  image.updates = updates_;
  image.parameters = current();
  if (shared_) {
    auto velocity =
        std::make_shared<tensor::aligned_vector<float>>(optimizer_.state_size(range_.size));
    shared_->read_state(*velocity);
    if (!velocity->empty()) image.velocity = std::move(velocity);
  } else if (velocity_.size() > 0) {
    image.velocity = velocity_.current();
  }
  image.epochs = epochs_;
  if (steps_) {
    image.step = steps_->current_step();
    image.before_last_step = before_last_step_;
    steps_->for_each([&](batch_id batch, const gradient_blocks& gradient) {
      if (mutant_active(mutant::kept_steps_not_in_image)) return;
      image.kept.emplace(batch, gathered(gradient, range_.size));
    });
  }
  image.clocks = clocks_.contents();
  return image;
}

shard_image shard_core::checkpoint(std::uint32_t evaluated) const {
  auto result = image();
  result.clocks = {};
  result.epochs.erase(result.epochs.begin(), result.epochs.lower_bound(evaluated));
  if (mutant_active(mutant::checkpoint_without_applied))
    for (auto& s : result.segments) s.applied = scheduler::applied_set{plan_};
  if (!steps_) return result;
  result.kept.clear();
  result.before_last_step = nullptr;
  auto& applied = result.segments.front().applied;
  applied = scheduler::applied_set{plan_};
  for (std::uint32_t e = 0; e < plan_.epochs(); ++e) {
    auto first = steps_->plan().last_step_of_epoch(e) + 1 - steps_->plan().steps_per_epoch();
    if (first >= result.step) break;
    if (first + steps_->plan().steps_per_epoch() <= result.step) {
      applied.insert_epoch(e);
      continue;
    }
    for (auto step = first; step < result.step; ++step)
      for (auto batch : steps_->plan().batches_in(step)) applied.insert(batch);
  }
  result.updates = applied.size(); // those that were kept do not count
  return result;
}

} // namespace troupe::actors
