"""What a count will come to, seen from its first seconds: time left, distinct pretokens, memory.

What it does: estimates how many distinct pretokens there are so far in all threads' tables and in what was written to
disk together, fits Heaps' law (distinct = K · bytes^β) to how that grew, and says where it leads. What it does not:
count, or show anything (``cli/progress.py``).

How many distinct there are is estimated because nobody knows it: each thread has a table of its own, and tables are
emptied when memory is full. All hash alike, so that of the pretokens with the smallest hashes, one in 32 and fewer
later, the union is kept here: at most ``KEPT`` hashes, for an error of 0.3 %.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bbpe.corpus import Corpus, Forecast

__all__ = ["FIRST_SECONDS", "KEPT", "Forecaster", "Sampled", "heaps"]

FIRST_SECONDS = 2.0
"""How long a count has to go on before it is forecast: before, it is more start than text."""

KEPT = 1 << 18
"""Hashes that are kept."""

_POINTS_FROM = 0.25  # seconds between two points at first; later a tenth of the time that has passed
_FITTED = 4.0  # the last points are fitted, of which the bytes differ by this factor: β falls slowly as text grows
_LEAST_POINTS = 4
_LEAST_SPREAD = 1.3  # of the bytes of the points that are fitted

_Hashes = npt.NDArray[np.uint64]


class Sampled(Protocol):
    """A table of distinct pretokens: ``_count.PretokenCounter``."""

    @property
    def memory(self) -> int:
        """Bytes it holds."""

    def sample(self) -> tuple[_Hashes, int, int]:
        """Hashes of one distinct pretoken in 32, those below 2**59; bytes and characters of these."""

    def __len__(self) -> int:
        """Distinct pretokens in it."""


def heaps(points: Sequence[tuple[int, float]]) -> float | None:
    """The exponent of Heaps' law where the points end, from 0 to 1; None where they are too few or too close.

    Args:
        points: (bytes, distinct), ascending.

    >>> round(heaps([(n, 3.0 * n**0.6) for n in range(1000, 9000, 500)]), 3)
    0.6
    """
    recent = [(size, distinct) for size, distinct in points if size * _FITTED >= points[-1][0] and distinct > 0]
    if len(recent) < _LEAST_POINTS or recent[-1][0] < _LEAST_SPREAD * recent[0][0]:
        return None
    logs = np.log(np.array(recent, np.float64))
    slope = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
    return min(1.0, max(0.0, slope))


class Forecaster:
    """Watches one count.

    Attributes:
        latest: The last forecast; None before there is one.
    """

    def __init__(self, corpus: Corpus, tables: int, base: int, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            corpus: What is read.
            tables: How many tables are counted into at a time.
            base: Bytes that the process had before.
            clock: Seconds.
        """
        self.latest: Forecast | None = None
        self._corpus = corpus
        self._base = base
        self._clock = clock
        self._begun = clock()
        self._begun_at = corpus.bytes_read  # a count that goes on has read that before
        self._due = self._begun + _POINTS_FROM
        self._tables = tables
        self._seen: dict[int, tuple[int, int, int, int, int]] = {}
        self._hashes: _Hashes = np.empty(0, np.uint64)
        self._below = 1 << 59
        self._points: list[tuple[int, float]] = []
        self._lock = threading.Lock()

    def look(self, table: Sampled) -> None:
        """Look at a table, if it is time to; to be called after each chunk by the thread that counts into it."""
        if self._clock() < self._due or id(table) in self._seen:
            return
        hashes, size, characters = table.sample()
        with self._lock:
            self._seen[id(table)] = len(table), table.memory, len(hashes), size, characters
            self._keep(hashes)
            if len(self._seen) >= self._tables:
                self._note()

    def leave(self, table: Sampled) -> None:
        """The same for a table that is to be emptied."""
        hashes, _, _ = table.sample()
        with self._lock:
            self._keep(hashes)

    def _keep(self, hashes: _Hashes) -> None:
        self._hashes = np.union1d(self._hashes, hashes[hashes < self._below])
        while len(self._hashes) > KEPT:
            self._below >>= 1
            self._hashes = self._hashes[self._hashes < self._below].copy()

    def _note(self) -> None:
        """A point, and what follows from it."""
        now = self._clock()
        passed = now - self._begun
        self._due = now + max(_POINTS_FROM, passed / 10)
        read = self._corpus.bytes_read
        distinct = len(self._hashes) * (2.0**64 / self._below)
        if read and (not self._points or read > self._points[-1][0]):
            self._points.append((read, distinct))
        in_tables, held, sampled, size, characters = (sum(each[at] for each in self._seen.values()) for at in range(5))
        self._seen.clear()
        if passed < FIRST_SECONDS or not sampled or not in_tables:
            return
        total = self._corpus.total_bytes
        exponent = heaps(self._points)
        if total is None or exponent is None:
            if total is None:
                self.latest = Forecast(round(distinct), None, None, None, None, None)
            return
        grown = max(1.0, total / max(1, read)) ** exponent
        expected = distinct * grown
        # What several tables have of the same pretokens they all have; sorting takes 16 bytes, and the result more.
        counting = self._base + in_tables * grown * (held / in_tables + 16) + expected * (16 + size / sampled)
        pace = (read - self._begun_at) / passed if passed > 0 else 0.0
        self.latest = Forecast(
            distinct_now=round(distinct),
            distinct=round(expected),
            distinct_bytes=round(expected * size / sampled),
            distinct_characters=round(expected * characters / sampled),
            seconds_left=max(0, total - read) / pace if pace > 0 and math.isfinite(pace) else None,
            counting_memory=round(counting),
        )
