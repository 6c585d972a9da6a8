#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace troupe::cli_test {

/// Stands between two processes: passes on what is sent to its port on to another port of this
/// host, until the connections are broken, as by a network that fails and comes back. Both ends
/// live on and see a connection that closed; whoever connects again gets through.
class breakable_link {
 public:
  /// `host`: an address of this host. Listens at a free port of it.
  explicit breakable_link(const std::string& host);
  ~breakable_link();
  breakable_link(const breakable_link&) = delete;
  breakable_link& operator=(const breakable_link&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  /// To where connections lead from now on: a port of 127.0.0.1.
  void lead_to(std::uint16_t port);
  /// Closes all connections there are; how many that were.
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
