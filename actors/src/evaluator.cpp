#include "troupe/actors/evaluator.hpp"

namespace troupe::actors {

void evaluator_state::start(evaluator_options o) {
  options_ = std::move(o);
  model_ = options_.work.make_model();
  shards_.assign(options_.ranges.size(),
                 transport::peer{transport::evaluator_peer, options_.pools.get()});
  self->delayed_send(self, options_.resend_after, evaluator_tick{});
}

void evaluator_state::on_request(const evaluate_epoch& e) {
  requests_.push_back(e);
  if (requests_.size() == 1) begin_next();
}

void evaluator_state::begin_next() {
  // A fresh vector each time: the scheduler keeps the last one.
  target_ = std::make_shared<tensor::aligned_vector<float>>(model_->parameter_layout().size());
  moved_ = self->clock().now();
  for (std::uint32_t s = 0; s < options_.ranges.size(); ++s) {
    auto id = ids_.next();
    const auto& range = options_.ranges[s];
    pulls_.begin(s, {target_->data() + range.first, range.size}, id);
    send_pull(s, id);
  }
}

void evaluator_state::send_pull(std::uint32_t shard, transfer_id id) {
  shards_[shard].asked();
  self->send(options_.peers.shard(shard_id{shard}),
             pull_snapshot{requests_.front().epoch, id, puller_actor{self}, shards_[shard].key()});
}

void evaluator_state::on_part(const part& p) {
  if (p.from >= shards_.size()) return;
  moved_ = self->clock().now();
  auto range = pulls_.add(p);
  shards_[p.from].take(p);
  shards_[p.from].post_credit(
      [&](const credit& c) { self->send(options_.peers.shard(shard_id{p.from}), c); });
  landed(range);
}

void evaluator_state::on_parameters(const parameters& p) {
  landed(pulls_.announced(p.shard.value, p.transfer, p.own_applied, p.seen_updates));
  for (const auto& first : p.first) on_part(first);
}

void evaluator_state::on_moved(const shard_moved& m) {
  if (!options_.peers.replace(m)) return;
  shards_[m.shard.value].moved(nullptr);
  for (auto shard : pulls_.open())
    if (shard == m.shard.value) {
      auto id = ids_.next();
      pulls_.restart(shard, id);
      send_pull(shard, id);
    }
}

void evaluator_state::landed(const std::optional<transport::range_pulls::whole>& range) {
  if (range && pulls_.all_landed()) finish();
}

void evaluator_state::finish() {
  epoch_evaluated done{requests_.front().epoch, std::nullopt, std::move(target_)};
  const auto& held_out = options_.data->held_out;
  if (done.epoch != no_epoch && held_out.size() > 0)
    done.held_out = model_->evaluate(*done.parameters, held_out);
  self->send(options_.peers.scheduler(), std::move(done));
  requests_.pop_front();
  if (!requests_.empty()) begin_next();
}

void evaluator_state::on_tick() {
  auto now = self->clock().now();
  if (now - moved_ >= options_.resend_after) {
    moved_ = now;
    for (auto shard : pulls_.open()) {
      auto id = ids_.next();
      pulls_.restart(shard, id);
      send_pull(shard, id);
    }
  }
  self->delayed_send(self, options_.resend_after, evaluator_tick{});
}

evaluator_impl_actor::behavior_type evaluator(evaluator_state::self_pointer self,
                                              evaluator_options options) {
  auto& state = self->state;
  self->set_exception_handler([on_failure = options.on_failure](std::exception_ptr& e) {
    return report_exception("the evaluator", e, on_failure);
  });
  state.start(std::move(options));
  return {
      [&state](const parameters& p) { state.on_parameters(p); },
      [&state](const part& p) { state.on_part(p); },
      [](const credit&) {}, // it sends no parts
      [&state](const evaluate_epoch& e) { state.on_request(e); },
      [&state](const shard_moved& m) { state.on_moved(m); },
      [&state](evaluator_tick) { state.on_tick(); },
  };
}

} // namespace troupe::actors
