#include "wire_proxy.hpp"

#include "network.hpp"

namespace troupe::chaos {

wire_proxy::wire_proxy(caf::actor_config& config, network& net, process& home)
    : actor_proxy(config), net_(net), home_(home) {}

void wire_proxy::enqueue(caf::mailbox_element_ptr what, caf::execution_unit*) {
  if (dead_ || !what) return;
  net_.send(home_, number_of(node()), id(), *what);
}

bool wire_proxy::add_backlink(caf::abstract_actor* x) {
  if (!monitorable_actor::add_backlink(x)) return false;
  if (!dead_) net_.link(home_, number_of(node()), id(), *x, true);
  return true;
}

bool wire_proxy::remove_backlink(caf::abstract_actor* x) {
  if (!monitorable_actor::remove_backlink(x)) return false;
  if (!dead_) net_.link(home_, number_of(node()), id(), *x, false);
  return true;
}

void wire_proxy::kill_proxy(caf::execution_unit* context, caf::error reason) {
  dead_ = true;
  cleanup(std::move(reason), context);
}

caf::strong_actor_ptr proxy_backend::make_proxy(caf::node_id node, caf::actor_id actor) {
  const auto number = number_of(node);
  if (number == 0) return nullptr; // of a handle to nobody
  caf::actor_config config;
  auto proxy = caf::make_actor<wire_proxy, caf::strong_actor_ptr>(actor, std::move(node), &system_,
                                                                  config, net_, home_);
  net_.watch(home_, number, actor);
  return proxy;
}

} // namespace troupe::chaos
