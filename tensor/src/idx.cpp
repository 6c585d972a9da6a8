#include "troupe/tensor/idx.hpp"

#include "input_file.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <zlib.h>

namespace troupe::tensor {

namespace {

constexpr std::string_view function = "load_idx";
constexpr std::size_t max_dimensions = 4;
constexpr std::size_t max_header = 4 + 4 * max_dimensions;

/// The file's bytes, after inflation when it is gzip, handed out up to a limit: the header is read
/// first, and it alone says how much more is taken into memory.
class idx_bytes {
 public:
  explicit idx_bytes(const std::filesystem::path& path) : path_(path.string()) {
    input_file file(function, path);
    raw_ = file.read_rest();
    gzip_ = raw_.size() >= 2 && static_cast<unsigned char>(raw_[0]) == 0x1f &&
            static_cast<unsigned char>(raw_[1]) == 0x8b;
    if (!gzip_) return;
    // 16: expect a gzip header and check its checksum. zlib counts in 32 bits; see feed().
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw error(function, "zlib did not start", path_);
    initialized_ = true;
  }
  ~idx_bytes() {
    if (initialized_) inflateEnd(&stream_);
  }
  idx_bytes(const idx_bytes&) = delete;
  idx_bytes& operator=(const idx_bytes&) = delete;

  const std::string& path() const { return path_; }

  /// At least `limit` bytes, or all there are.
  const std::vector<char>& up_to(std::size_t limit) {
    if (!gzip_) return raw_;
    while (!ended_ && inflated_.size() < limit) inflate_some(limit);
    return inflated_;
  }

 private:
  void inflate_some(std::size_t limit) {
    constexpr std::size_t step = std::size_t{1} << 20;
    const auto before = inflated_.size();
    const auto room = std::min(step, limit - before);
    inflated_.resize(before + room);
    stream_.next_out = reinterpret_cast<Bytef*>(inflated_.data() + before);
    stream_.avail_out = static_cast<uInt>(room);
    int code = Z_OK;
    while (stream_.avail_out > 0 && code == Z_OK) {
      feed();
      code = inflate(&stream_, Z_NO_FLUSH);
    }
    inflated_.resize(before + room - stream_.avail_out);
    if (code == Z_STREAM_END) {
      ended_ = true;
      feed();
      if (stream_.avail_in > 0)
        throw error(function, "bytes after the end of the gzip data", path_);
    } else if (code == Z_BUF_ERROR) {
      throw error(function, "the gzip data ends too early (truncated file)", path_);
    } else if (code != Z_OK) {
      throw error(function,
                  std::string("the gzip data is damaged: ") +
                      (stream_.msg != nullptr ? stream_.msg : "unknown reason"),
                  path_ + ", offset " + std::to_string(fed_ - stream_.avail_in));
    }
  }

  void feed() {
    if (stream_.avail_in > 0) return;
    const auto n = std::min(raw_.size() - fed_, std::size_t{1} << 30);
    stream_.next_in = reinterpret_cast<Bytef*>(raw_.data() + fed_);
    stream_.avail_in = static_cast<uInt>(n);
    fed_ += n;
  }

  std::string path_;
  std::vector<char> raw_;
  std::vector<char> inflated_;
  z_stream stream_{};
  std::size_t fed_ = 0;
  bool gzip_ = false;
  bool initialized_ = false;
  bool ended_ = false;
};

struct idx_array {
  std::vector<std::size_t> shape;
  aligned_vector<unsigned char> values;
};

std::size_t big_endian(const std::vector<char>& bytes, std::size_t at) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

/// `what` names the expectation: "images" have 2 to 4 dimensions, "labels" one.
idx_array read_array(const std::filesystem::path& path, bool images) {
  idx_bytes source(path);
  const auto& header = source.up_to(max_header);
  const auto truncated = [&](std::size_t expected, std::size_t found) {
    return error(function,
                 "truncated (expected " + std::to_string(expected) + " bytes, found " +
                     std::to_string(found) + ")",
                 source.path());
  };
  if (header.size() < 4) throw truncated(4, header.size());
  const auto magic = big_endian(header, 0);
  const auto dimensions = magic & 0xff;
  const bool fits = images ? dimensions >= 2 && dimensions <= max_dimensions : dimensions == 1;
  if ((magic >> 8) != 0x08 || !fits)
    throw error(function,
                "wrong magic number (expected " +
                    std::string(images ? "2051 for images" : "2049 for labels") + ", found " +
                    std::to_string(magic) + ")",
                source.path() + ", offset 0");
  const auto header_size = 4 + 4 * dimensions;
  if (header.size() < header_size) throw truncated(header_size, header.size());
  idx_array result;
  std::size_t count = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    result.shape.push_back(big_endian(header, 4 + 4 * d));
    // A quarter of the address space, so that neither header nor conversion to float overflows.
    if (__builtin_mul_overflow(count, result.shape.back(), &count) || count > SIZE_MAX / 8)
      throw error(function, "impossible dimensions", source.path() + ", offset 4");
  }
  if (count == 0) throw error(function, "holds no values", source.path() + ", offset 4");
  const auto expected = header_size + count;
  const auto& bytes = source.up_to(expected + 1);
  if (bytes.size() < expected) throw truncated(expected, bytes.size());
  if (bytes.size() > expected)
    throw error(function, "bytes after the end (expected " + std::to_string(expected) + " bytes)",
                source.path() + ", offset " + std::to_string(expected));
  result.values.assign(bytes.begin() + static_cast<std::ptrdiff_t>(header_size), bytes.end());
  return result;
}

data_set::contents read_images(const std::filesystem::path& path) {
  auto images = read_array(path, true);
  data_set::contents c;
  c.feature_count = images.values.size() / images.shape[0];
  c.suggested = normalization_kind::global;
  c.bytes = std::move(images.values);
  return c;
}

} // namespace

data_set load_idx(const std::filesystem::path& images, const std::filesystem::path& labels) {
  auto c = read_images(images);
  const auto classes = read_array(labels, false);
  const auto samples = c.bytes.size() / c.feature_count;
  if (classes.values.size() != samples)
    throw error(function,
                "expected as many labels as images (" + std::to_string(samples) + "), found " +
                    std::to_string(classes.values.size()),
                labels.string());
  c.labels.assign(classes.values.begin(), classes.values.end());
  c.class_count = std::size_t{*std::max_element(classes.values.begin(), classes.values.end())} + 1;
  return data_set(std::move(c));
}

data_set load_idx_images(const std::filesystem::path& images) {
  return data_set(read_images(images));
}

} // namespace troupe::tensor
