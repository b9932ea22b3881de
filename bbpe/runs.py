"""Sorted runs: pretokens and their counts on disk, in byte order, written and merged a piece at a time.

What it does: writes a run, reads it again, and merges any number of runs into one, with a bounded number of open files
and of bytes in memory. What it does not: count (``counts.py`` fills runs from its tables), or decide what is kept and
for how long (``checkpoints.py``).

A run is made for the machine that made it and for the time a count takes: to be exchanged there are count files. It
begins with a line that says what it is; then blocks follow, each of some ten thousand pretokens: how many there are, and
their lengths, their counts and their bytes one after another, in numbers as wide as the largest needs, with a CRC-32. The
last block is JSON and says what the run holds, and the file's last eight bytes say where that block begins. Why not
Parquet: it needs a library that is not always there, and a second's worth of reading is decoded in three.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe._count import merge_sorted
from bbpe.atomic import temporary_folder
from bbpe.errors import OutputError, TrainingError

__all__ = ["BLOCK_BYTES", "BLOCK_ROWS", "Rows", "Run", "RunFolder", "merged_rows", "temporary_runs", "write_run"]

Rows: TypeAlias = "tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]"
"""Pretokens one after another, n + 1 offsets, n counts: as in :class:`bbpe.counts.Counts`."""

BLOCK_ROWS = 1 << 15
"""Pretokens in a block, at most."""

BLOCK_BYTES = 1 << 20
"""Bytes of pretokens in a block, at most; but for a block of a single pretoken."""

_HEAD = b"bbpe-run 1\n"
_BLOCK = struct.Struct("<QQBBI")  # pretokens (0: the last block), bytes of them, widths of lengths and counts, CRC-32
_END = struct.Struct("<Q")
_WIDTHS = tuple(map(np.dtype, ("<u1", "<u2", "<u4", "<i8")))
_MERGED_AT_ONCE = 64  # runs: so many files are open
_RUN_BYTES = 5 * BLOCK_BYTES  # in memory for each run that is merged: its block, a copy, and its part of the result


@dataclass(frozen=True, slots=True)
class Run:
    """A run on disk.

    Attributes:
        path: The file.
        distinct: Pretokens in it.
        size: Bytes of them.
        about: What whoever wrote it says of it.
    """

    path: Path
    distinct: int
    size: int
    about: Mapping[str, Any]

    @classmethod
    def at(cls, path: Path) -> Run:
        """Find a run that is on disk.

        Raises:
            TrainingError: The file is none, or damaged.
        """
        with _reading(path), path.open("rb") as file:
            if file.read(len(_HEAD)) != _HEAD:
                raise _damaged(path)
            file.seek(-_END.size, os.SEEK_END)
            file.seek(_END.unpack(file.read(_END.size))[0])
            head, payload = _next_block(file, path)
            if head[0]:
                raise _damaged(path)
            record = json.loads(payload)
            return cls(path, record["distinct"], record["size"], record["about"])

    def rows(self) -> Iterator[Rows]:
        """All of it, a block at a time.

        Raises:
            TrainingError: The file is damaged.
        """
        with _reading(self.path), self.path.open("rb", buffering=BLOCK_BYTES) as file:
            if file.read(len(_HEAD)) != _HEAD:
                raise _damaged(self.path)
            while True:
                head, payload = _next_block(file, self.path)
                if not head[0]:
                    return
                yield _decoded(*head, payload)


def write_run(file: IO[bytes], rows: Iterable[Rows], about: Callable[[], Mapping[str, Any]]) -> None:
    """Write a run.

    Args:
        file: Where to; at its beginning.
        rows: Pretokens in byte order, no one twice, in pieces of any size.
        about: Says what to keep beside them, once all have been written.
    """
    at = file.write(_HEAD)
    distinct = size = 0
    for data, offsets, counts in rows:
        first = 0
        while first < len(counts):
            fits = int(np.searchsorted(offsets, offsets[first] + BLOCK_BYTES, side="right")) - 1
            last = min(max(first + 1, fits), first + BLOCK_ROWS, len(counts))
            for part in _encoded(
                data[offsets[first] : offsets[last]], np.diff(offsets[first : last + 1]), counts[first:last]
            ):
                at += file.write(part)
            distinct += last - first
            size += int(offsets[last] - offsets[first])
            first = last
    text = json.dumps({"distinct": distinct, "size": size, "about": dict(about())}).encode()
    file.write(_BLOCK.pack(0, len(text), 1, 1, zlib.crc32(text)))
    file.write(text)
    file.write(_END.pack(at))


def _encoded(
    data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> Iterator[bytes | memoryview]:
    narrow = [_narrow(lengths), _narrow(counts)]
    parts = [np.ascontiguousarray(array).view(np.uint8).data for array in (*narrow, data)]
    sum = 0
    for part in parts:
        sum = zlib.crc32(part, sum)
    yield _BLOCK.pack(len(counts), len(data), narrow[0].itemsize, narrow[1].itemsize, sum)
    yield from parts


def _narrow(values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    largest = int(values.max())
    width = next(width for width in _WIDTHS if width.itemsize == 8 or largest < 256**width.itemsize)
    return values.astype(width)


def _next_block(file: IO[bytes], path: Path) -> tuple[tuple[int, int, int], bytes]:
    """Of a block how many pretokens it has and the widths of its numbers, and all that follows; at the end, where it
    has none, the JSON."""
    head = file.read(_BLOCK.size)
    if len(head) < _BLOCK.size:
        raise _damaged(path)
    rows, size, of_lengths, of_counts, sum = _BLOCK.unpack(head)
    wanted = rows * (of_lengths + of_counts) + size
    if not {of_lengths, of_counts} <= {width.itemsize for width in _WIDTHS} or wanted > os.fstat(file.fileno()).st_size:
        raise _damaged(path)
    payload = file.read(wanted)
    if zlib.crc32(payload) != sum:
        raise _damaged(path)
    return (rows, of_lengths, of_counts), payload


def _decoded(rows: int, of_lengths: int, of_counts: int, payload: bytes) -> Rows:
    widths = {width.itemsize: width for width in _WIDTHS}
    lengths = np.frombuffer(payload, widths[of_lengths], rows)
    counts = np.frombuffer(payload, widths[of_counts], rows, offset=lengths.nbytes).astype(np.int64)
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return np.frombuffer(payload, np.uint8, offset=rows * (of_lengths + of_counts)), offsets, counts


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, OverflowError, struct.error):
        raise _damaged(path) from None


def _damaged(path: Path) -> TrainingError:
    return TrainingError(f"{path}: is damaged, and a training cannot go on from it; name another folder")


# --- merging ----------------------------------------------------------------------------------------------------------


class _Cursor:
    """How far one run has been merged: its present block, and from where on."""

    __slots__ = ("_at", "_blocks", "_multiplier", "_rows", "last")

    def __init__(self, run: Run, multiplier: int) -> None:
        self._blocks = run.rows()
        self._multiplier = multiplier
        self._at = 0
        self._rows: Rows | None = None
        self.last = b""

    def more(self) -> bool:
        """Whether there is anything left; the next block is read where the present one is done."""
        if self._rows is None or self._at == len(self._rows[2]):
            self._rows = None  # its memory is free for the next one
            self._rows = next(self._blocks, None)
            self._at = 0
            if self._rows is None:
                return False
            data, offsets, _ = self._rows
            self.last = data[offsets[-2] :].tobytes()
        return True

    def take(self, bound: bytes) -> tuple[npt.NDArray[np.uint8], Any, Any, int, int, int]:
        """What is not after ``bound``, as ``merge_sorted`` takes it."""
        assert self._rows is not None  # more() said so
        data, offsets, counts = self._rows
        low, high = self._at, len(counts)
        if self.last > bound:
            while low < high:
                middle = (low + high) // 2
                if data[offsets[middle] : offsets[middle + 1]].tobytes() <= bound:
                    low = middle + 1
                else:
                    high = middle
        begin, self._at = self._at, high
        return data, offsets, counts, begin, high, self._multiplier

    def close(self) -> None:
        self._blocks.close()  # type: ignore[attr-defined]  # a generator


def merged_rows(runs: Sequence[tuple[Run, int]], advanced: Callable[[int], None] | None = None) -> Iterator[Rows]:
    """All runs as one, in byte order, equal pretokens added up.

    Up to the least of the blocks' last pretokens everything is in memory: that much is merged at a time.

    Args:
        runs: Each with what its counts are to be multiplied by. All are open at once.
        advanced: Called with how many of the runs' pretokens have been merged since it was called last.
    """
    cursors = [_Cursor(run, multiplier) for run, multiplier in runs]
    try:
        while going := [cursor for cursor in cursors if cursor.more()]:
            bound = min(cursor.last for cursor in going)
            pieces = [cursor.take(bound) for cursor in going]
            yield merge_sorted(pieces)
            if advanced is not None:
                advanced(sum(end - begin for _, _, _, begin, end, _ in pieces))
    finally:
        for cursor in cursors:
            cursor.close()


# --- where runs are ---------------------------------------------------------------------------------------------------


class RunFolder:
    """A folder that runs are written to while something is counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, rows: Iterable[Rows], about: Callable[[], Mapping[str, Any]]) -> Run:
        """Write a run under a name that :class:`bbpe.checkpoints.Checkpoint` takes for left over.

        Raises:
            OutputError: It cannot be written: the disk is full, say. Nothing is left of it.
        """
        path = self.folder / f".run-{secrets.token_hex(6)}.tmp"
        done = False
        try:
            with spilling(self.folder):
                with path.open("wb", buffering=BLOCK_BYTES) as file:
                    write_run(file, rows, about)
                done = True
        finally:
            if not done:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        return Run.at(path)

    def few(
        self,
        runs: Sequence[tuple[Run, int]],
        room: int | None = None,
        advanced: Callable[[int], None] | None = None,
    ) -> Sequence[tuple[Run, int]]:
        """The same pretokens in so few runs that all can be merged at once; in several passes where they are many.

        Args:
            runs: Each with what its counts are to be multiplied by. Those that :meth:`write` wrote are gone when they
                are part of another.
            room: Bytes of memory that merging may take; None: no limit.
            advanced: As for :func:`merged_rows`.
        """
        most = _MERGED_AT_ONCE if room is None else max(2, min(_MERGED_AT_ONCE, room // _RUN_BYTES))
        left = list(runs)
        while len(left) > most:
            # The smallest first, and no more than needed: what is large is not copied once more than it must be.
            left.sort(key=lambda each: each[0].size)
            some = left[: min(most, len(left) - most + 1)]
            merged = self.write(merged_rows(some, advanced), dict)
            for run, _ in some:
                self.forget(run)
            left = [(merged, 1), *left[len(some) :]]
        return left

    def forget(self, run: Run) -> None:
        """Remove a run that :meth:`write` wrote and that is not needed any more; others are left alone."""
        if run.path.name.endswith(".tmp"):
            with contextlib.suppress(OSError):
                run.path.unlink()


@contextlib.contextmanager
def temporary_runs(place: Path) -> Iterator[RunFolder]:
    """A folder for runs that is gone when the ``with`` block ends, however it ends; what a kill leaves goes with the
    next one that is made in the same place.

    Args:
        place: Where to make it: the folder that the output will stand in, which mostly has room for the runs as well.

    Raises:
        OutputError: It cannot be made.
    """
    with contextlib.ExitStack() as stack:
        with spilling(place):
            folder = stack.enter_context(temporary_folder(place, "bbpe-runs"))
        yield RunFolder(folder)


@contextlib.contextmanager
def spilling(folder: Path) -> Iterator[None]:
    """The system's complaints, as an ``OutputError`` that says what was being written, and where."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = f"no space left ({error.strerror})" if full else error.strerror or str(error)
        advice = "make room there, or give more memory (--memory)" if full else "check the folder and its permissions"
        raise OutputError(
            f"{folder}: the counts that do not fit in memory cannot be written: {reason}; {advice}; nothing was left there"
        ) from error
