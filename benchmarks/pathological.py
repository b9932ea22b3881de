"""Twelve texts that a tokenizer may take far too long for: one pretoken each, or nearly, up to a megabyte of it."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable

MEGABYTE = 1_000_000


def _drawn(alphabet: str, size: int) -> str:
    """Characters drawn from an alphabet, ``size`` bytes of UTF-8, the same in every run."""
    each = len(alphabet[0].encode())
    return "".join(random.Random(6).choices(alphabet, k=size // each))


def _han() -> str:
    return "".join(map(chr, range(0x4E00, 0x9FA6)))


CASES: dict[str, Callable[[], str]] = {
    "a100k": lambda: "a" * 100_000,
    "a1M": lambda: "a" * MEGABYTE,
    "han1M": lambda: "中国人民" * (MEGABYTE // 12),
    "randhan1M": lambda: _drawn(_han(), MEGABYTE),
    "spaces100k": lambda: " " * 100_000,
    "spacesx100k": lambda: " " * 100_000 + "x",
    "newlines100k": lambda: "\n" * 100_000,
    "punct100k": lambda: "!" * 100_000,
    "base64_1M": lambda: base64.b64encode(random.Random(6).randbytes(MEGABYTE * 3 // 4)).decode(),
    "digits1M": lambda: _drawn("0123456789", MEGABYTE),
    "emoji1M": lambda: _drawn("😀😂🤣😊😍🙏👍🎉🔥🚀🤔😭🥰✨"[:-1], MEGABYTE),
    "letters1M": lambda: _drawn("abcdefghijklmnopqrstuvwxyz", MEGABYTE),
}
"""Name → the text, made when asked for."""
