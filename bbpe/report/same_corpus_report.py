"""The report of libraries trained on the same text: how long each took, and the comparison of what came out."""

from __future__ import annotations

from collections.abc import Mapping

from bbpe.analysis.same_corpus import SameCorpus
from bbpe.report.comparison_report import comparison_report
from bbpe.report.model import Cell, Column, Report, Section, Table

__all__ = ["same_corpus_report"]


def same_corpus_report(found: SameCorpus) -> Report:
    """The report of libraries trained on the same text."""
    report = comparison_report(found.comparison, title=f"Same text, {found.vocab_size:,} entries, different libraries")
    columns = (
        Column("name", "Library"),
        Column("library", "Version"),
        Column("seconds", "Training", "seconds", "number", 1, better="lower"),
        Column("entries", "Entries", kind="integer"),
        Column("options", "Options"),
    )
    rows: tuple[Mapping[str, Cell], ...] = tuple(
        {
            "name": one.name,
            "library": one.library,
            "seconds": one.seconds,
            "entries": one.entries,
            "options": one.options,
        }
        for one in found.trained
    )
    table = Table("training", "How long training took, on all processors", columns, rows)
    section = Section(
        "Training",
        f"All learned from the same {found.training_bytes:,} bytes; the figures above are of "
        f"{found.held_out_bytes:,} bytes that none of them saw.",
        (table,),
    )
    sections = (report.sections[0], section, *report.sections[1:])
    return Report(report.title, sections, {**report.method, **found.method}, report.summary, report.main_table)
