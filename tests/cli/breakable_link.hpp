#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace troupe::cli_test {

/// Stands between two processes and passes bytes on, until the test breaks the connections like a
/// network that fails for a moment. Both processes live on and see a closed connection. A new
/// connection gets through.
class breakable_link {
 public:
  /// Listens at `host`, an address of this machine, at a port that is free there and at 127.0.0.1.
  explicit breakable_link(const std::string& host);
  ~breakable_link();
  breakable_link(const breakable_link&) = delete;
  breakable_link& operator=(const breakable_link&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  /// New connections lead to this port of 127.0.0.1.
  void lead_to(std::uint16_t port);
  /// Closes all open connections and returns their number.
  std::size_t break_all();

 private:
  struct connection {
    int from = -1;
    int to = -1;
    std::thread there;
    std::thread back;
  };
  void accept_all();

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::uint16_t target_ = 0;
  std::list<connection> open_;
  std::list<connection> broken_; // their threads may still run
  std::thread acceptor_;
};

} // namespace troupe::cli_test
