#include "troupe/transport/peer.hpp"

namespace troupe::transport {

// PEER-3
void peer::moved(std::shared_ptr<bulk_lane> lane) {
  out_.forget();
  out_.use(std::move(lane));
  owes_ = false;
  owed_.clear();
}

} // namespace troupe::transport
