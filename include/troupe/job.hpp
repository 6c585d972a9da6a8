#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "troupe/values/consistency.hpp"
#include "troupe/values/layers.hpp"
#include "troupe/values/optimizer.hpp"

namespace troupe {

/// What is trained. `sequential` is a stack of layers with a loss; `integer_sum` has integer-valued
/// gradients and one right final sum, for exactness checks and chaos runs.
struct model_spec {
  enum class kind { sequential, integer_sum };
  kind type = kind::sequential;
  std::vector<tensor::layer_spec> layers;                  ///< sequential
  tensor::loss loss = tensor::loss::softmax_cross_entropy; ///< sequential
  std::size_t parameters = 0;                              ///< integer_sum: number of parameters
};

/// The name in job files: "sequential". Empty for a value that is no enumerator; likewise below.
constexpr std::string_view name_of(model_spec::kind k) {
  switch (k) {
  case model_spec::kind::sequential:
    return "sequential";
  case model_spec::kind::integer_sum:
    return "integer_sum";
  }
  return {};
}

/// The source of the samples. Paths are absolute once a job has been loaded from a file.
struct data_spec {
  enum class format { idx, csv, digits, integers };
  format type = format::digits;
  std::filesystem::path images; ///< idx: features file, plain or gzip
  std::filesystem::path labels; ///< idx: labels file, plain or gzip
  std::filesystem::path file;   ///< csv: file with a header line
  std::string target;           ///< csv: name of the target column
  std::size_t samples = 0;      ///< digits, integers: how many to generate
  /// Share of the samples kept for evaluation, in [0, 1). None: share_held_out() decides.
  std::optional<double> held_out;
  /// A sum over all integers has one right value; over a part of them it depends on the seed.
  double share_held_out() const { return held_out.value_or(type == format::integers ? 0 : 0.2); }
};

constexpr std::string_view name_of(data_spec::format f) {
  switch (f) {
  case data_spec::format::idx:
    return "idx";
  case data_spec::format::csv:
    return "csv";
  case data_spec::format::digits:
    return "digits";
  case data_spec::format::integers:
    return "integers";
  }
  return {};
}

struct train_spec {
  std::uint32_t epochs = 1;
  std::size_t batch_size = 64;
  scheduler::consistency consistency; ///< mode with its bound or step size
  tensor::sgd_options optimizer;
  /// The precision of the matrix products of a training step; sequential models only. See
  /// tensor::precision.
  tensor::precision precision = tensor::precision::fp32;
  /// If true, a gradient is scaled down by the number of updates that it has not seen; see
  /// tensor::staleness_scale. Has no effect in bsp, where a gradient misses nothing.
  /// None: damps_staleness() decides.
  std::optional<bool> staleness_damping;
  /// Without momentum stale gradients do no harm worth a smaller step.
  bool damps_staleness() const { return staleness_damping.value_or(optimizer.momentum > 0); }
  /// A worker that completes no batch for this time loses its leases.
  double lease_timeout_seconds = 120;
};

struct cluster_spec {
  std::uint32_t workers = 1;
  std::uint32_t shards = 1;
  std::uint32_t replicas = 1;   ///< of each shard, on different nodes; hogwild allows only 1
  bool shared_memory = true;    ///< processes of one host exchange parameters by shared memory
  bool bulk_connections = true; ///< other processes use connections of their own, where possible
  /// A run in which nothing has moved for this long fails, with its newest checkpoint; 0: it waits.
  double stall_limit_seconds = 0;
};

/// When the state of all shards is saved to disk; the runtime decides where. If both periods are 0,
/// no checkpoint is taken. If both are given, the first that expires counts.
struct checkpoint_spec {
  std::uint64_t every_batches = 0; ///< batches completed since the last checkpoint; 0: no limit
  double every_seconds = 60;       ///< since the last checkpoint; 0: no limit
  std::uint32_t keep = 2;          ///< complete checkpoints kept on disk, at least 1
};

/// Faults that a run inflicts on itself, for checking its guarantees. All off by default.
struct inject_spec {
  std::uint32_t duplicate_push_every = 0; ///< every n-th push of a worker is sent twice; 0: none
  std::int64_t slow_worker = -1;          ///< index of a worker made slower; -1: none
  double slow_factor = 1.0;               ///< its batches take this many times as long, >= 1
  /// Every batch of every worker takes longer by a time drawn from [batch_ms_low, batch_ms_high].
  double batch_ms_low = 0;
  std::optional<double> batch_ms_high; ///< at least batch_ms_low; none: batch_ms_low
  double most_batch_ms() const { return batch_ms_high.value_or(batch_ms_low); }
};

/// A training job: everything that decides the result. Plain values; copy freely.
struct job {
  std::string name = "job";
  std::uint64_t seed = 1;
  model_spec model;
  data_spec data;
  train_spec train;
  cluster_spec cluster;
  checkpoint_spec checkpoint;
  inject_spec inject;
};

/// A job cannot be run as it is written. `what()` is one line: the key, what was expected and what
/// was found; if a file was read, also the file and the line.
class job_error : public std::runtime_error {
 public:
  explicit job_error(const std::string& line) : std::runtime_error(line), reason_(line) {}

  /// `key` is a dotted path into the job ("train.epochs", "model.layers[1]").
  job_error(std::string key, const std::string& reason)
      : std::runtime_error(key.empty() ? reason : key + ": " + reason), key_(std::move(key)),
        reason_(reason) {}

  const std::string& key() const noexcept { return key_; }       ///< empty: the job as a whole
  const std::string& reason() const noexcept { return reason_; } ///< the line without the key

 private:
  std::string key_;
  std::string reason_;
};

/// The job as JSON, with every default filled in. `job_from_json(to_json(j))` gives `j` back.
/// This form crosses the wire and is stored in model files.
nlohmann::json to_json(const job& j);

/// Reads a job strictly. An unknown key, a wrong type or an impossible value throws `job_error`
/// that names the key ("train.epochs"), what was expected and what was found.
job job_from_json(const nlohmann::json& json);

/// Reads a job file: TOML, or JSON where the name ends in ".json".
/// docs/reference/job_file.md is the format.
///
/// Each override is "KEY=VALUE" with a dotted key ("train.optimizer.momentum=0.5"). The value is
/// read as a TOML value; if it is none, it is taken as text ("train.consistency=bsp"). Later
/// overrides win. Relative data paths become absolute: paths in the file are relative to the file's
/// folder, paths in an override to the current folder. If the file has no `name`, the job gets the
/// file's name.
///
/// Throws job_error with one line "FILE:LINE: key: expected ..., found ...". The line number is
/// left out if it is not known. If an override is wrong, the error names the override, not the
/// file.
job load_job(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// The same for the JSON text of a job, as model files hold it. `where` names it in errors.
job load_job_text(std::string_view json_text, const std::string& where,
                  const std::vector<std::string>& overrides = {});

} // namespace troupe
