#include "troupe/storage/shard_image.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include <catch2/catch.hpp>
#include <xxhash.h>

#include "../tensor/refusal.hpp"
#include "sample_image.hpp"

using namespace troupe::storage;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;
using Catch::Contains;

namespace {

using bytes_t = tensor::aligned_vector<std::byte>;
using ranges_t = std::vector<scheduler::shard_range>;

std::string decode_refusal(std::span<const std::byte> bytes) {
  return refusal([&] { decode(bytes); });
}

/// The checksum made right again, so that what was changed is judged itself.
bytes_t with_checksum(bytes_t bytes) {
  const auto hash = XXH64(bytes.data(), bytes.size() - 8, 0);
  std::memcpy(bytes.data() + bytes.size() - 8, &hash, 8);
  return bytes;
}

template <class T>
bytes_t with_value(bytes_t bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
  return with_checksum(std::move(bytes));
}

snapshot values_of(std::vector<float> values) {
  return std::make_shared<tensor::aligned_vector<float>>(values.begin(), values.end());
}

/// Three shards that have applied different batches, between two steps.
std::vector<shard_image> three_shards(std::size_t parameters) {
  std::vector<shard_image> result;
  for (const auto range : scheduler::make_shard_ranges(parameters, 3)) {
    auto& image = result.emplace_back(sample_image(range.first, range.size));
    const auto shard = static_cast<std::uint32_t>(result.size() - 1);
    scheduler::applied_set applied(70, 9);
    applied.insert_epoch(0);
    applied.insert({1, shard});
    image.segments = {{0, range.size, applied}};
    image.updates = 71 + shard;
    image.before_last_step = nullptr;
    image.kept.clear();
  }
  return result;
}

/// The flat vector of one kind of array.
std::vector<std::uint32_t> bits_of(const std::vector<shard_image>& images,
                                   snapshot shard_image::*member) {
  std::vector<std::uint32_t> result;
  for (const auto& image : images)
    for (const float& value : *(image.*member)) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, 4);
      result.push_back(bits);
    }
  return result;
}

} // namespace

TEST_CASE("IMAGE-1: an image comes back bit for bit, whatever its size") {
  for (const std::size_t size : {0, 1, 2, 3, 17, 64, 1001}) {
    CAPTURE(size);
    const auto image = sample_image(48, size);
    const auto bytes = encode(image);
    const auto back = decode(bytes);
    CHECK(same(back, image));
    CHECK(encode(back) == bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(back.parameters->data()) % tensor::alignment == 0);
  }
}

TEST_CASE("IMAGE-1: what an image may lack is lacking when it comes back") {
  shard_image image;
  image.range = {5, 2};
  image.segments = {{0, 2, scheduler::applied_set(3, 1)}};
  image.parameters = values_of({1, 2});
  CHECK(same(decode(encode(image)), image));
  image.before_last_step = values_of({3, 4});
  CHECK(same(decode(encode(image)), image));
  image.segments[0].applied = {}; // of a job that is not known yet
  CHECK(same(decode(encode(image)), image));
}

TEST_CASE("IMAGE-2: an image with any byte changed is refused") {
  const auto whole = encode(sample_image(3, 3));
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int change : {0x01, 0x80, 0xff}) {
      auto damaged = whole;
      damaged[at] ^= static_cast<std::byte>(change);
      const auto* expected = at < 8    ? "not a shard image"
                             : at < 12 ? "another format version: expected 1"
                             : at < 16 ? "checksum differs"
                             : at < 24 ? "bytes, found"
                                       : "checksum differs";
      INFO("byte " << at);
      CHECK_THAT(decode_refusal(damaged), Contains(expected));
    }
}

TEST_CASE("IMAGE-2: an image cut off anywhere, or with something after it, is refused") {
  const auto whole = encode(sample_image(3, 3));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    INFO("cut to " << size);
    CHECK_THAT(decode_refusal(std::span{whole}.first(size)), Contains("truncated: expected"));
  }
  auto longer = whole;
  longer.push_back(std::byte{0});
  CHECK_THAT(decode_refusal(longer), Contains("trailing bytes: expected"));
}

