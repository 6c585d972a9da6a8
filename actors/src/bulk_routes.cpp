#include "troupe/actors/bulk_routes.hpp"

#include <unordered_set>

namespace troupe::actors {

using transport::block;

namespace {

bulk_links::options options_for(const system_config& config, caf::actor_system& system,
                                std::function<void(const std::string&)> tell) {
  bulk_links::options o;
  if (config.streams) o.streams = config.streams;
  o.name = to_string(system.node());
  // Numbers of actors are given once. Only the thread that receives asks.
  o.takes = [&system, known = std::unordered_set<std::uint64_t>{},
             wanted = system.message_types(caf::detail::type_list<transfer_actor>{})](
                std::uint64_t receiver) mutable {
    auto actor = system.registry().get(receiver);
    if (!actor) return false;
    if (known.contains(receiver)) return true;
    const auto takes = caf::actor_cast<caf::actor>(actor)->message_types();
    if (!system.assignable(takes, wanted)) return false;
    known.insert(receiver);
    return true;
  };
  o.deliver = [&system](transport::bulk_part p) {
    auto actor = caf::actor_cast<transfer_actor>(system.registry().get(p.receiver));
    if (!actor) return;
    auto data = block::received(std::move(p.data.owner), p.data.data, p.data.size);
    caf::anon_send(actor, part{p.transfer, p.from, p.offset, p.total, std::move(data)});
  };
  o.tell = std::move(tell);
  return o;
}

class lane : public bulk_lane {
 public:
  lane(std::shared_ptr<bulk_links> links, std::string process, caf::actor_id receiver)
      : links_(std::move(links)), process_(std::move(process)), receiver_(receiver) {}

  bool open() const override { return links_->open(process_); }
  std::uint64_t send(const part& p) override {
    const auto bytes = p.data.bytes();
    return links_->send(process_, {receiver_,
                                   p.transfer,
                                   p.from,
                                   p.offset,
                                   p.total,
                                   {p.data.owner(), bytes.data(), p.data.size()}});
  }
  bool broke(std::uint64_t connection) const override { return links_->broke(connection); }

 private:
  std::shared_ptr<bulk_links> links_;
  std::string process_;
  caf::actor_id receiver_;
};

} // namespace

bulk_routes::bulk_routes(system_config& config, caf::actor_system& system, const std::string& host,
                         std::function<void(const std::string&)> tell)
    : config_(config),
      links_(std::make_shared<bulk_links>(options_for(config, system, std::move(tell)))) {
  if (!host.empty()) own_ = links_->listen(host);
  config_.bulk = links_;
}

// Actors that are still about may hold lanes; these find no connection any more.
bulk_routes::~bulk_routes() { links_->stop(); }

contact bulk_routes::reached_at(contact at) const {
  at.bulk_port = own_.port;
  at.bulk_token = own_.token;
  return at;
}

void bulk_routes::keep(const caf::node_id& process, const contact& at) {
  if (at.bulk_port != 0) links_->keep(to_string(process), {at.host, at.bulk_port, at.bulk_token});
}

void bulk_routes::apply(const cluster_spec& of_job) {
  links_->use(of_job.bulk_connections);
  if (!of_job.shared_memory) config_.pools->disable();
}

std::shared_ptr<bulk_lane> bulk_lane_to(caf::actor_system& system, const caf::node_id& process,
                                        caf::actor_id receiver) {
  const auto* config = dynamic_cast<const system_config*>(&system.config());
  if (config == nullptr || !config->bulk || process == system.node()) return nullptr;
  return std::make_shared<lane>(config->bulk, to_string(process), receiver);
}

} // namespace troupe::actors
