#include "troupe/jobs/workload_identity.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>

#include <nlohmann/json.hpp>
#include <xxhash.h>

#include "troupe/tensor/arithmetic.hpp"

namespace troupe::jobs {

namespace {

constexpr const char* arithmetic_name = "arithmetic of the processor";

class hasher {
 public:
  hasher() : state_(XXH3_createState(), &XXH3_freeState) {
    if (!state_) throw std::bad_alloc();
    XXH3_64bits_reset(state_.get());
  }
  template <class T>
  hasher& add(std::span<const T> values) {
    const std::uint64_t count = values.size();
    XXH3_64bits_update(state_.get(), &count, sizeof count);
    XXH3_64bits_update(state_.get(), values.data(), values.size_bytes());
    return *this;
  }
  hasher& add(const std::string& text) { return add(std::span(text.data(), text.size())); }
  std::string digest() const {
    char text[32];
    std::snprintf(text, sizeof text, "hash %016llx",
                  static_cast<unsigned long long>(XXH3_64bits_digest(state_.get())));
    return text;
  }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

std::string hash_of(const tensor::layout& layout) {
  hasher h;
  for (const auto& entry : layout.entries()) {
    h.add(entry.name);
    h.add(std::span<const std::size_t>(entry.shape));
  }
  return h.digest();
}

std::string hash_of(const std::vector<std::string>& names) {
  hasher h;
  for (const auto& name : names) h.add(name);
  return h.digest();
}

} // namespace

workload_identity::workload_identity(const tensor::model& model, const tensor::data_split& data,
                                     std::string source)
    : source_(std::move(source)) {
  const auto& train = data.train;
  const auto number = [this](const char* name, std::size_t n) {
    values_.emplace_back(name, std::to_string(n));
  };
  number("parameters", model.parameter_layout().size());
  values_.emplace_back("arrays of the model", hash_of(model.parameter_layout()));
  number("samples to train on", train.size());
  number("samples held out", data.held_out.size());
  number("features", train.feature_count());
  number("classes", train.class_count());
  number("targets", train.target_count());
  values_.emplace_back("names of the features", hash_of(train.feature_names()));
  hasher norm, features, labels;
  norm.add(std::span<const float>(data.norm.mean)).add(std::span<const float>(data.norm.scale));
  for (const auto* part : {&train, &data.held_out}) {
    const auto& c = part->stored();
    features.add(std::span<const float>(c.features));
    features.add(std::span<const unsigned char>(c.bytes));
    labels.add(std::span<const std::int32_t>(c.labels));
    labels.add(std::span<const float>(c.targets));
  }
  values_.emplace_back("labels or targets", labels.digest());
  values_.emplace_back("features' values", features.digest());
  values_.emplace_back("normalization", norm.digest());
  values_.emplace_back(arithmetic_name, tensor::arithmetic_of_processor());
}

std::string workload_identity::text() const {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const auto& [name, value] : values_) out[name] = value;
  return out.dump();
}

workload_identity workload_identity::from_text(const std::string& text) {
  if (text.empty()) return {};
  const auto in = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!in.is_object())
    throw std::invalid_argument("expected the identity of a workload, a JSON object");
  workload_identity result;
  for (const auto& [name, value] : in.items()) {
    if (!value.is_string())
      throw std::invalid_argument("expected a text for '" + name + "', found " + value.dump());
    result.values_.emplace_back(name, value.get<std::string>());
  }
  return result;
}

std::string workload_identity::difference(const workload_identity& found, arithmetic a) const {
  if (empty() || found.empty()) return {};
  for (const auto& [name, value] : values_) {
    if (name == arithmetic_name && a == arithmetic::ignored) continue;
    const auto other =
        std::ranges::find(found.values_, name, &decltype(values_)::value_type::first);
    const auto other_value = other != found.values_.end() ? other->second : "nothing";
    if (other_value == value) continue;
    return name + ": expected " + value + ", found " + other_value +
           (found.source_.empty() ? "" : " (" + found.source_ + ")");
  }
  return {};
}

} // namespace troupe::jobs
