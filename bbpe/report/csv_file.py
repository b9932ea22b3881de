"""A report's main table as CSV, for spreadsheets and data frames.

One file holds one table, so the others are not in it (``.json`` has everything). Values are written unrounded under
their column keys; tokens as they are shown (``cells.visible``), flags as true and false, nothing where nothing was
measured.
"""

from __future__ import annotations

import csv
import io

from bbpe.report.cells import plain, shown
from bbpe.report.model import Cell, Report, Table

# A spreadsheet reads a cell that begins with one of these as a formula; a vocabulary's text must not become one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(report: Report, table: str | None = None) -> str:
    """A table of a report as CSV (RFC 4180).

    ``write`` puts a byte order mark before it, without which a spreadsheet takes Chinese for another encoding.
    A text that a spreadsheet would take for a formula is preceded by an apostrophe.

    Args:
        report: Where the table is.
        table: Its name; the main table when None.

    Raises:
        ValueError: The report has no table, or none of this name.
    """
    tables = {found.name: found for found in report.tables()}
    if not tables or (table is not None and table not in tables):
        raise ValueError(f"the report has no table {table or ''!r}; its tables: {', '.join(tables) or 'none'}")
    return _table_text(tables[table] if table is not None else next(iter(tables.values())))


def _table_text(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.key for column in table.columns])
    for row in table.rows:
        writer.writerow([_cell(row[column.key]) for column in table.columns])
    return out.getvalue()


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | str):
        text = shown(value) if isinstance(value, bytes) else plain(value)
        return "'" + text if text.startswith(_FORMULA) else text
    return repr(value)
