#!/usr/bin/env python3
"""tests/model/resume.py [RULE [FIRST LAST]]: catch-ups and resyncs that go on over several links, as small as they get.

A sender and a receiver. The sender writes, hears of another origin's writes by ways that leave no trace in its change
rings, forgets deletions (its floors rise) and restarts. The link between the two is lost after every few records.
Without arguments: the rule as it is holds for all seeds, and each part of it is missed by some seed when it is left
out. With RULE only that part is left out. Status 1 otherwise.

The rule. The sender walks shard by shard. Its mark is (its life, the ring's head at the begin of the visit of each
shard that it has walked to the end). The receiver keeps the mark of the last records that it took, with the closes and
the floors of the FIRST begin, and returns the mark when it asks again. The sender remembers nothing:
  life     a mark of another life is ignored;
  overrun  a stream that goes live from a mark whose ring has lost events is lost, and catches up from what is closed
           by then. (To walk that shard again would leave standing what its first visit confirmed.)
  danger   what was forgotten meanwhile is looked at again before the walk goes on, and before it closes anything;
  first    the end closes what was promised at the first begin: what came here since by other ways is in no ring;
  floors   a resync closes up to the floors of its first begin, though it takes over all that rose since;
  doubt    all that the floors of its end put in doubt and nobody confirmed is dropped, not only what those of its begin do;
  again    what a resync confirmed beyond the mark is unconfirmed when it goes on.
"""
import random
import sys

RULES = ("life", "overrun", "danger", "first", "floors", "doubt", "again")
SHARDS, KEYS = 3, 9


class Sender:
    def __init__(self, life):
        self.life = life
        self.slots = {}       # key -> (stamp, origin, is_live)
        self.closed = {}      # origin -> stamp
        self.floors = {}
        self.rings = [[] for _ in range(SHARDS)]
        self.overran = [0] * SHARDS

    def head(self, shard):
        return self.overran[shard] + len(self.rings[shard])

    def write(self, key, stamp, origin, is_live, ring_size):
        held = self.slots.get(key)
        if held is None or held[0] < stamp:
            self.slots[key] = (stamp, origin, is_live)
        if origin == self.life:
            ring = self.rings[key % SHARDS]
            ring.append(key)
            while len(ring) > ring_size:
                ring.pop(0)
                self.overran[key % SHARDS] += 1
        self.closed[origin] = stamp

    def danger(self, closed):
        return max((f for o, f in self.floors.items() if f > closed.get(o, 0)), default=0)


class Walk:
    """One link's worth of a catch-up or a resync."""

    def __init__(self, sender, receiver, mark, without):
        self.sender, self.receiver = sender, receiver
        self.filter, self.lost = dict(receiver.closed), {}
        self.visited = [0] * SHARDS
        if mark and (mark[0] == sender.life or without == "life"):
            self.visited = list(mark[1])
        self.resyncs = receiver.resyncs
        self.left = [k for s in range(SHARDS) if not self.visited[s] for k in range(s, KEYS, SHARDS)]
        self.began = [0] * SHARDS

    def wants(self, slot):
        return self.resyncs or slot[0] > self.filter.get(slot[1], 0)

    def forgotten(self, key, slot):
        if key in self.left and self.wants(slot):
            self.lost[slot[1]] = max(self.lost.get(slot[1], 0), slot[0])

    def step(self):
        key = self.left[0]
        shard = key % SHARDS
        self.began[shard] = self.began[shard] or self.sender.head(shard) + 1  # 0 stands for: not visited
        self.left.pop(0)
        slot = self.sender.slots.get(key)
        if slot and self.wants(slot):
            self.receiver.take(key, slot, self.filter)
        if not any(k % SHARDS == shard for k in self.left):
            self.visited[shard] = self.began[shard]
            self.receiver.note(self.sender.life, list(self.visited))


class Receiver:
    def __init__(self, without):
        self.without = without
        self.slots, self.closed, self.floors = {}, {}, {}
        self.forget()

    def forget(self):
        self.mark, self.promise, self.resyncs = None, None, False
        self.confirmed, self.unmarked = set(), set()

    def note(self, life, visited):
        """All records before this mark were taken."""
        self.mark = (life, visited)
        self.confirmed |= self.unmarked
        self.unmarked = set()

    def ask(self):
        """What was confirmed beyond the mark comes again, unless it was overwritten and forgotten meanwhile."""
        if self.without != "again":
            self.unmarked = set()
        return self.mark

    def take(self, key, slot, filter_):
        held = self.slots.get(key)
        if held is None or held[0] < slot[0]:
            self.slots[key] = slot
        if self.resyncs and self.slots[key][0] == slot[0] and slot[2]:
            self.unmarked.add(key)

    def end(self, floors, closes):
        first_floors, first_closes = self.promise
        if self.resyncs:
            rose = {o: max(first_floors.get(o, 0), floors.get(o, 0)) for o in {*first_floors, *floors}}
            doubted = first_floors if self.without == "doubt" else rose
            doubt = max((f for o, f in doubted.items() if f > self.closed.get(o, 0)), default=0)
            for key, (stamp, origin, is_live) in list(self.slots.items()):
                if is_live and stamp <= doubt and key not in self.confirmed | self.unmarked:
                    self.slots[key] = (stamp, origin, False)
            for o, f in rose.items():
                self.floors[o] = max(self.floors.get(o, 0), f)
            for o, f in (rose if self.without == "floors" else first_floors).items():
                self.closed[o] = max(self.closed.get(o, 0), f)
        for o, c in (closes if self.without == "first" else first_closes).items():
            self.closed[o] = max(self.closed.get(o, 0), c)
        self.forget()


