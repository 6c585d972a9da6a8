#include "troupe/jobs/toml_document.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

#include <toml.hpp>

#include "troupe/job.hpp"

namespace troupe::jobs {

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

/// Turns the values of toml11, which know where they stand, into plain ones and a list of lines.
struct conversion {
  const std::string& name;
  std::map<std::string, std::size_t, std::less<>>& lines;

  json plain(const toml::value& value, const std::string& key) {
    const auto line = value.location().line();
    if (!key.empty()) lines[key] = line;
    const auto refuse = [&](const std::string& reason) -> json {
      throw job_error(name + ":" + std::to_string(line) + ": " + key + ": " + reason);
    };
    switch (value.type()) {
    case toml::value_t::boolean:
      return value.as_boolean();
    case toml::value_t::integer:
      // toml11 cuts a number that does not fit to the largest one without a word.
      if (value.as_integer() == std::numeric_limits<std::int64_t>::max() ||
          value.as_integer() == std::numeric_limits<std::int64_t>::min())
        return refuse("expected an integer below 9223372036854775807, found a larger one");
      return value.as_integer();
    case toml::value_t::floating:
      return value.as_floating();
    case toml::value_t::string:
      return value.as_string().str;
    case toml::value_t::array: {
      json out = json::array();
      for (const auto& element : value.as_array())
        out.push_back(plain(element, key + "[" + std::to_string(out.size()) + "]"));
      return out;
    }
    case toml::value_t::table: {
      json out = json::object();
      for (const auto& [part, element] : value.as_table())
        out[part] = plain(element, key.empty() ? part : key + "." + part);
      return out;
    }
    default:
      return refuse("expected a text, number, boolean, array or table, found a date or time");
    }
  }
};

} // namespace

toml_document toml_document::parse(const std::string& text, const std::string& name) {
  std::istringstream in(text);
  toml_document document;
  try {
    document.values_ = conversion{name, document.lines_}.plain(toml::parse(in, name), "");
  } catch (const toml::exception& e) {
    throw job_error(name + ":" + std::to_string(e.location().line()) +
                    ": not a TOML file: " + one_line(e.what()));
  } catch (const job_error&) {
    throw;
  } catch (const std::exception& e) {
    throw job_error(name + ": not a TOML file: " + one_line(e.what()));
  }
  return document;
}

std::size_t toml_document::line_of(std::string_view key) const {
  while (!key.empty()) {
    if (const auto at = lines_.find(key); at != lines_.end()) return at->second;
    const auto end = key.find_last_of(".[");
    key = end == std::string_view::npos ? std::string_view{} : key.substr(0, end);
  }
  return 0;
}

std::string read_small_file(const std::filesystem::path& file, std::string_view what) {
  const std::string kind(what);
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in)
    throw job_error(file.string() + ": cannot read the " + kind + ": " + std::strerror(errno));
  std::error_code not_regular;
  const auto size = std::filesystem::file_size(file, not_regular);
  if (std::filesystem::is_directory(file))
    throw job_error(file.string() + ": expected a " + kind + ", found a folder");
  if (!not_regular && size > max_file_bytes)
    throw job_error(file.string() + ": expected a " + kind + " of at most " +
                    std::to_string(max_file_bytes) + " bytes, found " + std::to_string(size));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

} // namespace troupe::jobs
