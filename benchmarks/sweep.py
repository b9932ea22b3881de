"""Many measurements in turn: round after round, and within a round every library of a cell one after another.

    python -m benchmarks.sweep results.jsonl                    # everything, five rounds
    python -m benchmarks.sweep results.jsonl --only 'train/zh'  # the cells whose names match
    python -m benchmarks.sweep results.jsonl --group scale      # one group of cells; --list names groups and cells
    python -m benchmarks.sweep quick.jsonl --quick              # small slices, one round: does it all still run?

A *cell* holds what is compared with one another: libraries on the same task, text and options. Machines are shared and
their speed drifts, so a ratio is only taken between two runs of the same round of the same cell. Each measurement is a
process of its own (`measure.py`) and one line in the results file, written as soon as it is there: a sweep that was
stopped goes on where it was. A file holds one commit of bbpe on one machine.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import provenance
from benchmarks.goals import GOALS
from benchmarks.measure import UNSUPPORTED
from benchmarks.pathological import CASES
from benchmarks.peers import PEERS
from benchmarks.results import read_results
from benchmarks.slices import MEGABYTE, Part

ROUNDS = 5
"""Rounds of a sweep unless told otherwise, and the fewest that `render.py` shows without a warning."""

ANY_VOCABULARY = ("bbpe", "tiktoken", "gigatoken", "fastokens", "snaptokens")
"""Those that take any vocabulary, without the ones that are nowhere near the quickest."""

ENCODERS = (*ANY_VOCABULARY, "tuetoken", "splintr-rs", "quicktok-v1", "toktok-rs", "rs-bpe")
"""With the others; some have cl100k_base and o200k_base built in, and nothing else."""

SLOW_ENCODERS = ("tokenizers", "tokie")
"""Only measured cold: they take most of the time, and tokie keeps nothing between calls."""

LOADERS = ("bbpe", "tiktoken", "tokenizers", "gigatoken", "fastokens", "tokie", "rs-bpe", "snaptokens", "tuetoken")
ENCODERS_IN_SHAPES = ("bbpe", "tiktoken", "gigatoken", "fastokens", "rs-bpe", "toktok-rs")
DECODERS_OF_ARRAYS = ("bbpe", "tiktoken", "gigatoken", "tokie", "toktok-rs", "splintr-rs")
DECODERS_OF_LISTS = ("bbpe", "tiktoken", "gigatoken", "tokie", "rs-bpe", "toktok-rs", "splintr-rs")
COUNTERS = ("bbpe", "quicktok-v1", "toktok-rs", "tuetoken")
ENCODERS_OF_HARD = ("bbpe", "tiktoken", "gigatoken", "fastokens", "rs-bpe", "quicktok-v1", "toktok-rs", "tuetoken")

STATES = ("cold", "hot", "steady")

RICH_VOCABULARIES = ("qwen2", "deepseek-v2", "glm-4.6", "bbpe-64k")
"""Vocabularies with many words of Chinese, which cut less, so that more is to be looked up and merged."""


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
    """Measurements that are compared with one another.

    Attributes:
        parts: where a measurement takes several things in a row: what is compared is called `name/part` then.
    """

    name: str
    measurements: tuple[Measurement, ...]
    parts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Under which names its results are found."""
        return tuple(f"{self.name}/{part}" for part in self.parts) or (self.name,)


@dataclass(frozen=True, slots=True)
class Text:
    """A text beside the two languages that everything is measured in: a corpus, and parts that share no text."""

    corpus: str
    held_out: Part
    warm: Part

    def quick(self) -> Text:
        """As much of it as tells whether everything runs."""
        most = MEGABYTE // 10
        return Text(
            self.corpus,
            Part("last", min(self.held_out.size, most)),
            Part("first", min(self.warm.size, most)),
        )


def _text(corpus: str, held_out: float, warm: float) -> Text:
    return Text(corpus, Part("last", int(held_out * MEGABYTE)), Part("first", int(warm * MEGABYTE)))


