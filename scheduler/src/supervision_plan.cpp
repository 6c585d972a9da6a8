#include "troupe/values/supervision_plan.hpp"

namespace troupe::scheduler {

supervision_plan plan_after_end(supervision_strategy strategy,
                                const std::vector<supervised_child>& children, std::size_t ended,
                                bool normal) {
  const auto kind = children.at(ended).restart;
  supervision_plan plan;
  if (kind == restart_when::temporary) plan.forget.push_back(ended);
  if (kind == restart_when::temporary || (kind == restart_when::transient && normal)) return plan;
  plan.failure = true;
  const std::size_t first = strategy == supervision_strategy::one_for_all ? 0 : ended;
  const std::size_t end =
      strategy == supervision_strategy::one_for_one ? ended + 1 : children.size();
  for (std::size_t i = first; i < end; ++i) {
    const auto& child = children[i];
    if (child.leaving) continue;
    if (child.up && i != ended) plan.stop.insert(plan.stop.begin(), i);
    (child.restart == restart_when::temporary ? plan.forget : plan.start).push_back(i);
  }
  return plan;
}

} // namespace troupe::scheduler
