"""Compares what several nodes know, from their dumps."""
import collections
import dataclasses
import pathlib

EXPIRY_MARGIN_MS = 1000  # nodes are dumped one after the other, and an entry may end in between


@dataclasses.dataclass(frozen=True)
class Slot:
    """What a node knows of one key; `value` and `key` only while it serves it."""
    version: tuple
    state: str
    expires_ms: int
    value: str = ""
    key: str = ""


def read_dump(path):
    """{key hash: Slot}"""
    slots = {}
    for line in pathlib.Path(path).read_text("ascii").splitlines():
        key_hash, as_of, origin, state, expires, *rest = line.split("\t")
        slots[key_hash] = Slot((int(as_of), origin), state, int(expires), *rest)
    return slots


@dataclasses.dataclass
class Comparison:
    keys: int = 0             # known anywhere
    live: int = 0             # served somewhere
    everywhere: int = 0       # of these, served by all
    disagreements: list = dataclasses.field(default_factory=list)


def compare(dumps, now_ms, forgetful=()):
    """Compares {node: {key hash: Slot}} of nodes that have converged; `forgetful` ones dropped stubs for lack of room.

    A disagreement is a key of which nodes serve different versions or values, or which one node serves although
    another knows something newer or nothing at all. A value that only some hold is none: a cache may forget.
    """
    by_key = collections.defaultdict(dict)
    for node, slots in dumps.items():
        for key_hash, slot in slots.items():
            by_key[key_hash][node] = slot
    result = Comparison(keys=len(by_key))
    for key_hash, known in by_key.items():
        served = {node: slot for node, slot in known.items()
                  if slot.state == "live" and slot.expires_ms > now_ms + EXPIRY_MARGIN_MS}
        if served:
            result.live += 1
            result.everywhere += len(served) == len(dumps)
            if problem := find_problem(dumps.keys() - set(forgetful), known, served):
                result.disagreements.append(f"{next(iter(served.values())).key} ({key_hash}): {problem}")
    return result


def find_problem(nodes, known, served):
    newest = max(slot.version for slot in known.values())
    ignorant = sorted(nodes - known.keys())
    if ignorant:
        return f"served by {', '.join(served)} but unknown to {', '.join(ignorant)}"
    if behind := [node for node, slot in known.items() if slot.version != newest]:
        return "the newest version is missing at " + ", ".join(
            f"{node} (has {known[node].version}, {known[node].state})" for node in behind)
    if len({slot.value for slot in served.values()}) > 1:
        return f"one version, different values at {', '.join(served)}"
    return None


def lost_writes(received, dumps, origin):
    """Writes of `origin` that some node had received (a list of dumps) and that not all `dumps` know or supersede."""
    newest = {}
    for slots in received:
        for key_hash, slot in slots.items():
            if slot.version[1] == origin:
                newest[key_hash] = max(newest.get(key_hash, slot.version), slot.version)
    lost = [f"{key_hash} of {version}: not at {node}" for key_hash, version in newest.items()
            for node, slots in dumps.items() if key_hash not in slots or slots[key_hash].version < version]
    return len(newest), lost
