"""What one node writes, the others have."""
import time

from harness import case, closed_up_to, eventually, expect, holds, joined, lacks, let_clocks_pass

import compare
import processes

THREE = ("a@eu", "b@us", "c@ap")


def all_hold(nodes, key, value):
    return all(holds(node, key, value) for node in nodes)


def all_lack(nodes, key):
    return all(lacks(node, key) for node in nodes)


def nothing_comes(node, seconds=1):
    """Whether no record came to a node for so long."""
    before = node.ask("stats")["records_in"]
    time.sleep(seconds)
    return node.ask("stats")["records_in"] == before


def expect_agreement(world, nodes, what):
    """Waits until everything written so far is known everywhere; then all must know the same."""
    wall_ms = time.time() * 1000
    eventually(lambda: closed_up_to(nodes, wall_ms), f"{what}: all is known everywhere")
    paths = {node: world.log_dir / f"{node.name}.tsv" for node in nodes}
    processes.ask_each({node: f"dump {path}" for node, path in paths.items()})
    dumps = {node.name: compare.read_dump(path) for node, path in paths.items()}
    result = compare.compare(dumps, time.time() * 1000)
    expect(not result.disagreements, f"{what}: {result.disagreements[:3]}")
    expect(result.everywhere == result.live, f"{what}: {result.live - result.everywhere} of {result.live} values "
           "are not held by all")
    return result


@case("replication: a write in any of three regions is readable in all")
def three_regions(world):
    nodes = world.cluster(*THREE)
    for node in nodes:
        node.ask(f"set from-{node.name} value-{node.name}")
    for node in nodes:
        eventually(lambda: all_hold(nodes, f"from-{node.name}", f"value-{node.name}"), f"{node.name}'s write everywhere")


@case("replication: two nodes in each of three regions have it all")
def six_nodes(world):
    nodes = world.cluster("a@eu", "b@us", "c@ap", "d@eu", "e@us", "f@ap")
    for node in nodes:
        node.ask(f"fill 200 100 {node.name}-")
    result = expect_agreement(world, nodes, "six nodes")
    expect(result.live == 1200, f"{result.live} keys instead of 1200")


@case("replication: the last write wins everywhere, whoever made it")
def last_write(world):
    nodes = world.cluster(*THREE)
    for n in range(60):
        processes.ask_each({node: f"set contested-{n % 7} {node.name}{n}" for node in nodes})
    let_clocks_pass()
    nodes[1].ask("set contested-0 last")
    eventually(lambda: all_hold(nodes, "contested-0", "last"), "the last write everywhere")
    expect_agreement(world, nodes, "contested keys")


@case("replication: erase and clear reach all, and what is written after them stays")
def erase_and_clear(world):
    nodes = world.cluster(*THREE)
    nodes[0].ask("fill 50 10 k")
    eventually(lambda: all(node.ask("count 50 k")["here"] == 50 for node in nodes), "50 entries everywhere")
    nodes[1].ask("erase k7")
    eventually(lambda: all_lack(nodes, "k7"), "k7 is erased everywhere")
    nodes[2].ask("clear")
    nodes[2].ask("set after clear")
    eventually(lambda: all_hold(nodes, "after", "clear"), "the write after the clear everywhere")
    expect(all(node.ask("count 50 k")["here"] == 0 for node in nodes), "an entry survived the clear")


@case("replication: an entry ends at the same time everywhere")
def expiry(world):
    nodes = world.cluster(*THREE)
    nodes[0].ask("set short lived 1500ms")
    eventually(lambda: all_hold(nodes, "short", "lived"), "the entry everywhere")
    left = [node.ask("ttl short")["ttl_ms"] for node in nodes]
    expect(all(0 < ms <= 1500 for ms in left), f"times to live are {left}")
    eventually(lambda: all_lack(nodes, "short"), "the entry has ended everywhere", within=3)


@case("replication: what another node loaded is not loaded again")
def loads(world):
    a, b = world.cluster("a@eu", "b@us")
    expect(a.ask("load key value")["loaded"], "a loads what nobody has")
    eventually(lambda: holds(b, "key", "value"), "b has what a loaded")
    expect(not b.ask("load key other")["loaded"], "b loaded again")


