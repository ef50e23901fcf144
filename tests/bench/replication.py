"""Nodes in processes of their own on this machine, beside a redis-server with one replica: how soon and how fast writes
arrive, what that costs, and what goes over the wire. Every case begins with new processes."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from rows import Aim, Row

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(TOP / "demo"), str(TOP / "tests/e2e")]

from harness import free_port  # noqa: E402
from processes import Node, NodeError, poll  # noqa: E402,F401

OURS, REDIS = "geolru", "redis"
LINKS = (1, 10, 100)
CASES = []


def case(function):
    CASES.append(function)
    return function


class Proxy:
    """Holds what passes for so long, one way as the other, and counts it."""

    def __init__(self, binary, port, delay_ms=0):
        self.process = subprocess.Popen([binary, str(port), str(delay_ms * 1000)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.address = f"127.0.0.1:{self.port}"

    def passed(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait(5)


class RedisServer:
    """As fast as it goes: nothing is saved, a replica is sent everything at once and loads it from memory."""

    def __init__(self, folder):
        self.port = free_port()
        folder.mkdir()
        settings = (f"port {self.port}", "bind 127.0.0.1", f"dir {folder}", 'save ""', "appendonly no",
                    f"logfile {folder}/log", "repl-diskless-sync yes", "repl-diskless-sync-delay 0",
                    "repl-diskless-load swapdb", "client-output-buffer-limit replica 0 0 0", "repl-backlog-size 256mb")
        self.process = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.process.stdin.write("\n".join(settings).encode())
        self.process.stdin.close()

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.terminate()
        self.process.wait(10)


class Scene:
    """The processes of one case; none of them outlives it."""

    def __init__(self, build, small):
        self.build, self.small = build, small
        self.ends = contextlib.ExitStack()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="geolru-bench-"))
        self.started = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ends.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def number(self, small, full):
        return small if self.small else full

    def node(self, name, region="here", seeds=(), listen="127.0.0.1:0", prefix=(), **flags):
        """A geolru node that joins by these nodes or addresses. `prefix`: words before its command."""
        self.started += 1
        extra = [word for seed in seeds for word in ("--seed", getattr(seed, "address", seed))]
        extra += [word for flag, value in flags.items() for word in (f"--{flag.replace('_', '-')}", str(value))]
        node = Node(self.build / "tests/bench/bench-peer", name, region, self.folder / f"{name}-{self.started}.log",
                    ["--capacity-bytes", 4 << 30, *extra] if "capacity_bytes" not in flags else extra, listen,
                    prefix=prefix)
        self.ends.callback(node.kill)
        return node

    def pair(self):
        """Two nodes of a region, linked."""
        a = self.node("a")
        b = self.node("b", seeds=[a])
        self.linked(a, 1)
        return a, b

    def linked(self, node, links):
        if not poll(lambda: node.ask("state")["links"] >= links, 30):
            raise RuntimeError(f"{node.name} has not {links} links")
        time.sleep(0.3)  # and has said all that comes with it

    def redis(self):
        server = RedisServer(self.folder / f"redis-{self.started}")
        self.started += 1
        self.ends.callback(server.end)
        client = poll(lambda: self.redis_client(server), 10)
        if not client:
            raise RuntimeError("redis-server does not start")
        return server, client

    def redis_client(self, server):
        try:
            return self.node("redis", listen="", redis=server.port)
        except Exception:  # not up yet
            return None

    def redis_pair(self):
        """(primary, replica): each a server and a client of it; the replica follows."""
        primary, replica = self.redis(), self.redis()
        self.follow(replica[1], primary[0].port)
        # It is up before it is sent anything.
        primary[1].ask("fill 1 0")
        replica[1].ask(f"await 1 {key('0', 0)} 30", 30)
        return primary, replica

    def follow(self, client, port):
        began = client.ask(f"redis REPLICAOF 127.0.0.1 {port}")["began_ns"]
        if not poll(lambda: "master_link_status:up" in client.ask("redis INFO replication")["reply"], 120, 0.005):
            raise RuntimeError("the replica does not follow")
        return began

    def proxy(self, port, delay_ms=0):
        proxy = Proxy(self.build / "tests/bench/bench-proxy", port, delay_ms)
        self.ends.callback(proxy.end)
        return proxy


def key(prefix, i):
    return f"{prefix}{i:0{16 - len(prefix)}d}"


def have_redis():
    return shutil.which("redis-server") is not None


# -- How soon -----------------------------------------------------------------------------------------------------


def see_marks(writer, reader, count, per_second):
    reader.tell(f"watch {count} m 60")
    writer.ask(f"marks {count} {per_second} m", 60)
    return reader.answer(60)


@case
def visible(scene, samples):
    """A write on one process is seen on the other."""
    count = scene.number(200, 2_000)
    subjects = {OURS: scene.pair()}
    if have_redis():
        subjects[REDIS] = [client for _, client in scene.redis_pair()]
    for subject, (writer, reader) in subjects.items():
        seen = see_marks(writer, reader, count, 500)
        for quantile in ("p50", "p99"):
            samples.add(f"visible/{quantile}", subject, seen[f"{quantile}_ns"] / 1e3)


@case
def wide(scene, samples):
    """The same with 50 ms on the way, which a process between the two adds, under 10,000 writes a second."""
    port = free_port()
    proxy = scene.proxy(port, 50)
    east = scene.node("east", "east", listen=f"127.0.0.1:{port}", advertise=proxy.address)
    west = scene.node("west", "west", [proxy.address], listen="")
    scene.linked(west, 1)
    count = scene.number(2_000, 30_000)
    before = proxy.passed()
    seen = see_marks(west, east, count, 10_000)
    samples.add("wide/p50", OURS, seen["p50_ns"] / 1e6)
    samples.add("wide/p99", OURS, seen["p99_ns"] / 1e6)
    time.sleep(0.2)
    samples.add("bytes/paced", OURS, (proxy.passed() - before) / count)
    if have_redis():  # which tells what of it is the machine's
        (server, writer), (_, reader) = scene.redis(), scene.redis()
        scene.follow(reader, scene.proxy(server.port, 50).port)
        fill(writer, reader, 1, "0")
        seen = see_marks(writer, reader, count, 10_000)
        samples.add("wide/p50", REDIS, seen["p50_ns"] / 1e6)
        samples.add("wide/p99", REDIS, seen["p99_ns"] / 1e6)


# -- How fast -----------------------------------------------------------------------------------------------------


def fill(writer, reader, count, prefix="f", within=120):
    """Seconds from the first write there to the last one here."""
    there = reader.ask("state")["entries"]
    reader.tell(f"await {there + count} {key(prefix, count - 1)} {within}")
    began = writer.ask(f"fill {count} {prefix}", within)["began_ns"]
    return (reader.answer(within)["ended_ns"] - began) / 1e9


def library_seconds(node):
    """CPU time of all threads but the one that carries out commands."""
    used = node.ask("cpu")
    return (used["process_ns"] - used["thread_ns"]) / 1e9


@case
def sustained(scene, samples):
    """Writes at full speed, and what the receiver's threads need for each."""
    count = scene.number(20_000, 1_000_000)
    a, b = scene.pair()
    before = library_seconds(b)
    samples.add("sustained", OURS, count / fill(a, b, count) / 1e6)
    samples.add("applied", OURS, count / (library_seconds(b) - before) / 1e6)
    if have_redis():
        (_, writer), (server, reader) = scene.redis_pair()
        before = server.cpu_seconds()
        samples.add("sustained", REDIS, count / fill(writer, reader, count) / 1e6)
        samples.add("applied", REDIS, count / max(0.01, server.cpu_seconds() - before) / 1e6)


