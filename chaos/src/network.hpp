// What crosses between simulated processes, and when.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <typeindex>
#include <vector>

#include "world.hpp"

namespace troupe::chaos {

/// Frames between systems: messages, and what CAF tells of actors over a connection. One frame
/// leaves no trace of its own but its bytes, so whatever arrives was serialized.
class network {
 public:
  network(world& w, const simulation_options& options) : world_(w), options_(options) {}

  // -- from proxies -------------------------------------------------------------------------------
  void send(process& from, system_number to, caf::actor_id receiver, caf::mailbox_element& what);
  /// The death of that actor is to be told.
  void watch(process& from, system_number to, caf::actor_id actor);
  void link(process& from, system_number to, caf::actor_id actor, caf::abstract_actor& own,
            bool linked);

  // -- from the simulation ------------------------------------------------------------------------
  enum class outcome { open, refused, silent };
  outcome connect(process& from, system_number to);
  void ended(process& p, bool silently);
  /// The connections of its earlier systems that nobody saw closing are closed.
  void restarted(process& p);
  void resumed(process& p);
  link_properties& properties(std::uint32_t from, std::uint32_t to) {
    return path_of(from, to).properties;
  }
  partition_number cut(process& a, process& b, bool one_way);
  void heal(partition_number n);
  /// Nothing when that partition is over.
  void break_connection(partition_number n);

  std::optional<sim_time> next_due() const;
  void deliver_due();

 private:
  enum class kind : std::uint8_t { message, watch, down, link, unlink, closed };
  struct frame {
    kind what = kind::message;
    system_number from = 0;
    system_number to = 0;
    std::uint64_t connection = 0; // which one between the two
    std::uint64_t sequence = 0;   // of all frames
    caf::actor_id actor = 0;
    caf::actor_id other = 0;
    caf::weak_actor_ptr own; // link: the same, which its system may not know by its id yet
    std::uint64_t type = 0;  // hash of the message's name
    bool local = false;      // what `to` finds out by itself: no partition keeps it
    std::vector<char> bytes;
  };
  struct connection {
    bool open = false;
    std::uint64_t number = 0;
  };
  struct path { // from one process to another, whatever systems run in them
    link_properties properties;
    std::uint32_t cuts = 0;  // partitions that hold it back
    sim_time last_arrival{}; // of what keeps its order
    sim_time line_free{};    // when what is sent already has left, with limited bandwidth
    std::map<std::uint64_t, frame> held; // by sequence
  };
  struct message_type {
    std::string name;
    std::uint64_t hash = 0;
    bool datagram = false;
  };
  using event_key = std::pair<sim_time, std::uint64_t>;

  connection& between(system_number a, system_number b);
  path& path_of(std::uint32_t from, std::uint32_t to);
  process& owner(system_number n) const { return *world_.systems.at(n - 1).owner; }
  bool lives(system_number n) const;
  const message_type& type_of(process& from, const caf::message& m);
  void fail(const std::string& why);
  frame down_of(process& at, caf::actor_id actor, caf::error reason);
  void post(process& from, frame f, bool datagram);
  void schedule(path& p, frame f, bool datagram);
  void arrive(frame f);
  void deliver(process& to, frame& f);
  void deliver_message(process& to, frame& f);
  void deliver_watch(process& to, const frame& f);
  void close(process& at, system_number other);
  void mend(path& p);
  bool happens(double probability) {
    return probability > 0 && world_.random.uniform() < probability;
  }
  sim_time draw(sim_time below) {
    if (below.count() <= 0) return {};
    return sim_time(world_.random.below(static_cast<std::uint64_t>(below.count())));
  }

  world& world_;
  const simulation_options& options_;
  std::map<std::pair<system_number, system_number>, connection> connections_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, path> paths_;
  std::map<event_key, frame> in_flight_;
  std::map<std::uint32_t, std::vector<frame>> waiting_; // for paused processes
  // Looked up, never walked through: the order of type_index is nobody's business.
  std::map<std::pair<std::uint16_t, std::type_index>, message_type> types_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t next_connection_ = 0;
  struct cut_ends {
    process* a;
    process* b;
    bool one_way;
  };
  std::map<partition_number, cut_ends> partitions_;
  partition_number next_partition_ = 0;
};

} // namespace troupe::chaos
