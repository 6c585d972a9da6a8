#pragma once

// The wire form of every message; included by messages.hpp.

#include <array>
#include <exception>
#include <span>
#include <type_traits>
#include <vector>

#include "troupe/actors/messages.hpp"

// CAF finds these by the namespace of the type.
namespace troupe::transport {

/// A block is its size and its bytes; one that goes through shared memory is its size with the
/// highest bit set, and where the bytes lie.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, block& x) {
  constexpr std::uint32_t by_descriptor = 1u << 31;
  auto size = x.size();
  if constexpr (std::is_base_of_v<caf::serializer, Inspector>) {
    if (auto d = x.lend()) {
      size |= by_descriptor;
      return f(size, d->process, d->file, d->token, d->slot, d->offset);
    }
    if (auto err = f(size)) return err;
    return size == 0
               ? caf::error{}
               : f.apply_raw(size, const_cast<std::byte*>(x.bytes().data())); // only read from
  } else if constexpr (std::is_base_of_v<caf::deserializer, Inspector>) {
    if (auto err = f(size)) return err;
    const bool lent = (size & by_descriptor) != 0;
    size &= ~by_descriptor;
    if (size > block::max_bytes) return caf::sec::invalid_argument; // BLOCK-1
    if (lent) {
      shared_descriptor d;
      d.size = size;
      if (auto err = f(d.process, d.file, d.token, d.slot, d.offset)) return err;
      x = block::borrowed(d);
      return caf::error{};
    }
    auto [fresh, to] = block::writable(size);
    if (size != 0)
      if (auto err = f.apply_raw(size, to)) return err;
    x = block::received(fresh.owner(), to, size);
    return caf::error{};
  } else {
    return f(size); // text form: the length is enough
  }
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, part& x) {
  return f(caf::meta::type_name("part"), x.transfer, x.from, x.offset, x.total, x.data);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, credit& x) {
  return f(caf::meta::type_name("credit"), x.parts, x.from, x.transfer, x.key);
}

} // namespace troupe::transport

