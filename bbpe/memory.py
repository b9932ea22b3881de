"""How much memory the process has, may have, and will need.

What it does: reads what is resident, and decides when counting has filled what it was given (:class:`Budget`). What it
does not: count, write to disk (``runs.py``), or measure other processes.

A limit is one on everything the process holds, interpreter and libraries included, since that is what a machine or a
container kills it for. Where the system does not say what is resident (only Linux does, cheaply) the tables' own sizes
stand for it, on top of what the process had at its peak before.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bbpe._count import release_free_memory
from bbpe.errors import TrainingError

__all__ = [
    "Budget",
    "Table",
    "at_most_resident",
    "enough",
    "megabytes",
    "merging_bytes",
    "merging_bytes_of_all_pairs",
    "merging_bytes_of_tokens",
    "merging_seconds",
    "resident_bytes",
]

_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_BASE = 64_000_000  # of a process where nothing tells it: Python, NumPy and the tables of Unicode

_CHUNK_STRINGS = 1 << 16  # distinct pretokens that a chunk may bring: a megabyte of text has half as many
_CHUNK_BYTES = 3_000_000  # what these take, and the text's copies vary by, in each thread
_PIECE_BYTES = 3_000_000  # of sorted pretokens on their way to disk, in each thread
_TEXT_BYTES = 6_000_000  # on its way at first, with the copies made of it, in each thread
_LEAST_TABLES = 16_000_000  # less, and most of the time would go into runs
_TRIM_SECONDS = 0.5
_PROCESSES_DIFFER = 4_000_000  # the same program holds 1 or 2 MB more in one process than in the next


def resident_bytes() -> int | None:
    """What is resident of this process; None where the system does not tell."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return None


def at_most_resident() -> int:
    """What is resident, or was at the peak."""
    known = resident_bytes()
    if known is not None:
        return known
    try:
        import resource
    except ImportError:  # Windows
        return _BASE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def megabytes(size: float) -> str:
    """A size as ``--memory`` takes it, rounded up.

    >>> megabytes(131_000_001)
    '132MB'
    """
    return f"{-int(-size // 1_000_000)}MB"


def enough(size: float) -> str:
    """What to give as ``--memory`` where this process would need so much: the next process may hold a little more.

    >>> enough(131_000_001)
    '136MB'
    """
    return megabytes(size + _PROCESSES_DIFFER)


def merging_bytes(
    distinct: npt.ArrayLike, size: npt.ArrayLike, characters: npt.ArrayLike, merges: npt.ArrayLike, by_character: bool
) -> npt.NDArray[np.int64]:
    """What learning merges takes at its peak, on top of what the process has before the counts are loaded: int64.

    The largest of three moments. While the counts are laid out, they and the cells are there at once. While merges are
    learned, cells and positions are, and some of what each pair needs: this was fitted to measurements of whole
    processes. And when all are learned and that is freed, the vocabulary is made. benchmarks/memory.md has how far it is
    off, also on text that it was not fitted to: it is meant to be too much rather than too little.

    Args:
        distinct: Distinct pretokens; a number, or an array as the others may be.
        size: Bytes of them.
        characters: Characters of them; an invalid byte may be one or none.
        merges: Merges to be learned.
        by_character: Whether the learner begins with whole characters: ``_characters.pyx``.
    """
    distinct, size, characters, merges = (np.asarray(each, np.float64) for each in (distinct, size, characters, merges))
    if by_character:
        laid_out = size + 28 * distinct + 8 * characters
        learning = 5.8 * size + 100 * merges + 17e6
    else:
        laid_out = 5 * size + 20 * distinct
        learning = 10.2 * size + 12 * distinct + 100 * merges + 14e6
    most = np.maximum(np.maximum(laid_out, learning), 600 * merges + 2e6)
    return np.asarray(np.ceil(most), np.int64)


def merging_seconds(distinct: int, size: int, merges: int) -> float:
    """What sorting the pretokens and learning merges takes, roughly.

    So it was on one machine, for 24 corpora of 10 to 98 MB with vocabularies of 4,000 to 100,000: none took twice as long,
    or less than two thirds. Another machine has another speed.

    Args:
        distinct: Distinct pretokens.
        size: Bytes of them.
        merges: Merges to be learned.
    """
    return 1.5e-7 * distinct + 4e-8 * size + 1e-6 * merges