TEST_CASE("IMAGE-2: numbers that cannot be true are refused even under a right checksum") {
  const auto whole = encode(sample_image(3, 3));
  const auto huge = std::uint64_t{1} << 62;
  // Wherever in the payload a length stands, an enormous one takes no memory and does no harm.
  std::uint64_t payload_size = 0;
  std::memcpy(&payload_size, whole.data() + 24, 8);
  for (std::size_t at = 24; at + 8 <= 32 + payload_size; ++at)
    for (const auto value : {huge, std::uint64_t{0xffff'ffff'ffff'ffff}}) {
      const auto changed = with_value(whole, at, value);
      try {
        const auto image = decode(changed);
        CHECK(image.range.size == 3); // a counter took it: updates, sequence, step, a clock
      } catch (const tensor::error&) {
      }
    }
  CHECK_THAT(decode_refusal(with_value(whole, 24, huge)), Contains("a payload of 46116860184"));
  CHECK_THAT(decode_refusal(with_value(whole, 24, std::uint64_t{0})), Contains("no contents"));
  CHECK_THAT(decode_refusal(with_value(whole, 24, payload_size - 1)), Contains("impossible"));
  CHECK_THAT(decode_refusal(with_value(whole, 24, payload_size + 12)), Contains("left over"));
  // The payload begins with a byte for the byte order, then first, size, three counters, arrays.
  CHECK_THAT(decode_refusal(with_value(whole, 32, std::uint8_t{0})), Contains("byte order"));
  CHECK_THAT(decode_refusal(with_value(whole, 41, std::uint64_t{4})), Contains("segments that"));
  CHECK_THAT(decode_refusal(with_value(whole, 41, huge)), Contains("a range of 46116860184"));
  CHECK_THAT(decode_refusal(with_value(whole, 73, std::uint8_t{4})), Contains("unknown array"));
  CHECK_THAT(decode_refusal(with_value(whole, 73, std::uint8_t{1})), Contains("arrays of 3"));
  CHECK_THAT(decode_refusal(with_value(whole, 74, huge)), Contains("has a length of 46116860184"));
}

TEST_CASE("IMAGE-2: clocks and sets that cannot be are refused even under a right checksum") {
  const auto refused = [](const std::function<void(shard_image&)>& change) {
    auto image = sample_image(3, 3);
    change(image);
    return decode_refusal(encode(image));
  };
  CHECK_THAT(refused([](auto& i) { i.clocks.workers[0].ahead = {3}; }), Contains("ahead of a gap"));
  CHECK_THAT(refused([](auto& i) { i.clocks.workers[1].id = {0}; }), Contains("ascending order"));
  // A bit past the last batch: the last word of the epoch in progress that is stored first.
  const auto whole = encode(sample_image(3, 1));
  const std::uint64_t last_word = 0b100001;
  const auto* found = std::search(whole.data(), whole.data() + whole.size(),
                                  reinterpret_cast<const std::byte*>(&last_word),
                                  reinterpret_cast<const std::byte*>(&last_word + 1));
  const auto at = static_cast<std::size_t>(found - whole.data());
  REQUIRE(at < whole.size());
  CHECK_THAT(decode_refusal(with_value(whole, at, std::uint64_t{0b1000001})),
             Contains("past the last of an epoch"));
}

TEST_CASE("an image that is not well-formed is not encoded") {
  const auto refused = [](const std::function<void(shard_image&)>& change) {
    auto image = sample_image(0, 4);
    change(image);
    const auto reason = refusal([&] { encode(image); });
    CHECK(refusal([&] { state_hash(image); }) != "nothing was thrown");
    return reason;
  };
  CHECK_THAT(refused([](auto& i) { i.parameters = nullptr; }), Contains("without parameters"));
  CHECK_THAT(refused([](auto& i) { i.velocity = values_of({1}); }),
             Contains("expected arrays of 4 floats, found one of 1"));
  CHECK_THAT(refused([](auto& i) { i.kept[{0, 1}] = nullptr; }), Contains("without values"));
  CHECK_THAT(refused([](auto& i) { i.segments.clear(); }), Contains("found none"));
  CHECK_THAT(refused([](auto& i) { i.segments.pop_back(); }), Contains("cover 2 of 4"));
  CHECK_THAT(refused([](auto& i) { i.segments[1].first = 3; }), Contains("one after the other"));
  CHECK_THAT(refused([](auto& i) { i.segments[1].size = 9; }), Contains("one after the other"));
  CHECK_THAT(refused([](auto& i) { i.segments[0].applied = {}; }), Contains("different jobs"));
  CHECK_THAT(refused([](auto& i) {
               i.segments.push_back({4, 0, i.segments[0].applied});
             }),
             Contains("an empty segment"));
  CHECK_THAT(refused([](auto& i) { i.range.size = SIZE_MAX; }), Contains("a range of"));
}

TEST_CASE("IMAGE-3: the hash changes with every part of the state and with nothing else") {
  const auto image = sample_image(8, 5);
  const auto hash = state_hash(image);
  std::set<std::uint64_t> seen{hash};
  const auto differs = [&](const std::function<void(shard_image&)>& change) {
    auto other = image;
    change(other);
    CHECK(seen.insert(state_hash(other)).second);
  };
  const auto flipped = [](const snapshot& values, std::size_t i) {
    auto copy = std::make_shared<tensor::aligned_vector<float>>(*values);
    reinterpret_cast<unsigned char*>(copy->data())[4 * i] ^= 1;
    return copy;
  };
  for (std::size_t i = 0; i < 5; ++i) {
    differs([&](auto& o) { o.parameters = flipped(o.parameters, i); });
    differs([&](auto& o) { o.velocity = flipped(o.velocity, i); });
    differs([&](auto& o) { o.kept.at({2, 69}) = flipped(o.kept.at({2, 69}), i); });
  }
  differs([](auto& o) { o.velocity = nullptr; });
  differs([](auto& o) { std::swap(o.velocity, o.parameters); });
  differs([](auto& o) { o.segments[1].applied.insert({8, 69}); });
  differs([](auto& o) { --o.segments[0].size, --o.segments[1].first, ++o.segments[1].size; });
  differs([](auto& o) { ++o.updates; });
  differs([](auto& o) { ++o.step; });
  differs([](auto& o) { o.kept.erase({2, 64}); });
  differs([](auto& o) { o.range.first = 9; });

  auto other = decode(encode(image)); // the same values in other memory
  other.clocks = {};
  other.epochs.clear();
  other.sequence = 3;
  other.before_last_step = nullptr;
  CHECK(state_hash(other) == hash);
  other.segments.insert(other.segments.begin(), {0, 1, other.segments[0].applied});
  other.segments[1].first = 1;
  --other.segments[1].size;
  CHECK(state_hash(other) == hash); // cut in two, and yet the same
}

TEST_CASE("IMAGE-4: images cut into other ranges and back hold the same") {
  for (const std::size_t parameters : {5, 97, 1000}) {
    CAPTURE(parameters);
    const auto images = three_shards(parameters);
    auto cut = images;
    for (const std::uint32_t shards : {2u, 5u, 1u, 3u}) {
      cut = reshard(cut, scheduler::make_shard_ranges(parameters, shards));
      CAPTURE(shards);
      REQUIRE(cut.size() == shards);
      CHECK(bits_of(cut, &shard_image::parameters) == bits_of(images, &shard_image::parameters));
      CHECK(bits_of(cut, &shard_image::velocity) == bits_of(images, &shard_image::velocity));
      for (const auto& image : cut) {
        CHECK(same(decode(encode(image)), image));
        CHECK(image.step == 41);
        CHECK(image.clocks.workers.empty());
        CHECK(image.sequence == 0);
        CHECK(image.epochs.size() == 2);
        // Every parameter keeps the set it had.
        for (const auto& s : image.segments)
          for (std::uint64_t i = 0; i < s.size; ++i) {
            const auto flat = image.range.first + s.first + i;
            const auto source = std::ranges::find_if(
                images, [&](const auto& old) { return flat < old.range.first + old.range.size; });
            REQUIRE(s.applied == source->segments[0].applied);
          }
      }
    }
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(cut[i].segments == images[i].segments); // pieces of one are one again
      CHECK(cut[i].range == images[i].range);
      CHECK(same_bits(cut[i].epochs, images[i].epochs));
      CHECK(cut[i].updates == 73); // the most: all came through one image
    }
  }
}

TEST_CASE("a new range counts the updates of its own sources, and has the epochs that all have") {
  auto images = three_shards(48);
  images[2].epochs.erase(1);
  images[0].epochs.emplace(5, images[0].velocity);
  const auto cut = reshard(images, ranges_t{{0, 10}, {10, 10}, {20, 28}});
  CHECK(cut[0].updates == 71);
  CHECK(cut[1].updates == 72);
  CHECK(cut[2].updates == 73);
  const auto epochs = [](const shard_image& image) {
    std::vector<std::uint32_t> result;
    for (const auto& [epoch, values] : image.epochs) result.push_back(epoch);
    return result;
  };
  CHECK(epochs(cut[0]) == std::vector<std::uint32_t>{0, 1, 5});
  CHECK(epochs(cut[1]) == std::vector<std::uint32_t>{0, 1});
  CHECK(epochs(cut[2]) == std::vector<std::uint32_t>{0});
  CHECK(cut[1].epochs.at(1)->at(0) == images[0].epochs.at(1)->at(10));
  CHECK(cut[1].epochs.at(1)->at(9) == images[1].epochs.at(1)->at(3));
  CHECK(cut[2].segments.size() == 2);
}

TEST_CASE("the same ranges give the same content, within a step of bsp too") {
  auto images = std::vector{sample_image(0, 4), sample_image(4, 3)};
  images[1].step = 42;
  images[1].kept.clear();
  const auto cut = reshard(images, {{0, 4}, {4, 3}});
  REQUIRE(cut.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(same_but_for_clocks(cut[i], images[i]));
    CHECK(state_hash(cut[i]) == state_hash(images[i]));
    CHECK(cut[i].clocks.workers.empty());
    CHECK(cut[i].sequence == 0);
  }
  const auto whole = refusal([&] { reshard(images, {{0, 7}}); });
  CHECK_THAT(whole, Contains("within a step of bsp fits only the ranges it has"));
  images[0].kept.clear();
  CHECK_THAT(refusal([&] { reshard(images, {{0, 7}}); }), Contains("[4, 7) in step 42"));
  images[1].step = 41;
  CHECK(reshard(images, {{0, 7}})[0].before_last_step == nullptr);
}

TEST_CASE("images and ranges that do not fit together are refused") {
  const auto images = three_shards(48);
  const auto refused = [](const std::vector<shard_image>& from, const ranges_t& to) {
    return refusal([&] { reshard(from, to); });
  };
  CHECK_THAT(refused({}, {{0, 48}}), Contains("found none"));
  CHECK_THAT(refused(images, {}), Contains("found none"));
  CHECK_THAT(refused(images, {{0, 40}}), Contains("expected ranges that cover [0, 48)"));
  CHECK_THAT(refused(images, {{0, 49}}), Contains("expected ranges that cover [0, 48)"));
  CHECK_THAT(refused(images, {{8, 40}}), Contains("expected ranges that cover [0, 48)"));
  CHECK_THAT(refused(images, {{0, 20}, {21, 27}}), Contains("found [21, 48) after [0, 20)"));
  CHECK_THAT(refused(images, {{0, 48}, {48, 0}}), Contains("an empty range at 48"));
  CHECK_THAT(refused({images[0], images[2]}, {{0, 48}}), Contains("found [32, 48) after [0, 16)"));
  auto other = images;
  other[1].segments[0].applied = scheduler::applied_set(71, 9);
  CHECK_THAT(refused(other, {{0, 48}}), Contains("different jobs"));
  other = images;
  other[2].velocity = nullptr;
  CHECK_THAT(refused(other, {{0, 48}}), Contains("different optimizers"));
  other = images;
  other[2].parameters = nullptr;
  CHECK_THAT(refused(other, {{0, 48}}), Contains("without parameters"));
}
