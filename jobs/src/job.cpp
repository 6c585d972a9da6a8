#include "troupe/job.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <memory>

#include <nlohmann/json.hpp>

#include "job_table.hpp"
#include "troupe/jobs/job_keys.hpp"

namespace troupe {

using nlohmann::json;

namespace jobs {

namespace {

constexpr std::size_t max_name = 100;

/// A model or data that the program brings itself: a sequential model without layers, a digit set
/// without samples.
constexpr std::string_view own_name = "own";

template <class Enum>
constexpr auto names_and_own = [] {
  std::array<std::string_view, names_of<Enum>.size() + 1> names{};
  std::ranges::copy(names_of<Enum>, names.begin());
  names.back() = own_name;
  return names;
}();

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

constexpr bool has_units(tensor::layer_spec::kind k) {
  return k == tensor::layer_spec::kind::dense;
}

// "{ dense = UNITS }, "relu" or "tanh""
std::string any_layer() {
  constexpr auto& names = names_of<tensor::layer_spec::kind>;
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool units = has_units(static_cast<tensor::layer_spec::kind>(i));
    text +=
        (i == 0                 ? ""
         : i + 1 < names.size() ? ", "
                                : " or ") +
        (units ? "{ " + std::string(names[i]) + " = UNITS }" : '"' + std::string(names[i]) + '"');
  }
  return text;
}

tensor::layer_spec read_layer(const json& value, const std::string& key) {
  using kind = tensor::layer_spec::kind;
  if (value.is_string())
    if (const auto type = value_of<kind>(value.get<std::string>()); type && !has_units(*type))
      return {*type, 0};
  if (value.is_object() && value.size() == 1) {
    const auto name = value.begin().key();
    const auto type = value_of<kind>(name);
    if (!type || !has_units(*type))
      throw job_error(key,
                      "expected " + any_layer() + ", found a table with the key \"" + name + "\"");
    const std::string path = key + "." + name;
    const std::array<std::string_view, 1> known = {path};
    return {*type, static_cast<std::size_t>(
                       strict_object(value, key, known).integer(name, 0, 1, max_units))};
  }
  throw job_error(key, expected_found(any_layer(), value));
}

json layer_json(const tensor::layer_spec& layer) {
  const std::string name(name_of(layer.type));
  return has_units(layer.type) ? json{{name, layer.units}} : json(name);
}

bool is_table(std::string_view key) {
  return std::ranges::any_of(job_keys(), [&](std::string_view other) {
    return other.size() > key.size() && other.starts_with(key) && other[key.size()] == '.';
  });
}

// Throws for an unknown key of any table. Before all else: a misspelled key explains best why another
// one is missing.
void check_keys(const json& values, const std::string& path) {
  const strict_object in(values, path, job_keys());
  for (const auto& item : values.items())
    if (is_table(in.path(item.key()))) check_keys(item.value(), in.path(item.key()));
}

/// Fills the members of a job from the tables of a file.
class key_reader {
 public:
  key_reader(const json& value, std::string path) : in_(value, std::move(path), job_keys()) {}

  void require(std::string_view key) { in_.at(key); }

  template <class Spec>
  void table(std::string_view key, Spec& spec) {
    static const json none = json::object();
    key_reader keys(in_.has(key) ? in_.at(key) : none, in_.path(key));
    visit(keys, spec);
  }

  template <class Enum>
  bool own(std::string_view key, Enum& member, bool /*is_own*/) {
    const auto chosen = in_.choice(key, names_and_own<Enum>, static_cast<std::size_t>(member));
    const bool own = chosen == names_of<Enum>.size();
    if (!own) member = static_cast<Enum>(chosen);
    return own;
  }

  template <class Enum>
  void choice(std::string_view key, Enum& member, presence p = presence::optional) {
    keep(key, member, p,
         static_cast<Enum>(in_.choice(key, names_of<Enum>, static_cast<std::size_t>(member))));
  }

