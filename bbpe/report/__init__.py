"""Reports: one model of rows, five renderings.

``model.py`` says what a report is; ``write`` renders one into a file by its suffix, ``terminal.show`` onto a terminal.
What it does not: measure anything, or know what is compared (``comparison_report.py`` and ``inspection_report.py``
build the reports).

>>> from bbpe.report import Column, Report, Section, Table
>>> table = Table("t", "Tokens", (Column("name", "Vocabulary"), Column("n", "Tokens", kind="integer")),
...               ({"name": "gpt2", "n": 1234},))
>>> print(markdown(Report("Demo", (Section("Counts", blocks=(table,)),))).splitlines()[-1])
| gpt2 | 1,234 |
"""

from __future__ import annotations

import os
from pathlib import Path

from bbpe.errors import OutputError
from bbpe.io import atomic_write
from bbpe.report.csv_file import csv_text
from bbpe.report.json_file import json_text
from bbpe.report.markdown import markdown
from bbpe.report.model import (
    Block,
    Cell,
    Column,
    Fact,
    Facts,
    Figure,
    LiveBox,
    LiveVocabulary,
    PieceRow,
    Pieces,
    PieceToken,
    Report,
    Section,
    Series,
    Table,
    Tree,
    TreeNode,
)

__all__ = [
    "SUFFIXES",
    "Block",
    "Cell",
    "Column",
    "Fact",
    "Facts",
    "Figure",
    "LiveBox",
    "LiveVocabulary",
    "PieceRow",
    "PieceToken",
    "Pieces",
    "Report",
    "Section",
    "Series",
    "Table",
    "Tree",
    "TreeNode",
    "check_suffix",
    "csv_text",
    "json_text",
    "markdown",
    "write",
]

SUFFIXES = (".html", ".md", ".csv", ".json")


def write(report: Report, path: str | os.PathLike[str], *, force: bool = False) -> tuple[str, ...]:
    """Write a report in the form that the name of the file asks for.

    ``.html``: one self-contained page with figures and, where the report has one, the live box. ``.md``: Markdown.
    ``.csv``: the main table alone. ``.json``: everything, values unrounded. The file takes its name only when it is
    complete.

    Args:
        report: What to write.
        path: Its suffix chooses the form.
        force: Replace a file that exists.

    Returns:
        The titles of the tables that the file does not hold: a CSV file has only one.

    Raises:
        OutputError: Another suffix; a CSV file of a report without tables; ``path`` exists and ``force`` is false; it
            cannot be written.
        MissingExtraError: HTML without the ``compare`` extra (matplotlib, jinja2).
    """
    suffix = check_suffix(path)
    tables = report.tables()
    if suffix == ".csv" and not tables:
        raise OutputError(f"{os.fspath(path)}: this report has no table for a CSV file; write .html, .md or .json")
    with atomic_write(path, force=force) as file:
        file.write(_rendered(report, suffix))
    return tuple(table.title for table in tables[1:]) if suffix == ".csv" else ()


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of a report's file, so that a wrong one is refused before hours of work.

    Raises:
        OutputError: It is none of ``SUFFIXES``.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{os.fspath(path)}: a report's name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    return suffix


def _rendered(report: Report, suffix: str) -> bytes:
    if suffix == ".html":
        from bbpe.report.html import html  # needs an extra

        return html(report).encode()
    if suffix == ".csv":
        return csv_text(report).encode("utf-8-sig")
    return (markdown(report) if suffix == ".md" else json_text(report)).encode()
