"""Runs geolru-node processes and talks to them: a command a line, a JSON object a line back."""
import collections
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import time


class NodeError(Exception):
    """A node answered with an error, was silent for too long, or is gone."""


class Node:
    """One geolru-node process. Not started in the terminal's process group, so that Ctrl-C reaches the parent alone."""

    def __init__(self, binary, name, region, log, flags=(), listen="127.0.0.1:0", ready_within=10, prefix=()):
        self.name, self.region, self.log = name, region, pathlib.Path(log)
        command = [*prefix, str(binary), "--json", "--name", name, "--region", region, *map(str, flags)]
        if listen:
            command += ["--listen", listen]
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            start_new_session=True)
        self.unread = b""
        self.unanswered = 0
        try:
            self.unanswered = 1
            self.port = self.answer(ready_within)["port"]
        except BaseException:
            self.kill()
            raise
        self.host = listen.rpartition(":")[0] if listen else ""

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def alive(self):
        return self.process.poll() is None

    def tell(self, command):
        """Sends a command; its answer is to be fetched later, in order."""
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError) as problem:
            raise NodeError(f"{self.name} is gone (status {self.process.poll()}): {self.log_end()}") from problem
        self.unanswered += 1

    def answer(self, timeout=20):
        """The answer to the oldest command that has none yet."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self.unread:
            readable = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]
            if not readable:
                raise NodeError(f"{self.name} did not answer within {timeout} s")
            chunk = os.read(self.process.stdout.fileno(), 1 << 16)
            if not chunk:
                status = self.process.wait(5)
                raise NodeError(f"{self.name} is gone (status {status}): {self.log_end()}")
            self.unread += chunk
        line, self.unread = self.unread.split(b"\n", 1)
        self.unanswered -= 1
        answer = json.loads(line)
        if "error" in answer:
            raise NodeError(f"{self.name}: {answer['error']}")
        return answer

    def ask(self, command, timeout=20):
        """Sends a command and returns its answer; answers nobody fetched are dropped."""
        while self.unanswered:
            with contextlib.suppress(NodeError):
                self.answer(timeout)
            if not self.alive and self.unanswered:
                break
        self.tell(command)
        return self.answer(timeout)

    def log_text(self):
        return self.log.read_text("utf-8", "replace")

    def log_end(self):
        return self.log_text().strip().rpartition("\n")[2] or "its log is empty"

    def kill(self):
        """Like a power cut."""
        self.process.kill()
        self.process.wait()
        self.close_pipes()

    def leave(self, timeout=5):
        """A clean end; returns the exit status."""
        with contextlib.suppress(NodeError):
            self.tell("quit")
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NodeError(f"{self.name} did not end within {timeout} s of quit") from None
        finally:
            self.close_pipes()

    def close_pipes(self):
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


class Nodes:
    """The nodes of one run; whatever happens, none of them outlives it."""

    def __init__(self, binary, log_dir):
        self.binary, self.log_dir, self.nodes = pathlib.Path(binary), pathlib.Path(log_dir), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end_all()

    def __iter__(self):
        return iter([node for node in self.nodes if node.alive])

    def start(self, name, region, *flags, **how):
        node = Node(self.binary, name, region, self.log_dir / f"{name}.log", flags, **how)
        self.nodes.append(node)
        return node

    def ask_all(self, command, timeout=20):
        """The same command to all at the same moment; their answers by name."""
        return {node.name: answer for node, answer in ask_each({node: command for node in self}, timeout).items()}

    def end_all(self):
        """Asks all to leave at the same time, and kills those that do not."""
        nodes = [node for node in self.nodes if node.alive]
        for node in nodes:
            node.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 3
        for node in nodes:
            try:
                node.process.wait(max(0.01, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                node.process.kill()
                node.process.wait()
        for node in self.nodes:
            node.close_pipes()
        self.nodes = []


def ask_each(commands, timeout=20):
    """{node: command} sent before the first answer is awaited; the answers by node, as names may repeat."""
    for node, command in commands.items():
        node.tell(command)
    return {node: node.answer(timeout) for node in commands}


def poll(what, within, every=0.02):
    """The first true value of what() in that many seconds, else its last one."""
    deadline = time.monotonic() + within
    while True:
        value = what()
        if value or time.monotonic() >= deadline:
            return value
        time.sleep(every)


def joined(nodes):
    """Whether each of these nodes knows exactly these, all alive, and is linked to all of its region and to
    somebody in every other."""
    nodes = list(nodes)
    names = sorted(node.name for node in nodes)
    regions = {node.region for node in nodes}
    for members in ask_each({node: "members" for node in nodes}).values():
        alive = [member for member in members["members"] if member["alive"]]
        if sorted(member["name"] for member in alive) != names:
            return False
        own = next(member["region"] for member in alive if member["self"])
        reached = [member for member in alive if member["linked"] or member["self"]]
        if sum(member["region"] == own for member in alive) != sum(member["region"] == own for member in reached):
            return False
        if {member["region"] for member in reached} != regions:
            return False
    return True


def closed_up_to(nodes, wall_ms):
    """Whether each of these nodes holds everything that any of them wrote before `wall_ms`."""
    nodes = list(nodes)
    for asked, closed in ask_each({node: "closed" for node in nodes}).items():
        for name, count in collections.Counter(node.name for node in nodes if node is not asked).items():
            rows = [row["ms"] for row in closed["closed"] if row["name"] == name and not row["self"]]
            # A node that was started again has an older row of its name, too.
            if len(rows) < count or sorted(rows)[-count] < wall_ms:
                return False
    return True
