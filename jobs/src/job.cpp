#include "troupe/job.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "troupe/jobs/strict_object.hpp"

namespace troupe {

using nlohmann::json;

using jobs::describe;
using jobs::expected_found;
using jobs::strict_object;

namespace {

// Every key of a job. A key that is missing here cannot be read.
constexpr std::array<std::string_view, 46> known_keys = {
    "name",
    "seed",
    "model",
    "model.kind",
    "model.layers",
    "model.loss",
    "model.parameters",
    "data",
    "data.format",
    "data.images",
    "data.labels",
    "data.file",
    "data.target",
    "data.samples",
    "data.held_out",
    "train",
    "train.epochs",
    "train.batch_size",
    "train.consistency",
    "train.staleness",
    "train.batches_per_step",
    "train.staleness_damping",
    "train.lease_timeout_seconds",
    "train.precision",
    "train.optimizer",
    "train.optimizer.name",
    "train.optimizer.learning_rate",
    "train.optimizer.momentum",
    "train.optimizer.nesterov",
    "train.optimizer.weight_decay",
    "cluster",
    "cluster.workers",
    "cluster.shards",
    "cluster.replicas",
    "cluster.shared_memory",
    "cluster.bulk_connections",
    "checkpoint",
    "checkpoint.every_batches",
    "checkpoint.every_seconds",
    "checkpoint.keep",
    "inject",
    "inject.duplicate_push_every",
    "inject.slow_worker",
    "inject.slow_factor",
    "inject.batch_ms_low",
    "inject.batch_ms_high",
};

// In the order of their enumerations. "own" is a model or data that the program brings itself: a
// sequential model without layers, a digit set without samples.
constexpr std::array<std::string_view, 3> model_kinds = {"sequential", "integer_sum", "own"};
constexpr std::array<std::string_view, 3> losses = {"softmax_cross_entropy", "binary_cross_entropy",
                                                    "mean_squared_error"};
constexpr std::array<std::string_view, 4> layer_kinds = {"dense", "relu", "tanh", "sigmoid"};
constexpr std::array<std::string_view, 5> formats = {"idx", "csv", "digits", "integers", "own"};
constexpr std::array<std::string_view, 4> modes = {"hogwild", "async", "ssp", "bsp"};
constexpr std::array<std::string_view, 1> optimizers = {"sgd"};
constexpr std::array<std::string_view, 2> precisions = {"fp32", "bf16"};

constexpr std::size_t own_model = 2;
constexpr std::size_t own_data = 4;

constexpr std::int64_t max_units = 1 << 20;
constexpr std::int64_t max_parameters = std::int64_t{1} << 31;
constexpr std::int64_t max_digits = 1'000'000;
constexpr std::int64_t max_integers = 1 << 24; // where a float no longer holds every integer
constexpr std::int64_t max_epochs = 1'000'000;
constexpr std::int64_t max_batch = 1 << 20;
constexpr std::int64_t max_staleness = 1'000'000;
constexpr std::int64_t max_members = 1024;
constexpr std::int64_t max_replicas = 16;
constexpr std::int64_t max_kept = 1000;
constexpr std::int64_t max_layers = 1000;
constexpr std::size_t max_name = 100;
constexpr std::uint64_t default_staleness = 3;
constexpr std::uint32_t default_batches_per_step = 4;

template <class T, std::size_t N>
std::string_view name_of(const std::array<std::string_view, N>& names, T value) {
  return names.at(static_cast<std::size_t>(value));
}

// The shortest decimal number that reads back as this float: 0.05f becomes 0.05, not
// 0.05000000074505806.
double readable(float value) {
  if (!std::isfinite(value)) return value;
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double result = value;
  std::from_chars(text.data(), end, result);
  return result;
}

// A table of the job; an empty one where the key is not there.
strict_object table(const strict_object& parent, std::string_view key) {
  static const json none = json::object();
  return {parent.has(key) ? parent.at(key) : none, parent.path(key), known_keys};
}

tensor::layer_spec read_layer(const json& value, const std::string& key) {
  constexpr std::string_view expected = R"({ dense = UNITS }, "relu", "tanh" or "sigmoid")";
  if (value.is_string()) {
    for (std::size_t i = 1; i < layer_kinds.size(); ++i)
      if (value.get<std::string>() == layer_kinds[i])
        return {static_cast<tensor::layer_spec::kind>(i), 0};
  }
  if (value.is_object() && value.size() == 1 && value.contains("dense")) {
    const std::array<std::string_view, 1> known = {"dense"};
    const std::string path = key + ".dense";
    const std::array<std::string_view, 1> full = {path};
    const strict_object layer(value, key, full);
    return {tensor::layer_spec::kind::dense,
            static_cast<std::size_t>(layer.integer(known[0], 0, 1, max_units))};
  }
  if (value.is_object() && value.size() == 1)
    throw job_error(key, "expected " + std::string(expected) + ", found a table with the key \"" +
                             value.begin().key() + "\"");
  throw job_error(key, expected_found(expected, value));
}

model_spec read_model(const strict_object& in) {
  model_spec model;
  const std::size_t kind = in.choice("kind", model_kinds, 0);
  if (kind == own_model) return model;
  model.type = static_cast<model_spec::kind>(kind);
  model.loss = static_cast<tensor::loss>(in.choice("loss", losses, 0));
  model.parameters = static_cast<std::size_t>(in.integer("parameters", 0, 1, max_parameters));
  if (in.has("layers")) {
    const json& layers = in.at("layers");
    if (!layers.is_array() || layers.empty() || layers.size() > max_layers)
      throw job_error(in.path("layers"), layers.is_array()
                                             ? "expected 1 to " + std::to_string(max_layers) +
                                                   " layers, found " + std::to_string(layers.size())
                                             : expected_found("an array of layers", layers));
    bool dense = false;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      model.layers.push_back(
          read_layer(layers[i], in.path("layers") + "[" + std::to_string(i) + "]"));
      dense = dense || model.layers.back().type == tensor::layer_spec::kind::dense;
    }
    if (!dense)
      throw job_error(in.path("layers"), "expected at least one { dense = UNITS }, found none");
  }
  // What the kind does not use is checked but not kept, so that equal jobs have equal texts.
  if (model.type == model_spec::kind::sequential) {
    in.at("layers");
    model.parameters = 0;
  } else {
    in.at("parameters");
    model.layers.clear();
    model.loss = model_spec{}.loss;
  }
  return model;
}

data_spec read_data(const strict_object& in) {
  data_spec data;
  in.at("format");
  const std::size_t format = in.choice("format", formats, 0);
  const bool own = format == own_data;
  data.type = own ? data_spec::format::digits : static_cast<data_spec::format>(format);
  const auto images = in.text("images", ""), labels = in.text("labels", "");
  const auto file = in.text("file", ""), target = in.text("target", "");
  const bool digits = data.type == data_spec::format::digits;
  const auto samples = in.integer("samples", 0, 1, digits ? max_digits : max_integers);
  // A sum over all integers has one right value; over a part of them it depends on the seed.
  const bool integers = data.type == data_spec::format::integers;
  data.held_out = in.number(
      "held_out", integers ? 0 : data.held_out,
      {.min = 0, .max = 1, .max_open = true, .words = "a number from 0 up to, not including, 1"});
  const auto required = [&](std::string_view key, const std::string& value) {
    in.at(key);
    if (value.empty()) throw job_error(in.path(key), "expected a text, found an empty one");
    return value;
  };
  switch (data.type) {
  case data_spec::format::idx:
    data.images = required("images", images);
    data.labels = required("labels", labels);
    break;
  case data_spec::format::csv:
    data.file = required("file", file);
    data.target = required("target", target);
    break;
  case data_spec::format::digits:
  case data_spec::format::integers:
    if (own) break;
    in.at("samples");
    data.samples = static_cast<std::size_t>(samples);
    break;
  }
  return data;
}

scheduler::consistency read_consistency(const strict_object& in) {
  const auto mode = static_cast<scheduler::mode>(
      in.choice("consistency", modes, static_cast<std::size_t>(scheduler::mode::async)));
  const auto staleness = in.integer("staleness", default_staleness, 0, max_staleness);
  const auto step = in.integer("batches_per_step", default_batches_per_step, 1, max_staleness);
  switch (mode) {
  case scheduler::mode::ssp:
    return scheduler::consistency::ssp(static_cast<std::uint64_t>(staleness));
  case scheduler::mode::bsp:
    return scheduler::consistency::bsp(static_cast<std::uint32_t>(step));
  default:
    return scheduler::consistency::from(mode, 0);
  }
}

tensor::sgd_options read_optimizer(const strict_object& in) {
  constexpr double largest = std::numeric_limits<float>::max();
  tensor::sgd_options options;
  in.choice("name", optimizers, 0);
  options.learning_rate = static_cast<float>(
      in.number("learning_rate", readable(options.learning_rate),
                {.min = 0, .max = largest, .min_open = true, .words = "a number above 0"}));
  options.momentum = static_cast<float>(in.number(
      "momentum", 0,
      {.min = 0, .max = 1, .max_open = true, .words = "a number from 0 up to, not including, 1"}));
  options.weight_decay = static_cast<float>(
      in.number("weight_decay", 0, {.min = 0, .max = largest, .words = "a number of at least 0"}));
  options.nesterov = in.boolean("nesterov", false);
  // A double just below 1 may round up to 1 as a float.
  if (options.momentum >= 1)
    throw job_error(in.path("momentum"),
                    expected_found("a number from 0 up to, not including, 1", in.at("momentum")));
  if (options.nesterov && options.momentum == 0)
    throw job_error(in.path("nesterov"),
                    "expected false without momentum, found true; set momentum above 0");
  return options;
}

train_spec read_train(const strict_object& in) {
  train_spec train;
  train.epochs = static_cast<std::uint32_t>(in.integer("epochs", train.epochs, 1, max_epochs));
  train.batch_size = static_cast<std::size_t>(
      in.integer("batch_size", static_cast<std::int64_t>(train.batch_size), 1, max_batch));
  train.consistency = read_consistency(in);
  train.optimizer = read_optimizer(table(in, "optimizer"));
  train.precision = static_cast<tensor::precision>(in.choice("precision", precisions, 0));
  // Without momentum stale gradients do no harm worth a smaller step.
  train.staleness_damping = in.boolean("staleness_damping", train.optimizer.momentum > 0);
  train.lease_timeout_seconds =
      in.number("lease_timeout_seconds", train.lease_timeout_seconds,
                {.min = 0.001, .max = 1e6, .words = "a number of seconds from 0.001 to 1000000"});
  return train;
}

inject_spec read_inject(const strict_object& in, const cluster_spec& cluster) {
  inject_spec inject;
  inject.duplicate_push_every = static_cast<std::uint32_t>(
      in.integer("duplicate_push_every", 0, 0, std::numeric_limits<std::uint32_t>::max()));
  inject.slow_worker = in.integer("slow_worker", -1, -1, max_members - 1);
  inject.slow_factor =
      in.number("slow_factor", 1, {.min = 1, .max = 1e6, .words = "a number from 1 to 1000000"});
  if (inject.slow_worker >= static_cast<std::int64_t>(cluster.workers))
    throw job_error(in.path("slow_worker"), "expected -1 (none) or the index of one of the " +
                                                std::to_string(cluster.workers) +
                                                " workers, from 0, found " +
                                                std::to_string(inject.slow_worker));
  constexpr double longest_ms = 3'600'000;
  inject.batch_ms_low = in.number(
      "batch_ms_low", 0,
      {.min = 0, .max = longest_ms, .words = "a number of milliseconds from 0 to 3600000"});
  inject.batch_ms_high =
      in.number("batch_ms_high", inject.batch_ms_low,
                {.min = inject.batch_ms_low,
                 .max = longest_ms,
                 .words = "a number of milliseconds from batch_ms_low to 3600000"});
  return inject;
}

cluster_spec read_cluster(const strict_object& in, const scheduler::consistency& mode) {
  cluster_spec cluster;
  cluster.workers =
      static_cast<std::uint32_t>(in.integer("workers", cluster.workers, 1, max_members));
  cluster.shards = static_cast<std::uint32_t>(in.integer("shards", cluster.shards, 1, max_members));
  cluster.replicas =
      static_cast<std::uint32_t>(in.integer("replicas", cluster.replicas, 1, max_replicas));
  if (mode.in_place() && cluster.replicas > 1)
    throw job_error(in.path("replicas"), "expected 1 with train.consistency = \"hogwild\", whose "
                                         "parameters live in the memory of one process, found " +
                                             std::to_string(cluster.replicas));
  cluster.shared_memory = in.boolean("shared_memory", cluster.shared_memory);
  cluster.bulk_connections = in.boolean("bulk_connections", cluster.bulk_connections);
  return cluster;
}

checkpoint_spec read_checkpoint(const strict_object& in) {
  checkpoint_spec checkpoint;
  checkpoint.every_batches = static_cast<std::uint64_t>(
      in.integer("every_batches", 0, 0, std::numeric_limits<std::int64_t>::max()));
  checkpoint.every_seconds =
      in.number("every_seconds", checkpoint.every_seconds,
                {.min = 0, .max = 1e9, .words = "0 (never) or a number of seconds"});
  checkpoint.keep = static_cast<std::uint32_t>(in.integer("keep", checkpoint.keep, 1, max_kept));
  return checkpoint;
}

// The name becomes part of a folder's name.
void check_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  bool good =
      !name.empty() && name.size() <= max_name && name.front() != '.' && name.front() != '-';
  for (const char c : name) good = good && allowed(c);
  if (!good)
    throw job_error("name", expected_found("1 to 100 letters, digits, '-', '_' and '.', beginning "
                                           "with a letter, digit or '_'",
                                           json(name)));
}

