#include "troupe/actors/messages.hpp"

namespace troupe::actors {

void add_message_types(caf::actor_system_config& config) {
  config.add_message_type<part>("troupe::part");
  config.add_message_type<contact>("troupe::contact");
  config.add_message_type<held_replica>("troupe::held_replica");
  config.add_message_type<leases_held>("troupe::leases_held");
  config.add_message_type<hello>("troupe::hello");
  config.add_message_type<welcome>("troupe::welcome");
  config.add_message_type<place_replicas>("troupe::place_replicas");
  config.add_message_type<replicas_placed>("troupe::replicas_placed");
  config.add_message_type<place_workers>("troupe::place_workers");
  config.add_message_type<workers_placed>("troupe::workers_placed");
  config.add_message_type<node_contact>("troupe::node_contact");
  config.add_message_type<install_view>("troupe::install_view");
  config.add_message_type<drop_replica>("troupe::drop_replica");
  config.add_message_type<clear_roles>("troupe::clear_roles");
  config.add_message_type<roles_cleared>("troupe::roles_cleared");
  config.add_message_type<greet>("troupe::greet");
  config.add_message_type<find_replica>("troupe::find_replica");
  config.add_message_type<replica_found>("troupe::replica_found");
  config.add_message_type<stop_node>("troupe::stop_node");
  config.add_message_type<actor_failed>("troupe::actor_failed");
  config.add_message_type<role_failed>("troupe::role_failed");
  config.add_message_type<lease_request>("troupe::lease_request");
  config.add_message_type<heartbeat>("troupe::heartbeat");
  config.add_message_type<heartbeat_seen>("troupe::heartbeat_seen");
  config.add_message_type<declared_lost>("troupe::declared_lost");
  config.add_message_type<push>("troupe::push");
  config.add_message_type<applied_in_place>("troupe::applied_in_place");
  config.add_message_type<pushed>("troupe::pushed");
  config.add_message_type<pull>("troupe::pull");
  config.add_message_type<pull_snapshot>("troupe::pull_snapshot");
  config.add_message_type<parameters>("troupe::parameters");
  config.add_message_type<replicate>("troupe::replicate");
  config.add_message_type<replicated>("troupe::replicated");
  config.add_message_type<diverged>("troupe::diverged");
  config.add_message_type<replica_image>("troupe::replica_image");
  config.add_message_type<caught_up>("troupe::caught_up");
  config.add_message_type<take_image>("troupe::take_image");
  config.add_message_type<applied_request>("troupe::applied_request");
  config.add_message_type<applied_report>("troupe::applied_report");
  config.add_message_type<credit>("troupe::credit");
  config.add_message_type<batch_lease>("troupe::batch_lease");
  config.add_message_type<batch_done>("troupe::batch_done");
  config.add_message_type<enter_clock>("troupe::enter_clock");
  config.add_message_type<clock_entered>("troupe::clock_entered");
  config.add_message_type<leave_clock>("troupe::leave_clock");
  config.add_message_type<report_request>("troupe::report_request");
  config.add_message_type<shard_report>("troupe::shard_report");
  config.add_message_type<status_request>("troupe::status_request");
  config.add_message_type<status_report>("troupe::status_report");
  config.add_message_type<drain_request>("troupe::drain_request");
  config.add_message_type<drain_accepted>("troupe::drain_accepted");
  config.add_message_type<stop_training>("troupe::stop_training");
  config.add_message_type<evaluate_epoch>("troupe::evaluate_epoch");
}

} // namespace troupe::actors
