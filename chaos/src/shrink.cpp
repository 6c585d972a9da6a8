#include "troupe/chaos/shrink.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::chaos {

namespace {

using subset = std::vector<std::size_t>; // of the first schedule's faults, ascending

/// Asks the predicate as long as it may be asked.
class questions {
 public:
  questions(const std::function<bool(const schedule&)>& still_fails, std::uint32_t max_runs)
      : still_fails_(still_fails), left_(max_runs) {}

  /// None when the bound was reached.
  std::optional<bool> ask(const schedule& s) {
    if (left_ == 0) return std::nullopt;
    --left_;
    ++runs_;
    return still_fails_(s);
  }

  std::uint32_t runs() const { return runs_; }
  bool over() const { return left_ == 0; }

 private:
  const std::function<bool(const schedule&)>& still_fails_;
  std::uint32_t left_;
  std::uint32_t runs_ = 0;
};

class shrinking {
 public:
  shrinking(const schedule& failing, questions& q) : faults_(failing), questions_(q) {}

  shrink_result carry_out() {
    leave_out();
    const bool minimal = minimal_;
    for (std::size_t i = 0; i < kept_.size() && !questions_.over(); ++i) simplify(kept_[i]);
    return {picked(kept_), questions_.runs(), minimal};
  }

 private:
  schedule picked(const subset& s) const {
    schedule result;
    for (const auto i : s) result.push_back(faults_[i]);
    return result;
  }

  bool fails(const subset& s) {
    const auto known = answers_.find(s);
    if (known != answers_.end()) return known->second;
    const auto answer = questions_.ask(picked(s));
    if (!answer) return false;
    answers_.emplace(s, *answer);
    return *answer;
  }

  // ddmin. `n` is the granularity, into how many parts the faults are divided.
  void leave_out() {
    for (std::size_t i = 0; i < faults_.size(); ++i) kept_.push_back(i);
    if (kept_.empty()) {
      minimal_ = true;
      return;
    }
    if (fails({})) { // it needs no fault at all
      kept_.clear();
      minimal_ = true;
      return;
    }
    std::size_t n = 2;
    while (kept_.size() >= 2) {
      const auto parts = divided(std::min(n, kept_.size()));
      if (const auto part = first_failing(parts)) {
        kept_ = *part;
        n = 2;
      } else if (const auto rest =
                     parts.size() > 2 ? first_failing(complements(parts)) : std::nullopt) {
        kept_ = *rest;
        n = std::max<std::size_t>(parts.size() - 1, 2);
      } else if (parts.size() < kept_.size()) {
        n = 2 * parts.size();
      } else {
        break;
      }
      if (questions_.over()) return;
    }
    minimal_ = !questions_.over();
  }

  std::vector<subset> divided(std::size_t n) const {
    std::vector<subset> parts;
    for (std::size_t i = 0, from = 0; i < n; ++i) {
      const auto to = from + (kept_.size() - from) / (n - i);
      parts.emplace_back(kept_.begin() + static_cast<std::ptrdiff_t>(from),
                         kept_.begin() + static_cast<std::ptrdiff_t>(to));
      from = to;
    }
    return parts;
  }

  std::vector<subset> complements(const std::vector<subset>& parts) const {
    std::vector<subset> result;
    for (const auto& part : parts) {
      subset rest;
      std::ranges::set_difference(kept_, part, std::back_inserter(rest));
      result.push_back(std::move(rest));
    }
    return result;
  }

  std::optional<subset> first_failing(const std::vector<subset>& candidates) {
    for (const auto& c : candidates)
      if (fails(c)) return c;
    return std::nullopt;
  }

  bool fails_with(std::size_t i, const fault& instead) {
    if (instead == faults_[i]) return false;
    const auto before = std::exchange(faults_[i], instead);
    if (questions_.ask(picked(kept_)).value_or(false)) return true;
    faults_[i] = before;
    return false;
  }

  void simplify(std::size_t i) {
    const auto change = [&](auto edit) {
      auto simpler = faults_[i];
      edit(simpler);
      return fails_with(i, simpler);
    };
    change([](fault& f) { f.nodes = 1; });
    change([](fault& f) { f.breaks = false; });
    change([](fault& f) { f.link.latency = {}; });
    change([](fault& f) { f.link.jitter = {}; });
    change([](fault& f) { f.link.drop = 0; });
    change([](fault& f) { f.link.duplicate = 0; });
    change([](fault& f) { f.link.reorder = 0; });
    change([](fault& f) { f.link.bytes_per_second = 0; });
    // Halved as long as it fails, down to a millisecond. 0 would mean "for good" of a kill.
    constexpr auto shortest = std::chrono::milliseconds(1);
    while (faults_[i].lasts > shortest && change([&](fault& f) {
             f.lasts = std::max<sim_time>(
                 std::chrono::floor<std::chrono::microseconds>(f.lasts / 2), shortest);
           })) {
    }
  }

  schedule faults_;
  questions& questions_;
  subset kept_;
  bool minimal_ = false;
  std::map<subset, bool> answers_;
};

} // namespace

shrink_result shrink(const schedule& failing,
                     const std::function<bool(const schedule&)>& still_fails,
                     const shrink_options& options) {
  questions q(still_fails, options.max_runs);
  return shrinking(failing, q).carry_out();
}

} // namespace troupe::chaos
