#include "troupe/cli/process_faults.hpp"

#include <algorithm>
#include <csignal>
#include <set>
#include <utility>

namespace troupe::cli {

using chaos::fault;
using chaos::fault_kind;
using chaos::fault_target;
using chaos::packet_switch;

namespace {

std::optional<kept_process::duration> time_away(const fault& f) {
  return f.lasts.count() > 0 ? std::optional(f.lasts) : std::nullopt;
}

} // namespace

process_faults::process_faults(options o) : options_(std::move(o)) {}

void process_faults::begin(time_point now) {
  begun_ = now;
  for (const auto& f : options_.faults)
    agenda_.emplace(now + f.at,
                    [this, &f](time_point when, processes all) { apply(f, when, all); });
}

std::optional<process_faults::time_point> process_faults::due() const {
  if (gave_up_) return std::nullopt;
  const auto end = *begun_ + options_.finish_by;
  return agenda_.empty() ? end : std::min(end, agenda_.begin()->first);
}

std::optional<std::string> process_faults::act(time_point now, processes all) {
  if (now >= *begun_ + options_.finish_by) {
    gave_up_ = true;
    return "the run goes on after its time and is given up";
  }
  while (!agenda_.empty() && agenda_.begin()->first <= now) {
    const auto next = agenda_.extract(agenda_.begin());
    next.mapped()(now, all);
  }
  return std::nullopt;
}

chaos::standing process_faults::look(processes all) const {
  chaos::standing now;
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    const auto killed = killed_.find(i);
    const bool alive = all[i]->now() == kept_process::state::running &&
                       (killed == killed_.end() || killed->second != all[i]->process().pid());
    now.processes.push_back({alive, i == 0 ? 0 : options_.workers.at(i - 1)});
  }
  now.chains = options_.chains();
  return now;
}

// Why it cannot be done; empty: it can.
std::string process_faults::hindrance(const fault& f) const {
  switch (f.kind) {
  case fault_kind::kill:
  case fault_kind::pause:
  case fault_kind::drain:
    return "";
  case fault_kind::stop:
    if (f.target != chaos::fault_target::scheduler && f.target != chaos::fault_target::everybody)
      return "";
    return "only the simulator resumes a run";
  case fault_kind::partition:
  case fault_kind::link:
    return options_.network != nullptr ? "" : options_.no_network;
  case fault_kind::disk:
  case fault_kind::power_loss:
    return "only the simulator has such a disk";
  case fault_kind::clock_jump:
    break;
  }
  return "only the simulator has such clocks";
}

void process_faults::apply(const fault& f, time_point now, processes all) {
  const auto who = chaos::targets_of(f, look(all));
  if (who.empty()) return;
  if (const auto why = hindrance(f); !why.empty()) {
    ++not_run_[std::string(chaos::name_of(f.kind)) + " (" + why + ")"];
    return;
  }
  done_.push_back({f, now - *begun_, who});
  switch (f.kind) {
  case fault_kind::kill:
    return kill(f, who, all);
  case fault_kind::pause:
    return pause(f, who, now, all);
  case fault_kind::partition:
    return cut(f, who, now, all);
  case fault_kind::link:
    return spoil_links(f, who, now, all);
  case fault_kind::drain:
    for (const auto i : who) {
      all[i]->keep_away(time_away(f));
      options_.drain(i);
    }
    return;
  case fault_kind::stop:
    for (const auto i : who) {
      all[i]->keep_away(time_away(f));
      all[i]->send(SIGTERM);
    }
    return;
  case fault_kind::disk:
  case fault_kind::power_loss:
  case fault_kind::clock_jump:
    return;
  }
}

void process_faults::kill(const fault& f, const numbers& who, processes all) {
  for (const auto i : who) {
    all[i]->keep_away(time_away(f));
    all[i]->send(SIGKILL);
    killed_[i] = all[i]->process().pid();
    paused_until_.erase(i);
  }
}

void process_faults::pause(const fault& f, const numbers& who, time_point now, processes all) {
  for (const auto i : who) {
    all[i]->send(SIGSTOP);
    auto& until = paused_until_[i];
    until = std::max(until, now + f.lasts);
  }
  agenda_.emplace(now + f.lasts, [this, who](time_point when, processes later) {
    for (const auto i : who) {
      const auto until = paused_until_.find(i);
      if (until == paused_until_.end() || until->second <= when) later[i]->send(SIGCONT);
    }
  });
}

void process_faults::cut(const fault& f, const numbers& who, time_point now, processes all) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> links;
  for (const auto& [i, other] : chaos::cut_pairs(f, who, all.size())) {
    if (f.way != chaos::direction::in) links.emplace_back(i, other);
    if (f.way != chaos::direction::out) links.emplace_back(other, i);
  }
  options_.network->change([&](packet_switch& s) {
    for (const auto& [from, to] : links) s.cut(from, to);
  });
  agenda_.emplace(now + f.lasts, [this, links, breaks = f.breaks](time_point, processes) {
    options_.network->change([&](packet_switch& s) {
      for (const auto& [from, to] : links) {
        if (breaks) s.break_connections(from, to);
        s.heal(from, to);
      }
    });
  });
}

void process_faults::spoil_links(const fault& f, const numbers& who, time_point now,
                                 processes all) {
  std::set<std::uint32_t> whose;
  if (f.target != fault_target::everybody) whose.insert(who.begin(), who.end());
  const auto number = bad_links_.add(std::move(whose), f.link);
  set_links(all.size());
  agenda_.emplace(now + f.lasts, [this, number](time_point, processes everybody) {
    bad_links_.remove(number);
    set_links(everybody.size());
  });
}

void process_faults::set_links(std::size_t count) {
  options_.network->change([&](packet_switch& s) {
    for (std::uint32_t from = 0; from < count; ++from)
      for (std::uint32_t to = 0; to < count; ++to)
        s.set_link(from, to, bad_links_.between(from, to));
  });
}

} // namespace troupe::cli
