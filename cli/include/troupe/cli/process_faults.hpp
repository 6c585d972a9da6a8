#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "troupe/chaos/bad_links.hpp"
#include "troupe/chaos/private_network.hpp"
#include "troupe/chaos/targets.hpp"
#include "troupe/chaos/verdict.hpp"
#include "troupe/cli/disturbance.hpp"

namespace troupe::cli {

/// Does the faults of a schedule to real processes. A millisecond of the schedule is one of real
/// time, from the beginning of training on.
///
///     kill       SIGKILL; the launcher starts the process again when the fault says (KEPT-3)
///     pause      SIGSTOP, and SIGCONT when it is over
///     partition  the network drops every packet between the process and the others
///     drain      the scheduler is asked to let the node go, as `troupe drain` asks; the launcher
///                starts it again so long after it went
///     link       the network delays packets, and loses, repeats and reorders some
///
/// The other kinds are faults of disks and clocks that only the simulator has. They, and faults of
/// the network where there is none, are counted and not done (FAULTS-3).
///
/// FAULTS-1  A fault begins at its time, or as soon after as this process is run. Who it is done to
///           is decided then, by who lives and what was last seen of the chains.
/// FAULTS-2  Of faults that overlap, the end of one does not end another.
/// FAULTS-3  Every fault whose time came and that had a target is in done() or in not_run().
/// FAULTS-4  A run that goes on at `finish_by` is given up.
class process_faults : public disturbance {
 public:
  struct options {
    chaos::schedule faults;
    chaos::sim_time finish_by{};
    std::vector<std::uint32_t> workers; ///< that each node offers
    /// What was last seen of the chains, by numbers of processes.
    std::function<std::vector<std::vector<std::uint32_t>>()> chains;
    /// Asks the scheduler to let this process go; returns at once.
    std::function<void(std::uint32_t)> drain;
    chaos::private_network* network = nullptr; ///< host i of it is process i; may be null
    std::string no_network;                    ///< why not, where it is null
  };

  explicit process_faults(options o);

  void begin(time_point now) override;
  std::optional<time_point> due() const override;
  std::optional<std::string> act(time_point now, std::span<kept_process* const> processes) override;

  /// When training began; none: it did not.
  std::optional<time_point> begun() const noexcept { return begun_; }
  bool gave_up() const noexcept { return gave_up_; }
  const std::vector<chaos::done_fault>& done() const noexcept { return done_; }
  /// See chaos::outcome.
  const std::map<std::string, std::uint64_t>& not_run() const noexcept { return not_run_; }

 private:
  using processes = std::span<kept_process* const>;
  using numbers = std::vector<std::uint32_t>;

  chaos::standing look(processes all) const;
  std::string hindrance(const chaos::fault& f) const;
  void apply(const chaos::fault& f, time_point now, processes all);
  void kill(const chaos::fault& f, const numbers& who, processes all);
  void pause(const chaos::fault& f, const numbers& who, time_point now, processes all);
  void cut(const chaos::fault& f, const numbers& who, time_point now, processes all);
  void spoil_links(const chaos::fault& f, const numbers& who, time_point now, processes all);
  void set_links(std::size_t count);

  options options_;
  std::optional<time_point> begun_;
  std::multimap<time_point, std::function<void(time_point, processes)>> agenda_;
  std::map<std::uint32_t, pid_t> killed_; // whose end may not have been seen yet
  std::map<std::uint32_t, time_point> paused_until_;
  chaos::bad_links bad_links_;
  std::vector<chaos::done_fault> done_;
  std::map<std::string, std::uint64_t> not_run_;
  bool gave_up_ = false;
};

} // namespace troupe::cli
