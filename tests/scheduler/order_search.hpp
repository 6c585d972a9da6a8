#pragma once

#include <cstddef>
#include <variant>
#include <vector>

#include "troupe/scheduler/orders.hpp"

/// The orders of one kind, in their order.
template <class Order>
std::vector<Order> all_of(const troupe::scheduler::order_list& orders) {
  std::vector<Order> result;
  for (const auto& o : orders)
    if (const auto* found = std::get_if<Order>(&o)) result.push_back(*found);
  return result;
}

template <class Order>
std::size_t count_of(const troupe::scheduler::order_list& orders) {
  return all_of<Order>(orders).size();
}

/// Where the first order of a kind stands; the size of the list when there is none.
template <class Order>
std::size_t first_of(const troupe::scheduler::order_list& orders) {
  for (std::size_t i = 0; i < orders.size(); ++i)
    if (std::holds_alternative<Order>(orders[i])) return i;
  return orders.size();
}

/// The batches leased to a worker, backups left out.
inline std::vector<troupe::scheduler::batch_id>
leased_to(const troupe::scheduler::order_list& orders, troupe::scheduler::worker_id worker) {
  std::vector<troupe::scheduler::batch_id> result;
  for (const auto& lease : all_of<troupe::scheduler::orders::give_leases>(orders))
    if (lease.worker == worker && !lease.backup)
      result.insert(result.end(), lease.batches.begin(), lease.batches.end());
  return result;
}
