"""Tables from results files into `benchmarks/README.md`, between markers; no number on that page is typed.

    python -m benchmarks.render                       # from every file in benchmarks/results
    python -m benchmarks.render quick.jsonl --print   # to stdout
    python -m benchmarks.render --check               # exit 1 if the page is not what the results say

A block of the page stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`; the names are those of `BLOCKS`.
Cells that no results file holds have no rows. Where two files hold the same cell, the later file by name counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.curves import Scale, curves, drawing
from benchmarks.goals import BEST, GOALS, Goal
from benchmarks.results import Cell, Record, Runs, Spread, cells, equality, ratio, read_results

HERE = Path(__file__).resolve().parent
PAGE = HERE / "README.md"
DRAWING = HERE / "training.svg"
MEGABYTE = 1_000_000
FEWEST_ROUNDS = 5

Table = list[list[str]]


def number(value: float) -> str:
    """Three significant digits, without an exponent.

    >>> number(0.03456), number(3.456), number(345.6), number(3456.7)
    ('0.0346', '3.46', '346', '3457')
    """
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    digits = 2
    while abs(value) * 10**digits < 100:
        digits += 1
    return f"{value:.{digits if abs(value) < 10 else 1}f}"


def shown(spread: Spread | None, unit: str = "") -> str:
    """A median with its range, `3.46 (3.40–3.61)`."""
    if spread is None:
        return "–"
    return f"{number(spread.median)}{unit} ({number(spread.low)}–{number(spread.high)})"


def markdown(head: Sequence[str], rows: Table) -> str:
    """A Markdown table, words to the left and numbers to the right; a line of apology where there are no rows."""
    if not rows:
        return "Not measured yet."
    left = {name for place, name in enumerate(head) if not any(row[place][:1].isdigit() for row in rows)}
    rule = ["---" if name in left else "---:" for name in head]
    return "\n".join("| " + " | ".join(row) + " |" for row in [list(head), rule, *rows])


def faster(peer: Runs, base: Runs | None, field: str = "cpu_seconds") -> str:
    """How many times as fast as the peer bbpe is, round by round; nothing where the peer's result is wrong."""
    if base is None or peer is base or equality(peer, base).startswith("**"):
        return "–"
    return shown(ratio(peer, base, field), " ×")


def work(runs: Runs) -> float:
    """Megabytes of text that a run goes through."""
    size: int = runs.any.get("work_bytes") or runs.any["text"]["bytes"]
    return size / MEGABYTE


def failures(cell: Cell, columns: int) -> Table:
    """A row for each library that gave no result, so that it is not merely absent."""
    silent = [runs for runs in cell.runs if not runs.records]
    return [[runs.library, f"failed: {runs.failures[0]}", *[""] * (columns - 2)] for runs in silent]


def label(runs: Runs) -> str:
    """A library with its version."""
    return f"{runs.library} {runs.any['version'] or ''}".strip()


def machine(found: dict[str, Cell]) -> str:
    """Where, when and how often."""
    records = [record for cell in found.values() for runs in cell.runs for record in runs.records.values()]
    if not records:
        return "Not measured yet."

    def all_of(*path: str) -> str:
        def reach(record: Record) -> object:
            value: object = record
            for key in path:
                value = value[key] if isinstance(value, dict) else None
            return value

        return ", ".join(sorted({str(reach(record)) for record in records} - {"None"})) or "unknown"

    counts = [len(runs.records) for cell in found.values() for runs in cell.runs]
    times = sorted(record["moment"]["time"] for record in records)
    loads = [record["moment"]["load"] for record in records if record["moment"]["load"] is not None]
    versions = {record["library"]: record["version"] for record in records}
    texts = {
        (r["text"]["corpus"], r["text"]["part"], r["text"]["bytes"], r["text"]["documents"], r["text"]["sha256"])
        for r in records
        if r["text"]
    }
    rows = [
        ["CPU", f"{all_of('machine', 'cpu')}, {all_of('machine', 'cores')} cores"],
        ["governor", all_of("machine", "governor")],
        ["memory", f"{number(records[0]['machine']['memory_bytes'] / 1e9)} GB"],
        ["system", all_of("machine", "system")],
        ["Python", all_of("machine", "python")],
        ["bbpe", f"commit {all_of('commit')}"],
        ["libraries", ", ".join(f"{name} {version}" for name, version in sorted(versions.items()) if version)],
        ["rounds", f"{min(counts)} to {max(counts)}" if min(counts) != max(counts) else str(counts[0])],
        ["taken", f"{times[0]} to {times[-1]}"],
        ["load of the machine", shown(Spread.of(loads)) if loads else "unknown"],
    ]
    text = markdown(["", ""], rows)
    if min(counts) < FEWEST_ROUNDS:
        text += f"\n\n**Some cells have fewer than {FEWEST_ROUNDS} rounds.**"
    parts = [
        [f"`{corpus}`", part, number(size / MEGABYTE), str(documents), f"`{digest[:16]}`"]
        for corpus, part, size, documents, digest in sorted(texts)
    ]
    return text + "\n\n" + markdown(["corpus", "part", "MB", "documents", "sha256 begins"], parts)


