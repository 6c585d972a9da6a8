#include "troupe/cli/scheduler_address.hpp"

#include <fstream>

#include "troupe/cli/failure.hpp"

namespace troupe::cli {

namespace fs = std::filesystem;

namespace {

endpoint in_folder(const fs::path& run) {
  std::error_code error;
  if (!fs::exists(run, error))
    throw file_error(run.string() + ": expected a run folder, found nothing");
  const fs::path file = run / "scheduler.address";
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line))
    throw file_error(run.string() + ": expected a run with a scheduler, found none that runs "
                                    "(no scheduler.address)");
  try {
    return parse_endpoint(line);
  } catch (const std::invalid_argument& e) {
    throw file_error(file.string() + ": " + plain_line(e.what()));
  }
}

} // namespace

endpoint scheduler_address(const scheduler_place& place) {
  if (place.address.empty()) return in_folder(place.run);
  endpoint at;
  try {
    at = parse_endpoint(place.address);
  } catch (const std::invalid_argument& e) {
    throw usage_error("--scheduler: " + plain_line(e.what()));
  }
  if (at.port == 0)
    throw usage_error("--scheduler: expected the scheduler's port, found 0 in \"" + place.address +
                      "\"");
  return at;
}

} // namespace troupe::cli
