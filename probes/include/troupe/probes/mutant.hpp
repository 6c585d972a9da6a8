#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe {

/// Deliberate protocol bugs, to find out whether chaos runs and the history checker catch them.
/// They are in a build with the CMake option TROUPE_MUTANTS alone, and there one at a time, when it
/// is switched on by name.
enum class mutant : std::uint8_t {
  staleness_off_by_one,
  step_read_early,
  step_applied_incomplete,
  own_writes_overstated,
  acknowledged_before_backup,
  acknowledged_before_applied,
  acknowledged_before_whole,
  old_view_accepted,
  view_number_reused,
  log_order_ignored,
  duplicate_applied,
  applied_set_not_in_image,
  kept_steps_not_in_image,
  image_numbered_ahead,
  learner_joins_early,
  read_lease_ignored,
  clock_of_dead_worker_kept,
  departures_lost_at_failover,
  resend_dropped,
  epoch_snapshot_early,
  checkpoint_without_applied,
  torn_checkpoint_accepted,
  lease_given_twice,
  leases_of_lost_worker_kept,
  completed_twice,
  done_of_old_life_accepted,
  restart_counts_partial_batches,
  views_not_journaled,
  restored_views_not_reserved,
  gaps_ignored,
};
inline constexpr std::size_t mutants = static_cast<std::size_t>(mutant::gaps_ignored) + 1;

struct mutant_text {
  mutant what;
  std::string_view name;
  std::string_view text;
};

/// By number.
inline constexpr std::array<mutant_text, mutants> mutant_texts = {{
    {mutant::staleness_off_by_one, "staleness_off_by_one",
     "ssp lets a read miss one clock more than the bound"},
    {mutant::step_read_early, "step_read_early",
     "bsp lets a step be read before the one before it is applied"},
    {mutant::step_applied_incomplete, "step_applied_incomplete",
     "bsp applies a step when one of its batches is missing"},
    {mutant::own_writes_overstated, "own_writes_overstated",
     "a shard says that it contains one write of the reader more than it does"},
    {mutant::acknowledged_before_backup, "acknowledged_before_backup",
     "a primary applies and acknowledges what its backup has not got"},
    {mutant::acknowledged_before_applied, "acknowledged_before_applied",
     "a primary acknowledges a push on arrival"},
    {mutant::acknowledged_before_whole, "acknowledged_before_whole",
     "a backup acknowledges a change of which it has only the header"},
    {mutant::old_view_accepted, "old_view_accepted",
     "replicas follow whoever sends, also the primary of a view that is no more"},
    {mutant::view_number_reused, "view_number_reused",
     "a view without a lost replica has the number of the one with it"},
    {mutant::log_order_ignored, "log_order_ignored",
     "a backup makes changes in the order in which they arrive"},
    {mutant::duplicate_applied, "duplicate_applied",
     "a batch that is pushed again is applied again"},
    {mutant::applied_set_not_in_image, "applied_set_not_in_image",
     "a learner is not told which batches its image contains"},
    {mutant::kept_steps_not_in_image, "kept_steps_not_in_image",
     "a learner does not get the gradients of the step that is not whole (bsp)"},
    {mutant::image_numbered_ahead, "image_numbered_ahead",
     "an image says that it contains changes that are still open"},
    {mutant::learner_joins_early, "learner_joins_early",
     "a learner joins the chain before it has its image"},
    {mutant::read_lease_ignored, "read_lease_ignored",
     "a primary answers reads after its lease has run out"},
    {mutant::clock_of_dead_worker_kept, "clock_of_dead_worker_kept",
     "a lost worker stays in the clocks"},
    {mutant::departures_lost_at_failover, "departures_lost_at_failover",
     "a new primary is not told again who left the clocks"},
    {mutant::resend_dropped, "resend_dropped", "a push that was lost is not sent again"},
    {mutant::epoch_snapshot_early, "epoch_snapshot_early",
     "the snapshot of an epoch is taken when one batch of it is missing"},
    {mutant::checkpoint_without_applied, "checkpoint_without_applied",
     "a checkpoint's applied set lacks the epoch in progress"},
    {mutant::torn_checkpoint_accepted, "torn_checkpoint_accepted",
     "checksums of a checkpoint are not looked at"},
    {mutant::lease_given_twice, "lease_given_twice",
     "a batch that was given back is leased and offered on"},
    {mutant::leases_of_lost_worker_kept, "leases_of_lost_worker_kept",
     "the leases of a lost worker are not given to others"},
    {mutant::completed_twice, "completed_twice", "a batch that is reported again is counted again"},
    {mutant::done_of_old_life_accepted, "done_of_old_life_accepted",
     "a batch done before the run went back to a checkpoint is counted after it"},
    {mutant::restart_counts_partial_batches, "restart_counts_partial_batches",
     "a restarted scheduler takes for completed what one shard has"},
    {mutant::views_not_journaled, "views_not_journaled", "views are told, but not journaled"},
    {mutant::restored_views_not_reserved, "restored_views_not_reserved",
     "a resumed run that is restarted before its images have arrived gives its view numbers again"},
    {mutant::gaps_ignored, "gaps_ignored",
     "nodes that cannot reach each other keep the roles for which they must"},
}};

consteval bool mutant_texts_are_in_order() {
  for (std::size_t i = 0; i < mutants; ++i)
    if (static_cast<std::size_t>(mutant_texts[i].what) != i) return false;
  return true;
}
static_assert(mutant_texts_are_in_order());

/// None for a name that is no mutant's.
constexpr std::optional<mutant> mutant_named(std::string_view name) noexcept {
  for (const auto& m : mutant_texts)
    if (m.name == name) return m.what;
  return std::nullopt;
}

#ifdef TROUPE_MUTANTS
inline constexpr bool mutants_built_in = true;
namespace detail {
inline std::optional<mutant> active_mutant;
}
/// One for the whole process, none to switch it off. Before the actors it is to spoil begin.
inline void switch_on(std::optional<mutant> m) noexcept { detail::active_mutant = m; }
inline bool mutant_active(mutant m) noexcept { return detail::active_mutant == m; }
#else
inline constexpr bool mutants_built_in = false;
inline void switch_on(std::optional<mutant>) noexcept {}
constexpr bool mutant_active(mutant) noexcept { return false; }
#endif

} // namespace troupe