def glance(found: dict[str, Cell]) -> str:
    """The best peer of every cell with its ratio; where bbpe loses, the row says so."""
    rows = []
    for cell in found.values():
        base = cell.bbpe
        if base is None or cell.name.startswith("threads/"):
            continue
        field = "wall_seconds" if cell.name.startswith(("import", "load")) else "cpu_seconds"
        others = [runs for runs in cell.runs if runs.records and runs is not base]
        peers = [runs for runs in others if not equality(runs, base).startswith("**")]
        if not peers:
            continue
        best = min(peers, key=lambda runs: runs.spread(field).median)
        against = ratio(best, base, field)
        if against is None:
            continue
        word = "bbpe" if against.low > 1 else f"**{best.library}**" if against.high < 1 else "level"
        rows.append(
            [f"`{cell.name}`", seconds(base, field), best.library, seconds(best, field), shown(against, " ×"), word]
        )
    return markdown(["cell", "bbpe, s", "best peer", "its s", "bbpe is as fast", "ahead"], rows)


def seconds(runs: Runs, field: str) -> str:
    """The median time."""
    return number(runs.spread(field).median)


UNITS = {
    "times faster": " ×",
    "threads": " ×",
    "share of peak": "",
    "share of growth": "",
    "seconds": " s",
    "megabytes": " MB",
}


def goals(found: dict[str, Cell]) -> str:
    """Every goal with what was measured; met means that the median reaches it."""
    rows = []
    for goal in GOALS:
        measured, peer = reached(goal, found)
        if measured is None:
            continue
        least = goal.quantity in ("times faster", "threads")
        met = measured.median >= goal.wanted if least else measured.median <= goal.wanted
        unit = UNITS[goal.quantity]
        wanted = f"{'at least' if least else 'at most'} {number(goal.wanted)}{unit}"
        against = peer if goal.peer != BEST else f"{peer}, the best"
        rows.append([goal.what, against, wanted, shown(measured, unit), "yes" if met else "**no**"])
    return markdown(["goal", "against", "wanted", "measured", "met"], rows)


def reached(goal: Goal, found: dict[str, Cell]) -> tuple[Spread | None, str]:
    """What was measured for a goal, None where it was not, and which library was compared with."""
    cell = found.get(goal.cell)
    base = cell.bbpe if cell is not None else None
    if cell is None or base is None:
        return None, ""
    if goal.quantity == "seconds":
        return base.spread("wall_seconds"), "–"
    if goal.quantity == "megabytes":
        return base.spread("rss_growth").scaled(1 / MEGABYTE), "–"
    if goal.quantity == "threads":
        more = next((runs for runs in cell.runs if runs.threads == 2 and runs.records), None)
        return ratio(base, more, "wall_seconds") if more is not None else None, "one thread"
    other = found.get(goal.peer_cell) if goal.peer_cell else cell
    field = {"share of peak": "rss_peak", "share of growth": "rss_growth"}.get(goal.quantity, "cpu_seconds")
    peer = best(cell, field) if goal.peer == BEST else other.of(goal.peer) if other is not None else None
    if peer is None or equality(peer, base).startswith("**"):
        return None, ""
    name = f"bbpe, {goal.peer_cell.rpartition('/')[2]}" if goal.peer_cell else peer.library
    return ratio(peer, base, field) if goal.quantity == "times faster" else ratio(base, peer, field), name


