"""The entries of a tokenizer, bbpe's own or another library's, as one kind of record: ids, bytes, what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from bbpe import unicode
from bbpe.engines import EngineTokenizer
from bbpe.tokenizer import Tokenizer

TokenKind = Literal["byte", "merge", "piece", "special", "reserved"]

PIECE_OF_CHARACTER = "piece of a character"
MIXED = "mixed scripts"
JAPANESE = "Japanese (kana and Han)"
DIGITS = "digits"
WHITE_SPACE = "white space"
EMOJI = "emoji"
SYMBOLS = "punctuation and symbols"

_RESERVED = re.compile(r"(?i)(reserved|unused|extra|placeholder|dummy|not_used).*?\d")
_BYTE_PIECE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True, slots=True)
class Entries:
    """What stands in a vocabulary.

    Attributes:
        name: For reports.
        tokens: Id to bytes of the ordinary tokens, ids ascending.
        special: Id to content of the special tokens.
        kinds: The kind of every id. Reserved: a special token whose name says so (``<|reserved_special_token_7|>``).
            Piece: what merges make, where the algorithm has no merges.
        id_space: Last id + 1.
        byte_level: Whether every text can be spelled in single bytes by design.
    """

    name: str
    tokens: Mapping[int, bytes]
    special: Mapping[int, str]
    kinds: Mapping[int, TokenKind]
    id_space: int
    byte_level: bool

    def __len__(self) -> int:
        return len(self.kinds)


def entries_of(tokenizer: Tokenizer | EngineTokenizer, name: str | None = None) -> Entries:
    """The entries of any tokenizer."""
    kinds: dict[int, TokenKind] = {}
    special = {id: content for content, id in tokenizer.special_tokens.items()}
    if isinstance(tokenizer, Tokenizer):
        vocabulary = tokenizer.vocabulary
        tokens = {id: token for id, token in vocabulary.tokens.items() if id not in special}
        kinds = {id: "byte" if len(token) == 1 else "merge" for id, token in tokens.items()}
        known = name or vocabulary.name or "vocabulary"
        byte_level = True
    else:
        pieces = tokenizer.pieces
        tokens = {id: tokenizer.token(id) for id in sorted(pieces) if id not in special}
        byte_level = tokenizer.algorithm == "byte-level bpe"
        rest: TokenKind = "merge" if "bpe" in tokenizer.algorithm else "piece"
        for id, token in tokens.items():
            single = len(token) == 1 if byte_level else bool(_BYTE_PIECE.fullmatch(pieces[id]))
            kinds[id] = "byte" if single else rest
        known = name or tokenizer.name or "vocabulary"
    for id, content in special.items():
        kinds[id] = "reserved" if _RESERVED.search(content) else "special"
    return Entries(known, tokens, special, kinds, tokenizer.id_space, byte_level)


def scripts_of(texts: list[str]) -> list[str]:
    """The script that each text is written in, by its letters; of one without letters, what it is instead.

    >>> scripts_of([" hello", "中国", "ひと人", "aя", "123", "\\n ", "👍", "!?"])
    ['Latin', 'Han', 'Japanese (kana and Han)', 'mixed scripts', 'digits', 'white space', 'emoji', 'punctuation and symbols']
    """  # fmt: skip
    filled = [text or "?" for text in texts]
    starts, numbers, names = unicode.script_table()
    points = np.frombuffer("".join(filled).encode("utf-32-le"), dtype=np.uint32)
    if not len(points):
        return []
    scripts = numbers[np.searchsorted(starts, points, side="right") - 1]
    offsets = np.cumsum([0, *map(len, filled[:-1])])
    lettered = ~np.isin(scripts, [number for number, name in enumerate(names) if name in _SHARED])
    highest = np.maximum.reduceat(np.where(lettered, scripts, -1), offsets).tolist()
    lowest = np.minimum.reduceat(np.where(lettered, scripts, len(names)), offsets).tolist()
    foreign = np.isin(scripts, [number for number, name in enumerate(names) if name not in _OF_JAPANESE | _SHARED])
    japanese = (~np.logical_or.reduceat(foreign, offsets)).tolist()
    return [
        names[high] if low == high else _without_letters(text) if high < 0 else JAPANESE if only_japanese else MIXED
        for text, low, high, only_japanese in zip(filled, lowest, highest, japanese, strict=True)
    ]


_SHARED = frozenset(("Common", "Inherited", "Unknown"))
_OF_JAPANESE = frozenset(("Han", "Hiragana", "Katakana"))


def _without_letters(text: str) -> str:
    if text.isspace():
        return WHITE_SPACE
    if text.strip().isdecimal():
        return DIGITS
    return EMOJI if not text.isascii() and _emoji().search(text) else SYMBOLS


@cache
def _emoji() -> re.Pattern[str]:
    members = unicode.property_set("Extended_Pictographic") - unicode.CharacterSet.of_ranges([(0, 0x203C)])
    return re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in members.ranges()) + "]")


@cache
def han() -> re.Pattern[str]:
    """One Han character."""
    ranges = "".join(f"{chr(low)}-{chr(high)}" for low, high in unicode.property_set("Han").ranges())
    return re.compile(f"[{ranges}]")


def shown(token: bytes, limit: int = 40) -> str:
    """A token for people: its text, or its bytes where it is not valid UTF-8.

    >>> shown("中".encode()), shown("中".encode()[:2]), shown(b" a")
    ("'中'", '<E4 B8>', "' a'")
    """
    try:
        text = repr(token.decode())
    except UnicodeDecodeError:
        text = "<" + token.hex(" ").upper() + ">"
    return text if len(text) <= limit else text[: limit - 1] + "…"
