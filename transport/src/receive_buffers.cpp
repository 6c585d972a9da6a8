#include "troupe/transport/receive_buffers.hpp"

#include <array>
#include <mutex>
#include <new>
#include <vector>

namespace troupe::transport {

namespace {

constexpr std::align_val_t page{4096};
constexpr std::array<std::uint32_t, 2> sizes{receive_buffers::buffer_bytes / 4,
                                             receive_buffers::buffer_bytes};

} // namespace

struct receive_buffers::stock {
  explicit stock(std::size_t most) : kept_max(most) {}
  ~stock() {
    for (const auto& free_of_size : free)
      for (auto* b : free_of_size) ::operator delete(b, page);
  }

  void take_back(std::byte* b, std::size_t size_class) {
    {
      std::lock_guard lock(mutex);
      if (free[size_class].size() < kept_max) {
        free[size_class].push_back(b);
        return;
      }
    }
    ::operator delete(b, page);
  }

  const std::size_t kept_max;
  std::mutex mutex;
  std::array<std::vector<std::byte*>, sizes.size()> free;
};

receive_buffers::receive_buffers(std::size_t kept_max) : stock_(std::make_shared<stock>(kept_max)) {
  for (auto& f : stock_->free) f.reserve(kept_max); // so that giving back never throws
}

std::shared_ptr<std::byte> receive_buffers::take(std::uint32_t size) {
  const std::size_t size_class = size <= sizes[0] ? 0 : 1;
  std::byte* b = nullptr;
  {
    std::lock_guard lock(stock_->mutex);
    auto& free = stock_->free[size_class];
    if (!free.empty()) {
      b = free.back();
      free.pop_back();
    }
  }
  if (b == nullptr) b = static_cast<std::byte*>(::operator new(sizes[size_class], page));
  return {b, [stock = stock_, size_class](std::byte* done) { stock->take_back(done, size_class); }};
}

std::size_t receive_buffers::kept() const {
  std::lock_guard lock(stock_->mutex);
  std::size_t n = 0;
  for (const auto& f : stock_->free) n += f.size();
  return n;
}

} // namespace troupe::transport
