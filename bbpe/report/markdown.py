"""A report as Markdown (GitHub's tables), to be pasted into an issue, a README or a chat.

Figures are drawn nowhere in it; the numbers of a figure that no table holds are written out as a table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from bbpe.report.cells import best_written, one_line, plain, shown, written
from bbpe.report.model import Block, Cell, Column, Facts, Figure, Pieces, Report, Table, TreeNode

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def markdown(report: Report) -> str:
    """The report as Markdown, with a line break at its end."""
    lines = [f"# {_escaped(report.title)}", ""]
    if report.summary:
        lines += [*_paragraphs(report.summary), ""]
    for section in report.sections:
        lines += [f"## {_escaped(section.title)}", "", *_paragraphs(section.text)]
        for block in section.blocks:
            lines += [f"### {_escaped(block.title)}", "", *_block(block), ""]
    if report.method:
        lines += ["## How to repeat this", ""]
        lines += [f"- **{_escaped(label)}**: {_escaped(value)}" for label, value in report.method.items()]
    tidy = [line for line, before in zip(lines, ["", *lines], strict=False) if line or before]
    return "\n".join(tidy).rstrip("\n") + "\n"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Figure):
        yield from _figure(block)
    elif isinstance(block, Facts):
        for fact in block.facts:
            unit = f" {_escaped(fact.unit)}" if fact.unit else ""
            note = f" ({_escaped(fact.note)})" if fact.note else ""
            yield f"- {_escaped(fact.label)}: {_cell(fact.column, fact.value)}{unit}{note}"
    elif isinstance(block, Pieces):
        yield from _pieces(block)
    else:
        yield "```text"
        yield from tree_lines(block.root)
        yield "```"


def _table(table: Table) -> Iterator[str]:
    rows = table.rows if table.limit is None else table.rows[: table.limit]
    yield "| " + " | ".join(_heading(column) for column in table.columns) + " |"
    yield "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|"
    best = {column.key: best_written(table, column) for column in table.columns}
    for number, row in enumerate(rows):
        cells = []
        for index, column in enumerate(table.columns):
            value = row[column.key]
            cell = _cell(column, value)
            marked = (value is not None and written(column, value) == best[column.key]) or (
                index == 0 and number in table.emphasized
            )
            cells.append(f"**{cell}**" if marked and cell else cell)
        yield "| " + " | ".join(cells) + " |"
    if len(rows) < len(table.rows):
        yield ""
        yield f"{len(rows):,} of {len(table.rows):,} rows."
    remarks = [f"{column.title}: {column.note}" for column in table.columns if column.note]
    for remark in (*table.notes, *remarks):
        yield ""
        yield _escaped(remark)


def _heading(column: Column) -> str:
    unit = f" ({_escaped(column.unit)})" if column.unit else ""
    return _escaped(column.title) + unit


def _cell(column: Column, value: Cell) -> str:
    if isinstance(value, bytes):
        return _code(shown(value))
    return _escaped(written(column, value)).replace("\n", " ")


def _figure(figure: Figure) -> Iterator[str]:
    if figure.caption:
        yield _escaped(figure.caption)
        yield ""
    if figure.table:
        yield f"The figure draws the numbers of the table `{figure.table}`."
        return
    yield from _table(figure_table(figure))


def figure_table(figure: Figure, limit: int = 40) -> Table:
    """The numbers of a figure as a table, thinned evenly where there are more than ``limit`` points."""
    left = [y for series in figure.series if series.axis == "left" for y in series.ys]
    right = [y for series in figure.series if series.axis == "right" for y in series.ys]
    places = [x for series in figure.series for x in series.xs if not isinstance(x, str)]
    columns = [
        Column("series", "Series"),
        Column("x", figure.x_title, kind="text" if figure.kind == "bars" else "number", digits=_decimals(places)),
        Column("left", figure.y_title, kind="number", digits=_decimals(left)),
    ]
    if any(series.labels for series in figure.series):
        columns.insert(1, Column("name", "Name"))
    if figure.second_axis:
        columns.append(Column("right", figure.second_axis, kind="number", digits=_decimals(right)))
    keys = {column.key for column in columns}
    rows: list[dict[str, Cell]] = []
    total = len(left) + len(right)
    for series in figure.series:
        share = max(2, limit * len(series.ys) // max(total, 1))
        for index in thinned(len(series.ys), share):
            row: dict[str, Cell] = {"series": series.label, "x": series.xs[index], series.axis: series.ys[index]}
            if "name" in keys:
                row["name"] = series.labels[index] if series.labels else ""
            rows.append(row)
    notes = (f"{len(rows):,} of {total:,} points; JSON has all.",) if len(rows) < total else ()
    return Table(figure.name, figure.title, tuple(columns), tuple(rows), notes)


def thinned(count: int, limit: int) -> list[int]:
    """At most ``limit`` places of ``count``, evenly spread, the first and the last among them."""
    if count <= limit:
        return list(range(count))
    return sorted({round(step * (count - 1) / (limit - 1)) for step in range(limit)})


def _decimals(values: Iterable[float | None]) -> int:
    """Digits after the point that show three significant ones of the smallest number."""
    numbers = [abs(value) for value in values if value]
    if all(float(number).is_integer() for number in numbers):
        return 0
    return min(max(2 - math.floor(math.log10(min(numbers))), 1), 9)


def _pieces(pieces: Pieces) -> Iterator[str]:
    yield f"Text: {_code(shown(pieces.text))}"
    yield ""
    yield "| Tokenizer | Tokens | Pieces |"
    yield "|---|---:|---|"
    for row in pieces.rows:
        cut = " ".join(_code(shown(token.token) or "·") for token in row.tokens)
        flag = "" if row.lossless else " **lossy**"
        note = f" ({_escaped(row.note)})" if row.note else ""
        yield f"| {_escaped(row.label)}{flag}{note} | {len(row.tokens):,} | {cut} |"
    for note in pieces.notes:
        yield ""
        yield _escaped(note)


def tree_lines(root: TreeNode) -> Iterator[str]:
    """A merge tree as lines with branches drawn; without recursion, for a long token's tree is deep."""
    stack = [(root, "", "", "")]
    while stack:
        node, before, turn, after = stack.pop()
        facts = [f"id {node.id}"] if node.id is not None else []
        facts += [f"rank {node.rank}"] if node.rank is not None else []
        facts += [plain(node.note)] if node.note else []
        yield f"{before}{turn}{shown(node.token)}" + (f"  ({', '.join(facts)})" if facts else "")
        for index, child in reversed(list(enumerate(node.children))):
            last = index == len(node.children) - 1
            stack.append((child, before + after, "└─ " if last else "├─ ", "   " if last else "│  "))


def _paragraphs(text: str) -> list[str]:
    lines = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph:
            lines += [_escaped(" ".join(paragraph.split())), ""]
    return lines


def _escaped(text: str) -> str:
    """Plain text as Markdown that shows it."""
    return _SPECIAL.sub(r"\\\1", one_line(text)).replace("\\<", "&lt;").replace("\\&", "&amp;")


def _code(text: str) -> str:
    """Text as a code span; a fence longer than any run of backticks in it, and no bar that would end a cell."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")
