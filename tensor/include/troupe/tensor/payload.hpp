#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace troupe::tensor {

template <class T>
concept payload_number = std::same_as<T, std::uint8_t> || std::same_as<T, std::uint32_t> ||
    std::same_as<T, std::uint64_t>;

/// Numbers and sequences as Cereal's portable binary archive writes them: a byte that says little-
/// endian, then every number little-endian at its own width, and a sequence as its length (8 bytes)
/// and its elements as they lie. What every versioned file of Troupe has inside. Cereal itself is
/// needed by this folder's sources alone.
///
/// PAYLOAD-1  A reader takes no memory on the word of a length before that many bytes are there,
///            and refuses what it cannot read by `error`, with the reason.
///
/// Neither class is thread-safe.
class payload_writer {
 public:
  /// Appends to `bytes`, which must outlive the writer.
  explicit payload_writer(std::vector<char>& bytes);
  ~payload_writer();
  payload_writer(const payload_writer&) = delete;
  payload_writer& operator=(const payload_writer&) = delete;

  template <payload_number T>
  void value(T v);

  /// A vector, span or string of plain elements.
  template <class Sequence>
  void sequence(const Sequence& s) {
    using element = typename Sequence::value_type;
    static_assert(std::is_arithmetic_v<element>);
    value(static_cast<std::uint64_t>(s.size()));
    raw(s.data(), s.size() * sizeof(element));
  }

 private:
  struct archive;
  void raw(const void* data, std::size_t bytes);
  std::unique_ptr<archive> archive_;
};

class payload_reader {
 public:
  /// Of bytes that must outlive the reader. `function` and `place` are those of the errors. Throws
  /// `error` when there are no bytes, or they are of another byte order.
  payload_reader(std::span<const char> bytes, std::string_view function,
                 std::string_view place = {});
  ~payload_reader();
  payload_reader(const payload_reader&) = delete;
  payload_reader& operator=(const payload_reader&) = delete;

  template <payload_number T>
  T value();

  /// A count of things that take at least `element_size` bytes each: refused when not as many bytes
  /// are left.
  std::size_t length(std::size_t element_size);

  template <class Sequence>
  void sequence(Sequence& s) {
    using element = typename Sequence::value_type;
    static_assert(std::is_arithmetic_v<element>);
    s.resize(length(sizeof(element)));
    raw(s.data(), s.size() * sizeof(element));
  }

  /// Refuses bytes that are left over.
  void finish();

  [[noreturn]] void refuse(const std::string& reason) const;

 private:
  struct archive;
  void raw(void* data, std::size_t bytes);
  std::string function_;
  std::string place_;
  std::unique_ptr<archive> archive_;
};

} // namespace troupe::tensor
