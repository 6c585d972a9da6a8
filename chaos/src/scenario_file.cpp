// A scenario file is read.
#include "troupe/chaos/scenario_file.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <span>

#include <nlohmann/json.hpp>

#include "troupe/job.hpp"
#include "troupe/jobs/strict_object.hpp"
#include "troupe/jobs/toml_document.hpp"

namespace troupe::chaos {

namespace {

using jobs::expected_found;
using jobs::strict_object;
using nlohmann::json;

// The keys of each table. One that is missing here cannot be read.
constexpr std::array<std::string_view, 8> top_keys = {"name",   "seed",  "workload",   "cluster",
                                                      "faults", "fault", "invariants", "quiet"};
constexpr std::array<std::string_view, 10> workload_keys = {
    "modes",  "staleness",  "batches_per_step", "parameters",       "samples",
    "epochs", "batch_size", "batch_ms",         "checkpoint_every", "lease_timeout_ms"};
constexpr std::array<std::string_view, 4> cluster_keys = {"workers", "shards", "replicas", "nodes"};
constexpr std::array<std::string_view, 3> node_keys = {"count", "shards", "workers"};
constexpr std::array<std::string_view, 14> family_keys = {
    "kind",     "target",   "index", "nodes", "rate",   "count", "window_ms",
    "lasts_ms", "for_good", "way",   "from",  "breaks", "link",  "disk"};
constexpr std::array<std::string_view, 11> fault_keys = {"kind",   "target",   "index", "nodes",
                                                         "at_ms",  "lasts_ms", "way",   "from",
                                                         "breaks", "link",     "disk"};
constexpr std::array<std::string_view, 6> link_keys = {
    "latency_ms", "jitter_ms", "drop", "duplicate", "reorder", "bytes_per_second"};
constexpr std::array<std::string_view, 2> quiet_keys = {"from_ms", "finish_by_ms"};

constexpr std::int64_t max_count = 10'000;
constexpr std::int64_t max_members = 64;
constexpr strict_object::number_range any_time = {
    .min = 0, .max = 1e9, .words = "milliseconds from 0 to 1000000000"};
constexpr strict_object::number_range probability = {
    .min = 0, .max = 1, .words = "a probability from 0 to 1"};
constexpr strict_object::number_range any_rate = {
    .min = 0,
    .max = 1000,
    .min_open = true,
    .words = "faults in a virtual second, above 0 to 1000"};
constexpr strict_object::number_range any_bytes = {
    .min = 0, .max = 1e12, .words = "bytes in a virtual second, 0 (no limit) to 1e12"};

/// A table and all tables below it, whose keys errors name in full.
class table {
 public:
  table(const json& value, const std::string& path, std::span<const std::string_view> keys)
      : in_(strict(value, path, keys)) {}

  const strict_object* operator->() const { return &in_; }

  table below(std::string_view key, std::span<const std::string_view> keys) const {
    static const json none = json::object();
    return {in_.has(key) ? in_.at(key) : none, in_.path(key), keys};
  }

  /// The tables of an array; none where the key is missing.
  std::vector<table> each(std::string_view key, std::span<const std::string_view> keys) const {
    std::vector<table> result;
    if (!in_.has(key)) return result;
    const json& array = in_.at(key);
    if (!array.is_array())
      throw job_error(in_.path(key), expected_found("an array of tables", array));
    for (std::size_t i = 0; i < array.size(); ++i)
      result.emplace_back(array[i], in_.path(key) + "[" + std::to_string(i) + "]", keys);
    return result;
  }

  std::uint32_t integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                        std::int64_t max) const {
    return static_cast<std::uint32_t>(in_.integer(key, fallback, min, max));
  }

  sim_time time(std::string_view key, sim_time fallback) const {
    return in_.has(key) ? to_time(in_.number(key, 0, any_time)) : fallback;
  }

  /// One, or an array of them.
  std::vector<sim_time> each_time(std::string_view key, std::vector<sim_time> fallback) const {
    if (!in_.has(key)) return fallback;
    const json& value = in_.at(key);
    if (!value.is_array()) return {time(key, {})};
    if (value.empty())
      throw job_error(in_.path(key), "expected at least one, found an empty array");
    std::vector<sim_time> result;
    for (std::size_t i = 0; i < value.size(); ++i)
      result.push_back(to_time(number_at(key, i, any_time)));
    return result;
  }

