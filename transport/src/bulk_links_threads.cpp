// The two threads of bulk_links that move bytes.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bulk_link.hpp"

namespace troupe::transport {

namespace {

constexpr int events_max = 64;
constexpr std::size_t turn_bytes = 4u << 20; // then other connections have their turn
constexpr std::size_t parts_per_write = 8;

} // namespace

// -- writing --------------------------------------------------------------------------------------

void bulk_links::write_all() {
  std::vector<link_ptr> busy; // that may be written to and have something to write
  epoll_event events[events_max];
  while (!stopping_) {
    const int n = ::epoll_wait(writes_.fd(), events, events_max, busy.empty() ? -1 : 0);
    bool work = false;
    for (int i = 0; i < n; ++i) {
      const auto number = events[i].data.u64;
      if (number == work_number) {
        eventfd_t times;
        ::eventfd_read(work_.fd(), &times);
        work = true;
      } else if (auto l = find(number)) {
        l->writable = true;
        busy.push_back(l);
      }
    }
    if (work) {
      std::lock_guard lock(mutex_);
      for (const auto& [number, l] : live_)
        if (l->writable && !l->waiting.empty()) busy.push_back(l);
    }
    std::ranges::sort(busy);
    busy.erase(std::ranges::unique(busy).begin(), busy.end());
    std::erase_if(busy, [this](const link_ptr& l) {
      if (!write_some(*l)) {
        end(l, {});
        return true;
      }
      if (!l->writable) return true; // the set will tell
      if (!l->writing.empty()) return false;
      // The news of what came while its turn lasted may have been taken already.
      std::lock_guard lock(mutex_);
      return l->waiting.empty();
    });
  }
}

// False: it broke. Afterwards it is not writable, or nothing is left, or its turn is over.
bool bulk_links::write_some(link& l) {
  for (std::size_t sent = 0; sent < turn_bytes;) {
    if (l.writing.empty()) {
      std::deque<bulk_part> parts;
      {
        std::lock_guard lock(mutex_);
        parts.swap(l.waiting);
      }
      for (auto& p : parts)
        l.writing.push_back(
            {encode(bulk_frame{p.data.size, p.receiver, p.transfer, p.from, p.offset, p.total}),
             std::move(p.data)});
    }
    if (l.writing.empty()) return true;
    iovec pieces[2 * parts_per_write];
    std::size_t count = 0;
    auto skipped = l.written;
    auto add = [&](const std::byte* at, std::size_t size) {
      const auto past = std::min(skipped, size);
      skipped -= past;
      if (size > past) pieces[count++] = {const_cast<std::byte*>(at) + past, size - past};
    };
    for (std::size_t i = 0; i < std::min(l.writing.size(), parts_per_write); ++i) {
      add(l.writing[i].head.data(), frame_bytes);
      add(l.writing[i].data.data, l.writing[i].data.size);
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    const auto n = ::sendmsg(l.socket.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      l.writable = false;
      return true;
    }
    if (n < 0) return false; // the peer is gone: no news to anybody
    sent += static_cast<std::size_t>(n);
    l.written += static_cast<std::size_t>(n);
    while (!l.writing.empty() && l.written >= frame_bytes + l.writing.front().data.size) {
      l.written -= frame_bytes + l.writing.front().data.size;
      l.writing.pop_front();
    }
  }
  return true;
}

// -- reading --------------------------------------------------------------------------------------

void bulk_links::read_all() {
  epoll_event events[events_max];
  while (!stopping_) {
    const int look_ms = guests_.empty() && !accepts_again_ ? -1 : 500;
    const int n = ::epoll_wait(reads_.fd(), events, events_max, look_ms);
    for (int i = 0; i < n; ++i) {
      const auto number = events[i].data.u64;
      if (number == listen_number) {
        accept_guests();
      } else if (guests_.contains(number)) {
        hear(number);
      } else if (auto l = find(number)) {
        std::string why;
        if (l->sends ? !is_silent(*l, why) : !read_some(*l, why)) end(l, why);
      }
    }
    if (accepts_again_ && clock::now() >= *accepts_again_) {
      listen_for(EPOLLIN);
      accepts_again_.reset();
    }
    std::erase_if(guests_, [](const auto& g) { return clock::now() >= g.second->until; });
  }
}

void bulk_links::listen_for(std::uint32_t events) {
  epoll_event e{};
  e.events = events;
  e.data.u64 = listen_number;
  ::epoll_ctl(reads_.fd(), EPOLL_CTL_MOD, listening_.fd(), &e);
}

// BULK-2
void bulk_links::accept_guests() {
  for (;;) {
    tcp_socket s{::accept4(listening_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!s.open() && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!s.open() &&
        errno != EAGAIN) { // no descriptor is left, and the guest would stay at the door
      listen_for(0);
      accepts_again_ = clock::now() + std::chrono::milliseconds(500);
    }
    if (!s.open()) return;
    if (guests_.size() >= options_.guests_max) continue; // closes it
    auto g = std::make_shared<guest>();
    g->until = clock::now() + options_.greeting_timeout;
    std::uint64_t number = 0;
    {
      std::lock_guard lock(mutex_);
      number = next_number_++;
    }
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.u64 = number;
    if (::epoll_ctl(reads_.fd(), EPOLL_CTL_ADD, s.fd(), &e) != 0) continue;
    g->socket = std::move(s);
    guests_.emplace(number, std::move(g));
  }
}

void bulk_links::hear(std::uint64_t number) {
  auto& g = *guests_.at(number);
  const auto n =
      ::recv(g.socket.fd(), g.greeting.data() + g.got, g.greeting.size() - g.got, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) g.got += static_cast<std::size_t>(n);
  if (n > 0 && g.got < g.greeting.size()) return;
  auto heard = std::move(guests_.extract(number).mapped());
  if (n <= 0) return;
  auto refuse = [&](const std::string& why) {
    tell("a bulk connection from " + peer_of(heard->socket) + " was refused: " + why);
  };
  bulk_greeting greeting;
  std::string why;
  if (!decode(heard->greeting, greeting, why)) return refuse(why);
  if (greeting.token != token_) return refuse("it names a wrong token");
  const auto answer = encode(bulk_greeting{0, greeting.sender, options_.name});
  if (::send(heard->socket.fd(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
      greeting_bytes)
    return;
  ::epoll_ctl(reads_.fd(), EPOLL_CTL_DEL, heard->socket.fd(), nullptr);
  adopt(std::move(heard->socket), greeting.name, greeting.sender == bulk_sender::listening);
}

// False: it broke, or the peer said something where it is to listen.
bool bulk_links::is_silent(link& l, std::string& why) {
  std::byte one;
  const auto n = ::recv(l.socket.fd(), &one, 1, MSG_DONTWAIT);
  if (n > 0) why = "its peer sends where it is to receive";
  return n < 0 && (errno == EAGAIN || errno == EINTR);
}

// False: it broke. Reads what is there, up to a turn's bytes.
bool bulk_links::read_some(link& l, std::string& why) {
  for (std::size_t taken = 0; taken < turn_bytes;) {
    const bool in_part = l.head_got == frame_bytes;
    iovec to[2];
    int pieces = 1;
    if (!in_part) {
      to[0] = {l.head.data() + l.head_got, frame_bytes - l.head_got};
    } else if (!l.buffer) {
      to[0] = {unwanted_.data(), std::min<std::size_t>(unwanted_.size(), l.frame.size - l.got)};
    } else {
      to[0] = {l.buffer.get() + l.got, l.frame.size - l.got};
      to[1] = {l.head.data(), frame_bytes}; // of the next part
      pieces = 2;
    }
    const auto asked = to[0].iov_len + (pieces == 2 ? to[1].iov_len : 0);
    const auto n = ::readv(l.socket.fd(), to, pieces);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) return false; // the peer is gone: no news to anybody
    auto left = static_cast<std::size_t>(n);
    taken += left;
    if (in_part) {
      const auto of_part = std::min<std::size_t>(left, l.frame.size - l.got);
      l.got += static_cast<std::uint32_t>(of_part);
      left -= of_part;
      if (l.got == l.frame.size) {
        l.head_got = 0;
        const auto& f = l.frame;
        if (auto buffer = std::exchange(l.buffer, nullptr)) {
          const auto* data = buffer.get();
          options_.deliver({f.receiver, f.transfer, f.from, f.offset, f.total,
                            shared_bytes{std::move(buffer), data, f.size}});
        }
      }
    }
    l.head_got += left;
    if (l.head_got == frame_bytes && (!in_part || left > 0)) { // a new one, BULK-1
      if (!decode(l.head, l.frame, why)) return false;
      l.got = 0;
      if (options_.takes(l.frame.receiver)) l.buffer = buffers_.take(l.frame.size);
    }
    if (static_cast<std::size_t>(n) < asked) return true; // that was all there is
  }
  return true;
}

} // namespace troupe::transport
