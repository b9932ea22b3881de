"""SentencePiece's compiled normalizer: a table that native code walks unchecked, so it is checked here.

It stands in a ``.model`` (``precompiled_charsmap``) and, in base64, in a ``tokenizer.json`` (``Precompiled``).
Source: ``src/normalizer.cc`` in google/sentencepiece; the trie is that of darts-clone.
"""

from __future__ import annotations

import numpy as np

from bbpe.errors import FormatError

_MAX_REPLACEMENT = 1024  # bytes that one rule writes; the longest of NFKC are 33


def check_charsmap(table: bytes, place: str) -> None:
    """Walk all of a normalizer's trie, as the library does with a text, and check that it never leaves the table.

    The table is: the trie's size in bytes, the trie (32-bit units), and the replacements, each ended by a NUL. From a
    unit at place p the next one by byte b is at ``p ^ offset ^ b`` when its label is b; a unit that ends a rule has its
    value, the place of a replacement, at ``p ^ offset``.

    Raises:
        FormatError: A step or a value lies outside, or a replacement is longer than any rule's.
    """
    if not table:
        return
    size = int.from_bytes(table[:4], "little")
    if len(table) < 8 or size % 4 or not 4 <= size <= len(table) - 5:
        raise FormatError(f"{place}: its trie has {size:,} bytes, the table {len(table):,}")
    units = np.frombuffer(table, dtype="<u4", count=size // 4, offset=4).astype(np.int64)
    replacements = table[4 + size :]
    if replacements[-1] != 0:
        raise FormatError(f"{place}: its last replacement does not end")
    ends = np.flatnonzero(np.frombuffer(replacements, dtype=np.uint8) == 0)
    offsets = (units >> 10) << ((units & (1 << 9)) >> 6)
    labels = units & (1 << 31 | 0xFF)
    # A unit of label b at place q can be reached from those whose place ^ offset is q ^ b. (A text's NUL never steps on:
    # that label is the value's.)
    steps = np.flatnonzero((labels > 0) & (labels < 256))
    steps = steps[np.argsort(steps ^ labels[steps], kind="stable")]
    origins = steps ^ labels[steps]
    visited = np.zeros(len(units), dtype=bool)
    visited[0] = True
    values: list[int] = []
    front = np.zeros(1, dtype=np.int64)
    while len(front):
        bases = front ^ offsets[front]
        if (bases | 0xFF).max() >= len(units):
            raise FormatError(f"{place}: damaged: a step of its trie leads out of the table")
        leaves = (units[front] >> 8 & 1).astype(bool)
        values.extend((units[bases[leaves]] & 0x7FFFFFFF).tolist())
        first, last = np.searchsorted(origins, bases, "left"), np.searchsorted(origins, bases, "right")
        counts = last - first
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        reached = steps[np.repeat(first, counts) + within]
        front = np.unique(reached[~visited[reached]])
        visited[front] = True
    found = np.array(values, dtype=np.int64)
    if len(found) and found.max() >= len(replacements):
        raise FormatError(f"{place}: damaged: a rule's replacement lies outside of the table")
    if len(found) and (ends[np.searchsorted(ends, found)] - found).max() > _MAX_REPLACEMENT:
        raise FormatError(f"{place}: a replacement of more than {_MAX_REPLACEMENT} bytes")
