#!/usr/bin/env python3
"""tests/model/clocks.py [SEEDS]: an executable model of how a node keeps its wall time, and of what that is for.

A few nodes write one key each to all others, with random delays, while the systems' clocks of one, of some or of all of
them step away and back. Each rule is taken out in turn. Two things may break:

  true time   a write made long after every clock is right again loses to a write made before
  reach       such a write does not get to some node within a few drifts

Times are milliseconds. The rules are those of gossip/wall_time.hpp and gossip/skew_watch.cpp: a step of the system's clock is followed when it has lasted, or when the median of the peers agrees with it; a node whose hybrid clock is far
above its wall time begins from nothing; a record is admitted up to one drift ahead, and waits at its sender until then.
Status 1 if the rules as they are break, or if taking any one out breaks nothing.
"""
import random
import sys

DRIFT = 500
NEAR = DRIFT // 2
STEP_SETTLES = 10_000
TICK = 100


class Node:
    def __init__(self, name, now):
        self.name, self.error, self.offset = name, 0, 0   # of the system's clock and of the wall time, from the truth
        self.step = None                                  # (offset of the system's clock, since)
        self.life, self.hybrid, self.held = 0, now, None
        self.waiting = []                                 # (peer, write): held back


def median(values):
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]


def review(node, nodes, now, rules):
    """Moves the offset of a node's wall time after its system's clock."""
    ahead = node.error - node.offset
    if not rules["own wall time"]:
        node.offset = node.error
        return
    if abs(ahead) <= NEAR:
        node.step = None
        node.offset += max(-TICK // 10, min(ahead, NEAR * TICK // STEP_SETTLES))
        return
    if node.step is None or abs(node.error - node.step[0]) > NEAR:
        node.step = (node.error, now)
    low, high = median([other.offset - node.offset for other in nodes if other is not node])
    agrees = abs(low - ahead) <= NEAR and abs(high - ahead) <= NEAR
    holds = len(nodes) > 2 and max(abs(low), abs(high)) <= NEAR
    if agrees or (not holds and now - node.step[1] >= STEP_SETTLES):
        node.step, node.offset = None, node.error


def check(node, now, rules):
    """A node that runs far ahead of its own wall time begins from nothing."""
    if rules["self-check"] and node.hybrid > now + node.offset + 2 * DRIFT:
        node.life += 1
        node.hybrid, node.held, node.waiting = now + node.offset, None, []


def run(seed, rules):
    """What broke, or None."""
    r = random.Random(seed)
    now = 1_000_000
    nodes = [Node(i, now) for i in range(r.choice([2, 3, 3, 4]))]
    by, lasts = r.choice([-1, 1]) * r.choice([600, 3_000, 15_000, 60_000]), r.choice([100, 2_000, 9_000, 14_000, 40_000])
    hit = r.sample(nodes, r.choice([1, 1, len(nodes) - 1, len(nodes)]))
    begins = now + 2_000
    ends = begins + lasts
    flying, right_since, serial = [], now, 0
    end = ends + 3 * STEP_SETTLES
    late = []                                             # writes that have to reach everybody

    def take(node, write):
        stamp = write[0]
        if stamp > now + node.offset + DRIFT:
            return False
        node.hybrid = max(node.hybrid, stamp)
        node.held = write if node.held is None else max(node.held, write)
        return True

    while now < end:
        now += TICK
        for node in nodes:
            node.error = by if node in hit and begins <= now < ends else 0
            review(node, nodes, now, rules)
            check(node, now, rules)
        if any(abs(node.offset) > NEAR for node in nodes):
            right_since = now
        if r.random() < .3 and now < end - 6 * DRIFT:
            node = r.choice(nodes)
            node.hybrid = max(node.hybrid + 1, now + node.offset)
            serial += 1
            write = (node.hybrid, node.name, node.life, serial, now)
            if now - right_since > 3 * DRIFT and node.held and node.held > write and node.held[4] < now - 3 * DRIFT:
                return "true time"
            if now - right_since > 3 * DRIFT:
                late.append(write)
            node.held = write if node.held is None else max(node.held, write)
            flying += [(now + r.choice([0, 100, 300]), peer, node, write) for peer in nodes if peer is not node]
        for flight in [f for f in flying if f[0] <= now]:
            flying.remove(flight)
            _, peer, sender, write = flight
            if write[2] == sender.life and not take(peer, write):
                sender.waiting.append((peer, write))
        for node in nodes:
            node.waiting = [(peer, write) for peer, write in node.waiting if not take(peer, write)]
    for node in nodes:
        if late and (node.held is None or node.held[:4] < max(late)[:4]):
            return "reach"
        if late and node.held[4] < max(late)[4] - 3 * DRIFT:
            return "true time"
    return None


def main(seeds):
    everything = {"own wall time": True, "self-check": True}
    failed = False
    for without in (None, "own wall time", "self-check", "both"):
        rules = {rule: rule != without and without != "both" for rule in everything}
        broken = {}
        for seed in range(seeds):
            if what := run(seed, rules):
                broken.setdefault(what, []).append(seed)
        said = ", ".join(f"{what}: {len(found)} (first seed {found[0]})" for what, found in broken.items()) or "nothing"
        print(f"seeds 0..{seeds - 1}, without {without or 'nothing'}: broken {said}")
        # The wall time alone spares a node its writes; without the self-check a step that was followed is for good.
        failed |= bool(broken) if without in (None, "own wall time") else not broken
    return failed


sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
