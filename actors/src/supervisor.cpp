#include "supervisor_state.hpp"

#include <algorithm>
#include <stdexcept>

#include "troupe/actors/errc.hpp"

namespace troupe {

using actors::reason_of;
using actors::report_exception;

namespace {

constexpr auto category = caf::atom("supervisor");
constexpr std::uint64_t first_round = 1;

caf::error make_error(supervision_errc code, std::string text) {
  return caf::error{static_cast<std::uint8_t>(code), category, caf::make_message(std::move(text))};
}

bool is_normal(const caf::error& reason) {
  // exit_reason::normal is the empty error, which must not be compared by its category.
  return !reason || reason == caf::exit_reason::user_shutdown;
}

// "NAME/CHILD: REASON"; a supervisor's reason begins with its own path.
std::string cause_of(const std::string& name, const std::string& id, const caf::error& reason) {
  if (is(reason, supervision_errc::gave_up)) return name + "/" + root_cause(reason);
  return name + "/" + id + ": " + root_cause(reason);
}

} // namespace

bool is(const caf::error& err, supervision_errc code) {
  return err && err.category() == category && err.code() == static_cast<std::uint8_t>(code);
}

std::string root_cause(const caf::error& err) {
  if (err && err.category() == category && err.context().match_elements<std::string>())
    return err.context().get_as<std::string>(0);
  if (err == caf::exit_reason::kill) return "it was killed";
  return reason_of(err);
}

void keep_exception_text(caf::scheduled_actor* self) {
  self->set_exception_handler(
      [](std::exception_ptr& e) { return report_exception({}, e, nullptr); });
}

void supervisor_state::start(supervisor_options o) {
  keep_exception_text(self);
  options_ = std::move(o);
  alive_ = std::make_shared<std::vector<caf::strong_actor_ptr>>();
  self->attach_functor([alive = alive_] { // SUPERVISOR-6
    for (const auto& actor : *alive)
      caf::anon_send_exit(caf::actor_cast<caf::actor>(actor), caf::exit_reason::kill);
  });
  self->set_down_handler([this](caf::down_msg& d) { on_down(d); });
  self->set_exit_handler([this](caf::exit_msg& e) { on_exit(e); });
  if (!options_.random) options_.random = [] { return 0.0; };
  intensity_.emplace(options_.intensity);
  static_cast<void>(scheduler::restart_backoff(options_.backoff)); // throws if it cannot be meant
  ++rounds_;
  for (auto& spec : std::exchange(options_.children, {})) {
    if (const char* why = refusal(spec))
      throw std::invalid_argument("[troupe::supervisor] " + options_.name + ": " + why +
                                  ", found \"" + spec.id + "\"");
    add(std::move(spec)).round = first_round;
  }
  begun_ = children_.empty(); // nobody to wait for
  // Not at once: an actor that ends itself before it has a behavior is given one and lives on.
  self->send(self, start_round{first_round});
}

const char* supervisor_state::refusal(const child_spec& spec) const {
  if (spec.id.empty()) return "expected an id";
  if (!spec.start) return "expected a factory";
  if (std::ranges::any_of(children_, [&](const child& c) { return c.spec.id == spec.id; }))
    return "expected an id that no other child has";
  return nullptr;
}

supervisor_state::child& supervisor_state::add(child_spec spec) {
  children_.push_back({.key = next_key_++,
                       .spec = std::move(spec),
                       .backoff = scheduler::restart_backoff(options_.backoff),
                       .at = phase::waiting,
                       .round = 0,
                       .starts = 0,
                       .killed = false,
                       .last_reason = {},
                       .actor = nullptr,
                       .leaving = {}});
  return children_.back();
}

supervisor_state::child* supervisor_state::find(std::uint64_t key) {
  const auto it = std::ranges::find(children_, key, &child::key);
  return it == children_.end() ? nullptr : &*it;
}

void supervisor_state::tell(supervisor_event::kind what, const std::string& child,
                            const std::string& reason) const {
  if (options_.on_event) options_.on_event({what, child, reason});
}

caf::result<child_started> supervisor_state::on_start_child(const start_child& s) {
  if (ending_)
    return make_error(supervision_errc::supervisor_ends, options_.name + " is about to end");
  if (const char* why = refusal(s.spec))
    return make_error(supervision_errc::bad_child,
                      std::string(why) + ", found \"" + s.spec.id + "\"");
  // Where others wait for a common start, the new one waits with them (SUPERVISOR-1).
  std::uint64_t round = begun_ ? 0 : first_round;
  if (begun_ && options_.strategy != supervision_strategy::one_for_one)
    for (const auto& c : children_)
      if (c.at == phase::waiting) round = c.round;
  auto& added = add(s.spec);
  const auto key = added.key;
  added.round = round;
  if (round != 0) return child_started{};
  std::string reason;
  if (!try_start(added, reason)) {
    const bool temporary = added.spec.restart == restart_when::temporary;
    failed(key, options_.name + "/" + s.spec.id + ": " + reason, reason, false);
    if (temporary) return make_error(supervision_errc::start_failed, reason);
    return child_started{};
  }
  return child_started{added.actor};
}

caf::result<child_stopped> supervisor_state::on_stop_child(const stop_child& s) {
  const auto it = std::ranges::find_if(children_, [&](auto& c) { return c.spec.id == s.id; });
  if (it == children_.end())
    return make_error(supervision_errc::no_such_child,
                      "expected a child of " + options_.name + ", found \"" + s.id + "\"");
  if (!it->actor) {
    forget(it->key);
    return child_stopped{};
  }
  it->leaving.push_back(self->make_response_promise<child_stopped>());
  auto promise = it->leaving.back();
  queue_stop(*it);
  return promise;
}

children_report supervisor_state::on_which_children() const {
  children_report report;
  for (const auto& c : children_)
    report.children.push_back(
        {c.spec.id, c.actor != nullptr, c.starts > 0 ? c.starts - 1 : 0, c.last_reason, c.actor});
  return report;
}

bool supervisor_state::try_start(child& c, std::string& reason) {
  try {
    c.actor = c.spec.start(self->system());
    if (!c.actor) reason = "its factory gave no actor";
  } catch (const std::exception& e) {
    reason = e.what();
  } catch (...) {
    reason = "its factory threw an unknown exception";
  }
  ++c.starts;
  c.killed = false;
  if (!c.actor) return false;
  c.at = phase::up;
  alive_->push_back(c.actor);
  self->monitor(c.actor);
  tell(supervisor_event::kind::started, c.spec.id, {});
  return true;
}

void supervisor_state::on_start_round(const start_round& r) {
  begun_ = true;
  std::vector<std::uint64_t> keys; // a failure on the way changes the list
  for (const auto& c : children_) keys.push_back(c.key);
  for (const auto key : keys) {
    auto* c = find(key);
    if (ending_ || !c || c->at != phase::waiting || c->round != r.round) continue;
    std::string reason;
    if (!try_start(*c, reason))
      failed(key, options_.name + "/" + c->spec.id + ": " + reason, reason, false);
  }
}

void supervisor_state::on_down(const caf::down_msg& d) {
  const auto it = std::ranges::find_if(
      children_, [&](const child& c) { return c.actor && c.actor->address() == d.source; });
  if (it == children_.end()) return;
  const auto key = it->key;
  const bool normal = is_normal(d.reason);
  const auto reason = root_cause(d.reason);
  std::erase(*alive_, it->actor);
  it->actor = nullptr;
  if (std::ranges::find(stops_, key) != stops_.end()) { // it was to end; it does not count
    const bool fails = !normal && !it->killed;
    if (fails) it->last_reason = reason;
    tell(supervisor_event::kind::ended, it->spec.id, fails ? reason : std::string{});
    stopped(key);
    return;
  }
  failed(key, cause_of(options_.name, it->spec.id, d.reason), reason, normal);
}

// A child that is not up any more, and that nobody had told to end.
void supervisor_state::failed(std::uint64_t key, const std::string& cause,
                              const std::string& reason, bool normal) {
  std::vector<scheduler::supervised_child> seen;
  std::size_t position = 0;
  for (const auto& c : children_) {
    if (c.key == key) position = seen.size();
    seen.push_back({c.spec.restart, c.actor != nullptr, !c.leaving.empty()});
  }
  auto& own = children_[position];
  own.at = phase::ended;
  if (!normal) own.last_reason = reason;
  const auto plan = scheduler::plan_after_end(options_.strategy, seen, position, normal);
  tell(plan.failure || !normal ? supervisor_event::kind::failed : supervisor_event::kind::ended,
       own.spec.id, normal ? std::string{} : reason);
  if (plan.failure) {
    if (normal) own.last_reason = reason;
    const auto now = self->clock().now();
    causes_.push_back(cause);
    const bool admitted = intensity_->admit(now);
    while (causes_.size() > intensity_->count()) causes_.pop_front();
    if (!admitted) { // SUPERVISOR-4
      const auto first = causes_.front();
      tell(supervisor_event::kind::gave_up, {}, first);
      end(make_error(supervision_errc::gave_up, first));
      return;
    }
    const auto delay = own.backoff.next(now, options_.random);
    const auto round = ++rounds_; // an older round that waits finds nobody left
    for (const auto i : plan.start) {
      children_[i].round = round;
      if (!children_[i].actor) children_[i].at = phase::waiting;
    }
    if (plan.stop.empty())
      self->delayed_send(self, delay, start_round{round});
    else
      after_stops_.push_back({round, delay});
    for (const auto i : plan.stop) queue_stop(children_[i]);
  }
  std::vector<std::uint64_t> gone; // one that is up is forgotten when it has ended
  for (const auto i : plan.forget)
    if (!children_[i].actor) gone.push_back(children_[i].key);
  for (const auto k : gone) forget(k);
}

void supervisor_state::forget(std::uint64_t key) {
  std::erase_if(children_, [key](const child& c) { return c.key == key; });
}

void supervisor_state::queue_stop(const child& c) {
  if (std::ranges::find(stops_, c.key) == stops_.end()) stops_.push_back(c.key);
  if (!stopping_) next_stop();
}

void supervisor_state::next_stop() {
  if (stops_.empty()) {
    for (const auto& round : std::exchange(after_stops_, {}))
      self->delayed_send(self, round.delay, start_round{round.round});
    if (ending_) self->quit(*ending_);
    return;
  }
  stopping_ = true;
  auto& c = *find(stops_.front());
  c.at = phase::stopping;
  const bool at_once = c.spec.shutdown <= caf::timespan::zero();
  c.killed = at_once;
  caf::anon_send_exit(caf::actor_cast<caf::actor>(c.actor),
                      at_once ? caf::exit_reason::kill : caf::exit_reason::user_shutdown);
  self->delayed_send(self, at_once ? options_.kill_wait : c.spec.shutdown, stop_overdue{++stop_});
}

void supervisor_state::on_stop_overdue(const stop_overdue& s) {
  if (!stopping_ || s.stop != stop_) return;
  auto& c = *find(stops_.front());
  if (!c.killed) {
    c.killed = true;
    tell(supervisor_event::kind::killed, c.spec.id, {});
    caf::anon_send_exit(caf::actor_cast<caf::actor>(c.actor), caf::exit_reason::kill);
    self->delayed_send(self, options_.kill_wait, stop_overdue{++stop_});
    return;
  }
  self->demonitor(c.actor->address());
  std::erase(*alive_, c.actor);
  c.actor = nullptr;
  tell(supervisor_event::kind::abandoned, c.spec.id, {});
  stopped(c.key);
}

// A child of stops_ has ended, told or not yet.
void supervisor_state::stopped(std::uint64_t key) {
  const bool was_told = stopping_ && stops_.front() == key;
  std::erase(stops_, key);
  auto& c = *find(key);
  c.at = phase::waiting;
  for (auto& promise : c.leaving) promise.deliver(child_stopped{});
  if (!c.leaving.empty() || c.spec.restart == restart_when::temporary) forget(key);
  if (was_told) {
    stopping_ = false;
    next_stop();
  }
}

void supervisor_state::on_exit(const caf::exit_msg& e) {
  if (!ending_) end(e.reason);
}

void supervisor_state::end(caf::error reason) {
  ending_ = std::move(reason);
  after_stops_.clear();
  // The one that is being stopped, then all others in reverse order.
  stops_.resize(stopping_ ? 1 : 0);
  for (auto it = children_.rbegin(); it != children_.rend(); ++it)
    if (it->actor && std::ranges::find(stops_, it->key) == stops_.end()) stops_.push_back(it->key);
  if (!stopping_) next_stop();
}

supervisor_impl_actor::behavior_type supervisor(supervisor_state::self_pointer self,
                                                supervisor_options options) {
  auto& state = self->state;
  state.start(std::move(options));
  return {
      [&state](const start_child& s) { return state.on_start_child(s); },
      [&state](const stop_child& s) { return state.on_stop_child(s); },
      [&state](const which_children&) { return state.on_which_children(); },
      [&state](const start_round& r) { state.on_start_round(r); },
      [&state](const stop_overdue& s) { state.on_stop_overdue(s); },
  };
}

supervisor_actor make_supervisor(caf::actor_system& system, supervisor_options options) {
  return system.spawn(supervisor, std::move(options));
}

} // namespace troupe