  void one_of(std::string_view key, std::span<const std::string_view> names) {
    in_.choice(key, names, 0);
  }

  template <std::integral T>
  void integer(std::string_view key, T& member, std::int64_t min, std::int64_t max,
               presence p = presence::optional) {
    keep(key, member, p,
         static_cast<T>(in_.integer(key, static_cast<std::int64_t>(member), min, max)));
  }

  void unsigned_integer(std::string_view key, std::uint64_t& member) {
    member = in_.unsigned_integer(key, member);
  }

  void boolean(std::string_view key, bool& member) { member = in_.boolean(key, member); }

  void number(std::string_view key, double& member, const number_range& range) {
    member = in_.number(key, member, range);
  }

  void number(std::string_view key, float& member, const number_range& range) {
    member = static_cast<float>(in_.number(key, readable(member), range));
    // A double just below the end of an open range may round up to it as a float.
    if (range.max_open && member >= range.max)
      throw job_error(in_.path(key), expected_found(range.words, in_.at(key)));
  }

  template <class Text>
  void text(std::string_view key, Text& member, presence p = presence::optional) {
    keep(key, member, p, Text(in_.text(key, std::string(member))));
    if (p == presence::required && member.empty())
      throw job_error(in_.path(key), "expected a text, found an empty one");
  }

  void layers(std::string_view key, std::vector<tensor::layer_spec>& member, presence p) {
    std::vector<tensor::layer_spec> read;
    if (in_.has(key)) read = layers_of(in_.at(key), in_.path(key));
    keep(key, member, p, std::move(read));
  }

 private:
  template <class T>
  void keep(std::string_view key, T& member, presence p, T read) {
    if (p == presence::required) in_.at(key);
    if (p != presence::unused) member = std::move(read);
  }

  static std::vector<tensor::layer_spec> layers_of(const json& value, const std::string& path) {
    if (!value.is_array() || value.empty() || value.size() > max_layers)
      throw job_error(path, value.is_array() ? "expected 1 to " + std::to_string(max_layers) +
                                                   " layers, found " + std::to_string(value.size())
                                             : expected_found("an array of layers", value));
    std::vector<tensor::layer_spec> layers;
    for (std::size_t i = 0; i < value.size(); ++i)
      layers.push_back(read_layer(value[i], path + "[" + std::to_string(i) + "]"));
    if (std::ranges::none_of(layers, [](const auto& layer) { return has_units(layer.type); }))
      throw job_error(path, "expected at least one { dense = UNITS }, found none");
    return layers;
  }

  strict_object in_;
};

/// Prints the members of a job.
class key_printer {
 public:
  json take() { return std::move(out_); }

  void require(std::string_view) {}

  template <class Spec>
  void table(std::string_view key, Spec& spec) {
    key_printer keys;
    visit(keys, spec);
    put(key, keys.take());
  }

  template <class Enum>
  bool own(std::string_view key, Enum& member, bool is_own) {
    put(key, is_own ? own_name : name_of(member));
    return is_own;
  }

  template <class Enum>
  void choice(std::string_view key, Enum& member, presence p = presence::optional) {
    put(key, name_of(member), p);
  }

  void one_of(std::string_view key, std::span<const std::string_view> names) {
    put(key, names.front());
  }

  template <std::integral T>
  void integer(std::string_view key, T& member, std::int64_t, std::int64_t,
               presence p = presence::optional) {
    put(key, member, p);
  }

  void unsigned_integer(std::string_view key, std::uint64_t& member) { put(key, member); }
  void boolean(std::string_view key, bool& member) { put(key, member); }
  void number(std::string_view key, double& member, const number_range&) { put(key, member); }
  void number(std::string_view key, float& member, const number_range&) {
    put(key, readable(member));
  }
  void text(std::string_view key, std::string& member, presence p = presence::optional) {
    put(key, member, p);
  }
  void text(std::string_view key, std::filesystem::path& member, presence p) {
    put(key, member.string(), p);
  }

