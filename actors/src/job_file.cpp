#include "troupe/actors/job_file.hpp"

#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <sstream>

#include <nlohmann/json.hpp>
#include <toml.hpp>

#include "strict_object.hpp"
#include "troupe/actors/job_error.hpp"

namespace troupe::actors {

using nlohmann::json;

namespace {

constexpr std::uintmax_t max_file_bytes = 1 << 20;

// toml11 explains over several lines, with a drawing: the headline and the last remark are kept.
std::string one_line(const std::string& message) {
  std::string head = message.substr(0, message.find('\n'));
  if (head.starts_with("[error] ")) head.erase(0, 8);
  if (head.starts_with("toml::")) {
    const auto colon = head.find(": ");
    head = colon == std::string::npos ? "" : head.substr(colon + 2);
  }
  std::string remark;
  for (const auto* mark : {"^--- ", "~~~ "}) {
    const auto at = message.rfind(mark);
    if (at == std::string::npos) continue;
    const auto begin = at + std::strlen(mark);
    remark = message.substr(begin, message.find('\n', begin) - begin);
    break;
  }
  if (remark == "here") remark.clear();
  if (head.empty()) std::swap(head, remark);
  if (head.ends_with('.')) head.pop_back();
  if (remark.ends_with('.')) remark.pop_back();
  std::string line = head + (remark.empty() ? "" : ", " + remark);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return line;
}

// `where`: "FILE:LINE" of a value, put before errors.
std::string place(const std::string& file, const toml::value& value) {
  return file + ":" + std::to_string(value.location().line());
}

json to_json(const toml::value& value, const std::string& key, const std::string& file) {
  switch (value.type()) {
  case toml::value_t::boolean:
    return value.as_boolean();
  case toml::value_t::integer:
    // toml11 cuts a number that does not fit to the largest one without a word.
    if (value.as_integer() == std::numeric_limits<std::int64_t>::max() ||
        value.as_integer() == std::numeric_limits<std::int64_t>::min())
      throw job_error(place(file, value) + ": " + key +
                      ": expected an integer below 9223372036854775807, found a larger one");
    return value.as_integer();
  case toml::value_t::floating:
    return value.as_floating();
  case toml::value_t::string:
    return value.as_string().str;
  case toml::value_t::array: {
    json out = json::array();
    for (const auto& element : value.as_array())
      out.push_back(to_json(element, key + "[" + std::to_string(out.size()) + "]", file));
    return out;
  }
  case toml::value_t::table: {
    json out = json::object();
    for (const auto& [name, element] : value.as_table())
      out[name] = to_json(element, key.empty() ? name : key + "." + name, file);
    return out;
  }
  default:
    throw job_error(place(file, value) + ": " + key +
                    ": expected a text, number, boolean, array or table, found a date or time");
  }
}

// The line at which `key` ("model.layers[1].dense"), or the last part of its path that exists,
// stands; 0 when it is the whole file.
std::size_t line_of(const toml::value& root, std::string_view key) {
  const toml::value* at = &root;
  std::size_t line = 0;
  while (!key.empty()) {
    const auto end = key.find_first_of(".[", 1);
    std::string part(key.substr(0, end));
    key = end == std::string_view::npos ? std::string_view{} : key.substr(end);
    if (part.starts_with('[')) {
      const auto index = std::stoul(part.substr(1));
      if (!at->is_array() || index >= at->as_array().size()) break;
      at = &at->as_array()[index];
    } else {
      if (part.starts_with('.')) part.erase(0, 1);
      if (!at->is_table() || at->as_table().count(part) == 0) break;
      at = &at->as_table().at(part);
    }
    line = at->location().line();
  }
  return line;
}

// A job as it was read: the values, and where each came from.
struct source {
  std::string file;
  std::optional<toml::value> document; // none: JSON
  json values;
  std::map<std::string, std::string> overridden; // key: the override as given
};

std::string read_text(const std::filesystem::path& file) {
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) throw job_error(file.string() + ": cannot read the job file: " + std::strerror(errno));
  std::error_code not_regular;
  const auto size = std::filesystem::file_size(file, not_regular);
  if (std::filesystem::is_directory(file))
    throw job_error(file.string() + ": expected a job file, found a folder");
  if (!not_regular && size > max_file_bytes)
    throw job_error(file.string() + ": expected a job file of at most " +
                    std::to_string(max_file_bytes) + " bytes, found " + std::to_string(size));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

source read_toml(const std::string& text, const std::string& name) {
  std::istringstream in(text);
  try {
    toml::value document = toml::parse(in, name);
    json values = to_json(document, "", name);
    return {name, std::move(document), std::move(values), {}};
  } catch (const toml::exception& e) {
    throw job_error(name + ":" + std::to_string(e.location().line()) +
                    ": not a TOML file: " + one_line(e.what()));
  } catch (const job_error&) {
    throw;
  } catch (const std::exception& e) {
    throw job_error(name + ": not a TOML file: " + one_line(e.what()));
  }
}

source read_json(std::string_view text, const std::string& name) {
  json values = json::parse(text, nullptr, false);
  if (values.is_discarded()) throw job_error(name + ": expected a job as JSON, found other text");
  return {name, std::nullopt, std::move(values), {}};
}

// Any text that is no TOML value is taken as it stands.
json override_value(const std::string& text) {
  std::istringstream in("value = " + text + "\n");
  try {
    const toml::value document = toml::parse(in, "--set");
    if (document.as_table().size() == 1)
      return to_json(document.as_table().at("value"), "", "--set");
  } catch (const std::exception&) {
    // not a TOML value: text
  }
  return text;
}

// An override as errors repeat it: in one line, and not too long for it.
std::string quoted(std::string text) {
  constexpr std::size_t longest = 100;
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return "--set " + (text.size() > longest ? text.substr(0, longest) + "..." : text);
}

void apply_override(source& s, const std::string& text) {
  const auto equals = text.find('=');
  const std::string key = text.substr(0, equals);
  if (equals == std::string::npos || key.empty())
    throw job_error(quoted(text) + ": expected KEY=VALUE, such as train.epochs=3");
  json* at = &s.values;
  std::string path;
  std::size_t begin = 0;
  while (true) {
    const auto dot = key.find('.', begin);
    const std::string part = key.substr(begin, dot - begin);
    if (part.empty()) throw job_error(quoted(text) + ": expected a key such as train.epochs");
    if (!at->is_object())
      throw job_error(quoted(text) + ": " + path + " is not a table in " + s.file);
    path += (path.empty() ? "" : ".") + part;
    at = &(*at)[part];
    if (dot == std::string::npos) break;
    if (at->is_null()) *at = json::object();
    begin = dot + 1;
  }
  *at = override_value(text.substr(equals + 1));
  s.overridden[key] = text;
}

void make_absolute(source& s, const std::filesystem::path& folder) {
  if (!s.values.is_object() || !s.values.contains("data") || !s.values["data"].is_object()) return;
  for (const char* key : {"images", "labels", "file"}) {
    auto& data = s.values["data"];
    if (!data.contains(key) || !data[key].is_string()) continue;
    const std::filesystem::path path = data[key].get<std::string>();
    if (path.empty()) continue;
    const auto& base = s.overridden.contains(std::string("data.") + key)
                           ? std::filesystem::current_path()
                           : folder;
    data[key] = (base / path).lexically_normal().string();
  }
}

job read(const source& s) {
  try {
    return job_from_json(s.values);
  } catch (const job_error& e) {
    for (const auto& [key, text] : s.overridden)
      if (e.key() == key || e.key().starts_with(key + ".") || e.key().starts_with(key + "["))
        throw job_error(quoted(text) + ": " + e.what());
    const std::size_t line = s.document ? line_of(*s.document, e.key()) : 0;
    throw job_error(s.file + (line > 0 ? ":" + std::to_string(line) : "") + ": " + e.what());
  }
}

job finish(source s, const std::filesystem::path& folder,
           const std::vector<std::string>& overrides) {
  for (const auto& text : overrides) apply_override(s, text);
  make_absolute(s, folder);
  return read(s);
}

} // namespace

job load_job(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  const std::string text = read_text(file);
  source s =
      file.extension() == ".json" ? read_json(text, file.string()) : read_toml(text, file.string());
  if (s.values.is_object() && !s.values.contains("name")) {
    std::string name = file.stem().string();
    for (char& c : name)
      if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '.') c = '-';
    s.values["name"] = std::move(name);
  }
  return finish(std::move(s), std::filesystem::absolute(file).parent_path(), overrides);
}

job load_job_text(std::string_view json_text, const std::string& where,
                  const std::vector<std::string>& overrides) {
  return finish(read_json(json_text, where), std::filesystem::current_path(), overrides);
}

} // namespace troupe::actors
