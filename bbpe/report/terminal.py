"""A report on a terminal, with rich: tables that fit, bars of blocks, pieces in colour.

Everything is written to a rich ``Console`` made here for standard output (or the given file); without a terminal it
is plain text, without colour. Sections, and columns, that are ``minor`` are left out unless asked for.
"""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from bbpe.report.cells import NOT_MEASURED, plain, visible, written
from bbpe.report.markdown import figure_table, tree_lines
from bbpe.report.model import Block, Cell, Column, Facts, Figure, Pieces, PieceToken, Report, Section, Table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

# Neighbours differ, and each can be read on a dark and on a light terminal (black on a pale ground).
_GROUNDS = ("#bfdbfe", "#fde68a", "#bbf7d0", "#fbcfe8", "#ddd6fe", "#fed7aa")
_BAR = "█"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_PLAIN_WIDTH = 160  # columns where nothing says how wide the output is (a pipe, a file)


def show(report: Report, *, file: IO[str] | None = None, everything: bool = False, color: bool | None = None) -> None:
    """Write a report to a terminal.

    Args:
        report: What to show.
        file: Where to; standard output when None.
        everything: Also minor sections and columns, and rows past a table's limit.
        color: None: where the output is a terminal that has colours.
    """
    console = _console(file, color)
    for part in _parts(report, everything):
        console.print(part, soft_wrap=False)


def show_pieces(pieces: Pieces, *, file: IO[str] | None = None, color: bool | None = None) -> None:
    """Write one sentence, cut by every tokenizer, to a terminal."""
    console = _console(file, color)
    for part in _pieces(pieces):
        console.print(part)


def _console(file: IO[str] | None, color: bool | None) -> Console:
    from rich.console import Console

    out = file if file is not None else sys.stdout
    console = Console(
        file=out, highlight=False, markup=False, emoji=False, force_terminal=True if color else None, no_color=color is False or None
    )  # fmt: skip
    if not console.is_terminal:
        console = Console(file=out, highlight=False, markup=False, emoji=False, width=_PLAIN_WIDTH, no_color=True)
    return console


def _parts(report: Report, everything: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text(plain(report.title), style="bold")
    if report.summary:
        yield Text(plain(report.summary))
    for section in report.sections:
        if section.minor and not everything:
            continue
        yield from _section(section, everything)
    if everything and report.method:
        yield Text("\nHow to repeat this", style="bold underline")
        for label, value in report.method.items():
            yield Text.assemble((f"{plain(label)}: ", "bold"), plain(value))


def _section(section: Section, everything: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text(f"\n{plain(section.title)}", style="bold underline")
    if section.text:
        yield Text(plain(section.text.strip()))
    for block in section.blocks:
        yield from _block(block, everything)


def _block(block: Block, everything: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    if isinstance(block, Table):
        yield from _table(block, everything)
    elif isinstance(block, Facts):
        yield from _facts(block)
    elif isinstance(block, Pieces):
        yield from _pieces(block)
    elif isinstance(block, Figure):
        if not block.table or everything:
            yield from _figure(block)
    else:
        yield Text(f"\n{plain(block.title)}", style="bold")
        for line in tree_lines(block.root):
            yield Text(line, no_wrap=True, overflow="fold")


def _table(table: Table, everything: bool) -> Iterator[RenderableType]:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    columns = [column for column in table.columns if everything or not column.minor]
    rows = table.rows if everything or table.limit is None else table.rows[: table.limit]
    grid = Grid(
        title=Text(plain(table.title)), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1),
        pad_edge=False,
    )  # fmt: skip
    for index, column in enumerate(columns):
        heading = Text(plain(column.title))
        if column.unit:
            widest = max((len(written(column, row[column.key])) for row in rows), default=0)
            unit = textwrap.fill(plain(column.unit), max(widest, len(column.title), 10), break_long_words=False)
            heading.append(f"\n{unit}", style="dim")
        grid.add_column(
            heading, justify="right" if column.numeric else "left", no_wrap=column.numeric or index == 0, overflow="fold"
        )  # fmt: skip
    best = {column.key: table.best(column) for column in columns}
    for number, row in enumerate(rows):
        cells = [_cell(column, row[column.key], best[column.key]) for column in columns]
        grid.add_row(*cells, style="bold cyan" if number in table.emphasized else None)
    yield grid
    if len(rows) < len(table.rows):
        yield Text(f"{len(rows):,} of {len(table.rows):,} rows", style="dim")
    for note in table.notes:
        yield Text(plain(note), style="dim")


def _cell(column: Column, value: Cell, best: float | None) -> Text:
    from rich.text import Text

    if isinstance(value, bytes):
        return _piece(value)
    text = Text(written(column, value))
    if value is None:
        text.stylize("dim")
    elif best is not None and value == best:
        text.stylize("bold green")
    return text


def _facts(facts: Facts) -> Iterator[RenderableType]:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        title=Text(plain(facts.title)), title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
    )  # fmt: skip
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for fact in facts.facts:
        value = _cell(fact.column, fact.value, None)
        if fact.unit:
            value.append(f" {plain(fact.unit)}")
        if fact.note:
            value.append(f"  {plain(fact.note)}", style="dim")
        grid.add_row(Text(plain(fact.label), style="dim"), value)
    yield grid


def _pieces(pieces: Pieces) -> Iterator[RenderableType]:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        title=Text(plain(pieces.title)), title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
    )  # fmt: skip
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for row in pieces.rows:
        line = Text()
        for number, token in enumerate(row.tokens):
            line.append_text(_probe_token(token, number))
            line.append("|", style="dim") if number < len(row.tokens) - 1 else None
        label = Text(plain(row.label), style="bold")
        if not row.lossless:
            line.append("  lossy", style="bold red")
        if row.note:
            line.append(f"  {plain(row.note)}", style="dim")
        grid.add_row(label, f"{len(row.tokens):,}", line)
    yield grid
    for note in pieces.notes:
        yield Text(plain(note), style="dim")


