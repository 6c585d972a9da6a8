#include "troupe/actors/errc.hpp"

#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>

namespace troupe::actors {

namespace {
constexpr auto category = caf::atom("troupe");
} // namespace

std::string to_string(errc code) {
  switch (code) {
  case errc::none:
    return "none";
  case errc::protocol_mismatch:
    return "protocol_mismatch";
  case errc::job_mismatch:
    return "job_mismatch";
  case errc::not_a_member:
    return "not_a_member";
  case errc::cannot_place:
    return "cannot_place";
  case errc::not_primary:
    return "not_primary";
  case errc::no_such_shard:
    return "no_such_shard";
  case errc::unreachable:
    return "unreachable";
  case errc::exception:
    return "exception";
  }
  return "unknown";
}

caf::error make_error(errc code, std::string text) {
  return caf::error{static_cast<std::uint8_t>(code), category, caf::make_message(std::move(text))};
}

bool is_refusal(const caf::error& err) { return err && err.category() == category; }

caf::error report_exception(const std::string& who, const std::exception_ptr& e,
                            const std::function<void(std::string)>& on_failure) {
  std::string what = "an unknown exception";
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& known) {
    what = known.what();
  } catch (...) {
  }
  if (on_failure) on_failure(who + " failed: " + what);
  return make_error(errc::exception, what);
}

std::string reason_of(const caf::error& err) {
  if (!err) return "it ended"; // an empty error must not be asked for its category
  if (err == caf::exit_reason::remote_link_unreachable) return "its connection closed";
  if (err.category() == category && err.context().match_elements<std::string>() &&
      !err.context().get_as<std::string>(0).empty())
    return err.context().get_as<std::string>(0);
  if (err.category() == category) return to_string(static_cast<errc>(err.code()));
  return caf::to_string(err);
}

} // namespace troupe::actors