OTHER_TEXTS = {
    "mixed": _text("mixed-zh-en", 1.2, 2.4),
    "code": _text("python-stdlib", 5, 20),
    "classical": _text("zh-classical", 1.25, 2.5),
    "social": _text("emoji-social", 1, 2),
    "thai": _text("ntrex/tha", 0.2, 0.25),
    "korean": _text("ntrex/kor", 0.1, 0.12),
}
"""Steady is after less than 20 MB where there is no more."""

SCALES = {
    "zh": ("zh-web", (10, 30, 98)),
    "en": ("en-web", (10, 30, 98)),
    "mixed": ("zh-web+en-web", (5, 15, 49, 98)),
}
"""What training is measured on: corpora and megabytes of each; of a mixture, of each of its two."""

CURVE_SIZES = (1, 3)
CURVE_VOCABULARIES = (4_000, 8_000, 16_000, 64_000, 200_000)
"""Further points of the curves: with the quickest libraries alone, sizes at 32,000 tokens, vocabularies at 30 MB."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much text each task is given."""

    train: Part
    vocab_size: int
    held_out: Part
    warm: Part
    threads: Part
    memory: Part
    scales: tuple[int, ...]  # of those of SCALES, in megabytes; the others are left out
    scale_vocabularies: tuple[int, ...]


FULL = Sizes(
    train=Part("first", 30 * MEGABYTE),
    vocab_size=32_000,
    held_out=Part("last", 10 * MEGABYTE),
    warm=Part("first", 20 * MEGABYTE),
    threads=Part("first", 90 * MEGABYTE),
    memory=Part("first", 40 * MEGABYTE),
    scales=(5, 10, 15, 30, 49, 98),
    scale_vocabularies=(32_000, 100_000),
)
QUICK = Sizes(
    train=Part("first", 2 * MEGABYTE),
    vocab_size=8_000,
    held_out=Part("last", 1 * MEGABYTE),
    warm=Part("first", 2 * MEGABYTE),
    threads=Part("last", 2 * MEGABYTE),
    memory=Part("first", 2 * MEGABYTE),
    scales=(),
    scale_vocabularies=(),
)


def plan(
    corpora: dict[str, str], sizes: Sizes, vocabularies: Sequence[str], others: Mapping[str, Text] = OTHER_TEXTS
) -> Iterator[Cell]:
    """All cells, the quick ones first. The first part of a cell's name is its group.

    Args:
        corpora: a short name for tables → a path, or a name in `$BBPE_HOME/corpora`.
        sizes: how much text.
        vocabularies: published vocabularies to encode with; with the first, everything is measured.
        others: texts that are only encoded, with the first vocabulary.
    """
    first = vocabularies[0]
    yield _cell("import", "import", LOADERS, ())
    for vocabulary in vocabularies:
        yield _cell(f"load/{vocabulary}", "load", LOADERS, ("--vocabulary", vocabulary))
    yield _cell(f"hard/{first}", "hard", ENCODERS_OF_HARD, ("--vocabulary", first), tuple(CASES))
    for short, corpus in corpora.items():
        for vocabulary in vocabularies:
            yield from _encoding(short, Text(corpus, sizes.held_out, sizes.warm), vocabulary, ENCODERS)
        slow = ("--corpus", corpus, "--part", str(sizes.held_out), "--vocabulary", first, "--state", "cold")
        yield _cell(f"encode/{short}/{first}/cold", "encode", SLOW_ENCODERS, slow)
        yield from _shapes(short, corpus, sizes, first)
        yield from _decoding(short, corpus, sizes, first)
        yield from _threads(short, corpus, sizes, first)
        yield from _training(short, corpus, sizes)
        options = ("--corpus", corpus, "--part", str(sizes.memory), "--vocabulary", first)
        yield _cell(f"memory/{short}/{first}", "memory", ANY_VOCABULARY, options)
    for short, text in others.items():
        yield from _encoding(short, text if sizes is FULL else text.quick(), first)
    for vocabulary in RICH_VOCABULARIES:
        if vocabulary not in vocabularies and "zh" in corpora:
            yield from _encoding("zh", Text(corpora["zh"], sizes.held_out, sizes.warm), vocabulary)
    yield from _scaling(sizes)


