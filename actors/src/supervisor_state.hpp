#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "troupe/supervisor.hpp"

namespace troupe {

/// Internal: starts the children that are waiting in a round.
struct start_round {
  std::uint64_t round;
};
/// Internal: a child that was told to end has had its time.
struct stop_overdue {
  std::uint64_t stop;
};
using supervisor_impl_actor =
    supervisor_actor::extend<caf::reacts_to<start_round>, caf::reacts_to<stop_overdue>>;

/// What a supervisor keeps: supervisor.hpp has what it promises.
struct supervisor_state {
  using self_pointer = supervisor_impl_actor::stateful_pointer<supervisor_state>;
  explicit supervisor_state(self_pointer self) : self(self) {}

  void start(supervisor_options o);
  caf::result<child_started> on_start_child(const start_child& s);
  caf::result<child_stopped> on_stop_child(const stop_child& s);
  children_report on_which_children() const;
  void on_start_round(const start_round& r);
  void on_stop_overdue(const stop_overdue& s);
  void on_down(const caf::down_msg& d);
  void on_exit(const caf::exit_msg& e);

  static inline const char* name = "troupe.supervisor";

  self_pointer self;

 private:
  enum class phase : std::uint8_t {
    waiting, ///< for its start round
    up,
    stopping, ///< told to end
    ended,    ///< normally; stays known
  };
  struct child {
    std::uint64_t key; // unlike an id, never used again
    child_spec spec;
    scheduler::restart_backoff backoff;
    phase at = phase::waiting;
    std::uint64_t round = 0; // the start round it waits for
    std::uint64_t starts = 0;
    bool killed = false;
    std::string last_reason;
    caf::strong_actor_ptr actor;
    std::vector<caf::typed_response_promise<child_stopped>> leaving; // not empty: for good
  };
  struct delayed_round {
    std::uint64_t round;
    caf::timespan delay;
  };
  const char* refusal(const child_spec& spec) const;
  child& add(child_spec spec);
  child* find(std::uint64_t key);
  bool try_start(child& c, std::string& reason);
  void failed(std::uint64_t key, const std::string& cause, const std::string& reason, bool normal);
  void forget(std::uint64_t key);
  void queue_stop(const child& c);
  void next_stop();
  void stopped(std::uint64_t key);
  void end(caf::error reason);
  void tell(supervisor_event::kind what, const std::string& child, const std::string& reason) const;

  supervisor_options options_;
  std::optional<scheduler::restart_intensity> intensity_;
  std::deque<std::string> causes_; // of the failures that count, oldest first
  std::vector<child> children_;    // in start order
  std::uint64_t next_key_ = 1;
  std::uint64_t rounds_ = 0;
  bool begun_ = false;              // the first round
  std::deque<std::uint64_t> stops_; // keys; the first is being stopped
  std::uint64_t stop_ = 0;          // counts stops, to tell overdue messages apart
  std::vector<delayed_round> after_stops_;
  bool stopping_ = false; // the first of stops_ has been told
  std::optional<caf::error> ending_;
  // Shared with what runs when the supervisor ends, which comes after this state is gone.
  std::shared_ptr<std::vector<caf::strong_actor_ptr>> alive_;
};

supervisor_impl_actor::behavior_type supervisor(supervisor_state::self_pointer self,
                                                supervisor_options options);

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::start_round)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::stop_overdue)
