"""The report of where two tokenizers part: a line for each place, with both cuts and the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bbpe.analysis.difference import Cut, Differences
from bbpe.report.cells import visible
from bbpe.report.model import Block, Cell, Column, Report, Section, Table

__all__ = ["difference_report"]


def difference_report(found: Differences, *, limit: int | None = 20) -> Report:
    """The report of where two tokenizers part.

    Args:
        found: The differences.
        limit: Rows shown on the terminal; files have all.
    """
    columns = (
        Column("place", "Line:column"),
        Column("first", found.first, note="Its tokens, | between them."),
        Column("second", found.second),
        Column("reason", "Why"),
        Column("explanation", "In words"),
        Column("start", "From byte", kind="integer", minor=True),
        Column("end", "To byte", kind="integer", minor=True),
        Column("first_ids", f"Ids of {found.first}", minor=True),
        Column("second_ids", f"Ids of {found.second}", minor=True),
    )
    rows: tuple[Mapping[str, Cell], ...] = tuple(
        {
            "place": f"{one.line}:{one.column}",
            "first": _spelled(one.first),
            "second": _spelled(one.second),
            "reason": one.reason,
            "explanation": one.explanation,
            "start": one.start,
            "end": one.end,
            "first_ids": " ".join(str(cut.id) for cut in one.first),
            "second_ids": " ".join(str(cut.id) for cut in one.second),
        }
        for one in found.differences
    )
    reasons = Table(
        "reasons",
        "Why",
        (Column("reason", "Reason"), Column("count", "Differences", kind="integer")),
        tuple({"reason": reason, "count": count} for reason, count in found.reasons.items()),
    )
    blocks: tuple[Block, ...] = (
        (Table("differences", "Where they part", columns, rows, limit=limit), reasons) if rows else ()
    )
    share = found.different_bytes / found.bytes if found.bytes else 0.0
    if rows:
        coarser = f" Every token boundary of {found.second} is one of {found.first}." if found.coarser else ""
        places = "one place" if len(rows) == 1 else f"{len(rows):,} places"
        summary = (
            f"{found.first} makes {found.first_tokens:,} tokens, {found.second} {found.second_tokens:,}; they part in "
            f"{places}, {share:.1%} of the text.{coarser}"
        )
    else:
        summary = f"{found.first} and {found.second} cut this text alike; tokens: {found.first_tokens:,}."
    return Report(
        f"{found.first} and {found.second}",
        (Section("Differences", blocks=blocks),) if blocks else (),
        summary=summary,
        main_table="differences" if rows else "",
    )


def _spelled(cuts: Sequence[Cut]) -> str:
    return "|".join("".join(part.text for part in visible(cut.token)) or "·" for cut in cuts)
