#include "troupe/chaos/simulated_disk.hpp"

#include <algorithm>

#include "troupe/values/error.hpp"

namespace troupe::chaos {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t sector = 512;

[[noreturn]] void fail(const char* why, const fs::path& path) {
  throw tensor::error("chaos::simulated_disk", why, path.string());
}

std::string key(const fs::path& path) {
  auto text = path.lexically_normal().string();
  if (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

bool lies_in(const std::string& path, const std::string& folder) {
  return path.size() > folder.size() + 1 && path.starts_with(folder) && path[folder.size()] == '/';
}

bool lies_directly_in(const std::string& path, const std::string& folder) {
  return lies_in(path, folder) && path.find('/', folder.size() + 1) == path.npos;
}

} // namespace

simulated_disk::simulated_disk(std::uint64_t seed, std::uint64_t stream,
                               std::function<void(sim_time)> wait)
    : random_(seed, stream), wait_(std::move(wait)) {}

// -- faults ---------------------------------------------------------------------------------------

simulated_disk::content simulated_disk::after_power_loss(const node& n) {
  if (!n.dirty) return n.now;
  switch (random_.below(4)) {
  case 0:
    return n.synced;
  case 1:
    return n.now;
  case 2: { // torn off
    auto c = n.now;
    c.resize(random_.below(c.size() + 1));
    return c;
  }
  default: { // some sectors never arrived
    auto c = n.now;
    for (std::size_t at = 0; at < c.size(); at += sector) {
      if (random_.below(2) == 0) continue;
      for (std::size_t i = at; i < std::min(at + sector, c.size()); ++i)
        c[i] = i < n.synced.size() ? n.synced[i] : std::byte{0};
    }
    return c;
  }
  }
}

void simulated_disk::lose_power() {
  names after;
  std::set<std::string> all;
  for (const auto& [path, n] : now_) all.insert(path);
  for (const auto& [path, n] : synced_) all.insert(path);
  for (const auto& path : all) {
    const auto before = synced_.find(path);
    const auto latest = now_.find(path);
    const auto old = before != synced_.end() ? before->second : nullptr;
    const auto fresh = latest != now_.end() ? latest->second : nullptr;
    auto stays = old == fresh || random_.below(2) == 0 ? fresh : old;
    if (stays) after[path] = std::move(stays);
  }
  std::set<const node*> settled;
  for (auto& [path, n] : after) {
    if (!settled.insert(n.get()).second) continue;
    n->now = after_power_loss(*n);
    n->synced = n->now;
    n->dirty = false;
    for (auto folder = fs::path(path).parent_path(); !folder.empty() && folder != "/";
         folder = folder.parent_path())
      folders_.insert(folder.string());
  }
  now_ = after;
  synced_ = std::move(after);
}

void simulated_disk::flip(content& c, tensor::generator& random) {
  if (c.empty()) return;
  const auto bit = random.below(8 * c.size());
  c[bit / 8] ^= std::byte{1} << (bit % 8);
}

void simulated_disk::flip_bit() {
  if (now_.empty()) return;
  auto i = std::next(now_.begin(), static_cast<std::ptrdiff_t>(random_.below(now_.size())));
  flip(i->second->now, random_);
  if (!i->second->dirty) i->second->synced = i->second->now;
}

void simulated_disk::operate() {
  if (slow_.count() > 0) wait_(sim_time(random_.below(static_cast<std::uint64_t>(slow_.count()))));
}

// -- files ----------------------------------------------------------------------------------------

std::shared_ptr<simulated_disk::node> simulated_disk::find(const fs::path& file) const {
  auto i = now_.find(key(file));
  return i != now_.end() ? i->second : nullptr;
}

simulated_disk::status simulated_disk::look(const fs::path& path) {
  if (auto n = find(path)) return {status::kind::file, n->now.size()};
  if (folders_.contains(key(path))) return {status::kind::folder, 0};
  return {};
}

std::vector<std::string> simulated_disk::list(const fs::path& folder) {
  const auto parent = key(folder);
  std::vector<std::string> result;
  for (const auto& path : folders_)
    if (lies_directly_in(path, parent)) result.push_back(path.substr(parent.size() + 1));
  for (const auto& [path, n] : now_)
    if (lies_directly_in(path, parent)) result.push_back(path.substr(parent.size() + 1));
  return result;
}

std::size_t simulated_disk::read(const fs::path& file, std::span<std::byte> bytes) {
  operate();
  const auto n = find(file);
  if (!n) fail("cannot open: No such file or directory", file);
  const auto count = std::min(bytes.size(), n->now.size());
  std::copy_n(n->now.begin(), count, bytes.begin());
  return count;
}

void simulated_disk::write(const fs::path& file, std::span<const std::byte> bytes) {
  operate();
  if (!folders_.contains(key(file.parent_path())))
    fail("cannot create a file in this folder: No such file or directory", file);
  auto& n = now_[key(file)];
  if (!n) n = std::make_shared<node>();
  if (full_) bytes = bytes.first(bytes.size() / 2);
  n->now.assign(bytes.begin(), bytes.end());
  n->dirty = true;
  if (flipping_ && random_.below(2) == 0) flip(n->now, random_);
  if (full_) fail("cannot write: No space left on device", file);
}

void simulated_disk::sync(const fs::path& file) {
  operate();
  const auto n = find(file);
  if (!n) fail("cannot flush to disk: No such file or directory", file);
  n->synced = n->now;
  n->dirty = false;
}

void simulated_disk::rename(const fs::path& from, const fs::path& to) {
  operate();
  auto moved = now_.extract(key(from));
  if (moved.empty()) fail("cannot rename the finished file: No such file or directory", to);
  now_[key(to)] = std::move(moved.mapped());
}

void simulated_disk::sync_folder(const fs::path& folder) {
  operate();
  const auto parent = key(folder);
  std::erase_if(synced_, [&](const auto& entry) { return lies_directly_in(entry.first, parent); });
  for (const auto& [path, n] : now_)
    if (lies_directly_in(path, parent)) synced_[path] = n;
}

void simulated_disk::make_folder(const fs::path& folder) {
  operate();
  if (folders_.contains(key(folder))) return;
  if (full_) fail("cannot create this folder: No space left on device", folder);
  for (fs::path path = key(folder); !path.empty(); path = path.parent_path()) {
    folders_.insert(path.string());
    if (path == path.parent_path()) break;
  }
}

bool simulated_disk::remove(const fs::path& file) {
  operate();
  return now_.erase(key(file)) > 0;
}

void simulated_disk::remove_all(const fs::path& path) {
  operate();
  const auto root = key(path);
  const auto gone = [&](const std::string& p) { return p == root || lies_in(p, root); };
  std::erase_if(now_, [&](const auto& entry) { return gone(entry.first); });
  std::erase_if(folders_, gone);
}

} // namespace troupe::chaos