class World:
    def __init__(self, seed, without):
        self.random, self.without, self.time = random.Random(seed), without, 0
        self.history = []  # (key, stamp, origin)
        self.ring_size = self.random.choice((1, 2, 20))
        self.forgets = self.random.choice((0.02, 0.1, 0.3))
        self.restarts = self.random.choice((0, 0.01))
        self.sender, self.receiver = Sender("a1"), Receiver(without)
        self.lives, self.walk, self.live, self.resumed = 1, None, None, 0

    def step(self):
        r = self.random
        self.time += 1
        what = r.random()
        if what < 0.3:
            origin = self.sender.life if r.random() < 0.6 else f"b{self.lives}"
            key = r.randrange(KEYS)
            self.history.append((key, self.time, origin))
            self.sender.write(key, self.time, origin, r.random() < 0.6, self.ring_size)
        elif what < 0.3 + self.forgets:
            self.forget_oldest()
        elif what < 0.65:
            self.stream()
        elif what < 0.75:
            self.walk = self.live = None  # the link is lost
        elif what < 0.75 + self.restarts:
            self.lives += 1
            self.sender, self.walk, self.live = Sender(f"a{self.lives}"), None, None
        self.check()

    def forget_oldest(self):
        stubs = [(slot[0], key) for key, slot in self.sender.slots.items() if not slot[2]]
        if not stubs:
            return
        stamp, key = min(stubs)
        slot = self.sender.slots.pop(key)
        self.sender.floors[slot[1]] = max(self.sender.floors.get(slot[1], 0), stamp)
        if self.walk:
            self.walk.forgotten(key, slot)
        if self.live and key in self.sender.rings[key % SHARDS]:
            self.live = None  # it has yet to be sent, and is gone

    def begin(self):
        s, y = self.sender, self.receiver
        resumes = y.mark is not None and (y.mark[0] == s.life or self.without == "life")
        if not resumes:
            y.forget()
        danger = s.danger(y.closed)
        if danger and not y.resyncs and not (resumes and self.without == "danger"):
            y.forget()  # what was walked is of no use to a resync
            y.resyncs, resumes = True, False
        self.walk = Walk(s, y, y.ask(), self.without)
        if y.promise is None:
            y.promise = (dict(s.floors), dict(s.closed))
        self.floors_then = dict(s.floors)
        self.resumed += resumes

    def stream(self):
        s, y, walk = self.sender, self.receiver, self.walk
        if self.live:
            return self.live_pass()
        if walk is None:
            return self.begin()
        if walk.left:
            return walk.step()
        self.walk = None
        lost = max((f for o, f in walk.lost.items() if f > y.closed.get(o, 0)), default=0)
        if lost and not y.resyncs and self.without != "danger":
            return y.forget()
        rose = {o: max(self.floors_then.get(o, 0), walk.lost.get(o, 0)) for o in {*self.floors_then, *walk.lost}}
        y.end(rose, s.closed)
        self.live = [head - 1 for head in walk.visited]
        self.live_pass()

    def live_pass(self):
        s, y = self.sender, self.receiver
        for shard, next_ in enumerate(self.live):
            if next_ < s.overran[shard] and self.without != "overrun":
                self.live = None
                return
            for key in s.rings[shard][max(0, next_ - s.overran[shard]):]:
                if key not in s.slots:
                    self.live = None  # it was forgotten before it was sent
                    return
                y.take(key, s.slots[key], {})
            self.live[shard] = s.head(shard)
        y.closed[s.life] = max(y.closed.get(s.life, 0), s.closed.get(s.life, 0))

    def check(self):
        for key, (stamp, _, is_live) in self.receiver.slots.items():
            for k, s, o in self.history:
                if is_live and k == key and s > stamp and s <= self.receiver.closed.get(o, 0):
                    raise AssertionError(f"key {key} of {stamp} is served, closed over {o} {s}")


def run(without, seed):
    """How this seed breaks, or None; and how often a walk went on."""
    world = World(seed, without)
    try:
        for _ in range(300):
            world.step()
    except AssertionError as problem:
        return f"seed {seed}: {problem}", world.resumed
    return None, world.resumed


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else None
    seeds = range(int(sys.argv[2]), int(sys.argv[3]) + 1) if len(sys.argv) > 3 else range(300)
    wrong = 0
    for rule in [only] if only else [None, *RULES]:
        resumed, problem = 0, None
        for seed in seeds:
            problem, more = run(rule, seed)
            resumed += more
            if problem:
                break
        wrong += (problem is None) != (rule is None)
        print(f"{'with all of it' if rule is None else 'without ' + rule}: {problem or 'holds'}, after {resumed} walks"
              " that went on", flush=True)
    return wrong != 0


sys.exit(main())
