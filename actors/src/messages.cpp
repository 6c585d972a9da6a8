#include "troupe/actors/messages.hpp"

namespace troupe::actors {

void add_message_types(caf::actor_system_config& config) {
  config.add_message_type<contact>("troupe::contact");
  config.add_message_type<hello>("troupe::hello");
  config.add_message_type<welcome>("troupe::welcome");
  config.add_message_type<place_shards>("troupe::place_shards");
  config.add_message_type<shards_placed>("troupe::shards_placed");
  config.add_message_type<place_workers>("troupe::place_workers");
  config.add_message_type<workers_placed>("troupe::workers_placed");
  config.add_message_type<find_shard>("troupe::find_shard");
  config.add_message_type<shard_found>("troupe::shard_found");
  config.add_message_type<stop_node>("troupe::stop_node");
  config.add_message_type<actor_failed>("troupe::actor_failed");
  config.add_message_type<heartbeat>("troupe::heartbeat");
  config.add_message_type<heartbeat_seen>("troupe::heartbeat_seen");
  config.add_message_type<declared_lost>("troupe::declared_lost");
  config.add_message_type<push>("troupe::push");
  config.add_message_type<applied_in_place>("troupe::applied_in_place");
  config.add_message_type<pushed>("troupe::pushed");
  config.add_message_type<pull>("troupe::pull");
  config.add_message_type<pull_snapshot>("troupe::pull_snapshot");
  config.add_message_type<parameters>("troupe::parameters");
  config.add_message_type<credit>("troupe::credit");
  config.add_message_type<batch_lease>("troupe::batch_lease");
  config.add_message_type<batch_done>("troupe::batch_done");
  config.add_message_type<enter_clock>("troupe::enter_clock");
  config.add_message_type<clock_entered>("troupe::clock_entered");
  config.add_message_type<leave_clock>("troupe::leave_clock");
  config.add_message_type<report_request>("troupe::report_request");
  config.add_message_type<shard_report>("troupe::shard_report");
  config.add_message_type<stop_training>("troupe::stop_training");
  config.add_message_type<evaluate_epoch>("troupe::evaluate_epoch");
  config.add_message_type<part>("troupe::part");
}

} // namespace troupe::actors
