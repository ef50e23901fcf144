#!/usr/bin/env python3
"""tests/model/ring.py [RULE [FIRST LAST]]: walks in the order of places beside a ring of changes, as small as they get.

A sender and a receiver that is cut off again and again. The sender writes, hears of others' writes, loads (which compete as
of an earlier time than their stamps), and forgets deletions. Without arguments: the rule as it is holds for all seeds, and
each part of it is missed by some seed when it is left out. With RULE only that part is left out. Status 1 otherwise.

The rule. A ring notes each change of a slot. What leaves it raises the overrun stamp of its origin. A receiver whose closed
stamps lie at or above all of these is answered from the ring alone; for any other the sender walks in the order of places.
Then come the changes since the begin, and with them the closes.
  overrun  an answer from the ring alone needs those stamps;
  end      the ring tells a stamp to its millisecond, which counts as its end, but as no later than its origin's newest;
  stamp    they are of stamps, not of the times that loads compete as of;
  every    every change is in the ring, also one that no link streams;
  behind   what changed since the begin comes from the ring, wherever the walk had got to;
  lost     a ring that lost events since the begin ends the stream: nothing is closed;
  danger   nothing is closed where something was forgotten that the receiver may lack.
"""
import random
import sys

RULES = ("overrun", "end", "stamp", "every", "behind", "lost", "danger")
KEYS, ORIGINS = 6, 3
MILLISECOND = 4


class Sender:
    def __init__(self, world):
        self.world, self.slots, self.closed, self.floors = world, {}, {}, {}
        self.newest = {}
        self.ring, self.tail, self.overrun = [], 0, {}
        self.place = {key: world.random.random() for key in range(KEYS)}

    def head(self):
        return self.tail + len(self.ring)

    def put(self, key, slot, is_streamed):
        """A slot: (as of, stamp, origin, is live)."""
        self.closed[slot[2]] = slot[1]
        if key in self.slots and self.slots[key][0] >= slot[0]:
            return
        self.slots[key] = slot
        self.newest[slot[2]] = max(self.newest.get(slot[2], 0), slot[1])
        if not is_streamed and self.world.without == "every":
            return
        self.ring.append((key, slot))
        if len(self.ring) > self.world.ring_size:
            as_of, stamp, origin, _ = self.ring.pop(0)[1]
            self.tail += 1
            gone = as_of if self.world.without == "stamp" else stamp
            begin = gone - gone % MILLISECOND
            end = begin if self.world.without == "end" else min(begin + MILLISECOND - 1, self.newest[origin])
            self.overrun[origin] = max(self.overrun.get(origin, 0), end)

    def forget(self, key):
        if key in self.slots and not self.slots[key][3]:
            _, stamp, origin, _ = self.slots.pop(key)
            self.floors[origin] = max(self.floors.get(origin, 0), stamp)

    def endangers(self, closed):
        return self.world.without != "danger" and any(f > closed.get(o, 0) for o, f in self.floors.items())

    def answers_from_ring(self, closed):
        return self.world.without == "overrun" or all(s <= closed.get(o, 0) for o, s in self.overrun.items())


class World:
    def __init__(self, seed, without):
        self.random, self.without, self.time = random.Random(seed), without, 0
        self.ring_size = self.random.choice((1, 2, 4, 30))
        self.history = {key: [] for key in range(KEYS)}
        self.sender, self.held, self.closed = Sender(self), {}, {}

    def write(self):
        key, origin = self.random.randrange(KEYS), self.random.randrange(ORIGINS)
        self.time += 1
        before = max(self.sender.slots.get(key, (0,))[0], *self.sender.floors.values(), 0)
        as_of = self.time
        if self.random.random() < 0.3:
            as_of = self.random.randint(max(before + 1, self.time - 8), self.time)
        slot = (as_of, self.time, origin, self.random.random() < 0.6)
        self.history[key].append(slot)
        self.sender.put(key, slot, origin == 0)

    def act(self):
        for _ in range(self.random.choice((0, 0, 1, 2, 5))):
            self.write()
        if self.random.random() < 0.1:
            self.sender.forget(self.random.randrange(KEYS))

    def take(self, key):
        slot = self.sender.slots.get(key)
        if slot and slot[1] > self.filter.get(slot[2], 0) and self.held.get(key, (0,))[0] < slot[0]:
            self.held[key] = slot

    def connect(self):
        """One catch-up, cut off or not, and then the changes since it began."""
        sender, self.filter = self.sender, dict(self.closed)
        if sender.endangers(self.closed):
            # A resync, which other models are for: the receiver begins anew, as if with the sender's state.
            self.held, self.closed = dict(sender.slots), dict(sender.closed)
            return
        begun, closes = sender.head(), dict(sender.closed)
        if sender.answers_from_ring(self.closed):
            # While it is answered no events may leave the ring before they are read.
            visits, first = [key for key, _ in sender.ring], sender.tail
        else:
            visits, first = sorted(sender.place, key=sender.place.get), None
        for number, key in enumerate(visits):
            if self.random.random() < 0.05:
                return
            if first is not None and first + number < sender.tail and self.without != "lost":
                return
            self.take(key)
            if self.random.random() < 0.3:
                self.act()
        if sender.endangers(self.closed):
            return
        self.close(closes)
        if sender.tail > begun and self.without != "lost":
            return
        from_ = sender.head() if self.without == "behind" else max(begun, sender.tail)
        for key, _ in sender.ring[from_ - sender.tail:]:
            self.take(key)
        if not sender.endangers(self.closed):
            self.close(sender.closed)

    def close(self, closes):
        for origin, stamp in closes.items():
            self.closed[origin] = max(self.closed.get(origin, 0), stamp)

    def is_stale(self):
        """Whether a live value is held though its successor lies below what is closed."""
        for key, slot in self.held.items():
            newest = max((w for w in self.history[key] if w[1] <= self.closed.get(w[2], 0)), default=None)
            if slot[3] and newest and newest[0] > slot[0]:
                return True
        return False


def holds(seed, without):
    world = World(seed, without)
    for _ in range(60):
        world.act()
        if world.random.random() < 0.4:
            world.connect()
        if world.is_stale():
            return False
    return True


def main():
    rules = sys.argv[1:2] or ["", *RULES]
    first, last = (int(word) for word in sys.argv[2:4]) if len(sys.argv) > 3 else (0, 599)
    status = 0
    for rule in rules:
        stale = [seed for seed in range(first, last + 1) if not holds(seed, rule)]
        print(f"without {rule}: " if rule else "the rule: ", f"{len(stale)} of {last - first + 1} seeds end stale",
              f", first {stale[0]}" if stale else "", sep="")
        if bool(stale) != bool(rule):
            status = 1
    return status


sys.exit(main())
