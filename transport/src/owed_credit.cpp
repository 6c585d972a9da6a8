#include "troupe/transport/owed_credit.hpp"

#include <utility>

namespace troupe::transport {

void owed_credit::add(const part& p) {
  if (p.data.unreadable()) { // TRANSFER-5
    due_.push_back({1, 0, p.transfer, 0});
    return;
  }
  ++parts_;
  for (auto& [id, parts] : owed_)
    if (id == p.transfer) {
      ++parts;
      return;
    }
  owed_.emplace_back(p.transfer, 1);
}

void owed_credit::settle(transfer_id id) {
  std::erase_if(owed_, [&](const auto& owed) {
    if (owed.first != id) return false;
    parts_ -= owed.second;
    return true;
  });
}

void owed_credit::close(transfer_id id) {
  const auto before = parts_;
  settle(id);
  if (parts_ != before) due_.push_back({before - parts_, 0, id, key_of(pools_)});
}

void owed_credit::clear() {
  parts_ = 0;
  owed_.clear();
  due_.clear();
}

std::vector<credit> owed_credit::due(peer_number from) {
  if (parts_ >= most_)
    while (!owed_.empty()) close(owed_.front().first);
  auto now = std::exchange(due_, {});
  for (auto& c : now) c.from = from;
  return now;
}

} // namespace troupe::transport
