#include "troupe/chaos/packet_switch.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace troupe::chaos {

namespace {

constexpr std::uint32_t subnet = 10u << 24 | 77u << 16; // 10.77.0.0/24
constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t flag_syn = 0x02, flag_rst = 0x04, flag_ack = 0x10;
constexpr std::size_t ip_header = 20, tcp_header = 20;
// What a reordered packet comes later by, where the link itself is not slow.
constexpr auto reordered_by = std::chrono::milliseconds(2);

using bytes = std::span<const std::byte>;

std::uint8_t u8(bytes b, std::size_t at) { return std::to_integer<std::uint8_t>(b[at]); }
std::uint16_t u16(bytes b, std::size_t at) {
  return static_cast<std::uint16_t>(u8(b, at) << 8 | u8(b, at + 1));
}
std::uint32_t u32(bytes b, std::size_t at) {
  return static_cast<std::uint32_t>(u16(b, at)) << 16 | u16(b, at + 2);
}
void put16(std::span<std::byte> b, std::size_t at, std::uint32_t value) {
  b[at] = static_cast<std::byte>(value >> 8);
  b[at + 1] = static_cast<std::byte>(value);
}
void put32(std::span<std::byte> b, std::size_t at, std::uint32_t value) {
  put16(b, at, value >> 16);
  put16(b, at + 2, value & 0xffff);
}

// RFC 1071, over an even number of bytes.
std::uint16_t checksum(bytes b, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < b.size(); i += 2) sum += u16(b, i);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

} // namespace

struct packet_switch::segment {
  std::uint32_t from, to;
  std::uint16_t from_port, to_port;
  std::uint32_t acknowledges;
  std::uint8_t flags;

  bool opens() const { return (flags & flag_syn) != 0 && (flags & flag_ack) == 0; }
  connection of() const {
    return from < to ? connection{from, to, from_port, to_port}
                     : connection{to, from, to_port, from_port};
  }
};

std::string packet_switch::address_of(std::uint32_t host) {
  return "10.77.0." + std::to_string(host + 1);
}

packet_switch::packet_switch(std::uint32_t hosts, std::uint64_t seed)
    : hosts_(hosts), random_(seed), links_(std::size_t{hosts} * hosts) {
  if (hosts > hosts_max)
    throw std::invalid_argument("[troupe::chaos::packet_switch] expected at most " +
                                std::to_string(hosts_max) + " hosts, found " +
                                std::to_string(hosts));
}

std::vector<packet_switch::delivery> packet_switch::pass(std::uint32_t from, bytes packet,
                                                         time_point now) {
  if (packet.size() < ip_header || u8(packet, 0) >> 4 != 4) return {};
  const auto to = u32(packet, 16) - subnet - 1;
  if (to >= hosts_ || to == from) return {};
  auto& l = at(from, to);
  if (l.cuts > 0) return {};
  const auto head = std::size_t{u8(packet, 0) & 0xfu} * 4;
  if (u8(packet, 9) == tcp && packet.size() >= head + tcp_header) {
    const segment s{from,
                    to,
                    u16(packet, head),
                    u16(packet, head + 2),
                    u32(packet, head + 8),
                    u8(packet, head + 13)};
    if (s.opens()) broken_.erase(s.of());
    if (broken_.contains(s.of())) {
      auto reset = reset_for(s, now);
      return reset ? std::vector{std::move(*reset)} : std::vector<delivery>{};
    }
    if ((s.flags & flag_rst) == 0)
      seen_.insert(s.of());
    else
      seen_.erase(s.of());
  }
  const auto& p = l.properties;
  const auto befalls = [this](double probability) {
    return probability > 0 && random_.uniform() < probability;
  };
  if (befalls(p.drop)) return {};
  std::vector<delivery> result;
  const auto copies = befalls(p.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i)
    result.push_back({to, arrival(l, packet.size(), now), {packet.begin(), packet.end()}});
  return result;
}

packet_switch::time_point packet_switch::arrival(link& l, std::size_t size, time_point now) {
  const auto& p = l.properties;
  auto leaves = now;
  if (p.bytes_per_second > 0) {
    const std::chrono::duration<double> takes(static_cast<double>(size) / p.bytes_per_second);
    l.busy_until = std::max(now, l.busy_until) + std::chrono::duration_cast<sim_time>(takes);
    leaves = l.busy_until;
  }
  auto arrives = leaves + p.latency;
  if (p.jitter.count() > 0)
    arrives += sim_time(random_.below(static_cast<std::uint64_t>(p.jitter.count()) + 1));
  if (p.reorder > 0 && random_.uniform() < p.reorder)
    return std::max(arrives, l.last_arrival) + reordered_by;
  l.last_arrival = std::max(arrives, l.last_arrival);
  return l.last_arrival;
}

// As the peer would answer that does not know of the connection (RFC 9293, 3.10.7.1).
std::optional<packet_switch::delivery> packet_switch::reset_for(const segment& s,
                                                                time_point now) const {
  if ((s.flags & flag_rst) != 0 || (s.flags & flag_ack) == 0) return std::nullopt;
  std::vector<std::byte> out(ip_header + tcp_header);
  put16(out, 0, 0x4500);
  put16(out, 2, static_cast<std::uint32_t>(out.size()));
  put16(out, 8, 64u << 8 | tcp); // time to live
  put32(out, 12, subnet + s.to + 1);
  put32(out, 16, subnet + s.from + 1);
  put16(out, 10, checksum(bytes(out).first(ip_header)));
  const std::span<std::byte> segment_out(out.data() + ip_header, tcp_header);
  put16(segment_out, 0, s.to_port);
  put16(segment_out, 2, s.from_port);
  put32(segment_out, 4, s.acknowledges);
  put16(segment_out, 12, 5u << 12 | flag_rst);
  const std::uint32_t pseudo_header =
      u16(out, 12) + u16(out, 14) + u16(out, 16) + u16(out, 18) + tcp + tcp_header;
  put16(segment_out, 16, checksum(segment_out, pseudo_header));
  return delivery{s.from, now, std::move(out)};
}

void packet_switch::set_link(std::uint32_t from, std::uint32_t to,
                             const link_properties& properties) {
  at(from, to).properties = properties;
}

void packet_switch::cut(std::uint32_t from, std::uint32_t to) { ++at(from, to).cuts; }

void packet_switch::heal(std::uint32_t from, std::uint32_t to) {
  auto& cuts = at(from, to).cuts;
  cuts -= std::min(cuts, 1u);
}

void packet_switch::break_connections(std::uint32_t a, std::uint32_t b) {
  const auto [low, high] = std::minmax(a, b);
  std::erase_if(seen_, [&](const connection& c) {
    if (c.host_a != low || c.host_b != high) return false;
    broken_.insert(c);
    return true;
  });
}

} // namespace troupe::chaos
