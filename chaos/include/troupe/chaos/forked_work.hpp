#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace troupe::chaos {

struct forked_options {
  unsigned jobs = 0;                    ///< processes at a time; 0: one for each core
  std::size_t items_each = 16;          ///< that a process works on before the next one is made
  std::chrono::seconds limit{120};      ///< of real time for one item
  std::function<bool()> stop = nullptr; ///< asked every so often; true ends everything at once
};

struct forked_answer {
  bool died = false; ///< then `text` says how; else it is what `work` returned
  std::string text;
};

/// Works on items in child processes, so that one that crashes or hangs is an answer and not the
/// end of everything, and so that all cores are used by work that knows one thread alone.
///
/// FORK-1  Every item that `next` gives is answered exactly once, in any order, unless `take`
///         returned false or `stop` true: then children are killed and nothing more is answered.
/// FORK-2  An item whose process dies, throws, or works longer than `limit` is answered with how it
///         died; the other items of that process are worked on all the same.
/// FORK-3  No child is left when it returns or throws, nor when this process is killed.
///
/// `next` and `take` are called in this process, `work` in a child, which begins as a copy of this
/// one. To be called from a process whose other threads, if any, hold no lock that `work` needs.
void work_in_children(const forked_options& options,
                      const std::function<std::optional<std::uint64_t>()>& next,
                      const std::function<std::string(std::uint64_t)>& work,
                      const std::function<bool(std::uint64_t, const forked_answer&)>& take);

} // namespace troupe::chaos
