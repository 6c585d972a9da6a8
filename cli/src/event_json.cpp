#include "troupe/cli/event_json.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

#include "troupe/actors/time_json.hpp"

namespace troupe::cli {

namespace {

using json = nlohmann::ordered_json;

json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json number(const std::optional<double>& value) { return value ? number(*value) : json(nullptr); }

// Buckets beyond the highest staleness seen are left out.
json staleness_json(const scheduler::staleness_histogram& h) {
  json buckets = json::array();
  std::size_t used = h.buckets().size();
  while (used > 0 && h.buckets()[used - 1] == 0) --used;
  for (std::size_t i = 0; i < used; ++i) buckets.push_back(h.buckets()[i]);
  return {{"mean", h.mean()}, {"max", h.max()}, {"pulls", h.pulls()}, {"histogram", buckets}};
}

const char* kind_name(notice_event::kind kind) {
  using enum notice_event::kind;
  switch (kind) {
  case listening:
    return "listening";
  case node_joined:
    return "node_joined";
  case node_lost:
    return "node_lost";
  case placed:
    return "placed";
  case started:
    return "started";
  case worker_lost:
    return "worker_lost";
  case checkpoint:
    return "checkpoint";
  case warning:
    break;
  }
  return "warning";
}

struct to_line {
  json operator()(const notice_event& e) const {
    return {{"event", "notice"}, {"kind", kind_name(e.type)}, {"text", e.text}};
  }
  json operator()(const progress_event& e) const {
    return {{"event", "progress"},
            {"epoch", e.epoch},
            {"epochs", e.epochs},
            {"batches_done", e.batches_done},
            {"batches_total", e.batches_total},
            {"loss", number(e.loss)},
            {"samples_per_second", number(e.samples_per_second)},
            {"seconds_left", e.seconds_left < 0 ? json(nullptr) : number(e.seconds_left)},
            {"workers", e.workers},
            {"staleness", staleness_json(e.staleness)}};
  }
  json operator()(const epoch_event& e) const {
    return {{"event", "epoch"},
            {"epoch", e.epoch},
            {"loss", number(e.loss)},
            {"held_out_accuracy", number(e.held_out_accuracy)},
            {"held_out_loss", number(e.held_out_loss)},
            {"samples_per_second", number(e.samples_per_second)},
            {"staleness", staleness_json(e.staleness)}};
  }
  json operator()(const finished_event& e) const {
    scheduler::time_shares spent;
    json workers = json::array();
    for (const auto& [id, by_worker] : e.spent) {
      spent += by_worker;
      json worker = {{"worker", id.value}};
      worker.update(actors::time_json<json>(by_worker));
      workers.push_back(std::move(worker));
    }
    return {{"event", "finished"},
            {"held_out_accuracy", number(e.held_out_accuracy)},
            {"held_out_loss", number(e.held_out_loss)},
            {"loss", number(e.loss)},
            {"parameter_hash", e.parameter_hash},
            {"samples", e.samples},
            {"seconds", number(e.seconds)},
            {"duplicates_dropped", e.duplicates_dropped},
            {"blocked_seconds", number(e.blocked_seconds)},
            {"staleness", staleness_json(e.staleness)},
            {"time", actors::time_json<json>(spent)},
            {"workers", workers}};
  }
  json operator()(const interrupted_event& e) const {
    return {{"event", "interrupted"},
            {"reason", "stopped by the user"},
            {"batches_done", e.batches_done},
            {"batches_total", e.batches_total}};
  }
  json operator()(const failed_event& e) const {
    return {{"event", "failed"}, {"reason", e.reason}};
  }
};

} // namespace

std::string event_json(const event& e) {
  return std::visit(to_line{}, e).dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace troupe::cli