json layer_json(const tensor::layer_spec& layer) {
  if (layer.type == tensor::layer_spec::kind::dense) return json{{"dense", layer.units}};
  return json(name_of(layer_kinds, layer.type));
}

json model_json(const model_spec& model) {
  if (model.type == model_spec::kind::sequential && model.layers.empty())
    return {{"kind", name_of(model_kinds, own_model)}};
  json out = {{"kind", name_of(model_kinds, model.type)}};
  if (model.type == model_spec::kind::integer_sum) {
    out["parameters"] = model.parameters;
    return out;
  }
  out["loss"] = name_of(losses, model.loss);
  out["layers"] = json::array();
  for (const auto& layer : model.layers) out["layers"].push_back(layer_json(layer));
  return out;
}

json data_json(const data_spec& data) {
  if (data.type == data_spec::format::digits && data.samples == 0)
    return {{"format", name_of(formats, own_data)}, {"held_out", data.held_out}};
  json out = {{"format", name_of(formats, data.type)}, {"held_out", data.held_out}};
  switch (data.type) {
  case data_spec::format::idx:
    out["images"] = data.images.string();
    out["labels"] = data.labels.string();
    break;
  case data_spec::format::csv:
    out["file"] = data.file.string();
    out["target"] = data.target;
    break;
  case data_spec::format::digits:
  case data_spec::format::integers:
    out["samples"] = data.samples;
    break;
  }
  return out;
}

