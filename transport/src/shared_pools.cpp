#include "troupe/transport/shared_pools.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

namespace troupe::transport {

namespace {

constexpr std::uint64_t pool_form = 0x31'6c'6f'6f'70'72'74'00; // changes with the layout below
constexpr std::size_t page = 4096;

// One per slot, a cache line each: those who hold different slots do not disturb each other.
struct alignas(64) slot_count {
  std::atomic<std::uint32_t> holders;
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free); // else not between processes

struct pool_header {
  std::uint64_t form;
  std::uint64_t token;
  std::uint32_t slots;
  std::uint32_t slot_bytes;
  std::atomic<std::uint32_t> retired; // its process has made another one
  std::uint32_t unused;
};
static_assert(sizeof(pool_header) <= sizeof(slot_count));

constexpr std::size_t header_bytes(std::uint32_t slots) {
  return (sizeof(slot_count) * (std::size_t{slots} + 1) + page - 1) / page * page;
}

std::uint64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000 +
         static_cast<std::uint64_t>(t.tv_nsec) / 1'000'000;
}

// A process is found by its number among those of its process namespace on its host, and its files
// by its user. Those with a network of their own are as if on a host of their own: what cuts the
// network between them cuts them off.
std::uint64_t key_of_process() {
  std::string text;
  std::ifstream boot("/proc/sys/kernel/random/boot_id");
  if (!std::getline(boot, text)) return 0;
  for (const auto* space : {"/proc/self/ns/pid", "/proc/self/ns/net"}) {
    char name[64];
    auto n = ::readlink(space, name, sizeof name);
    if (n <= 0) return 0;
    text.append(name, static_cast<std::size_t>(n));
  }
  text += std::to_string(::geteuid());
  auto host = XXH64(text.data(), text.size(), 0) >> 32;
  return host << 32 | static_cast<std::uint32_t>(::getpid());
}

} // namespace

// A mapped pool. Of another process's the slots are read-only.
class shared_pools::pool {
 public:
  ~pool() {
    if (counts_ != nullptr) ::munmap(counts_, header_bytes(slots_));
    if (data_ != nullptr) ::munmap(data_, data_bytes());
    if (file_ >= 0) ::close(file_);
    if (process_fd_ >= 0) ::close(process_fd_);
  }

