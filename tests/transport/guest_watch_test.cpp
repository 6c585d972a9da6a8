#include "troupe/transport/guest_watch.hpp"

#include <future>
#include <vector>

#include <catch2/catch.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace troupe::transport;
using namespace std::chrono_literals;

namespace {

struct connection {
  connection() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0); }
  ~connection() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  int own() const { return ends[0]; }
  /// Whether the other end sees the end of the connection within so long.
  bool ends_within(std::chrono::milliseconds time) const {
    pollfd ready{ends[1], POLLIN, 0};
    return ::poll(&ready, 1, static_cast<int>(time.count())) == 1;
  }
  int ends[2]{};
};

} // namespace

TEST_CASE("GUEST-1: a guest that does not say who it is is shut down, a peer is not") {
  guest_watch watch({.patience = 100ms, .tell = {}});
  connection silent, peer;
  watch.arrived(silent.own());
  watch.left(watch.arrived(peer.own()));
  CHECK(silent.ends_within(10s));
  CHECK_FALSE(peer.ends_within(200ms));
  CHECK(watch.guests() == 0);
}

TEST_CASE("GUEST-2: with too many guests the eldest goes") {
  guest_watch watch({.patience = 1h, .most = 2, .tell = {}});
  connection a, b, c;
  for (auto* guest : {&a, &b, &c}) watch.arrived(guest->own());
  CHECK(a.ends_within(10s));
  CHECK_FALSE(b.ends_within(0ms));
  CHECK_FALSE(c.ends_within(0ms));
}

TEST_CASE("GUEST-3: a connection that takes one of the last descriptors is shut down") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  connection guest;
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(guest.own()) + 4;
  guest_watch watch({.patience = 1h, .descriptors_kept = 8, .tell = {}});
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  CHECK(watch.arrived(guest.own()) == 0);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(guest.ends_within(10s));
}

TEST_CASE("GUEST-4: the user is told once of what came together") {
  std::promise<std::string> first, second;
  int lines = 0;
  guest_watch watch({.patience = 1h, .tell_every = 300ms, .tell = [&](const std::string& line) {
                       (++lines == 1 ? first : second).set_value(line);
                     }});
  std::vector<connection> guests(4);
  watch.refuse(guests[0].own(), "its bytes are strange");
  auto told = first.get_future();
  REQUIRE(told.wait_for(10s) == std::future_status::ready);
  CHECK(told.get().find("its bytes are strange") != std::string::npos);
  for (int i = 1; i < 4; ++i) watch.refuse(guests[static_cast<std::size_t>(i)].own(), "more");
  auto later = second.get_future();
  REQUIRE(later.wait_for(10s) == std::future_status::ready);
  CHECK(later.get().find("; and 2 more") != std::string::npos);
}
