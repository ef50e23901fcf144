"""Lays out what demo/regions found, for a terminal."""


def table(title, header, rows):
    """Lines: the first column to the left, all others to the right."""
    rows = [header, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["", title]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append(("  " + "   ".join(cells)).rstrip())
    return lines


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def micros(values, name):
    value = values.get(name)
    return "–" if value is None else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def millis(values, name):
    return "–" if name not in values else f"{values[name] / 1000:.2f}"


def introduction(facts):
    trace = facts["trace"]
    minutes, seconds = divmod(round(trace["lasts_ms"] / 1000), 60)
    lines = [
        "geolru: three regions, two nodes each: six processes on this machine",
        "",
        f"  trace   {trace['requests']:,} real DNS look-ups of {trace['keys']:,} names, {minutes} min {seconds} s long",
        f"          replayed in {trace['replay_s']:.0f} s: {trace['factor']:.0f} times as fast, the entries' times to live too;"
        " each node gets a sixth",
        f"  seed    {facts['seed']}",
        f"  story   all six found each other in {facts['joined_s']:.1f} s",
        f"          {facts['cut']['at_s']:.0f} s: {facts['cut']['region']} is cut off;"
        f" {facts['cut']['at_s'] + facts['cut']['lasted_s']:.0f} s: healed",
    ]
    if killed := facts.get("killed"):
        lines.append(f"          {killed['at_s']:.1f} s: {killed['node']} is killed (kill -9)")
    return lines


def hits(facts):
    counted = ("operations", "hits", "hits_while_cut", "operations_while_cut", "hits_alone")
    regions = {name + (" *" if name == facts["cut"]["region"] else ""): row for name, row in facts["by_region"].items()}
    regions["all"] = {what: sum(row[what] for row in regions.values()) for what in counted}
    rows = [[name, f"{row['operations']:,}", percent(row["hits"], row["operations"]),
             percent(row["hits_while_cut"], row["operations_while_cut"]), percent(row["hits_alone"], row["operations"])]
            for name, row in regions.items()]
    trace = facts["trace"]
    return [*table(f"Answered from local memory (* was cut off for {facts['cut']['lasted_s']:.1f} s)",
                   ["region", "operations", "hits", "during the cut", "were each node alone"], rows),
            f"  One cache that saw every request: {percent(trace['hits_of_one'], trace['requests'])} hits."]


def calls(facts):
    names = ("p50_us", "p99_us", "p999_us")
    rows = [[region, *(micros(row[call], name) for call in ("get", "set") for name in names)]
            for region, row in facts["by_region"].items()]
    return table("How long a call takes, in µs",
                 ["region", *(f"{call} {p}" for call in ("get", "set") for p in ("p50", "p99", "p99.9"))], rows)


def arrival(facts):
    cells = {(row["from"], row["to"]): f"{millis(row, 'p50_us')} / {millis(row, 'p99_us')}" for row in facts["latency"]}
    rows = [[a, *(cells.get((a, b), "–") for b in facts["regions"])] for a in facts["regions"]]
    return table("How long until a write can be read elsewhere, in ms, p50 / p99 (all on this machine: no distance)",
                 ["from \\ to", *facts["regions"]], rows)


def links(facts):
    names = sorted(facts["node_names"])
    sent = {(row["from"], row["to"]): row["bytes"] for row in facts["links"]}
    rows = [[a, *("–" if a == b else f"{sent.get((a, b), 0) / 1024:,.0f}" for b in names)] for a in names]
    return table("KiB sent on each link", ["from \\ to", *names], rows)


def verdict(facts):
    cut, compared = facts["cut"], facts["compared"]
    agreed = "not within 10 s" if cut["agreed_after_s"] is None else f"{cut['agreed_after_s'] * 1000:,.0f} ms"
    lines = ["", "Agreement",
             f"  after the heal     {agreed} until every node held all that was written during the cut"
             f" ({cut['region']} was {cut['behind_ms'] / 1000:.1f} s behind)",
             f"  keys compared      {compared['keys']:,} on {compared['nodes']} nodes; {compared['live']:,} live,"
             f" {compared['everywhere']:,} of them held by all",
             f"  disagreements      {len(compared['disagreements'])}"]
    lines += [f"    {text}" for text in compared["disagreements"][:10]]
    if killed := facts.get("killed"):
        lines.append(f"  after the kill     {killed['received']:,} writes of {killed['node']} had been received by others;"
                     f" {len(killed['lost'])} lost")
        lines += [f"    {text}" for text in killed["lost"][:10]]
    lines += [f"  PROBLEM            {text}" for text in facts["problems"]]
    return lines


def lay_out(facts):
    parts = (introduction, hits, calls, arrival, links, verdict)
    return "\n".join(line for part in parts for line in part(facts))


def is_good(facts):
    return not (facts["problems"] or facts["compared"]["disagreements"] or facts.get("killed", {}).get("lost"))
