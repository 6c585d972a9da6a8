#include "troupe/actors/checkpoint_store.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>
#include <xxhash.h>

#include "troupe/tensor/error.hpp"
#include "troupe/tensor/output_file.hpp"

namespace troupe::actors {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint32_t format_version = 1;
constexpr const char* manifest_name = "manifest.json";
constexpr std::uintmax_t max_manifest_size = 64u << 20; // some hundred thousand shards

/// Why a set is not used; the file comes first.
struct refusal {
  std::string why;
};

std::string folder_name(std::uint64_t number) {
  char name[24];
  std::snprintf(name, sizeof name, "%06llu", static_cast<unsigned long long>(number));
  return name;
}

std::string shard_name(std::size_t shard) { return "shard-" + std::to_string(shard) + ".image"; }

std::string hex(std::uint64_t value) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(value));
  return digits;
}

std::uint64_t from_hex(const std::string& digits) {
  std::uint64_t value = 0;
  const auto* end = digits.data() + digits.size();
  const auto [at, code] = std::from_chars(digits.data(), end, value, 16);
  if (digits.size() != 16 || at != end || code != std::errc{})
    throw refusal{"expected 16 hex digits, found '" + digits + "'"};
  return value;
}

std::span<const char> as_chars(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string sizes(std::uint64_t expected, std::uint64_t found) {
  return "expected " + std::to_string(expected) + " bytes, found " + std::to_string(found);
}

/// Nothing when the file does not exist.
std::optional<std::uintmax_t> size_of(const fs::path& path) {
  std::error_code code;
  const auto status = fs::status(path, code);
  if (status.type() == fs::file_type::not_found) return std::nullopt;
  if (code) throw refusal{"cannot look at it: " + code.message()};
  if (status.type() != fs::file_type::regular)
    throw refusal{"expected a regular file, found something else"};
  const auto size = fs::file_size(path, code);
  if (code) throw refusal{"cannot look at it: " + code.message()};
  return size;
}

template <class Buffer>
void read_into(const fs::path& path, Buffer& bytes) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw refusal{"cannot open: " + std::generic_category().message(errno)};
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (const auto found = static_cast<std::uint64_t>(in.gcount()); found != bytes.size())
    throw refusal{"cannot read it whole: " + sizes(bytes.size(), found)};
}

std::string checksum(json manifest) {
  manifest.erase("checksum");
  const auto text = manifest.dump();
  return hex(XXH64(text.data(), text.size(), 0));
}

std::string to_text(const checkpoint_manifest& m) {
  auto shards = json::array();
  for (const auto& s : m.shards)
    shards.push_back({{"file", s.file},
                      {"first", s.range.first},
                      {"size", s.range.size},
                      {"bytes", s.bytes},
                      {"xxh64", hex(s.xxh64)}});
  json out = {{"format", format_version},   {"number", m.number},
              {"job_id", m.job_id},         {"batches_per_epoch", m.batches_per_epoch},
              {"epochs", m.epochs},         {"evaluated_epochs", m.evaluated_epochs},
              {"batches", m.batches},       {"taken_at", m.taken_at},
              {"shards", std::move(shards)}};
  out["checksum"] = checksum(out);
  return out.dump(2) + "\n";
}

/// nlohmann's own conversion takes -1 and 0.5 for whole numbers.
template <class T>
T whole_number(const json& object, const char* key) {
  const auto& value = object.at(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<T>::max())
    throw refusal{"expected a whole number for '" + std::string(key) + "', found " + value.dump()};
  return value.get<T>();
}

checkpoint_manifest from_text(const std::string& text) {
  try {
    const auto in = json::parse(text);
    if (const auto format = whole_number<std::uint32_t>(in, "format"); format != format_version)
      throw refusal{"another format version: expected " + std::to_string(format_version) +
                    ", found " + std::to_string(format)};
    if (in.at("checksum") != checksum(in)) throw refusal{"checksum differs"};
    checkpoint_manifest m;
    m.number = whole_number<std::uint64_t>(in, "number");
    m.job_id = in.at("job_id").get<std::string>();
    m.batches_per_epoch = whole_number<std::uint32_t>(in, "batches_per_epoch");
    m.epochs = whole_number<std::uint32_t>(in, "epochs");
    m.evaluated_epochs = whole_number<std::uint32_t>(in, "evaluated_epochs");
    m.batches = whole_number<std::uint64_t>(in, "batches");
    m.taken_at = in.at("taken_at").get<std::string>();
    for (const auto& s : in.at("shards"))
      m.shards.push_back(
          {s.at("file").get<std::string>(),
           {whole_number<std::uint64_t>(s, "first"), whole_number<std::uint64_t>(s, "size")},
           whole_number<std::uint64_t>(s, "bytes"),
           from_hex(s.at("xxh64").get<std::string>())});
    return m;
  } catch (const json::exception& e) {
    throw refusal{std::string("not a manifest: ") + e.what()};
  }
}

