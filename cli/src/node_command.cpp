#include <iostream>

#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/process_recorder.hpp"
#include "troupe/cli/signal_stop.hpp"
#include "troupe/runtime.hpp"

namespace troupe::cli {

namespace {

endpoint read_endpoint(const std::string& option, const std::string& text) {
  try {
    return parse_endpoint(text);
  } catch (const std::invalid_argument& e) {
    throw usage_error(option + ": " + plain_line(e.what()));
  }
}

} // namespace

int run(const node_arguments& a) {
  signal_stop stop(a.launched ? nullptr : "without waiting for its scheduler");
  node_options options;
  options.scheduler = read_endpoint("--join", a.join);
  if (!a.listen.empty()) options.listen = read_endpoint("--listen", a.listen);
  options.advertise_host = a.advertise;
  options.job_id = a.job_id;
  options.shards = a.shards;
  options.workers = a.workers;
  options.join_timeout = std::chrono::seconds(a.wait_seconds);
  options.on_notice = [](const std::string& line) { std::cout << (line + '\n') << std::flush; };
  if (options.scheduler.port == 0)
    throw usage_error("--join: expected the scheduler's port, found 0 in \"" + a.join + "\"");
  if (a.shards == 0 && a.workers == 0)
    throw usage_error("expected a node of at least one shard or worker, found --shards 0 and "
                      "--workers 0");
  if (a.record) options.recorder = record_into(*a.record, "node");
  std::cout << "joining " << a.join << " with up to " << a.shards << " shards and " << a.workers
            << " workers" << std::endl;
  const node_result result = run_node(options, stop.token());
  switch (result.outcome) {
  case node_result::status::finished:
    std::cout << "the job is over" << std::endl;
    return success;
  case node_result::status::interrupted:
    std::cout << "interrupted; the job goes on without this node" << std::endl;
    return interrupted;
  case node_result::status::failed:
    break;
  }
  print_error(result.error);
  return run_failed;
}

} // namespace troupe::cli
