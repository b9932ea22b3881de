"""What a report is: sections of tables, figures, facts, pieces and trees; no word about how they are drawn.

Builders (``comparison_report.py``, ``inspection_report.py``) make a ``Report`` of records; renderers (``terminal.py``,
``markdown.py``, ``csv_file.py``, ``json_file.py``, ``html.py``) show all of it, each in its way. Values stay values:
a cell holds ``0.6512``, never ``"0.65"``, and its column says how it is written. ``None`` is "not measured", everywhere.

Blocks have a ``name`` (a short identifier, unique in the report: HTML anchors, keys in JSON) and a ``title`` for
people. Everything is checked when it is made, so that a mistake of a builder shows where it was made (``ValueError``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from bbpe.vocabulary import Vocabulary

Cell: TypeAlias = "str | int | float | bool | bytes | None"
"""A value in a table. ``bytes`` only in a column of kind ``"token"``; NaN counts as None."""

ColumnKind = Literal["text", "integer", "number", "percent", "flag", "token"]
FigureKind = Literal["bars", "scatter", "lines", "histogram"]
Scale = Literal["linear", "log"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        key: What rows call it; the heading in CSV and JSON.
        title: Its heading for people.
        unit: What its numbers count (``"tokens per character"``, ``"MB/s"``); shown small under the heading.
        kind: ``"text"``; ``"integer"`` (thousands separated); ``"number"`` (``digits`` decimals); ``"percent"`` (the
            value is a fraction: 0.25 is shown as 25.0 %); ``"flag"`` (bool: yes, no); ``"token"`` (bytes, shown with
            white space and partial characters visible).
        digits: Decimals of a number (default 3) or a percentage (default 1).
        better: Which end is better, so that the best value of the column can be marked; None: neither.
        note: What the column means, in a sentence: a tooltip in HTML, a list under the table elsewhere.
        minor: Left out where there is little room (the terminal); files have it.
    """

    key: str
    title: str
    unit: str = ""
    kind: ColumnKind = "text"
    digits: int | None = None
    better: Literal["higher", "lower"] | None = None
    note: str = ""
    minor: bool = False

    @property
    def decimals(self) -> int:
        """Digits after the point."""
        return self.digits if self.digits is not None else {"number": 3, "percent": 1}.get(self.kind, 0)

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers, to be aligned right."""
        return self.kind in ("integer", "number", "percent")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values under columns; the first column names the row.

    Attributes:
        name: Identifier.
        title: Heading.
        columns: In the order shown. What a row holds beyond these keys is an error; a key it lacks is None.
        rows: ``{column key: value}``. Numbers of numpy become Python's.
        notes: Remarks under the table.
        emphasized: Row numbers to set off (the baseline, one's own vocabulary).
        limit: Rows shown on the terminal and, until a click, in HTML and Markdown; None: all. CSV and JSON have all.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    notes: tuple[str, ...] = ()
    emphasized: tuple[int, ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        _freeze(self, "columns", tuple(self.columns))
        keys = [column.key for column in self.columns]
        if not keys or len(set(keys)) != len(keys):
            raise ValueError(f"table {self.name!r}: its column keys are not distinct: {keys}")
        kinds = {column.key: column.kind for column in self.columns}
        rows = []
        for number, row in enumerate(self.rows):
            if unknown := row.keys() - kinds.keys():
                raise ValueError(f"table {self.name!r}, row {number}: no column {sorted(unknown)[0]!r}")
            rows.append({key: _checked_cell(self.name, number, key, row.get(key), kinds[key]) for key in keys})
        _freeze(self, "rows", tuple(rows))
        _freeze(self, "notes", tuple(self.notes))
        if any(not 0 <= number < len(rows) for number in self.emphasized):
            raise ValueError(f"table {self.name!r}: emphasized rows {self.emphasized} of {len(rows)}")

    def best(self, column: Column) -> float | None:
        """The best value of a column that has one; None where all rows are equal, or there are fewer than two."""
        if column.better is None or not column.numeric:
            return None
        values = [value for row in self.rows if isinstance(value := row[column.key], int | float)]
        if len(values) < 2 or min(values) == max(values):
            return None
        return max(values) if column.better == "higher" else min(values)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know: a label and a value, written as a column of the kind would write it."""

    label: str
    value: Cell
    kind: ColumnKind = "text"
    digits: int | None = None
    unit: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        _freeze(self, "value", _checked_cell("facts", 0, self.label, self.value, self.kind))

    @property
    def column(self) -> Column:
        """The column that would write this value."""
        return Column("value", self.label, kind=self.kind, digits=self.digits, unit=self.unit)


