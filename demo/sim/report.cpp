// demo/sim/report.cpp – see report.hpp.
#include "demo/sim/report.hpp"

#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace geolru::sim {

namespace {

double ms(Us us) { return static_cast<double>(us.count()) / 1000; }
double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

[[gnu::format(printf, 2, 3)]] void row(std::ostream& out, const char* format, ...) {
  char text[256];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  out << text << '\n';
}

void print_regions(std::ostream& out, const Report& r) {
  row(out, "\n%-16s %10s %10s %9s %10s %16s %16s", "region", "gets", "sets", "local hit", "own region",
      "staleness max", "during faults");
  for (const RegionReport& g : r.regions) {
    row(out, "%-16s %10llu %10llu %8.1f%% %9.1f%% %13.1f ms %13.1f ms", g.name.c_str(),
        static_cast<unsigned long long>(g.gets), static_cast<unsigned long long>(g.sets),
        percent(g.hits, g.gets), percent(g.hits + g.fetched_near, g.gets), ms(g.staleness_healthy),
        ms(g.staleness_faults));
  }
}

void print_pairs(std::ostream& out, const Report& r) {
  row(out, "\n%-16s %-16s %10s %9s %9s %9s %9s %11s %7s", "written in", "readable in", "one way", "writes",
      "p50", "p99", "max", "after fault", "max");
  for (const PairReport& p : r.pairs) {
    row(out, "%-16s %-16s %7.2f ms %9llu %6.1f ms %6.1f ms %6.1f ms %11llu %5.1f s", p.from.c_str(),
        p.to.c_str(), ms(p.one_way), static_cast<unsigned long long>(p.writes), ms(p.p50), ms(p.p99),
        ms(p.max), static_cast<unsigned long long>(p.late), ms(p.late_max) / 1000);
  }
}

void print_links(std::ostream& out, const Report& r) {
  row(out, "\n%-18s %-18s %10s %12s %12s", "from", "to", "messages", "bytes", "bytes/s");
  const double seconds = ms(r.duration) / 1000;
  for (const LinkReport& l : r.links) {
    row(out, "%-18s %-18s %10llu %12llu %12.0f", l.from.c_str(), l.to.c_str(),
        static_cast<unsigned long long>(l.frames), static_cast<unsigned long long>(l.bytes),
        static_cast<double>(l.bytes) / seconds);
  }
}

}  // namespace

void print(std::ostream& out, const Report& r) {
  row(out, "seed %llu: %u nodes in %zu regions, %.1f s of virtual time, %llu messages, %llu steps checked",
      static_cast<unsigned long long>(r.seed), r.nodes, r.regions.size(), ms(r.duration) / 1000,
      static_cast<unsigned long long>(r.messages), static_cast<unsigned long long>(r.steps_checked));
  row(out,
      "evicted %llu, expired %llu; values sent by anti-entropy: %llu; no store took up more than %zu bytes",
      static_cast<unsigned long long>(r.evictions), static_cast<unsigned long long>(r.expirations),
      static_cast<unsigned long long>(r.values_by_anti_entropy), r.store_bytes_max);
  print_regions(out, r);
  print_pairs(out, r);
  print_links(out, r);
  out << '\n';
  if (const CrossingReport& c = r.crossings; c.writes != 0) {
    row(out, "a write crossed into another region %.3f times on average, at %.0f bytes (%llu crossings)",
        static_cast<double>(c.records) / static_cast<double>(c.writes),
        static_cast<double>(c.bytes) / static_cast<double>(c.records),
        static_cast<unsigned long long>(c.records));
  }
  for (const HealReport& h : r.heals) {
    if (h.caught_up) {
      row(out, "healed at %.1f s: all nodes held what the others wrote %.1f ms later", ms(h.at) / 1000,
          ms(h.caught_up_after));
    } else {
      row(out, "healed at %.1f s: not caught up before the end", ms(h.at) / 1000);
    }
  }
  if (!r.violation.empty()) out << r.violation << '\n';
  if (r.agreed) {
    row(out, "agreement %.1f ms after the last operation: %zu keys compared, 0 disagreements",
        ms(r.agreed_after), r.keys_compared);
  } else {
    row(out, "NO AGREEMENT: %zu keys compared, %zu disagreements, the first: %s", r.keys_compared,
        r.disagreements, r.first_disagreement.c_str());
  }
}

nlohmann::json to_json(const Report& r) {
  nlohmann::json json{{"seed", r.seed},
                      {"duration_ms", ms(r.duration)},
                      {"nodes", r.nodes},
                      {"messages", r.messages},
                      {"steps_checked", r.steps_checked},
                      {"evictions", r.evictions},
                      {"expirations", r.expirations},
                      {"values_by_anti_entropy", r.values_by_anti_entropy},
                      {"store_bytes_max", r.store_bytes_max},
                      {"agreed", r.agreed},
                      {"agreed_after_ms", ms(r.agreed_after)},
                      {"keys_compared", r.keys_compared},
                      {"disagreements", r.disagreements},
                      {"violation", r.violation},
                      {"transcript_hash", r.transcript}};
  for (const RegionReport& g : r.regions) {
    nlohmann::json by_second = nlohmann::json::array();
    for (const Us staleness : g.staleness_by_second) by_second.push_back(ms(staleness));
    json["regions"].push_back({{"name", g.name},
                               {"gets", g.gets},
                               {"hits", g.hits},
                               {"sets", g.sets},
                               {"hit_ratio", percent(g.hits, g.gets) / 100},
                               {"fetched_from_own_region", g.fetched_near},
                               {"fetched_from_others", g.fetched_far},
                               {"staleness_ms_by_second", by_second},
                               {"staleness_max_ms", ms(g.staleness_healthy)},
                               {"staleness_max_during_faults_ms", ms(g.staleness_faults)}});
  }
  for (const PairReport& p : r.pairs) {
    json["replication"].push_back({{"from", p.from},
                                   {"to", p.to},
                                   {"one_way_ms", ms(p.one_way)},
                                   {"writes", p.writes},
                                   {"p50_ms", ms(p.p50)},
                                   {"p99_ms", ms(p.p99)},
                                   {"max_ms", ms(p.max)},
                                   {"delayed_by_faults", p.late},
                                   {"delayed_max_ms", ms(p.late_max)}});
  }
  for (const LinkReport& l : r.links) {
    json["links"].push_back({{"from", l.from}, {"to", l.to}, {"messages", l.frames}, {"bytes", l.bytes}});
  }
  json["crossings"] = {
      {"registers", r.crossings.records}, {"writes", r.crossings.writes}, {"bytes", r.crossings.bytes}};
  for (const HealReport& h : r.heals) {
    json["heals"].push_back(
        {{"at_ms", ms(h.at)}, {"caught_up", h.caught_up}, {"caught_up_after_ms", ms(h.caught_up_after)}});
  }
  return json;
}

}  // namespace geolru::sim
