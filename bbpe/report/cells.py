"""How a value is written for people: numbers by their column, tokens with everything in them visible.

What it does: make plain text and marked parts of it; renderers add colour and escaping. Text from a vocabulary or a
corpus never reaches a reader raw: control characters, marks that turn the writing direction, and bytes that are no
valid UTF-8 are spelled out.
"""

from __future__ import annotations

import codecs
import unicodedata
from typing import Literal, NamedTuple

from bbpe.report.model import Cell, Column, Table

NOT_MEASURED = "–"

PartKind = Literal["text", "space", "partial", "control"]

_SPACES = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}
# Signs of our own that a text may hold too: spelled out there, so that what is shown can be read in one way only.
_OUR_SIGNS = {*_SPACES.values(), "⟨", "⟩", "◌"}


class Part(NamedTuple):
    """A stretch of a token as shown."""

    text: str
    kind: PartKind


def visible(token: bytes | str) -> list[Part]:
    """A token as it is shown: white space as signs, bytes of partial characters and unprintable characters spelled out.

    >>> [part.text for part in visible(b" a\\n\\xe4\\xb8")]
    ['␣', 'a', '⏎', '⟨E4 B8⟩']
    >>> visible("\\u202e")
    [Part(text='⟨U+202E⟩', kind='control')]
    """
    data = token.encode("utf-8", "surrogatepass") if isinstance(token, str) else token
    parts: list[Part] = []
    for character in data.decode("utf-8", "surrogateescape"):
        part = _shown(character, first=not parts)
        if parts and parts[-1].kind == part.kind and part.kind in ("text", "partial"):
            joined = parts[-1].text + part.text
            parts[-1] = Part(joined.replace("⟩⟨", " "), part.kind) if part.kind == "partial" else Part(joined, "text")
        else:
            parts.append(part)
    return parts


def _shown(character: str, *, first: bool) -> Part:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return Part(f"⟨{code - 0xDC00:02X}⟩", "partial")
    if character in _SPACES:
        return Part(_SPACES[character], "space")
    category = unicodedata.category(character)
    if category[0] in "CZ" or character in _OUR_SIGNS or _is_invisible(code):
        return Part(f"⟨U+{code:04X}⟩", "space" if category[0] == "Z" else "control")
    if first and category[0] == "M":
        return Part("◌" + character, "text")  # a mark alone would sit on what stands before it
    return Part(character, "text")


def _is_invisible(code: int) -> bool:
    """Letters and marks that show nothing: Hangul fillers, the grapheme joiner, variation selectors, Braille blank."""
    return code in (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0) or (
        0xFE00 <= code <= 0xFE0F or 0x180B <= code <= 0x180F or 0xE0100 <= code <= 0xE01EF
    )


def shown(token: bytes | str) -> str:
    """``visible`` as one string."""
    return "".join(part.text for part in visible(token))


def plain(text: str) -> str:
    """A text that people wrote, made safe to show: nothing that controls a terminal or turns the writing direction.

    White space stays white space, unlike in ``visible``; line breaks and tabs stay too.

    >>> plain("a\\u202eb\\x1b[31m")
    'a⟨U+202E⟩b⟨U+001B⟩[31m'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟨U+{ord(character):04X}⟩" if _disturbs(character) else character for character in text)


def _disturbs(character: str) -> bool:
    if character in "\n\t\u200c\u200d":  # the joiners are parts of words and of emoji
        return False
    code = ord(character)
    return (
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        or code & 0xFFFE == 0xFFFE  # no XML, and so no figure, may hold these
        or 0xFDD0 <= code <= 0xFDEF
    )


def one_line(text: str, longest: int | None = None) -> str:
    """``plain`` in one line, with an ellipsis for what is past the longest."""
    line = " ".join(plain(text).split())
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"


def is_valid(token: bytes) -> bool:
    """Whether the bytes are whole characters."""
    try:
        codecs.decode(token, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def written(column: Column, value: Cell) -> str:
    """A cell as its column writes it.

    >>> written(Column("n", "N", kind="integer"), 32000), written(Column("p", "P", kind="percent"), 0.25)
    ('32,000', '25.0 %')
    >>> written(Column("x", "X", kind="number"), None)
    '–'
    """
    if value is None:
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return shown(value)
    if isinstance(value, str):
        return plain(value)
    if column.kind == "integer":
        return f"{value:,}"
    if column.kind == "percent":
        return f"{100 * value:,.{column.decimals}f} %"
    return f"{value:,.{column.decimals}f}"


def best_written(table: Table, column: Column) -> str | None:
    """How the best value of a column is written: all cells that read so are marked, that none looks as good unmarked."""
    best = table.best(column)
    return None if best is None else written(column, best)
