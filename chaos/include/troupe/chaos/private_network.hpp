#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "troupe/chaos/packet_switch.hpp"

namespace troupe::chaos {

/// A network between processes of this host that can be cut and delayed: a network namespace for
/// each host of it, and a thread of this process that carries the packets of all of them as a
/// packet_switch says. Neither names nor files are left anywhere: the system takes everything back
/// when the processes have ended, however they did.
///
/// Needs the right to make network namespaces, which root has and on most systems everybody in a
/// user namespace of their own, and /dev/net/tun.
class private_network {
 public:
  /// The network; or, where it cannot be made, one line that says why (the loopback of the calling
  /// process can then be used all the same). The calling process, which
  /// must have one thread, becomes the last host, and stays that for as long as it lives: make one
  /// in a process of its own. At least one host.
  static std::variant<std::unique_ptr<private_network>, std::string> make(std::uint32_t hosts,
                                                                          std::uint64_t seed);
  ~private_network();
  private_network(const private_network&) = delete;
  private_network& operator=(const private_network&) = delete;

  /// A descriptor for setns(2), closed in children.
  int namespace_of(std::uint32_t host) const;
  /// Does that to the switch between two packets. From any thread.
  void change(const std::function<void(packet_switch&)>& what);

 private:
  class carrier;
  explicit private_network(std::unique_ptr<carrier> c);
  std::unique_ptr<carrier> carrier_;
};

} // namespace troupe::chaos