json train_json(const train_spec& train) {
  json out = {{"epochs", train.epochs},
              {"batch_size", train.batch_size},
              {"consistency", scheduler::to_string(train.consistency.type())},
              {"staleness_damping", train.staleness_damping},
              {"lease_timeout_seconds", train.lease_timeout_seconds},
              {"precision", name_of(precisions, train.precision)},
              {"optimizer",
               {{"name", "sgd"},
                {"learning_rate", readable(train.optimizer.learning_rate)},
                {"momentum", readable(train.optimizer.momentum)},
                {"nesterov", train.optimizer.nesterov},
                {"weight_decay", readable(train.optimizer.weight_decay)}}}};
  if (const auto staleness = train.consistency.staleness()) out["staleness"] = *staleness;
  if (const auto step = train.consistency.batches_per_step()) out["batches_per_step"] = *step;
  return out;
}

} // namespace

json to_json(const job& j) {
  return {{"name", j.name},
          {"seed", j.seed},
          {"model", model_json(j.model)},
          {"data", data_json(j.data)},
          {"train", train_json(j.train)},
          {"cluster",
           {{"workers", j.cluster.workers},
            {"shards", j.cluster.shards},
            {"replicas", j.cluster.replicas},
            {"shared_memory", j.cluster.shared_memory},
            {"bulk_connections", j.cluster.bulk_connections}}},
          {"checkpoint",
           {{"every_batches", j.checkpoint.every_batches},
            {"every_seconds", j.checkpoint.every_seconds},
            {"keep", j.checkpoint.keep}}},
          {"inject",
           {{"duplicate_push_every", j.inject.duplicate_push_every},
            {"slow_worker", j.inject.slow_worker},
            {"slow_factor", j.inject.slow_factor},
            {"batch_ms_low", j.inject.batch_ms_low},
            {"batch_ms_high", j.inject.batch_ms_high}}}};
}

