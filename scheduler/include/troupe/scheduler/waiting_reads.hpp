#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace troupe::scheduler {

/// The readers that wait at a shard, in the order in which their reads can be admitted: by clock,
/// in bsp by step. If a read is admitted, every read before it is admitted too. So a shard that
/// looks for reads to answer after a change need not ask about every waiting reader.
///
/// READS-1  Each reader waits with one read at most: the read added last.
/// READS-2  take_admitted asks about the reads that it admits and about one more, however many
///          readers wait.
///
/// `Reader`: an ordered value.
template <class Reader>
class waiting_reads {
 public:
  /// The reader waits until reads at `order` are admitted.
  void add(const Reader& reader, std::uint64_t order) {
    remove(reader);
    by_reader_.emplace(reader, order);
    by_order_.emplace(order, reader);
  }

  /// Ends the wait of a reader. Does nothing if the reader does not wait.
  void remove(const Reader& reader) {
    const auto known = by_reader_.find(reader);
    if (known == by_reader_.end()) return;
    by_order_.erase({known->second, reader});
    by_reader_.erase(known);
  }

  /// Removes and returns the readers that may read now, ascending. `admitted(reader)`: whether its
  /// read is admitted; once it is false for a read, it is false for every later read.
  template <class Admitted>
  std::vector<Reader> take_admitted(Admitted admitted) {
    std::vector<Reader> result;
    while (!by_order_.empty() && admitted(by_order_.begin()->second)) {
      result.push_back(by_order_.begin()->second);
      by_reader_.erase(result.back());
      by_order_.erase(by_order_.begin());
    }
    std::ranges::sort(result);
    return result;
  }

  std::size_t size() const noexcept { return by_reader_.size(); }

 private:
  std::set<std::pair<std::uint64_t, Reader>> by_order_;
  std::map<Reader, std::uint64_t> by_reader_;
};

} // namespace troupe::scheduler
