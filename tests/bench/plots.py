#!/usr/bin/env python3
"""tests/bench/plots.py RESULTS: draws results.json in that folder: bars beside bars, with the spread of the rounds.
Prints the names of the files. Needs matplotlib."""
import json
import pathlib
import statistics
import sys

import local
from rows import number
from samples import Samples

INK, FAINT, OURS, PEER, LIMIT = "#222222", "#8a8a8a", "#1f6f8b", "#b9c4c9", "#e3b23c"


def colour(subject):
    if subject.startswith("geolru"):
        return OURS
    return LIMIT if subject in (local.LIMIT, local.BATCH_LIMIT, local.FLAT_LRU) else PEER


def bars(axes, samples, measure, title, unit, scale=lambda value: value, fewest_first=True):
    """One panel: a bar for each subject, the best one on top."""
    found = {subject: [scale(value) for value in samples.of(measure, subject)]
             for subject in samples.subjects(measure)}
    order = sorted(found, key=lambda subject: statistics.median(found[subject]), reverse=fewest_first)
    medians = [statistics.median(found[subject]) for subject in order]
    spread = [[median - min(found[subject]) for subject, median in zip(order, medians)],
              [max(found[subject]) - median for subject, median in zip(order, medians)]]
    axes.barh(range(len(order)), medians, color=[colour(subject) for subject in order], height=0.72)
    axes.errorbar(medians, range(len(order)), xerr=spread, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
    axes.set_yticks(range(len(order)), order)
    for label in axes.get_yticklabels():
        if label.get_text().startswith("geolru"):
            label.set_color(OURS)
            label.set_fontweight("bold")
    most = max(high for subject in order for high in found[subject])
    for place, (subject, median) in enumerate(zip(order, medians)):
        axes.text(max(found[subject]) + most * 0.015, place, number(median), va="center", fontsize=8, color=INK)
    axes.set_xlim(0, most * 1.13)
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(unit, fontsize=8, color=FAINT)
    axes.tick_params(axis="both", length=0, labelsize=8.5)
    axes.tick_params(axis="x", colors=FAINT)
    axes.xaxis.grid(True, color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color("#cccccc")


def figure(pyplot, folder, samples, file, heading, panels):
    """Panels in two columns; those that nothing was measured for are left out. Returns the file's name, if drawn."""
    panels = [panel for panel in panels if samples.subjects(panel[0])]
    if not panels:
        return []
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    height = sum(0.26 * max(len(samples.subjects(panel[0])) for panel in panels[i * columns:(i + 1) * columns]) + 0.85
                 for i in range(lines))
    drawing, grid = pyplot.subplots(lines, columns, figsize=(5.4 * columns, height + 0.5), squeeze=False)
    flat = [axes for line in grid for axes in line]
    for axes, panel in zip(flat, panels):
        bars(axes, samples, *panel)
    for axes in flat[len(panels):]:
        axes.set_visible(False)
    drawing.suptitle(heading, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    drawing.tight_layout()
    drawing.savefig(folder / file)
    pyplot.close(drawing)
    return [file]


def per_call(measure, threads=1):
    for size, text in ((100, "100 bytes"), (1024, "1 KiB")):
        for order, title in (("zipf", "Zipf(0.99)"), ("uniform", "uniform")):
            yield local.name(measure, order, size, threads), f"{title}, {text}", "ns per call"


def all_at_once(measure, threads):
    for panel in per_call(measure, threads):
        yield *panel[:2], "million calls a second, both threads", lambda ns: 1e3 / ns, False


def figures():
    yield "get.svg", "A get that hits: one thread, 1,000,000 entries, value copied out", per_call("get")
    yield "get_two_threads.svg", "A get that hits: two threads", all_at_once("get", 2)
    yield "get_many.svg", "Sixteen keys at a time, per key", per_call("get_many")
    for threads, suffix, text, panels in ((1, "", "", per_call), (2, "_two_threads", ", two threads", all_at_once)):
        yield f"mix_95_5{suffix}.svg", f"95 % get, 5 % set{text}; a miss is set", panels("mix_95_5", threads)
        yield f"mix_50_50{suffix}.svg", f"Half get, half set{text}; a miss is set", panels("mix_50_50", threads)
    yield "set.svg", "A set that overwrites", per_call("set")
    yield "memory.svg", "Memory beyond keys and values, 1,000,000 entries", (
        ("memory", "resident", "bytes per entry"),)
    yield "replication.svg", "Two processes on one machine, values of 100 bytes", beside_redis()


def beside_redis():
    for quantile in ("p50", "p99"):
        yield f"visible/{quantile}", f"a write is seen by the other, {quantile}", "µs"
    yield "sustained", "writes replicated, at full speed", "million a second", float, False
    yield "catch_up", "a new replica holds all 1,000,000 entries", "ms"
    yield "bytes/stream", "on the wire, per entry of 16 + 100 bytes", "bytes"
    yield "wide/p99", "seen 50 ms away at 10,000 writes a second, p99", "ms"
    yield "applied", "received entries applied, per core", "million a second", float, False


def main():
    folder = pathlib.Path(sys.argv[1])
    samples = Samples.from_list(json.loads((folder / "results.json").read_text("utf-8"))["samples"])
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "path"
    from matplotlib import pyplot
    for file, heading, panels in figures():
        for drawn in figure(pyplot, folder, samples, file, heading, list(panels)):
            print(drawn)


if __name__ == "__main__":
    main()
