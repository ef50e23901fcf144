"""One cache in one process: how fast it reads and writes, and what memory it takes. One process for each cache, size of
values and round, so that neither the layout of memory nor a disturbance favours one of them for long."""
import json
import subprocess

from rows import Aim, Row

OURS, NODE, SIEVE = "geolru", "geolru-node", "with Eviction::sieve"
PEERS = ("LevelDB", "RocksDB-LRU", "RocksDB-HyperClock")
LIMIT, BATCH_LIMIT, FLAT_LRU = "limit", "limit-batch", "flat-LRU"
ORDERS = ("zipf", "uniform")
SIZES = (100, 1024)
SPEEDS = ("fill", "get", "get_many", "set", "set_many", "mix_100_0", "mix_95_5", "mix_50_50", "pour_50_50")
BURSTS_KIB = (64, 256, 1024)


def name(measure, order, size, threads=1):
    return f"{measure}/{order}/{size}B/{threads}t"


class Local:
    """What runs, given how long and how large; `wanted` tells whether a measure is asked for."""

    def __init__(self, build, smoke, wanted, subjects, traces):
        self.binary = build / "tests/bench/bench-local"
        self.entries, self.seconds, self.stub_seconds = (20_000, 0.01, 0) if smoke else (1_000_000, 0.25, 12)
        self.speeds = [measure for measure in SPEEDS if wanted(measure)]
        self.tasks = [task for task in (self.memory, self.stubs, self.expiry, self.burst, self.traces)
                      if wanted(task.__name__)]
        self.subjects = [subject for subject in self.run("list").split() if not subjects or subject in subjects]
        self.trace_files = traces

    def run(self, *words):
        return subprocess.run([self.binary, *map(str, words)], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout

    def jobs(self):
        """(what it is called, what to call with the samples), in the order to do them."""
        for size in SIZES if self.speeds else ():
            for subject in self.subjects:
                yield (f"{subject}, values of {size} bytes",
                       lambda samples, subject=subject, size=size: self.speed(samples, subject, size))
        for task in self.tasks:
            yield task.__name__, task

    def speed(self, samples, subject, size):
        said = self.run(subject, "speed", self.entries, size, self.seconds, "--benchmark_format=json",
                        f"--benchmark_filter=^({'|'.join(self.speeds)})/")
        if not said.strip():
            return  # it has none of them
        for run in json.loads(said)["benchmarks"]:
            if run.get("error_occurred"):
                raise RuntimeError(f"{subject}, {run['name']}: {run['error_message']}")
            measure, order = run["name"].split("/")[:2]
            threads = run["threads"]
            # What one thread needs is its own time, whoever else used the machine meanwhile. What two threads reach
            # together is counted by the clock, since waiting for each other is what it is about.
            took = run["cpu_time"] if threads == 1 else run["real_time"]
            samples.add(name(measure, order, size, threads), subject, took)
            samples.add("wall/" + name(measure, order, size, threads), subject, run["real_time"])
            if "hit_ratio" in run:
                samples.add(name("hits_" + measure, order, size, threads), subject, run["hit_ratio"])

    def memory(self, samples):
        for subject in self.subjects:
            if subject not in (LIMIT, BATCH_LIMIT):
                got = json.loads(self.run(subject, "memory", self.entries, 100))
                samples.add("memory", subject, (got["resident"] - got["content"]) / got["entries"])

    def stubs(self, samples):
        got = json.loads(self.run("stubs", self.entries, self.stub_seconds))
        for age in ("young", "old"):
            samples.add(f"stubs/{age}", NODE, got[age] / got["entries"])

    def expiry(self, samples):
        got = json.loads(self.run("expiry", self.entries))
        for call in ("gets", "sets"):
            samples.add(f"expiry/{call}", OURS, got[call]["worst_us"])
            samples.add(f"expiry/{call}", "nothing expires", got[f"quiet_{call}"]["worst_us"])
        samples.add("expiry/nothing", LIMIT, got["nothing"]["worst_us"])
        samples.add("expiry/reclaimed", OURS, got["reclaimed_after_ms"])

    def burst(self, samples):
        got = json.loads(self.run("burst", self.entries))
        for kib in BURSTS_KIB:
            for call in ("large", "gets", "sets"):
                samples.add(f"burst/{kib}/{call}", OURS, got[f"{kib}_full"][call]["worst_us"])
                samples.add(f"burst/{kib}/{call}", "with room", got[f"{kib}_room"][call]["worst_us"])

    def traces(self, samples):
        for got in json.loads(self.run("traces", *self.trace_files)):
            measure = f"hits/{got['trace']}/{got['one_of']}"
            samples.add(measure, OURS, got["geolru"] * 100)
            samples.add(measure, "exact LRU", got["lru"] * 100)
            samples.add(measure, SIEVE, got["sieve"] * 100)


def best_peer(samples, measure, peers=PEERS):
    there = [peer for peer in peers if samples.has(measure, peer)]
    return min(there, key=lambda peer: samples.median(measure, peer), default=None)


def against_peers(samples, measure, most=None, subject=NODE):
    """The best peer, its median, and the aim to take no more than `most` times its time: by the ratio of each round."""
    peer = best_peer(samples, measure)
    if peer is None:
        return {"aims": []}
    ratio = samples.ratio(measure, subject, measure, peer)
    return {"peer": peer, "peer_value": samples.median(measure, peer),
            "aims": [Aim(f"≤ {most} × the best peer", ratio, most)] if most else []}


def median_if_any(samples, measure, subject):
    return samples.median(measure, subject) if samples.has(measure, subject) else None


def calls_of_both(samples, title, measure, most=None):
    """A row in millions of calls a second, of two threads together."""
    values = [1e3 / ns for ns in samples.of(measure, NODE)]
    row = Row(title, "M/s", values, **against_peers(samples, measure, most))
    if row.peer:
        row.peer_value = 1e3 / row.peer_value
    return row


def get_rows(samples, order, size):
    what = f"{order}, {size} B"
    one, two, many = name("get", order, size), name("get", order, size, 2), name("get_many", order, size)
    if samples.has(one, NODE):
        row = Row(f"get hit, {what}", "ns", samples.of(one, NODE), **against_peers(samples, one, 0.8))
        if samples.has(one, LIMIT):
            row.limit = samples.median(one, LIMIT)
            row.aims.insert(0, Aim("≤ 1.15 × the limit", samples.ratio(one, NODE, one, LIMIT), 1.15))
        yield row
    if samples.has(two, NODE):
        row = calls_of_both(samples, f"get hit, two threads, {what}", two)
        row.aims = [Aim("≥ 1.9 × one thread", samples.ratio("wall/" + one, NODE, two, NODE), 1.9, at_least=True)]
        row.limit = 1e3 / samples.median(two, LIMIT) if samples.has(two, LIMIT) else None
        yield row
    if samples.has(many, NODE):
        aims = [Aim("≤ 0.30 × get", samples.ratio(many, NODE, one, NODE), 0.30)] if samples.has(one, NODE) else []
        yield Row(f"get_many of 16, per key, {what}", "ns", samples.of(many, NODE),
                  limit=median_if_any(samples, many, BATCH_LIMIT), aims=aims)


# Measure, title, and the aim as a ratio to the best peer: by Zipf, uniform, and either with values of 1 KiB.
WRITES = (("fill", "fill of an empty cache", None, 0.85, 0.85),
          ("set", "set that overwrites", 0.70, 0.70, 0.70),
          ("mix_100_0", "get, set on a miss", 0.85, 0.85, 0.90),
          ("mix_95_5", "95/5, a miss is set", 0.85, 0.95, 0.90),
          ("mix_50_50", "50/50, a miss is set", 0.80, 0.90, 0.90),
          ("pour_50_50", "50/50, twice as many keys as fit", None, 0.90, 0.90))


def write_rows(samples, order, size):
    """Their limits: for mixes exact LRU at its cheapest, for sets the bare table; neither has a lock or a clock."""
    what = f"{order}, {size} B"
    for measure, title, by_zipf, uniform, large in WRITES:
        most = large if size > 100 else by_zipf if order == "zipf" else uniform
        one, two = name(measure, order, size), name(measure, order, size, 2)
        if samples.has(one, NODE):
            yield Row(f"{title}, {what}", "ns", samples.of(one, NODE), **against_peers(samples, one, most),
                      limit=median_if_any(samples, one, LIMIT if measure == "set" else FLAT_LRU))
        if samples.has(two, NODE):
            yield calls_of_both(samples, f"{title}, two threads, {what}", two, most)
    one, many = name("set", order, size), name("set_many", order, size)
    if samples.has(many, NODE):
        aims = [Aim("≤ 0.60 × set", samples.ratio(many, NODE, one, NODE), 0.60)] if samples.has(one, NODE) else []
        yield Row(f"set_many of 16 that overwrite, per key, {what}", "ns", samples.of(many, NODE), aims=aims)


def memory_rows(samples):
    if samples.has("memory", NODE):
        peer = best_peer(samples, "memory")
        yield Row("resident bytes beyond key and value", "B", samples.of("memory", NODE), peer=peer,
                  peer_value=samples.median("memory", peer) if peer else None,
                  aims=[Aim("≤ 70 B", samples.median("memory", NODE), 70, unit="B")])
    for age, text in (("young", "just evicted"), ("old", "older than some seconds")):
        measure = f"stubs/{age}"
        if samples.has(measure, NODE):
            yield Row(f"resident bytes of a stub, {text}", "B", samples.of(measure, NODE),
                      aims=[Aim("≤ 24 B", samples.median(measure, NODE), 24, unit="B")])


def trace_rows(samples):
    for measure in sorted({measure for measure, _ in samples.values if measure.startswith("hits/")}):
        trace, one_of = measure.split("/")[1:]
        here, lru = samples.median(measure, OURS), samples.median(measure, "exact LRU")
        yield Row(f"{trace}, {100 / int(one_of):g} % of the keys", "%", samples.of(measure, OURS), peer="exact LRU",
                  peer_value=lru, aims=[Aim("at most 0.1 points less", lru - here, 0.1, unit="points")])
        yield Row(f"the same, {SIEVE}", "%", samples.of(measure, SIEVE), peer="exact LRU", peer_value=lru)


def worst_rows(samples):
    cases = [(f"expiry/{call}", "nothing expires", f"slowest {call[:-1]} while all expire at once")
             for call in ("gets", "sets")]
    for kib in BURSTS_KIB:
        cases += [(f"burst/{kib}/{call}", "with room", f"slowest {what} in a burst of {kib} KiB values")
                  for call, what in (("large", "set of the burst"), ("gets", "small get"), ("sets", "small set"))]
    # Of calls that do nothing on two threads: what the machine, or whoever shares it, takes away for itself.
    limit = median_if_any(samples, "expiry/nothing", LIMIT)
    for measure, beside, title in cases:
        if samples.has(measure, OURS):
            yield Row(title, "µs", samples.of(measure, OURS), peer=beside,
                      peer_value=samples.median(measure, beside), limit=limit,
                      aims=[Aim("≤ 1 ms", max(samples.of(measure, OURS)) / 1e3, 1, unit="ms")])
    if samples.has("expiry/reclaimed", OURS):
        yield Row("until the memory of all that expired is free", "ms", samples.of("expiry/reclaimed", OURS))


def sections(samples):
    """{heading: rows} of what was measured."""
    return {"Reading": [row for size in SIZES for order in ORDERS for row in get_rows(samples, order, size)],
            "Writing": [row for size in SIZES for order in ORDERS for row in write_rows(samples, order, size)],
            "Memory": list(memory_rows(samples)),
            "Hits on recorded requests": list(trace_rows(samples)),
            "The slowest call": list(worst_rows(samples))}