def _cell(
    name: str, task: str, libraries: Iterable[str], options: tuple[str, ...], parts: tuple[str, ...] = ()
) -> Cell:
    return Cell(name, tuple(Measurement(task, library, options) for library in libraries), parts)


def _encoding(short: str, text: Text, vocabulary: str, libraries: Sequence[str] = ANY_VOCABULARY) -> Iterator[Cell]:
    """Cold, hot and steady, one after another in a process, since loading takes longer than encoding."""
    parts = ("--corpus", text.corpus, "--part", str(text.held_out), "--warm", str(text.warm))
    options = (*parts, "--vocabulary", vocabulary, "--state", "all")
    yield _cell(f"encode/{short}/{vocabulary}", "encode", libraries, options, STATES)


def _shapes(short: str, corpus: str, sizes: Sizes, vocabulary: str) -> Iterator[Cell]:
    base = ("--corpus", corpus, "--part", str(sizes.held_out), "--vocabulary", vocabulary)
    for shape, libraries in (
        ("each", ENCODERS_IN_SHAPES),
        ("count", COUNTERS),
        ("lists", ENCODERS_IN_SHAPES),
        ("short", ENCODERS_IN_SHAPES),
        ("short-lists", ENCODERS_IN_SHAPES),
        ("short-batch", ENCODERS_IN_SHAPES),
    ):
        # Many short texts are more than the held-out part has.
        part = ("--part", str(Part("last", 2 * sizes.held_out.size))) if shape.startswith("short") else ()
        yield _cell(f"encode/{short}/{vocabulary}/{shape}", "encode", libraries, (*base, *part, "--shape", shape))


def _decoding(short: str, corpus: str, sizes: Sizes, vocabulary: str) -> Iterator[Cell]:
    base = ("--corpus", corpus, "--part", str(sizes.held_out), "--vocabulary", vocabulary)
    for shape, libraries in (("array", DECODERS_OF_ARRAYS), ("list", DECODERS_OF_LISTS)):
        yield _cell(f"decode/{short}/{vocabulary}/{shape}", "decode", libraries, (*base, "--shape", shape))


def _threads(short: str, corpus: str, sizes: Sizes, vocabulary: str) -> Iterator[Cell]:
    """One thread and two, of the same library: each cell is compared within itself."""
    text = ("--corpus", corpus, "--part", str(sizes.threads))
    for library in ("bbpe", "tiktoken", "gigatoken", "fastokens", "snaptokens"):
        options = (*text, "--vocabulary", vocabulary)
        yield _one_and_two(f"threads/{short}/encode/{library}", "encode", library, options)
    for source in ("memory", "file"):
        yield _one_and_two(f"threads/{short}/count {source}/bbpe", "count", "bbpe", (*text, "--source", source))
    options = ("--corpus", corpus, "--part", str(sizes.train), "--vocab-size", str(sizes.vocab_size))
    yield _one_and_two(f"threads/{short}/train/bbpe", "train", "bbpe", options)


def _one_and_two(name: str, task: str, library: str, options: tuple[str, ...]) -> Cell:
    return Cell(name, tuple(Measurement(task, library, (*options, "--threads", str(n))) for n in (1, 2)))


TRAINERS = (
    ("llama3", "gpt2", ("bbpe", "tokenizers", "sentencepiece")),
    ("llama3", "value", ("bbpe", "rustbpe", "ffbpe", "bpeasy")),
    ("gpt2", "gpt2", ("bbpe", "gigatoken", "gigabpe")),
)
"""Pattern, order of the bytes, and libraries that can be told both, or have them: with the same tie rule, the same merges."""


def _training(short: str, corpus: str, sizes: Sizes) -> Iterator[Cell]:
    """Libraries that break ties alike and take the same pattern, with bbpe doing as they do."""
    base = ("--corpus", corpus, "--part", str(sizes.train), "--vocab-size", str(sizes.vocab_size))
    for pattern, ties, libraries in TRAINERS:
        options = (*base, "--pattern", pattern, "--ties", ties)
        yield _cell(f"train/{short}/{pattern}/{ties}", "train", libraries, options)


