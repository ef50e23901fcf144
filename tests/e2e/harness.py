"""What the end-to-end cases share: starting nodes, waiting with a deadline, raw sockets and a proxy that can stall."""
import dataclasses
import os
import pathlib
import socket
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "demo"))

import processes  # noqa: E402  (of demo/)
from processes import NodeError, closed_up_to, joined, poll  # noqa: E402,F401

# AddressSanitizer keeps what was freed, by default up to 256 MB: too much for the cases that measure memory.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8")

TRACE = TOP / "demo/data/dns-wrccdc.txt.zst"
CASES = []


class Failed(Exception):
    """What a case claims does not hold."""


class Skipped(Exception):
    """This machine cannot show it."""


@dataclasses.dataclass
class Case:
    claim: str
    run: object
    big: bool = False
    alone: bool = False


def case(claim, **how):
    """Registers a function as a test case. `alone`: it measures, so nothing else runs at the same time."""
    def register(function):
        CASES.append(Case(claim, function, **how))
        return function
    return register


def expect(condition, message):
    if not condition:
        raise Failed(message)


def eventually(what, message, within=8):
    """Waits for what() to be true; returns it."""
    try:
        value = poll(what, within)
    except NodeError as problem:
        raise Failed(f"{message}: {problem}") from problem
    expect(value, f"not within {within} s: {message}")
    return value


class World(processes.Nodes):
    """One case's nodes. Names may repeat; logs do not."""

    def __init__(self, build, log_dir, seed):
        super().__init__(pathlib.Path(build) / "demo/geolru-node", log_dir)
        self.seed = seed
        self.notes = []

    def node(self, name, region="here", seeds=(), flags=(), **how):
        """A node on a free port, with other nodes or addresses as its seeds."""
        addresses = [seed.address if isinstance(seed, processes.Node) else seed for seed in seeds]
        extra = [flag for address in addresses for flag in ("--seed", address)]
        log = self.log_dir / f"{name}-{len(self.nodes)}.log"
        node = processes.Node(self.binary, name, region, log, ["--log-level", "info", *extra, *flags], **how)
        self.nodes.append(node)
        return node

    def cluster(self, *places, flags=()):
        """One node for each of `places` ("name@region"), joined."""
        nodes = []
        for place in places:
            name, _, region = place.partition("@")
            nodes.append(self.node(name, region or "here", seeds=nodes, flags=flags))
        eventually(lambda: joined(nodes), f"{', '.join(places)} find each other")
        return nodes

    def note(self, text):
        """Told beside the verdict."""
        self.notes.append(text)


def let_clocks_pass():
    """Between writes of nodes that have not heard of each other's: stamps order them by the millisecond."""
    time.sleep(0.005)


def holds(node, key, value):
    return node.ask(f"get {key}").get("value") == value


def lacks(node, key):
    return not node.ask(f"get {key}")["found"]


def logged(node, *words):
    """Whether one line of the node's log holds all of these words."""
    return any(all(word in line for word in words) for line in node.log_text().splitlines())


def free_port(host="127.0.0.1"):
    with socket.create_server((host, 0)) as server:
        return server.getsockname()[1]


class Proxy:
    """Forwards one TCP port to another and counts the bytes; while stalled it reads nothing from the target."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.flowing = threading.Event()
        self.flowing.set()
        self.passed = 0  # bytes, both ways
        self.sockets = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.flowing.set()
        for sock in (self.server, *self.sockets):
            # Wakes a thread that is blocked in it, which closing alone does not.
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def accept(self):
        try:
            while True:
                client = self.server.accept()[0]
                target = socket.create_connection(("127.0.0.1", self.target_port))
                self.sockets += [client, target]
                threading.Thread(target=self.forward, args=(client, target, None), daemon=True).start()
                threading.Thread(target=self.forward, args=(target, client, self.flowing), daemon=True).start()
        except OSError:
            pass

    def forward(self, source, sink, flowing):
        try:
            while True:
                if flowing:
                    flowing.wait()
                data = source.recv(1 << 16)
                if not data:
                    break
                self.passed += len(data)
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
