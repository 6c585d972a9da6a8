#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

/// Plain TCP, with deadlines. Knows no CAF.
namespace troupe::transport {

/// Owns a file descriptor.
class tcp_socket {
 public:
  tcp_socket() = default;
  explicit tcp_socket(int fd) : fd_(fd) {}
  tcp_socket(tcp_socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  tcp_socket& operator=(tcp_socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~tcp_socket();

  int fd() const noexcept { return fd_; }
  /// Gives the descriptor to the caller, who closes it.
  int release() noexcept { return std::exchange(fd_, -1); }
  bool open() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// What came of an attempt to connect or to listen.
struct tcp_attempt {
  tcp_socket socket;    ///< open when it succeeded; not blocking
  int error = 0;        ///< else the errno of the last address that was tried,
  std::string bad_name; ///< or what is wrong with the host's name
  /// The reason in words.
  std::string why() const;
};

/// Connects to the first address of `host` that answers before the deadline, or until there is
/// something to read from `cancelled`, if that is a file descriptor.
tcp_attempt tcp_connect(const std::string& host, std::uint16_t port,
                        std::chrono::steady_clock::time_point deadline, int cancelled = -1);

/// Listens at the first address of `host` where that is possible; port 0: any free one.
tcp_attempt tcp_listen(const std::string& host, std::uint16_t port, int backlog);

/// How long the other end may acknowledge nothing of what was sent to it before the connection
/// breaks. The kernel by itself tries for 15 minutes. A host that drops packets is noticed by it, a
/// process that stands still is not, as long as its kernel has room.
inline constexpr std::chrono::seconds silence_limit{3};

/// Sets that limit, also for a connection on which nothing is sent (RFC 5482, RFC 1122 4.2.3.6).
void limit_silence(int connected);

/// Waits until the socket is ready for `events` of poll(2); 0, or the errno: ETIMEDOUT at the
/// deadline, ECANCELED.
int wait_for_socket(int fd, short events, std::chrono::steady_clock::time_point deadline,
                    int cancelled = -1);

/// Whether the other end is within a host or a rack: less than a millisecond away.
bool is_near(int connected);

/// The size of the kernel's send buffer for a near peer (SO_SNDBUF; Linux doubles it). Bytes in a
/// buffer of this size are written and read within one core's second cache. The kernel's own choice
/// is several MB; then, with both ways at once, the bytes take half as long again
/// (docs/notes/wire.md). A farther peer may need more.
inline constexpr int near_send_buffer = 192 << 10;

/// The port that a listening socket has been given; 0: none.
std::uint16_t port_of(const tcp_socket& listening);

/// The other end, as "HOST:PORT" in digits.
std::string peer_of(const tcp_socket& connected);

/// The host of this end, in digits; empty: not known.
std::string own_host_of(const tcp_socket& connected);

/// Whether the other end is on this host: it has the same address, or a loopback address.
bool is_same_host(const tcp_socket& connected);

/// What an address is to other hosts.
enum class host_kind : std::uint8_t {
  wildcard, ///< every address of this host; of another host it means nothing
  loopback, ///< reached from this host alone
  other     ///< a host, or no name that can be resolved
};
host_kind kind_of(const std::string& host);

} // namespace troupe::transport