@dataclass(frozen=True, slots=True)
class Facts:
    """A list of labels and values, such as the make-up of a vocabulary."""

    name: str
    title: str
    facts: tuple[Fact, ...]

    def __post_init__(self) -> None:
        _check_name(self.name)
        _freeze(self, "facts", tuple(self.facts))


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a figure.

    Attributes:
        label: Its name in the legend.
        xs: Bars: the categories (str), the same in every series. Histogram: one number a bin (values, bars of width
            1), or the n + 1 edges of n bins. Else numbers.
        ys: Numbers; None (or NaN, or infinite) is a gap.
        labels: Scatter: the name of each point, drawn beside it; not among more than 300 points, which
            are drawn small and alike.
        sizes: Scatter: a number for each point, shown as its area (``Figure.size_title`` says what it is).
        axis: ``"right"`` draws the series against the second axis (``Figure.second_axis``).
    """

    label: str
    xs: tuple[str | float, ...]
    ys: tuple[float | None, ...]
    labels: tuple[str, ...] = ()
    sizes: tuple[float, ...] = ()
    axis: Literal["left", "right"] = "left"

    def __post_init__(self) -> None:
        _freeze(self, "xs", tuple(x if isinstance(x, str) else _plain(x) for x in self.xs))
        _freeze(self, "ys", tuple(_number_or_none(y) for y in self.ys))
        _freeze(self, "labels", tuple(self.labels))
        _freeze(self, "sizes", tuple(_plain(size) for size in self.sizes))
        if any(not isinstance(x, str) and not math.isfinite(x) for x in self.xs):
            raise ValueError(f"series {self.label!r}: an x is not finite")
        for what, values in (("labels", self.labels), ("sizes", self.sizes)):
            if values and len(values) != len(self.xs):
                raise ValueError(f"series {self.label!r}: {len(values)} {what} for {len(self.xs)} points")
        if len(self.ys) != len(self.xs) and len(self.ys) != len(self.xs) - 1:
            raise ValueError(f"series {self.label!r}: {len(self.xs)} xs and {len(self.ys)} ys")


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of numbers.

    Attributes:
        name: Identifier.
        title: Heading.
        kind: ``"bars"`` (grouped, one group a category; drawn lying where there are many or long names),
            ``"scatter"``, ``"lines"``, ``"histogram"``.
        x_title: What the x axis counts, with its unit. Of bars: what the categories are.
        y_title: The same of the y axis. Of bars: what their length counts.
        series: At least one.
        x_scale: ``"log"`` for rank–frequency and vocabulary sizes. Not for bars.
        y_scale: Also of a histogram.
        second_axis: The title of a y axis on the right, for the series with ``axis="right"``. Lines only.
        size_title: Scatter: what the area of a point shows.
        diagonal: Scatter: draw the line y = x (parity), and both axes alike.
        reference: A horizontal (for bars: across the bars) line at this value, such as 1 token per character.
        caption: A remark under the figure.
        table: The name of the table whose numbers it draws, for renderings without pictures; "" where no table has
            them: these then write the numbers out.
    """

    name: str
    title: str
    kind: FigureKind
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    second_axis: str = ""
    size_title: str = ""
    diagonal: bool = False
    reference: float | None = None
    caption: str = ""
    table: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        _freeze(self, "series", tuple(self.series))
        if not self.series:
            raise ValueError(f"figure {self.name!r} has no series")
        for series in self.series:
            words = sum(isinstance(x, str) for x in series.xs)
            if (self.kind == "bars" and words != len(series.xs)) or (self.kind != "bars" and words):
                raise ValueError(f"figure {self.name!r}: the xs of bars are categories (str), all others are numbers")
            if self.kind == "bars" and series.xs != self.series[0].xs:
                raise ValueError(f"figure {self.name!r}: all series of bars have the same categories")
            if self.kind != "histogram" and len(series.ys) != len(series.xs):
                raise ValueError(f"figure {self.name!r}: series {series.label!r} has not one y for each x")
            if series.axis == "right" and (not self.second_axis or self.kind != "lines"):
                raise ValueError(f"figure {self.name!r}: only lines have a second axis, and it needs a title")


@dataclass(frozen=True, slots=True)
class PieceToken:
    """One token of a cut sentence.

    Attributes:
        token: The bytes that it stands for; b"" for one that stands for no text.
        id: Its id; None where there is none to tell.
        kind: ``"unknown"`` (the text under it is lost), ``"special"`` (a special token), or an ordinary ``"token"``.
        note: A remark, shown as a tooltip.
    """

    token: bytes
    id: int | None = None
    kind: Literal["token", "unknown", "special"] = "token"
    note: str = ""


@dataclass(frozen=True, slots=True)
class PieceRow:
    """How one tokenizer cuts the sentence.

    Attributes:
        label: The tokenizer.
        tokens: In order.
        lossless: Whether decoding gives the sentence back; False is flagged.
        note: A remark: what decoding gave instead, which engine ran it.
    """

    label: str
    tokens: tuple[PieceToken, ...]
    lossless: bool = True
    note: str = ""

    def __post_init__(self) -> None:
        _freeze(self, "tokens", tuple(self.tokens))


