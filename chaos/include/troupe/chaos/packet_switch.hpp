#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "troupe/chaos/fault.hpp"
#include "troupe/random.hpp"

namespace troupe::chaos {

/// Decides what becomes of the IPv4 packets that hosts of a private network send each other. Host i
/// has the address 10.77.0.(i + 1). Moves nothing and reads no clock: private_network does.
///
/// SWITCH-1  Packets from one host to another arrive in the order in which they were sent, but for
///           those that `reorder` befalls, each after the latency and jitter of its link and, where
///           the link has a rate, after all before it.
/// SWITCH-2  While a link is cut, every packet on it is lost. Cuts are counted: a link that was cut
///           twice carries again when it was healed twice.
/// SWITCH-3  A TCP connection that was broken is refused: whoever sends on it is answered with a
///           reset. A new connection between the same ports is another one.
///
/// One thread at a time.
class packet_switch {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  static constexpr std::uint32_t hosts_max = 250;
  /// "10.77.0.3" of host 2.
  static std::string address_of(std::uint32_t host);

  packet_switch(std::uint32_t hosts, std::uint64_t seed);

  struct delivery {
    std::uint32_t to = 0;
    time_point at;
    std::vector<std::byte> packet;
  };
  /// What a packet that `from` sent now leads to: nothing, itself once or twice, or a reset. One
  /// that is no IPv4 packet to another host of the network is lost.
  std::vector<delivery> pass(std::uint32_t from, std::span<const std::byte> packet, time_point now);

  /// drop, duplicate and reorder befall packets; TCP sends again what is lost.
  void set_link(std::uint32_t from, std::uint32_t to, const link_properties& properties);
  void cut(std::uint32_t from, std::uint32_t to);
  void heal(std::uint32_t from, std::uint32_t to);
  /// All TCP connections between them.
  void break_connections(std::uint32_t a, std::uint32_t b);

 private:
  struct link {
    link_properties properties;
    std::uint32_t cuts = 0;
    time_point last_arrival{};
    time_point busy_until{}; // of a link with a rate
  };
  /// Of a TCP connection: host and port of either side, the lower host first.
  struct connection {
    std::uint32_t host_a, host_b;
    std::uint16_t port_a, port_b;
    friend auto operator<=>(const connection&, const connection&) = default;
  };
  struct segment; // what matters of a TCP packet

  link& at(std::uint32_t from, std::uint32_t to) { return links_[from * hosts_ + to]; }
  std::optional<delivery> reset_for(const segment& s, time_point now) const;
  time_point arrival(link& l, std::size_t bytes, time_point now);

  const std::uint32_t hosts_;
  tensor::generator random_;
  std::vector<link> links_;
  std::set<connection> seen_;
  std::set<connection> broken_;
};

} // namespace troupe::chaos
