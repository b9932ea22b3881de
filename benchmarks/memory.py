"""Whether `--memory` keeps its word: peaks of whole processes against the limit, and the estimate of merging's memory.

    python -m benchmarks.memory limit pretokens --corpus synthetic:zh-web:1GB --memory 600MB
    python -m benchmarks.memory limit train --corpus synthetic:zh-web:1GB --memory 1GB -- --vocab 32k --min-pretoken-count 2
    python -m benchmarks.memory estimate --corpus zh-web --part first:30MB --vocab 32000 --least 1
    python -m benchmarks.memory render

`limit` runs the command line in a process of its own and asks the system for its peak: most bytes resident, of which
the pages of mapped files (libraries; no page cache of what is read or written) are part. The limit is one on that.
`estimate` counts a text to disk, learns, and compares the peak with what was estimated before the counts were loaded.
Each appends a line to `benchmarks/results/memory.jsonl`; `render` writes the tables of `benchmarks/memory.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bbpe._count import release_free_memory
from benchmarks import provenance
from benchmarks.render import markdown
from benchmarks.slices import Part, cut_slice
from benchmarks.synthetic import synthetic

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "memory.jsonl"
PAGE = HERE / "memory.md"


def corpus(name: str, part: str | None) -> Path:
    """The file: of a slice, or `synthetic:CORPUS:SIZE`."""
    if name.startswith("synthetic:"):
        _, of, size = name.split(":")
        return synthetic(of, Part.parse(f"first:{size}").size)
    return cut_slice(name, Part.parse(part or "first:10GB")).path


def measure_limit(options: argparse.Namespace) -> dict[str, object]:
    """Run a command within a limit."""
    path = corpus(options.corpus, options.part)
    code = "from bbpe.cli import main; main()"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / ("counts.parquet" if options.command == "pretokens" else "out")
        command = [sys.executable, "-c", code, options.command, str(path), "-o", str(target), "--progress", "json"]
        if options.memory:
            command += ["--memory", options.memory]
        began = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        done = subprocess.run([*command, *options.rest], capture_output=True, text=True, check=False, env=environment)
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        left = sorted(name for name in os.listdir(folder) if name != target.name)
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    forecasts = [event for event in events if event.get("event") == "forecast"]
    from bbpe.cli.options import byte_size

    return {
        "task": "limit",
        "command": options.command,
        "options": options.rest,
        "corpus": options.corpus,
        "part": options.part,
        "bytes": path.stat().st_size,
        "memory": byte_size(options.memory) if options.memory else None,
        "peak": used.ru_maxrss * 1024,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "wall_seconds": round(seconds, 2),
        "status": done.returncode,
        "said": [line for line in (done.stdout + done.stderr).splitlines() if line and not line.startswith("{")],
        "left_over": left,
        "first_forecast": forecasts[0] if forecasts else None,
        "phases": {event["phase"]: event["seconds"] for event in events if "seconds" in event},
    }


def measure_estimate(options: argparse.Namespace) -> dict[str, object]:
    """Learn from a text's counts; what it takes beside what was estimated."""
    from bbpe.memory import at_most_resident, merging_bytes
    from bbpe.mixture import Mixture
    from bbpe.training import TrainingOptions, begins_by_character, train
    from benchmarks.measure import timed

    path = corpus(options.corpus, options.part)
    wanted = TrainingOptions(vocab_size=options.vocab, min_pretoken_count=options.least)
    with Mixture.of(path).count_on_disk(threads=1, memory=500_000_000) as on_disk:  # as `train --memory` does it
        tally = on_disk.tally()
        distinct, size, characters = (
            int(each[options.least]) for each in (tally.distinct, tally.size, tally.characters)
        )
        by_character = begins_by_character(on_disk, wanted, size)
        del tally
        release_free_memory()
        base = at_most_resident()
        handed = [on_disk.load(options.least)]
    estimated = base + int(merging_bytes(distinct, size, characters, min(wanted.merges_wanted(), size), by_character))
    tokenizer, took = timed(lambda: train(handed.pop(), options.vocab))
    record = tokenizer.training_record
    assert record is not None  # it was trained just now
    assert took.rss_peak_of == "task", "the mark of the peak could not be set back"
    return {
        "task": "estimate",
        "corpus": options.corpus,
        "part": options.part,
        "vocab": options.vocab,
        "least": options.least,
        "distinct": distinct,
        "distinct_bytes": size,
        "characters": characters,
        "merges": record.merges,
        "by_character": by_character,
        "base": base,
        "estimated": estimated,
        "peak": took.rss_peak,
    }