def merging_bytes_of_all_pairs(
    distinct: npt.ArrayLike, size: npt.ArrayLike, merges: npt.ArrayLike
) -> npt.NDArray[np.int64]:
    """The same where every pair is kept, however rare: texts that learn together, all their pretokens and bytes."""
    distinct, size, merges = (np.asarray(each, np.float64) for each in (distinct, size, merges))
    return np.asarray(np.ceil(13 * size + 30 * distinct + 100 * merges + 45e6), np.int64)


def merging_bytes_of_tokens(
    distinct: npt.ArrayLike, size: npt.ArrayLike, tokens: npt.ArrayLike, merges: npt.ArrayLike, entries: npt.ArrayLike
) -> npt.NDArray[np.int64]:
    """The same where learning begins with the ``tokens`` that pretokens have in a base of so many entries, and not with
    their bytes. The pretokens are there until they are encoded, and so is what encodes them."""
    distinct, size, tokens, merges, entries = (
        np.asarray(each, np.float64) for each in (distinct, size, tokens, merges, entries)
    )
    return np.asarray(np.ceil(size + 24 * distinct + 10 * tokens + 700 * merges + 1500 * entries + 30e6), np.int64)


class Table(Protocol):
    """What grows while counting: ``_count.PretokenCounter``."""

    @property
    def memory(self) -> int:
        """Bytes it holds."""

    @property
    def sorting(self) -> int:
        """Bytes that sorting it takes more than it has."""

    def growth(self, more: int) -> int:
        """Bytes by which it grows at once before it holds so many pretokens more."""


class Budget:
    """What a count may take.

    Attributes:
        limit: Bytes that the process may have, in all.
        threads: Threads that count.
        text: Bytes of text without a place to cut it that may be held.
    """

    def __init__(self, limit: int, threads: int) -> None:
        """
        Raises:
            TrainingError: The process needs more to begin with.
        """
        release_free_memory()
        self.limit = limit
        self.threads = threads
        self._base = at_most_resident()
        least = self._base + _LEAST_TABLES + threads * (_TEXT_BYTES + _CHUNK_BYTES + _PIECE_BYTES)
        if limit < least:
            fewer = " or fewer threads (--threads)" if threads > 1 else ""
            raise TrainingError(
                f"memory is {megabytes(limit)}, and counting with {threads} thread{'s' if threads > 1 else ''} needs "
                f"at least {enough(least)}, {megabytes(self._base)} of them for the program itself; give that much "
                f"(--memory {enough(least)}){fewer}"
            )
        self.text = max(4_000_000, (limit - self._base) // (6 * threads))
        self._tables: dict[int, tuple[int, int, int]] = {}
        self._lock = threading.Lock()
        self._trimmed = 0.0

    def empty(self) -> None:
        """The tables that were seen are gone."""
        with self._lock:
            self._tables.clear()

    def full(self, table: Table) -> bool:
        """Whether to stop and write the tables to disk, so that sorting them on the way still fits.

        To be asked after each chunk, by the thread that counts into the table.
        """
        seen = table.memory, table.sorting, table.growth(_CHUNK_STRINGS)
        with self._lock:
            self._tables[id(table)] = seen
            held, sorting, growth = (sum(each[column] for each in self._tables.values()) for column in range(3))
            needed = growth + sorting + self.threads * (_CHUNK_BYTES + _PIECE_BYTES)
            resident = resident_bytes()
            if resident is None:
                resident = self._base + held
            if resident + needed < self.limit:
                return False
            # The C library may hold memory that tables have grown out of.
            now = time.monotonic()
            if self._base + held + needed < 0.95 * self.limit and now >= self._trimmed + _TRIM_SECONDS:
                self._trimmed = now
                release_free_memory()
                resident = resident_bytes() or resident
            return resident + needed >= self.limit

    def room(self) -> int:
        """Bytes that are free for something else now; at least as many as the least budget leaves."""
        resident = resident_bytes()
        return max(_LEAST_TABLES, self.limit - (self._base if resident is None else resident))
