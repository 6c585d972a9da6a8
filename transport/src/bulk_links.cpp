// The connections: made, looked up, ended. bulk_links_threads.cpp reads and writes.
#include "troupe/transport/bulk_links.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <system_error>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bulk_link.hpp"

namespace troupe::transport {

namespace {

constexpr int backlog = 64;
constexpr auto settled_after = std::chrono::seconds(10); // a connection that lasted so long is well

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

tcp_socket made(int fd, const char* what) {
  if (fd < 0) fail(what);
  return tcp_socket{fd};
}

// False: the system has no memory for it.
bool add_to(const tcp_socket& set, int fd, std::uint32_t events, std::uint64_t number) {
  epoll_event e{};
  e.events = events;
  e.data.u64 = number;
  return ::epoll_ctl(set.fd(), EPOLL_CTL_ADD, fd, &e) == 0;
}

void watch(const tcp_socket& set, int fd, std::uint32_t events, std::uint64_t number) {
  if (!add_to(set, fd, events, number)) fail("cannot wait for a socket");
}

void set_option(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

void tune(const tcp_socket& s) {
  constexpr int near_receive_buffer = 512 << 10;
  set_option(s.fd(), IPPROTO_TCP, TCP_NODELAY, 1);
  limit_silence(s.fd());
  if (is_near(s.fd())) {
    set_option(s.fd(), SOL_SOCKET, SO_SNDBUF, near_send_buffer);
    set_option(s.fd(), SOL_SOCKET, SO_RCVBUF, near_receive_buffer);
  }
}

} // namespace

bulk_links::bulk_links(options o)
    : options_(std::move(o)),
      stopped_(made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "cannot make an event")),
      work_(made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "cannot make an event")),
      reads_(made(::epoll_create1(EPOLL_CLOEXEC), "cannot wait for sockets")),
      writes_(made(::epoll_create1(EPOLL_CLOEXEC), "cannot wait for sockets")),
      next_number_(first_number), unwanted_(64 * 1024) {
  std::random_device random;
  token_ = std::uint64_t{random()} << 32 | random();
  watch(reads_, stopped_.fd(), EPOLLIN, stop_number);
  watch(writes_, stopped_.fd(), EPOLLIN, stop_number);
  watch(writes_, work_.fd(), EPOLLIN, work_number);
  reader_ = std::thread([this] { read_all(); });
  writer_ = std::thread([this] { write_all(); });
  dialer_ = std::thread([this] { dial_all(); });
}

bulk_links::~bulk_links() { stop(); }

void bulk_links::stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_.exchange(true)) return;
  }
  ::eventfd_write(stopped_.fd(), 1);
  dials_.notify_all();
  for (auto* t : {&reader_, &writer_, &dialer_}) t->join();
  std::lock_guard lock(mutex_);
  live_.clear();
  peers_.clear();
  targets_.clear();
  guests_.clear();
}

bulk_links::address bulk_links::listen(const std::string& host) {
  auto attempt = tcp_listen(host, 0, backlog);
  if (attempt.error != 0) return {};
  listening_ = std::move(attempt.socket);
  watch(reads_, listening_.fd(), EPOLLIN, listen_number);
  return {host, port_of(listening_), token_};
}

void bulk_links::keep(const std::string& peer, address at) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    auto t = std::make_shared<target>();
    t->at = std::move(at);
    t->due = clock::now();
    auto& kept = targets_[peer];
    if (kept) t->connections = kept->connections;
    kept = std::move(t);
  }
  dials_.notify_all();
}

void bulk_links::use(bool on) {
  {
    std::lock_guard lock(mutex_);
    used_ = on;
  }
  dials_.notify_all();
}

bool bulk_links::open(const std::string& peer) const {
  std::lock_guard lock(mutex_);
  return used_ && peers_.contains(peer);
}

std::uint64_t bulk_links::send(const std::string& peer, bulk_part p) {
  if (p.data.size == 0 || p.data.size > bulk_max_bytes) return 0;
  std::unique_lock lock(mutex_);
  auto to = peers_.find(peer);
  if (!used_ || to == peers_.end()) return 0;
  auto& l = *to->second.back();
  const bool rested = l.waiting.empty();
  l.waiting.push_back(std::move(p));
  const auto number = l.number;
  lock.unlock();
  if (rested) ::eventfd_write(work_.fd(), 1);
  return number;
}

bool bulk_links::broke(std::uint64_t connection) const {
  std::lock_guard lock(mutex_);
  return !live_.contains(connection);
}

bulk_links::link_ptr bulk_links::find(std::uint64_t number) const {
  std::lock_guard lock(mutex_);
  auto i = live_.find(number);
  return i != live_.end() ? i->second : nullptr;
}

void bulk_links::tell(const std::string& line) {
  {
    std::lock_guard lock(mutex_);
    if (++told_ > options_.told_max) return;
  }
  if (options_.tell) options_.tell(line);
}

// Null: all are being ended, or the system has no memory for it.
bulk_links::link_ptr bulk_links::adopt(std::unique_ptr<byte_stream> s, const std::string& peer,
                                       bool sends) {
  tune(s->socket());
  s->read_ahead();
  auto l = std::make_shared<link>();
  l->peer = peer;
  l->sends = sends;
  l->stream = std::move(s);
  std::lock_guard lock(mutex_);
  if (stopping_) return nullptr;
  l->number = next_number_++;
  const int fd = l->stream->socket().fd();
  if (!add_to(reads_, fd, EPOLLIN | EPOLLRDHUP, l->number) || // or the news of its end
      (sends && !add_to(writes_, fd, EPOLLOUT | EPOLLET, l->number)))
    return nullptr;
  live_.emplace(l->number, l);
  if (sends) peers_[peer].push_back(l);
  return l;
}

