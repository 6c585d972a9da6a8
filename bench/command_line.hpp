#pragma once

#include <cstdlib>
#include <string>

#include <CLI/CLI.hpp>

/// The arguments of a benchmark.
namespace troupe::bench {

/// For options that count something, and for seconds.
inline const CLI::Range count{1, 1'000'000'000};
inline const CLI::Range duration{0.001, 3600.0};

/// Parsed by `read`, which ends the program: with 0 after `--help`, with 2 where an argument is
/// wrong, as `troupe` does.
class command_line {
 public:
  /// `what`: what the program measures.
  command_line(const std::string& what, std::string& json_file) : app{what} {
    app.option_defaults()->always_capture_default();
    app.add_option("--json", json_file, "Also write the figures to this file");
  }

  void read(int argc, char** argv) {
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
      std::exit(app.exit(e) == 0 ? 0 : 2);
    }
  }

  CLI::App app;
};

} // namespace troupe::bench