@case
def reads(scene, samples):
    """Gets on the receiver, while nothing comes and while as much comes as can."""
    count, more, seconds = scene.number((20_000, 50_000, 0.05), (1_000_000, 1_500_000, 0.6))
    a, b = scene.pair()
    fill(a, b, count, "r")
    idle = b.ask(f"reads {count} r {seconds}")["cpu_ns_per_get"]
    b.tell(f"reads {count} r {seconds}")
    a.ask(f"fill {more} f", 120)
    busy = b.answer(60)["cpu_ns_per_get"]
    samples.add("reads/idle", OURS, idle)
    samples.add("reads/receiving", OURS, busy)


@case
def catch_up(scene, samples):
    """From the start of a node, or of following a primary, until it holds everything."""
    count = scene.number(20_000, 1_000_000)
    a = scene.node("a")
    a.ask(f"fill {count} f", 120)
    began = time.monotonic_ns()
    b = scene.node("b", seeds=[a])
    samples.add("catch_up", OURS, (b.ask(f"await {count} {key('f', count - 1)} 120", 120)["ended_ns"] - began) / 1e6)
    if have_redis():
        (server, writer), (_, reader) = scene.redis(), scene.redis()
        writer.ask(f"fill {count} f", 120)
        began = scene.follow(reader, server.port)
        ended = reader.ask(f"await {count} {key('f', count - 1)} 120", 120)["ended_ns"]
        samples.add("catch_up", REDIS, (ended - began) / 1e6)


