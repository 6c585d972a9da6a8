#include "troupe/tensor/model_file.hpp"

#include "input_file.hpp"
#include "troupe/tensor/output_file.hpp"
#include "troupe/tensor/payload.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include <xxhash.h>

namespace troupe::tensor {

namespace {

constexpr std::string_view magic = "TROUPEMD";
constexpr std::uint32_t format_version = 1;

// magic 8, version 4, reserved 4 (0), payload size 8, XXH64 over the 24 bytes before it and the
// payload 8; integers little-endian.
constexpr std::size_t hashed_header_size = 24;
constexpr std::size_t header_size = 32;

static_assert(std::endian::native == std::endian::little, "the header is written as it lies");

template <class T>
void put(std::array<char, header_size>& header, std::size_t at, T value) {
  std::memcpy(header.data() + at, &value, sizeof value);
}

template <class T>
T get(const std::array<char, header_size>& header, std::size_t at) {
  T value;
  std::memcpy(&value, header.data() + at, sizeof value);
  return value;
}

std::uint64_t checksum(const std::array<char, header_size>& header,
                       const std::vector<char>& payload) {
  // The payload's hash is seeded with the header's, so both are covered in one pass each.
  return XXH64(payload.data(), payload.size(), XXH64(header.data(), hashed_header_size, 0));
}

std::vector<char> to_payload(const model_file& file) {
  std::vector<char> bytes;
  bytes.reserve(file.parameters.size() * sizeof(float) + file.job.size() + 4096);
  payload_writer out(bytes);
  out.sequence(file.job);
  out.value(static_cast<std::uint64_t>(file.parameters_layout.entries().size()));
  for (const auto& e : file.parameters_layout.entries()) {
    out.sequence(e.name);
    out.value(static_cast<std::uint64_t>(e.shape.size()));
    for (auto d : e.shape) out.value(static_cast<std::uint64_t>(d));
  }
  out.sequence(file.parameters);
  out.sequence(file.norm.mean);
  out.sequence(file.norm.scale);
  out.value(file.epochs_done);
  return bytes;
}

model_file from_payload(const std::vector<char>& bytes, const std::string& path) {
  payload_reader in(bytes, "load_model", path);
  model_file file;
  in.sequence(file.job);
  // An entry takes at least its two lengths, a dimension 8 bytes.
  for (auto entries = in.length(16); entries > 0; --entries) {
    std::string name;
    in.sequence(name);
    std::vector<std::size_t> shape(in.length(8));
    for (auto& d : shape) d = in.value<std::uint64_t>();
    try {
      file.parameters_layout.add(std::move(name), std::move(shape));
    } catch (const error& e) {
      in.refuse(e.what());
    }
  }
  in.sequence(file.parameters);
  if (file.parameters.size() != file.parameters_layout.size())
    in.refuse("the layout has " + std::to_string(file.parameters_layout.size()) +
              " parameters, the file " + std::to_string(file.parameters.size()));
  in.sequence(file.norm.mean);
  in.sequence(file.norm.scale);
  if (file.norm.mean.size() != file.norm.scale.size()) in.refuse("a normalization of two sizes");
  file.epochs_done = in.value<std::uint32_t>();
  in.finish();
  return file;
}

} // namespace

void save_model(const std::filesystem::path& path, const model_file& file) {
  if (file.parameters.size() != file.parameters_layout.size())
    throw error("save_model",
                "expected " + std::to_string(file.parameters_layout.size()) +
                    " parameters as the layout says, found " +
                    std::to_string(file.parameters.size()),
                path.string());
  const auto payload = to_payload(file);
  std::array<char, header_size> header{};
  std::memcpy(header.data(), magic.data(), magic.size());
  put(header, 8, format_version);
  put(header, 16, static_cast<std::uint64_t>(payload.size()));
  put(header, hashed_header_size, checksum(header, payload));
  replace_file("save_model", path, {header, payload});
}

model_file load_model(const std::filesystem::path& path) {
  const auto place = path.string();
  const auto refuse = [&](const std::string& reason) { throw error("load_model", reason, place); };
  input_file in("load_model", path);
  std::array<char, header_size> header{};
  const auto found = in.read(header);
  if (std::string_view(header.data(), std::min(found, magic.size())) != magic)
    refuse("wrong magic (expected '" + std::string(magic) + "'): not a model of this program");
  if (found < header_size)
    refuse("truncated (expected a header of " + std::to_string(header_size) + " bytes, found " +
           std::to_string(found) + ")");
  const auto version = get<std::uint32_t>(header, 8);
  if (version != format_version)
    refuse("another format version (expected " + std::to_string(format_version) + ", found " +
           std::to_string(version) + ")");
  const auto payload_size = get<std::uint64_t>(header, 16);
  const auto available = in.size() < header_size ? 0 : in.size() - header_size;
  const auto sizes = " (expected " + std::to_string(payload_size) +
                     " bytes after the header, found " + std::to_string(available) + ")";
  if (payload_size > available) refuse("truncated" + sizes);
  if (payload_size < available) refuse("trailing bytes" + sizes);
  const auto payload = in.read_rest();
  if (payload.size() != payload_size) refuse("truncated while it was read" + sizes);
  if (checksum(header, payload) != get<std::uint64_t>(header, hashed_header_size))
    refuse("wrong checksum: the file is damaged");
  return from_payload(payload, place);
}

std::string parameter_hash(std::span<const float> parameters) {
  const auto hash = XXH64(parameters.data(), parameters.size_bytes(), 0);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += digits[hash >> shift & 15];
  return text;
}

} // namespace troupe::tensor
