"""Two nodes in network namespaces of their own, with a long and lossy way between them: delay by a netfilter queue and a
program that holds packets, loss by chance in iptables. Needs root and both; where they are missing, the case is skipped
by name."""
import contextlib
import os
import pathlib
import subprocess
import time

from replication import OURS, Scene, case, fill, key, see_marks  # noqa: F401
from rows import Row

ONE_WAY_MS = 50
LOSSES = (0, 0.5, 2)  # %, of the packets of either direction
BY = {"cubic": "CUBIC", "bbr": "BBR"}
ADDRESSES = ("10.231.7.1", "10.231.7.2")
PORT = 7400


class Unable(Exception):
    """The way cannot be made here."""


def call(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        raise Unable(f"{' '.join(map(str, command[:6]))} …: {done.stdout.strip().splitlines()[-1:] or done.returncode}")
    return done.stdout


class Way:
    """Two namespaces, named after this process, and the way between them. None of it outlives it."""

    def __init__(self, build, loss):
        self.build, self.loss = build, loss
        self.names = [f"geolru-{os.getpid()}-{side}" for side in "ab"]
        self.ends = contextlib.ExitStack()

    def __enter__(self):
        try:
            self.make()
        except FileNotFoundError as problem:
            self.ends.close()
            raise Unable(f"{problem.filename} is not installed") from None
        except BaseException:
            self.ends.close()
            raise
        return self

    def __exit__(self, *_):
        self.ends.close()

    def make(self):
        for name in self.names:
            call("ip", "netns", "add", name)
            self.ends.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
        a, b = self.names
        call("ip", "link", "add", "veth", "netns", a, "type", "veth", "peer", "name", "veth", "netns", b)
        for name, address in zip(self.names, ADDRESSES):
            call("ip", "-n", name, "address", "add", f"{address}/24", "dev", "veth")
            for device in ("lo", "veth"):
                call("ip", "-n", name, "link", "set", device, "up")
            # Queued on the way in, since a sender goes on only when what it sent has left its namespace. The queue takes
            # large segments apart, so that packets are lost one by one behind it.
            self.inside(name, "iptables", "-t", "mangle", "-A", "PREROUTING", "-i", "veth", "-j", "NFQUEUE",
                        "--queue-num", 7)
            if self.loss:
                self.inside(name, "iptables", "-A", "INPUT", "-i", "veth", "-m", "statistic", "--mode", "random",
                            "--probability", self.loss / 100, "-j", "DROP")
            self.hold(name)

    def inside(self, name, *command):
        return call("ip", "netns", "exec", name, *command)

    def hold(self, name):
        binary = self.build / "tests/bench/bench-delay"
        if not binary.exists():
            raise Unable("bench-delay was not built: libnetfilter-queue-dev is missing")
        process = subprocess.Popen(["nice", "-n", "-15", "ip", "netns", "exec", name, binary, "7", str(ONE_WAY_MS * 1000)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        def end():
            process.stdin.close()
            process.wait(5)
            process.stdout.close()
        self.ends.callback(end)
        if (said := process.stdout.readline().strip()) != "ready":
            raise Unable(said)


def measure(scene, samples, way, by):
    """20 MB at once, and a few small writes a second."""
    megabytes, count, per_second = scene.number((1, 40, 40), (20, 1_000, 100))
    entries = megabytes * 1_000_000 // 116
    forced = [f"LD_PRELOAD={scene.build / 'tests/bench/libbench-cubic.so'}"] if by == "cubic" else []
    def node(name, side, **how):
        prefix = ["ip", "netns", "exec", way.names[side], "env", *forced]
        return scene.node(name, name, prefix=prefix, **how)
    east = node("east", 0, listen=f"{ADDRESSES[0]}:{PORT}")
    west = node("west", 1, seeds=[f"{ADDRESSES[0]}:{PORT}"], listen="")
    scene.linked(west, 1)
    time.sleep(scene.number(1, 3))
    used = west.ask("state")["congestion"]
    if used != [by]:
        raise Unable(f"the system sends by {used}")
    seen = see_marks(west, east, count, per_second)
    for quantile in ("p50", "p99"):
        samples.add(f"far/{way.loss}/{by}/{quantile}", OURS, seen[f"{quantile}_ns"] / 1e6)
    samples.add(f"far/{way.loss}/{by}/20MB", OURS, fill(west, east, entries, within=600))
    east.kill()
    west.kill()


@case
def far(scene, samples):
    """50 ms one way, with and without loss, by CUBIC and by BBR."""
    for loss in LOSSES:
        for by in BY:
            try:
                with Way(scene.build, loss) as way:
                    measure(scene, samples, way, by)
            except Unable as problem:
                print(f"skipped: far, {loss} % loss, {BY[by]}: {problem}", flush=True)


def table(samples):
    for loss in LOSSES:
        for by, name in BY.items():
            where = f"{ONE_WAY_MS} ms away, {loss} % loss, {name}"
            for what, title, unit in (("20MB", "20 MB are there after", "s"), ("p50", "small writes, p50", "ms"),
                                      ("p99", "small writes, p99", "ms")):
                measure_name = f"far/{loss}/{by}/{what}"
                if samples.has(measure_name, OURS):
                    yield Row(f"{where}: {title}", unit, samples.of(measure_name, OURS))


def sections(samples):
    return {"A long and lossy way": list(table(samples))}
