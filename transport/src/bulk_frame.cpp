#include "troupe/transport/bulk_frame.hpp"

#include <algorithm>
#include <concepts>
#include <cstring>
#include <string_view>

namespace troupe::transport {

namespace {

constexpr std::string_view greeting_mark = "troupe b";
constexpr std::string_view frame_mark = "part";

class writer {
 public:
  explicit writer(std::byte* at) : at_(at) {}
  void text(std::string_view t) {
    std::memcpy(at_, t.data(), t.size());
    at_ += t.size();
  }
  template <std::unsigned_integral T>
  void number(T n) {
    for (std::size_t i = sizeof n; i-- > 0;) *at_++ = static_cast<std::byte>(n >> (8 * i));
  }

 private:
  std::byte* at_;
};

class reader {
 public:
  explicit reader(const std::byte* at) : at_(at) {}
  std::string_view text(std::size_t size) {
    std::string_view t{reinterpret_cast<const char*>(at_), size};
    at_ += size;
    return t;
  }
  template <std::unsigned_integral T>
  T number() {
    T n = 0;
    for (std::size_t i = 0; i < sizeof n; ++i)
      n = static_cast<T>(n << 8 | std::to_integer<std::uint64_t>(*at_++));
    return n;
  }

 private:
  const std::byte* at_;
};

} // namespace

std::array<std::byte, greeting_bytes> encode(const bulk_greeting& g) {
  std::array<std::byte, greeting_bytes> bytes{};
  writer to{bytes.data()};
  const auto name = std::string_view{g.name}.substr(0, bulk_name_max);
  to.text(greeting_mark);
  to.number(bulk_version);
  to.number(g.token);
  to.number(static_cast<std::uint32_t>(g.sender));
  to.number(static_cast<std::uint32_t>(name.size()));
  to.text(name);
  return bytes;
}

bool decode(std::span<const std::byte, greeting_bytes> bytes, bulk_greeting& g, std::string& why) {
  reader from{bytes.data()};
  if (from.text(greeting_mark.size()) != greeting_mark) {
    why = "it does not speak Troupe's bulk protocol";
    return false;
  }
  if (auto version = from.number<std::uint32_t>(); version != bulk_version) {
    why = "expected version " + std::to_string(bulk_version) + " of the bulk protocol, found " +
          std::to_string(version);
    return false;
  }
  g.token = from.number<std::uint64_t>();
  const auto sender = from.number<std::uint32_t>();
  if (sender > 1) {
    why = "expected 0 or 1 as the one who sends, found " + std::to_string(sender);
    return false;
  }
  g.sender = bulk_sender{sender};
  const auto size = from.number<std::uint32_t>();
  if (size == 0 || size > bulk_name_max) {
    why = "expected a name of 1 to " + std::to_string(bulk_name_max) + " bytes, found " +
          std::to_string(size);
    return false;
  }
  g.name = from.text(size);
  return true;
}

std::array<std::byte, frame_bytes> encode(const bulk_frame& f) {
  std::array<std::byte, frame_bytes> bytes{};
  writer to{bytes.data()};
  to.text(frame_mark);
  to.number(f.size);
  to.number(f.receiver);
  to.number(f.transfer);
  to.number(f.from);
  to.number(std::uint32_t{0});
  to.number(f.offset);
  to.number(f.total);
  return bytes;
}

bool decode(std::span<const std::byte, frame_bytes> bytes, bulk_frame& f, std::string& why) {
  reader from{bytes.data()};
  if (from.text(frame_mark.size()) != frame_mark) {
    why = "what should begin a part does not";
    return false;
  }
  f.size = from.number<std::uint32_t>();
  f.receiver = from.number<std::uint64_t>();
  f.transfer = from.number<std::uint64_t>();
  f.from = from.number<std::uint32_t>();
  from.number<std::uint32_t>();
  f.offset = from.number<std::uint64_t>();
  f.total = from.number<std::uint64_t>();
  if (f.size == 0 || f.size > bulk_max_bytes) {
    why = "expected a part of 1 to " + std::to_string(bulk_max_bytes) + " bytes, found " +
          std::to_string(f.size);
    return false;
  }
  const bool within = f.offset <= f.total && f.size <= f.total - f.offset;
  const bool at_end = within && f.offset + f.size == f.total;
  if (!within || f.offset % sizeof(float) != 0 || (f.size % sizeof(float) != 0 && !at_end)) {
    why = "expected a part within its transfer, found " + std::to_string(f.size) + " bytes at " +
          std::to_string(f.offset) + " of " + std::to_string(f.total);
    return false;
  }
  return true;
}

} // namespace troupe::transport
