"""Where a token begins and ends in the characters of a text: whole characters, the end of one, the beginning of one.

A byte-level token need not be valid UTF-8. In valid text it can still stand: its first bytes may be the end of a
character, its last bytes the beginning of one. ``shape_of`` takes a token apart so, ``endings`` and ``beginnings`` say
which characters complete it. A token that fits into no valid text at all (the byte 0xFF) has no shape.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_LONGEST_TAIL = 3
_FIRST_OF_LENGTH = {1: 0, 2: 0x80, 3: 0x800, 4: 0x10000}  # the first code point that takes so many bytes
_CODE_POINTS = 0x110000


class Shape(NamedTuple):
    """A token as the end of a character, whole characters, and the beginning of a character; each may be empty."""

    tail: bytes
    middle: str
    head: bytes

    @property
    def mixes(self) -> bool:
        """Whether it holds a whole character and a piece of another one."""
        return bool(self.middle) and bool(self.tail or self.head)


def shape_of(token: bytes) -> Shape | None:
    """The shape of a token, or None where no valid UTF-8 text contains its bytes.

    >>> shape_of("中国".encode()[2:5]), shape_of(b"\\xff")
    (Shape(tail=b'\\xad', middle='', head=b'\\xe5\\x9b'), None)
    """
    try:
        return Shape(b"", token.decode(), b"")
    except UnicodeDecodeError:
        pass
    begin = 0
    while begin < len(token) and is_continuation(token[begin]):
        begin += 1
    end = len(token)
    for size in range(1, min(_LONGEST_TAIL, len(token) - begin) + 1):
        lead = token[-size]
        if not is_continuation(lead):
            if size < _length(lead):
                end -= size
            break
    tail, head = token[:begin], token[end:]
    if begin > _LONGEST_TAIL or (head and not len(beginnings(head))):
        return None
    try:
        middle = token[begin:end].decode()
    except UnicodeDecodeError:
        return None
    if tail and not len(endings(tail) if middle or head else holders(tail)):
        return None
    return Shape(tail, middle, head)


def is_continuation(byte: int) -> bool:
    """Whether a byte continues a character in UTF-8."""
    return byte & 0xC0 == 0x80


def _length(lead: int) -> int:
    """The bytes of a character that begins with ``lead``."""
    return 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


@lru_cache(maxsize=4096)
def endings(tail: bytes) -> npt.NDArray[np.int32]:
    """The code points whose UTF-8 ends in ``tail`` (1 to 3 continuation bytes) and has more before it.

    >>> endings("中".encode()[1:])[:3].tolist() == [0xE2D, 0x1E2D, 0x2E2D]
    True
    """
    value = 0
    for byte in tail:
        value = value << 6 | byte & 0x3F
    found = np.arange(value, _CODE_POINTS, 64 ** len(tail), dtype=np.int32)
    return _valid(found[found >= _FIRST_OF_LENGTH[len(tail) + 1]])


@lru_cache(maxsize=4096)
def beginnings(head: bytes) -> npt.NDArray[np.int32]:
    """The code points whose UTF-8 begins with ``head`` (a lead byte and what follows it) and has more after it."""
    length = _length(head[0])
    if len(head) >= length or head[0] > 0xF4:
        return np.empty(0, dtype=np.int32)
    value = head[0] & (0xFF >> (length + 1))
    for byte in head[1:]:
        value = value << 6 | byte & 0x3F
    missing = 6 * (length - len(head))
    low, high = value << missing, min((value + 1) << missing, _CODE_POINTS)
    return _valid(np.arange(max(low, _FIRST_OF_LENGTH[length]), high, dtype=np.int32))


@lru_cache(maxsize=1024)
def holders(inner: bytes) -> npt.NDArray[np.int32]:
    """The code points whose UTF-8 holds ``inner`` (continuation bytes) anywhere behind its lead byte."""
    found = [endings(inner)]
    # Up to two more continuation bytes may stand behind it, in any of their 64 values.
    for behind in range(1, _LONGEST_TAIL - len(inner) + 1):
        low = np.arange(64**behind, dtype=np.int32)
        value = 0
        for byte in inner:
            value = value << 6 | byte & 0x3F
        step = 64 ** (len(inner) + behind)
        high = np.arange(0, _CODE_POINTS, step, dtype=np.int32)
        every = (high[:, None] + (value << 6 * behind) + low).ravel()
        found.append(every[(every >= _FIRST_OF_LENGTH[len(inner) + behind + 1]) & (every < _CODE_POINTS)])
    return _valid(np.unique(np.concatenate(found)))


def _valid(code_points: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Without the surrogates, which have no UTF-8."""
    return code_points[(code_points < 0xD800) | (code_points > 0xDFFF)]
