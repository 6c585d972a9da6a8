#include "troupe/cli/run_record.hpp"

#include <algorithm>
#include <fstream>

#include <nlohmann/json.hpp>

namespace troupe::cli {

using nlohmann::json;

namespace {

std::string text_of(const json& event, const char* key) {
  const auto at = event.find(key);
  return at != event.end() && at->is_string() ? at->get<std::string>() : "";
}

} // namespace

run_record read_run_record(const std::filesystem::path& events_file) {
  run_record record;
  std::ifstream in(events_file);
  for (std::string line; std::getline(in, line);) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) continue;
    const std::string name = text_of(event, "event");
    if (name.empty()) continue;
    record.last = name;
    record.reason = text_of(event, "reason");
    const auto samples = event.find("samples");
    if (name == "finished" && samples != event.end() && samples->is_number_unsigned())
      record.samples = samples->get<std::uint64_t>();
    const auto epoch = event.find("epoch");
    if (name == "epoch" && epoch != event.end() && epoch->is_number_unsigned())
      record.epochs_done = std::max(record.epochs_done, epoch->get<std::uint32_t>());
  }
  return record;
}

} // namespace troupe::cli
