"""A report as one HTML page: no network, light and dark, for a phone and for paper.

What it does: fill ``page/page.html.jinja`` with the report, its figures (``figures.py``), the style sheet, and the
scripts with the live box's data. All text is escaped by the template and passed through ``cells.plain``; besides, the
page forbids itself to run any script but these, or to load anything, by a Content-Security-Policy with their hashes, so
that text which got past the escaping would stay dead.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from bbpe import __version__
from bbpe.errors import MissingExtraError
from bbpe.report.cells import best_written, plain, visible, written
from bbpe.report.figures import drawing
from bbpe.report.livebox import packed
from bbpe.report.markdown import figure_table
from bbpe.report.model import Cell, PieceToken, Report, TreeNode

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_ROWS = 2000
"""Rows of a table that a page holds."""


def html(report: Report) -> str:
    """The report as a page.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    from markupsafe import Markup

    environment = _environment()
    box = report.live_box if report.live_box is not None and report.live_box.vocabularies else None
    scripts = [_file("table.js")]
    data = ""
    if box is not None:
        data = _json_for_script(packed(box))
        scripts += [_file("encoder.js") + _file("box.js")]
    return environment.get_template("page.html.jinja").render(
        report=report,
        box=box,
        data=Markup(data),
        data_size=_size(len(data)),
        titles={block.name: block.title for block in report.blocks()},
        style=Markup(_file("style.css")),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
        most_rows=MOST_ROWS,
        version=__version__,
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtraError(
            "HTML reports need jinja2, which is not installed: pip install 'bbpe[compare]'"
        ) from error
    environment = Environment(
        loader=FunctionLoader(_file), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        plain=plain,
        paragraphs=_paragraphs,
        kind=lambda block: type(block).__name__.lower(),
        best=lambda table: {column.key: best_written(table, column) for column in table.columns},
        extent=_extent,
        written=written,
        visible=lambda token: list(visible(token)),
        number=_number,
        tooltip=_tooltip,
        drawing=lambda figure: Markup(drawing(figure)),
        figure_table=lambda figure: figure_table(figure, limit=200),
        walk=_walk,
    )
    return environment


@lru_cache(maxsize=8)
def _file(name: str) -> str:
    return resources.files("bbpe.report").joinpath("page", name).read_text("utf-8")


def _policy(scripts: list[str]) -> str:
    """Only these scripts run, nothing is loaded, nothing is sent."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _json_for_script(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _paragraphs(text: str) -> list[str]:
    return [" ".join(plain(part).split()) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def _extent(text: str) -> str:
    """A class by how text is best broken into lines: not at all, where it likes but with room, or inside a word."""
    if max(map(len, text.split()), default=0) > 28:
        return " long"
    return " short" if len(text) <= 20 else " sentence" if len(text) > 60 else ""


def _number(value: Cell) -> str:
    """What a table sorts by."""
    if isinstance(value, bool):
        return str(int(value))
    return repr(value).replace("inf", "Infinity")


def _tooltip(token: PieceToken) -> str:
    parts = [f"id {token.id}"] if token.id is not None else []
    parts += [token.token.hex(" ").upper()] if token.token else []
    parts += (
        [{"unknown": "unknown: the text is lost", "special": "special token"}[token.kind]]
        if token.kind != "token"
        else []
    )
    parts += [plain(token.note)] if token.note else []
    return " · ".join(parts)


def _walk(root: TreeNode) -> Iterator[tuple[str, TreeNode | None]]:
    """A tree as the tags that draw it, in order; without recursion, for a long token's tree is deep."""
    stack: list[tuple[str, TreeNode | None]] = [("open", root)]
    while stack:
        step, node = stack.pop()
        yield step, node
        if step == "open" and node is not None:
            stack.append(("close", None))
            if node.children:
                stack.append(("end", None))
                stack += [("open", child) for child in reversed(node.children)]
                stack.append(("parts", None))


def _size(characters: int) -> str:
    return f"{characters / 1e6:.1f} MB" if characters >= 1e5 else f"{max(1, round(characters / 1e3))} KB"
