"""Results files read back: runs by cell and library, and ratios between runs of the same round."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read_results(path: Path) -> list[Record]:
    """The records of a results file, in the order taken; none if there is no such file.

    A last line cut short by a kill is left out.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and the range it comes from."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of at least one value."""
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))

    def scaled(self, factor: float) -> Spread:
        """The spread in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)

    def per(self, amount: float) -> Spread:
        """The spread of `amount / value`: a rate from times."""
        return Spread(amount / self.median, amount / self.high, amount / self.low)


@dataclass(frozen=True, slots=True)
class Runs:
    """One measurement of a cell, once a round.

    Attributes:
        records: round → record; failed runs are left out.
        failures: what the failed runs said, where no later run of that round succeeded.
    """

    library: str
    threads: int
    records: Mapping[int, Record]
    failures: tuple[str, ...]

    @property
    def any(self) -> Record:
        """A record, for what is the same in all."""
        return next(iter(self.records.values()))

    def spread(self, field: str) -> Spread:
        """Median and range of a field."""
        return Spread.of(record[field] for record in self.records.values())

    @property
    def digests(self) -> dict[str, object]:
        """The digests that are the same in every round; one that is not is the text "unstable"."""
        together: dict[str, object] = dict(self.any["digest"])
        for record in self.records.values():
            for name, value in record["digest"].items():
                if together.get(name) != value:
                    together[name] = "unstable"
        return together


def ratio(over: Runs, under: Runs, field: str) -> Spread | None:
    """`over`'s field by `under`'s, within each round: what the machine does from one round to the next falls on both.

    Only rounds that both have are used; None where there is none.
    """
    rounds = sorted(over.records.keys() & under.records.keys())
    if not rounds:
        return None
    return Spread.of(over.records[turn][field] / under.records[turn][field] for turn in rounds)


@dataclass(frozen=True, slots=True)
class Cell:
    """What was compared with one another, bbpe first where it took part."""

    name: str
    runs: tuple[Runs, ...]

    @property
    def bbpe(self) -> Runs | None:
        """bbpe's own runs with the fewest threads."""
        return next((runs for runs in self.runs if runs.library == "bbpe" and runs.records), None)

    def of(self, library: str) -> Runs | None:
        """A library's runs, None where none succeeded."""
        return next((runs for runs in self.runs if runs.library == library and runs.records), None)


def cells(records: Iterable[Record]) -> dict[str, Cell]:
    """Records by cell, in the order first taken; within a cell bbpe, then the others as first taken in any cell."""
    taken: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    order: dict[str, int] = {"bbpe": -1}
    for record in chain.from_iterable(map(_parts, records)):
        if "failed" not in record:
            reached = record.get("rss_after", record["rss_peak"])
            record = record | {"rss_growth": reached - record["rss_before"]}
        taken[record["cell"]][record["key"]].append(record)
        order.setdefault(record["library"], len(order))
    result = {}
    for name, by_key in taken.items():
        runs = []
        for key, found in by_key.items():
            good = {record["round"]: record for record in found if "failed" not in record}
            bad = {record["round"]: record["failed"] for record in found if "failed" in record}
            threads = int(key.split("--threads ")[1].split()[0]) if "--threads " in key else 1
            left = tuple(reason for turn, reason in bad.items() if turn not in good)
            runs.append(Runs(found[0]["library"], threads, good, left))
        runs.sort(key=lambda one: (order[one.library], one.threads))
        result[name] = Cell(name, tuple(runs))
    return result


def _parts(record: Record) -> Iterator[Record]:
    """A record of several measurements in a row as one for each, in a cell of its own; any other as it is."""
    failed: list[str] = record.get("part_names", [])
    parts: dict[str, Record] = record.get("parts") or {name: {} for name in failed}
    for name, part in parts.items():
        yield {**record, **part, "cell": f"{record['cell']}/{name}"}
    if not parts:
        yield record


def equality(runs: Runs, base: Runs | None) -> str:
    """Whether a library's result is bbpe's, by the strongest digest that both have, in words for a table."""
    if not runs.any["digest"]:
        return "other algorithm" if runs.any["task"] == "train" else "–"
    if "unstable" in runs.digests.values():
        return "**differs from round to round**"
    if base is None:
        return "–"
    if runs is base:
        return "–"
    for name, word in (("merges", "yes"), ("tokens", "yes (tokens)")):
        if name in runs.digests and name in base.digests:
            return word if runs.digests[name] == base.digests[name] else "**no**"
    if "number" in runs.digests and len(runs.digests) != len(base.digests):  # one of the two only counts
        return "yes (number)" if runs.digests["number"] == base.digests["number"] else "**no**"
    return "yes" if runs.digests == base.digests else "**no**"
