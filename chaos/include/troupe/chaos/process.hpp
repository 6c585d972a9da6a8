#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <caf/all.hpp>

#include "troupe/tensor/random.hpp"

namespace troupe::chaos {

class network;
class simulation;

/// One simulated process: a `caf::actor_system` of its own on virtual time. It belongs to its
/// `simulation` and lives as long as that; what is killed and restarted is the system within.
class process {
 public:
  ~process();
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  const std::string& name() const noexcept { return name_; }
  std::uint32_t number() const noexcept { return number_; } ///< counted from 0 in order of adding
  /// How often it was started; 1 is the first time.
  std::uint32_t incarnation() const noexcept { return incarnation_; }
  bool alive() const noexcept { return running_ != nullptr && !ending_; }
  bool paused() const noexcept { return paused_; }

  /// Where its actors are spawned. Throws std::logic_error unless it is alive. Actors must not be
  /// detached or blocking: these have threads of their own.
  caf::actor_system& system() const;

  /// Chance for its program, derived from the seed: other draws leave it alone.
  tensor::generator& random() noexcept { return random_; }

 private:
  friend class network;
  friend class simulation;
  struct running_system;

  process(std::string name, std::uint32_t number, std::uint64_t seed);

  std::string name_;
  std::uint32_t number_;
  std::uint64_t seed_;
  std::uint32_t incarnation_ = 0;
  bool paused_ = false;
  bool ending_ = false; // killed; its system goes when none of its actors is running
  tensor::generator random_;
  std::unique_ptr<running_system> running_;
};

} // namespace troupe::chaos
