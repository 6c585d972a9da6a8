#pragma once

#include <cstring>
#include <limits>

#include "troupe/storage/shard_image.hpp"

/// Every field filled in, every float distinct, and a NaN with a payload where there is room.
inline troupe::storage::shard_image sample_image(std::size_t first, std::size_t size,
                                                 float salt = 0) {
  using namespace troupe;
  const auto values = [&](float start) {
    auto result = std::make_shared<tensor::aligned_vector<float>>(size);
    for (std::size_t i = 0; i < size; ++i)
      (*result)[i] = start + salt + static_cast<float>(first + i);
    return result;
  };
  troupe::storage::shard_image image;
  image.range = {first, size};
  scheduler::applied_set applied(70, 9); // two words
  for (const std::uint32_t epoch : {0u, 1u, 4u}) applied.insert_epoch(epoch);
  for (const std::uint32_t index : {0u, 3u, 64u, 69u}) applied.insert({2, index});
  applied.insert({7, 5});
  if (size < 2) {
    image.segments = {{0, size, applied}};
  } else {
    auto other = applied;
    other.insert({8, 1});
    image.segments = {{0, size / 2, applied}, {size / 2, size - size / 2, other}};
  }
  image.updates = 217;
  image.sequence = 1'000'000'007'000;
  auto parameters = values(0.25f);
  if (size > 0) {
    const std::uint32_t odd_nan = 0x7fa12345;
    std::memcpy(&parameters->back(), &odd_nan, sizeof odd_nan);
  }
  if (size > 2) {
    parameters->front() = -0.0f;
    (*parameters)[1] = -std::numeric_limits<float>::infinity();
  }
  image.parameters = parameters;
  image.velocity = values(10000.5f);
  image.epochs = {{0, values(20000)}, {1, values(30000)}};
  image.step = 41;
  image.before_last_step = values(40000);
  image.kept = {{{2, 64}, values(50000)}, {{2, 69}, values(60000)}};
  image.clocks.workers = {{{0}, 12, true, {14, 17}}, {{3}, 9, false, {}}};
  return image;
}

inline bool same_bits(const troupe::storage::snapshot& a, const troupe::storage::snapshot& b) {
  if (!a || !b) return !a && !b;
  return a->size() == b->size() &&
         (a->empty() || std::memcmp(a->data(), b->data(), a->size() * sizeof(float)) == 0);
}

template <class Key>
bool same_bits(const std::map<Key, troupe::storage::snapshot>& a,
               const std::map<Key, troupe::storage::snapshot>& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, values] : a)
    if (const auto it = b.find(key); it == b.end() || !same_bits(values, it->second)) return false;
  return true;
}

/// What reshard keeps of an image when the ranges stay: all but the clocks and the sequence.
inline bool same_but_for_clocks(const troupe::storage::shard_image& a,
                                const troupe::storage::shard_image& b) {
  return a.range == b.range && a.segments == b.segments && a.updates == b.updates &&
         same_bits(a.parameters, b.parameters) && same_bits(a.velocity, b.velocity) &&
         same_bits(a.epochs, b.epochs) && a.step == b.step &&
         same_bits(a.before_last_step, b.before_last_step) && same_bits(a.kept, b.kept);
}

inline bool same(const troupe::storage::shard_image& a, const troupe::storage::shard_image& b) {
  return same_but_for_clocks(a, b) && a.sequence == b.sequence && a.clocks == b.clocks;
}
