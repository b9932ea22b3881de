"""How many distinct pretokens a corpus has, the larger it grows; what counting costs alone and through Spark.

    python -m benchmarks.growth count zh-web en-web [--pattern llama3]    # sizes from 1 MB on, and the law they follow
    python -m benchmarks.growth rare zh-web en-web                        # what a vocabulary loses by --min-pretoken-count
    python -m benchmarks.growth spark zh-web en-web [--size 30MB]         # CPU seconds of workers and of Java, shuffle
    python -m benchmarks.growth render                                    # the tables of docs/scale.md

Each run adds its lines to `results/growth.jsonl`. Heaps' law says that n bytes of text have K·n^β distinct pretokens
(H. S. Heaps, Information Retrieval, 1978). K and β are fitted by least squares to the logarithms; how far the fit is off
stands beside it, and also how far a fit to the sizes up to a third of the largest is off at the largest: an
extrapolation by a factor of 100,000 is no better than that, and probably worse. Bytes of text, not pretokens, are the
measure of size, because that is what is known of a corpus before it is counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bbpe.counts import Counts, count_pretokens
from bbpe.training import train
from benchmarks.measure import timed
from benchmarks.provenance import commit, machine, moment, version
from benchmarks.slices import MEGABYTE, SEPARATOR, Part, cut_slice

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "growth.jsonl"
PAGE = ROOT / "docs" / "scale.md"
LEASTS = (1, 2, 3, 5, 10)
"""What the rare pretokens are left out below: `--min-pretoken-count`."""

TERABYTES_10 = 10_000_000 * MEGABYTE
GIGABYTE = 1000 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Law:
    """K·n^β.

    Attributes:
        k: K.
        beta: β.
        residuals: at each size measured, by how much the measured number is above the law's: 0.01 is a hundredth.
        held_out: the same at the largest size, for a law fitted to the sizes up to a third of it.
    """

    k: float
    beta: float
    residuals: tuple[float, ...]
    held_out: float

    @classmethod
    def fitted(cls, sizes: Sequence[int], numbers: Sequence[int]) -> Law:
        """Fit it.

        >>> law = Law.fitted([1, 10, 100, 1000], [3, 30, 300, 3000])
        >>> round(law.k, 6), round(law.beta, 6), round(law.held_out, 6)
        (3.0, 1.0, 0.0)
        """
        beta, log_k = np.polyfit(np.log(sizes), np.log(numbers), 1)
        law = cls(math.exp(log_k), float(beta), (), 0.0)
        smaller = [place for place, size in enumerate(sizes) if size * 3 <= sizes[-1]]
        beta, log_k = np.polyfit(np.log([sizes[i] for i in smaller]), np.log([numbers[i] for i in smaller]), 1)
        held_out = cls(math.exp(log_k), float(beta), (), 0.0)
        residuals = tuple(number / law(size) - 1 for size, number in zip(sizes, numbers, strict=True))
        return cls(law.k, law.beta, residuals, numbers[-1] / held_out(sizes[-1]) - 1)

    def __call__(self, size: float) -> float:
        """How many there are in so many bytes of text."""
        return self.k * size**self.beta


def _points(corpus: str, sizes: Sequence[int], pattern: str, cap: int | None) -> Iterator[dict[str, Any]]:
    """The counts of the first megabytes of a corpus, each size going on from the one before."""
    documents = [each for each in cut_slice(corpus, Part("first", sizes[-1])).data().split(SEPARATOR) if each]
    counts: Counts | None = None
    done = text = 0
    cpu = 0.0
    for size in sizes:
        first = done
        while done < len(documents) and (text < size or size == sizes[-1]):
            text += len(documents[done])
            done += 1
        begun = time.process_time()
        more = count_pretokens(documents[first:done], pattern=pattern, max_pretoken_bytes=cap, threads=1)
        cpu += time.process_time() - begun
        counts = more if counts is None else counts + more
        lengths = np.diff(counts.offsets)
        yield {
            "bytes": counts.bytes,
            "documents": counts.documents,
            "pretokens": counts.pretokens,
            "cpu_seconds": round(cpu, 3),
            "at_least": {
                str(least): {
                    "distinct": int((kept := counts.counts >= least).sum()),
                    "distinct_bytes": int(lengths[kept].sum()),
                    "bytes": int((lengths[kept] * counts.counts[kept]).sum()),
                }
                for least in LEASTS
            },
        }


def count(corpus: str, pattern: str, sizes: Sequence[int], cap: int | None) -> dict[str, Any]:
    """Measure growth and fit it."""
    points = list(_points(corpus, sizes, pattern, cap))
    at = [point["bytes"] for point in points]
    laws = {
        str(least): asdict(Law.fitted(at, [point["at_least"][str(least)]["distinct"] for point in points]))
        for least in LEASTS
    }
    return {"task": "count", "corpus": corpus, "pattern": pattern, "cap": cap, "points": points, "laws": laws}


def rare(corpus: str, pattern: str, size: int, vocab_size: int = 32_000) -> dict[str, Any]:
    """What a vocabulary loses when rare pretokens are left out, and when less text is counted: on text not learned from."""
    text = cut_slice(corpus, Part("first", size)).documents()
    held_out = cut_slice(corpus, Part("last", 10 * MEGABYTE)).documents()
    characters = sum(map(len, held_out))
    whole = count_pretokens(text, pattern=pattern)
    learned = [(f"{least}", whole.without_rare(least)) for least in LEASTS]
    part = count_pretokens(text[: len(text) // 10], pattern=pattern)
    learned.append(("1, of a tenth of the text", part))
    rows = []
    for name, counts in learned:
        tokenizer, took = timed(lambda counts=counts: train(counts, vocab_size, threads=1))
        rows.append(
            {
                "least": name,
                "distinct": len(counts),
                "distinct_bytes": len(counts.data),
                "bytes": counts.bytes,
                "vocab_size": tokenizer.vocabulary.vocab_size,
                "cpu_seconds": round(took.cpu_seconds, 2),
                "memory": took.rss_peak - took.rss_before,
                "tokens_per_character": round(sum(map(len, tokenizer.encode_batch(held_out))) / characters, 5),
            }
        )
    return {"task": "rare", "corpus": corpus, "pattern": pattern, "bytes": whole.bytes, "rows": rows}


def through_spark(corpus: str, pattern: str, size: int) -> dict[str, Any]:
    """Count a slice through `mapInArrow`, from Parquet that Spark reads, and from the same Parquet read by workers."""
    import bbpe.spark

    text = cut_slice(corpus, Part("first", size))
    documents = text.documents()
    import pyarrow
    import pyarrow.parquet

    begun = time.process_time()
    alone = count_pretokens(documents, pattern=pattern, threads=1)
    cpu_alone = time.process_time() - begun
    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "8", "spark.log.level": "OFF"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": documents}), path, row_group_size=1000)
        with bbpe.spark.session("local[2]", settings, log=Path(folder) / "log") as session:
            frame = session.read.parquet(str(path)).repartition(2).cache()
            frame.count()
            function = bbpe.spark.count_documents(pattern=pattern)
            bbpe.spark.count_pretokens(frame.limit(100), pattern=pattern)  # what is begun once is begun
            with _pandas_ignored():
                (worker,) = frame.mapInArrow(_Timed(function), "cpu double, rows long").groupBy().sum().collect()
            java = _Java(session)
            counts = bbpe.spark.count_pretokens(frame, pattern=pattern)
            if dict(counts.items()) != dict(alone.items()):
                raise AssertionError("Spark's counts are not those of one process")
            used, written, records = java.used()
    return {
        "task": "spark",
        "corpus": corpus,
        "pattern": pattern,
        "bytes": counts.bytes,
        "distinct": len(counts),
        "cpu_seconds_alone": round(cpu_alone, 3),
        "cpu_seconds_workers": round(worker[0], 3),
        "cpu_seconds_java": round(used, 3),
        "partial_rows": worker[1],
        "shuffle_bytes": written,
        "shuffle_records": records,
        "pyspark": version("pyspark"),
    }


@contextlib.contextmanager
def _pandas_ignored() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@dataclass(frozen=True, slots=True)
class _Timed:
    """Runs a function for `mapInArrow` in a worker and says the CPU seconds it took there, Arrow's part included."""

    function: Callable[[Any], Iterator[Any]]

    def __call__(self, batches: Any) -> Iterator[Any]:
        import pyarrow

        begun = time.process_time()
        rows = sum(batch.num_rows for batch in self.function(batches))
        yield pyarrow.record_batch({"cpu": [time.process_time() - begun], "rows": [rows]})