def best(cell: Cell, field: str) -> Runs | None:
    """The library with the least of something, of those with bbpe's result, bbpe left out."""
    base = cell.bbpe
    peers = [runs for runs in cell.runs if runs.records and runs.library != "bbpe"]
    peers = [runs for runs in peers if equality(runs, base) not in ("other algorithm",)]
    peers = [runs for runs in peers if not equality(runs, base).startswith("**")]
    return min(peers, key=lambda runs: runs.spread(field).median, default=None)


def train(found: dict[str, Cell]) -> str:
    """A table for each cell of training: time, memory, and whether the same was learned."""
    parts = []
    head = [
        "library",
        "merges equal",
        "CPU s",
        "MB/s",
        "bbpe is as fast",
        "peak MB",
        "of it by the task",
        "bbpe's peak by its",
        "task by task",
    ]
    for cell in chosen(found, "train"):
        base = cell.bbpe
        rows = []
        for runs in (runs for runs in cell.runs if runs.records):
            time = runs.spread("cpu_seconds")
            shares = [
                ratio(base, runs, field) if base is not None and runs is not base else None
                for field in ("rss_peak", "rss_growth")
            ]
            rows.append(
                [
                    label(runs),
                    equality(runs, base),
                    shown(time),
                    number(time.per(work(runs)).median),
                    faster(runs, base),
                    number(runs.spread("rss_peak").median / MEGABYTE),
                    number(runs.spread("rss_growth").median / MEGABYTE),
                    *[number(share.median) if share is not None else "–" for share in shares],
                ]
            )
        asked = next(runs for runs in cell.runs if runs.records).any
        title = (
            f"**{corpus(cell)}**, {number(asked['text']['bytes'] / MEGABYTE)} MB, vocabulary of "
            f"{asked['options']['vocab_size']:,}, pattern `{asked['options']['pattern']}`, "
            f"ties by the bytes' order in `{asked['options']['ties']}`"
        )
        parts.append(title + "\n\n" + markdown(head, rows + failures(cell, len(head))))
    return "\n\n".join(parts) or "Not measured yet."


def scale(found: dict[str, Cell]) -> str:
    """Training on more text and to more tokens: a row for each library and cell, then the fitted exponents."""
    rows = []
    for cell in sorted(chosen(found, "scale"), key=lambda cell: _in_order(cell.name)):
        size = Scale.of(cell.name)
        for runs in (runs for runs in cell.runs if runs.records):
            base = cell.bbpe
            memory = ratio(base, runs, "rss_peak") if base is not None and runs is not base else None
            loads = [record["moment"]["load"] for record in runs.records.values()]
            rows.append(
                [
                    size.text,
                    str(size.megabytes),
                    f"{size.thousands},000",
                    f"{label(runs)}, {size.pattern}",
                    equality(runs, base),
                    shown(runs.spread("cpu_seconds")),
                    faster(runs, base),
                    number(runs.spread("rss_peak").median / MEGABYTE),
                    number(memory.median) if memory is not None else "–",
                    number(max(loads)) if None not in loads else "–",
                ]
            )
    head = ["text", "MB", "vocabulary", "library, pattern", "merges equal", "CPU s", "bbpe is as fast", "peak MB"]
    head += ["bbpe's peak by its", "load"]
    fitted = [
        [
            curve.library,
            curve.text,
            what,
            f"{curve.exponent:.2f}",
            f"{number(curve.points[0][0])} to {number(curve.points[-1][0])}",
        ]
        for by, what in (("megabytes", "MB of text"), ("thousands", "thousands of tokens"))
        for curve in curves(found, by=by)
        if curve.exponent is not None
    ]
    table = markdown(["library", "text", "grows with", "exponent", "from"], fitted)
    return markdown(head, rows) + "\n\n" + table


def _in_order(name: str) -> tuple[bool, bool, int, int, str]:
    size = Scale.of(name)
    return size.text != "zh", size.text == "mixed", size.megabytes, size.thousands, size.pattern + size.ties


def encode(found: dict[str, Cell]) -> str:
    """Cold, steady and hot beside one another, a table for each text and vocabulary."""
    states = ("cold", "steady", "hot")
    parts = []
    for stem in stems(found, "encode", states):
        here = {state: found[f"{stem}/{state}"] for state in states if f"{stem}/{state}" in found}
        head = ["library", "ids equal"]
        for state in here:
            head += [f"{state} MB/s", f"bbpe is as fast, {state}"]
        head += [f"peak MB, {state}" for state in here]
        parts.append(side_by_side(stem, here, head, memory=True))
    return "\n\n".join(parts) or "Not measured yet."