checkpoint_manifest read_manifest(const fs::path& folder, std::uint64_t number) {
  const auto path = folder / manifest_name;
  const auto size = size_of(path);
  if (size.value_or(0) > max_manifest_size)
    throw refusal{"expected at most " + std::to_string(max_manifest_size) + " bytes, found " +
                  std::to_string(*size)};
  std::string text(size.value_or(0), '\0');
  read_into(path, text);
  auto m = from_text(text);
  if (m.number != number)
    throw refusal{"expected the manifest of set " + std::to_string(number) + ", found that of " +
                  std::to_string(m.number)};
  if (m.shards.empty()) throw refusal{"expected shards, found none"};
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < m.shards.size(); ++i) {
    const auto& s = m.shards[i];
    // Also so that no path leads out of the folder.
    if (s.file != shard_name(i))
      throw refusal{"expected '" + shard_name(i) + "', found '" + s.file + "'"};
    if (s.range.first != next)
      throw refusal{"expected shard " + std::to_string(i) + " to begin at parameter " +
                    std::to_string(next) + ", found " + std::to_string(s.range.first)};
    next += s.range.size;
  }
  return m;
}

shard_image read_shard(const fs::path& folder, const checkpoint_manifest& m, std::size_t shard) {
  const auto& expected = m.shards[shard];
  const auto path = folder / expected.file;
  const auto size = size_of(path);
  if (!size) throw refusal{"missing"};
  if (*size < expected.bytes) throw refusal{"truncated: " + sizes(expected.bytes, *size)};
  if (*size > expected.bytes) throw refusal{"trailing bytes: " + sizes(expected.bytes, *size)};
  tensor::aligned_vector<std::byte> bytes(expected.bytes);
  read_into(path, bytes);
  if (XXH64(bytes.data(), bytes.size(), 0) != expected.xxh64) throw refusal{"checksum differs"};
  auto image = decode(bytes);
  if (image.range != expected.range)
    throw refusal{"expected " + std::to_string(expected.range.size) + " parameters at " +
                  std::to_string(expected.range.first) + " as in the manifest, found " +
                  std::to_string(image.range.size) + " at " + std::to_string(image.range.first)};
  const auto& applied = image.segments.front().applied; // all segments are of one job
  if (applied.batches_per_epoch() != m.batches_per_epoch || applied.epochs() != m.epochs)
    throw refusal{"expected a job of " + std::to_string(m.epochs) + " epochs of " +
                  std::to_string(m.batches_per_epoch) + " batches, found " +
                  std::to_string(applied.epochs()) + " of " +
                  std::to_string(applied.batches_per_epoch())};
  return image;
}

} // namespace

checkpoint_store::checkpoint_store(fs::path folder, std::uint32_t keep)
    : folder_(std::move(folder)), keep_(keep) {
  if (keep == 0)
    throw std::invalid_argument("[troupe::actors::checkpoint_store] expected at least one "
                                "checkpoint to keep, found 0");
}

fs::path checkpoint_store::set_folder(std::uint64_t number) const {
  return folder_ / folder_name(number);
}

std::vector<std::uint64_t> checkpoint_store::numbers() const {
  std::vector<std::uint64_t> result;
  std::error_code code;
  for (fs::directory_iterator it(folder_, code), end; !code && it != end; it.increment(code)) {
    const auto name = it->path().filename().string();
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed.ec == std::errc{} && name == folder_name(number)) result.push_back(number);
  }
  if (code && code != std::errc::no_such_file_or_directory)
    throw tensor::error("actors::checkpoint_store", "cannot read this folder: " + code.message(),
                        folder_.string());
  std::ranges::sort(result);
  return result;
}

std::uint64_t checkpoint_store::next_number() const {
  const auto all = numbers();
  return all.empty() ? 1 : all.back() + 1;
}

