#include "troupe/transport/guest_watch.hpp"

#include <algorithm>
#include <utility>

#include <csignal>
#include <sys/resource.h>
#include <sys/socket.h>

#include "troupe/transport/tcp_socket.hpp"

namespace troupe::transport {

namespace {

std::size_t descriptors_allowed() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return static_cast<std::size_t>(limit.rlim_cur);
}

std::string address_of(int socket) {
  tcp_socket borrowed{socket};
  auto address = peer_of(borrowed);
  borrowed.release();
  return address;
}

} // namespace

guest_watch::guest_watch(options o)
    : options_(std::move(o)), told_at_(clock::now() - options_.tell_every) {
  // The signals of the process are for its other threads.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

guest_watch::~guest_watch() {
  thread_.request_stop();
  thread_.join();
}

void guest_watch::tell_to(std::function<void(const std::string&)> tell) {
  const std::lock_guard lock(mutex_);
  options_.tell = std::move(tell);
}

guest_watch::ticket guest_watch::arrived(int socket) {
  const std::lock_guard lock(mutex_);
  // The kernel gives the lowest free number.
  if (static_cast<std::size_t>(socket) + options_.descriptors_kept >= descriptors_allowed()) {
    shut_down(socket, "this process has no descriptors left for it (ulimit -n)");
    return 0;
  }
  if (guests_.size() >= options_.most) {
    shut_down(guests_.begin()->second.socket, "too many connections wait to say who they are");
    guests_.erase(guests_.begin());
  }
  guests_[++last_] = {socket, clock::now() + options_.patience};
  changed_.notify_all();
  return last_;
}

void guest_watch::left(ticket t) {
  const std::lock_guard lock(mutex_);
  guests_.erase(t);
}

void guest_watch::refuse(int socket, const std::string& why) {
  const std::lock_guard lock(mutex_);
  std::erase_if(guests_, [&](const auto& g) { return g.second.socket == socket; });
  shut_down(socket, why);
  changed_.notify_all();
}

std::size_t guest_watch::guests() const {
  const std::lock_guard lock(mutex_);
  return guests_.size();
}

void guest_watch::shut_down(int socket, const std::string& why) {
  if (untold_++ == 0) first_untold_ = address_of(socket) + ": " + why;
  ::shutdown(socket, SHUT_RDWR);
}

void guest_watch::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto now = clock::now();
    while (!guests_.empty() && guests_.begin()->second.until <= now) {
      shut_down(guests_.begin()->second.socket, "it did not say who it is");
      guests_.erase(guests_.begin());
    }
    if (untold_ > 0 && now >= told_at_ + options_.tell_every) {
      const auto tell = options_.tell;
      auto line = "closed a connection of a stranger from " + std::exchange(first_untold_, {});
      if (untold_ > 1) line += "; and " + std::to_string(untold_ - 1) + " more";
      untold_ = 0;
      told_at_ = now;
      lock.unlock();
      if (tell) tell(line);
      lock.lock();
      continue;
    }
    auto until = clock::time_point::max();
    if (!guests_.empty()) until = guests_.begin()->second.until;
    if (untold_ > 0) until = std::min(until, told_at_ + options_.tell_every);
    const auto seen = last_;
    const auto untold = untold_;
    const auto woken = [&] { return last_ != seen || untold_ != untold; };
    if (until == clock::time_point::max())
      changed_.wait(lock, stop, woken);
    else
      changed_.wait_until(lock, stop, until, woken);
  }
}

} // namespace troupe::transport