void bulk_links::end(const link_ptr& l, const std::string& why) {
  std::vector<link_ptr> with_it; // what was made together ends together
  {
    std::lock_guard lock(mutex_);
    if (live_.erase(l->number) == 0) return;
    const int fd = l->stream->socket().fd();
    ::epoll_ctl(reads_.fd(), EPOLL_CTL_DEL, fd, nullptr);
    if (l->sends) {
      auto of_peer = peers_.find(l->peer);
      std::erase(of_peer->second, l);
      if (of_peer->second.empty()) peers_.erase(of_peer);
      l->waiting.clear();
      ::epoll_ctl(writes_.fd(), EPOLL_CTL_DEL, fd, nullptr);
    }
    l->stream->shut_down(); // the other thread may be about to use it
    auto t = targets_.find(l->peer);
    if (t != targets_.end() && std::ranges::count(t->second->connections, l->number) != 0) {
      auto& to = *t->second;
      for (auto number : std::exchange(to.connections, {}))
        if (auto other = live_.find(number); other != live_.end()) with_it.push_back(other->second);
      if (clock::now() - l->made >= settled_after) to.failures = 0;
      if (to.failures < options_.retries)
        to.due = clock::now() + options_.first_retry * (1u << to.failures++);
    }
  }
  dials_.notify_all();
  if (!why.empty()) tell("the bulk connection with " + l->peer + " was closed: " + why);
  for (const auto& other : with_it) end(other, {});
}

// -- connecting -----------------------------------------------------------------------------------

std::unique_ptr<byte_stream> bulk_links::dial(const std::string& peer, const address& at,
                                              bulk_sender sender, std::string& why) {
  using enum stream_result::outcome;
  const auto deadline = clock::now() + options_.dial_timeout;
  auto attempt = tcp_connect(at.host, at.port, deadline, stopped_.fd());
  if (attempt.error != 0) return nullptr;
  auto s = options_.streams(std::move(attempt.socket), stream_side::connecting);
  // Calls the stream until it has moved so many bytes, or once: then 0 is enough.
  const auto done = [&](auto call, std::size_t bytes) {
    for (std::size_t moved_so_far = 0;;) {
      const auto r = call(moved_so_far);
      if (r.what == ended) return false;
      if (r.what == moved && (moved_so_far += r.bytes) >= bytes) return true;
      const short events = r.what == wants_output ? POLLOUT : POLLIN;
      if (r.what != moved &&
          wait_for_socket(s->socket().fd(), events, deadline, stopped_.fd()) != 0)
        return false;
    }
  };
  auto said = encode(bulk_greeting{at.token, sender, options_.name});
  std::array<std::byte, greeting_bytes> heard;
  const auto rest = [](auto& bytes, std::size_t at) {
    return iovec{bytes.data() + at, bytes.size() - at};
  };
  const bool answered =
      done([&](std::size_t at) { return s->write(std::array{rest(said, at)}); }, said.size()) &&
      done([&](std::size_t) { return s->flush(); }, 0) &&
      done([&](std::size_t at) { return s->read(std::array{rest(heard, at)}); }, heard.size());
  if (!answered) {
    why = s->why();
  } else {
    bulk_greeting g;
    if (decode(heard, g, why) && g.name == peer) return s;
    if (why.empty()) why = "expected " + peer + " there, found " + g.name;
  }
  if (!why.empty())
    why =
        "the bulk connection to " + at.host + ":" + std::to_string(at.port) + " was closed: " + why;
  return nullptr;
}

void bulk_links::dial_all() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::shared_ptr<target> next;
    std::string peer;
    for (const auto& [name, t] : targets_)
      if (used_ && (!next || t->due < next->due)) next = t, peer = name;
    if (!next || next->due == clock::time_point::max()) {
      dials_.wait(lock);
      continue;
    }
    if (next->due > clock::now()) {
      dials_.wait_until(lock, next->due);
      continue;
    }
    next->due = clock::time_point::max();
    const auto at = next->at;
    lock.unlock();
    std::string why;
    auto there = dial(peer, at, bulk_sender::connecting, why);
    auto back = there ? dial(peer, at, bulk_sender::listening, why) : nullptr;
    if (!why.empty()) tell(why);
    std::vector<link_ptr> made;
    if (back)
      for (auto& l : {adopt(std::move(there), peer, true), adopt(std::move(back), peer, false)})
        if (l) made.push_back(l);
    lock.lock();
    auto kept = targets_.find(peer);
    const bool live = made.size() == 2 && std::ranges::all_of(made, [this](const auto& l) {
                        return live_.contains(l->number);
                      });
    std::vector<link_ptr> over; // what these take the place of, or what is left of these
    if (live && kept != targets_.end()) {
      for (auto number :
           std::exchange(kept->second->connections, {made[0]->number, made[1]->number}))
        if (auto before = live_.find(number); before != live_.end()) over.push_back(before->second);
    } else {
      over = made;
      if (next->failures < options_.retries)
        next->due = clock::now() + options_.first_retry * (1u << next->failures++);
    }
    lock.unlock();
    for (const auto& l : over) end(l, {});
    lock.lock();
  }
}

} // namespace troupe::transport
