#include "troupe/actors/status_connection.hpp"

#include <optional>
#include <stdexcept>

#include "troupe/actors/connect.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/actors/system_config.hpp"

namespace troupe::actors {

struct status_connection::parts {
  explicit parts(const endpoint& e) : at(e) {}

  const endpoint at;
  system_config config{true};
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  scheduler_actor root;
};

status_connection::status_connection(const endpoint& scheduler, std::chrono::milliseconds timeout)
    : parts_(std::make_unique<parts>(scheduler)) {
  auto root = connect<scheduler_actor>(parts_->system, scheduler, timeout);
  if (!root) throw std::runtime_error(reason_of(root.error()));
  parts_->root = *root;
}

status_connection::~status_connection() = default;

std::string status_connection::ask(std::chrono::milliseconds timeout) {
  std::optional<std::string> answer;
  std::string error;
  parts_->self->request(parts_->root, timeout, status_request{})
      .receive([&](status_report& r) { answer = std::move(r.json); },
               [&](caf::error& err) { error = reason_of(err); });
  if (!answer)
    throw std::runtime_error("the scheduler at " + to_string(parts_->at) +
                             " did not answer: " + error);
  return std::move(*answer);
}

} // namespace troupe::actors