# -- What it costs ------------------------------------------------------------------------------------------------


@case
def wire(scene, samples):
    """Bytes, both ways, for each entry written; and for each that a new node is told."""
    count = scene.number(5_000, 200_000)
    a_port = free_port()
    to_a = scene.proxy(a_port)
    a = scene.node("a", listen=f"127.0.0.1:{a_port}", advertise=to_a.address)
    b = scene.node("b", seeds=[to_a.address], listen="")
    scene.linked(a, 1)
    before = to_a.passed()
    fill(a, b, count)
    samples.add("bytes/stream", OURS, (to_a.passed() - before) / count)
    b.kill()
    time.sleep(0.2)
    before = to_a.passed()
    c = scene.node("c", seeds=[to_a.address], listen="")
    c.ask(f"await {count} {key('f', count - 1)} 60", 60)
    samples.add("bytes/catch_up", OURS, (to_a.passed() - before) / count)
    if have_redis():
        (server, writer), (_, reader) = scene.redis(), scene.redis()
        proxy = scene.proxy(server.port)
        scene.follow(reader, proxy.port)
        fill(writer, reader, 1, "0")
        before = proxy.passed()
        fill(writer, reader, count)
        samples.add("bytes/stream", REDIS, (proxy.passed() - before) / count)


@case
def links(scene, samples):
    """What a set costs the caller on a node with one, ten and a hundred others linked, each of which gets it."""
    bursts = scene.number(20, 200)
    for number in scene.number((1, 4), LINKS):
        hub = scene.node("hub")
        sinks = scene.node("sink", seeds=[hub], listen="", copies=number, capacity_bytes=32 << 20)
        scene.linked(hub, number)
        taken = hub.ask(f"bursts {bursts} 20 100", 60)
        samples.add(f"set_with_links/{number}", OURS, taken["p50_ns"])
        sinks.kill()
        hub.kill()


@case
def idle(scene, samples):
    """A cluster that has nothing to say."""
    regions, each, seconds = scene.number((2, 2, 1), (4, 5, 20))
    nodes = []
    for i in range(regions * each):
        nodes.append(scene.node(f"n{i}", f"r{i % regions}", nodes[:1], capacity_bytes=64 << 20))
    for node in nodes:
        scene.linked(node, each - 1)
    time.sleep(scene.number(1, 10))
    def used():
        return [(library_seconds(node), node.ask("state")["bytes_moved"]) for node in nodes]
    began, before = time.monotonic(), used()
    time.sleep(seconds)
    took, after = time.monotonic() - began, used()
    samples.add("idle/cpu", OURS, sum(a[0] - b[0] for a, b in zip(after, before)) / len(nodes) / took * 100)
    samples.add("idle/bytes", OURS, sum(a[1] - b[1] for a, b in zip(after, before)) / len(nodes) / took / 1e3)


