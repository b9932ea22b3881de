"""A report on a terminal, with rich: tables that fit, bars of blocks, pieces in colour.

Everything is written to a rich ``Console`` made here for standard output (or the given file); without a terminal it
is plain text, without colour. Sections, and columns, that are ``minor`` are left out unless asked for.
"""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING

from bbpe.report.cells import NOT_MEASURED, best_written, one_line, plain, shown, visible, written
from bbpe.report.markdown import figure_table, tree_lines
from bbpe.report.model import Block, Cell, Column, Facts, Figure, Pieces, PieceToken, Report, Section, Table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

# Grounds of tokens, of which neighbours have different ones, and the style of bytes of partial characters on them.
# Black on pale can be read on a dark and on a light terminal; one of 16 colours has no pale ones.
_RICH_GROUNDS = (("#bfdbfe", "#fde68a", "#bbf7d0", "#fbcfe8", "#ddd6fe", "#fed7aa"), "bold #b91c1c")
_PLAIN_GROUNDS = (("cyan", "yellow", "green", "magenta"), "bold underline")
_BAR = "█"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LONGEST_CELL = 40  # columns of a cell before it is folded
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
    for part in _parts(report, everything, console):
        console.print(part, soft_wrap=False)


def show_pieces(pieces: Pieces, *, file: IO[str] | None = None, color: bool | None = None) -> None:
    """Write one sentence, cut by every tokenizer, to a terminal."""
    console = _console(file, color)
    for part in _pieces(pieces, console):
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


def _parts(report: Report, everything: bool, console: Console) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text(plain(report.title), style="bold")
    if report.summary:
        yield Text(plain(report.summary))
    for section in report.sections:
        if section.minor and not everything:
            continue
        yield from _section(section, everything, console)
    if everything and report.method:
        yield Text("\nHow to repeat this", style="bold underline")
        for label, value in report.method.items():
            yield Text.assemble((f"{plain(label)}: ", "bold"), plain(value))


def _section(section: Section, everything: bool, console: Console) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text(f"\n{plain(section.title)}", style="bold underline")
    if section.text:
        yield Text(plain(section.text.strip()))
    for block in section.blocks:
        yield from _block(block, everything, console)


def _block(block: Block, everything: bool, console: Console) -> Iterator[RenderableType]:
    from rich.text import Text

    if isinstance(block, Table):
        yield from _table(block, everything, console.width)
    elif isinstance(block, Facts):
        yield from _facts(block)
    elif isinstance(block, Pieces):
        yield from _pieces(block, console)
    elif isinstance(block, Figure):
        if not block.table or everything:
            yield from _figure(block, console.width)
    else:
        yield Text(f"\n{plain(block.title)}", style="bold")
        for line in tree_lines(block.root):
            yield Text(line, no_wrap=True, overflow="fold")


def _table(table: Table, everything: bool, width: int) -> Iterator[RenderableType]:
    """The table; where the terminal is too narrow for its columns, several below one another, each with the first
    column. A number is never cut short: half a number is another number."""
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    columns = [column for column in table.columns if everything or not column.minor]
    rows = table.rows if everything or table.limit is None else table.rows[: table.limit]
    best = {column.key: best_written(table, column) for column in columns}
    cells = {column.key: [_cell(column, row[column.key], best[column.key]) for row in rows] for column in columns}
    headings = {column.key: _heading(column, _widest(cells[column.key])) for column in columns}
    widths = {
        column.key: max(_widest(cells[column.key]), *map(len, headings[column.key].plain.split("\n")))
        for column in columns
    }
    for number, part in enumerate(_side_by_side(columns, widths, width)):
        if number == 0:
            yield Text(plain(table.title), style="bold")
        grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        for column in part:
            grid.add_column(
                headings[column.key], justify="right" if column.numeric else "left", overflow="fold",
                min_width=min(widths[column.key], _LONGEST_CELL) if column.numeric or len(part) > 1 else None,
            )  # fmt: skip
        for index in range(len(rows)):
            style = "bold cyan" if index in table.emphasized else None
            grid.add_row(*(cells[column.key][index] for column in part), style=style)
        yield grid
    if len(rows) < len(table.rows):
        yield Text(f"{len(rows):,} of {len(table.rows):,} rows", style="dim")
    for note in table.notes:
        yield Text(plain(note), style="dim")


def _heading(column: Column, widest: int) -> Text:
    """A column's title and unit, in lines about as wide as its cells."""
    from rich.text import Text

    def lines(text: str) -> str:
        return textwrap.fill(one_line(text), max(widest, 9), break_long_words=False)

    heading = Text(lines(column.title))
    if column.unit:
        heading.append(f"\n{lines(column.unit)}", style="dim")
    return heading


