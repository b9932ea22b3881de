"""Unicode normalization form C, in linear time, and which stretches of a text it maps one to one.

What it does: normalize text as the vocabularies that ask for it do (Qwen, GPT-NeoX). What it does not: decide when, or
where special tokens are cut (``tokenizer.py``, ``counts.py``).
"""

from __future__ import annotations

import functools
import re
import unicodedata

import numpy as np

from bbpe._encode import all_within

# Blocks of characters of which every text is normalized: none decomposes, none is a mark, and none joins another.
_STABLE = (
    *[(0x0000, 0x02FF), (0x0400, 0x0482), (0x048A, 0x0590), (0x0E01, 0x0E37), (0x1E00, 0x1EFF), (0x2002, 0x20CF)],
    *[(0x2100, 0x2125), (0x212C, 0x2328), (0x232B, 0x2ADB), (0x2ADD, 0x2CEE), (0x2E00, 0x3029), (0x3030, 0x3098)],
    *[(0x309B, 0xA66E), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0xFE30, 0xFFFF)],
)
_LONG_RUN = 64  # marks in a row from which sorting them first pays


def normalize(text: str) -> str:
    """The text in normalization form C.

    ``unicodedata`` puts runs of marks into canonical order by insertion, quadratic in their length; so long runs that
    are not normalized yet are decomposed and sorted here first, which is canonically equivalent.

    >>> normalize("e\\u0301") == "\\u00e9"
    True
    """
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    if len(text) > _LONG_RUN:
        text = _long_runs().sub(_sorted_marks, text)
    return unicodedata.normalize("NFC", text)


def all_stable(texts: list[str]) -> bool:
    """Whether the texts are seen to be in normalization form C at a glance: nearly all Chinese and English is."""
    return all_within(texts, _stable_bits())


@functools.cache
def _stable_bits() -> bytes:
    members = np.zeros(0x10000, dtype=bool)
    for first, last in _STABLE:
        members[first : last + 1] = True
    return np.packbits(members, bitorder="little").tobytes()


def stretches(text: str) -> list[str]:
    """Cut a text before every character that no normalization joins to, or moves past, what stands before it.

    Each stretch normalizes by itself: the text's normal form is that of its stretches, side by side.

    >>> stretches("ae\\u0301b")
    ['a', 'e\\u0301', 'b']
    """
    joining = _joining()
    cuts = [0]
    for place, character in enumerate(text):
        if place and character not in joining and unicodedata.combining(character) == 0:
            cuts.append(place)
    return [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True) if end > start]


def _sorted_marks(run: re.Match[str]) -> str:
    marks = "".join(unicodedata.normalize("NFD", mark) for mark in run.group())
    return "".join(sorted(marks, key=unicodedata.combining))


@functools.cache
def _long_runs() -> re.Pattern[str]:
    every = map(chr, range(0x300, 0x1F000))
    marks = "".join(mark for mark in every if unicodedata.combining(unicodedata.normalize("NFD", mark)[0]))
    return re.compile(f"[{re.escape(marks)}]{{{_LONG_RUN},}}")


@functools.cache
def _joining() -> frozenset[str]:
    """Characters that a composition may join to the one before: second parts, and what decomposes to begin with one."""
    seconds = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # Hangul vowels and finals
    decomposed = []
    for code in range(0xC0, 0x30000):
        character = chr(code)
        mapping = unicodedata.decomposition(character)
        if mapping and not mapping.startswith("<"):
            decomposed.append(character)
            parts = mapping.split()
            if len(parts) == 2:
                seconds.add(chr(int(parts[1], 16)))
    for character in decomposed:
        first = unicodedata.normalize("NFD", character)[0]
        if first in seconds or unicodedata.combining(first):
            seconds.add(character)
    return frozenset(seconds)
