// Chains of logs through losses, new views and learners, against what must hold whatever happens.
#include "troupe/scheduler/replica_log.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

namespace {

using id_log = replica_log<std::uint64_t>;
using state = std::vector<std::uint64_t>; // what was applied, in order

struct view {
  std::uint64_t number = 0;
  std::vector<int> chain;
  std::optional<int> learner;
};

struct message {
  enum class kind { install, change, acknowledged, image, caught_up };
  kind what;
  int from = 0;
  int to = 0;
  std::uint64_t view = 0;
  std::uint64_t number = 0;
  std::uint64_t change = 0;
  state image;
  struct view installed;
};

struct replica {
  std::uint64_t view = 0;
  bool primary = false;
  bool learning = false;
  bool has_state = false;
  int downstream = -1;
  bool downstream_learns = false;
  bool learner_has_image = false;
  std::uint64_t learner_image = 0;
  bool told = false;
  int upstream = -1;
  id_log changes;
  state applied;
};

bool is_prefix(const state& a, const state& b) {
  return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
}

class cluster {
 public:
  cluster(std::uint64_t seed, std::size_t members) : random_(seed) {
    for (std::size_t i = 0; i < members; ++i) {
      view_.chain.push_back(add());
      replicas_[view_.chain.back()].has_state = true;
    }
    announce();
  }

  void step() {
    switch (random_.below(24)) {
    case 0:
      lose();
      break;
    case 1:
      if (!view_.learner && view_.chain.size() < 4) {
        view_.learner = add();
        announce();
      }
      break;
    case 2:
    case 3:
      tick(any_replica());
      break;
    case 4:
    case 5:
    case 6:
    case 7:
      append();
      break;
    default:
      deliver();
    }
  }

  // No more losses and changes: everything must come to rest.
  void settle() {
    for (int round = 0; round < 200; ++round) {
      while (!wire_.empty()) deliver_at(0);
      for (auto& [id, r] : replicas_) tick(id);
    }
  }

  void check_invariants() const {
    for (auto member : view_.chain) {
      const auto& applied = replicas_.at(member).applied;
      // LOG-2: nothing that a primary applied is missing.
      if (!is_prefix(primaries_, applied)) FAIL("lost by " << member);
    }
    for (const auto& [id, r] : replicas_) {
      if (r.applied.size() != r.changes.applied()) FAIL("counted wrong by " << id);
      if (std::set(r.applied.begin(), r.applied.end()).size() != r.applied.size())
        FAIL("applied twice by " << id); // LOG-1
    }
  }

  void check_settled() const {
    const auto& first = replicas_.at(view_.chain.front());
    CHECK(first.applied.size() == first.changes.last());
    CHECK(is_prefix(primaries_, first.applied));
    for (auto member : view_.chain) {
      INFO("member " << member);
      const auto& r = replicas_.at(member);
      CHECK(r.view == view_.number);
      CHECK(r.applied == first.applied);
      CHECK(r.changes.held() == 0); // LOG-3
    }
    CHECK_FALSE(view_.learner); // it has joined
  }

  std::size_t joined() const { return joined_; }
  std::size_t lost_primaries() const { return lost_primaries_; }
  std::size_t applied() const { return primaries_.size(); }

 private:
  int add() {
    replicas_.try_emplace(next_);
    return next_++;
  }

  int any_replica() {
    auto i = replicas_.begin();
    std::advance(i, static_cast<std::ptrdiff_t>(random_.below(replicas_.size())));
    return i->first;
  }

  void announce() {
    ++view_.number;
    for (auto to : view_.chain) tell(to);
    if (view_.learner) tell(*view_.learner);
  }
  void tell(int to) {
    message m{message::kind::install, -1, to, view_.number, 0, 0, {}, view_};
    wire_.push_back(m);
  }

  // The scheduler takes a member out; it may be dead, or go on and know nothing of it.
  void lose() {
    std::optional<int> lost;
    if (view_.learner && random_.below(3) == 0) {
      lost = view_.learner;
      view_.learner.reset();
    } else if (view_.chain.size() > 1) {
      auto at = random_.below(view_.chain.size());
      lost = view_.chain[at];
      if (at == 0) ++lost_primaries_;
      view_.chain.erase(view_.chain.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (!lost) return;
    if (random_.below(2) == 0) {
      replicas_.erase(*lost);
      if (random_.below(2) == 0) // its last words are lost with it
        std::erase_if(wire_, [&](const message& m) { return m.from == *lost; });
    }
    announce();
  }

  void append() {
    auto id = any_replica();
    auto& r = replicas_[id];
    if (!r.primary || r.changes.last() - r.changes.applied() > 8) return;
    r.changes.append(next_change_++);
    pump(id);
  }

  void deliver() {
    if (wire_.empty()) return;
    auto at = random_.below(wire_.size());
    const auto luck = random_.below(16);
    if (wire_[at].from >= 0 && luck == 0) { // lost on the way
      wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(at));
      return;
    }
    if (wire_[at].from >= 0 && luck == 1) wire_.push_back(wire_[at]); // comes twice
    deliver_at(at);
  }

  void deliver_at(std::size_t at) {
    auto m = wire_[at];
    wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(at));
    if (m.what == message::kind::caught_up) {
      if (m.view != view_.number || view_.learner != m.from) return;
      view_.chain.push_back(m.from);
      view_.learner.reset();
      ++joined_;
      announce();
      return;
    }
    auto i = replicas_.find(m.to);
    if (i == replicas_.end()) return;
    auto& r = i->second;
    if (m.what == message::kind::install) {
      install(m.to, m.installed);
      return;
    }
    if (m.view != r.view) return; // refused; an early one is sent again
    using enum message::kind;
    if (m.what == change && r.has_state && !r.primary) {
      r.upstream = m.from;
      if (m.number <= r.changes.applied())
        say_applied(m.to);
      else
        r.changes.receive(m.number, m.change);
    } else if (m.what == image && r.learning && r.has_state && m.number <= r.changes.applied()) {
      r.upstream = m.from;
      say_applied(m.to); // it was repeated or overtaken, and must not take the learner back
    } else if (m.what == image && r.learning) {
      r.applied = m.image;
      r.changes = id_log{m.number};
      r.has_state = true;
      r.upstream = m.from;
      say_applied(m.to);
    } else if (m.what == acknowledged && m.from == r.downstream) {
      r.changes.acknowledge(m.number);
      if (r.downstream_learns && m.number >= r.learner_image) r.learner_has_image = true;
      tell_if_caught_up(m.to);
    }
    pump(m.to);
  }

