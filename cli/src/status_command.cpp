#include <iostream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/scheduler_address.hpp"
#include "troupe/cli/status_text.hpp"
#include "troupe/runtime.hpp"

namespace troupe::cli {

namespace {

constexpr std::chrono::seconds answer_timeout{5};

} // namespace

int run(const status_arguments& a) {
  const endpoint at = scheduler_address(a.scheduler);
  const std::string answer = query_status(at, answer_timeout);
  const nlohmann::json status = nlohmann::json::parse(answer, nullptr, false);
  // Read before it is printed in either form, so that a script gets a status or a failure.
  const std::string text = status_text(status);
  if (a.json)
    std::cout << status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  else
    std::cout << text << std::flush;
  return success;
}

} // namespace troupe::cli