  /// A number, or two of them in ascending order.
  range<double> numbers(std::string_view key, range<double> fallback,
                        const strict_object::number_range& of) const {
    if (!in_.has(key)) return fallback;
    const json& value = in_.at(key);
    if (!value.is_array()) {
      const double x = in_.number(key, 0, of);
      return {x, x};
    }
    const auto words = std::string(of.words) + ", or two such as [low, high]";
    if (value.size() != 2) throw job_error(in_.path(key), expected_found(words, value));
    const range<double> r = {number_at(key, 0, of), number_at(key, 1, of)};
    if (r.low > r.high)
      throw job_error(in_.path(key), "expected the lower number first, found " + value.dump());
    return r;
  }

  /// The same in whole numbers.
  range<std::uint32_t> counts(std::string_view key, range<std::uint32_t> fallback,
                              std::uint32_t min, std::uint32_t max) const {
    const auto words = "an integer from " + std::to_string(min) + " to " + std::to_string(max);
    const auto n =
        numbers(key, {static_cast<double>(fallback.low), static_cast<double>(fallback.high)},
                {.min = static_cast<double>(min), .max = static_cast<double>(max), .words = words});
    if (n.low != std::floor(n.low) || n.high != std::floor(n.high))
      throw job_error(in_.path(key), expected_found(words, in_.at(key)));
    return {static_cast<std::uint32_t>(n.low), static_cast<std::uint32_t>(n.high)};
  }

  range<sim_time> times(std::string_view key, range<sim_time> fallback) const {
    if (!in_.has(key)) return fallback;
    const auto r = numbers(key, {}, any_time);
    return {to_time(r.low), to_time(r.high)};
  }

  /// One of `names`, or an array of them; as indices.
  std::vector<std::size_t> choices(std::string_view key, std::span<const std::string_view> names,
                                   std::size_t fallback) const {
    if (!in_.has(key)) return {fallback};
    const json& value = in_.at(key);
    if (!value.is_array()) return {in_.choice(key, names, fallback)};
    if (value.empty())
      throw job_error(in_.path(key), "expected at least one, found an empty array");
    std::vector<std::size_t> result;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const json named = {{"n", value[i]}};
      const std::array<std::string_view, 1> known = {"n"};
      try {
        result.push_back(strict_object(named, "", known).choice("n", names, 0));
      } catch (const job_error& e) {
        throw job_error(in_.path(key) + "[" + std::to_string(i) + "]", e.reason());
      }
    }
    return result;
  }

  void refuse(std::string_view key, const std::string& reason) const {
    throw job_error(in_.path(key), reason);
  }

 private:
  double number_at(std::string_view key, std::size_t i,
                   const strict_object::number_range& of) const {
    const json named = {{"n", in_.at(key)[i]}};
    const std::array<std::string_view, 1> known = {"n"};
    try {
      return strict_object(named, "", known).number("n", 0, of);
    } catch (const job_error& e) {
      throw job_error(in_.path(key) + "[" + std::to_string(i) + "]", e.reason());
    }
  }

  static strict_object strict(const json& value, const std::string& path,
                              std::span<const std::string_view> keys) {
    std::vector<std::string> full;
    for (const auto key : keys) full.push_back((path.empty() ? "" : path + ".") + std::string(key));
    return {value, path, std::vector<std::string_view>(full.begin(), full.end())};
  }

  static sim_time to_time(double ms) { return sim_time(std::llround(ms * 1e6)); }

  strict_object in_;
};

