#pragma once

#include <algorithm>
#include <cerrno>
#include <string>

#include <sys/socket.h>

#include "troupe/transport/byte_stream.hpp"

namespace troupe::transport {

/// As awkward as a stream may be: it shakes hands first if asked to, changes every byte, takes and
/// gives few at a time, keeps some of what is written until it is flushed, and reads ahead.
class awkward_stream final : public byte_stream {
 public:
  using enum stream_result::outcome;

  awkward_stream(tcp_socket s, stream_side side, bool shakes_hands)
      : byte_stream(std::move(s)), side_(side), shaken_(shakes_hands ? 0 : 2) {}

  stream_result read(std::span<const iovec> to) override {
    if (const auto r = shake_hands(); r.what != moved) return r;
    const auto& first = to.front();
    if (!has_input()) {
      taken_ = 0;
      in_.resize(ahead_ ? most_ahead : first.iov_len);
      const auto n = ::recv(socket().fd(), in_.data(), in_.size(), MSG_DONTWAIT);
      const bool later = n < 0 && errno == EAGAIN;
      in_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (n <= 0) return {later ? wants_input : ended};
    }
    const auto n = std::min({next_size(), first.iov_len, in_.size() - taken_});
    for (std::size_t i = 0; i < n; ++i)
      static_cast<char*>(first.iov_base)[i] = static_cast<char>(in_[taken_ + i] ^ mask);
    taken_ += n;
    return {moved, n};
  }
  stream_result write(std::span<const iovec> from) override {
    if (const auto r = shake_hands(); r.what != moved) return r;
    if (const auto r = send_but(0); r.what != moved) return r;
    const auto& first = from.front();
    const auto n = std::min(next_size(), first.iov_len);
    for (std::size_t i = 0; i < n; ++i)
      out_.push_back(static_cast<char>(static_cast<const char*>(first.iov_base)[i] ^ mask));
    const auto r = send_but(n / 2 + 1);
    return {r.what == ended ? ended : moved, n};
  }
  stream_result flush() override { return send_but(0); }
  bool has_input() const override { return taken_ < in_.size(); }
  void read_ahead() override { ahead_ = true; }
  std::string why() const override { return stranger_ ? "it shakes no hands" : ""; }

 private:
  static constexpr char mask = 0x5a;
  static constexpr std::size_t most_ahead = 256u << 10;

  std::size_t next_size() { return calls_++ % 5 == 0 ? 1 : 1000 + calls_ % 7 * 2000; }

  // Sends but the last so many bytes.
  stream_result send_but(std::size_t kept) {
    while (out_.size() > kept) {
      const auto n =
          ::send(socket().fd(), out_.data(), out_.size() - kept, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) return {errno == EAGAIN ? wants_output : ended};
      out_.erase(0, static_cast<std::size_t>(n));
    }
    return {};
  }
  stream_result say(char c) {
    if (::send(socket().fd(), &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
      return {errno == EAGAIN ? wants_output : ended};
    ++shaken_;
    return {};
  }
  stream_result hear(char expected) {
    char c = 0;
    const auto n = ::recv(socket().fd(), &c, 1, MSG_DONTWAIT);
    if (n != 1) return {n < 0 && errno == EAGAIN ? wants_input : ended};
    stranger_ = c != expected;
    ++shaken_;
    return {stranger_ ? ended : moved};
  }
  stream_result shake_hands() {
    for (stream_result r; shaken_ < 2;) {
      const bool speaks = (shaken_ == 0) == (side_ == stream_side::connecting);
      const char word = shaken_ == 0 ? '?' : '!';
      r = speaks ? say(word) : hear(word);
      if (r.what != moved) return r;
    }
    return {};
  }

  const stream_side side_;
  int shaken_; // words said and heard
  bool stranger_ = false;
  bool ahead_ = false;
  std::size_t calls_ = 0;
  std::string in_; // as it came
  std::size_t taken_ = 0;
  std::string out_; // as it goes
};

} // namespace troupe::transport