  void install(int id, const view& v) {
    auto& r = replicas_[id];
    if (v.number <= r.view) return;
    r.view = v.number;
    r.learning = v.learner == id;
    auto place = std::find(v.chain.begin(), v.chain.end(), id);
    const bool primary = place == v.chain.begin();
    const int before = r.downstream;
    const bool learned = r.downstream_learns;
    r.downstream = -1;
    r.downstream_learns = false;
    if (place != v.chain.end() && place + 1 != v.chain.end()) {
      r.downstream = *(place + 1);
    } else if (place != v.chain.end() && v.learner) {
      r.downstream = *v.learner;
      r.downstream_learns = true;
    }
    const bool same =
        r.downstream >= 0 && r.downstream == before && (!learned || r.learner_has_image);
    using enum id_log::downstream;
    r.changes.install(r.downstream < 0 ? none : r.downstream_learns ? learner : successor, same);
    r.told = false;
    if (primary && !r.primary) r.changes.become_primary();
    r.primary = primary;
    if (r.downstream_learns && !same) bring_up(id);
    tell_if_caught_up(id);
    pump(id);
  }

  void bring_up(int id) {
    auto& r = replicas_[id];
    r.learner_has_image = false;
    r.learner_image = r.changes.applied();
    r.changes.learner_begins();
    wire_.push_back(
        {message::kind::image, id, r.downstream, r.view, r.changes.applied(), 0, r.applied, {}});
  }

  void tell_if_caught_up(int id) {
    auto& r = replicas_[id];
    if (!r.downstream_learns || r.told || !r.learner_has_image ||
        r.changes.last() - r.changes.acknowledged() > 3)
      return;
    r.changes.await_learner();
    if (!r.changes.learner_may_join()) return;
    r.told = true;
    wire_.push_back({message::kind::caught_up, r.downstream, -1, r.view, 0, 0, {}, {}});
  }

  void say_applied(int id) {
    auto& r = replicas_[id];
    if (r.upstream >= 0)
      wire_.push_back(
          {message::kind::acknowledged, id, r.upstream, r.view, r.changes.applied(), 0, {}, {}});
  }

  void tick(int id) {
    auto& r = replicas_[id];
    if (r.downstream < 0) return;
    if (r.downstream_learns && !r.learner_has_image)
      bring_up(id);
    else
      r.changes.send_again();
    r.told = false;
    tell_if_caught_up(id);
    pump(id);
  }

  void pump(int id) {
    auto& r = replicas_[id];
    while (auto next = r.changes.next_to_send())
      wire_.push_back(
          {message::kind::change, id, r.downstream, r.view, next->first, *next->second, {}, {}});
    bool changed = false;
    while (auto next = r.changes.next_to_apply()) {
      if (next->first != r.applied.size() + 1) FAIL("out of order at " << id);
      r.applied.push_back(*next->second);
      r.changes.was_applied();
      changed = true;
      if (!r.primary) continue;
      // Acknowledged to a worker: it must never be missing, and all primaries agree on the order.
      if (r.applied.size() <= primaries_.size()) {
        if (!is_prefix(r.applied, primaries_)) FAIL("another order at primary " << id);
      } else {
        if (!is_prefix(primaries_, r.applied)) FAIL("a primary that lacks changes: " << id);
        primaries_ = r.applied;
      }
    }
    if (changed && !r.primary) say_applied(id);
  }

  fixed_seed_generator random_;
  std::map<int, replica> replicas_;
  int next_ = 0;
  std::uint64_t next_change_ = 1;
  view view_;
  std::vector<message> wire_;
  state primaries_; // everything that any primary ever applied
  std::size_t joined_ = 0;
  std::size_t lost_primaries_ = 0;
};

} // namespace

TEST_CASE("whatever is lost, reordered or repeated, no change that a primary applied is missing "
          "(LOG-1 to LOG-6)") {
  std::size_t joined = 0, lost_primaries = 0, applied = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    INFO("seed " << seed);
    cluster c{seed, 1 + seed % 4};
    for (int i = 0; i < 1500; ++i) {
      c.step();
      c.check_invariants();
    }
    c.settle();
    c.check_invariants();
    c.check_settled();
    joined += c.joined();
    lost_primaries += c.lost_primaries();
    applied += c.applied();
  }
  // The rare paths were taken.
  CHECK(joined > 400);
  CHECK(lost_primaries > 400);
  CHECK(applied > 10'000);
}