class _Java:
    """What Spark's Java process used since this was made."""

    def __init__(self, session: Any) -> None:
        self._context = session.sparkContext
        self._before = self._cpu()
        self._stages = self._last_stage()

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._context._gateway.proc.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _stage(self, number: int) -> Any:
        return self._context._jsc.sc().statusStore().lastStageAttempt(number)

    def _last_stage(self) -> int:
        number = 0
        with contextlib.suppress(Exception):  # there is no such stage
            while True:
                self._stage(number)
                number += 1
        return number

    def used(self) -> tuple[float, int, int]:
        """CPU seconds; bytes and records written for shuffles."""
        stages = [self._stage(number) for number in range(self._stages, self._last_stage())]
        written = sum(stage.shuffleWriteBytes() for stage in stages)
        return self._cpu() - self._before, written, sum(stage.shuffleWriteRecords() for stage in stages)


# --- the tables -------------------------------------------------------------------------------------------------------


def records() -> dict[tuple[str, str, str], dict[str, Any]]:
    """The last line of each task, corpus and pattern (with the cap on pretokens, where there was one)."""
    found = {}
    for line in map(json.loads, RESULTS.read_text("utf-8").splitlines()):
        cap = f" in at most {line['cap']} bytes" if line.get("cap") else ""
        found[line["task"], line["corpus"], line["pattern"] + cap] = line
    return found


