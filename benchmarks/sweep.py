"""Many measurements in turn: round after round, and within a round every library of a cell one after another.

    python -m benchmarks.sweep results.jsonl                    # everything, five rounds
    python -m benchmarks.sweep results.jsonl --only 'train/zh'  # the cells whose names match
    python -m benchmarks.sweep quick.jsonl --quick              # small slices, one round: does it all still run?

A *cell* holds what is compared with one another: libraries on the same task, text and options. Machines are shared and
their speed drifts, so a ratio is only taken between two runs of the same round of the same cell. Each measurement is a
process of its own (`measure.py`) and one line in the results file, written as soon as it is there: a sweep that was
stopped goes on where it was. A file holds one commit of bbpe on one machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import provenance
from benchmarks.goals import GOALS
from benchmarks.measure import UNSUPPORTED
from benchmarks.peers import PEERS
from benchmarks.results import read_results
from benchmarks.slices import MEGABYTE, Part, cut_slice

ROUNDS = 5
"""Rounds of a sweep unless told otherwise, and the fewest that `render.py` shows without a warning."""

ENCODERS = ("bbpe", "tiktoken", "tokenizers", "gigatoken", "fastokens", "tokie", "rs-bpe")
DECODERS_OF_ARRAYS = ("bbpe", "tiktoken", "gigatoken", "tokie")
DECODERS_OF_LISTS = ("bbpe", "tiktoken", "tokenizers", "gigatoken", "fastokens", "tokie", "rs-bpe")
SOME_ENCODERS = ("bbpe", "tiktoken", "gigatoken", "fastokens", "rs-bpe")
"""Those that the shapes of a call are compared for; the others would take most of the time."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One call of `measure.py`: a library and the options it is measured with."""

    task: str
    library: str
    options: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """The command line for `measure.py`."""
        return [self.task, "--library", self.library, *self.options]

    @property
    def key(self) -> str:
        """What tells this measurement from every other of its round."""
        return " ".join(self.arguments)


