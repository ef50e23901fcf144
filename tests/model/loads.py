#!/usr/bin/env python3
"""tests/model/loads.py [HISTORIES]: random histories of one key show what each rule of loads is for.

A few nodes with clocks up to DRIFT apart write and load one key; records travel by FIFO links that take their time.
For every set of rules it prints how many histories break which promise, and the first seed that does:

  hides   a load wins over a write that began after the load did, if only for a while
  safe    it does so though it competes as of its wall time, and not as of a version that was held
  long    such a load is served later than 3 * DRIFT after that write, anywhere, in true time
  known   a load is stored though such a write had come to its node before the load ended

Status 1 unless all rules together keep `safe`, `long` and `known`, and no rule can be left out.
"""
import random
import sys

DRIFT = 10           # units of true time; walls are that far apart at most
UNIT = 64            # hybrid times to a unit of wall time
MAX_TTL = 1_000 * DRIFT
ALL = ("wall", "void", "expiry", "parity")


class Record:
    def __init__(self, as_of, stamp, origin, expires, began, is_load):
        self.version, self.stamp, self.expires = (as_of, origin), stamp, expires
        self.began, self.is_load = began, is_load    # `began` in true time: (time, step)
        self.is_safe = False                         # a load: no later write is stamped below it


class Load:
    def __init__(self, node, began, held, as_of, ends_by):
        self.node, self.began, self.held, self.as_of, self.ends_by = node, began, held, as_of, ends_by
        self.void, self.came, self.is_safe = False, [], False


class Node:
    def __init__(self, number, offset):
        self.number, self.offset, self.clock, self.held = number, offset, 0, None

    def wall(self, time):
        return time + self.offset

    def tick(self, time, rules):
        self.clock = max(self.clock + 1, self.wall(time) * UNIT)
        if "parity" in rules:
            self.clock += self.clock % 2             # the odd times are those that loads compete as of
        return self.clock

    def now(self, time):
        return max(self.clock // UNIT, self.wall(time))


class History:
    def __init__(self, seed, rules):
        self.random, self.rules, self.broken = random.Random(seed), rules, set()
        apart = self.random.choice([0, 2, DRIFT])
        self.nodes = [Node(i, self.random.randint(0, apart)) for i in range(self.random.choice([2, 3, 3, 4]))]
        self.links = {(a, b): [] for a in self.nodes for b in self.nodes if a is not b}
        self.time, self.step, self.records, self.loads = 100, 0, [], []

    def run(self):
        for self.step in range(self.random.choice([5, 8, 12])):
            self.time += self.random.choice([0, 0, 1, 1, 2, 5])
            node, chance = self.random.choice(self.nodes), self.random.random()
            if chance < 0.35:
                self.write(node)
            elif chance < 0.6:
                self.begin(node)
            elif chance < 0.85 and self.loads:
                self.end(self.loads.pop(self.random.randrange(len(self.loads))))
            self.deliver()
            self.look()
        for _ in range(8 * DRIFT):
            self.time += 1
            self.deliver()
            self.look()
        return self.broken

    def write(self, node):
        stamp = node.tick(self.time, self.rules)
        self.make(node, Record(stamp, stamp, node.number, stamp // UNIT + MAX_TTL, (self.time, self.step), False))

    def begin(self, node):
        wall, held = node.wall(self.time), node.held
        known = held.version[0] if held else 0
        ends_by = None
        if "wall" in self.rules:
            as_of = max(known, (wall - DRIFT - 1) * UNIT) + 1
            if "parity" in self.rules:
                as_of |= 1
            is_safe = as_of < (wall - DRIFT) * UNIT
            if "expiry" in self.rules and not is_safe:
                ends_by = known // UNIT + DRIFT
        else:
            as_of, is_safe = node.tick(self.time, self.rules), False  # by its own clock
        node.clock = max(node.clock, as_of)
        self.loads.append(Load(node, (self.time, self.step), held, as_of, ends_by))
        self.loads[-1].is_safe = is_safe

    def end(self, load):
        node = load.node
        lost = node.held and node.held.version >= (load.as_of, node.number)
        if load.void or lost:
            return
        stamp = node.tick(self.time, self.rules)
        expires = min(stamp // UNIT + MAX_TTL, load.ends_by or stamp // UNIT + MAX_TTL)
        record = Record(load.as_of, stamp, node.number, expires, load.began, True)
        record.is_safe = load.is_safe
        if any(write.began > load.began and write.version < record.version for write in load.came):
            self.broken.add("known")
        self.make(node, record)

    def make(self, node, record):
        self.records.append(record)
        self.take(node, record)
        for (a, b), queue in self.links.items():
            if a is node:
                queue.append((self.time + self.random.choice([0, 1, 3, 8, 20]), record))

    def take(self, node, record):
        wins = node.held is None or record.version > node.held.version
        for load in self.loads:
            if load.node is node and record is not load.held:
                load.void |= wins or "void" in self.rules
                load.came += [] if record.is_load else [record]
        if wins:
            node.held = record
        node.clock = max(node.clock, record.stamp)

    def deliver(self):
        for (_, node), queue in self.links.items():
            while queue and queue[0][0] <= self.time:
                self.take(node, queue.pop(0)[1])

    def look(self):
        for node in self.nodes:
            held = node.held
            if not held or not held.is_load or held.expires <= node.now(self.time):
                continue
            hidden = [r.began[0] for r in self.records
                      if not r.is_load and r.began > held.began and r.version < held.version]
            self.broken |= {"hides"} if hidden else set()
            self.broken |= {"safe"} if hidden and held.is_safe else set()
            self.broken |= {"long"} if hidden and self.time > min(hidden) + 3 * DRIFT else set()


def count(rules, histories):
    """How many histories break which promise; and the first of each."""
    counts, first = dict.fromkeys(("hides", "safe", "long", "known"), 0), {}
    for seed in range(histories):
        for promise in History(seed, rules).run():
            counts[promise] += 1
            first.setdefault(promise, seed)
    return counts, first


def main():
    histories = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with_all, _ = count(ALL, histories)
    print(f"{histories} histories, all rules: {with_all}")
    failed = bool(with_all["safe"] or with_all["long"] or with_all["known"])
    # What is broken without a rule. By parity a load loses to writes that knew what it knew: it hides less.
    for rule, promise in (("wall", "long"), ("void", "known"), ("expiry", "long"), ("parity", "hides")):
        counts, first = count([r for r in ALL if r != rule], histories)
        print(f"without {rule}: {counts}, first seeds {first}")
        failed |= counts[promise] <= with_all[promise]
    return failed


sys.exit(main())
