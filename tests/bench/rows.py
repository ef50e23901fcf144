"""The table: what is reached, beside what it is compared with and what was aimed at."""
import dataclasses
import statistics


@dataclasses.dataclass
class Aim:
    """`reached` is to be at most `bound`, or at least."""
    text: str
    reached: float
    bound: float
    at_least: bool = False
    unit: str = "×"

    @property
    def met(self):
        return self.reached >= self.bound if self.at_least else self.reached <= self.bound


@dataclasses.dataclass
class Row:
    title: str
    unit: str
    values: list  # one for each round
    limit: float = None
    peer: str = None  # the best one
    peer_value: float = None
    aims: list = dataclasses.field(default_factory=list)

    @property
    def median(self):
        return statistics.median(self.values)

    def as_dict(self):
        return {**dataclasses.asdict(self), "median": self.median,
                "aims": [{**dataclasses.asdict(aim), "met": aim.met} for aim in self.aims]}


def number(value):
    """Three digits that count, but no fractions of what is large."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def with_spread(row):
    text = f"**{number(row.median)}** {row.unit}"
    return text if len(row.values) < 2 else f"{text} ({number(min(row.values))}–{number(max(row.values))})"


def times(value, to):
    return f" ({number(value / to)} ×)" if to else ""


def markdown(sections):
    """{heading: rows} as tables."""
    lines = []
    for heading, rows in sections.items():
        lines += [f"### {heading}", "", "| measure | geolru: median (least–most) | best peer | limit | aim: reached |",
                  "| --- | --- | --- | --- | --- |"]
        for row in rows:
            peer = f"{row.peer} {number(row.peer_value)}{times(row.median, row.peer_value)}" if row.peer else ""
            limit = f"{number(row.limit)}{times(row.median, row.limit)}" if row.limit else ""
            aims = "; ".join(f"{aim.text}: {number(aim.reached)}{' ' if aim.unit != '×' else ''}{aim.unit},"
                             f" {'met' if aim.met else '**not met**'}".replace("×,", " ×,") for aim in row.aims)
            lines.append(f"| {row.title} | {with_spread(row)} | {peer} | {limit} | {aims} |")
        lines.append("")
    return "\n".join(lines)