@dataclass(frozen=True, slots=True)
class Cell:
    """Measurements that are compared with one another."""

    name: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much text each task is given."""

    train: Part
    vocab_size: int
    held_out: Part
    warm: Part
    threads: Part


FULL = Sizes(
    train=Part("first", 30 * MEGABYTE),
    vocab_size=32_000,
    held_out=Part("last", 30 * MEGABYTE),
    warm=Part("first", 20 * MEGABYTE),
    threads=Part("first", 90 * MEGABYTE),
)
QUICK = Sizes(
    train=Part("first", 2 * MEGABYTE),
    vocab_size=8_000,
    held_out=Part("last", 1 * MEGABYTE),
    warm=Part("first", 2 * MEGABYTE),
    threads=Part("last", 2 * MEGABYTE),
)


def plan(corpora: dict[str, str], sizes: Sizes, vocabularies: Sequence[str]) -> Iterator[Cell]:
    """All cells, the quick ones first.

    Args:
        corpora: a short name for tables → a path, or a name in `$BBPE_HOME/corpora`.
        sizes: how much text.
        vocabularies: published vocabularies to encode with.
    """
    yield _cell("import", "import", ENCODERS, ())
    for vocabulary in vocabularies:
        yield _cell(f"load/{vocabulary}", "load", ENCODERS, ("--vocabulary", vocabulary))
    for short, corpus in corpora.items():
        for vocabulary in vocabularies:
            yield from _encoding(short, corpus, sizes, vocabulary)
        yield from _decoding(short, corpus, sizes, vocabularies[0])
        yield from _threads(short, corpus, sizes, vocabularies[0])
        yield from _training(short, corpus, sizes)


def _cell(name: str, task: str, libraries: Iterable[str], options: tuple[str, ...]) -> Cell:
    return Cell(name, tuple(Measurement(task, library, options) for library in libraries))


def _encoding(short: str, corpus: str, sizes: Sizes, vocabulary: str) -> Iterator[Cell]:
    base = ("--corpus", corpus, "--part", str(sizes.held_out), "--vocabulary", vocabulary)
    for state in ("cold", "steady", "hot"):
        warm = ("--warm", str(sizes.warm)) if state == "steady" else ()
        # tokie keeps no cache between calls, so one state says it all and the other two would only take time.
        libraries = ENCODERS if state == "cold" else [name for name in ENCODERS if name != "tokie"]
        yield _cell(f"encode/{short}/{vocabulary}/{state}", "encode", libraries, (*base, "--state", state, *warm))
    for shape in ("each", "short", "short-batch"):
        yield _cell(f"encode/{short}/{vocabulary}/{shape}", "encode", SOME_ENCODERS, (*base, "--shape", shape))


def _decoding(short: str, corpus: str, sizes: Sizes, vocabulary: str) -> Iterator[Cell]:
    base = ("--corpus", corpus, "--part", str(sizes.held_out), "--vocabulary", vocabulary)
    for shape, libraries in (("array", DECODERS_OF_ARRAYS), ("list", DECODERS_OF_LISTS)):
        yield _cell(f"decode/{short}/{vocabulary}/{shape}", "decode", libraries, (*base, "--shape", shape))


def _threads(short: str, corpus: str, sizes: Sizes, vocabulary: str) -> Iterator[Cell]:
    """One thread and two, of the same library: each cell is compared within itself."""
    text = ("--corpus", corpus, "--part", str(sizes.threads))
    for library in ENCODERS:
        if library != "tokie" and library != "rs-bpe":
            options = (*text, "--vocabulary", vocabulary)
            yield _one_and_two(f"threads/{short}/encode/{library}", "encode", library, options)
    for source in ("memory", "file"):
        yield _one_and_two(f"threads/{short}/count {source}/bbpe", "count", "bbpe", (*text, "--source", source))
    options = ("--corpus", corpus, "--part", str(sizes.train), "--vocab-size", str(sizes.vocab_size))
    yield _one_and_two(f"threads/{short}/train/bbpe", "train", "bbpe", options)


def _one_and_two(name: str, task: str, library: str, options: tuple[str, ...]) -> Cell:
    return Cell(name, tuple(Measurement(task, library, (*options, "--threads", str(n))) for n in (1, 2)))


def _training(short: str, corpus: str, sizes: Sizes) -> Iterator[Cell]:
    """Libraries that break ties alike and take the same pattern, with bbpe doing as they do."""
    base = ("--corpus", corpus, "--part", str(sizes.train), "--vocab-size", str(sizes.vocab_size))
    for pattern, ties, libraries in (
        ("llama3", "gpt2", ("bbpe", "tokenizers", "sentencepiece")),
        ("llama3", "value", ("bbpe", "rustbpe", "ffbpe")),
        ("gpt2", "gpt2", ("bbpe", "gigatoken")),
    ):
        options = (*base, "--pattern", pattern, "--ties", ties)
        yield _cell(f"train/{short}/{pattern}/{ties}", "train", libraries, options)


class Sweep:
    """A results file and the measurements that it still lacks."""

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        self.done: set[tuple[int, str, str]] = set()
        _drop_half_line(path)
        for record in read_results(path):
            for name, here in (("commit", provenance.commit()), ("machine", provenance.machine())):
                if record.get(name) != here:
                    sys.exit(
                        f"{path} holds measurements of another {name}: {record.get(name)}, here {here}. "
                        "Ratios are taken within one run: name another file, or delete this one."
                    )
            if "failed" not in record:
                self.done.add((record["round"], record["cell"], record["key"]))

    def run(self, cells: Sequence[Cell], rounds: int) -> int:
        """Take what is missing; how many failed."""
        failed = 0
        for turn in range(1, rounds + 1):
            for cell in cells:
                # Who comes first changes from round to round, so that no library always follows the same other.
                start = turn % len(cell.measurements)
                for measurement in (*cell.measurements[start:], *cell.measurements[:start]):
                    if (turn, cell.name, measurement.key) not in self.done:
                        failed += not self._take(turn, cell, measurement, rounds)
        return failed

    def _take(self, turn: int, cell: Cell, measurement: Measurement, rounds: int) -> bool:
        record: dict[str, Any] = {"round": turn, "cell": cell.name, "key": measurement.key}
        command = [sys.executable, "-m", "benchmarks.measure", *measurement.arguments]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=self.timeout, check=False)
        except subprocess.TimeoutExpired:
            record["failed"] = f"no result after {self.timeout:g} s"
        else:
            if ended.returncode == UNSUPPORTED:
                print(f"{cell.name}: {ended.stderr.strip()}", file=sys.stderr, flush=True)
                return True
            if ended.returncode == 0:
                record |= json.loads(ended.stdout)
            else:
                lines = ended.stderr.strip().splitlines()
                record["failed"] = lines[-1][:500] if lines else f"exit {ended.returncode}"
        if "failed" in record:
            record |= {"task": measurement.task, "library": measurement.library}
            record |= {"commit": provenance.commit(), "machine": provenance.machine()}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        said = record.get("failed") or f"{record['cpu_seconds']:.3f} s CPU, {record['rss_peak'] / MEGABYTE:.0f} MB"
        print(f"round {turn}/{rounds} {cell.name}: {measurement.library}: {said}", file=sys.stderr, flush=True)
        return "failed" not in record


def _drop_half_line(path: Path) -> None:
    """Take off a last line that a kill cut short, so that the next record begins a line."""
    if path.exists():
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            path.write_bytes(data[: data.rfind(b"\n") + 1])


def installed(cells: Iterable[Cell]) -> list[Cell]:
    """The cells without the libraries that are not installed, which are named on stderr."""
    cells = list(cells)
    named = {measurement.library for cell in cells for measurement in cell.measurements}
    missing = {library for library in named if importlib.util.find_spec(PEERS[library].module) is None}
    for library in sorted(missing):
        print(f"{library} is not installed and left out", file=sys.stderr)
    kept = (Cell(c.name, tuple(m for m in c.measurements if m.library not in missing)) for c in cells)
    return [cell for cell in kept if cell.measurements]


def main() -> None:
    """Sweep as the command line says; exit 1 if a measurement failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description="Take many measurements in turn.")
    parser.add_argument("results", type=Path, help="the JSON-lines file to add to")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="small slices: does everything run, are results equal?")
    parser.add_argument("--only", default="", help="a regular expression: cells whose names it is found in")
    parser.add_argument("--goals", action="store_true", help="only the cells that goals.py speaks of")
    parser.add_argument("--library", action="append", help="only these libraries (repeatable)")
    parser.add_argument("--corpus", action="append", metavar="NAME=PATH", help="default zh=zh-web and en=en-web")
    parser.add_argument("--vocabulary", action="append", help="published vocabularies; default cl100k_base")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one measurement, default 900")
    parser.add_argument("--list", action="store_true", help="name the cells and do nothing")
    options = parser.parse_args()

    corpora = dict(named.split("=", 1) for named in options.corpus or ("zh=zh-web", "en=en-web"))
    sizes = QUICK if options.quick else FULL
    every = plan(corpora, sizes, options.vocabulary or ["cl100k_base"])
    cells = [cell for cell in every if re.search(options.only, cell.name)]
    if options.goals:
        named = {goal.cell for goal in GOALS}
        cells = [cell for cell in cells if cell.name in named]
    if options.library:
        wanted = set(options.library)
        cells = [Cell(c.name, tuple(m for m in c.measurements if m.library in wanted)) for c in cells]
    cells = installed(cells)
    if options.list:
        for cell in cells:
            print(f"{cell.name}: {', '.join(measurement.library for measurement in cell.measurements)}")
        return
    for corpus in corpora.values():
        for part in (sizes.train, sizes.held_out, sizes.warm, sizes.threads):
            cut_slice(corpus, part)
    failed = Sweep(options.results, options.timeout).run(cells, options.rounds or (1 if options.quick else ROUNDS))
    if failed:
        sys.exit(f'{failed} measurements failed; see the lines with "failed" in {options.results}')


if __name__ == "__main__":
    main()
