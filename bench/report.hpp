#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
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

/// One-minute load average: what else the machine does.
inline double load_now() {
  double load[1] = {0};
  return ::getloadavg(load, 1) == 1 ? load[0] : 0;
}

/// Where the figures come from. Make it before the measurement: the load is that of the moment.
inline nlohmann::json origin(const std::string& benchmark, const std::string& command) {
  return {{"benchmark", benchmark},
          {"command", command},
          {"processor", processor()},
          {"cores", std::thread::hardware_concurrency()},
          {"load_before", load_now()}};
}

/// The same as the first lines of what a benchmark prints.
inline void print_origin(const nlohmann::json& origin) {
  std::printf("%s\n%s, %u cores, load %.1f before\n\n",
              origin.at("command").get<std::string>().c_str(),
              origin.at("processor").get<std::string>().c_str(), origin.at("cores").get<unsigned>(),
              origin.at("load_before").get<double>());
}

/// Writes `figures` to a new or old file; an empty name: nothing to do. False when it cannot.
inline bool write_json(const std::string& file, const nlohmann::json& figures) {
  if (file.empty()) return true;
  std::ofstream out(file);
  out << figures.dump(2) << '\n';
  return out.good();
}

/// Figures of several rounds.
struct spread {
  double median = 0;
  double least = 0;
  double most = 0;
};

/// In any order; of an even number the median lies between two. Zeros of none.
inline spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto middle = values.size() / 2;
  return {values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2,
          values.front(), values.back()};
}

/// For nlohmann::json, which finds it by its name.
inline void to_json(nlohmann::json& j, const spread& s) {
  j = {{"median", s.median}, {"least", s.least}, {"most", s.most}};
}

/// Of ascending values; 0 of none.
inline double percentile(const std::vector<double>& sorted, std::size_t percent) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
}

} // namespace troupe::bench
