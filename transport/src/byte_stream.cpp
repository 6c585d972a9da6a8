#include "troupe/transport/byte_stream.hpp"

#include <cerrno>

#include <sys/socket.h>

namespace troupe::transport {

namespace {

using enum stream_result::outcome;

// Of a system call that moves bytes.
template <class Call>
stream_result result_of(Call call, stream_result::outcome when_full) {
  ssize_t n = 0;
  do n = call();
  while (n < 0 && errno == EINTR);
  if (n > 0) return {moved, static_cast<std::size_t>(n)};
  return {n < 0 && errno == EAGAIN ? when_full : ended, 0};
}

class tcp_stream final : public byte_stream {
 public:
  using byte_stream::byte_stream;

  stream_result read(std::span<const iovec> to) override {
    return result_of([&] { return ::readv(socket().fd(), to.data(), static_cast<int>(to.size())); },
                     wants_input);
  }
  stream_result write(std::span<const iovec> from) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(from.data()); // only read
    message.msg_iovlen = from.size();
    return result_of(
        [&] { return ::sendmsg(socket().fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); },
        wants_output);
  }
};

} // namespace

void byte_stream::shut_down() noexcept { ::shutdown(socket_.fd(), SHUT_RDWR); }

std::unique_ptr<byte_stream> plain_stream(tcp_socket s, stream_side) {
  return std::make_unique<tcp_stream>(std::move(s));
}

} // namespace troupe::transport