def shapes(found: dict[str, Cell]) -> str:
    """One call a document, to an array, a number or a list; 100,000 short strings one by one, and in one call."""
    names = ("each", "count", "lists", "short", "short-lists", "short-batch")
    parts = []
    for stem in stems(found, "encode", names):
        here = {name: found[f"{stem}/{name}"] for name in names if f"{stem}/{name}" in found}
        head = ["library", "ids equal"]
        for name in here:
            head += [f"{name} MB/s", f"bbpe is as fast, {name}"]
        parts.append(side_by_side(stem, here, head, memory=False))
    return "\n\n".join(parts) or "Not measured yet."


def hard(found: dict[str, Cell]) -> str:
    """A row for each pathological text, a column for each library."""
    here = list(chosen(found, "hard"))
    libraries = list(dict.fromkeys(runs.library for cell in here for runs in cell.runs))
    rows = []
    for cell in here:
        row = [cell.name.rpartition("/")[2]]
        for library in libraries:
            runs = cell.of(library)
            if runs is None:
                row.append("–")
            elif equality(runs, cell.bbpe).startswith("**"):
                row.append("other ids")
            else:
                row.append(number(runs.spread("cpu_seconds").median * 1000))
        against = cell.of("tiktoken")
        rows.append([*row, faster(against, cell.bbpe) if against is not None else "–"])
    return markdown(["text", *(f"{library}, ms" for library in libraries), "bbpe is as fast as tiktoken"], rows)


def memory(found: dict[str, Cell]) -> str:
    """What stays resident after encoding."""
    rows = []
    for cell in chosen(found, "memory"):
        for runs in (runs for runs in cell.runs if runs.records):
            text = f"{corpus(cell)}, {number(work(runs))} MB"
            kept = runs.spread("rss_growth").scaled(1 / MEGABYTE)
            rows.append([text, label(runs), shown(runs.spread("rss_before").scaled(1 / MEGABYTE)), shown(kept)])
    return markdown(["text", "library", "MB before, text included", "MB more after"], rows)


def decode(found: dict[str, Cell]) -> str:
    """From arrays to bytes, and from lists to text."""
    parts = []
    for stem in stems(found, "decode", ("array", "list")):
        here = {name: found[f"{stem}/{name}"] for name in ("array", "list") if f"{stem}/{name}" in found}
        head = ["library", "text equal"]
        for name in here:
            head += [f"{name} MB/s", f"bbpe is as fast, {name}"]
        parts.append(side_by_side(stem, here, head, memory=False))
    return "\n\n".join(parts) or "Not measured yet."


def side_by_side(stem: str, here: dict[str, Cell], head: list[str], *, memory: bool) -> str:
    """A row for each library, two columns for each cell: its rate and bbpe's advantage."""
    libraries = list(dict.fromkeys(runs.library for cell in here.values() for runs in cell.runs))
    rows = []
    for library in libraries:
        found = {name: cell.of(library) for name, cell in here.items()}
        good = [runs for runs in found.values() if runs is not None]
        if not good:
            reason = next(r.failures[0] for cell in here.values() for r in cell.runs if r.library == library)
            rows.append([library, f"failed: {reason}", *[""] * (len(head) - 2)])
            continue
        verdicts = {equality(runs, here[name].bbpe) for name, runs in found.items() if runs is not None}
        row = [label(good[0]), " / ".join(sorted(verdicts))]
        for name, runs in found.items():
            if runs is None:
                row += ["–", "–"]
            else:
                row += [shown(runs.spread("cpu_seconds").per(work(runs))), faster(runs, here[name].bbpe)]
        for runs in found.values() if memory else ():
            row.append(number(runs.spread("rss_peak").median / MEGABYTE) if runs is not None else "–")
        rows.append(row)
    _, short, vocabulary = stem.split("/")
    size = next((work(runs) for cell in here.values() for runs in cell.runs if runs.records), 0)
    return f"**{short}**, {vocabulary}, {number(size)} MB\n\n" + markdown(head, rows)


