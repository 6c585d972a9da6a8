#include "troupe/scheduler/applied_set.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

namespace troupe::scheduler {

namespace {

[[noreturn]] void fail(const std::string& reason) {
  throw std::invalid_argument("[troupe::scheduler::applied_set] " + reason);
}

} // namespace

applied_set::applied_set(const batch_plan& plan)
    : applied_set(plan.batches_per_epoch(), plan.epochs()) {}

applied_set::applied_set(std::uint32_t batches_per_epoch, std::uint32_t epochs)
    : batches_per_epoch_(batches_per_epoch), epochs_(epochs) {
  if (batches_per_epoch == 0) fail("expected at least one batch in an epoch, found none");
}

bool applied_set::insert(batch_id id) {
  if (id.epoch >= epochs_ || id.index >= batches_per_epoch_)
    fail("expected a batch of the job (" + std::to_string(epochs_) + " epochs of " +
         std::to_string(batches_per_epoch_) + " batches), found " + to_string(id));
  if (complete(id.epoch)) return false;
  auto& epoch = open_[id.epoch];
  if (epoch.words.empty()) epoch.words.resize(words_per_epoch());
  auto& word = epoch.words[id.index / 64];
  const auto bit = std::uint64_t{1} << (id.index % 64);
  if (word & bit) return false;
  word |= bit;
  ++epoch.count;
  ++size_;
  if (epoch.count == batches_per_epoch_) mark_complete(id.epoch);
  return true;
}

bool applied_set::contains(batch_id id) const noexcept {
  if (id.epoch >= epochs_ || id.index >= batches_per_epoch_) return false;
  if (complete(id.epoch)) return true;
  const auto it = open_.find(id.epoch);
  return it != open_.end() && (it->second.words[id.index / 64] >> (id.index % 64) & 1) != 0;
}

std::uint32_t applied_set::count(std::uint32_t e) const noexcept {
  if (complete(e)) return batches_per_epoch_;
  const auto it = open_.find(e);
  return it == open_.end() ? 0 : it->second.count;
}

bool applied_set::complete(std::uint32_t e) const noexcept {
  return e < first_incomplete_ || complete_ahead_.contains(e);
}

std::vector<std::uint32_t> applied_set::epochs_in_progress() const {
  std::vector<std::uint32_t> result;
  for (const auto& [epoch, content] : open_) result.push_back(epoch);
  return result;
}

std::vector<std::uint32_t> applied_set::complete_ahead() const {
  return {complete_ahead_.begin(), complete_ahead_.end()};
}

std::span<const std::uint64_t> applied_set::words(std::uint32_t e) const noexcept {
  const auto it = open_.find(e);
  if (it == open_.end()) return {};
  return it->second.words;
}

void applied_set::insert_words(std::uint32_t e, std::span<const std::uint64_t> words) {
  if (e >= epochs_)
    fail("expected an epoch below " + std::to_string(epochs_) + ", found " + std::to_string(e));
  if (words.size() != words_per_epoch())
    fail("expected " + std::to_string(words_per_epoch()) + " words for an epoch, found " +
         std::to_string(words.size()));
  const auto bits_in_last = batches_per_epoch_ % 64;
  if (bits_in_last != 0 && words.back() >> bits_in_last != 0)
    fail("expected no batch past the last of an epoch (" + std::to_string(batches_per_epoch_) +
         " batches), found one");
  if (complete(e)) return;

  std::uint32_t before = count(e);
  std::uint32_t after = 0;
  std::vector<std::uint64_t> united(words.begin(), words.end());
  if (const auto it = open_.find(e); it != open_.end())
    for (std::size_t i = 0; i < united.size(); ++i) united[i] |= it->second.words[i];
  for (const auto word : united) after += static_cast<std::uint32_t>(std::popcount(word));
  if (after == before) return;
  open_[e] = {.count = after, .words = std::move(united)};
  size_ += after - before;
  if (after == batches_per_epoch_) mark_complete(e);
}

void applied_set::insert_epoch(std::uint32_t e) {
  if (e >= epochs_)
    fail("expected an epoch below " + std::to_string(epochs_) + ", found " + std::to_string(e));
  if (complete(e)) return;
  size_ += batches_per_epoch_ - count(e);
  mark_complete(e);
}

void applied_set::insert_epochs_below(std::uint32_t e) {
  if (e > epochs_)
    fail("expected at most " + std::to_string(epochs_) + " complete epochs, found " +
         std::to_string(e));
  if (e <= first_incomplete_) return;
  complete_ahead_.erase(complete_ahead_.begin(), complete_ahead_.lower_bound(e));
  open_.erase(open_.begin(), open_.lower_bound(e));
  size_ = (std::uint64_t{e} + complete_ahead_.size()) * batches_per_epoch_;
  for (const auto& [epoch, content] : open_) size_ += content.count;
  first_incomplete_ = e;
  follow_complete_epochs();
}

void applied_set::mark_complete(std::uint32_t e) {
  open_.erase(e);
  complete_ahead_.insert(e);
  follow_complete_epochs();
}

void applied_set::follow_complete_epochs() {
  while (!complete_ahead_.empty() && *complete_ahead_.begin() == first_incomplete_) {
    complete_ahead_.erase(complete_ahead_.begin());
    ++first_incomplete_;
  }
}

std::size_t applied_set::bytes() const noexcept {
  constexpr std::size_t node = 4 * sizeof(void*); // of a red-black tree, besides its value
  std::size_t result = complete_ahead_.size() * (node + sizeof(std::uint32_t));
  for (const auto& [epoch, content] : open_)
    result += node + sizeof(content) + content.words.capacity() * sizeof(std::uint64_t);
  return result;
}

applied_set intersection(const applied_set& a, const applied_set& b) {
  if (a.batches_per_epoch() != b.batches_per_epoch() || a.epochs() != b.epochs())
    throw std::invalid_argument("[troupe::scheduler::intersection] expected applied sets of one "
                                "shape, found two");
  applied_set result{a.batches_per_epoch(), a.epochs()};
  auto common = std::min(a.first_incomplete(), b.first_incomplete());
  result.insert_epochs_below(common);
  for (auto e = common; e < a.epochs(); ++e) {
    if (a.count(e) == 0 || b.count(e) == 0) continue;
    if (a.complete(e) && b.complete(e)) {
      result.insert_epoch(e);
    } else if (a.complete(e)) {
      result.insert_words(e, b.words(e));
    } else if (b.complete(e)) {
      result.insert_words(e, a.words(e));
    } else {
      std::vector<std::uint64_t> both(a.words(e).begin(), a.words(e).end());
      for (std::size_t i = 0; i < both.size(); ++i) both[i] &= b.words(e)[i];
      result.insert_words(e, both);
    }
  }
  return result;
}

} // namespace troupe::scheduler
