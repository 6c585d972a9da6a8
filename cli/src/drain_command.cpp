#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/scheduler_address.hpp"
#include "troupe/runtime.hpp"

namespace troupe::cli {

namespace {

constexpr std::chrono::seconds answer_timeout{5};

} // namespace

int run(const drain_arguments& a) {
  request_drain(scheduler_address(a.scheduler), a.node, answer_timeout);
  print_notice("node " + std::to_string(a.node) +
               " is being drained; its process ends once everything has moved away");
  return success;
}

} // namespace troupe::cli
