#include "outcome_bytes.hpp"

#include <nlohmann/json.hpp>

namespace troupe::chaos {

using nlohmann::json;

namespace {

json plain(const timeline& t) {
  json spans = json::array(), views = json::array(), clocks = json::array(),
       notices = json::array();
  for (const auto& s : t.spans)
    spans.push_back({s.process, static_cast<int>(s.kind), s.from.count(), s.to.count(), s.text});
  for (const auto& v : t.views) views.push_back({v.shard, v.number, v.at.count(), v.chain});
  for (const auto& c : t.clocks) clocks.push_back({c.worker, c.value, c.at.count()});
  for (const auto& n : t.notices) notices.push_back({n.at.count(), n.text});
  return {t.processes, spans, views, clocks, notices, t.events};
}

timeline to_timeline(const json& in) {
  timeline t;
  const auto time = [](const json& j) { return sim_time(j.get<std::int64_t>()); };
  t.processes = in[0].get<std::vector<std::string>>();
  for (const auto& s : in[1])
    t.spans.push_back({s[0].get<std::uint32_t>(), static_cast<fault_kind>(s[1].get<int>()),
                       time(s[2]), time(s[3]), s[4].get<std::string>()});
  for (const auto& v : in[2])
    t.views.push_back({v[0].get<std::uint32_t>(), v[1].get<std::uint64_t>(), time(v[2]),
                       v[3].get<std::vector<std::uint32_t>>()});
  for (const auto& c : in[3])
    t.clocks.push_back({c[0].get<std::uint32_t>(), c[1].get<std::uint64_t>(), time(c[2])});
  t.events = in[5].get<std::vector<std::string>>();
  for (const auto& n : in[4]) t.notices.push_back({time(n[0]), n[1].get<std::string>()});
  return t;
}

} // namespace

std::string to_bytes(const outcome& o) {
  json violations = json::array();
  for (const auto& v : o.violations) violations.push_back({v.rule, v.at.count(), v.what, v.by});
  const json out = {o.fingerprint,          violations, o.faults,      o.probes, o.judged,
                    o.virtual_time.count(), o.steps,    plain(o.seen), o.not_run};
  std::string bytes;
  json::to_cbor(out, bytes);
  return bytes;
}

outcome from_bytes(std::string_view bytes) {
  const auto in = json::from_cbor(bytes);
  outcome o;
  o.fingerprint = in[0].get<std::uint64_t>();
  for (const auto& v : in[1])
    o.violations.push_back({v[0].get<std::string>(), sim_time(v[1].get<std::int64_t>()),
                            v[2].get<std::string>(), v[3].get<std::vector<std::string>>()});
  in[2].get_to(o.faults);
  in[3].get_to(o.probes);
  in[4].get_to(o.judged);
  o.virtual_time = sim_time(in[5].get<std::int64_t>());
  o.steps = in[6].get<std::uint64_t>();
  o.seen = to_timeline(in[7]);
  in[8].get_to(o.not_run);
  return o;
}

} // namespace troupe::chaos
