#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "troupe/actors/messages.hpp"
#include "troupe/jobs/workload_identity.hpp"
#include "troupe/recorder.hpp"
#include "troupe/scheduler/shard_ranges.hpp"
#include "troupe/storage/checkpoint_store.hpp"
#include "troupe/transport/inbound_transfer.hpp"
#include "troupe/transport/peer.hpp"

namespace troupe::actors {

using storage::checkpoint_store;
using storage::file_system;

// Messages between the scheduler and its archive, within one process.

/// Reads the newest sound checkpoint. Answered by `checkpoint_loaded`.
struct load_checkpoint {
  std::uint64_t generation = 0; ///< comes back with the answer
};
struct checkpoint_loaded {
  std::uint64_t generation = 0;
  bool found = false;
  std::uint64_t number = 0; ///< of the checkpoint
  std::uint32_t evaluated_epochs = 0;
  scheduler::applied_set completed; ///< what every shard has
  std::uint64_t next_number = 1;
  std::vector<std::string> refused; ///< one line for each newer set that is not sound
  bool damaged = false;             ///< one of them was complete once
  std::string error;                ///< why the run cannot go on from them
};
/// Sends each replica the state of its shard from the checkpoint loaded last, cut for as many
/// shards as there are. Answered by `images_sent` when all have it.
struct send_images {
  std::uint64_t generation = 0;
  std::vector<shard_actor> replicas; ///< by shard
};
struct images_sent {
  std::uint64_t generation = 0;
};
/// A checkpoint begins: an image of every shard will come. Followed by `images_arrived`, when all
/// have been taken, and `checkpoint_ended`.
struct open_checkpoint {
  std::uint64_t number = 0;
  std::uint32_t evaluated_epochs = 0;
  std::string taken_at;
};
struct images_arrived {
  std::uint64_t number = 0;
};
struct checkpoint_ended {
  std::uint64_t number = 0;
  std::uint64_t batches = 0; ///< that every shard has
  std::string error;         ///< if not empty: the checkpoint was not written
};
/// The open checkpoint will not be completed.
struct give_up_checkpoint {};
/// Internal: time to look at images that are not acknowledged.
struct archive_tick {};

/// The scheduler, as its archive knows it.
using archive_client_actor =
    caf::typed_actor<caf::reacts_to<checkpoint_loaded>, caf::reacts_to<images_sent>,
                     caf::reacts_to<images_arrived>, caf::reacts_to<checkpoint_ended>>;

using archive_impl_actor =
    archive_actor::extend<caf::reacts_to<load_checkpoint>, caf::reacts_to<send_images>,
                          caf::reacts_to<open_checkpoint>, caf::reacts_to<give_up_checkpoint>,
                          caf::reacts_to<archive_tick>>;

struct archive_options {
  std::filesystem::path folder; ///< of checkpoints
  std::uint32_t keep = 2;
  std::string job_id;
  std::uint32_t batches_per_epoch = 0;
  std::uint32_t epochs = 0;
  jobs::workload_identity workload;           ///< of the run
  std::vector<scheduler::shard_range> ranges; ///< of the job's shards
  archive_client_actor scheduler;             ///< takes the answers
  std::shared_ptr<file_system> files = storage::real_files();
  std::shared_ptr<history::recorder> recorder = nullptr;    ///< may be null
  caf::timespan resend_after = std::chrono::seconds(2);     ///< images that are handed out
  std::shared_ptr<transport::shared_pools> pools = nullptr; ///< null: no memory is shared
};

/// Writes checkpoints to disk and reads them back. No other actor touches the folder while a run
/// lasts. The archive lives in the scheduler's process. It reads and writes in its handlers, and
/// holds a thread of the pool meanwhile.
///
///     message              answer
///     open_checkpoint      images_arrived, checkpoint_ended (messages of their own)
///     replica_image, part  -; the image of one shard
///     give_up_checkpoint   -
///     load_checkpoint      checkpoint_loaded
///     send_images          images_sent, once every replica uses its image
///
/// ARCHIVE-1  If a checkpoint fails, the checkpoints before it stay as they are.
/// ARCHIVE-2  One checkpoint is open at a time; an image of another checkpoint is dropped.
/// ARCHIVE-3  An image that is handed out is sent again until its replica uses it, or others are
///            handed out instead.
///
/// ARCHIVE-4  What comes from one shard is never taken for what comes from another. Two replicas of a
///            node number their transfers alike, so a transfer counts together with its shard; and
///            an image of another range than its shard's fails the checkpoint.
/// ARCHIVE-5  A run does not go on from a checkpoint of other data or another model
///            (jobs::workload_identity). A checkpoint that does not say of which it is counts as fit.
///
/// If the archive dies, the scheduler dies too.
struct archive_state {
  using self_pointer = archive_impl_actor::stateful_pointer<archive_state>;
  explicit archive_state(self_pointer self) : self(self) {}

  void start(archive_options o);
  void on_open(const open_checkpoint& o);
  void on_image(const replica_image& i);
  void on_part(const part& p);
  void on_credit(const credit& c);
  void on_replicated(const replicated& r);
  void on_load(const load_checkpoint& l);
  void on_send(const send_images& s);
  void on_tick();
  void give_up(const std::string& why);
  std::string other_workload(const storage::checkpoint_manifest& m) const;

  static inline const char* name = "troupe.archive";

  self_pointer self;

 private:
  struct arriving {
    std::optional<replica_image> header;
    transport::inbound_transfer bytes;
  };
  struct sender {
    explicit sender(transport::shared_pools* pools) : link(transport::archive_peer, pools) {}
    transfer_actor handle; // null until its first image
    transport::peer link;
  };
  struct receiver { // of an image that it does not use yet
    shard_actor replica;
    std::shared_ptr<const tensor::aligned_vector<std::byte>> image;
    transfer_id transfer = 0;
    transport::peer link;
    bool moved = true; // since the last tick
  };
  void hand_out(std::uint32_t shard, receiver& r);
  sender& known(peer_number number);
  void give_credit(sender& to);
  using arrival = std::pair<peer_number, transfer_id>; // who sends it, and as which transfer
  void store_if_whole(const arrival& of);

  archive_options options_;
  std::optional<checkpoint_store> store_;
  std::optional<open_checkpoint> open_;
  std::map<arrival, arriving> arriving_;
  std::map<peer_number, sender> senders_; // by shard
  std::set<std::uint32_t> announced_;     // shards of the open checkpoint
  std::map<std::uint32_t, scheduler::applied_set> stored_;
  std::optional<checkpoint_store::loaded> loaded_;
  transport::transfer_ids ids_{transport::archive_peer};
  std::uint64_t generation_ = 0;                // of the restore under way
  std::uint64_t restored_ = 0;                  // the checkpoint of it
  std::map<std::uint32_t, receiver> receivers_; // by shard
};

archive_impl_actor::behavior_type archive(archive_state::self_pointer self,
                                          archive_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::load_checkpoint)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::checkpoint_loaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::send_images)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::images_sent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::open_checkpoint)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::images_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::checkpoint_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::give_up_checkpoint)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::archive_tick)
