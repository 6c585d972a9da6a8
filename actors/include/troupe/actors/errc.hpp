#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <string>

#include <caf/error.hpp>

namespace troupe::actors {

/// Why a request between actors was refused. Travels as a caf::error with one line of context.
enum class errc : std::uint8_t {
  none = 0,
  protocol_mismatch, ///< the peer speaks another protocol version
  job_mismatch,      ///< the peer belongs to another job
  not_a_member,      ///< no node of that number takes part, or the job is over
  cannot_place,      ///< the node cannot hold the requested roles
  not_primary,       ///< only the primary of a shard answers this request
  no_such_shard,     ///< this node has no replica of that shard
  unreachable,       ///< no process answers at an address
  exception,         ///< an actor's handler threw
};

std::string to_string(errc code);

/// `text` is one line for the user: expected, found, where.
caf::error make_error(errc code, std::string text = {});

/// Whether the error was made by `make_error`. Other errors come from CAF: no actor answered.
bool is_refusal(const caf::error& err);

/// For an actor's exception handler: tells `on_failure` "WHO failed: WHAT" and gives the error that
/// the actor ends with (by itself CAF passes on only that something was thrown).
caf::error report_exception(const std::string& who, const std::exception_ptr& e,
                            const std::function<void(std::string)>& on_failure);

/// The line inside an error made by `make_error`; for any other error what CAF calls it.
std::string reason_of(const caf::error& err);

} // namespace troupe::actors
