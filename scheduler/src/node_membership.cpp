#include "troupe/scheduler/node_membership.hpp"

#include <utility>

#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

bool node_membership::welcomed(node_id id) { return std::exchange(id_, id) != id; }

auto node_membership::hello_failed(bool as_member, refusal why, time_point now) -> order {
  if (ended_ || alone()) return order::nothing; // the scheduler was lost meanwhile
  if (as_member && why == refusal::no_answer) return scheduler_lost(now);
  if (as_member && why == refusal::not_a_member) return declared_lost();
  return order::end;
}

auto node_membership::scheduler_lost(time_point now) -> order {
  if (ended_) return order::nothing;
  if (!options_.can_reconnect || !id_ || leaving_) return order::end;
  if (alone()) return order::nothing;
  reached(probe::scheduler_gone);
  alone_since_ = now;
  return order::look_for_scheduler;
}

auto node_membership::scheduler_out_of_reach(time_point now) -> order {
  if (!alone()) return order::nothing;
  return now - *alone_since_ >= options_.patience ? order::end : order::look_for_scheduler;
}

auto node_membership::declared_lost() -> order {
  if (ended_ || !id_) return order::nothing;
  reached(probe::was_declared_lost);
  id_.reset();
  return leaving_ ? order::end : order::join_again;
}

auto node_membership::end_asked() -> order {
  if (ended_ || std::exchange(leaving_, true)) return order::nothing;
  return id_ && !alone() ? order::ask_to_leave : order::end;
}

bool node_membership::end() noexcept { return !std::exchange(ended_, true); }

} // namespace troupe::scheduler
