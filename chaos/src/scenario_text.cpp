// A scenario file is written.
#include <array>
#include <charconv>

#include "troupe/chaos/scenario_file.hpp"

namespace troupe::chaos {

namespace {

// The shortest that reads back as the same.
std::string text(double value) {
  std::array<char, 40> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr};
}

std::string text(std::uint32_t value) { return std::to_string(value); }

// Milliseconds with as many decimals as the nanoseconds need.
std::string text(sim_time time) {
  constexpr auto per_ms = 1'000'000;
  auto result = std::to_string(time.count() / per_ms);
  const auto rest = time.count() % per_ms;
  if (rest == 0) return result;
  auto decimals = std::to_string(per_ms + rest).substr(1);
  decimals.erase(decimals.find_last_not_of('0') + 1);
  return result + "." + decimals;
}

template <class T>
std::string text(const range<T>& r) {
  return r.low == r.high ? text(r.low) : "[" + text(r.low) + ", " + text(r.high) + "]";
}

std::string in_quotes(std::string_view word) { return "\"" + std::string(word) + "\""; }

template <class T>
std::string in_quotes(const std::vector<T>& values) {
  if (values.size() == 1) return in_quotes(name_of(values.front()));
  std::string list;
  for (const auto& v : values) list += (list.empty() ? "" : ", ") + in_quotes(name_of(v));
  return "[" + list + "]";
}

std::string line(std::string_view key, const std::string& value) {
  return std::string(key) + " = " + value + "\n";
}

template <class T>
std::string link_text(const range<T>& link) {
  std::string out;
  const auto add = [&](std::string_view key, auto low, auto high) {
    if (low == decltype(low){} && high == decltype(high){}) return;
    out += (out.empty() ? "" : ", ") + std::string(key) + " = " +
           text(range<decltype(low)>{low, high});
  };
  const auto& [a, b] = link;
  add("latency_ms", a.latency, b.latency);
  add("jitter_ms", a.jitter, b.jitter);
  add("drop", a.drop, b.drop);
  add("duplicate", a.duplicate, b.duplicate);
  add("reorder", a.reorder, b.reorder);
  add("bytes_per_second", a.bytes_per_second, b.bytes_per_second);
  return out.empty() ? "{}" : "{ " + out + " }";
}

bool has_index(fault_target target) {
  return target != fault_target::scheduler && target != fault_target::everybody;
}

std::string text(const workload& w) {
  std::string timeouts;
  for (const auto t : w.lease_timeouts) timeouts += (timeouts.empty() ? "" : ", ") + text(t);
  std::string modes;
  std::uint64_t staleness = 2, step = 4;
  for (const auto& mode : w.modes) {
    modes += (modes.empty() ? "" : ", ") + in_quotes(name_of(mode.type()));
    staleness = mode.staleness().value_or(staleness);
    step = mode.batches_per_step().value_or(static_cast<std::uint32_t>(step));
  }
  return "\n[workload]\n" + line("modes", "[" + modes + "]") +
         line("staleness", std::to_string(staleness)) +
         line("batches_per_step", std::to_string(step)) + line("parameters", text(w.parameters)) +
         line("samples", text(w.samples)) + line("epochs", text(w.epochs)) +
         line("batch_size", text(w.batch_size)) + line("batch_ms", text(w.batch_time)) +
         line("checkpoint_every", text(w.checkpoint_every)) +
         line("lease_timeout_ms", "[" + timeouts + "]");
}

std::string text(const cluster_shape& c) {
  std::string nodes;
  for (const auto& g : c.nodes)
    nodes += "  { count = " + text(g.count) + ", shards = " + text(g.shards) +
             ", workers = " + text(g.workers) + " },\n";
  return "\n[cluster]\n" + line("workers", text(c.workers)) + line("shards", text(c.shards)) +
         line("replicas", text(c.replicas)) +
         (nodes.empty() ? "" : line("nodes", "[\n" + nodes + "]"));
}

std::string text(const fault_family& f) {
  std::string out = "\n[[faults]]\n" + line("kind", in_quotes(name_of(f.kind))) +
                    line("target", in_quotes(name_of(f.target)));
  if (f.index && has_index(f.target)) out += line("index", text(*f.index));
  if (f.nodes != range<std::uint32_t>{1, 1}) out += line("nodes", text(f.nodes));
  out += f.rate > 0 ? line("rate", text(f.rate)) : line("count", text(f.count));
  out += line("window_ms", "[" + text(f.window.low) + ", " + text(f.window.high) + "]") +
         line("lasts_ms", text(f.lasts));
  if (f.for_good > 0) out += line("for_good", text(f.for_good));
  if (f.kind == fault_kind::partition)
    out += line("way", in_quotes(f.ways)) + line("from", in_quotes(f.from)) +
           line("breaks", text(f.breaks));
  if (f.kind == fault_kind::link) out += line("link", link_text(f.link));
  if (f.kind == fault_kind::disk) out += line("disk", in_quotes(f.disks));
  return out;
}

std::string text(const fault& f) {
  std::string out = "\n# " + to_string(f) + "\n[[fault]]\n" +
                    line("kind", in_quotes(name_of(f.kind))) +
                    line("target", in_quotes(name_of(f.target)));
  if (has_index(f.target)) out += line("index", text(f.index));
  if (f.nodes != 1) out += line("nodes", text(f.nodes));
  out += line("at_ms", text(f.at)) + line("lasts_ms", text(f.lasts));
  if (f.kind == fault_kind::partition)
    out += line("way", in_quotes(name_of(f.way))) + line("from", in_quotes(name_of(f.from))) +
           line("breaks", f.breaks ? "true" : "false");
  if (f.kind == fault_kind::link)
    out += line("link", link_text(range<link_properties>{f.link, f.link}));
  if (f.kind == fault_kind::disk) out += line("disk", in_quotes(name_of(f.disk)));
  return out;
}

} // namespace

std::string to_toml(const scenario& s) {
  auto out = line("name", in_quotes(s.name));
  if (s.seed) out += line("seed", std::to_string(*s.seed));
  out += text(s.work) + text(s.cluster);
  for (const auto& family : s.families) out += text(family);
  for (const auto& one : s.faults) out += text(one);
  if (!s.unchecked.empty()) {
    out += "\n[invariants]\n";
    for (const auto i : s.unchecked) out += line(name_of(i), "false");
  }
  return out + "\n[quiet]\n" + line("from_ms", text(s.quiet.from)) +
         line("finish_by_ms", text(s.quiet.finish_by));
}

} // namespace troupe::chaos
