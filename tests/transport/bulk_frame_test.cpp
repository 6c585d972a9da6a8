#include "troupe/transport/bulk_frame.hpp"

#include <limits>

#include <catch2/catch.hpp>

using namespace troupe::transport;

TEST_CASE("what two processes say on a bulk connection comes back as it was said") {
  std::string why;
  for (const auto& name : {std::string{"a"}, std::string(bulk_name_max, 'n')}) {
    bulk_greeting heard;
    REQUIRE(decode(encode(bulk_greeting{0x0123456789abcdef, bulk_sender::listening, name}), heard,
                   why));
    CHECK(heard.sender == bulk_sender::listening);
    CHECK(heard.token == 0x0123456789abcdef);
    CHECK(heard.name == name);
  }
  const bulk_frame said{12,         0x1122334455667788, 0x99aabbccddeeff00,
                        0xfedcba98, 1u << 20,           (1u << 20) + 12};
  bulk_frame heard;
  REQUIRE(decode(encode(said), heard, why));
  CHECK(heard == said);
}

TEST_CASE("a frame lies on the wire with the most significant byte first") {
  const auto bytes = encode(bulk_frame{0x01020304, 5, 6, 7, 8, 9});
  const unsigned char expected[] = {'p', 'a', 'r', 't', 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5,
                                    0,   0,   0,   0,   0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 0,
                                    0,   0,   0,   0,   0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9};
  for (std::size_t i = 0; i < frame_bytes; ++i) {
    INFO(i);
    CHECK(std::to_integer<unsigned>(bytes[i]) == expected[i]);
  }
}

TEST_CASE("BULK-1: a frame that does not fit its transfer is refused, with the reason") {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  const bulk_frame good{8, 1, 2, 3, 16, 24};
  bulk_frame heard;
  std::string why;
  struct lie {
    std::uint32_t size;
    std::uint64_t offset, total;
  };
  for (auto [size, offset, total] : {lie{0, 16, 24},
                                     {bulk_max_bytes + 1, 0, most},
                                     {std::numeric_limits<std::uint32_t>::max(), 0, most},
                                     {8, 20, 24},
                                     {8, 28, 24},
                                     {8, most - 3, most},
                                     {8, most - 3, 24},
                                     {8, 2, 24},
                                     {6, 0, 24}}) {
    auto f = good;
    f.size = size;
    f.offset = offset;
    f.total = total;
    INFO(size << " at " << offset << " of " << total);
    why.clear();
    CHECK_FALSE(decode(encode(f), heard, why));
    CHECK(why.find("expected") != std::string::npos);
  }
  auto f = good;
  f.size = 7; // ends at the end of the transfer
  f.total = 23;
  CHECK(decode(encode(f), heard, why));
  auto bytes = encode(good);
  bytes[0] = std::byte{'P'};
  CHECK_FALSE(decode(bytes, heard, why));
}

TEST_CASE("a greeting of another program, version or form is refused, with the reason") {
  const auto good = encode(bulk_greeting{1, bulk_sender::connecting, "name"});
  bulk_greeting heard;
  std::string why;
  auto refused = [&](std::size_t at, unsigned char value) {
    auto bytes = good;
    bytes[at] = std::byte{value};
    why.clear();
    return !decode(bytes, heard, why);
  };
  CHECK(refused(0, 'G'));
  CHECK(why.find("does not speak") != std::string::npos);
  CHECK(refused(11, 2));
  CHECK(why == "expected version 1 of the bulk protocol, found 2");
  CHECK(refused(23, 2));
  CHECK(why == "expected 0 or 1 as the one who sends, found 2");
  CHECK(refused(27, 0));
  CHECK(refused(27, bulk_name_max + 1));
  CHECK(refused(24, 1));
  CHECK(why.find("1 to 100 bytes") != std::string::npos);
}
