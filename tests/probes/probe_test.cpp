#include "troupe/probes/probe.hpp"

#include <set>

#include <catch2/catch.hpp>

#include "troupe/probes/mutant.hpp"

namespace troupe {
namespace {

TEST_CASE("a probe counts how often its branch was reached, and no other does") {
  const auto before = probes_reached();
  reached(probe::lease_expired);
  reached(probe::lease_expired);
  const auto after = probes_reached();
  for (std::size_t i = 0; i < probes; ++i)
    CHECK(after[i] - before[i] == (probe_texts[i].what == probe::lease_expired ? 2 : 0));
}

TEST_CASE("probes and mutants have names of their own and say what they are") {
  std::set<std::string_view> names;
  for (const auto& p : probe_texts) {
    CHECK(names.insert(p.name).second);
    CHECK_FALSE(p.text.empty());
  }
  for (const auto& m : mutant_texts) {
    CHECK(names.insert(m.name).second);
    CHECK_FALSE(m.text.empty());
    CHECK(mutant_named(m.name) == m.what);
  }
  CHECK_FALSE(mutant_named("no_such_bug"));
}

TEST_CASE("a mutant is active when it was switched on, and in a build without mutants never") {
  switch_on(mutant::resend_dropped);
  CHECK(mutant_active(mutant::resend_dropped) == mutants_built_in);
  CHECK_FALSE(mutant_active(mutant::log_order_ignored));
  switch_on(std::nullopt);
  CHECK_FALSE(mutant_active(mutant::resend_dropped));
}

} // namespace
} // namespace troupe
