#include <charconv>
#include <stdexcept>

#include "troupe/runtime.hpp"

namespace troupe {

endpoint parse_endpoint(std::string_view text) {
  auto refuse = [&](const char* why) -> endpoint {
    throw std::invalid_argument("expected HOST:PORT, found '" + std::string{text} + "': " + why);
  };
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse("no ':'");
  auto host = text.substr(0, colon);
  auto digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return refuse("an IPv6 address needs brackets, as in [::1]:4000");
  if (host.empty()) return refuse("no host");
  std::uint16_t port = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size())
    return refuse("the port is a number from 0 to 65535");
  return {std::string{host}, port};
}

std::string to_string(const endpoint& e) {
  auto host = e.host.find(':') == std::string::npos ? e.host : "[" + e.host + "]";
  return host + ":" + std::to_string(e.port);
}

} // namespace troupe
