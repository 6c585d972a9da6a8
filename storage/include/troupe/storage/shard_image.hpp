#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "troupe/scheduler/applied_set.hpp"
#include "troupe/scheduler/clock_table.hpp"
#include "troupe/scheduler/shard_ranges.hpp"
#include "troupe/values/aligned.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::storage {

/// Parameters of a range at one moment; never written again.
using snapshot = std::shared_ptr<const tensor::aligned_vector<float>>;

/// A part of a shard's range whose parameters have applied the same batches. After a restore onto
/// other ranges there is more than one part, because the parts of different shards may have applied
/// different batches.
struct image_segment {
  std::uint64_t first = 0; ///< within the range
  std::uint64_t size = 0;
  scheduler::applied_set applied;
  friend bool operator==(const image_segment&, const image_segment&) = default;
};

/// The whole state of a shard at one moment between two changes, as a value.
///
/// IMAGE-1  decode returns exactly the encoded image, floats bit for bit (NaN included).
/// IMAGE-2  Bytes that were cut off, lengthened or changed anywhere, and impossible lengths, are
///          refused with the reason. No memory is allocated for a length that was not checked.
/// IMAGE-3  state_hash is equal exactly for images with the same state bit for bit (except for
///          64-bit collisions). Replicas of a shard must have equal hashes.
/// IMAGE-4  reshard neither loses nor changes a parameter, a velocity or an applied batch of one.
///
/// A well-formed image has `range.size` floats in every snapshot that is there, and segments that
/// are adjacent, in order, none empty, cover the range, and are of one job (the same batches in an
/// epoch, the same epochs). An empty range has one empty segment.
///
/// Snapshots are shared, not copied. A value: one thread at a time may change it, any number may
/// read.
struct shard_image {
  scheduler::shard_range range; ///< of the flat parameter vector
  std::vector<image_segment> segments;
  std::uint64_t updates = 0;                    ///< gradients applied
  std::uint64_t sequence = 0;                   ///< of the replica log: the last entry contained
  snapshot parameters;                          ///< never null
  snapshot velocity;                            ///< null: an optimizer without momentum
  std::map<std::uint32_t, snapshot> epochs;     ///< as they stood when an epoch was complete
  std::uint64_t step = 0;                       ///< bsp: the first step not applied
  snapshot before_last_step;                    ///< bsp; may be null
  std::map<scheduler::batch_id, snapshot> kept; ///< bsp: gradients whose step is not whole
  scheduler::clock_table::content clocks;
};

/// The image as bytes; integers little-endian:
///
///     bytes    what
///     8        TROUPESH
///     4        format version, 1
///     4        0
///     8        size of the whole, checksum included
///     8        size of the payload
///     payload  a cereal portable binary archive, below
///     floats   4 * range.size bytes for each array, one after the other: parameters, velocity and
///              before_last_step if there, those of `epochs`, those of `kept`
///     8        XXH64 (seed 0) of all bytes above
///
/// The payload (u8, u32, u64; a list is its length as u64 and its elements):
///
///     first u64, size u64, updates u64, sequence u64, step u64
///     arrays u8: 1 velocity is there, 2 before_last_step is there
///     list of segments: first u64, size u64, applied set
///     list of epochs: u32
///     list of kept batches: epoch u32, index u32
///     list of workers: id u32, applied clock u64, live u8, list of clocks ahead u64
///
/// An applied set: batches in an epoch u32, epochs u32, first incomplete epoch u32, list of
/// complete epochs above it u32, list of epochs in progress: epoch u32, list of words u64
/// (applied_set.hpp).
///
/// Throws tensor::error for an image that is not well-formed.
tensor::aligned_vector<std::byte> encode(const shard_image& image);

/// IMAGE-1, IMAGE-2. Throws tensor::error whose reason() says what is wrong: "truncated: expected N
/// bytes, found M", "trailing bytes: ...", another kind or version, "checksum differs", or what
/// cannot be true.
shard_image decode(std::span<const std::byte> bytes);

/// IMAGE-3. XXH64 over range, parameters, velocity, applied sets, updates, step and kept
/// gradients; not over clocks, epochs, sequence and before_last_step. Neighbouring segments count
/// as one when their sets are equal. Throws tensor::error for an image that is not well-formed.
std::uint64_t state_hash(const shard_image& image);

/// The state that `images` hold together, cut into other ranges. Both must be in ascending order,
/// adjacent, and cover the same.
///
/// Each new image is put together of the pieces of the old ones, with a segment for each (those
/// with equal sets become one). `updates` is the most of its sources', `epochs` has the snapshots
/// that all its sources have. `clocks` is empty and `sequence` 0: the workers and the log are new
/// ones. With the ranges that `images` have already, all else is as it was. With others the steps
/// of bsp must be equal and nothing kept, and `before_last_step` is dropped: no shard is a step
/// ahead of another then, so no read will ask for it.
///
/// Throws tensor::error when the ranges do not fit, a new one is empty, the images are not of one
/// job, or bsp's steps are not equal and whole.
std::vector<shard_image> reshard(const std::vector<shard_image>& images,
                                 const std::vector<scheduler::shard_range>& ranges);

} // namespace troupe::storage
