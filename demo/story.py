"""The story demo/regions tells: three regions replay a trace, one is cut off and heals, perhaps a node is killed."""
import collections
import dataclasses
import pathlib
import random
import time

import compare
import processes

REGIONS = ("eu-west", "us-east", "ap-northeast")  # those of the simulator
NODES_PER_REGION = 2
MARKS = "mark/"


@dataclasses.dataclass
class Plan:
    """When what happens, in seconds from the start of the replay."""
    trace: pathlib.Path
    seed: int
    kill: bool
    replay: float = 25.0

    def __post_init__(self):
        chance = random.Random(self.seed)
        self.cut_region = chance.choice(REGIONS)
        self.cut_at = 0.4 * self.replay
        self.heal_at = 0.64 * self.replay
        victim = chance.choice([f"{region}-{n + 1}" for region in REGIONS for n in range(NODES_PER_REGION)])
        kill_at = chance.uniform(0.1, 0.9) * self.replay
        self.victim, self.kill_at = (victim, kill_at) if self.kill else (None, None)


class Story:
    """Runs the plan; what it learns is in `facts`, ready for JSON."""

    def __init__(self, plan, nodes, progress):
        self.plan, self.nodes, self.progress = plan, nodes, progress
        self.facts = {"seed": plan.seed, "kill": plan.kill, "regions": list(REGIONS), "problems": []}
        self.status = {}      # replay-status by node, the last one known
        self.snapshots = {}   # the same at moments of the story
        self.links = collections.defaultdict(dict)  # (node, peer): bytes sent by link
        self.latencies = {}   # {node: {region of origin: Counter of buckets}} at moments of the story
        self.received_of_victim = []

    def run(self):
        self.start_nodes()
        self.start_replay()
        events = [(self.plan.cut_at, self.cut), (self.plan.heal_at, self.heal)]
        if self.plan.kill:
            events.append((self.plan.kill_at, self.kill))
        for at, event in sorted(events, key=lambda event: event[0]):
            self.pass_time_until(at)
            event()
        self.pass_time_until(self.plan.replay)
        self.finish_replay()
        self.compare_nodes()
        return self.facts

    # -- What happens ------------------------------------------------------------------------------------------

    def start_nodes(self):
        self.progress("starting six nodes")
        began = time.monotonic()
        seeds = []
        for n in range(NODES_PER_REGION):
            for region in REGIONS:
                flags = [flag for seed in seeds for flag in ("--seed", seed)]
                node = self.nodes.start(f"{region}-{n + 1}", region, "--log-level", "info", *flags)
                seeds.append(node.address)
        if not processes.poll(lambda: processes.joined(self.nodes), 10):
            raise processes.NodeError("the nodes have not found each other within 10 s")
        self.facts["joined_s"] = time.monotonic() - began
        self.all_names = [node.name for node in self.nodes]
        self.regions = {node.name: node.region for node in self.nodes}
        self.origins = {name: stats["origin"] for name, stats in self.nodes.ask_all("stats").items()}

    def start_replay(self):
        first = next(iter(self.nodes))
        trace = first.ask(f"trace {self.plan.trace}")
        self.factor = trace["lasts_ms"] / 1000 / self.plan.replay
        self.facts["trace"] = {**trace, "replay_s": self.plan.replay, "factor": self.factor}
        self.nodes.ask_all(f"watch {MARKS} 50ms")
        self.started = time.monotonic()
        nodes = list(self.nodes)
        processes.ask_each({node: f"replay {self.plan.trace} share={i}/{len(nodes)} factor={self.factor:.4f}"
                            for i, node in enumerate(nodes)})

    def pass_time_until(self, moment):
        """Meanwhile looks every second how things are: a node that is killed cannot be asked any more."""
        while (left := self.started + moment - time.monotonic()) > 0:
            self.look()
            done, of = (sum(status[what] for status in self.status.values()) for what in ("operations", "of"))
            self.progress(f"{time.monotonic() - self.started:4.0f} s   {done:,} of {of:,} requests"
                          f"   {self.facts.get('phase', '')}")
            time.sleep(min(left, 1))

    def cut(self):
        region = self.plan.cut_region
        self.look("cut")
        processes.ask_each({node: "cut " + (",".join(r for r in REGIONS if r != region) if node.region == region
                                            else region) for node in self.nodes})
        self.cut_began = time.monotonic()
        self.facts["phase"] = f"{region} is cut off"

    def heal(self):
        self.look("heal")
        staleness = self.nodes.ask_all("staleness")
        for node in self.nodes:
            node.ask(f"set heal/{node.name} {node.name}")
        behind = max((max(staleness[node.name]["staleness_ms"].values(), default=0) for node in self.nodes
                      if node.region == self.plan.cut_region), default=0)
        began, wall_ms = time.monotonic(), time.time() * 1000
        self.nodes.ask_all("heal")
        agreed = processes.poll(lambda: processes.closed_up_to(self.nodes, wall_ms), 10, every=0.005)
        self.facts["cut"] = {"region": self.plan.cut_region, "at_s": self.plan.cut_at,
                             "lasted_s": began - self.cut_began, "behind_ms": behind,
                             "agreed_after_s": time.monotonic() - began if agreed else None}
        if not agreed:
            self.problem("10 s after the heal not every node held all that was written before it")
        self.check_written_before_heal()
        self.facts["phase"] = "healed"
        self.look("agreed")

    def check_written_before_heal(self):
        names = [node.name for node in self.nodes]
        for name in names:
            for reader, answer in self.nodes.ask_all(f"get heal/{name}").items():
                if answer.get("value") != name:
                    self.problem(f"{reader} lacks what {name} wrote before the heal, though it counts as known")

    def kill(self):
        victim = next(node for node in self.nodes if node.name == self.plan.victim)
        self.look()
        victim.kill()
        self.progress(f"{victim.name} is killed")
        self.received_of_victim = list(self.dump_all("received").values())
        self.facts["killed"] = {"node": victim.name, "at_s": time.monotonic() - self.started}

    def finish_replay(self):
        self.progress("the last requests")
        self.nodes.ask_all("replay-wait", timeout=20)
        self.look("end")
        self.nodes.ask_all("unwatch")
        wall_ms = time.time() * 1000
        if not processes.poll(lambda: processes.closed_up_to(self.nodes, wall_ms), 10):
            self.problem("10 s after the last request not every node held all that was written before it")

    def compare_nodes(self):
        self.progress("comparing")
        self.facts["stats"] = self.nodes.ask_all("stats")
        # What a killed node told only some, with no word that this was all, the others get by gossip: give it time.
        within = 10 if self.plan.kill else 0
        began = time.monotonic()
        processes.poll(self.nodes_agree, within, every=0.2)
        self.facts["compared"]["after_s"] = time.monotonic() - began
        self.facts.pop("phase", None)
        self.facts["by_region"] = {region: self.sum_up(region) for region in REGIONS}
        self.facts["links"] = [{"from": a, "to": b, "bytes": sum(sent.values())} for (a, b), sent in self.links.items()]
        self.facts["latency"] = self.calm_latencies()
        self.facts["node_names"] = self.all_names

    def nodes_agree(self):
        dumps = self.dump_all("final")
        forgetful = [name for name, counts in self.facts["stats"].items() if counts["stubs_dropped"]]
        result = compare.compare(dumps, time.time() * 1000, forgetful)
        self.facts["compared"] = {"nodes": len(dumps), "keys": result.keys, "live": result.live,
                                  "everywhere": result.everywhere, "disagreements": result.disagreements}
        lost = []
        if self.plan.kill:
            received, lost = compare.lost_writes(self.received_of_victim, dumps, self.origins[self.plan.victim])
            self.facts["killed"].update({"received": received, "lost": lost})
        return not (result.disagreements or lost)

    # -- What is seen ------------------------------------------------------------------------------------------

    def problem(self, text):
        self.facts["problems"].append(text)

    def look(self, moment=None):
        self.status.update(self.nodes.ask_all("replay-status"))
        names = {self.origins[name]: name for name in self.origins}
        for name, links in self.nodes.ask_all("links").items():
            for link in links["links"]:
                if peer := names.get(link["origin"]):
                    self.links[name, peer][link["link"]] = link["bytes_out"]
        if moment:
            self.snapshots[moment] = dict(self.status)
            self.latencies[moment] = {
                name: {row["from"]: collections.Counter(dict(row["buckets"])) for row in answer["latency"]}
                for name, answer in self.nodes.ask_all("latency").items()}

    def dump_all(self, what):
        paths = {node: self.nodes.log_dir / f"{node.name}.{what}.tsv" for node in self.nodes}
        processes.ask_each({node: f"dump {path}" for node, path in paths.items()})
        return {node.name: compare.read_dump(path) for node, path in paths.items()}

    def sum_up(self, region):
        names = [name for name, where in self.regions.items() if where == region]
        end, cut, heal = (self.snapshots[moment] for moment in ("end", "cut", "heal"))
        total = {what: sum(end[name][what] for name in names) for what in ("operations", "hits", "hits_alone", "errors")}
        while_cut = {what: sum(heal[name][what] - cut[name][what] for name in names) for what in ("operations", "hits")}
        return {**total, "late_ms_max": max(end[name]["late_ms_max"] for name in names),
                "operations_while_cut": while_cut["operations"], "hits_while_cut": while_cut["hits"],
                **{call: quantiles(sum((collections.Counter(dict(end[name][call]["buckets"])) for name in names),
                                       collections.Counter())) for call in ("get", "set")}}

    def calm_latencies(self):
        """From each region to each, without what was written between the cut and agreement."""
        between = collections.defaultdict(collections.Counter)
        for name, by_origin in self.latencies["end"].items():
            for origin, counts in by_origin.items():
                calm = counts.copy()
                calm.subtract(self.latencies["agreed"].get(name, {}).get(origin, {}))
                calm.update(self.latencies["cut"].get(name, {}).get(origin, {}))
                between[origin, self.regions[name]] += calm
        return [{"from": a, "to": b, **quantiles(counts)} for (a, b), counts in sorted(between.items())]


def quantiles(counts):
    """Of a Counter of nanoseconds; in microseconds."""
    total = sum(counts.values())
    result = {"count": total}
    for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)):
        seen = 0
        for top in sorted(counts):
            seen += counts[top]
            if seen >= share * total and counts[top] > 0:
                result[name] = top / 1000
                break
    return result
