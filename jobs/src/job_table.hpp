#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

#include "troupe/job.hpp"
#include "troupe/jobs/strict_object.hpp"

/// The one table of a job's keys: each with the member that it is, and the values that it may have. What
/// reads a job, prints it and lists its keys are three kinds of `Keys` that go through it. `Keys` has for
/// each type of value a function (name, member, allowed values, presence), and
///
///     table(name, spec)           the keys of a table within this one
///     own(name, type, is_own)     a choice that may also be "own"; tells whether it is
///
/// The default of a key is the value of the member in a job that a program makes (`job{}`), and is
/// written nowhere else. Where it depends on other keys, the member is optional, and a function of its
/// struct has the rule.
namespace troupe::jobs {

/// How a job has a key, given the keys before it.
enum class presence {
  optional, ///< the member's value is the default
  required,
  unused ///< checked, but not kept and not printed, so that equal jobs have equal texts
};

constexpr presence required_if(bool used) { return used ? presence::required : presence::unused; }
constexpr presence optional_if(bool used) { return used ? presence::optional : presence::unused; }

using number_range = strict_object::number_range;

constexpr std::int64_t max_units = 1 << 20;
constexpr std::size_t max_layers = 1000;
constexpr std::int64_t max_parameters = std::int64_t{1} << 31;
constexpr std::int64_t max_digits = 1'000'000;
constexpr std::int64_t max_integers = 1 << 24; // where a float no longer holds every integer
constexpr std::int64_t max_epochs = 1'000'000;
constexpr std::int64_t max_batch = 1 << 20;
constexpr std::int64_t max_staleness = 1'000'000;
constexpr std::int64_t max_members = 1024;
constexpr std::int64_t max_replicas = 16;
constexpr std::int64_t max_kept = 1000;
constexpr double max_float = std::numeric_limits<float>::max();
constexpr double max_added_ms = 3'600'000;
constexpr std::uint64_t default_staleness = 3;
constexpr std::uint32_t default_batches_per_step = 4;
constexpr std::array<std::string_view, 1> optimizers = {"sgd"};
constexpr number_range share = {
    .min = 0, .max = 1, .max_open = true, .words = "a number from 0 up to, not including, 1"};

template <class Keys>
void visit(Keys& k, model_spec& m) {
  const bool no_layers = m.type == model_spec::kind::sequential && m.layers.empty();
  if (k.own("kind", m.type, no_layers)) return;
  const bool layered = m.type == model_spec::kind::sequential;
  k.choice("loss", m.loss, optional_if(layered));
  k.integer("parameters", m.parameters, 1, max_parameters, required_if(!layered));
  k.layers("layers", m.layers, required_if(layered));
}

template <class Keys>
void visit(Keys& k, data_spec& d) {
  using enum data_spec::format;
  const bool no_samples = d.type == digits && d.samples == 0;
  k.require("format");
  const bool own = k.own("format", d.type, no_samples);
  const auto of = [&](bool used) { return required_if(used && !own); };
  k.text("images", d.images, of(d.type == idx));
  k.text("labels", d.labels, of(d.type == idx));
  k.text("file", d.file, of(d.type == csv));
  k.text("target", d.target, of(d.type == csv));
  k.integer("samples", d.samples, 1, d.type == digits ? max_digits : max_integers,
            of(d.type == digits || d.type == integers));
  auto held_out = d.share_held_out();
  k.number("held_out", held_out, share);
  d.held_out = held_out;
}

template <class Keys>
void visit(Keys& k, tensor::sgd_options& o) {
  k.one_of("name", optimizers);
  k.number("learning_rate", o.learning_rate,
           {.min = 0, .max = max_float, .min_open = true, .words = "a number above 0"});
  k.number("momentum", o.momentum, share);
  k.number("weight_decay", o.weight_decay,
           {.min = 0, .max = max_float, .words = "a number of at least 0"});
  k.boolean("nesterov", o.nesterov);
}

template <class Keys>
void visit(Keys& k, scheduler::consistency& c) {
  auto mode = c.type();
  auto staleness = c.staleness().value_or(default_staleness);
  auto step = c.batches_per_step().value_or(default_batches_per_step);
  k.choice("consistency", mode);
  c = scheduler::consistency::of(mode, staleness, step);
  k.integer("staleness", staleness, 0, max_staleness, optional_if(c.staleness().has_value()));
  k.integer("batches_per_step", step, 1, max_staleness,
            optional_if(c.batches_per_step().has_value()));
  c = scheduler::consistency::of(mode, staleness, step);
}

template <class Keys>
void visit(Keys& k, train_spec& t) {
  k.integer("epochs", t.epochs, 1, max_epochs);
  k.integer("batch_size", t.batch_size, 1, max_batch);
  visit(k, t.consistency);
  k.table("optimizer", t.optimizer);
  k.choice("precision", t.precision);
  auto damping = t.damps_staleness();
  k.boolean("staleness_damping", damping);
  t.staleness_damping = damping;
  k.number("lease_timeout_seconds", t.lease_timeout_seconds,
           {.min = 0.001, .max = 1e6, .words = "a number of seconds from 0.001 to 1000000"});
}

template <class Keys>
void visit(Keys& k, cluster_spec& c) {
  k.integer("workers", c.workers, 1, max_members);
  k.integer("shards", c.shards, 1, max_members);
  k.integer("replicas", c.replicas, 1, max_replicas);
  k.boolean("shared_memory", c.shared_memory);
  k.boolean("bulk_connections", c.bulk_connections);
  k.number("stall_limit_seconds", c.stall_limit_seconds,
           {.min = 0, .max = 1e9, .words = "0 (never) or a number of seconds"});
}

template <class Keys>
void visit(Keys& k, checkpoint_spec& c) {
  k.integer("every_batches", c.every_batches, 0, std::numeric_limits<std::int64_t>::max());
  k.number("every_seconds", c.every_seconds,
           {.min = 0, .max = 1e9, .words = "0 (never) or a number of seconds"});
  k.integer("keep", c.keep, 1, max_kept);
}

template <class Keys>
void visit(Keys& k, inject_spec& i) {
  k.integer("duplicate_push_every", i.duplicate_push_every, 0,
            std::numeric_limits<std::uint32_t>::max());
  k.integer("slow_worker", i.slow_worker, -1, max_members - 1);
  k.number("slow_factor", i.slow_factor,
           {.min = 1, .max = 1e6, .words = "a number from 1 to 1000000"});
  k.number("batch_ms_low", i.batch_ms_low,
           {.min = 0, .max = max_added_ms, .words = "a number of milliseconds from 0 to 3600000"});
  auto high = i.most_batch_ms();
  k.number("batch_ms_high", high,
           {.min = i.batch_ms_low,
            .max = max_added_ms,
            .words = "a number of milliseconds from batch_ms_low to 3600000"});
  i.batch_ms_high = high;
}

template <class Keys>
void visit(Keys& k, job& j) {
  k.text("name", j.name);
  k.unsigned_integer("seed", j.seed);
  k.require("model");
  k.require("data");
  k.table("model", j.model);
  k.table("data", j.data);
  k.table("train", j.train);
  k.table("cluster", j.cluster);
  k.table("checkpoint", j.checkpoint);
  k.table("inject", j.inject);
}

} // namespace troupe::jobs
