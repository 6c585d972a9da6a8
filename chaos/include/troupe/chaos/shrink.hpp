#pragma once

#include <cstdint>
#include <functional>

#include "troupe/chaos/fault.hpp"

namespace troupe::chaos {

struct shrink_options {
  std::uint32_t max_runs = 200; ///< of the predicate
};

struct shrink_result {
  schedule faults;        ///< still fails
  std::uint32_t runs = 0; ///< of the predicate
  /// Without any one of `faults` it did not fail any more, before they were made simpler. False
  /// only when max_runs came first.
  bool minimal = false;
};

/// Makes a failing schedule smaller while it still fails: whole faults are left out (delta
/// debugging: A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
/// IEEE Transactions on Software Engineering 28(2), 2002, algorithm ddmin); then each one that is
/// left is made simpler: shorter, with fewer bad properties of its links, connections that do not
/// break.
///
/// SHRINK-1  The result fails, if `failing` does: `still_fails(result.faults)` was true. The
///           predicate is never asked about `failing` itself, nor twice about the same schedule.
/// SHRINK-2  The faults of the result are faults of `failing`, in their order, except that some are
///           simpler. None begins at another time.
/// SHRINK-3  The same arguments and answers give the same result.
shrink_result shrink(const schedule& failing,
                     const std::function<bool(const schedule&)>& still_fails,
                     const shrink_options& options = {});

} // namespace troupe::chaos
