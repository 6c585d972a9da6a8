#include "troupe/cli/kept_process.hpp"

#include <system_error>
#include <utility>

namespace troupe::cli {

namespace {

std::string seconds_text(scheduler::restart_intensity::duration d) {
  const auto ms = std::chrono::round<std::chrono::milliseconds>(d).count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

} // namespace

kept_process::kept_process(options o)
    : options_(std::move(o)), intensity_(options_.rule.intensity), backoff_(options_.rule.backoff) {
  process_.emplace(options_.start());
}

std::string kept_process::title() const {
  return "the process of " + options_.name + " (pid " + std::to_string(process_->pid()) + ")";
}

std::string kept_process::ending() const {
  const auto& end = process_->end();
  if (!end) return title() + " runs";
  return title() + (end->signal != 0 ? " was ended by " : " ended with ") + to_string(*end);
}

void kept_process::send(int signal) const noexcept {
  if (state_ == state::running) process_->send(signal);
}

bool kept_process::check() noexcept {
  if (state_ != state::running) return false;
  process_->check();
  if (process_->running()) return false;
  state_ = state::ended;
  return true;
}

std::optional<std::string> kept_process::restart(time_point now, std::string why) {
  why_ = std::move(why);
  const auto away = std::exchange(away_, std::nullopt);
  if (away && !away->time) return std::nullopt;
  if (intensity_.admit(now)) {
    due_ = away ? now + *away->time : now + backoff_.next(now, options_.random);
    state_ = state::waiting;
    return std::nullopt;
  }
  state_ = state::given_up;
  const auto& limit = options_.rule.intensity;
  return why_ + "; it was started again " + std::to_string(limit.restarts) + " times within " +
         seconds_text(limit.period) + " and is given up";
}

std::optional<kept_process::time_point> kept_process::due() const noexcept {
  if (state_ != state::waiting) return std::nullopt;
  return due_;
}

std::optional<std::string> kept_process::start_if_due(time_point now) {
  if (state_ != state::waiting || now < due_) return std::nullopt;
  try {
    process_.emplace(options_.start());
  } catch (const std::system_error& e) {
    return restart(now, "the process of " + options_.name + " could not be started again (" +
                            e.what() + ")");
  }
  state_ = state::running;
  return why_ + "; started again as pid " + std::to_string(process_->pid());
}

void kept_process::stop_waiting() noexcept {
  if (state_ == state::waiting) state_ = state::ended;
}

} // namespace troupe::cli
