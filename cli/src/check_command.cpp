#include <iostream>
#include <limits>

#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/history_text.hpp"
#include "troupe/history_file.hpp"

namespace troupe::cli {

int run(const check_arguments& a) {
  const auto processes = history::read_history(a.files);
  history::check_options options;
  if (a.all) options.violations_kept = std::numeric_limits<std::size_t>::max();
  const auto report = history::check(processes, options);
  if (a.json)
    std::cout << report_json(report) << std::endl;
  else
    std::cout << report_text(report, a.all) << std::flush;
  return report.total_violations() > 0 ? run_failed : success;
}

} // namespace troupe::cli
