// Stands in a process for an actor of another one.
#pragma once

#include <caf/actor_proxy.hpp>
#include <caf/all.hpp>
#include <caf/proxy_registry.hpp>

namespace troupe::chaos {

class network;
class process;

/// What it is sent goes to the network. As CAF's own proxy it stays dead once it is killed: what it
/// is sent then is lost.
class wire_proxy : public caf::actor_proxy {
 public:
  wire_proxy(caf::actor_config& config, network& net, process& home);

  using caf::actor_proxy::enqueue;
  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit* context) override;
  bool add_backlink(caf::abstract_actor* x) override;
  bool remove_backlink(caf::abstract_actor* x) override;
  void kill_proxy(caf::execution_unit* context, caf::error reason) override;

 private:
  network& net_;
  process& home_;
  bool dead_ = false;
};

class proxy_backend : public caf::proxy_registry::backend {
 public:
  proxy_backend(network& net, process& home, caf::actor_system& system)
      : net_(net), home_(home), system_(system) {}
  caf::strong_actor_ptr make_proxy(caf::node_id node, caf::actor_id actor) override;
  void set_last_hop(caf::node_id*) override {}

 private:
  network& net_;
  process& home_;
  caf::actor_system& system_;
};

} // namespace troupe::chaos