job job_from_json(const json& value) {
  const strict_object in(value, "", known_keys);
  job j;
  j.name = in.text("name", j.name);
  check_name(j.name);
  j.seed = in.unsigned_integer("seed", j.seed);
  // Unknown keys of any table first: a misspelled key explains best why another one is missing.
  const auto model = table(in, "model"), data = table(in, "data"), train = table(in, "train");
  const auto cluster = table(in, "cluster"), checkpoint = table(in, "checkpoint"),
             inject = table(in, "inject");
  in.at("model");
  in.at("data");
  j.model = read_model(model);
  j.data = read_data(data);
  j.train = read_train(train);
  j.cluster = read_cluster(cluster, j.train.consistency);
  j.checkpoint = read_checkpoint(checkpoint);
  j.inject = read_inject(inject, j.cluster);
  if (j.model.type == model_spec::kind::integer_sum && j.data.type != data_spec::format::integers)
    throw job_error("data.format",
                    "expected \"integers\" for model.kind = \"integer_sum\", found \"" +
                        std::string(name_of(formats, j.data.type)) + "\"");
  if (j.model.type == model_spec::kind::integer_sum && j.cluster.shards > j.model.parameters)
    throw job_error("cluster.shards", "expected at most one shard for each of the " +
                                          std::to_string(j.model.parameters) +
                                          " parameters, found " + std::to_string(j.cluster.shards));
  return j;
}

} // namespace troupe
