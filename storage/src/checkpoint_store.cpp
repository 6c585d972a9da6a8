#include "troupe/storage/checkpoint_store.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>
#include <xxhash.h>

#include "troupe/probes/mutant.hpp"
#include "troupe/values/error.hpp"

namespace troupe::storage {

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

std::string sizes(std::uint64_t expected, std::uint64_t found) {
  return "expected " + std::to_string(expected) + " bytes, found " + std::to_string(found);
}

/// Nothing when the file does not exist.
std::optional<std::uint64_t> size_of(file_system& files, const fs::path& path) {
  using enum file_system::status::kind;
  const auto found = files.look(path);
  if (found.what == missing) return std::nullopt;
  if (found.what != file) throw refusal{"expected a regular file, found something else"};
  return found.size;
}

template <class Buffer>
void read_into(file_system& files, const fs::path& path, Buffer& bytes) {
  const auto found = files.read(path, std::as_writable_bytes(std::span(bytes)));
  if (found != bytes.size()) throw refusal{"cannot read it whole: " + sizes(bytes.size(), found)};
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
  if (!m.workload.empty()) out["workload"] = m.workload;
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
    m.workload = in.value("workload", std::string{});
    for (const auto& s : in.at("shards"))
      m.shards.push_back(
          {s.at("file").get<std::string>(),
           {whole_number<std::uint64_t>(s, "first"), whole_number<std::uint64_t>(s, "size")},
           whole_number<std::uint64_t>(s, "bytes"),
           from_hex(s.at("xxh64").get<std::string>())});
    return m;
  } catch (const json::exception&) {
    throw refusal{"not a manifest: it is damaged, or lacks a field"};
  }
}

checkpoint_manifest read_manifest(file_system& files, const fs::path& folder,
                                  std::uint64_t number) {
  const auto path = folder / manifest_name;
  const auto size = size_of(files, path);
  if (size.value_or(0) > max_manifest_size)
    throw refusal{"expected at most " + std::to_string(max_manifest_size) + " bytes, found " +
                  std::to_string(*size)};
  std::string text(size.value_or(0), '\0');
  read_into(files, path, text);
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

shard_image read_shard(file_system& files, const fs::path& folder, const checkpoint_manifest& m,
                       std::size_t shard) {
  const auto& expected = m.shards[shard];
  const auto path = folder / expected.file;
  const auto size = size_of(files, path);
  if (!size) throw refusal{"missing"};
  if (*size < expected.bytes) throw refusal{"truncated: " + sizes(expected.bytes, *size)};
  if (*size > expected.bytes) throw refusal{"trailing bytes: " + sizes(expected.bytes, *size)};
  tensor::aligned_vector<std::byte> bytes(expected.bytes);
  read_into(files, path, bytes);
  if (XXH64(bytes.data(), bytes.size(), 0) != expected.xxh64 &&
      !mutant_active(mutant::torn_checkpoint_accepted))
    throw refusal{"checksum differs"};
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

checkpoint_store::checkpoint_store(fs::path folder, std::uint32_t keep,
                                   std::shared_ptr<file_system> files)
    : folder_(std::move(folder)), keep_(keep), files_(std::move(files)) {
  if (keep == 0)
    throw std::invalid_argument("[troupe::storage::checkpoint_store] expected at least one "
                                "checkpoint to keep, found 0");
}

fs::path checkpoint_store::set_folder(std::uint64_t number) const {
  return folder_ / folder_name(number);
}

std::vector<std::uint64_t> checkpoint_store::numbers() const {
  std::vector<std::uint64_t> result;
  for (const auto& name : files_->list(folder_)) {
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed.ec == std::errc{} && name == folder_name(number)) result.push_back(number);
  }
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
  if (files_->exists(folder / manifest_name))
    throw std::logic_error(
        "[troupe::storage::checkpoint_store] a shard for a complete checkpoint: " +
        folder.string());
  // None while it is unknown which bytes lie there.
  auto& file = written_[number][shard];
  file.reset();
  files_->make_folder(folder);
  const auto name = shard_name(shard);
  replace_file(*files_, folder / name, image);
  file.emplace(checkpoint_manifest::shard_file{name, range, image.size(),
                                               XXH64(image.data(), image.size(), 0)});
}

void checkpoint_store::commit(std::uint64_t number, checkpoint_manifest manifest) {
  const auto fail = [&](const std::string& reason) {
    throw std::logic_error("[troupe::storage::checkpoint_store] " + reason + ": " +
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
    replace_file(*files_, path, std::as_bytes(std::span(text)));
  } catch (...) {
    try {
      files_->remove(path); // it may have its name already, and not be flushed
    } catch (const tensor::error&) {
    }
    throw;
  }
  written_.erase(written);

  // The set is complete from here on: what cannot be tidied up is left to the next commit.
  try {
    std::uint32_t complete = 0;
    const auto all = numbers();
    for (auto it = all.rbegin(); it != all.rend(); ++it) {
      try {
        const bool finished = files_->exists(set_folder(*it) / manifest_name);
        if (finished ? ++complete > keep_ && *it != number : *it < number) remove_set(*it);
      } catch (const tensor::error&) {
      }
    }
  } catch (const tensor::error&) {
  }
}

void checkpoint_store::remove_set(std::uint64_t number) const {
  const auto folder = set_folder(number);
  // The manifest first, and for good: a set must not look complete with half of its files gone.
  if (files_->remove(folder / manifest_name)) files_->sync_folder(folder);
  files_->remove_all(folder);
}

void checkpoint_store::discard(std::uint64_t number) noexcept {
  try {
    written_.erase(number);
    if (!files_->exists(set_folder(number) / manifest_name)) remove_set(number);
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
      refused_sets.push_back({path, file + ": " + why, files_->exists(folder / manifest_name)});
    };
    try {
      if (!files_->exists(folder / manifest_name)) throw refusal{"no manifest (unfinished)"};
      now_at(manifest_name);
      loaded result;
      result.manifest = read_manifest(*files_, folder, *it);
      for (std::size_t i = 0; i < result.manifest.shards.size(); ++i) {
        now_at(result.manifest.shards[i].file);
        result.images.push_back(read_shard(*files_, folder, result.manifest, i));
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

} // namespace troupe::storage
