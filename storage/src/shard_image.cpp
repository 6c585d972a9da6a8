#include "troupe/storage/shard_image.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <xxhash.h>

#include "troupe/probes/mutant.hpp"
#include "troupe/tensor/payload.hpp"
#include "troupe/values/error.hpp"

namespace troupe::storage {

namespace {

using tensor::error;
using tensor::payload_reader;
using tensor::payload_writer;

constexpr std::string_view magic = "TROUPESH";
constexpr std::uint32_t format_version = 1;
constexpr std::size_t header_size = 32;
constexpr std::size_t checksum_size = 8;

constexpr std::uint8_t has_velocity = 1;
constexpr std::uint8_t has_before_last_step = 2;

static_assert(std::endian::native == std::endian::little, "floats are written as they lie");

std::string text(scheduler::shard_range r) {
  return "[" + std::to_string(r.first) + ", " + std::to_string(r.first + r.size) + ")";
}

bool same_job(const scheduler::applied_set& a, const scheduler::applied_set& b) {
  return a.batches_per_epoch() == b.batches_per_epoch() && a.epochs() == b.epochs();
}

/// Snapshots in the order of the format; null ones are left out.
template <class F>
void for_each_array(const shard_image& image, F f) {
  f(image.parameters);
  if (image.velocity) f(image.velocity);
  if (image.before_last_step) f(image.before_last_step);
  for (const auto& [epoch, values] : image.epochs) f(values);
  for (const auto& [batch, values] : image.kept) f(values);
}

/// Segments are judged before any array is there: of an image that is being read.
void check_segments(const shard_image& image, std::string_view function) {
  const auto refuse = [&](const std::string& reason) { throw error(function, reason); };
  if (image.range.size > UINT64_MAX / sizeof(float) ||
      image.range.first > UINT64_MAX - image.range.size)
    refuse("a range of " + std::to_string(image.range.size) + " parameters");
  if (image.segments.empty()) refuse("expected a segment of the range, found none");
  std::uint64_t covered = 0;
  for (const auto& s : image.segments) {
    if (s.first != covered || s.size > image.range.size - covered)
      refuse("expected segments that cover the range one after the other, found one of " +
             std::to_string(s.size) + " parameters at " + std::to_string(s.first) + " after " +
             std::to_string(covered) + " of " + std::to_string(image.range.size));
    if (s.size == 0 && (image.range.size > 0 || image.segments.size() > 1))
      refuse("an empty segment");
    if (!same_job(s.applied, image.segments.front().applied))
      refuse("segments that have applied batches of different jobs");
    covered += s.size;
  }
  if (covered != image.range.size)
    refuse("segments that cover " + std::to_string(covered) + " of " +
           std::to_string(image.range.size) + " parameters");
}

void check(const shard_image& image, std::string_view function) {
  check_segments(image, function);
  if (!image.parameters) throw error(function, "an image without parameters");
  for_each_array(image, [&](const snapshot& values) {
    if (!values) throw error(function, "an epoch or a kept gradient without values");
    if (values->size() != image.range.size)
      throw error(function, "expected arrays of " + std::to_string(image.range.size) +
                                " floats, found one of " + std::to_string(values->size()));
  });
}

void write(payload_writer& out, const scheduler::applied_set& set) {
  out.value(set.batches_per_epoch());
  out.value(set.epochs());
  out.value(set.first_incomplete());
  out.sequence(set.complete_ahead());
  const auto open = set.epochs_in_progress();
  out.value(std::uint64_t{open.size()});
  for (const auto epoch : open) {
    out.value(epoch);
    out.sequence(set.words(epoch));
  }
}

scheduler::applied_set read_applied_set(payload_reader& in) {
  const auto batches = in.value<std::uint32_t>();
  const auto epochs = in.value<std::uint32_t>();
  const auto first_incomplete = in.value<std::uint32_t>();
  auto set = batches == 0 && epochs == 0 ? scheduler::applied_set{}
                                         : scheduler::applied_set{batches, epochs};
  set.insert_epochs_below(first_incomplete);
  std::vector<std::uint32_t> ahead;
  in.sequence(ahead);
  for (const auto e : ahead) set.insert_epoch(e);
  for (auto open = in.length(sizeof(std::uint32_t) + sizeof(std::uint64_t)); open > 0; --open) {
    const auto epoch = in.value<std::uint32_t>();
    std::vector<std::uint64_t> words;
    in.sequence(words);
    set.insert_words(epoch, words);
  }
  return set;
}

std::vector<char> to_payload(const shard_image& image) {
  std::vector<char> bytes;
  payload_writer out(bytes);
  for (const std::uint64_t v : {std::uint64_t{image.range.first}, std::uint64_t{image.range.size},
                                image.updates, image.sequence, image.step})
    out.value(v);
  out.value(static_cast<std::uint8_t>((image.velocity ? has_velocity : 0) |
                                      (image.before_last_step ? has_before_last_step : 0)));
  out.value(std::uint64_t{image.segments.size()});
  for (const auto& s : image.segments) {
    out.value(s.first);
    out.value(s.size);
    write(out, s.applied);
  }
  out.value(std::uint64_t{image.epochs.size()});
  for (const auto& [epoch, values] : image.epochs) out.value(epoch);
  out.value(std::uint64_t{image.kept.size()});
  for (const auto& [batch, values] : image.kept) {
    out.value(batch.epoch);
    out.value(batch.index);
  }
  out.value(std::uint64_t{image.clocks.workers.size()});
  for (const auto& w : image.clocks.workers) {
    out.value(w.id.value);
    out.value(w.applied);
    out.value(static_cast<std::uint8_t>(w.live));
    out.sequence(w.ahead);
  }
  return bytes;
}

/// The image without its arrays: the names of those that will follow, with null.
struct outline {
  shard_image image;
  std::uint8_t arrays = 0;
};

outline read_payload(payload_reader& in) {
  outline result;
  auto& image = result.image;
  image.range.first = in.value<std::uint64_t>();
  image.range.size = in.value<std::uint64_t>();
  image.updates = in.value<std::uint64_t>();
  image.sequence = in.value<std::uint64_t>();
  image.step = in.value<std::uint64_t>();
  result.arrays = in.value<std::uint8_t>();
  if (result.arrays > (has_velocity | has_before_last_step)) in.refuse("an unknown array");
  // At the least: two numbers, and of the set three and the lengths of two lists.
  for (auto segments = in.length(44); segments > 0; --segments) {
    auto& s = image.segments.emplace_back();
    s.first = in.value<std::uint64_t>();
    s.size = in.value<std::uint64_t>();
    s.applied = read_applied_set(in);
  }
  for (auto epochs = in.length(4); epochs > 0; --epochs)
    if (!image.epochs.try_emplace(in.value<std::uint32_t>()).second) in.refuse("an epoch twice");
  for (auto kept = in.length(8); kept > 0; --kept) {
    scheduler::batch_id batch;
    batch.epoch = in.value<std::uint32_t>();
    batch.index = in.value<std::uint32_t>();
    if (!image.kept.try_emplace(batch).second) in.refuse("a kept batch twice");
  }
  for (auto workers = in.length(21); workers > 0; --workers) {
    auto& w = image.clocks.workers.emplace_back();
    w.id.value = in.value<std::uint32_t>();
    w.applied = in.value<std::uint64_t>();
    const auto live = in.value<std::uint8_t>();
    if (live > 1) in.refuse("a worker neither live nor gone");
    w.live = live == 1;
    in.sequence(w.ahead);
  }
  in.finish();
  scheduler::clock_table{image.clocks}; // throws for clocks that no table can have
  return result;
}

template <class T>
void put(std::span<std::byte> bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <class T>
T get(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

void copy_bytes(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes); // an empty vector has no address to copy from
}

/// Neighbours with equal sets become one.
void append(std::vector<image_segment>& segments, image_segment s) {
  if (!segments.empty() && segments.back().applied == s.applied)
    segments.back().size += s.size;
  else
    segments.push_back(std::move(s));
}

} // namespace

tensor::aligned_vector<std::byte> encode(const shard_image& image) {
  check(image, "actors::encode");
  const auto payload = to_payload(image);
  std::size_t arrays = 0;
  for_each_array(image, [&](const snapshot&) { ++arrays; });
  const auto array_size = image.range.size * sizeof(float);
  tensor::aligned_vector<std::byte> bytes(header_size + payload.size() + arrays * array_size +
                                          checksum_size);
  copy_bytes(bytes.data(), magic.data(), magic.size());
  put(bytes, 8, format_version);
  put(bytes, 16, std::uint64_t{bytes.size()});
  put(bytes, 24, std::uint64_t{payload.size()});
  auto at = header_size;
  copy_bytes(bytes.data() + at, payload.data(), payload.size());
  at += payload.size();
  for_each_array(image, [&](const snapshot& values) {
    copy_bytes(bytes.data() + at, values->data(), array_size);
    at += array_size;
  });
  put(bytes, at, std::uint64_t{XXH64(bytes.data(), at, 0)});
  return bytes;
}

shard_image decode(std::span<const std::byte> bytes) {
  constexpr std::string_view function = "actors::decode";
  const auto refuse = [&](const std::string& reason) { throw error(function, reason); };
  const auto found = [&](std::uint64_t expected, const char* more) {
    return ": expected " + std::string(more) + std::to_string(expected) + " bytes, found " +
           std::to_string(bytes.size());
  };
  const auto beginning = bytes.first(std::min(bytes.size(), magic.size()));
  if (!magic.starts_with({reinterpret_cast<const char*>(beginning.data()), beginning.size()}))
    refuse("not a shard image: expected it to begin with '" + std::string(magic) + "'");
  if (bytes.size() < header_size + checksum_size)
    refuse("truncated" + found(header_size + checksum_size, "at least "));
  if (const auto version = get<std::uint32_t>(bytes, 8); version != format_version)
    refuse("another format version: expected " + std::to_string(format_version) + ", found " +
           std::to_string(version));
  const auto whole = get<std::uint64_t>(bytes, 16);
  if (bytes.size() < whole) refuse("truncated" + found(whole, ""));
  if (bytes.size() > whole) refuse("trailing bytes" + found(whole, ""));
  const auto hashed = bytes.first(bytes.size() - checksum_size);
  if (XXH64(hashed.data(), hashed.size(), 0) != get<std::uint64_t>(bytes, hashed.size()) &&
      !mutant_active(mutant::torn_checkpoint_accepted))
    refuse("checksum differs: the bytes are damaged");

  const auto payload_size = get<std::uint64_t>(bytes, 24);
  auto rest = hashed.subspan(header_size);
  if (payload_size > rest.size())
    refuse("impossible contents: a payload of " + std::to_string(payload_size) +
           " bytes with only " + std::to_string(rest.size()) + " bytes left");
  outline read;
  try {
    payload_reader in({reinterpret_cast<const char*>(rest.data()), payload_size}, function);
    read = read_payload(in);
  } catch (const std::invalid_argument& e) { // of an applied set or a clock table
    refuse(std::string("impossible contents: ") + e.what());
  }
  rest = rest.subspan(payload_size);

  auto& image = read.image;
  check_segments(image, function);
  const std::uint64_t arrays =
      1 + std::popcount(read.arrays) + image.epochs.size() + image.kept.size();
  const auto floats = rest.size() / sizeof(float);
  if (rest.size() % sizeof(float) != 0 || floats % arrays != 0 ||
      floats / arrays != image.range.size)
    refuse("impossible contents: expected " + std::to_string(arrays) + " arrays of " +
           std::to_string(image.range.size) + " floats, found " + std::to_string(rest.size()) +
           " bytes");
  const auto array_size = image.range.size * sizeof(float);
  const auto next = [&] {
    auto values = std::make_shared<tensor::aligned_vector<float>>(image.range.size);
    copy_bytes(values->data(), rest.data(), array_size);
    rest = rest.subspan(array_size);
    return values;
  };
  image.parameters = next();
  if (read.arrays & has_velocity) image.velocity = next();
  if (read.arrays & has_before_last_step) image.before_last_step = next();
  for (auto& [epoch, values] : image.epochs) values = next();
  for (auto& [batch, values] : image.kept) values = next();
  return std::move(image);
}

std::uint64_t state_hash(const shard_image& image) {
  check(image, "storage::state_hash");
  shard_image hashed{.range = image.range,
                     .segments = {},
                     .updates = image.updates,
                     .parameters = image.parameters,
                     .velocity = image.velocity,
                     .epochs = {},
                     .step = image.step,
                     .before_last_step = {},
                     .kept = image.kept,
                     .clocks = {}};
  for (const auto& s : image.segments) append(hashed.segments, s);
  // Each hash is the seed of the next. The payload says which arrays follow and how long they are.
  const auto payload = to_payload(hashed);
  std::uint64_t hash = XXH64(payload.data(), payload.size(), 0);
  for_each_array(hashed, [&](const snapshot& values) {
    hash = XXH64(values->data(), values->size() * sizeof(float), hash);
  });
  return hash;
}

namespace {

struct piece {
  const shard_image* source = nullptr;
  std::uint64_t from = 0; // within the source
  std::uint64_t size = 0;
};

std::vector<piece> pieces_of(scheduler::shard_range range, const std::vector<shard_image>& images) {
  std::vector<piece> result;
  for (const auto& source : images) {
    const auto begin = std::max(range.first, source.range.first);
    const auto end = std::min(range.first + range.size, source.range.first + source.range.size);
    if (begin < end) result.push_back({&source, begin - source.range.first, end - begin});
  }
  return result;
}

/// `of` gives a source's array, null where it has none. Null unless all sources have it.
snapshot put_together(const std::vector<piece>& pieces,
                      const std::function<snapshot(const shard_image&)>& of) {
  auto result = std::make_shared<tensor::aligned_vector<float>>();
  std::uint64_t total = 0;
  for (const auto& p : pieces) total += p.size;
  for (const auto& p : pieces) {
    const auto values = of(*p.source);
    if (!values) return nullptr;
    if (pieces.size() == 1 && p.size == values->size()) return values;
    result->reserve(total);
    const auto begin = values->begin() + static_cast<std::ptrdiff_t>(p.from);
    result->insert(result->end(), begin, begin + static_cast<std::ptrdiff_t>(p.size));
  }
  return result;
}

shard_image compose(scheduler::shard_range range, const std::vector<shard_image>& images) {
  const auto pieces = pieces_of(range, images);
  shard_image result;
  result.range = range;
  result.step = images.front().step;
  result.parameters = put_together(pieces, [](const auto& s) { return s.parameters; });
  result.velocity = put_together(pieces, [](const auto& s) { return s.velocity; });
  for (const auto& [epoch, values] : pieces.front().source->epochs)
    if (auto whole = put_together(pieces, [e = epoch](const shard_image& s) {
          const auto it = s.epochs.find(e);
          return it == s.epochs.end() ? nullptr : it->second;
        }))
      result.epochs.emplace(epoch, std::move(whole));
  std::uint64_t covered = 0;
  for (const auto& p : pieces) {
    result.updates = std::max(result.updates, p.source->updates);
    for (const auto& s : p.source->segments) {
      const auto begin = std::max(p.from, s.first);
      const auto end = std::min(p.from + p.size, s.first + s.size);
      if (begin >= end) continue;
      append(result.segments, {covered, end - begin, s.applied});
      covered += end - begin;
    }
  }
  return result;
}

} // namespace

std::vector<shard_image> reshard(const std::vector<shard_image>& images,
                                 const std::vector<scheduler::shard_range>& ranges) {
  constexpr std::string_view function = "storage::reshard";
  const auto refuse = [&](const std::string& reason) { throw error(function, reason); };
  if (images.empty() || ranges.empty()) refuse("expected images and ranges, found none");
  std::vector<scheduler::shard_range> old_ranges;
  for (const auto& image : images) {
    check(image, function);
    old_ranges.push_back(image.range);
    if (!same_job(image.segments.front().applied, images.front().segments.front().applied))
      refuse("images of different jobs");
    if ((image.velocity == nullptr) != (images.front().velocity == nullptr))
      refuse("images of different optimizers: some have a velocity, some have none");
  }
  const auto check_adjacent = [&](const std::vector<scheduler::shard_range>& all) {
    for (std::size_t i = 1; i < all.size(); ++i)
      if (all[i].first != all[i - 1].first + all[i - 1].size)
        refuse("expected adjacent ranges, found " + text(all[i]) + " after " + text(all[i - 1]));
  };
  check_adjacent(old_ranges);

  std::vector<shard_image> result;
  if (ranges == old_ranges) {
    result = images;
    for (auto& image : result) {
      image.clocks = {};
      image.sequence = 0;
    }
    return result;
  }
  check_adjacent(ranges);
  const auto end = [](scheduler::shard_range r) { return r.first + r.size; };
  if (ranges.front().first != old_ranges.front().first ||
      end(ranges.back()) != end(old_ranges.back()))
    refuse("expected ranges that cover " +
           text({old_ranges.front().first, end(old_ranges.back()) - old_ranges.front().first}) +
           ", found " + text(ranges.front()) + " to " + text(ranges.back()));
  for (const auto& range : ranges)
    if (range.size == 0) refuse("an empty range at " + std::to_string(range.first));
  for (const auto& image : images)
    if (image.step != images.front().step || !image.kept.empty())
      refuse("a state within a step of bsp fits only the ranges it has: expected every shard at "
             "the beginning of step " +
             std::to_string(images.front().step) + ", found " + text(image.range) + " in step " +
             std::to_string(image.step) + " with " + std::to_string(image.kept.size()) +
             " gradients of it");
  for (const auto& range : ranges) result.push_back(compose(range, images));
  return result;
}

} // namespace troupe::storage
