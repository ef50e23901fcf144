"""Peers that are broken, silent, stuck or hostile, and nodes that die."""
import pathlib
import random
import socket
import time

from harness import (TRACE, Proxy, case, closed_up_to, eventually, expect, holds, joined, poll)

import compare
import processes


def connect(node):
    host, _, port = node.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def is_hung_up(sock, within):
    """Whether the other side ends the connection in time; what it says meanwhile does not matter."""
    sock.settimeout(within)
    try:
        while sock.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def expect_replication(nodes, key):
    nodes[0].ask(f"set {key} fine")
    eventually(lambda: all(holds(node, key, "fine") for node in nodes), "the others still replicate")


@case("hostile: garbage on the port is hung up on, and the others do not notice")
def garbage(world):
    nodes = world.cluster("a@eu", "b@us")
    chance = random.Random(world.seed)
    samples = [chance.randbytes(5000), b"GET / HTTP/1.1\r\nHost: cache\r\n\r\n" * 10, b"\0" * 4096, b"\xff" * 4096,
               bytes([8, 0, 0, 0, 1, 2, 3, 4]) + b"\0" * 8]
    for number, sample in enumerate(samples):
        with connect(nodes[0]) as sock:
            sock.sendall(sample)
            expect(is_hung_up(sock, within=8), f"sample {number} is tolerated")
    expect_replication(nodes, "after-garbage")
    expect(nodes[0].ask("stats")["rejected_frames"] >= 1, "rejected frames are counted")
    expect(joined(nodes), "the members are the same")


@case("hostile: a peer that connects and never speaks is hung up on after the connect timeout")
def silent_peer(world):
    nodes = world.cluster("a@eu", "b@us", flags=["--connect-timeout", "500ms"])
    with connect(nodes[0]) as sock:
        began = time.monotonic()
        expect(is_hung_up(sock, within=5), "it is kept")
        took = time.monotonic() - began
    expect(took > 0.3, f"it was hung up on after {took:.2f} s already")
    expect_replication(nodes, "after-silence")


@case("hostile: three hundred silent peers at once keep nobody out for longer than the connect timeout")
def many_silent_peers(world):
    a = world.node("a", "eu", flags=["--connect-timeout", "1s"])
    crowd = [connect(a) for _ in range(300)]
    try:
        b = world.node("b", "us", seeds=[a], flags=["--connect-timeout", "1s"])
        eventually(lambda: joined([a, b]), "a node joins among them", within=10)
        expect_replication([a, b], "in-a-crowd")
    finally:
        for sock in crowd:
            sock.close()


@case("hostile: a peer that reads nothing costs its sender little memory, and gets everything when it reads again")
def stuck_reader(world):
    a = world.node("a", "eu", flags=["--capacity-bytes", "64MiB"])
    with Proxy(a.port) as proxy:
        stuck = world.node("stuck", "ap", seeds=[proxy.address], listen=None)
        eventually(lambda: joined([a, stuck]), "the node behind the proxy joins")
        c = world.node("c", "us", seeds=[a])
        proxy.flowing.clear()
        a.ask("fill 20000 1000")
        full = a.ask("memory")["rss_bytes"]
        for _ in range(5):
            a.ask("fill 20000 1000")
        eventually(lambda: c.ask("count 20000")["here"] == 20000, "the others are served meanwhile")
        grown = (a.ask("memory")["rss_bytes"] - full) / 2**20
        world.note(f"overwriting 100 MB while a peer is stuck took {grown:.1f} MiB more")
        expect(grown < 24, f"overwriting 100 MB while a peer is stuck took {grown:.0f} MiB more")
        a.ask("set last write")
        proxy.flowing.set()
        eventually(lambda: holds(stuck, "last", "write") and stuck.ask("count 20000")["here"] == 20000,
                   "the stuck node gets everything", within=15)


@case("hostile: a connection that is cut in the middle is made again and loses nothing")
def broken_connections(world):
    a = world.node("a", "eu")
    with Proxy(a.port) as proxy:
        b = world.node("b", "us", seeds=[proxy.address], listen=None)
        eventually(lambda: joined([a, b]), "they find each other")
        for n in range(3):
            a.ask(f"fill 3000 500 round{n}-")
            for sock in proxy.sockets:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            b.ask(f"set from-b-{n} kept")
        for n in range(3):
            eventually(lambda: b.ask(f"count 3000 round{n}-")["here"] == 3000, f"round {n} arrives", within=15)
            eventually(lambda: holds(a, f"from-b-{n}", "kept"), f"what b wrote in round {n} arrives")


def killed_during_replay(world, seed):
    """Four nodes in two regions replay a trace; one is killed at a random moment."""
    chance = random.Random(seed)
    nodes = world.cluster("a@eu", "b@us", "c@eu", "d@us")
    victim = chance.choice(nodes)
    moment = time.monotonic() + chance.uniform(0.2, 2.8)
    origin = victim.ask("stats")["origin"]
    processes.ask_each({node: f"replay {TRACE} share={i}/4 factor=420" for i, node in enumerate(nodes)})
    poll(lambda: time.monotonic() >= moment, 5, every=0.001)
    victim.kill()
    survivors = [node for node in nodes if node is not victim]
    received = list(dump(world, survivors, "received").values())
    processes.ask_each({node: "replay-wait" for node in survivors})
    wall_ms = time.time() * 1000
    eventually(lambda: closed_up_to(survivors, wall_ms), f"seed {seed}: the survivors hold all of each other")

    def problems():
        dumps = dump(world, survivors, "final")
        count, lost = compare.lost_writes(received, dumps, origin)
        return count, lost, compare.compare(dumps, time.time() * 1000).disagreements

    # What the victim told only some is spread by gossip, once a second to a random peer.
    poll(lambda: not any(problems()[1:]), within=10, every=0.2)
    count, lost, disagreements = problems()
    expect(not lost, f"seed {seed}: of {count} writes of {victim.name} that others had received, lost: {lost[:3]}")
    expect(not disagreements, f"seed {seed}: {disagreements[:3]}")
    world.note(f"seed {seed}: {victim.name} killed, {count} of its writes received by others, none lost")


def dump(world, nodes, what):
    paths = {node: pathlib.Path(world.log_dir) / f"{node.name}.{what}.tsv" for node in nodes}
    processes.ask_each({node: f"dump {path}" for node, path in paths.items()})
    return {node.name: compare.read_dump(path) for node, path in paths.items()}


def register_kills():
    for n in range(3):
        @case(f"kill -9: at a random moment of a replay nothing that others had received is lost ({n + 1})")
        def kill(world, n=n):
            killed_during_replay(world, world.seed + n)


register_kills()