workload read_workload(const table& in) {
  workload w;
  const auto staleness = in.integer("staleness", 2, 0, 1000);
  const auto step = in.integer("batches_per_step", 4, 1, 1000);
  w.modes.clear();
  // Without hogwild, whose workers share memory and race for real.
  std::vector<std::string_view> simulated;
  std::ranges::remove_copy(names_of<scheduler::mode>, std::back_inserter(simulated),
                           name_of(scheduler::mode::hogwild));
  for (const auto i : in.choices("modes", simulated, 0))
    w.modes.push_back(
        scheduler::consistency::of(*value_of<scheduler::mode>(simulated[i]), staleness, step));
  w.parameters = in.integer("parameters", w.parameters, 1, 1 << 20);
  w.samples = in.integer("samples", w.samples, 1, 1 << 20);
  w.epochs = in.integer("epochs", w.epochs, 1, 1000);
  w.batch_size = in.integer("batch_size", w.batch_size, 1, 1 << 20);
  w.batch_time = in.times("batch_ms", w.batch_time);
  w.checkpoint_every = in.integer("checkpoint_every", w.checkpoint_every, 0, 1 << 20);
  w.lease_timeouts = in.each_time("lease_timeout_ms", w.lease_timeouts);
  if (std::ranges::min(w.lease_timeouts) <= w.batch_time.high)
    in.refuse("lease_timeout_ms", "expected more than the longest time of a batch");
  if (w.batch_size > w.samples)
    in.refuse("batch_size", "expected at most the " + std::to_string(w.samples) +
                                " samples, found " + std::to_string(w.batch_size));
  // Every step a mean of the same number of gradients, and that without rounding.
  const auto batches = (w.samples + w.batch_size - 1) / w.batch_size;
  const bool has_steps = std::ranges::any_of(
      w.modes, [](const auto& mode) { return mode.batches_per_step().has_value(); });
  if (has_steps && (batches % step != 0 || (step & (step - 1)) != 0))
    in.refuse("batches_per_step", "expected a power of 2 that divides the " +
                                      std::to_string(batches) + " batches of an epoch, found " +
                                      std::to_string(step));
  constexpr std::uint64_t exact = 1 << 24; // INTEGER-1
  if (3 * std::uint64_t{w.samples} * w.epochs > exact)
    in.refuse("samples", "expected samples times epochs of at most " + std::to_string(exact / 3) +
                             ", where sums are exact, found " +
                             std::to_string(std::uint64_t{w.samples} * w.epochs));
  return w;
}

// As `troupe train` starts them: nodes for shards, and one for each worker.
std::vector<node_group> default_nodes(const cluster_shape& c) {
  const auto nodes = std::max(c.shards, c.replicas);
  const auto each = (c.shards * c.replicas + nodes - 1) / nodes;
  return {{nodes, each, 0}, {c.workers, 0, 1}};
}

cluster_shape read_cluster(const table& in, const workload& work) {
  cluster_shape c;
  c.workers = in.integer("workers", c.workers, 1, max_members);
  c.shards = in.integer("shards", c.shards, 1, max_members);
  c.replicas = in.integer("replicas", c.replicas, 1, 16);
  if (c.shards > work.parameters)
    in.refuse("shards", "expected at most one shard for each of the " +
                            std::to_string(work.parameters) + " parameters, found " +
                            std::to_string(c.shards));
  std::uint64_t shards = 0, workers = 0, nodes = 0;
  for (const auto& group : in.each("nodes", node_keys)) {
    node_group g;
    g.count = group.integer("count", 1, 1, max_members);
    g.shards = group.integer("shards", 0, 0, max_members);
    g.workers = group.integer("workers", 0, 0, max_members);
    shards += g.count * std::min(g.shards, c.shards);
    workers += g.count * g.workers;
    nodes += g.shards > 0 ? g.count : 0;
    c.nodes.push_back(g);
  }
  if (c.nodes.empty()) {
    c.nodes = default_nodes(c);
    return c;
  }
  if (shards < std::uint64_t{c.shards} * c.replicas || nodes < c.replicas)
    in.refuse("nodes", "expected room for " + std::to_string(c.replicas) + " replicas of " +
                           std::to_string(c.shards) +
                           " shards on different nodes, found room for " + std::to_string(shards) +
                           " on " + std::to_string(nodes));
  if (workers < c.workers)
    in.refuse("nodes", "expected room for " + std::to_string(c.workers) +
                           " workers, found room for " + std::to_string(workers));
  return c;
}