def _probe_token(token: PieceToken, number: int) -> Text:
    """A token on a ground that its neighbours do not have; bytes of partial characters red."""
    text = _piece(token.token, f"black on {_GROUNDS[number % len(_GROUNDS)]}", partial="bold #b91c1c")
    if not token.token:
        text.append("·")
    if token.kind == "unknown":
        text.stylize("bold white on red")
    return text


def _piece(token: bytes, ground: str = "", *, partial: str = "red") -> Text:
    from rich.text import Text

    text = Text(style=ground)
    for part in visible(token):
        style = {"text": "", "space": "" if ground else "dim", "partial": partial, "control": "bold" if ground else "magenta"}[part.kind]  # fmt: skip
        text.append(part.text, style=style)
    return text


def _figure(figure: Figure) -> Iterator[RenderableType]:
    """Bars and histograms as bars of blocks; of curves and clouds the numbers."""
    from rich.cells import cell_len
    from rich.text import Text

    if figure.kind not in ("bars", "histogram"):
        yield from _table(figure_table(figure, limit=12), everything=False)
        return
    yield Text(f"\n{plain(figure.title)}", style="bold")
    highest = max((y for series in figure.series for y in series.ys if y is not None), default=0.0) or 1.0
    bars = [(name, series.label, y) for series in figure.series for name, y in _named(figure, series.xs, series.ys)]
    names = [plain(f"{name}  {label}" if len(figure.series) > 1 else name) for name, label, _ in bars]
    width = max(map(cell_len, names), default=0)
    for name, (_, _, y) in zip(names, bars, strict=True):
        length = 0.0 if y is None else _length(figure, y, highest)
        amount = NOT_MEASURED if y is None else f"{y:,.0f}" if float(y).is_integer() else f"{y:,.3f}"
        space = " " * (width - cell_len(name))
        yield Text.assemble((f"{space}{name} ", "dim"), (_blocks(length * 40), "cyan"), f" {amount}")


def _named(
    figure: Figure, xs: Iterable[str | float], ys: tuple[float | None, ...]
) -> Iterator[tuple[str, float | None]]:
    points = list(xs)
    for index, y in enumerate(ys):
        if len(points) > len(ys):
            yield f"{points[index]:g}–{points[index + 1]:g}", y
        else:
            yield points[index] if isinstance(points[index], str) else f"{points[index]:g}", y  # type: ignore[misc]


def _length(figure: Figure, y: float, highest: float) -> float:
    """A bar's length as a share of the longest."""
    if figure.y_scale == "log":
        return math.log1p(max(y, 0.0)) / math.log1p(highest)
    return max(y, 0.0) / highest


def _blocks(eighths: float) -> str:
    whole = int(eighths)
    return _BAR * whole + _EIGHTHS[int((eighths - whole) * 8)].strip()