def _widest(cells: Sequence[Text]) -> int:
    return max((cell.cell_len for cell in cells), default=0)


def _side_by_side(columns: Sequence[Column], widths: Mapping[str, int], width: int) -> list[list[Column]]:
    """The columns in groups that fit a width, the first column in front of each."""
    first, *others = columns
    groups = [[first]]
    used = start = min(widths[first.key], _LONGEST_CELL) + 4
    for column in others:
        needed = min(widths[column.key], _LONGEST_CELL) + 3
        if used + needed > width and len(groups[-1]) > 1:
            groups.append([first])
            used = start
        groups[-1].append(column)
        used += needed
    return groups


def _cell(column: Column, value: Cell, best: str | None) -> Text:
    from rich.text import Text

    if isinstance(value, bytes):
        return _piece(value)
    text = Text(written(column, value))
    if value is None:
        text.stylize("dim")
    elif text.plain == best:
        text.stylize("bold green")
    return text


def _facts(facts: Facts) -> Iterator[RenderableType]:
    from rich.table import Table as Grid
    from rich.text import Text

    yield Text(plain(facts.title), style="bold")
    grid = Grid(box=None, show_header=False, pad_edge=False)
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


def _pieces(pieces: Pieces, console: Console) -> Iterator[RenderableType]:
    """Label, number of tokens, and the tokens, in lines that end between two tokens."""
    from rich.cells import cell_len
    from rich.text import Text

    width = console.width
    grounds, partial = _RICH_GROUNDS if console.color_system in ("256", "truecolor") else _PLAIN_GROUNDS
    yield Text(plain(pieces.title), style="bold")
    yield Text(shown(pieces.text), style="dim")
    labels = [one_line(row.label) for row in pieces.rows]
    labelled = min(max(map(cell_len, labels), default=0), width // 3)
    counted = max((len(f"{len(row.tokens):,}") for row in pieces.rows), default=0)
    indent = labelled + counted + 3
    for label, row in zip(labels, pieces.rows, strict=True):
        head = Text(label, style="bold")
        head.truncate(labelled, overflow="ellipsis", pad=True)
        lines = [Text.assemble(head, f" {len(row.tokens):>{counted},}  ")]
        for number, token in enumerate(row.tokens):
            piece = _probe_token(token, f"black on {grounds[number % len(grounds)]}", partial)
            if number and lines[-1].cell_len + piece.cell_len > width - 1:
                lines.append(Text(" " * indent))
            lines[-1].append_text(piece)
            lines[-1].append("|", style="dim") if number < len(row.tokens) - 1 else None
        if not row.lossless:
            lines[-1].append("  lossy", style="bold red")
        yield from lines
        if row.note:
            note = textwrap.fill(one_line(row.note), max(width - indent, 20), break_on_hyphens=False)
            yield Text(textwrap.indent(note, " " * indent), style="dim")
    for note in pieces.notes:
        yield Text(plain(note), style="dim")


def _probe_token(token: PieceToken, ground: str, partial: str) -> Text:
    """A token on a ground that its neighbours do not have."""
    text = _piece(token.token, ground, partial=partial)
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


def _figure(figure: Figure, width: int) -> Iterator[RenderableType]:
    """Bars and histograms as bars of blocks; of curves and clouds the numbers."""
    from rich.cells import cell_len
    from rich.text import Text

    if figure.kind not in ("bars", "histogram"):
        yield from _table(figure_table(figure, limit=12), False, width)
        return
    yield Text(f"\n{plain(figure.title)}", style="bold")
    highest = max((y for series in figure.series for y in series.ys if y is not None), default=0.0) or 1.0
    bars = [(name, series.label, y) for series in figure.series for name, y in _named(figure, series.xs, series.ys)]
    names = [plain(f"{name}  {label}" if len(figure.series) > 1 else name) for name, label, _ in bars]
    named = max(map(cell_len, names), default=0)
    room = max(10, min(40, width - named - 12))
    for name, (_, _, y) in zip(names, bars, strict=True):
        length = 0.0 if y is None else _length(figure, y, highest)
        amount = NOT_MEASURED if y is None else f"{y:,.0f}" if float(y).is_integer() else f"{y:,.3f}"
        space = " " * (named - cell_len(name))
        yield Text.assemble((f"{space}{name} ", "dim"), (_blocks(length * room), "cyan"), f" {amount}")


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
