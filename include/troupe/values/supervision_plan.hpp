#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::scheduler {

/// When a child that ended is started again (OTP's names).
enum class restart_when : std::uint8_t {
  permanent, ///< always
  transient, ///< unless it ended normally
  temporary, ///< never; it is forgotten
};

/// The siblings that are restarted together with a child (OTP's names).
enum class supervision_strategy : std::uint8_t {
  one_for_one,  ///< none
  one_for_all,  ///< all
  rest_for_one, ///< the children started after it
};

/// The state of a child that a plan depends on.
struct supervised_child {
  restart_when restart = restart_when::permanent;
  bool up = true;       ///< has an actor
  bool leaving = false; ///< is being stopped and will not be started again
};

/// The actions after the end of a child. Positions are those in start order.
struct supervision_plan {
  bool failure = false;            ///< counts against the restart intensity
  std::vector<std::size_t> stop;   ///< first, in this order
  std::vector<std::size_t> forget; ///< then, in start order
  std::vector<std::size_t> start;  ///< then, in this order
  friend bool operator==(const supervision_plan&, const supervision_plan&) = default;
};

/// The plan after the child at position `ended` of `children` (in start order) ended by itself.
///
/// SIBLINGS-1  If the child is not to be started again, its siblings are not affected.
/// SIBLINGS-2  Children are stopped in reverse start order and started in start order.
/// SIBLINGS-3  A temporary child that is stopped with others is forgotten. A transient child that
///             had ended normally is started again with the others, as in OTP.
/// SIBLINGS-4  A child that is leaving is in no list.
///
/// Throws std::out_of_range if there is no child at `ended`.
supervision_plan plan_after_end(supervision_strategy strategy,
                                const std::vector<supervised_child>& children, std::size_t ended,
                                bool normal);

} // namespace troupe::scheduler
