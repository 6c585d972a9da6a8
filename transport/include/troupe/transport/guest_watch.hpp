#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace troupe::transport {

/// Watches the accepted connections whose other end has not said yet who it is: strangers, scanners,
/// and peers for a moment.
///
/// GUEST-1  A guest that is not a peer after `patience` is shut down.
/// GUEST-2  At most `most` guests are there at once. One more, and the eldest is shut down: to refuse
///          the newcomer would lock peers out.
/// GUEST-3  A connection that would leave fewer than `descriptors_kept` descriptors of the process is
///          shut down at once, so that accepting never fails for want of a descriptor.
/// GUEST-4  The user is told of connections that were shut down, in one line for all within
///          `tell_every`.
///
/// The owner of the socket closes it; this class only shuts it down, which the owner sees as the end
/// of the connection. Thread-safe.
class guest_watch {
 public:
  using clock = std::chrono::steady_clock;
  struct options {
    std::chrono::milliseconds patience{10'000};
    std::size_t most = 64;
    std::size_t descriptors_kept = 8;
    std::chrono::milliseconds tell_every{10'000};
    std::function<void(const std::string&)> tell; ///< from any thread; may be empty
  };
  using ticket = std::uint64_t; ///< 0: none

  guest_watch() : guest_watch(options{}) {}
  explicit guest_watch(options o);
  ~guest_watch();
  guest_watch(const guest_watch&) = delete;
  guest_watch& operator=(const guest_watch&) = delete;

  /// From now on `tell` is told.
  void tell_to(std::function<void(const std::string&)> tell);

  /// A connection was accepted.
  ticket arrived(int socket);
  /// The guest is a peer, or its socket is about to be closed.
  void left(ticket t);
  /// The guest sent bytes that no peer sends: shuts it down.
  void refuse(int socket, const std::string& why);
  std::size_t guests() const;

 private:
  struct guest {
    int socket;
    clock::time_point until;
  };
  void watch(const std::stop_token& stop);
  void shut_down(int socket, const std::string& why); // with the lock held

  options options_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<ticket, guest> guests_; // the eldest first
  ticket last_ = 0;
  std::size_t untold_ = 0;
  std::string first_untold_;
  clock::time_point told_at_;
  std::jthread thread_; // last: it uses the members above
};

} // namespace troupe::transport
