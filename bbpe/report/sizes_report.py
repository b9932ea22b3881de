"""The report of a curve of sizes.

What it does: put tokens per character and parameters side by side. What it does not: measure, or draw.
"""

from __future__ import annotations

from bbpe.analysis.sizes import Sizes
from bbpe.report.model import Cell, Column, Figure, Report, Section, Series, Table

__all__ = ["sizes_report"]


def sizes_report(sizes: Sizes) -> Report:
    """The report of a curve of sizes: tokens per character on the left, parameters on the right."""
    labels = list(dict.fromkeys(row.text for row in sizes.rows))
    by_size: dict[int, dict[str, Cell]] = {}
    for row in sizes.rows:
        cells = by_size.setdefault(row.vocab_size, {"vocab_size": row.vocab_size})
        number = labels.index(row.text)
        cells[f"tpc_{number}"] = row.tokens_per_character
        cells[f"saved_{number}"] = row.saved
        cells["parameters"] = None if row.cost is None else row.cost.parameters / 1e6
    columns = [Column("vocab_size", "Entries", kind="integer")]
    for number, label in enumerate(labels):
        columns.append(Column(f"tpc_{number}", label, "tokens/char", "number"))
        columns.append(
            Column(f"saved_{number}", "Saved", "by this step", "percent", note="Tokens, against the size before.")
        )
    costed = any(row.cost is not None for row in sizes.rows)
    if costed:
        columns.append(Column("parameters", "Rows", "M parameters", "number", 1))
    rows = tuple({column.key: cells.get(column.key) for column in columns} for cells in by_size.values())
    series = [
        Series(
            label,
            tuple(row.vocab_size for row in sizes.rows if row.text == label),
            tuple(row.tokens_per_character for row in sizes.rows if row.text == label),
        )
        for label in labels
    ]
    if costed:
        first = [row for row in sizes.rows if row.text == labels[0] and row.cost is not None]
        series.append(
            Series(
                "parameters",
                tuple(row.vocab_size for row in first),
                tuple(row.cost.parameters / 1e6 for row in first if row.cost is not None),
                axis="right",
            )
        )
    figure = Figure(
        "curve",
        "Tokens per character against vocabulary size",
        "lines",
        "Entries",
        "Tokens per character",
        tuple(series),
        x_scale="log",
        second_axis="Million parameters of embedding and output projection" if costed else "",
        table="sizes",
    )
    table = Table("sizes", f"{sizes.tokenizer}, cut down", tuple(columns), rows, notes=sizes.warnings)
    section = Section("From one training", blocks=(table, figure))
    return Report(f"Sizes of {sizes.tokenizer}", (section,), main_table="sizes")