@case("topology: a write crosses into each other region once, and is passed on there by the one it came to", alone=True)
def crosses_once(world):
    a, b, *others = world.cluster("a@eu", "b@eu", "c@us", "d@us", "e@ap", "f@ap")
    time.sleep(4)  # until the members have settled through whom they write
    before = {node: node.ask("stats")["values_out"] for node in (a, b, *others)}
    for n in range(100):
        a.ask(f"set once-{n} value")
    eventually(lambda: all(node.ask("count 100 once-")["here"] == 100 for node in (b, *others)), "all arrive")
    sent = {node: node.ask("stats")["values_out"] - before[node] for node in before}
    expect(sent[a] == 300, f"the writer sent {sent[a]} values for 100 writes to a neighbour and into two regions")
    expect(sent[b] == 0, f"its neighbour sent {sent[b]} values of it")
    for one, other in (others[:2], others[2:]):
        expect(sorted((sent[one], sent[other])) == [0, 100],
               f"in {one.region} {sent[one]} and {sent[other]} values were passed on")


@case("wait: true once that many other regions have the write, false after the timeout")
def wait_for_regions(world):
    a, b, c = world.cluster(*THREE)
    a.ask("set waited for")
    expect(a.ask("wait 2 5s")["acknowledged"], "two other regions acknowledge")
    expect(holds(b, "waited", "for") and holds(c, "waited", "for"), "who acknowledged has it")
    began = time.monotonic()
    expect(not a.ask("wait 3 300ms")["acknowledged"], "there are no three other regions")
    expect(0.25 < time.monotonic() - began < 2, "the timeout is kept")
    processes.ask_each({a: "cut ap", c: "cut eu,us", b: "cut ap"})
    a.ask("set while cut")
    expect(a.ask("wait 1 5s")["acknowledged"], "the region that is left acknowledges")
    expect(not a.ask("wait 2 500ms")["acknowledged"], "a region that is cut off acknowledges")
    processes.ask_each({node: "heal" for node in (a, b, c)})
    expect(a.ask("wait 2 8s")["acknowledged"], "the healed region acknowledges")


@case("cut: both sides go on, and agree after the heal")
def cut_and_heal(world):
    nodes = world.cluster("a@eu", "b@us", "c@ap", "d@ap")
    nodes[0].ask("set shared before")
    eventually(lambda: all_hold(nodes, "shared", "before"), "the first write everywhere")
    processes.ask_each({node: "cut eu,us" if node.region == "ap" else "cut ap" for node in nodes})
    nodes[0].ask("set shared first")
    let_clocks_pass()
    nodes[2].ask("set shared second")
    nodes[2].ask("fill 300 50 ap-")
    nodes[1].ask("fill 300 50 us-")
    nodes[1].ask("erase us-0")
    eventually(lambda: all_hold(nodes[2:], "shared", "second"), "inside the cut region writes go on")
    eventually(lambda: all_hold(nodes[:2], "shared", "first"), "among the others writes go on")
    expect(lacks(nodes[0], "ap-0") and lacks(nodes[2], "us-1"), "a write crossed the cut")
    processes.ask_each({node: "heal" for node in nodes})
    eventually(lambda: all_hold(nodes, "shared", "second"), "the later write wins everywhere")
    result = expect_agreement(world, nodes, "after the heal")
    expect(result.live == 600, f"{result.live} live keys instead of 600")


def fresh_copy(world, entries, within):
    size = 100
    flags = ["--capacity-bytes", "1GiB"]
    full = world.node("full", "eu", flags=flags)
    full.ask(f"fill {entries} {size}", timeout=60)
    began = time.monotonic()
    fresh = world.node("fresh", "us", seeds=[full], flags=flags)
    eventually(lambda: fresh.ask("stats")["entries"] == entries, f"{entries:,} entries in the fresh node", within)
    took = time.monotonic() - began
    expect(fresh.ask(f"count {entries}", timeout=60)["here"] == entries, "the entries are those written")
    rss = {node.name: node.ask("memory")["rss_bytes"] / 2**20 for node in (full, fresh)}
    world.note(f"{entries:,} entries of {size} bytes in {took:.2f} s; "
               f"RSS {rss['full']:.0f} MiB sender, {rss['fresh']:.0f} MiB receiver")