void checkpoint_store::write_shard(std::uint64_t number, std::uint32_t shard,
                                   scheduler::shard_range range, std::span<const std::byte> image) {
  const auto folder = set_folder(number);
  std::error_code unknown;
  if (fs::exists(folder / manifest_name, unknown))
    throw std::logic_error(
        "[troupe::actors::checkpoint_store] a shard for a complete checkpoint: " + folder.string());
  // None while it is unknown which bytes lie there.
  auto& file = written_[number][shard];
  file.reset();
  tensor::make_folder("actors::checkpoint_store", folder);
  const auto name = shard_name(shard);
  tensor::replace_file("actors::checkpoint_store", folder / name, {as_chars(image)});
  file.emplace(checkpoint_manifest::shard_file{name, range, image.size(),
                                               XXH64(image.data(), image.size(), 0)});
}

void checkpoint_store::commit(std::uint64_t number, checkpoint_manifest manifest) {
  const auto fail = [&](const std::string& reason) {
    throw std::logic_error("[troupe::actors::checkpoint_store] " + reason + ": " +
                           set_folder(number).string());
  };
  const auto written = written_.find(number);
  if (written == written_.end()) fail("a checkpoint without shards");
  manifest.number = number;
  manifest.shards.clear();
  std::uint64_t next = 0;
  for (const auto& [shard, file] : written->second) {
    if (!file || shard != manifest.shards.size())
      fail("shard " + std::to_string(manifest.shards.size()) + " has not been written");
    if (file->range.first != next)
      fail("expected shard " + std::to_string(shard) + " to begin at parameter " +
           std::to_string(next) + ", found " + std::to_string(file->range.first));
    next += file->range.size;
    manifest.shards.push_back(*file);
  }
  const auto text = to_text(manifest);
  const auto path = set_folder(number) / manifest_name;
  try {
    tensor::replace_file("actors::checkpoint_store", path, {text});
  } catch (...) {
    std::error_code ignored;
    fs::remove(path, ignored); // it may have its name already, and not be flushed
    throw;
  }
  written_.erase(written);

  // The set is complete from here on: what goes wrong below is tidied up by the next commit.
  try {
    std::uint32_t complete = 0;
    const auto all = numbers();
    for (auto it = all.rbegin(); it != all.rend(); ++it) {
      std::error_code unknown;
      const bool finished = fs::exists(set_folder(*it) / manifest_name, unknown);
      if (unknown) continue;
      if (finished ? ++complete > keep_ && *it != number : *it < number) remove_set(*it);
    }
  } catch (const std::exception&) {
  }
}

void checkpoint_store::remove_set(std::uint64_t number) const {
  const auto folder = set_folder(number);
  std::error_code code;
  // The manifest first, and for good: a set must not look complete with half of its files gone.
  if (fs::remove(folder / manifest_name, code))
    tensor::flush_folder("actors::checkpoint_store", folder);
  if (!code) fs::remove_all(folder, code);
}

void checkpoint_store::discard(std::uint64_t number) noexcept {
  try {
    written_.erase(number);
    if (!fs::exists(set_folder(number) / manifest_name)) remove_set(number);
  } catch (const std::exception&) { // it stays unfinished, and a later commit removes it
  }
}

std::optional<checkpoint_store::loaded>
checkpoint_store::load_newest(std::vector<refused>& refused_sets) const {
  const auto all = numbers();
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    const auto folder = set_folder(*it);
    std::string file = folder_name(*it);
    auto path = folder;
    const auto now_at = [&](const std::string& name) {
      path = folder / name;
      file = folder_name(*it) + "/" + name;
    };
    const auto refuse = [&](const std::string& why) {
      refused_sets.push_back({path, file + ": " + why});
    };
    try {
      if (std::error_code code; !fs::exists(folder / manifest_name, code) && !code)
        throw refusal{"no manifest (unfinished)"};
      now_at(manifest_name);
      loaded result;
      result.manifest = read_manifest(folder, *it);
      for (std::size_t i = 0; i < result.manifest.shards.size(); ++i) {
        now_at(result.manifest.shards[i].file);
        result.images.push_back(read_shard(folder, result.manifest, i));
      }
      return result;
    } catch (const refusal& r) {
      refuse(r.why);
    } catch (const tensor::error& e) {
      refuse(e.reason());
    }
  }
  return std::nullopt;
}

} // namespace troupe::actors