// A key that would have no effect is a mistake of who wrote it.
void check_meaning(const table& in, fault_kind kind, fault_target target) {
  const auto only = [&](std::string_view key, std::initializer_list<fault_kind> kinds) {
    if (!in->has(key) || std::ranges::find(kinds, kind) != kinds.end()) return;
    std::string list;
    for (const auto k : kinds)
      list += (list.empty() ? "\"" : " or \"") + std::string(name_of(k)) + "\"";
    in.refuse(key, "expected this key with kind = " + list + " only, found kind = \"" +
                       std::string(name_of(kind)) + "\"");
  };
  using enum fault_kind;
  only("for_good", {kill, power_loss, drain, stop});
  only("way", {partition});
  only("from", {partition});
  only("breaks", {partition});
  only("link", {fault_kind::link});
  only("disk", {disk});
  if (target == fault_target::everybody && kind != fault_kind::link && kind != clock_jump &&
      kind != stop)
    in.refuse("target", "expected a node or the scheduler for kind = \"" +
                            std::string(name_of(kind)) + "\", found \"everybody\"");
  if (kind == drain && target == fault_target::scheduler)
    in.refuse("target", "expected nodes for kind = \"drain\", found \"scheduler\"");
  if (in->has("nodes") && target != fault_target::node && target != fault_target::worker_node)
    in.refuse("nodes", "expected this key with target = \"node\" or \"worker_node\" only, found "
                       "target = \"" +
                           std::string(name_of(target)) + "\"");
  if (in->has("index") && (target == fault_target::scheduler || target == fault_target::everybody))
    in.refuse("index", "expected no index for target = \"" + std::string(name_of(target)) + "\"");
}

void check_cut(const table& in, fault_target target, std::uint32_t most_nodes, bool each_other) {
  const bool several =
      target == fault_target::chain ||
      ((target == fault_target::node || target == fault_target::worker_node) && most_nodes > 1);
  if (each_other && !several)
    in.refuse("from", "expected target = \"chain\", or nodes = 2 or more, for from = "
                      "\"each_other\": one target alone is cut from nobody");
}

range<link_properties> read_link(const table& in) {
  range<link_properties> r;
  const auto set = [&](auto member, auto values) {
    r.low.*member = values.low;
    r.high.*member = values.high;
  };
  set(&link_properties::latency, in.times("latency_ms", {}));
  set(&link_properties::jitter, in.times("jitter_ms", {}));
  set(&link_properties::drop, in.numbers("drop", {}, probability));
  set(&link_properties::duplicate, in.numbers("duplicate", {}, probability));
  set(&link_properties::reorder, in.numbers("reorder", {}, probability));
  set(&link_properties::bytes_per_second, in.numbers("bytes_per_second", {}, any_bytes));
  return r;
}

template <class Enum>
std::vector<Enum> as(const std::vector<std::size_t>& indices) {
  std::vector<Enum> result;
  for (const auto i : indices) result.push_back(static_cast<Enum>(i));
  return result;
}

fault_family read_family(const table& in, const quiet_phase& quiet) {
  fault_family f;
  in->at("kind");
  in->at("target");
  f.kind = static_cast<fault_kind>(in->choice("kind", fault_kind_names, 0));
  f.target = static_cast<fault_target>(in->choice("target", fault_target_names, 0));
  check_meaning(in, f.kind, f.target);
  if (in->has("index")) f.index = in.integer("index", 0, 0, max_members);
  f.nodes = in.counts("nodes", f.nodes, 1, max_members);
  if (in->has("rate") == in->has("count"))
    in.refuse(in->has("rate") ? "rate" : "count", in->has("rate")
                                                      ? "expected one of rate and count, found both"
                                                      : "expected rate or count, found neither");
  if (in->has("rate")) {
    f.rate = in->number("rate", 0, any_rate);
    f.count = {0, 0};
  } else {
    f.count = in.counts("count", {}, 0, max_count);
  }
  f.window = in.times("window_ms", {sim_time{}, quiet.from});
  if (f.window.low >= quiet.from)
    in.refuse("window_ms",
              "expected to begin before quiet.from_ms, found " + in->at("window_ms").dump());
  f.for_good = in->number("for_good", 0, probability);
  if (f.for_good < 1) in->at("lasts_ms");
  f.lasts = in.times("lasts_ms", {});
  f.ways = as<direction>(in.choices("way", direction_names, 0));
  f.from = as<cut_from>(in.choices("from", cut_from_names, 0));
  check_cut(in, f.target, f.nodes.high, std::ranges::count(f.from, cut_from::each_other) > 0);
  f.breaks = in->number("breaks", 0, probability);
  f.disks = as<disk_fault>(in.choices("disk", disk_fault_names, 0));
  if (f.kind == fault_kind::link) {
    in->at("link");
    f.link = read_link(in.below("link", link_keys));
  }
  return f;
}