@case("bulk: 100,000 entries appear in a freshly started node", alone=True)
def bulk(world):
    fresh_copy(world, 100_000, within=15)


@case("bulk: 1,000,000 entries appear in a freshly started node", big=True, alone=True)
def big_bulk(world):
    fresh_copy(world, 1_000_000, within=90)


@case("bulk: while 20 MB of entries stream in, a small cache stays within its capacity")
def small_receiver(world):
    full = world.node("full", "eu", flags=["--capacity-bytes", "256MiB"])
    small = world.node("small", "us", seeds=[full], flags=["--capacity-bytes", "4MiB"])
    eventually(lambda: joined([full, small]), "both find each other")
    full.ask("fill 10000 2000")
    wall_ms = time.time() * 1000
    eventually(lambda: closed_up_to([full, small], wall_ms), "the small node has seen all", within=15)
    stats = small.ask("stats")
    expect(stats["bytes"] <= 4 << 20, f"it holds {stats['bytes']:,} bytes")
    expect(stats["entries"] > 1000, f"it holds {stats['entries']} entries only")
    full.ask("set late write")
    eventually(lambda: holds(small, "late", "write"), "the small node takes new writes")


@case("fetch: what a small cache evicted it has from the node that holds it, and loads nothing")
def fetched(world):
    full = world.node("full", "eu")
    small = world.node("small", "us", seeds=[full], flags=["--capacity-entries", "100", "--fetch-timeout", "20s"])
    eventually(lambda: joined([full, small]), "both find each other")
    full.ask("fill 300 100 k-")
    full.ask("set last one")
    eventually(lambda: holds(small, "last", "one"), "the small node has seen all")
    loaded = [n for n in range(300) if small.ask(f"load k-{n} loaded")["value"] == "loaded"]
    expect(not loaded, f"{len(loaded)} of 300 values were loaded instead, the first k-{loaded[:1]}")
    stats = small.ask("stats")
    expect(stats["loads"] == 0, f"{stats['loads']} loads")
    expect(stats["fetches_found"] >= 200, f"{stats['fetches_found']} of {stats['fetches']} fetches found a value")
    expect(stats["entries"] <= 100, f"it holds {stats['entries']} values")
    world.note(f"{stats['fetches_found']} of {stats['fetches']} fetches found a value")


@case("audit: what a node lost behind its back comes back from another, and is counted")
def audited(world):
    a = world.node("a", "eu", flags=["--gossip-interval", "100ms"])
    b = world.node("b", "us", seeds=[a], flags=["--gossip-interval", "100ms"])
    eventually(lambda: joined([a, b]), "both find each other")
    a.ask("fill 1000 100 k-")
    let_clocks_pass()
    b.ask("set k-7 newer")
    a.ask("erase k-8")
    wall_ms = time.time() * 1000
    eventually(lambda: closed_up_to([a, b], wall_ms), "both have seen all", within=15)
    eventually(lambda: nothing_comes(b), "what was asked for before all was closed over is here as well")
    for key in ("k-7", "k-8", "k-9"):
        expect(b.ask(f"lose {key}")["lost"], f"{key} was not there")
    expect(not holds(b, "k-7", "newer"), "a lost key is served")
    eventually(lambda: b.ask("stats")["audit_repairs"] == 3, "audits find what was lost", within=60)
    eventually(lambda: holds(b, "k-7", "newer"), "the newest value comes back")
    expect_agreement(world, [a, b], "after the repair")
    stats = a.ask("stats")
    expect(stats["audits"] > 0 and stats["audit_repairs"] == 0, f"the other node: {stats['audits']} audits")
    expect(stats["values_out_by_anti_entropy"] == 2, f"{stats['values_out_by_anti_entropy']} values were sent")