  void layers(std::string_view key, std::vector<tensor::layer_spec>& member, presence p) {
    json list = json::array();
    for (const auto& layer : member) list.push_back(layer_json(layer));
    put(key, std::move(list), p);
  }

 private:
  void put(std::string_view key, json value, presence p = presence::optional) {
    if (p != presence::unused) out_[std::string(key)] = std::move(value);
  }

  json out_ = json::object();
};

/// Lists the keys of a job, each table before its keys.
class key_list {
 public:
  explicit key_list(std::vector<std::string>& keys, std::string path = {})
      : keys_(keys), path_(std::move(path)) {}

  void require(std::string_view) {}

  template <class Spec>
  void table(std::string_view key, Spec& spec) {
    add(key);
    key_list below(keys_, path_ + std::string(key) + ".");
    visit(below, spec);
  }

  bool own(std::string_view key, auto&, bool) {
    add(key);
    return false;
  }

  void choice(std::string_view key, auto&, presence = presence::optional) { add(key); }
  void one_of(std::string_view key, std::span<const std::string_view>) { add(key); }
  void integer(std::string_view key, auto&, std::int64_t, std::int64_t,
               presence = presence::optional) {
    add(key);
  }
  void unsigned_integer(std::string_view key, auto&) { add(key); }
  void boolean(std::string_view key, auto&) { add(key); }
  void number(std::string_view key, auto&, const number_range&) { add(key); }
  void text(std::string_view key, auto&, presence = presence::optional) { add(key); }
  void layers(std::string_view key, auto&, presence) { add(key); }

 private:
  void add(std::string_view key) { keys_.push_back(path_ + std::string(key)); }

  std::vector<std::string>& keys_;
  std::string path_;
};

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

// What one key says of another.
void check_together(const job& j) {
  const auto& optimizer = j.train.optimizer;
  if (optimizer.nesterov && optimizer.momentum == 0)
    throw job_error("train.optimizer.nesterov",
                    "expected false without momentum, found true; set momentum above 0");
  if (j.train.consistency.in_place() && j.cluster.replicas > 1)
    throw job_error("cluster.replicas", "expected 1 with train.consistency = \"hogwild\", whose "
                                        "parameters live in the memory of one process, found " +
                                            std::to_string(j.cluster.replicas));
  if (j.inject.slow_worker >= static_cast<std::int64_t>(j.cluster.workers))
    throw job_error("inject.slow_worker", "expected -1 (none) or the index of one of the " +
                                              std::to_string(j.cluster.workers) +
                                              " workers, from 0, found " +
                                              std::to_string(j.inject.slow_worker));
  if (j.model.type != model_spec::kind::integer_sum) return;
  if (j.data.type != data_spec::format::integers)
    throw job_error("data.format",
                    "expected \"integers\" for model.kind = \"integer_sum\", found \"" +
                        std::string(name_of(j.data.type)) + "\"");
  if (j.cluster.shards > j.model.parameters)
    throw job_error("cluster.shards", "expected at most one shard for each of the " +
                                          std::to_string(j.model.parameters) +
                                          " parameters, found " + std::to_string(j.cluster.shards));
}

} // namespace

const std::vector<std::string_view>& job_keys() {
  static const auto keys = [] {
    std::vector<std::string> list;
    key_list keys(list);
    job any;
    visit(keys, any);
    return list;
  }();
  static const std::vector<std::string_view> views(keys.begin(), keys.end());
  return views;
}

} // namespace jobs

json to_json(const job& j) {
  jobs::key_printer keys;
  job printed = j;
  jobs::visit(keys, printed);
  return keys.take();
}

job job_from_json(const json& value) {
  jobs::check_keys(value, "");
  jobs::key_reader keys(value, "");
  job j;
  jobs::visit(keys, j);
  jobs::check_name(j.name);
  jobs::check_together(j);
  return j;
}

} // namespace troupe