def tables() -> dict[str, str]:
    """The tables of the page, by name."""
    found = records()
    count = {key[1:]: line for key, line in sorted(found.items(), reverse=True) if key[0] == "count"}
    spark = {key[1]: line for key, line in sorted(found.items(), reverse=True) if key[0] == "spark"}
    rare = {key[1]: line for key, line in sorted(found.items(), reverse=True) if key[0] == "rare"}
    laws = [
        "| text, pattern | MB | distinct | once only | K | β | largest residual | held out |",
        "| --- |" + " ---: |" * 7,
    ]
    for (corpus, pattern), line in count.items():
        last, law = line["points"][-1], line["laws"]["1"]
        kept = last["at_least"]
        laws.append(
            f"| {corpus}, {pattern} | {last['bytes'] / 1e6:.1f} | {kept['1']['distinct']:,} "
            f"| {1 - kept['2']['distinct'] / kept['1']['distinct']:.0%} | {law['k']:.3g} | {law['beta']:.3f} "
            f"| {max(map(abs, law['residuals'])):.1%} | {law['held_out']:+.1%} |"
        )
    pruned = [
        "| text | left out below | distinct | text that is left | memory of merging, MB | tokens per character |",
        "| --- |" + " ---: |" * 5,
    ]
    pruned += [
        f"| {corpus} | {row['least']} | {row['distinct']:,} | {row['bytes'] / line['bytes']:.0%} "
        f"| {row['memory'] / 1e6:,.0f} | {row['tokens_per_character']:.4f} |"
        for corpus, line in rare.items()
        for row in line["rows"]
    ]
    rates = [
        "| text | one process | worker | Java | shuffled rows | bytes a row | Java, µs a row |",
        "| --- |" + " ---: |" * 6,
    ]
    for corpus, line in spark.items():
        megabytes = line["bytes"] / 1e6
        rates.append(
            f"| {corpus}, {megabytes:.0f} MB | {megabytes / line['cpu_seconds_alone']:.0f} MB/s "
            f"| {megabytes / line['cpu_seconds_workers']:.0f} MB/s | {megabytes / line['cpu_seconds_java']:.1f} MB/s "
            f"| {line['shuffle_records']:,} | {line['shuffle_bytes'] / line['shuffle_records']:.1f} "
            f"| {line['cpu_seconds_java'] / line['shuffle_records'] * 1e6:.1f} |"
        )
    return {
        "laws": "\n".join(laws),
        "rare": "\n".join(pruned),
        "rates": "\n".join(rates),
        "worked": _worked(count, spark, rare),
    }


def _worked(count: dict[Any, Any], spark: dict[str, Any], rare: dict[str, Any]) -> str:
    """What sizes of text come to, by the laws and the rates that were measured."""
    rows = [
        "| | " + " | ".join(_CASES) + " |",
        "| --- |" + " ---: |" * len(_CASES),
    ]
    columns = [_case(corpus, size, count, spark, rare) for corpus, size in _CASES.values()]
    rows += [f"| {name} | " + " | ".join(column[name] for column in columns) + " |" for name in columns[0]]
    return "\n".join(rows)


