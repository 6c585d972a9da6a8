#pragma once

// The wire form of classes that are fields of messages. Those of structs follow from their members,
// see wire_messages.hpp.

#include <array>
#include <exception>
#include <span>
#include <type_traits>
#include <vector>

#include "troupe/actors/messages.hpp"
#include "troupe/actors/system_config.hpp"

// CAF finds these by the namespace of the type.
namespace troupe::transport {

/// A block is its size and its bytes; one that goes through shared memory is its size with the
/// highest bit set, and where the bytes lie.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, block& x) {
  constexpr std::uint32_t by_descriptor = 1u << 31;
  auto size = x.size();
  if constexpr (std::is_base_of_v<caf::serializer, Inspector>) {
    if (auto d = x.lend(actors::pools_of(f.context()))) {
      size |= by_descriptor;
      return f(size, d->process, d->file, d->token, d->slot, d->offset);
    }
    if (auto err = f(size)) return err;
    return size == 0
               ? caf::error{}
               : f.apply_raw(size, const_cast<std::byte*>(x.bytes().data())); // only read from
  } else if constexpr (std::is_base_of_v<caf::deserializer, Inspector>) {
    if (auto err = f(size)) return err;
    const bool lent = (size & by_descriptor) != 0;
    size &= ~by_descriptor;
    if (size > block::max_bytes) return caf::sec::invalid_argument; // BLOCK-1
    if (lent) {
      shared_descriptor d;
      d.size = size;
      if (auto err = f(d.process, d.file, d.token, d.slot, d.offset)) return err;
      x = block::borrow(d, actors::pools_of(f.context()));
      return caf::error{};
    }
    auto [fresh, to] = block::writable(size);
    if (size != 0)
      if (auto err = f.apply_raw(size, to)) return err;
    x = block::received(fresh.owner(), to, size);
    return caf::error{};
  } else {
    return f(size); // text form: the length is enough
  }
}
} // namespace troupe::transport

namespace troupe::actors {} // namespace troupe::actors

namespace troupe::scheduler {

/// Its shape, then each epoch that has batches: all of them, or the words of its bitmap.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, applied_set& x) {
  if constexpr (std::is_same_v<typename Inspector::result_type, caf::error>) {
    auto batches = x.batches_per_epoch(), epochs = x.epochs(), below = x.first_incomplete();
    auto ahead = x.complete_ahead(), open = x.epochs_in_progress();
    std::vector<std::uint64_t> words;
    for (auto e : open) words.insert(words.end(), x.words(e).begin(), x.words(e).end());
    if (auto err = f(batches, epochs, below, ahead, open, words)) return err;
    if constexpr (Inspector::writes_state) {
      try {
        applied_set read;
        if (batches > 0) read = applied_set{batches, epochs};
        if (below > epochs) return caf::sec::invalid_argument;
        read.insert_epochs_below(below);
        for (auto e : ahead) read.insert_epoch(e);
        auto each = (std::size_t{batches} + 63) / 64;
        if (words.size() != open.size() * each) return caf::sec::invalid_argument;
        for (std::size_t i = 0; i < open.size(); ++i)
          read.insert_words(open[i], std::span{words}.subspan(i * each, each));
        x = std::move(read);
      } catch (const std::exception&) {
        return caf::sec::invalid_argument;
      }
    }
    return caf::error{};
  } else {
    auto size = x.size();
    return f(size); // text form
  }
}

/// Nanoseconds of each activity. What no clock can have counted is refused, so that sums stay sums.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, time_shares& x) {
  std::array<std::int64_t, activities> ns{};
  for (std::size_t i = 0; i < activities; ++i) ns[i] = x.of(static_cast<activity>(i)).count();
  if constexpr (std::is_same_v<typename Inspector::result_type, caf::error>) {
    constexpr std::int64_t most = std::int64_t{1} << 56; // two years
    for (auto& n : ns)
      if (auto err = f(n)) return err;
    if constexpr (Inspector::writes_state) {
      x = {};
      for (std::size_t i = 0; i < activities; ++i) {
        if (ns[i] < 0 || ns[i] > most) return caf::sec::invalid_argument;
        x.add(static_cast<activity>(i), time_shares::duration{ns[i]});
      }
    }
    return caf::error{};
  } else {
    return f(ns[0], ns[1], ns[2], ns[3], ns[4]); // text form
  }
}

/// Its constructor checks what arrives, so a lying histogram is refused and not stored.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, staleness_histogram& x) {
  auto content = x.contents();
  if constexpr (std::is_same_v<typename Inspector::result_type, caf::error>) {
    for (auto& bucket : content.buckets)
      if (auto err = f(bucket)) return err;
    if (auto err = f(content.sum, content.max)) return err;
    if constexpr (Inspector::writes_state) {
      try {
        x = staleness_histogram{content};
      } catch (const std::exception&) {
        return caf::sec::invalid_argument;
      }
    }
    return caf::error{};
  } else {
    return f(content.sum, content.max); // text form
  }
}

} // namespace troupe::scheduler
