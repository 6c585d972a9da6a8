#include "troupe/tensor/payload.hpp"

#include "troupe/values/error.hpp"

#include <bit>
#include <cereal/archives/portable_binary.hpp>
#include <istream>
#include <ostream>
#include <streambuf>

namespace troupe::tensor {

static_assert(std::endian::native == std::endian::little, "elements are written as they lie");

namespace {

class append_buffer : public std::streambuf {
 public:
  explicit append_buffer(std::vector<char>& bytes) : bytes_(bytes) {}

 protected:
  std::streamsize xsputn(const char* data, std::streamsize n) override {
    bytes_.insert(bytes_.end(), data, data + n);
    return n;
  }
  int_type overflow(int_type c) override {
    bytes_.push_back(traits_type::to_char_type(c));
    return c;
  }

 private:
  std::vector<char>& bytes_;
};

class read_buffer : public std::streambuf {
 public:
  explicit read_buffer(std::span<const char> bytes) {
    auto* begin = const_cast<char*>(bytes.data()); // a streambuf has no other way; only read
    setg(begin, begin, begin + bytes.size());
  }
  std::size_t left() const { return static_cast<std::size_t>(egptr() - gptr()); }
};

} // namespace

// The bytes are those of cereal's own vector and string, written out by hand because its loading
// half allocates what the length says before it looks whether so much follows.
struct payload_writer::archive {
  explicit archive(std::vector<char>& bytes) : buffer(bytes), stream(&buffer), out(stream) {}
  append_buffer buffer;
  std::ostream stream;
  cereal::PortableBinaryOutputArchive out;
};

payload_writer::payload_writer(std::vector<char>& bytes)
    : archive_(std::make_unique<archive>(bytes)) {}
payload_writer::~payload_writer() = default;

template <payload_number T>
void payload_writer::value(T v) {
  archive_->out(v);
}
template void payload_writer::value(std::uint8_t);
template void payload_writer::value(std::uint32_t);
template void payload_writer::value(std::uint64_t);

void payload_writer::raw(const void* data, std::size_t bytes) {
  archive_->out(cereal::binary_data(static_cast<const char*>(data), bytes));
}

struct payload_reader::archive {
  explicit archive(std::span<const char> bytes) : buffer(bytes), stream(&buffer), in(stream) {}
  read_buffer buffer;
  std::istream stream;
  cereal::PortableBinaryInputArchive in;
};

payload_reader::payload_reader(std::span<const char> bytes, std::string_view function,
                               std::string_view place)
    : function_(function), place_(place) {
  // The archive's constructor reads a byte, and believes it: every number would be turned around.
  if (bytes.empty()) refuse("no contents");
  if (bytes.front() != 1) refuse("of another byte order");
  archive_ = std::make_unique<archive>(bytes);
}
payload_reader::~payload_reader() = default;

template <payload_number T>
T payload_reader::value() {
  if (archive_->buffer.left() < sizeof(T)) refuse("ends within a value");
  T v{};
  archive_->in(v);
  return v;
}
template std::uint8_t payload_reader::value();
template std::uint32_t payload_reader::value();
template std::uint64_t payload_reader::value();

std::size_t payload_reader::length(std::size_t element_size) {
  const auto n = value<std::uint64_t>();
  if (n > archive_->buffer.left() / element_size)
    refuse("has a length of " + std::to_string(n) + " with only " +
           std::to_string(archive_->buffer.left()) + " bytes left");
  return n;
}

void payload_reader::raw(void* data, std::size_t bytes) {
  archive_->in(cereal::binary_data(static_cast<char*>(data), bytes));
}

void payload_reader::finish() {
  if (const auto left = archive_->buffer.left(); left > 0)
    refuse(std::to_string(left) + " bytes are left over");
}

void payload_reader::refuse(const std::string& reason) const {
  throw error(function_, "impossible contents: " + reason, place_);
}

} // namespace troupe::tensor