_CASES = {
    "English, 10 TB": ("en-web", TERABYTES_10),
    "Chinese, 10 TB": ("zh-web", TERABYTES_10),
    "Chinese, a sample of 30 GB": ("zh-web", 30 * GIGABYTE),
}
_MACHINES = 10
_CORES = 16
_READ = GIGABYTE  # a second, of each machine


def _case(corpus: str, size: int, count: dict[Any, Any], spark: dict[str, Any], rare: dict[str, Any]) -> dict[str, str]:
    line, measured, whole = count[corpus, "llama3"], spark[corpus], rare[corpus]["rows"][0]
    law = Law(line["laws"]["1"]["k"], line["laws"]["1"]["beta"], (), 0.0)
    last = line["points"][-1]["at_least"]["1"]
    length = last["distinct_bytes"] / last["distinct"]
    cores = _MACHINES * _CORES
    partition = min(GIGABYTE, size / (3 * cores))  # as bbpe.spark makes them
    distinct = law(size)
    partial = size / partition * law(partition)
    row_bytes = measured["shuffle_bytes"] / measured["shuffle_records"]
    row_seconds = measured["cpu_seconds_java"] / measured["shuffle_records"]
    counting = size / (measured["bytes"] / measured["cpu_seconds_workers"])
    java = (partial + distinct) * row_seconds
    return {
        "tasks": f"{size / partition:,.0f} of {_bytes(partition)}",
        "distinct pretokens of a task": _short(law(partition)),
        "rows that all tasks hand on": _short(partial),
        "shuffled to be summed": _bytes(partial * row_bytes),
        "distinct pretokens": _short(distinct),
        "shuffled to be sorted": _bytes(distinct * row_bytes),
        "of both on each machine's disk": _bytes((partial + distinct) * row_bytes / _MACHINES),
        "reading": _time(size / _READ / _MACHINES),
        "counting": f"{_time(counting / cores)} ({counting / 3600:,.1f} core hours)",
        "Java": f"{_time(java / cores)} ({java / 3600:,.1f} core hours)",
        "pretokens and counts at the driver": _bytes(distinct * (length + 16)),
        "memory of merging": _bytes(distinct * whole["memory"] / whole["distinct"]),
    }


def _bytes(number: float) -> str:
    """`3.2 GB`."""
    for scale, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if number >= scale:
            return f"{_two_digits(number / scale)} {unit}"
    return f"{number:,.0f} bytes"


def _short(number: float) -> str:
    """`3.2 billion`."""
    for scale, word in ((1e9, " billion"), (1e6, " million")):
        if number >= scale:
            return _two_digits(number / scale) + word
    return f"{number:,.0f}"


def _two_digits(number: float) -> str:
    """`1,400`, `14`, `1.4`: two digits, and zeros."""
    digits = 1 - math.floor(math.log10(number))
    return f"{round(number, digits):,.{max(0, digits)}f}"


def _time(seconds: float) -> str:
    """`40 s`, `12 min`, `4.2 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def rendered(page: str) -> str:
    """The page with its tables, between their markers, as the records say."""
    for name, table in tables().items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        page, replaced = re.subn(
            f"{re.escape(begin)}.*?{re.escape(end)}",
            lambda _, t=table, b=begin, e=end: f"{b}\n\n{t}\n\n{e}",
            page,
            flags=re.DOTALL,
        )
        if replaced != 1:
            raise ValueError(f"the page has {replaced} places for the table {name!r}, not one")
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a task."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=["count", "rare", "spark", "render"])
    parser.add_argument("corpora", nargs="*", default=[])
    parser.add_argument("--pattern", default="llama3")
    parser.add_argument("--cap", type=int, help="cut pretokens longer than so many bytes")
    parser.add_argument("--size", default="98MB", help="the largest slice")
    options = parser.parse_args(arguments)
    if options.task == "render":
        PAGE.write_text(rendered(PAGE.read_text("utf-8")), "utf-8")
        return 0
    largest = Part.parse(f"first:{options.size}").size
    for corpus in options.corpora or ["zh-web", "en-web"]:
        if options.task == "count":
            sizes = [MEGABYTE << power for power in range(10) if MEGABYTE << power < largest * 0.8]
            line = count(corpus, options.pattern, [*sizes, largest], options.cap)
        elif options.task == "rare":
            line = rare(corpus, options.pattern, largest)
        else:
            line = through_spark(corpus, options.pattern, largest)
        text = json.dumps({**line, "machine": machine(), **moment(), "commit": commit()}, ensure_ascii=False)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
