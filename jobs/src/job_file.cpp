#include "troupe/job.hpp"

#include <cctype>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "troupe/jobs/toml_document.hpp"

namespace troupe {

using nlohmann::json;

using jobs::read_small_file;
using jobs::toml_document;

namespace {

// A job as it was read: the values, and where each came from.
struct source {
  std::string file;
  std::optional<toml_document> document; // none: JSON
  json values;
  std::map<std::string, std::string> overridden; // key: the override as given
};

source read_toml(const std::string& text, const std::string& name) {
  auto document = toml_document::parse(text, name);
  json values = document.values();
  return {name, std::move(document), std::move(values), {}};
}

source read_json(std::string_view text, const std::string& name) {
  json values = json::parse(text, nullptr, false);
  if (values.is_discarded()) throw job_error(name + ": expected a job as JSON, found other text");
  return {name, std::nullopt, std::move(values), {}};
}

// Any text that is no TOML value is taken as it stands.
json override_value(const std::string& text) {
  try {
    const json values = toml_document::parse("value = " + text + "\n", "--set").values();
    if (values.size() == 1) return values.at("value");
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
    const std::size_t line = s.document ? s.document->line_of(e.key()) : 0;
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
  const std::string text = read_small_file(file, "job file");
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

} // namespace troupe