fault read_fault(const table& in, const quiet_phase& quiet) {
  fault f;
  in->at("kind");
  in->at("target");
  in->at("at_ms");
  f.kind = static_cast<fault_kind>(in->choice("kind", fault_kind_names, 0));
  f.target = static_cast<fault_target>(in->choice("target", fault_target_names, 0));
  check_meaning(in, f.kind, f.target);
  f.index = in.integer("index", 0, 0, max_members);
  f.nodes = in.integer("nodes", 1, 1, max_members);
  f.at = in.time("at_ms", {});
  if (f.at > quiet.from)
    in.refuse("at_ms", "expected at most quiet.from_ms, found " + in->at("at_ms").dump());
  using enum fault_kind;
  if (f.kind != kill && f.kind != power_loss && f.kind != drain && f.kind != stop)
    in->at("lasts_ms");
  f.lasts = in.time("lasts_ms", {});
  f.way = static_cast<direction>(in->choice("way", direction_names, 0));
  f.from = static_cast<cut_from>(in->choice("from", cut_from_names, 0));
  check_cut(in, f.target, f.nodes, f.from == cut_from::each_other);
  f.breaks = in->boolean("breaks", false);
  f.disk = static_cast<disk_fault>(in->choice("disk", disk_fault_names, 0));
  if (f.kind == fault_kind::link) {
    in->at("link");
    const auto link = in.below("link", link_keys);
    for (const auto key : link_keys)
      if (link->has(key) && link->at(key).is_array())
        link.refuse(key, expected_found("one number", link->at(key)));
    f.link = read_link(link).low;
  }
  return f;
}

void check_name(const std::string& name) {
  const auto allowed = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  };
  if (name.empty() || name.size() > 100 || name.front() == '.' || name.front() == '-' ||
      !std::ranges::all_of(name, allowed))
    throw job_error("name", expected_found("1 to 100 letters, digits, '-', '_' and '.', beginning "
                                           "with a letter, digit or '_'",
                                           json(name)));
}

scenario read(const json& values) {
  const table in(values, "", top_keys);
  scenario s;
  s.name = in->text("name", s.name);
  check_name(s.name);
  if (in->has("seed")) s.seed = in->unsigned_integer("seed", 0);
  s.work = read_workload(in.below("workload", workload_keys));
  s.cluster = read_cluster(in.below("cluster", cluster_keys), s.work);
  const auto quiet = in.below("quiet", quiet_keys);
  s.quiet.from = quiet.time("from_ms", s.quiet.from);
  s.quiet.finish_by = quiet.time("finish_by_ms", s.quiet.finish_by);
  if (s.quiet.finish_by <= s.quiet.from)
    quiet.refuse("finish_by_ms", "expected a time after quiet.from_ms");
  for (const auto& family : in.each("faults", family_keys))
    s.families.push_back(read_family(family, s.quiet));
  for (const auto& one : in.each("fault", fault_keys)) s.faults.push_back(read_fault(one, s.quiet));
  std::ranges::stable_sort(s.faults, {}, &fault::at);
  const auto checked = in.below("invariants", invariant_names);
  for (std::size_t i = 0; i < invariants; ++i)
    if (!checked->boolean(invariant_names[i], true)) s.unchecked.insert(static_cast<invariant>(i));
  return s;
}

scenario parse(const std::string& text, const std::string& where, const std::string& name) {
  const auto document = jobs::toml_document::parse(text, where);
  try {
    auto values = document.values();
    if (!values.contains("name")) values["name"] = name;
    return read(values);
  } catch (const job_error& e) {
    const auto line = document.line_of(e.key());
    throw job_error(where + (line > 0 ? ":" + std::to_string(line) : "") + ": " + e.what());
  }
}

} // namespace

scenario load_scenario(const std::filesystem::path& file) {
  std::string name = file.stem().string();
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '.') c = '-';
  return parse(jobs::read_small_file(file, "scenario file"), file.string(), name);
}

scenario scenario_from_toml(const std::string& text, const std::string& where) {
  return parse(text, where, scenario{}.name);
}

} // namespace troupe::chaos