  // Null: the system has no such memory.
  static pool_ptr make(const options& o) {
    auto p = std::make_shared<pool>();
    p->file_ = ::memfd_create("troupe pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const auto size = header_bytes(o.slots) + std::size_t{o.slots} * o.slot_bytes;
    if (p->file_ < 0 || ::ftruncate(p->file_, static_cast<off_t>(size)) != 0 ||
        ::fcntl(p->file_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
        !p->map(o.slots, o.slot_bytes, PROT_READ | PROT_WRITE))
      return nullptr;
    std::random_device random;
    p->token_ = std::uint64_t{random()} << 32 | random();
    p->process_ = static_cast<std::uint32_t>(::getpid());
    p->file_number_ = static_cast<std::uint32_t>(p->file_);
    p->made_ms_ = now_ms();
    auto& h = p->header();
    h.slots = o.slots;
    h.slot_bytes = o.slot_bytes;
    h.token = p->token_;
    h.form = pool_form;
    return p;
  }

  // Null: see shared_pools::open.
  static pool_ptr of(const shared_descriptor& d) {
    auto p = std::make_shared<pool>();
    // First, so that a number given to another process meanwhile is told by the token.
    p->process_fd_ = static_cast<int>(::syscall(SYS_pidfd_open, d.process, 0));
    auto name = "/proc/" + std::to_string(d.process) + "/fd/" + std::to_string(d.file);
    const int file = ::open(name.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    p->file_ = file;
    struct stat s {};
    if (p->process_fd_ < 0 || file < 0 || ::fstat(file, &s) != 0 || !S_ISREG(s.st_mode) ||
        s.st_size < static_cast<off_t>(page))
      return nullptr;
    constexpr int needed = F_SEAL_SHRINK | F_SEAL_GROW;
    if ((::fcntl(file, F_GET_SEALS) & needed) != needed) return nullptr;
    pool_header h{};
    if (::pread(file, static_cast<void*>(&h), sizeof h, 0) != sizeof h || h.form != pool_form ||
        h.token != d.token || h.slots == 0 || h.slot_bytes == 0 || h.slot_bytes % page != 0 ||
        static_cast<std::uint64_t>(s.st_size) !=
            header_bytes(h.slots) + std::uint64_t{h.slots} * h.slot_bytes ||
        !p->map(h.slots, h.slot_bytes, PROT_READ))
      return nullptr;
    ::close(std::exchange(p->file_, -1));
    p->token_ = d.token;
    p->process_ = d.process;
    p->file_number_ = d.file;
    return p;
  }

  std::optional<std::uint32_t> take() {
    for (std::uint32_t i = 0; i < slots_; ++i) {
      std::uint32_t nobody = 0;
      // Whoever let go of it had read what it holds before.
      if (holders(i).load(std::memory_order_relaxed) == 0 &&
          holders(i).compare_exchange_strong(nobody, 1, std::memory_order_acquire))
        return i;
    }
    return std::nullopt;
  }
  // A run of `n` slots, the last one there is: single ones are taken from the other end.
  std::optional<std::uint32_t> take_run(std::uint32_t n) {
    std::uint32_t run = 0;
    for (std::uint32_t i = slots_; i-- > 0;) {
      run = holders(i).load(std::memory_order_relaxed) == 0 ? run + 1 : 0;
      if (run < n) continue;
      std::uint32_t taken = 0;
      for (std::uint32_t nobody = 0; taken < n; ++taken, nobody = 0)
        if (!holders(i + taken).compare_exchange_strong(nobody, 1, std::memory_order_acquire))
          break;
      if (taken == n) return i;
      while (taken-- > 0) let_go(i + taken);
      run = 0;
    }
    return std::nullopt;
  }
  bool has_other_holders(std::uint32_t slot) {
    return holders(slot).load(std::memory_order_acquire) > 1;
  }
  void hold(std::uint32_t slot) { holders(slot).fetch_add(1, std::memory_order_relaxed); }
  void let_go(std::uint32_t slot) { holders(slot).fetch_sub(1, std::memory_order_release); }

  std::byte* slot(std::uint32_t i) { return data_ + std::size_t{i} * slot_bytes_; }
  bool holds(const std::byte* at) const { return at >= data_ && at < data_ + data_bytes(); }
  bool is_that_of(const shared_descriptor& d) const {
    return token_ == d.token && process_ == d.process && file_number_ == d.file;
  }
  bool fits(const shared_descriptor& d) const {
    return d.slot < slots_ && d.offset <= slot_bytes_ && d.size <= slot_bytes_ - d.offset;
  }
  shared_descriptor describe(std::span<const std::byte> bytes) const {
    auto at = static_cast<std::size_t>(bytes.data() - data_);
    return {process_,
            file_number_,
            token_,
            static_cast<std::uint32_t>(at / slot_bytes_),
            static_cast<std::uint32_t>(at % slot_bytes_),
            static_cast<std::uint32_t>(bytes.size())};
  }
  std::uint32_t left_in_slot(const std::byte* at) const {
    return slot_bytes_ -
           static_cast<std::uint32_t>(static_cast<std::size_t>(at - data_) % slot_bytes_);
  }
  std::uint64_t age_ms() const { return now_ms() - made_ms_; }
  void retire() { header().retired.store(1, std::memory_order_relaxed); }
  bool is_of_use() {
    if (header().retired.load(std::memory_order_relaxed) != 0) return false;
    pollfd ended{process_fd_, POLLIN, 0};
    return process_fd_ < 0 || ::poll(&ended, 1, 0) == 0;
  }
  std::uint32_t free_slots() {
    std::uint32_t n = 0;
    for (std::uint32_t i = 0; i < slots_; ++i)
      if (holders(i).load(std::memory_order_relaxed) == 0) ++n;
    return n;
  }

 private:
  bool map(std::uint32_t slots, std::uint32_t slot_bytes, int slot_access) {
    slots_ = slots;
    slot_bytes_ = slot_bytes;
    void* at = ::mmap(nullptr, header_bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (at == MAP_FAILED) return false;
    counts_ = static_cast<slot_count*>(at);
    at = ::mmap(nullptr, data_bytes(), slot_access, MAP_SHARED, file_,
                static_cast<off_t>(header_bytes(slots)));
    if (at == MAP_FAILED) return false;
    data_ = static_cast<std::byte*>(at);
    return true;
  }
  std::size_t data_bytes() const { return std::size_t{slots_} * slot_bytes_; }
  pool_header& header() { return *reinterpret_cast<pool_header*>(counts_); }
  std::atomic<std::uint32_t>& holders(std::uint32_t slot) { return counts_[slot + 1].holders; }

  int file_ = -1;       // of an own one
  int process_fd_ = -1; // of another one's process
  std::uint32_t process_ = 0;
  std::uint32_t file_number_ = 0;
  std::uint64_t token_ = 0;
  std::uint64_t made_ms_ = 0;
  std::uint32_t slots_ = 0;
  std::uint32_t slot_bytes_ = 0;
  slot_count* counts_ = nullptr;
  std::byte* data_ = nullptr;
};

shared_pools::shared_pools(options o) : options_(o) {}
shared_pools::~shared_pools() = default;

void shared_pools::enable() {
  const auto key = key_of_process();
  std::lock_guard lock(mutex_);
  if (key_ != key) own_.reset(); // that of the process that this one was forked from
  key_ = key;
}

void shared_pools::disable() noexcept {
  std::lock_guard lock(mutex_);
  key_ = 0;
}

std::uint64_t shared_pools::key() const noexcept {
  std::lock_guard lock(mutex_);
  return key_;
}

bool shared_pools::shares_with(std::uint64_t key) const noexcept {
  auto own = this->key();
  return own != 0 && key != own && key >> 32 == own >> 32;
}

// `d` fits the pool, and its holder is the caller.
shared_bytes shared_pools::bytes_of(const pool_ptr& p, const shared_descriptor& d) const {
  const auto* data = p->slot(d.slot) + d.offset;
  std::shared_ptr<const void> owner(data, [p, slot = d.slot](const void*) { p->let_go(slot); });
  return {std::move(owner), data, d.size};
}

// Makes one, or another in the place of one that is full (POOL-2), under the mutex.
bool shared_pools::have_own() {
  if (own_ && own_->age_ms() < options_.pool_patience_ms) return true;
  if (own_) own_->retire();
  own_ = pool::make(options_);
  return own_ != nullptr;
}

void* shared_pools::array_source::allocate(std::size_t bytes) {
  if (auto* p = pools_.take_array(bytes)) return p;
  return ::operator new (bytes, std::align_val_t{tensor::alignment});
}

void shared_pools::array_source::deallocate(void* p, std::size_t) noexcept {
  if (!pools_.give_back(p)) ::operator delete (p, std::align_val_t{tensor::alignment});
}

// Null: see `arrays`.
void* shared_pools::take_array(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  if (key_ == 0 || bytes < options_.least_array_bytes || (!own_ && !have_own())) return nullptr;
  const auto slots = (bytes + options_.slot_bytes - 1) / options_.slot_bytes;
  std::size_t of_arrays = slots;
  for (const auto& [at, a] : arrays_)
    if (a.in == own_) of_arrays += a.slots;
  if (of_arrays > options_.slots / 4 * 3) return nullptr;
  const auto n = static_cast<std::uint32_t>(slots);
  auto first = own_->take_run(n);
  if (!first && have_own()) first = own_->take_run(n);
  if (!first) return nullptr;
  auto* at = own_->slot(*first);
  arrays_[at] = {own_, *first, static_cast<std::uint32_t>(slots)};
  return at;
}

bool shared_pools::give_back(void* array) noexcept {
  std::lock_guard lock(mutex_);
  const auto i = arrays_.find(array);
  if (i == arrays_.end()) return false;
  for (std::uint32_t s = 0; s < i->second.slots; ++s)
    i->second.in->let_go(i->second.first_slot + s);
  arrays_.erase(i);
  return true;
}

bool shared_pools::held_elsewhere(const void* array) const {
  std::lock_guard lock(mutex_);
  const auto i = arrays_.find(array);
  if (i == arrays_.end()) return false;
  for (std::uint32_t s = 0; s < i->second.slots; ++s)
    if (i->second.in->has_other_holders(i->second.first_slot + s)) return true;
  return false;
}

bool shared_pools::outdated(const void* array) const {
  std::lock_guard lock(mutex_);
  const auto i = arrays_.find(array);
  return i != arrays_.end() && i->second.in != own_;
}

std::uint32_t shared_pools::left_in_slot(const std::byte* data) const {
  std::lock_guard lock(mutex_);
  return own_ && own_->holds(data) ? own_->left_in_slot(data) : 0;
}

std::optional<shared_bytes> shared_pools::copy(std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.size() > options_.slot_bytes) return std::nullopt;
  pool_ptr p;
  std::optional<std::uint32_t> slot;
  {
    std::lock_guard lock(mutex_);
    if (own_) slot = own_->take();
    if (!slot && have_own()) slot = own_->take();
    p = own_;
  }
  if (!slot) return std::nullopt;
  std::memcpy(p->slot(*slot), bytes.data(), bytes.size());
  auto size = static_cast<std::uint32_t>(bytes.size());
  return bytes_of(p, {.slot = *slot, .size = size});
}

shared_pools::pool_ptr shared_pools::pool_at(const std::byte* data) const {
  std::lock_guard lock(mutex_);
  if (own_ && own_->holds(data)) return own_;
  auto i = std::ranges::find_if(open_, [data](const auto& p) { return p->holds(data); });
  return i != open_.end() ? *i : nullptr;
}

bool shared_pools::contains(const std::byte* data) const { return pool_at(data) != nullptr; }

std::optional<shared_descriptor> shared_pools::lend(std::span<const std::byte> bytes) {
  auto p = pool_at(bytes.data());
  if (!p) return std::nullopt;
  auto d = p->describe(bytes);
  if (!p->fits(d) || !p->is_of_use()) return std::nullopt;
  p->hold(d.slot);
  return d;
}

bool shared_pools::can_lend(std::span<const std::byte> bytes) const {
  const auto p = pool_at(bytes.data());
  return p && p->fits(p->describe(bytes)) && p->is_of_use();
}

std::optional<shared_bytes> shared_pools::open(const shared_descriptor& d) {
  pool_ptr p;
  {
    std::lock_guard lock(mutex_);
    auto i = std::ranges::find_if(open_, [&d](const auto& p) { return p->is_that_of(d); });
    if (own_ && own_->is_that_of(d))
      p = own_;
    else if (i != open_.end())
      p = *i;
  }
  if (!p) {
    sweep();
    p = pool::of(d);
    if (!p) return std::nullopt;
    std::lock_guard lock(mutex_);
    open_.push_back(p);
  }
  if (!p->fits(d)) return std::nullopt;
  return bytes_of(p, d);
}

void shared_pools::sweep() {
  std::lock_guard lock(mutex_);
  std::erase_if(open_, [](const auto& p) { return !p->is_of_use(); });
}

std::uint32_t shared_pools::free_slots() const {
  std::lock_guard lock(mutex_);
  return own_ ? own_->free_slots() : options_.slots;
}

std::size_t shared_pools::pools_open() const {
  std::lock_guard lock(mutex_);
  return open_.size();
}

} // namespace troupe::transport
