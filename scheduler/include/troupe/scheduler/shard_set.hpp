#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <vector>

#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// A set of shards, one bit each: shards are numbered from 0, and a worker asks about all of them
/// for every batch. Iterates in ascending order. Memory grows with the highest number ever in it.
class shard_set {
 public:
  shard_set() = default;
  shard_set(std::initializer_list<shard_id> shards) {
    for (auto s : shards) insert(s);
  }
  /// The shards from 0 to `count` - 1.
  static shard_set first(std::uint32_t count) {
    shard_set all;
    for (std::uint32_t s = 0; s < count; ++s) all.insert(shard_id{s});
    return all;
  }

  /// False if it is in it already.
  bool insert(shard_id s) {
    if (s.value / 64 >= words_.size()) words_.resize(s.value / 64 + 1);
    if (contains(s)) return false;
    words_[s.value / 64] |= bit(s);
    return true;
  }
  /// False if it is not in it.
  bool erase(shard_id s) {
    if (!contains(s)) return false;
    words_[s.value / 64] &= ~bit(s);
    return true;
  }
  bool contains(shard_id s) const noexcept {
    return s.value / 64 < words_.size() && (words_[s.value / 64] & bit(s)) != 0;
  }
  std::size_t size() const noexcept {
    std::size_t n = 0;
    for (auto w : words_) n += static_cast<std::size_t>(std::popcount(w));
    return n;
  }
  bool empty() const noexcept { return size() == 0; }

  class iterator {
   public:
    using iterator_category = std::input_iterator_tag; // it gives values
    using iterator_concept = std::forward_iterator_tag;
    using value_type = shard_id;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = shard_id;

    iterator() = default;
    shard_id operator*() const {
      return shard_id{static_cast<std::uint32_t>(word_ * 64) +
                      static_cast<std::uint32_t>(std::countr_zero(rest_))};
    }
    iterator& operator++() {
      rest_ &= rest_ - 1;
      skip_empty();
      return *this;
    }
    iterator operator++(int) {
      auto before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const iterator& a, const iterator& b) {
      return a.word_ == b.word_ && a.rest_ == b.rest_;
    }

   private:
    friend class shard_set;
    iterator(const std::vector<std::uint64_t>& words, std::size_t word)
        : words_(&words), word_(word) {
      if (word_ < words.size()) rest_ = words[word_];
      skip_empty();
    }
    void skip_empty() {
      while (rest_ == 0 && word_ < words_->size())
        if (++word_ < words_->size()) rest_ = (*words_)[word_];
    }

    const std::vector<std::uint64_t>* words_ = nullptr;
    std::size_t word_ = 0;
    std::uint64_t rest_ = 0; // of the word, from where it stands
  };

  iterator begin() const { return {words_, 0}; }
  iterator end() const { return {words_, words_.size()}; }

 private:
  static std::uint64_t bit(shard_id s) { return std::uint64_t{1} << (s.value % 64); }

  std::vector<std::uint64_t> words_;
};

} // namespace troupe::scheduler