class Replication:
    """What runs, given how large; `wanted` tells whether a case is asked for."""

    def __init__(self, build, smoke, wanted):
        self.build, self.smoke = build, smoke
        self.cases = [one for one in CASES if wanted(one.__name__)]

    def jobs(self):
        """(what it is called, what to call with the samples), in the order to do them."""
        for one in self.cases:
            yield f"replication, {one.__name__}", lambda samples, one=one: self.run(one, samples)

    def run(self, one, samples):
        with Scene(self.build, self.smoke) as scene:
            one(scene, samples)


# -- The table ----------------------------------------------------------------------------------------------------


def beside_redis(samples, title, unit, measure, text, bound, at_least=False, inverse=False):
    """One row whose aim is a ratio to Redis, in the direction that the aim is said in."""
    row = Row(title, unit, samples.of(measure, OURS))
    if samples.has(measure, REDIS):
        row.peer, row.peer_value = REDIS, samples.median(measure, REDIS)
        of, to = (REDIS, OURS) if inverse else (OURS, REDIS)
        row.aims = [Aim(text, samples.ratio(measure, of, measure, to), bound, at_least)]
    return row


def plain(samples, title, unit, measure, aim=None):
    row = Row(title, unit, samples.of(measure, OURS))
    if samples.has(measure, REDIS):
        row.peer, row.peer_value = REDIS, samples.median(measure, REDIS)
    if aim:
        text, bound, at_least = aim
        row.aims = [Aim(text, row.median, bound, at_least, unit)]
    return row


def table(samples):
    """(measure, row maker) in the order of the table."""
    yield "visible/p50", lambda m: beside_redis(samples, "write here, visible there, p50", "µs", m, "≤ redis", 1)
    yield "visible/p99", lambda m: beside_redis(samples, "write here, visible there, p99", "µs", m, "≤ redis", 1)
    yield "sustained", lambda m: beside_redis(samples, "writes replicated, sustained", "M/s", m, "≥ 1.5 × redis", 1.5,
                                              at_least=True)
    yield "applied", lambda m: plain(samples, "received entries applied, per core", "M/s", m, ("≥ 2 M/s", 2, True))
    yield "reads/receiving", lambda m: Row(
        "a receiver's get meanwhile, thread CPU time", "ns", samples.of(m, OURS), peer="idle",
        peer_value=samples.median("reads/idle", OURS),
        aims=[Aim("≤ 1.3 × idle", samples.ratio(m, OURS, "reads/idle", OURS), 1.3)])
    yield "catch_up", lambda m: beside_redis(samples, "a new node catches up with everything", "ms", m,
                                             "≥ 3 × faster than redis", 3, at_least=True, inverse=True)
    yield "wide/p50", lambda m: plain(samples, "50 ms away, 10,000 writes/s, p50", "ms", m)
    yield "wide/p99", lambda m: plain(samples, "50 ms away, 10,000 writes/s, p99", "ms", m, ("≤ 52 ms", 52, False))
    yield "bytes/stream", lambda m: plain(samples, "bytes on the wire per entry of 16 + 100, at full speed", "B", m,
                                          ("≤ 140 B", 140, False))
    yield "bytes/catch_up", lambda m: plain(samples, "the same for a new node", "B", m, ("≤ 140 B", 140, False))
    yield "bytes/paced", lambda m: plain(samples, "the same at 10,000 writes/s", "B", m)
    for number in LINKS:
        yield f"set_with_links/{number}", lambda m, number=number: Row(
            f"set, {number} link{'s' if number > 1 else ''}, thread CPU time", "ns", samples.of(m, OURS),
            aims=[Aim("≤ 1.2 × one link", samples.ratio(m, OURS, "set_with_links/1", OURS), 1.2)] if number > 1 else [])
    yield "idle/cpu", lambda m: plain(samples, "idle, 20 nodes in 4 regions, per node", "% of a core", m,
                                      ("< 1 % of a core", 1, False))
    yield "idle/bytes", lambda m: plain(samples, "the same, sent and received", "kB/s", m, ("< 4 kB/s", 4, False))


def sections(samples):
    return {"Replication": [make(measure) for measure, make in table(samples) if samples.has(measure, OURS)]}
