#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "troupe/actors/messages.hpp"
#include "troupe/actors/shard_core.hpp"

namespace troupe::actors {

/// Sees what a shard does, in order, from the shard's thread. For checkers and tests.
class shard_observer {
 public:
  virtual ~shard_observer() = default;
  /// A push was taken in; `fresh`: applied (or kept for its step), else dropped as a duplicate.
  virtual void on_push(shard_id, worker_id, clock_value, batch_id, bool fresh) = 0;
  /// A pull was served. `oldest`: the smallest applied clock of the live workers at that moment.
  virtual void on_read(shard_id, worker_id, clock_value, std::optional<clock_value> oldest) = 0;
};

struct shard_options {
  shard_id id;
  std::function<void(std::string)> on_failure; ///< told of what the shard cannot work around
  std::shared_ptr<shard_observer> observer;    ///< may be null
};

/// Holds one contiguous range of the parameters.
///
///     message            answer
///     push, part         pushed, once the whole gradient is in the shard's state (SHARD-1)
///     applied_in_place   pushed (hogwild, same process)
///     pull               parameters and its parts, once the mode admits the read (SHARD-5)
///     pull_snapshot      the same, once the epoch is complete
///     credit             lets further parts go (TRANSFER-2)
///     enter_clock        clock_entered
///     leave_clock        -; unfinished transfers of the worker are dropped
///     report_request     shard_report
///
/// When it dies, its range, optimizer state and applied set are lost.
struct shard_state {
  using self_pointer = shard_actor::stateful_pointer<shard_state>;
  explicit shard_state(self_pointer self) : self(self) {}

  void on_part(const part& p);
  void on_push(const push& p);
  void on_applied_in_place(const applied_in_place& p);
  void on_pull(const pull& p);
  void on_pull_snapshot(const pull_snapshot& p);
  void on_credit(const credit& c);
  void on_leave(const leave_clock& l);
  shard_report report() const;

  static inline const char* name = "troupe.shard";

  self_pointer self;
  shard_options options;
  std::shared_ptr<shard_core> core;

 private:
  struct arriving {
    std::optional<push> header;
    inbound_transfer bytes;
  };
  struct waiting_pull {
    pull request;
    caf::actor_clock::time_point since;
  };
  struct peer {
    puller_actor handle;      ///< null until its first message that names it
    std::vector<credit> owed; ///< kept until then; the peer's window bounds it
    outbound_queue out;
    transfer_id sending = 0; ///< the last transfer begun
    std::map<transfer_id, arriving> inbound;
    std::optional<waiting_pull> waiting;
  };

  peer& introduce(peer_number number, const puller_actor& handle);
  void flush(peer& p);
  void accept_if_whole(peer& p, transfer_id id);
  void serve_waiting();
  void send_range(peer& to, transfer_id id, clock_value own, const snapshot& range);
  void after_change();

  std::map<peer_number, peer> peers_;
  std::vector<pull_snapshot> waiting_snapshots_;
  std::uint64_t pushes_taken_ = 0;
  caf::timespan blocked_{0};
  scheduler::staleness_histogram staleness_;
};

shard_actor::behavior_type shard(shard_state::self_pointer self, shard_options options,
                                 std::shared_ptr<shard_core> core);

} // namespace troupe::actors