def render(records: list[dict[str, Any]]) -> str:
    """The page's tables. Estimates are made anew of what was found, by the formula as it stands."""
    from bbpe.memory import merging_bytes

    def estimate(record: dict[str, Any]) -> int:
        facts = (record[name] for name in ("distinct", "distinct_bytes", "characters"))
        merges = min(record["vocab"] - 256, record["distinct_bytes"])
        return int(record["base"]) + int(merging_bytes(*facts, merges, record["by_character"]))

    def megabytes(size: float) -> str:
        return f"{size / 1e6:,.0f}"

    limits = [
        [
            f"{record['command']} {' '.join(record['options'])}".strip(),
            f"{record['corpus']}{' ' + record['part'] if record['part'] else ''}",
            megabytes(record["memory"]) if record["memory"] else "none",
            megabytes(record["peak"]),
            f"{record['peak'] / record['memory']:.2f}" if record["memory"] else "",
            f"{record['cpu_seconds']:,.0f}",
            "done" if record["status"] == 0 else "refused",
        ]
        for record in records
        if record["task"] == "limit"
    ]
    estimates = [
        [
            f"{record['corpus']} {record['part'] or ''}".strip(),
            f"{record['vocab']:,}",
            str(record["least"]),
            f"{record['distinct']:,}",
            megabytes(estimate(record)),
            megabytes(record["peak"]),
            f"{estimate(record) / record['peak'] - 1:+.0%}",
        ]
        for record in records
        if record["task"] == "estimate"
    ]
    head = ["command", "text", "limit, MB", "peak, MB", "of it", "CPU s", "end"]
    heads = ["text", "vocabulary", "least count", "distinct", "estimate, MB", "peak, MB", "error"]
    said = [line for record in records if record["task"] == "limit" and record["status"] for line in record["said"]]
    machine = next((record["machine"] for record in records), None)
    return (
        "\n\n".join(
            [
                "# Memory: what `--memory` promises, measured",
                (__doc__ or "").partition("\n\n")[0],
                "The numbers are written by `python -m benchmarks.memory render`, none by hand. Synthetic text is what "
                "`benchmarks/synthetic.py` makes of the corpus that it names: the first 98 MB are real.",
                f"Machine: {machine['cpu']}, {machine['cores']} cores, shared with other work." if machine else "",
                "## Peaks against limits",
                markdown(head, limits),
                *(f"Refused with: `{line}`" for line in said),
                "## The estimate of merging's memory",
                "Of the whole process, against its peak from the moment the counts are in memory; error: estimate ÷ peak − 1. The constants "
                "of the formula were chosen on these texts.",
                markdown(heads, estimates),
            ]
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    limit = commands.add_parser("limit")
    limit.add_argument("command", choices=["pretokens", "train"])
    limit.add_argument("--memory")
    estimate = commands.add_parser("estimate")
    estimate.add_argument("--vocab", type=int, default=32000)
    estimate.add_argument("--least", type=int, default=1)
    for each in (limit, estimate):
        each.add_argument("--corpus", default="zh-web")
        each.add_argument("--part")
    commands.add_parser("render")
    arguments = sys.argv[1:]
    rest: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, rest = arguments[:cut], arguments[cut + 1 :]
    options = parser.parse_args(arguments)
    options.rest = rest
    if options.what == "render":
        PAGE.write_text(render([json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]), "utf-8")
        return
    record = measure_limit(options) if options.what == "limit" else measure_estimate(options)
    record |= {"commit": provenance.commit(), "moment": provenance.moment(), "machine": provenance.machine()}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
    print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
