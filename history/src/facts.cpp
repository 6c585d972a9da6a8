#include "facts.hpp"

#include <algorithm>

namespace troupe::history {

namespace {

// Beyond these a history is not of a run that this program can have made.
constexpr std::uint32_t shards_max = 1u << 20;
constexpr std::uint32_t workers_max = 1u << 24;

bool of_replica(const event& e) {
  return e.what >= event_kind::replica_began && e.what <= event_kind::state_hashed;
}

} // namespace

facts::facts(std::span<const process_history> all) : processes(all) {
  find_schedulers();
  if (!job) {
    missing.emplace_back("the scheduler's events");
    all_there = false;
    return;
  }
  find_nodes_and_views();
  find_replicas();
  find_what_is_missing();
}

void facts::find_schedulers() {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> found; // restarts, process
  for (std::uint32_t p = 0; p < processes.size(); ++p)
    for (const auto& e : processes[p].events)
      if (e.what == event_kind::job_described) {
        found.emplace_back(e.sequence, p);
        if (!job || e.sequence == 0) job = e;
        break;
      }
  std::ranges::sort(found);
  for (const auto& [restarts, p] : found) schedulers.push_back(p);
  // Each of them counts those before it.
  bool whole = !found.empty() && found.front().first == 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    whole = whole && processes[found[i].second].complete &&
            (i == 0 || found[i].first <= found[i - 1].first + 1);
  if (!whole) job.reset(); // what it went back from may be missing
  if (!job || job->shard.value > shards_max) {
    job.reset();
    return;
  }
  const auto mode_number = static_cast<scheduler::mode>(job->detail);
  try {
    mode = scheduler::consistency::from(mode_number, job->value);
  } catch (const std::exception&) {
    job.reset();
    return;
  }
  epochs = job->batch.epoch;
  batches_per_epoch = job->batch.index;
  total_batches = std::uint64_t{epochs} * batches_per_epoch;
}

void facts::find_nodes_and_views() {
  given_up.resize(job->shard.value);
  members.resize(job->shard.value);
  for (std::uint32_t p = 0; p < processes.size(); ++p) {
    const auto& events = processes[p].events;
    for (std::uint32_t i = 0; i < events.size(); ++i) {
      const auto& e = events[i];
      switch (e.what) {
      case event_kind::node_entered:
        node_process[e.node.value] = p;
        break;
      case event_kind::went_back:
        if (e.shard.value < given_up.size()) given_up[e.shard.value].push_back(e.view);
        break;
      case event_kind::view_decided:
        if (e.shard.value < members.size())
          members[e.shard.value].push_back({e.view, static_cast<role>(e.detail), e.node, {p, i}});
        break;
      case event_kind::run_ended:
        finished = finished || e.detail == outcome_finished;
        break;
      default:
        break;
      }
    }
  }
  for (auto& views : given_up) {
    std::ranges::sort(views);
    views.erase(std::ranges::unique(views).begin(), views.end());
  }
  for (auto& views : members) std::ranges::stable_sort(views, {}, &view_member::view);
}

void facts::find_replicas() {
  lives.resize(job->shard.value);
  for (std::uint32_t s = 0; s < lives.size(); ++s) {
    lives[s].resize(given_up[s].size() + 1);
    for (std::uint32_t n = 0; n < lives[s].size(); ++n) {
      lives[s][n].shard = shard_id{s};
      lives[s][n].number = n;
    }
  }
  for (std::uint32_t p = 0; p < processes.size(); ++p) {
    const auto first = replicas.size();
    auto last = first; // the replica of the event before: mostly that of the next one too
    const auto& events = processes[p].events;
    const auto same = [](const replica_record& r, const event& e) {
      return r.shard == e.shard && r.instance == e.instance && r.node == e.node;
    };
    for (std::uint32_t i = 0; i < events.size(); ++i) {
      const auto& e = events[i];
      if (!of_replica(e) || e.shard.value >= lives.size()) continue;
      if (last >= replicas.size() || !same(replicas[last], e)) {
        last = first;
        while (last < replicas.size() && !same(replicas[last], e)) ++last;
        if (last == replicas.size())
          replicas.push_back({p, e.node, e.instance, e.shard, 0, nowhere, {}, 0});
      }
      auto& r = replicas[last];
      if (e.view > 0) r.view = e.view;
      r.events.push_back(i);
      if (e.what == event_kind::change_applied || e.what == event_kind::image_used)
        r.applied = std::max(r.applied, e.sequence);
    }
  }
  for (std::uint32_t i = 0; i < replicas.size(); ++i) {
    auto& r = replicas[i];
    if (r.view == 0) continue;
    const auto& borders = given_up[r.shard.value];
    // A view that was given up has no replicas: whoever is in one above it came after.
    r.life =
        static_cast<std::uint32_t>(std::ranges::lower_bound(borders, r.view) - borders.begin());
    lives[r.shard.value][r.life].replicas.push_back(i);
    for (auto index : r.events) {
      const auto& e = processes[r.process].events[index];
      const bool of_worker =
          e.what == event_kind::change_applied || e.what == event_kind::pull_served;
      if (!of_worker || e.worker.value >= workers_max) continue;
      if (e.worker.value >= life_of_worker.size())
        life_of_worker.resize(std::size_t{e.worker.value} + 1, nowhere);
      auto& life = life_of_worker[e.worker.value];
      // A change without a worker has worker 0: what belongs to nobody tells nothing.
      const bool compared = e.what == event_kind::change_applied &&
                            e.detail == static_cast<std::uint8_t>(change_kind::compare);
      if (!compared && (life == nowhere || r.life < life)) life = r.life;
    }
  }
}

// The scheduler names the members of a chain, and the node of a worker, when that node has answered
// that it holds them, and so after it recorded its number. A learner it names before it asks: only
// a node that never was more may have been killed before it had read that it was welcome, and have
// left a part in which nothing stands.
void facts::find_what_is_missing() {
  std::map<std::uint32_t, bool> named; // by node: it has answered
  for (const auto& views : members)
    for (const auto& m : views) named[m.node.value] |= m.part != role::learner;
  for (const auto p : schedulers)
    for (const auto& e : processes[p].events)
      if (e.what == event_kind::worker_placed) named[e.node.value] = true;
  std::size_t nameless = 0;
  for (std::uint32_t p = 0; p < processes.size(); ++p)
    if (std::ranges::find(schedulers, p) == schedulers.end() &&
        std::ranges::none_of(node_process, [p](const auto& n) { return n.second == p; }))
      ++nameless;
  std::erase_if(named, [this](const auto& n) { return node_process.contains(n.first); });
  const auto silent = std::ranges::count(named, false, [](const auto& n) { return n.second; });
  const bool explained = static_cast<std::size_t>(silent) <= nameless;
  for (const auto& [node, answered] : named)
    if (answered || !explained)
      missing.push_back("the events of " + scheduler::to_string(node_id{node}));
  all_there = missing.empty();
  for (const auto& p : processes) {
    if (p.complete) continue;
    missing.push_back("later events of " + p.name);
    all_there = false;
  }
}

} // namespace troupe::history
