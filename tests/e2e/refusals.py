"""What is refused, and whether it is said why and what to do."""
import subprocess

from harness import case, eventually, expect, holds, lacks, logged


def refused_both_ways(world, what, flag, mine, theirs):
    """Two nodes that differ in one flag refuse each other; both logs name it."""
    a = world.node("a", "eu", flags=[flag, mine])
    b = world.node("b", "us", seeds=[a], flags=[flag, theirs])
    for node in (a, b):
        eventually(lambda: logged(node, what), f"{node.name}'s log says that the {what} differs")
    a.ask("set secret of-a")
    eventually(lambda: a.ask("stats")["refused_handshakes"] + b.ask("stats")["refused_handshakes"] >= 1, "it is counted")
    expect(lacks(b, "secret"), "a write crossed between nodes that refuse each other")
    expect(a.ask("stats")["members"] == 1, "the refused node is no member")


@case("refused: a node of another cluster, with the reason in both logs")
def other_cluster(world):
    refused_both_ways(world, "cluster", "--cluster", "red", "blue")


@case("refused: a node with another max_ttl, with the reason in both logs")
def other_max_ttl(world):
    refused_both_ways(world, "max_ttl", "--max-ttl", "1h", "2h")


@case("refused: a node with another max_drift, with the reason in both logs")
def other_max_drift(world):
    refused_both_ways(world, "max_drift", "--max-drift", "500ms", "400ms")


def run_node(world, *flags):
    return subprocess.run([world.binary, *flags], input="", capture_output=True, text=True, timeout=10, check=False)


@case("options: a port that is taken gives status 1 and says which and why")
def port_taken(world):
    a = world.node("a")
    result = run_node(world, "--listen", a.address)
    expect(result.returncode == 1, f"the status is {result.returncode}")
    expect(a.address in result.stderr and "in use" in result.stderr, f"it says: {result.stderr!r}")
    expect("ready" not in result.stdout, "it claims to be ready")
    a.ask("set still here")
    expect(holds(a, "still", "here"), "who had the port keeps working")


@case("options: each bad one is refused with a line that says what to do")
def bad_options(world):
    for flags, words in {
        ("--capacity-bytes", "0"): ["capacity_bytes", "set"],
        ("--max-ttl", "0s"): ["max_ttl", "more than 0"],
        ("--ttl", "2h", "--max-ttl", "1h"): ["ttl", "max_ttl", "lower"],
        ("--ttl", "soon"): ["soon", "30s"],
        ("--region", ""): ["region", "name"],
        ("--listen", "nonsense"): ["nonsense", "host:port"],
        ("--listen", "127.0.0.1:99999"): ["99999"],
        ("--seed", "nowhere"): ["nowhere", "host:port"],
        ("--advertise", "me:1"): ["listen"],
        ("--log-level", "loud"): ["loud", "debug"],
        ("--no-such-flag",): ["no-such-flag"],
    }.items():
        result = run_node(world, *flags)
        said = result.stderr + result.stdout
        expect(result.returncode not in (0, -6, -11), f"{' '.join(flags)}: the status is {result.returncode}")
        expect(all(word in said for word in words), f"{' '.join(flags)}: it says {said!r}")


@case("commands: a wrong one is answered with what is wrong, and the node goes on")
def bad_commands(world):
    a = world.node("a")
    for command in ("nonsense", "set", "set key", "get", "set key value soon", "set key value 0s", "fill many 1", "",
                    "replay /no/such/file", "replay-status", "wait 1 1s", "dump /no/such/folder/file", "latency"):
        a.tell(command)
        try:
            answer = a.answer()
        except Exception as problem:  # the answer is an error, as it should be
            expect(a.alive, f"{command!r} ended the node: {problem}")
        else:
            expect(False, f"{command!r} was answered with {answer}")
    a.ask("set still here")
    expect(holds(a, "still", "here"), "it goes on")
