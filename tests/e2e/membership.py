"""Who is in the cluster, and how nodes come and go."""
import signal
import socket
import time

from harness import Skipped, case, eventually, expect, free_port, holds, joined, logged, poll

import processes


def alive_names(node):
    return sorted(member["name"] for member in node.ask("members")["members"] if member["alive"])


@case("leaving: a node that quits is gone from the others' members at once")
def clean_leave(world):
    a, b, c = world.cluster("a@eu", "b@us", "c@ap")
    b.ask("set last words")
    expect(b.leave() == 0, "b ends with status 0")
    eventually(lambda: alive_names(a) == ["a", "c"] and alive_names(c) == ["a", "c"], "b is gone", within=2)
    expect(holds(a, "last", "words") and holds(c, "last", "words"), "what b wrote before it left is kept")


@case("leaving: SIGTERM and the end of input are clean ends")
def other_ends(world):
    a, b, c = world.cluster("a@eu", "b@us", "c@ap")
    b.process.send_signal(signal.SIGTERM)
    c.process.stdin.close()
    expect(b.process.wait(5) == 0, "SIGTERM: status 0")
    expect(c.process.wait(5) == 0, "end of input: status 0")
    both_gone = poll(lambda: alive_names(a) == ["a"], 2)
    expect(both_gone, f"2 s later not gone: {alive_names(a)}; {' | '.join(a.log_text().splitlines()[-4:])}")


@case("restart: a node killed with -9 gets its data back when it starts again")
def restart(world):
    a, b, c = world.cluster("a@eu", "b@eu", "c@us")
    a.ask("fill 2000 100 old-")
    expect(a.ask("wait 1 5s")["acknowledged"], "the other region has it")
    a.kill()
    b.ask("set meanwhile written")
    again = world.node("a", "eu", seeds=[b, c], listen=a.address)
    eventually(lambda: again.ask("count 2000 old-")["here"] == 2000, "the restarted node has its data back")
    eventually(lambda: holds(again, "meanwhile", "written"), "and what was written meanwhile")
    again.ask("set new life")
    eventually(lambda: holds(c, "new", "life"), "what it writes in its new life arrives")


@case("restart: a node that was down long enough to be unreachable is found again by the others")
def found_again(world):
    a, b = world.cluster("a@eu", "b@us", flags=["--connect-timeout", "1s"])
    b.kill()
    again = world.node("b", "us", listen=b.address)  # knows nobody: a has to dial
    eventually(lambda: again.ask("stats")["members_linked"] >= 1, "a dials the address it knew", within=15)
    a.ask("set found again")
    eventually(lambda: holds(again, "found", "again"), "and streams to it")


@case("names: two nodes of the same name are two members")
def duplicate_names(world):
    a, b = world.cluster("twin@eu", "twin@eu")
    expect(alive_names(a) == ["twin", "twin"], f"members are {alive_names(a)}")
    a.ask("set from a")
    b.ask("set and b")
    eventually(lambda: holds(b, "from", "a") and holds(a, "and", "b"), "they replicate")


@case("topology: a node that does not listen dials, and gets and gives everything")
def dials_only(world):
    a, b = world.cluster("a@eu", "b@us")
    shy = world.node("shy", "ap", seeds=[a], listen=None)
    shy.ask("set from shy")
    a.ask("set from-a hello")
    b.ask("set from-b hello")
    eventually(lambda: holds(shy, "from-a", "hello") and holds(shy, "from-b", "hello"), "it gets what others write")
    eventually(lambda: holds(a, "from", "shy") and holds(b, "from", "shy"), "others get what it writes")


@case("seeds: one that does not resolve is logged, and the other one works")
def unresolvable_seed(world):
    a = world.node("a", "eu")
    b = world.node("b", "us", seeds=["no-such-host.invalid:7400", a])
    a.ask("set hello there")
    eventually(lambda: holds(b, "hello", "there"), "b joins by the second seed")
    eventually(lambda: logged(b, "no-such-host.invalid"), "b says which seed did not resolve")


@case("seeds: a seed that starts later is found")
def late_seed(world):
    port = free_port()
    early = world.node("early", "eu", seeds=[f"127.0.0.1:{port}"])
    early.ask("set was early")
    late = world.node("late", "us", listen=f"127.0.0.1:{port}")
    eventually(lambda: holds(late, "was", "early"), "the late seed is dialled again", within=10)


@case("seeds: a node that has itself as a seed carries on")
def own_seed(world):
    port = free_port()
    a = world.node("a", "eu", seeds=[f"127.0.0.1:{port}"], listen=f"127.0.0.1:{port}")
    b = world.node("b", "us", seeds=[a])
    b.ask("set hello self")
    eventually(lambda: holds(a, "hello", "self"), "others join it")
    eventually(lambda: joined([a, b]), "and it is one member")


@case("ipv6: nodes on the IPv6 loopback replicate")
def ipv6(world):
    if not has_ipv6_loopback():
        raise Skipped("this machine has no ::1")
    a = world.node("a", "eu", listen="[::1]:0")
    b = world.node("b", "us", seeds=[a], listen="[::1]:0")
    a.ask("set six works")
    eventually(lambda: holds(b, "six", "works"), "a write over IPv6")
    eventually(lambda: joined([a, b]), "both know each other")


def has_ipv6_loopback():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


@case("staleness: it stays small in health and grows during a cut")
def staleness(world):
    a, b = world.cluster("a@eu", "b@us")
    eventually(lambda: a.ask("staleness")["staleness_ms"].get("us", 9e9) < 3000, "a is close to us")
    processes.ask_each({a: "cut us", b: "cut eu"})
    began = time.monotonic()
    eventually(lambda: a.ask("staleness")["staleness_ms"].get("us", 0) > 2000, "staleness grows during the cut")
    expect(time.monotonic() - began < 6, "it grows as time passes")
    processes.ask_each({a: "heal", b: "heal"})
    eventually(lambda: a.ask("staleness")["staleness_ms"].get("us", 9e9) < 2000, "it falls after the heal")
