#include "troupe/tensor/idx.hpp"

#include "refusal.hpp"
#include "scratch_folder.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <initializer_list>
#include <vector>

#include <sys/stat.h>
#include <zlib.h>

using namespace troupe::tensor;
using Catch::Contains;

namespace {

std::string idx(std::uint32_t magic, std::initializer_list<std::uint32_t> shape,
                const std::string& values) {
  std::string bytes;
  const auto put = [&](std::uint32_t x) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(x >> shift & 255);
  };
  put(magic);
  for (auto d : shape) put(d);
  return bytes + values;
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(bytes.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

bool same_features(const data_set& a, const data_set& b) {
  const auto x = a.all().features;
  const auto y = b.all().features;
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

const std::string image_bytes =
    idx(2051, {3, 2, 2}, std::string("\x00\x33\x66\xff\x01\x02\x03\x04\x05\x06\x07\x08", 12));
const std::string label_bytes = idx(2049, {3}, std::string("\x02\x00\x01", 3));

} // namespace

TEST_CASE("plain and gzip IDX files give the same images and labels") {
  scratch_folder folder;
  const bool compressed_images = GENERATE(false, true);
  const bool compressed_labels = GENERATE(false, true);
  const auto images = folder.write("images", compressed_images ? gzip(image_bytes) : image_bytes);
  const auto labels = folder.write("labels", compressed_labels ? gzip(label_bytes) : label_bytes);
  const auto data = load_idx(images, labels);
  CHECK(data.size() == 3);
  CHECK(data.feature_count() == 4);
  CHECK(data.class_count() == 3);
  CHECK(data.suggested_normalization() == normalization_kind::global);
  const auto first = data.view(0, 1);
  CHECK(std::vector<float>(first.features.begin(), first.features.end()) ==
        std::vector<float>{0, 0.2f, 0.4f, 1});
  CHECK(data.view(2, 1).labels[0] == 1);

  const auto alone = load_idx_images(images);
  CHECK(alone.size() == 3);
  CHECK(alone.class_count() == 0);
  CHECK(alone.target_count() == 0);
}

TEST_CASE("a large gzip file is inflated in several steps") {
  scratch_folder folder;
  const std::string pixels(3000 * 1000, '\x07');
  const auto images = folder.write("images", gzip(idx(2051, {3, 1000, 1000}, pixels)));
  const auto data = load_idx(images, folder.write("labels", label_bytes));
  CHECK(data.feature_count() == 1'000'000);
  CHECK(data.all().features.back() == 7.0f / 255.0f);
}

TEST_CASE("every malformed IDX file is refused with its own reason and its name") {
  scratch_folder folder;
  const auto images = folder.write("images", image_bytes);
  const auto labels = folder.write("labels", label_bytes);
  const auto as_images = [&](const std::string& bytes) {
    const auto path = folder.write("bad", bytes);
    return refusal([&] { load_idx(path, labels); });
  };
  const auto as_labels = [&](const std::string& bytes) {
    const auto path = folder.write("bad", bytes);
    return refusal([&] { load_idx(images, path); });
  };
  CHECK_THAT(refusal([&] { load_idx(folder.path() / "absent", labels); }),
             Contains("[troupe::tensor::load_idx] cannot open: No such file") &&
                 Contains("absent"));
  CHECK_THAT(refusal([&] { load_idx(folder.path(), labels); }), Contains("regular file"));
  CHECK_THAT(as_images(""), Contains("truncated (expected 4 bytes, found 0)") && Contains("bad"));
  CHECK_THAT(as_images(image_bytes.substr(0, 9)),
             Contains("truncated (expected 16 bytes, found 9)"));
  CHECK_THAT(as_images(image_bytes.substr(0, 27)), Contains("expected 28 bytes, found 27"));
  CHECK_THAT(as_images(image_bytes + "x"),
             Contains("bytes after the end") && Contains("offset 28"));
  CHECK_THAT(as_images(label_bytes),
             Contains("wrong magic number (expected 2051 for images, found 2049)"));
  CHECK_THAT(as_labels(image_bytes),
             Contains("wrong magic number (expected 2049 for labels, found 2051)"));
  CHECK_THAT(as_images("<html>not an IDX file"), Contains("wrong magic number"));
  CHECK_THAT(as_images(idx(0x0d03, {1, 1, 1}, "1234")), Contains("wrong magic number"));
  CHECK_THAT(as_images(idx(2051, {0, 28, 28}, "")), Contains("holds no values"));
  CHECK_THAT(as_labels(idx(2049, {2}, "\x01\x01")),
             Contains("as many labels as images (3), found 2"));
}

TEST_CASE("dimensions that lie are refused without taking the memory they ask for") {
  scratch_folder folder;
  const auto labels = folder.write("labels", label_bytes);
  const auto reason = [&](const std::string& bytes) {
    const auto path = folder.write("bad", bytes);
    return refusal([&] { load_idx(path, labels); });
  };
  const std::uint32_t most = 0xffffffff;
  CHECK_THAT(reason(idx(2051, {most, most, most}, "abc")), Contains("impossible dimensions"));
  // Their product is 2^64 - 1: adding the header's size to it would wrap around.
  CHECK_THAT(reason(idx(2051, {most, 641, 6700417}, "abc")), Contains("impossible dimensions"));
  CHECK_THAT(reason(idx(2051, {most, 28, 28}, "abc")), Contains("truncated"));
  CHECK_THAT(reason(gzip(idx(2051, {most, 28, 28}, "abc"))), Contains("truncated"));
}

TEST_CASE("every truncation of a gzip file and every damaged byte in its data is refused") {
  scratch_folder folder;
  const auto labels = folder.write("labels", label_bytes);
  const auto whole = gzip(image_bytes);
  const auto reason = [&](const std::string& bytes) {
    const auto path = folder.write("bad", bytes);
    return refusal([&] { load_idx(path, labels); });
  };
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_THAT(reason(whole.substr(0, size)), Contains("truncated"));
  CHECK_THAT(reason(whole + "x"), Contains("after the end of the gzip data"));
  // The first 10 bytes are the gzip header, of which some (time, system) mean nothing to the data.
  const auto right = load_idx_images(folder.write("right", image_bytes));
  std::size_t refused = 0;
  for (std::size_t at = 10; at < whole.size(); ++at) {
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const auto path = folder.write("bad", damaged);
    // Some bits mean nothing (those that fill up the last byte before the checksum): then the data
    // must be the right ones.
    if (refusal([&] { load_idx(path, labels); }) != "nothing was thrown")
      ++refused;
    else
      CHECK(same_features(load_idx_images(path), right));
  }
  CHECK(refused >= whole.size() - 12);
}

TEST_CASE("a pipe is refused, not waited for") {
  scratch_folder folder;
  const auto pipe = folder.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THAT(refusal([&] { load_idx_images(pipe); }), Contains("expected a regular file"));
}