namespace troupe::actors {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, contact& x) {
  return f(caf::meta::type_name("contact"), x.host, x.port, x.bulk_port, x.bulk_token);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, held_replica& x) {
  return f(caf::meta::type_name("held_replica"), x.shard, x.view, x.actor);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, leases_held& x) {
  return f(caf::meta::type_name("leases_held"), x.worker, x.clock, x.batches, x.actor);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, hello& x) {
  return f(caf::meta::type_name("hello"), x.version, x.job_id, x.at, x.shards, x.workers, x.node,
           x.known_as, x.replicas, x.leases);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, welcome& x) {
  return f(caf::meta::type_name("welcome"), x.node, x.job_id, x.job);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, place_replicas& x) {
  return f(caf::meta::type_name("place_replicas"), x.shards, x.workers, x.empty);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, replicas_placed& x) {
  return f(caf::meta::type_name("replicas_placed"), x.replicas);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, place_workers& x) {
  return f(caf::meta::type_name("place_workers"), x.workers);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, workers_placed& x) {
  return f(caf::meta::type_name("workers_placed"), x.workers);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_contact& x) {
  return f(caf::meta::type_name("node_contact"), x.node, x.at);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, install_view& x) {
  return f(caf::meta::type_name("install_view"), x.shard, x.number, x.chain, x.learner);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, drop_replica& x) {
  return f(caf::meta::type_name("drop_replica"), x.shard);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, clear_roles&) {
  return f(caf::meta::type_name("clear_roles"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, roles_cleared&) {
  return f(caf::meta::type_name("roles_cleared"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, greet& x) {
  return f(caf::meta::type_name("greet"), x.node, x.actor);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, find_replica& x) {
  return f(caf::meta::type_name("find_replica"), x.version, x.job_id, x.shard, x.view);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, replica_found& x) {
  return f(caf::meta::type_name("replica_found"), x.replica);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stop_node& x) {
  return f(caf::meta::type_name("stop_node"), x.reason);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, actor_failed& x) {
  return f(caf::meta::type_name("actor_failed"), x.reason);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, role_failed& x) {
  return f(caf::meta::type_name("role_failed"), x.node, x.is_worker, x.index, x.reason);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, lease_request&) {
  return f(caf::meta::type_name("lease_request"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, heartbeat& x) {
  return f(caf::meta::type_name("heartbeat"), x.node, x.number, x.from);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, heartbeat_seen& x) {
  return f(caf::meta::type_name("heartbeat_seen"), x.number);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, declared_lost& x) {
  return f(caf::meta::type_name("declared_lost"), x.reason);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, push& x) {
  return f(caf::meta::type_name("push"), x.worker, x.clock, x.batch, x.seen_updates, x.transfer,
           x.from, x.first);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, applied_in_place& x) {
  return f(caf::meta::type_name("applied_in_place"), x.worker, x.clock, x.batch, x.fresh, x.from);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pushed& x) {
  return f(caf::meta::type_name("pushed"), x.shard, x.batch, x.transfer, x.key);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pull& x) {
  return f(caf::meta::type_name("pull"), x.worker, x.clock, x.step, x.transfer, x.from, x.key);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pull_snapshot& x) {
  return f(caf::meta::type_name("pull_snapshot"), x.epoch, x.transfer, x.from, x.key);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, parameters& x) {
  return f(caf::meta::type_name("parameters"), x.shard, x.transfer, x.own_applied, x.seen_updates,
           x.blocked_us, x.first);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, replicate& x) {
  return f(caf::meta::type_name("replicate"), x.shard, x.view, x.sequence, x.what, x.worker,
           x.clock, x.batch, x.seen_updates, x.transfer, x.sender, x.from, x.first);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, replicated& x) {
  return f(caf::meta::type_name("replicated"), x.shard, x.view, x.sequence, x.sender, x.compared,
           x.hash, x.key);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, diverged& x) {
  return f(caf::meta::type_name("diverged"), x.shard, x.view, x.node);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, replica_image& x) {
  return f(caf::meta::type_name("replica_image"), x.shard, x.view, x.sequence, x.checkpoint,
           x.bytes, x.transfer, x.sender, x.from);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, caught_up& x) {
  return f(caf::meta::type_name("caught_up"), x.shard, x.view, x.learner);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, take_image& x) {
  return f(caf::meta::type_name("take_image"), x.checkpoint, x.step, x.evaluated, x.archive);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, applied_request&) {
  return f(caf::meta::type_name("applied_request"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, applied_report& x) {
  return f(caf::meta::type_name("applied_report"), x.shard, x.applied);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, batch_lease& x) {
  return f(caf::meta::type_name("batch_lease"), x.batches, x.clock_floor);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, batch_done& x) {
  return f(caf::meta::type_name("batch_done"), x.worker, x.batch, x.clock, x.loss_bits, x.spent);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, enter_clock& x) {
  return f(caf::meta::type_name("enter_clock"), x.worker, x.clock);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, clock_entered& x) {
  return f(caf::meta::type_name("clock_entered"), x.worker, x.clock);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, leave_clock& x) {
  return f(caf::meta::type_name("leave_clock"), x.worker, x.gone);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, report_request&) {
  return f(caf::meta::type_name("report_request"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, shard_report& x) {
  return f(caf::meta::type_name("shard_report"), x.shard, x.batches_applied, x.duplicates_dropped,
           x.blocked_us, x.staleness);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, status_request&) {
  return f(caf::meta::type_name("status_request"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, status_report& x) {
  return f(caf::meta::type_name("status_report"), x.json);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, drain_request& x) {
  return f(caf::meta::type_name("drain_request"), x.node);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, drain_accepted&) {
  return f(caf::meta::type_name("drain_accepted"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stop_training&) {
  return f(caf::meta::type_name("stop_training"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, evaluate_epoch& x) {
  return f(caf::meta::type_name("evaluate_epoch"), x.epoch);
}

} // namespace troupe::actors

namespace troupe::scheduler {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, batch_id& x) {
  return f(caf::meta::type_name("batch_id"), x.epoch, x.index);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, worker_id& x) {
  return f(caf::meta::type_name("worker_id"), x.value);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, shard_id& x) {
  return f(caf::meta::type_name("shard_id"), x.value);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_id& x) {
  return f(caf::meta::type_name("node_id"), x.value);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, view_number& x) {
  return f(caf::meta::type_name("view_number"), x.value);
}

/// Its shape, then each epoch that has batches: all of them, or the words of its bitmap.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, applied_set& x) {
  if constexpr (std::is_same_v<typename Inspector::result_type, caf::error>) {
    auto batches = x.batches_per_epoch(), epochs = x.epochs(), below = x.first_incomplete();
    auto ahead = x.complete_ahead(), open = x.epochs_in_progress();
    std::vector<std::uint64_t> words;
    for (auto e : open) words.insert(words.end(), x.words(e).begin(), x.words(e).end());
    if (auto err = f(batches, epochs, below, ahead, open, words)) return err;
    if constexpr (Inspector::writes_state) {
      try {
        applied_set read;
        if (batches > 0) read = applied_set{batches, epochs};
        if (below > epochs) return caf::sec::invalid_argument;
        read.insert_epochs_below(below);
        for (auto e : ahead) read.insert_epoch(e);
        auto each = (std::size_t{batches} + 63) / 64;
        if (words.size() != open.size() * each) return caf::sec::invalid_argument;
        for (std::size_t i = 0; i < open.size(); ++i)
          read.insert_words(open[i], std::span{words}.subspan(i * each, each));
        x = std::move(read);
      } catch (const std::exception&) {
        return caf::sec::invalid_argument;
      }
    }
    return caf::error{};
  } else {
    auto size = x.size();
    return f(size); // text form
  }
}

/// Nanoseconds of each activity. What no clock can have counted is refused, so that sums stay sums.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, time_shares& x) {
  std::array<std::int64_t, activities> ns{};
  for (std::size_t i = 0; i < activities; ++i) ns[i] = x.of(static_cast<activity>(i)).count();
  if constexpr (std::is_same_v<typename Inspector::result_type, caf::error>) {
    constexpr std::int64_t most = std::int64_t{1} << 56; // two years
    for (auto& n : ns)
      if (auto err = f(n)) return err;
    if constexpr (Inspector::writes_state) {
      x = {};
      for (std::size_t i = 0; i < activities; ++i) {
        if (ns[i] < 0 || ns[i] > most) return caf::sec::invalid_argument;
        x.add(static_cast<activity>(i), time_shares::duration{ns[i]});
      }
    }
    return caf::error{};
  } else {
    return f(ns[0], ns[1], ns[2], ns[3], ns[4]); // text form
  }
}

/// Its constructor checks what arrives, so a lying histogram is refused and not stored.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, staleness_histogram& x) {
  auto content = x.contents();
  if constexpr (std::is_same_v<typename Inspector::result_type, caf::error>) {
    for (auto& bucket : content.buckets)
      if (auto err = f(bucket)) return err;
    if (auto err = f(content.sum, content.max)) return err;
    if constexpr (Inspector::writes_state) {
      try {
        x = staleness_histogram{content};
      } catch (const std::exception&) {
        return caf::sec::invalid_argument;
      }
    }
    return caf::error{};
  } else {
    return f(content.sum, content.max); // text form
  }
}

} // namespace troupe::scheduler

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::epoch_evaluated)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::become_replica)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::shard_moved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::use_scheduler)
