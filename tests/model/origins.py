#!/usr/bin/env python3
"""tests/model/origins.py [SEEDS]: rows of origins that go early, since a table is full, cost a catch-up or a resync.

A few nodes write, evict, forget stubs, catch up and resync, over cuts; values compete by stamp. At any moment a node may
drop its row of another origin (never its own): how far it has closed it ("closed"), or its log ("log"): all slots of that origin go, and
their highest stamp becomes a floor of the common row "others". Nobody ever closes that row but by a resync.

After every step no node serves a version older than one that it held before, nor one that a write below its closed
stamp replaced; after healing all live values are the newest. Each rule, left out, breaks seeds:

  others   a log that is dropped leaves its floor in the common row
  doubt    what a sender has not closed as far as its floors confirms nothing in a resync, and travels as a stub
"""
import random
import sys

OTHERS = -1


class Node:
    def __init__(self, name):
        self.name, self.clock = name, 0
        self.slots, self.closed, self.floor, self.held = {}, {name: 0}, {}, {}  # key: [stamp, origin, is_live]

    def put(self, key, stamp, origin, live):
        known = self.slots.get(key)
        if known is None or (known[0], known[1]) < (stamp, origin):
            self.slots[key] = [stamp, origin, live]
        self.held[key] = max(self.held.get(key, (0, 0)), (stamp, origin))
        self.clock = max(self.clock, stamp)

    def raise_floor(self, origin, stamp):
        self.floor[origin] = max(self.floor.get(origin, 0), stamp)

    def danger(self, peer):
        return max((f for o, f in self.floor.items() if f > peer.closed.get(o, 0)), default=0)

    def drop_log(self, origin, rules):
        gone = [k for k, slot in self.slots.items() if slot[1] == origin]
        highest = max([self.slots[k][0] for k in gone] + [self.floor.pop(origin, 0)], default=0)
        for key in gone:
            del self.slots[key]
        if "others" in rules and highest:
            self.raise_floor(OTHERS, highest)

    def close_up_to(self, other):
        for o, c in other.items():
            self.closed[o] = max(self.closed.get(o, 0), c)
        self.clock = max([self.clock, *other.values()])


def catch_up(x, y):
    """x sends y what y lacks; False if only a resync could help."""
    if x.danger(y):
        return False
    doubtful = y.danger(x)
    for key, (stamp, origin, live) in list(x.slots.items()):
        if stamp > y.closed.get(origin, 0):
            y.put(key, stamp, origin, live and stamp > doubtful)
    y.close_up_to(x.closed)
    return True


def resync(x, y, rules):
    up_to = x.danger(y)
    if not up_to:
        return
    own = max((f for o, f in x.floor.items() if f > x.closed.get(o, 0)), default=0) if "doubt" in rules else 0
    for key, slot in y.slots.items():
        theirs = x.slots.get(key)
        is_confirmed = theirs and theirs[2] and theirs[:2] == slot[:2] and theirs[0] > own
        if slot[0] <= up_to and not is_confirmed:
            slot[2] = False
    doubtful = y.danger(x)
    for key, (stamp, origin, live) in list(x.slots.items()):
        if stamp <= up_to or stamp > y.closed.get(origin, 0):
            y.put(key, stamp, origin, live and stamp > max(own, doubtful))
    for o, f in x.floor.items():
        y.raise_floor(o, f)
    y.close_up_to(x.closed)
    y.close_up_to(x.floor)


class World:
    def __init__(self, seed, rules):
        self.random, self.rules, self.newest = random.Random(seed), rules, {}
        self.nodes = [Node(i) for i in range(self.random.choice([3, 4, 5]))]
        self.writes, self.cut = [], set()

    def write(self, node, key):
        node.clock += 1 + self.random.randrange(3)
        node.put(key, node.clock, node.name, True)
        node.closed[node.name] = node.clock
        self.writes.append((key, node.clock, node.name))
        self.newest[key] = max(self.newest.get(key, (0, 0)), (node.clock, node.name))

    def meet(self, x, y):
        if frozenset((x.name, y.name)) not in self.cut and not catch_up(x, y):
            resync(x, y, self.rules)

    def step(self):
        r = self.random
        x, y, key, what = *r.sample(self.nodes, 2), r.randrange(6), r.random()
        if what < .3:
            self.write(x, key)
        elif what < .4 and x.slots:
            r.choice(list(x.slots.values()))[2] = False
        elif what < .5:
            stubs = [k for k, slot in x.slots.items() if not slot[2]]
            if stubs:
                oldest = min(stubs, key=lambda k: x.slots[k][0])
                stamp, origin, _ = x.slots.pop(oldest)
                x.raise_floor(origin, stamp)
        elif what < .56:
            x.closed.pop(y.name, None)
        elif what < .62:
            x.drop_log(y.name, self.rules)
        elif what < .7:
            self.cut ^= {frozenset((x.name, y.name))}
        else:
            self.meet(x, y)
        self.check(x)
        self.check(y)

    def check(self, node):
        for key, (stamp, origin, live) in node.slots.items():
            if not live:
                continue
            assert (stamp, origin) >= node.held[key], f"node {node.name} serves an older version of {key} than it held"
            for other, at, by in self.writes:
                late = other == key and (at, by) > (stamp, origin) and at <= node.closed.get(by, 0)
                assert not late, f"node {node.name} serves {key} of {stamp} and has closed over {at} by {by}"

    def heal(self):
        self.cut.clear()
        for _ in range(4):
            for x in self.nodes:
                for y in self.nodes:
                    if x is not y:
                        self.meet(x, y)
                        self.check(y)
        for node in self.nodes:
            for key, (stamp, origin, live) in node.slots.items():
                assert not live or (stamp, origin) == self.newest[key], f"node {node.name} ends with an old {key}"


def broken(seeds, rules):
    count, first = 0, None
    for seed in range(seeds):
        world = World(seed, rules)
        try:
            for _ in range(120):
                world.step()
            world.heal()
        except AssertionError as problem:
            count += 1
            first = first or f"seed {seed}: {problem}"
    return count, first


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    everything = {"others", "doubt"}
    count, first = broken(seeds, everything)
    print(f"with all rules: {count} of {seeds} seeds are broken", first or "")
    failed = count != 0
    for rule in sorted(everything):
        count, first = broken(seeds, everything - {rule})
        print(f"without {rule}: {count}", first or "")
        failed = failed or count == 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
