#pragma once

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

/// What every benchmark says beside its figures.
namespace troupe::bench {

/// The processor's name, as the system gives it.
inline std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

/// The command line in one piece.
inline std::string command_of(int argc, char** argv) {
  std::string command;
  for (int i = 0; i < argc; ++i) command += (i > 0 ? " " : "") + std::string(argv[i]);
  return command;
}

/// Where the figures come from.
inline nlohmann::json origin(const std::string& benchmark, const std::string& command) {
  return {{"benchmark", benchmark},
          {"command", command},
          {"processor", processor()},
          {"cores", std::thread::hardware_concurrency()}};
}

/// Of ascending values; 0 of none.
inline double percentile(const std::vector<double>& sorted, std::size_t percent) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
}

} // namespace troupe::bench
