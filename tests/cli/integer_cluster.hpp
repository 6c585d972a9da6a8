#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace troupe::cli_test {

inline constexpr std::size_t integer_samples = 1280;

/// A job of 4 workers and 3 shards: plain SGD with learning rate 1 over integer gradients, so every
/// parameter has one right value.
std::string integer_job(std::uint32_t epochs);

/// The parameter hash that such a job must end with. In bsp a step applies the mean of its 4
/// batches' sums.
std::string expected_hash(std::uint32_t epochs, const std::string& mode);

nlohmann::json last_event(const std::filesystem::path& run);

} // namespace troupe::cli_test