def threads(found: dict[str, Cell]) -> str:
    """The same library with one thread and with two, by the clock."""
    rows: Table = []
    head = [
        "text",
        "task",
        "library",
        "one thread, s",
        "two, s",
        "two are as fast as",
        "CPU, two by one",
        "result equal",
    ]
    for cell in chosen(found, "threads"):
        good = {runs.threads: runs for runs in cell.runs if runs.records}
        if not {1, 2} <= good.keys():
            continue
        one, two = good[1], good[2]
        _, short, task, _ = cell.name.split("/")
        row = [short, task, label(one), shown(one.spread("wall_seconds")), shown(two.spread("wall_seconds"))]
        row += [shown(ratio(one, two, "wall_seconds"), " ×"), shown(ratio(two, one, "cpu_seconds"))]
        rows.append([*row, equality(two, one)])
    return markdown(head, rows)


def start(found: dict[str, Cell]) -> str:
    """Importing and loading, by the clock."""
    parts = []
    for cell in found.values():
        if not cell.name.startswith(("import", "load")):
            continue
        head = ["library", "ids equal", "ms", "bbpe is as fast", "CPU ms", "peak MB"]
        rows = []
        for runs in (runs for runs in cell.runs if runs.records):
            time = runs.spread("wall_seconds").scaled(1000)
            peak = number(runs.spread("rss_peak").median / MEGABYTE)
            verdict = equality(runs, cell.bbpe)
            row = [label(runs), verdict, shown(time), faster(runs, cell.bbpe, "wall_seconds")]
            rows.append([*row, number(runs.spread("cpu_seconds").median * 1000), peak])
        parts.append(f"**{cell.name.replace('/', ' ')}**\n\n" + markdown(head, rows + failures(cell, len(head))))
    return "\n\n".join(parts) or "Not measured yet."


def chosen(found: dict[str, Cell], task: str) -> Iterable[Cell]:
    """The cells of a task in which anything succeeded."""
    return [c for c in found.values() if c.name.startswith(f"{task}/") and any(runs.records for runs in c.runs)]


def stems(found: dict[str, Cell], task: str, endings: Iterable[str]) -> list[str]:
    """The names of a task's cells without their last part, each once, of those with one of the endings."""
    wanted = set(endings)
    names = (cell.name.rsplit("/", 1) for cell in chosen(found, task))
    return list(dict.fromkeys(stem for stem, ending in names if ending in wanted))


def corpus(cell: Cell) -> str:
    """The short name of a cell's text."""
    return cell.name.split("/")[1]


BLOCKS: dict[str, Callable[[dict[str, Cell]], str]] = {
    "machine": machine,
    "glance": glance,
    "goals": goals,
    "train": train,
    "scale": scale,
    "encode": encode,
    "shapes": shapes,
    "hard": hard,
    "memory": memory,
    "decode": decode,
    "threads": threads,
    "start": start,
}


def filled(page: str, found: dict[str, Cell]) -> str:
    """The page with every block written anew.

    Raises:
        ValueError: the page lacks the markers of a block.
    """
    for name, block in BLOCKS.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, begun, rest = page.partition(begin)
        _, ended, after = rest.partition(end)
        if not begun or not ended:
            raise ValueError(f"the page has no markers {begin} … {end}")
        page = f"{before}{begin}\n\n{block(found)}\n\n{end}{after}"
    return page


def main() -> None:
    """Render as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description="Write the tables of the page.")
    parser.add_argument("results", type=Path, nargs="*", help="results files; default every one in benchmarks/results")
    parser.add_argument("--print", action="store_true", help="to stdout, blocks only")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is out of date")
    options = parser.parse_args()
    found: dict[str, Cell] = {}
    for path in options.results or sorted((HERE / "results").glob("*.jsonl")):
        found |= cells(record for record in read_results(path) if "cell" in record)  # others are not of a sweep
    if options.print:
        for name, block in BLOCKS.items():
            print(f"## {name}\n\n{block(found)}\n")
        return
    page = PAGE.read_text(encoding="utf-8")
    new = {PAGE: filled(page, found), DRAWING: drawing(found)}
    for path, text in new.items():
        if not options.check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is not what the results say; run python -m benchmarks.render")


if __name__ == "__main__":
    main()
