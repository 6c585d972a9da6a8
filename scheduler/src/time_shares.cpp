#include "troupe/values/time_shares.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::scheduler {

std::string_view name_of(activity a) noexcept {
  constexpr std::array<std::string_view, activities> names = {"computing", "parameters", "lease",
                                                              "bound", "other"};
  const auto i = static_cast<std::size_t>(a);
  return i < names.size() ? names[i] : std::string_view{};
}

time_shares& time_shares::operator+=(const time_shares& other) noexcept {
  for (std::size_t i = 0; i < activities; ++i) spent_[i] += other.spent_[i];
  return *this;
}

time_shares::duration time_shares::whole() const noexcept {
  return std::accumulate(spent_.begin(), spent_.end(), duration{0});
}

double time_shares::share(activity a) const noexcept {
  const auto all = whole();
  return all.count() > 0 ? static_cast<double>(of(a).count()) / static_cast<double>(all.count())
                         : 0;
}

void time_account::turn(activity to, time_point now) noexcept {
  if (doing_) {
    auto left = std::max(std::chrono::duration_cast<time_shares::duration>(now - since_),
                         time_shares::duration{0});
    for (std::size_t i = 0; i < activities; ++i) { // TIME-2
      const auto a = static_cast<activity>(i);
      const auto taken = std::min(elsewhere_.of(a), left);
      spent_.add(a, taken);
      left -= taken;
    }
    spent_.add(*doing_, left);
  }
  elsewhere_ = {};
  since_ = now;
  doing_ = to;
}

void time_account::attribute(activity a, time_shares::duration amount) noexcept {
  if (doing_ && amount.count() > 0) elsewhere_.add(a, amount);
}

} // namespace troupe::scheduler
