"""A report as JSON: everything in it but the live box, values unrounded.

``{"title", "summary", "method": {…}, "sections": [{"title", "text", "blocks": [{"type", "name", …}]}]}``. A tree is a
list of nodes, the root first, each with the places of its children in that list (nested, the tree of a long token would
be too deep for many readers of JSON). A token is
``{"text": "中" or null, "bytes": "e4b8ad"}``: null where the bytes are not whole characters. Infinite numbers, which
JSON does not know, are the strings ``"inf"`` and ``"-inf"``.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from bbpe.report.cells import is_valid
from bbpe.report.model import Block, Facts, Figure, Pieces, Report, Section, Table, TreeNode


def json_text(report: Report) -> str:
    """The report as JSON, with a line break at its end."""
    text = json.dumps(as_dict(report), ensure_ascii=False, indent=1, allow_nan=False)
    # A lone surrogate can stand in a text that somebody asked to see cut, and in no UTF-8.
    return re.sub("[\ud800-\udfff]", lambda lone: f"\\u{ord(lone.group()):04x}", text) + "\n"


def as_dict(report: Report) -> dict[str, Any]:
    """The report as what ``json.dumps`` takes."""
    return {
        "title": report.title,
        "summary": report.summary,
        "method": dict(report.method),
        "main_table": report.main_table or next((table.name for table in report.tables()), None),
        "sections": [_section(section) for section in report.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {"title": section.title, "text": section.text, "blocks": [_block(block) for block in section.blocks]}


def _block(block: Block) -> dict[str, Any]:
    head: dict[str, Any] = {"type": type(block).__name__.lower(), "name": block.name, "title": block.title}
    if isinstance(block, Table):
        columns = [
            {
                "key": column.key, "title": column.title, "unit": column.unit, "kind": column.kind,
                "better": column.better, "note": column.note,
            }
            for column in block.columns
        ]  # fmt: skip
        rows = [{key: _value(value) for key, value in row.items()} for row in block.rows]
        return {**head, "columns": columns, "rows": rows, "notes": list(block.notes)}
    if isinstance(block, Figure):
        series = [
            {
                "label": one.label, "xs": list(map(_value, one.xs)), "ys": list(map(_value, one.ys)),
                "labels": list(one.labels), "sizes": list(map(_value, one.sizes)), "axis": one.axis,
            }
            for one in block.series
        ]  # fmt: skip
        return {
            **head, "kind": block.kind, "x_title": block.x_title, "y_title": block.y_title, "x_scale": block.x_scale,
            "y_scale": block.y_scale, "second_axis": block.second_axis, "size_title": block.size_title,
            "caption": block.caption, "table": block.table, "series": series,
        }  # fmt: skip
    if isinstance(block, Facts):
        facts = [
            {"label": fact.label, "value": _value(fact.value), "unit": fact.unit, "note": fact.note}
            for fact in block.facts
        ]
        return {**head, "facts": facts}
    if isinstance(block, Pieces):
        rows = [
            {
                "label": row.label, "lossless": row.lossless, "note": row.note,
                "tokens": [
                    {"id": token.id, "kind": token.kind, "note": token.note, **_value(token.token)}
                    for token in row.tokens
                ],
            }
            for row in block.rows
        ]  # fmt: skip
        return {**head, "text": block.text, "rows": rows, "notes": list(block.notes)}
    return {**head, "nodes": _nodes(block.root)}


def _nodes(root: TreeNode) -> list[dict[str, Any]]:
    nodes = [root]
    made = []
    for node in nodes:  # grows while it is walked
        first = len(nodes)
        nodes.extend(node.children)
        made.append(
            {
                "id": node.id, "rank": node.rank, "note": node.note, **_value(node.token),
                "children": list(range(first, len(nodes))),
            }
        )  # fmt: skip
    return made


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"text": value.decode() if is_valid(value) else None, "bytes": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
