"""One sentence, every tokenizer: the pieces that each makes of it.

What it does: encode, name each token's bytes, say whether the sentence comes back. What it does not: draw
(``bbpe.report``).
"""

from __future__ import annotations

from dataclasses import dataclass

from bbpe.analysis.measurement import AnyTokenizer, unknown_id

__all__ = ["PROBE_TEXT", "Piece", "Probed", "probe"]

PROBE_TEXT = "Hello, WORLD!  It's 123.5 km: 我爱北京天安门，价格￥99。naïve ©® 🙂\n\treturn x"
"""Upper and lower case, punctuation, two spaces, digits with a point, Chinese, symbols, an emoji, a line end, a tab."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One token: its id, the bytes that it stands for, and whether it stands for lost text."""

    id: int
    token: bytes
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Probed:
    """How one tokenizer cuts the sentence, and what decoding gave where that is not the sentence; else None."""

    pieces: tuple[Piece, ...]
    got: str | None


def probe(tokenizer: AnyTokenizer, text: str = PROBE_TEXT) -> Probed:
    """The pieces of a text."""
    ids = tokenizer.encode(text)
    unknown = unknown_id(tokenizer)
    back = tokenizer.decode(ids)
    pieces = tuple(Piece(id, tokenizer.token(id), id == unknown) for id in ids)
    return Probed(pieces, None if back == text else back)
