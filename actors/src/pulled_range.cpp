#include "troupe/actors/pulled_range.hpp"

#include <algorithm>

#include "troupe/tensor/optimizer.hpp"

namespace troupe::actors {

namespace {

// In floats. It stays in the first cache while one gradient after the other is subtracted.
constexpr std::size_t piece = 2048;

} // namespace

void settle(const pulled_range& pulled, std::span<float> parameters) {
  if (pulled.settled->load()) return;
  const tensor::sgd subtract({.learning_rate = pulled.step});
  const auto to = parameters.subspan(pulled.range.first, pulled.range.size);
  // `from`: what was pulled of the elements from `first` on.
  const auto run = [&](std::size_t first, std::span<const float> from) {
    for (std::size_t done = 0; done < from.size(); done += piece) {
      const auto n = std::min(piece, from.size() - done);
      const auto out = to.subspan(first + done, n);
      auto in = from.subspan(done, n);
      for (const auto& write : pulled.own_writes) {
        const std::span all{*write};
        subtract.apply_into(in, out, all.subspan(pulled.range.first + first + done, n), {});
        in = out;
      }
      if (in.data() != out.data()) std::ranges::copy(in, out.begin());
    }
  };
  std::size_t done = 0;
  for (const auto& [offset, b] : pulled.kept) {
    const auto first = offset / sizeof(float);
    run(done, to.subspan(done, first - done));
    run(first, b.floats());
    done = first + b.floats().size();
  }
  run(done, to.subspan(done));
  pulled.settled->store(true);
}

} // namespace troupe::actors