@dataclass(frozen=True, slots=True)
class Pieces:
    """One sentence, every tokenizer: the pieces side by side, white space and partial characters visible."""

    name: str
    title: str
    text: str
    rows: tuple[PieceRow, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.name)
        _freeze(self, "rows", tuple(self.rows))
        _freeze(self, "notes", tuple(self.notes))


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A token and the tokens that were merged into it.

    Attributes:
        token: Its bytes.
        id: Its id; None for an intermediate that is no token.
        rank: The rank of the merge that makes it; None for a byte.
        note: A remark ("unreachable", "canonical split").
        children: The parts, left to right; none for a byte.
    """

    token: bytes
    id: int | None = None
    rank: int | None = None
    note: str = ""
    children: tuple[TreeNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """The merges that build one token, drawn as a tree."""

    name: str
    title: str
    root: TreeNode

    def __post_init__(self) -> None:
        _check_name(self.name)


@dataclass(frozen=True, slots=True)
class LiveVocabulary:
    """A vocabulary that the page runs.

    Attributes:
        name: As the report calls it.
        vocabulary: Byte-level, its pattern an automaton.
        expected: The ids of the box's first text, which the page compares with its own; None where it has none.
    """

    name: str
    vocabulary: Vocabulary
    expected: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class LiveBox:
    """The box in the HTML page where pasted text is cut.

    Builders make it with ``bbpe.report.livebox.live_box(tokenizers, text, limit=8)``, where ``tokenizers`` maps names
    to ``Tokenizer`` or ``EngineTokenizer``; it takes those that the page can run and says why not the others. Only
    HTML shows it.

    Attributes:
        vocabularies: Those that are embedded.
        text: What stands in the box at first.
        left_out: Name and reason of each tokenizer that is not in it.
    """

    vocabularies: tuple[LiveVocabulary, ...]
    text: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)


Block: TypeAlias = "Table | Figure | Facts | Pieces | Tree"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, some text (paragraphs with empty lines between; plain text), and blocks.

    Attributes:
        title: Heading.
        text: Plain text; an empty line ends a paragraph.
        blocks: In the order shown.
        minor: Left out on the terminal, where the answer has to fit one screen; files have it.
    """

    title: str
    text: str = ""
    blocks: tuple[Block, ...] = ()
    minor: bool = False

    def __post_init__(self) -> None:
        _freeze(self, "blocks", tuple(self.blocks))


@dataclass(frozen=True, slots=True)
class Report:
    """All that a reader is shown, and how to repeat it.

    Attributes:
        title: Heading, and the title of the page.
        sections: In the order shown.
        method: What another person needs to repeat it: command, versions, corpora with their hashes, rules.
        summary: The answer in a sentence or two, first of all.
        main_table: The name of the table that a CSV file holds; "" for the first.
        live_box: For HTML; None to leave it out.
    """

    title: str
    sections: tuple[Section, ...]
    method: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    main_table: str = ""
    live_box: LiveBox | None = None

    def __post_init__(self) -> None:
        _freeze(self, "sections", tuple(self.sections))
        names = [block.name for block in self.blocks()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two blocks of the report have the name {min(twice)!r}")
        tables = {table.name for table in self.tables()}
        if self.main_table and self.main_table not in tables:
            raise ValueError(f"the report has no table {self.main_table!r}; it has {', '.join(sorted(tables))}")

    def blocks(self) -> Iterator[Block]:
        """All blocks, in order."""
        for section in self.sections:
            yield from section.blocks

    def tables(self) -> tuple[Table, ...]:
        """All tables, the main one first."""
        found = [block for block in self.blocks() if isinstance(block, Table)]
        return tuple(sorted(found, key=lambda table: table.name != self.main_table))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no block name: letters, digits, - and _, a letter first")


def _freeze(record: object, attribute: str, value: object) -> None:
    object.__setattr__(record, attribute, value)


def _plain(value: object) -> float:
    """A number of numpy as Python's; ints stay ints."""
    item = getattr(value, "item", None)
    found = item() if item is not None else value
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"{value!r} is no number")
    return found


def _number_or_none(value: object) -> float | None:
    number = None if value is None else _plain(value)
    return None if number is None or not math.isfinite(number) else number


def _checked_cell(table: str, row: int, key: str, value: object, kind: ColumnKind) -> Cell:
    """A cell as a plain Python value of the kind of its column."""
    item = getattr(value, "item", None)
    value = item() if item is not None else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    expected: tuple[type, ...] = {
        "text": (str,),
        "integer": (int,),
        "number": (int, float),
        "percent": (int, float),
        "flag": (bool,),
        "token": (bytes,),
    }[kind]
    if not isinstance(value, expected) or (kind in ("integer", "number", "percent") and isinstance(value, bool)):
        raise ValueError(f"table {table!r}, row {row}, {key!r}: {value!r} is no {kind}")
    assert isinstance(value, str | int | float | bool | bytes)
    return value
