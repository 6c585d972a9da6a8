#include "troupe/actors/messages.hpp"

#include "troupe/actors/fields.hpp"
#include "troupe/actors/message_inspection.hpp"
#include "troupe/runtime.hpp"

namespace troupe::actors {

namespace {

template <class Inspector, class T>
typename Inspector::result_type inspect_fields(Inspector& f, const char* name, T& x) {
  return std::apply([&](auto&... field) { return f(caf::meta::type_name(name), field...); },
                    fields_of(x));
}

} // namespace

std::string address_of(const contact& c) {
  return c.port == 0 ? std::string{} : to_string(endpoint{c.host, c.port});
}

void add_message_types(caf::actor_system_config& config) {
#define TROUPE_REGISTER(space, name, ...) config.add_message_type<space::name>("troupe::" #name)
  TROUPE_WIRE_MESSAGES(TROUPE_REGISTER);
#undef TROUPE_REGISTER
}

bool is_sent_again(std::string_view name) {
#define TROUPE_ANSWER(space, message, when)                                                        \
  if (name == "troupe::" #message) return delivery::when == delivery::sent_again
  TROUPE_WIRE_MESSAGES(TROUPE_ANSWER);
#undef TROUPE_ANSWER
  return false;
}

} // namespace troupe::actors

#define TROUPE_INSPECT(space, name, ...)                                                           \
  namespace troupe::space {                                                                        \
  caf::error inspect(caf::serializer& f, name& x) { return actors::inspect_fields(f, #name, x); }  \
  caf::error inspect(caf::deserializer& f, name& x) {                                              \
    return actors::inspect_fields(f, #name, x);                                                    \
  }                                                                                                \
  void inspect(caf::detail::stringification_inspector& f, name& x) {                               \
    actors::inspect_fields(f, #name, x);                                                           \
  }                                                                                                \
  }
TROUPE_WIRE_MESSAGES(TROUPE_INSPECT);
TROUPE_WIRE_VALUES(TROUPE_INSPECT);
#undef TROUPE_INSPECT
