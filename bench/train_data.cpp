#include "train_data.hpp"

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "troupe/tensor/digits.hpp"

namespace troupe::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t pictures = 10'000;
constexpr std::uint32_t side = 28;

// http://yann.lecun.com/exdb/mnist: 0, 0, 8 for unsigned bytes, the number of dimensions; then
// these, big-endian.
void write_idx(const fs::path& file, const std::vector<std::uint32_t>& dimensions,
               const std::vector<char>& bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write("\0\0\x08", 3).put(static_cast<char>(dimensions.size()));
  for (const auto d : dimensions)
    for (int shift = 24; shift >= 0; shift -= 8) out.put(static_cast<char>(d >> shift));
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error(file.string() + ": cannot write");
}

} // namespace

digit_files write_digits(const fs::path& folder) {
  const auto digits = tensor::make_digits(pictures, 1);
  const auto& drawn = digits.stored();
  const std::vector<char> pixels(drawn.bytes.begin(), drawn.bytes.end());
  std::vector<char> labels;
  for (const auto l : drawn.labels) labels.push_back(static_cast<char>(l));
  digit_files files{"digits drawn by the program", folder / "images.idx", folder / "labels.idx"};
  write_idx(files.images, {pictures, side, side}, pixels);
  write_idx(files.labels, {pictures}, labels);
  return files;
}

digit_files find_digits(const fs::path& scratch) {
  const fs::path folder(TROUPE_REAL_DIGITS);
  digit_files real{"real digits", folder / "t10k-images-idx3-ubyte.gz",
                   folder / "t10k-labels-idx1-ubyte.gz"};
  if (fs::exists(real.images) && fs::exists(real.labels)) return real;
  return write_digits(scratch);
}

} // namespace troupe::bench