def _scaling(sizes: Sizes) -> Iterator[Cell]:
    """Training on more text and to more tokens. The slowest libraries take minutes: `--library` leaves them out."""
    quickest = (("gpt2", "gpt2", ("bbpe", "gigabpe")),)
    for short, (corpus, amounts) in SCALES.items():
        amounts = tuple(amount for amount in amounts if amount in sizes.scales)
        wanted = [(amount, vocab_size, TRAINERS) for amount in amounts for vocab_size in sizes.scale_vocabularies]
        if short != "mixed" and wanted:
            wanted += [(amount, 32_000, quickest) for amount in CURVE_SIZES]
            wanted += [(30, vocab_size, quickest) for vocab_size in CURVE_VOCABULARIES]
        for amount, vocab_size, trainers in wanted:
            part = str(Part("first", amount * MEGABYTE))
            base = ("--corpus", corpus, "--part", part, "--vocab-size", str(vocab_size))
            for pattern, ties, libraries in trainers:
                name = f"scale/{short}/{amount * (1 + corpus.count('+'))}MB/{vocab_size // 1000}k/{pattern}/{ties}"
                yield _cell(name, "train", libraries, (*base, "--pattern", pattern, "--ties", ties))


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
            record |= {"task": measurement.task, "library": measurement.library, "part_names": list(cell.parts)}
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
    return _with(cells, named - missing)


def _with(cells: Iterable[Cell], libraries: Container[str]) -> list[Cell]:
    """The cells with these libraries alone, without those that have none."""
    kept = (replace(c, measurements=tuple(m for m in c.measurements if m.library in libraries)) for c in cells)
    return [cell for cell in kept if cell.measurements]


def main() -> None:
    """Sweep as the command line says; exit 1 if a measurement failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description="Take many measurements in turn.")
    parser.add_argument("results", type=Path, help="the JSON-lines file to add to")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="small slices: does everything run, are results equal?")
    parser.add_argument("--only", default="", help="a regular expression: cells whose names it is found in")
    parser.add_argument("--goals", action="store_true", help="only the cells that goals.py speaks of")
    groups = "import load hard encode decode threads train memory scale"
    parser.add_argument("--group", action="append", choices=groups.split(), help="only these groups (repeatable)")
    parser.add_argument("--library", action="append", help="only these libraries (repeatable)")
    parser.add_argument("--corpus", action="append", metavar="NAME=PATH", help="default zh=zh-web and en=en-web")
    parser.add_argument("--vocabulary", action="append", help="published vocabularies; default two of OpenAI's")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one measurement, default 900")
    parser.add_argument("--list", action="store_true", help="name the cells and do nothing")
    options = parser.parse_args()

    corpora = dict(named.split("=", 1) for named in options.corpus or ("zh=zh-web", "en=en-web"))
    sizes = QUICK if options.quick else FULL
    others = OTHER_TEXTS if options.corpus is None else {}
    every = plan(corpora, sizes, options.vocabulary or ["cl100k_base", "o200k_base"], others)
    cells = [cell for cell in every if re.search(options.only, cell.name)]
    if options.goals:
        named = {name for goal in GOALS for name in (goal.cell, goal.peer_cell)}
        cells = [cell for cell in cells if named.intersection(cell.names)]
    if options.group:
        cells = [cell for cell in cells if cell.name.split("/")[0] in options.group]
    if options.library:
        cells = _with(cells, set(options.library))
    cells = installed(cells)
    if options.list:
        for cell in cells:
            parts = f" ({', '.join(cell.parts)})" if cell.parts else ""
            print(f"{cell.name}{parts}: {', '.join(measurement.library for measurement in cell.measurements)}")
        return
    # A library that is installed is compiled; of one that runs from a checkout, modules would be while it is measured.
    compileall.compile_dir(Path(__file__).resolve().parent.parent / "bbpe", quiet=1)
    failed = Sweep(options.results, options.timeout).run(cells, options.rounds or (1 if options.quick else ROUNDS))
    if failed:
        sys.exit(f'{failed} measurements failed; see the lines with "failed" in {options.results}')


if __name__ == "__main__":
    main()
