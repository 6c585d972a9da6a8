// The two threads of bulk_links that move bytes.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bulk_link.hpp"

namespace troupe::transport {

namespace {

using enum stream_result::outcome;

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
    if (l.writing.empty()) break;
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
    const auto r = l.stream->write({pieces, count});
    if (r.what == wants_output) {
      l.writable = false;
      return true;
    }
    if (r.what != moved) return false; // the peer is gone: no news to anybody
    sent += r.bytes;
    l.written += r.bytes;
    while (!l.writing.empty() && l.written >= frame_bytes + l.writing.front().data.size) {
      l.written -= frame_bytes + l.writing.front().data.size;
      l.writing.pop_front();
    }
  }
  return flush(l);
}

// False: it broke. Without this, what the stream keeps would wait for the next part (STREAM-3).
bool bulk_links::flush(link& l) {
  const auto r = l.stream->flush();
  if (r.what == wants_output) l.writable = false;
  return r.what == moved || r.what == wants_output;
}

// -- reading --------------------------------------------------------------------------------------

void bulk_links::read_all() {
  epoll_event events[events_max];
  std::vector<std::uint64_t> with_input; // that the set does not tell of (STREAM-4)
  const auto serve = [&](std::uint64_t number) {
    auto l = find(number);
    if (!l) return;
    std::string why;
    if (l->sends ? !is_silent(*l, why) : !read_some(*l, why))
      end(l, why);
    else if (!l->sends && l->stream->has_input())
      with_input.push_back(number);
  };
  while (!stopping_) {
    const int look_ms = !with_input.empty() ? 0 : guests_.empty() && !accepts_again_ ? -1 : 500;
    const int n = ::epoll_wait(reads_.fd(), events, events_max, look_ms);
    for (auto number : std::exchange(with_input, {})) serve(number);
    for (int i = 0; i < n; ++i) {
      const auto number = events[i].data.u64;
      if (number == listen_number) {
        accept_guests();
      } else if (guests_.contains(number)) {
        hear(number);
      } else {
        serve(number);
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
    g->stream = options_.streams(std::move(s), stream_side::accepting);
    g->until = clock::now() + options_.greeting_timeout;
    std::uint64_t number = 0;
    {
      std::lock_guard lock(mutex_);
      number = next_number_++;
    }
    epoll_event e{};
    e.events = g->events = EPOLLIN;
    e.data.u64 = number;
    if (::epoll_ctl(reads_.fd(), EPOLL_CTL_ADD, g->stream->socket().fd(), &e) != 0) continue;
    guests_.emplace(number, std::move(g));
  }
}

void bulk_links::hear(std::uint64_t number) {
  auto& g = *guests_.at(number);
  const int fd = g.stream->socket().fd();
  std::string why;
  const auto next = greet(g, why);
  if (next == wants_input || next == wants_output) {
    const std::uint32_t events = next == wants_input ? EPOLLIN : EPOLLOUT;
    epoll_event e{};
    e.events = events;
    e.data.u64 = number;
    if (events != std::exchange(g.events, events)) ::epoll_ctl(reads_.fd(), EPOLL_CTL_MOD, fd, &e);
    return;
  }
  auto heard = std::move(guests_.extract(number).mapped());
  if (next == ended) {
    if (why.empty()) why = heard->stream->why();
    if (!why.empty())
      tell("a bulk connection from " + peer_of(heard->stream->socket()) + " was refused: " + why);
    return;
  }
  ::epoll_ctl(reads_.fd(), EPOLL_CTL_DEL, fd, nullptr);
  adopt(std::move(heard->stream), heard->greeting.name,
        heard->greeting.sender == bulk_sender::listening);
}

// `moved`: the guest said the token and was answered; `ended`: it is refused.
stream_result::outcome bulk_links::greet(guest& g, std::string& why) {
  while (g.got < g.said.size()) {
    const iovec to{g.said.data() + g.got, g.said.size() - g.got};
    const auto r = g.stream->read({&to, 1});
    if (r.what != moved) return r.what;
    g.got += r.bytes;
    if (g.got < g.said.size()) continue;
    if (!decode(g.said, g.greeting, why)) return ended;
    if (g.greeting.token != token_) {
      why = "it names a wrong token";
      return ended;
    }
    g.answer = encode(bulk_greeting{0, g.greeting.sender, options_.name});
  }
  while (g.put < g.answer.size()) {
    const iovec from{g.answer.data() + g.put, g.answer.size() - g.put};
    const auto r = g.stream->write({&from, 1});
    if (r.what != moved) return r.what;
    g.put += r.bytes;
  }
  return g.stream->flush().what;
}

// False: it broke, or the peer said something where it is to listen.
bool bulk_links::is_silent(link& l, std::string& why) {
  std::byte one;
  const auto n = ::recv(l.stream->socket().fd(), &one, 1, MSG_DONTWAIT);
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
    const auto r = l.stream->read({to, static_cast<std::size_t>(pieces)});
    if (r.what == wants_input) return true;
    if (r.what != moved) return false; // the peer is gone: no news to anybody
    auto left = r.bytes;
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
    if (r.bytes < asked && !l.stream->has_input()) return true; // that was all there is
  }
  return true;
}

} // namespace troupe::transport
