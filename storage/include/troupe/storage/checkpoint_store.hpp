#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "troupe/scheduler/shard_ranges.hpp"
#include "troupe/storage/file_system.hpp"
#include "troupe/storage/shard_image.hpp"

namespace troupe::storage {

/// The description of a checkpoint, as its manifest holds it.
struct checkpoint_manifest {
  struct shard_file {
    std::string file; ///< within the checkpoint's folder: "shard-0.image"
    scheduler::shard_range range;
    std::uint64_t bytes = 0;
    std::uint64_t xxh64 = 0; ///< of the whole file, seed 0
    friend bool operator==(const shard_file&, const shard_file&) = default;
  };

  std::uint64_t number = 0; ///< filled in by the store
  std::string job_id;
  std::uint32_t batches_per_epoch = 0;
  std::uint32_t epochs = 0;
  std::uint32_t evaluated_epochs = 0;
  std::uint64_t batches = 0;      ///< so many batches every shard has
  std::string taken_at;           ///< as the caller writes a time
  std::string workload = {};      ///< jobs::workload_identity as text; empty: not known
  std::vector<shard_file> shards; ///< by shard; filled in by the store
  friend bool operator==(const checkpoint_manifest&, const checkpoint_manifest&) = default;
};

/// The checkpoints of a run, in a folder of their own:
///
///     000012/shard-0.image      bytes of an encoded shard_image, one file per shard
///     000012/shard-1.image
///     000012/manifest.json      written last: its presence makes the set complete
///
/// The manifest is a JSON object: `format` (1), `number`, `job_id`, `batches_per_epoch`, `epochs`,
/// `evaluated_epochs`, `batches`, `taken_at`, `workload` (may be missing), `shards` (a list of
/// `file`, `first`, `size`, `bytes`, `xxh64`) and `checksum`, the XXH64 of the same object without it, written without spaces and
/// with its keys in order. Hashes are 16 hex digits.
///
/// CHECKPOINT-1  A file is complete and survives a power failure, or it does not exist.
/// CHECKPOINT-2  A set is removed only when `keep` newer sets are completely on disk.
/// CHECKPOINT-3  load_newest returns, bit for bit, what was written as one set. If anything in a
///               set is missing, cut off, changed or inconsistent, the set is refused by the name
///               of the file, and the set before it is tried.
/// CHECKPOINT-4  Only folders with such numbers as names are ever read or removed.
///
/// One store at a time may write into a folder. Not thread-safe; every call may wait for the disk.
class checkpoint_store {
 public:
  /// Keeps so many complete sets. The folder is made when something is written. Throws
  /// std::invalid_argument when `keep` is 0.
  checkpoint_store(std::filesystem::path folder, std::uint32_t keep,
                   std::shared_ptr<file_system> files = real_files());

  /// One above the highest set there is, unfinished ones included; 1 when there is none. Throws
  /// tensor::error when the folder cannot be read.
  std::uint64_t next_number() const;

  /// Writes `image`, the encoded image of `shard`, whose range is `range`, into set `number`.
  /// Throws tensor::error with the path and the system's reason; of this file nothing is left then,
  /// and the shard may be written again. Throws std::logic_error when the set is complete already.
  void write_shard(std::uint64_t number, std::uint32_t shard, scheduler::shard_range range,
                   std::span<const std::byte> image);

  /// Completes set `number` of the shards that this store has written for it; then removes complete
  /// sets beyond `keep` and unfinished ones before it, and what cannot be removed is tried again
  /// with the next commit. Throws tensor::error when the manifest cannot be written: the set is
  /// unfinished then, and the others are untouched. Throws std::logic_error when a shard
  /// below another is missing, one could not be written, or their ranges are not adjacent from 0.
  /// (How many there should be the caller alone knows.)
  void commit(std::uint64_t number, checkpoint_manifest manifest);

  /// Removes an unfinished set, as far as that is possible. A complete one stays.
  void discard(std::uint64_t number) noexcept;

  struct loaded {
    checkpoint_manifest manifest;
    std::vector<shard_image> images; ///< by shard
  };
  struct refused {
    std::filesystem::path path;
    std::string why;     ///< "000012/shard-1.image: truncated: expected 640 bytes, found 32"
    bool damaged = true; ///< false: its manifest was never written, or is being removed
  };

  /// The newest complete set whose every file is sound (CHECKPOINT-3); none when there is none.
  /// Adds a line for each newer one to `refused_sets`, newest first. Throws tensor::error when the
  /// folder cannot be read; that it does not exist is not an error.
  std::optional<loaded> load_newest(std::vector<refused>& refused_sets) const;

 private:
  std::filesystem::path set_folder(std::uint64_t number) const;
  std::vector<std::uint64_t> numbers() const; // ascending
  void remove_set(std::uint64_t number) const;

  std::filesystem::path folder_;
  std::uint32_t keep_;
  std::shared_ptr<file_system> files_;
  /// Shard -> its file; none while it could not be written.
  using shard_files = std::map<std::uint32_t, std::optional<checkpoint_manifest::shard_file>>;
  std::map<std::uint64_t, shard_files> written_; // until the set is committed or discarded
};

} // namespace troupe::storage
