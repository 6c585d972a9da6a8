#include "troupe/chaos/private_network.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <mutex>
#include <queue>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace troupe::chaos {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t largest_packet = 65535;
constexpr int packet_size = 16384; // fewer of them pass through here than with Ethernet's 1500
constexpr std::size_t packets_on_their_way = 1 << 16; // more are lost, as in any full router

class not_possible : public std::runtime_error {
 public:
  explicit not_possible(const std::string& what)
      : std::runtime_error(what + ": " + std::strerror(errno)) {}
};

class descriptor {
 public:
  explicit descriptor(int fd, const char* what) : fd_(fd) {
    if (fd < 0) throw not_possible(what);
  }
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

void write_file(const char* path, const std::string& text) {
  std::ofstream out(path);
  out << text << std::flush;
  if (!out) throw not_possible(path);
}

// A user without the right to it here has it in a user namespace, where there may be one.
void enter_new_namespace() {
  if (::unshare(CLONE_NEWNET) == 0) return;
  if (errno != EPERM) throw not_possible("a network namespace");
  const auto user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
    throw not_possible("network namespaces may not be made");
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", user + " " + user + " 1");
  write_file("/proc/self/gid_map", group + " " + group + " 1");
}

ifreq request_for(const char* name) {
  ifreq r{};
  std::strncpy(r.ifr_name, name, IFNAMSIZ - 1);
  return r;
}

void control(int fd, unsigned long what, ifreq& r, const char* text) {
  if (::ioctl(fd, what, &r) != 0) throw not_possible(text);
}

void switch_on(int socket, const char* name) {
  auto r = request_for(name);
  control(socket, SIOCGIFFLAGS, r, name);
  r.ifr_flags = static_cast<short>(r.ifr_flags | IFF_UP | IFF_RUNNING);
  control(socket, SIOCSIFFLAGS, r, name);
}

void set_address(int socket, unsigned long what, const char* name, const std::string& address) {
  auto r = request_for(name);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  std::memcpy(&r.ifr_addr, &to, sizeof to);
  control(socket, what, r, name);
}

struct host {
  descriptor space;
  descriptor device;
};

// In a new namespace, in which this process stays.
host make_host(std::uint32_t number) {
  constexpr const char* name = "troupe0";
  enter_new_namespace();
  descriptor space(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "/proc/self/ns/net");
  descriptor device(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), "/dev/net/tun");
  auto tun = request_for(name);
  tun.ifr_flags = IFF_TUN | IFF_NO_PI;
  control(device.get(), TUNSETIFF, tun, "/dev/net/tun");
  descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "a socket");
  set_address(socket.get(), SIOCSIFADDR, name, packet_switch::address_of(number));
  set_address(socket.get(), SIOCSIFNETMASK, name, "255.255.255.0");
  auto size = request_for(name);
  size.ifr_mtu = packet_size;
  control(socket.get(), SIOCSIFMTU, size, name);
  switch_on(socket.get(), name);
  switch_on(socket.get(), "lo");
  return {std::move(space), std::move(device)};
}

// Halfway, this process may have got a network in which not even that works.
void keep_loopback() {
  try {
    switch_on(descriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "a socket").get(), "lo");
  } catch (const not_possible&) { // it is the one of before, where it is on
  }
}

} // namespace

class private_network::carrier {
 public:
  carrier(std::vector<host> hosts, std::uint64_t seed)
      : hosts_(std::move(hosts)), switch_(static_cast<std::uint32_t>(hosts_.size()), seed),
        ended_(::eventfd(0, EFD_CLOEXEC), "an eventfd") {
    sigset_t all, before; // signals are for other threads
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    thread_ = std::thread([this] { carry(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~carrier() {
    ::eventfd_write(ended_.get(), 1);
    thread_.join();
  }

  int namespace_of(std::uint32_t host) const { return hosts_.at(host).space.get(); }
  void change(const std::function<void(packet_switch&)>& what) {
    const std::lock_guard lock(mutex_);
    what(switch_);
  }

 private:
  struct waiting {
    packet_switch::delivery what;
    std::uint64_t number; // what is due at the same time goes in order
    bool operator>(const waiting& other) const {
      return std::pair(what.at, number) > std::pair(other.what.at, other.number);
    }
  };

  void carry() {
    std::vector<pollfd> ready = {{ended_.get(), POLLIN, 0}};
    for (const auto& h : hosts_) ready.push_back({h.device.get(), POLLIN, 0});
    while (true) {
      timespec pause{};
      const auto* limit = until_next(pause);
      ::ppoll(ready.data(), ready.size(), limit, nullptr);
      if (ready[0].revents != 0) return;
      for (std::uint32_t i = 0; i < hosts_.size(); ++i)
        if (ready[i + 1].revents != 0) take_from(i);
      deliver();
    }
  }

  const timespec* until_next(timespec& pause) const {
    if (queue_.empty()) return nullptr;
    const auto left = std::max(clock::duration::zero(), queue_.top().what.at - clock::now());
    const auto ns = std::chrono::nanoseconds(left).count();
    pause.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    pause.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    return &pause;
  }

  void take_from(std::uint32_t from) {
    constexpr int at_once = 64; // then the others have a turn
    for (int i = 0; i < at_once; ++i) {
      const auto n = ::read(hosts_[from].device.get(), buffer_.data(), buffer_.size());
      if (n <= 0) return;
      const std::lock_guard lock(mutex_);
      for (auto& d :
           switch_.pass(from, {buffer_.data(), static_cast<std::size_t>(n)}, clock::now()))
        if (queue_.size() < packets_on_their_way) queue_.push({std::move(d), next_number_++});
    }
  }

  void deliver() {
    const auto now = clock::now();
    while (!queue_.empty() && queue_.top().what.at <= now) {
      const auto& d = queue_.top().what;
      // A device that takes no more loses it, as any other would.
      [[maybe_unused]] const auto n =
          ::write(hosts_[d.to].device.get(), d.packet.data(), d.packet.size());
      queue_.pop();
    }
  }

  const std::vector<host> hosts_;
  std::mutex mutex_;
  packet_switch switch_;
  descriptor ended_;
  std::array<std::byte, largest_packet> buffer_;
  std::priority_queue<waiting, std::vector<waiting>, std::greater<>> queue_;
  std::uint64_t next_number_ = 0;
  std::thread thread_;
};

std::variant<std::unique_ptr<private_network>, std::string>
private_network::make(std::uint32_t hosts, std::uint64_t seed) {
  try {
    descriptor(::open("/dev/net/tun", O_RDWR | O_CLOEXEC),
               "/dev/net/tun"); // before anything changes
    std::vector<host> all;
    for (std::uint32_t i = 0; i < hosts; ++i) all.push_back(make_host(i));
    return std::unique_ptr<private_network>(
        new private_network(std::make_unique<carrier>(std::move(all), seed)));
  } catch (const not_possible& e) {
    keep_loopback();
    return std::string(e.what());
  }
}

private_network::private_network(std::unique_ptr<carrier> c) : carrier_(std::move(c)) {}
private_network::~private_network() = default;

int private_network::namespace_of(std::uint32_t host) const { return carrier_->namespace_of(host); }

void private_network::change(const std::function<void(packet_switch&)>& what) {
  carrier_->change(what);
}

} // namespace troupe::chaos
