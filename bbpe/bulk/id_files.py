"""Files of ids as they are written: the four formats, an array that grows, and the index of documents beside it.

What it does: says what a file's name asks for, renders ids, and writes them in the order in which they come. What it
does not: encode (``encoding.py``), decide where a shard ends (``shards.py``), or read ids again (``decoding.py``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe._count import count_characters
from bbpe.atomic import atomic_write
from bbpe.errors import EncodeError, FormatError
from bbpe.tokenizer import Tokenizer

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "SUMS",
    "Encoded",
    "IdFile",
    "IdFormat",
    "IdType",
    "IdWriter",
    "Lines",
    "Numbers",
    "Written",
    "checked_dtype",
    "id_format",
    "index_path",
    "special_id",
]

IdFormat: TypeAlias = Literal["ids", "json", "npy", "bin"]
IdType: TypeAlias = Literal["auto", "uint16", "uint32"]

FORMATS: tuple[IdFormat, ...] = ("ids", "json", "npy", "bin")
SUFFIXES: dict[str, IdFormat] = {
    ".npy": "npy",
    ".bin": "bin",
    ".json": "json",
    ".jsonl": "json",
    ".ids": "ids",
    ".txt": "ids",
}
SUMS = ("documents", "ids", "bytes", "characters", "invalid_bytes")
"""What is added up over all that is written; see :class:`IdWriter`."""

_NPY_HEADER_BYTES = 128  # room for a length of any 64-bit size, and a multiple of 64 as the format asks


def id_format(path: str | os.PathLike[str]) -> IdFormat:
    """The format that a file's name asks for.

    Raises:
        FormatError: Its suffix is none of the known ones.

    >>> id_format("train.npy")
    'npy'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise FormatError(f"{os.fspath(path)}: which format of ids? End the name in {known}, or name the format")
    return SUFFIXES[suffix]


def index_path(path: str | os.PathLike[str]) -> Path:
    """Where the document boundaries of an ``npy`` or ``bin`` file stand."""
    return Path(f"{os.fspath(path)}.index.npy")


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Texts that were encoded, of documents one after another, as they are written.

    Attributes:
        payload: The bytes to write.
        offsets: Where the ids of each text begin, and where the last ends, counted in ids: int64 of shape (texts + 1,).
        final: Whether each text is the last of its document: bool of shape (texts,).
        texts: The texts.
        sums: What is added up: see :class:`IdWriter`.
    """

    payload: bytes | memoryview
    offsets: npt.NDArray[np.int64]
    final: npt.NDArray[np.bool_]
    texts: list[bytes]
    sums: dict[str, int]

    @classmethod
    def of(
        cls,
        payload: bytes | memoryview,
        offsets: npt.NDArray[np.int64],
        final: npt.NDArray[np.bool_],
        texts: list[bytes],
    ) -> Encoded:
        """With the sums, which are made here: in the thread that encodes, not in the one that writes."""
        # Joined by a newline, which no character of either text reaches across.
        characters, invalid = count_characters(b"\n".join(texts))
        documents, ids, size = int(np.count_nonzero(final)), int(offsets[-1]), sum(map(len, texts))
        counts = (documents, ids, size, characters - len(texts) + 1, invalid)
        return cls(payload, offsets, final, texts, dict(zip(SUMS, counts, strict=True)))

    def __len__(self) -> int:
        return len(self.final)

    def part(self, first: int, last: int, payload: memoryview) -> Encoded:
        """The texts from ``first`` up to ``last``, of which ``payload`` is."""
        if (first, last) == (0, len(self)):
            return self
        chosen = slice(first, last)
        offsets = self.offsets[first : last + 1] - self.offsets[first]
        return Encoded.of(payload, offsets, self.final[chosen], self.texts[chosen])


@dataclass(frozen=True, slots=True)
class Written:
    """How much has been written of a file of ids.

    Attributes:
        sums: As ``IdWriter.sums``.
        payload_bytes: Bytes of ids, without a header.
        inside: Whether the last document goes on.
        index_bytes: Bytes of the index, without its header; 0 where there is none.
    """

    sums: dict[str, int]
    payload_bytes: int
    inside: bool
    index_bytes: int

    def record(self) -> dict[str, Any]:
        """For JSON: the arguments."""
        return asdict(self)

    def file_sizes(self, format: IdFormat) -> tuple[int, int]:
        """Bytes of the two files."""
        header = _NPY_HEADER_BYTES if format == "npy" else 0
        return header + self.payload_bytes, _NPY_HEADER_BYTES + self.index_bytes


class IdWriter:
    """Writes what was encoded, batch after batch, to a binary file and its index; keeps the sums.

    Args:
        out: Where ids go; a stream, or for ``npy`` a file.
        format: Of the ids.
        dtype: Of their numbers; None for the text formats.
        index: Where the index goes, if there is one.
        begun: What the files hold already; they stand at its end.

    Attributes:
        sums: Of what was written: ``documents`` that ended in it, ``ids``, and ``bytes``, ``characters`` and
            ``invalid_bytes`` of text.
        payload_bytes: Bytes of ids in the file, without a header.
        inside: Whether the last document goes on.
    """

    def __init__(
        self,
        out: IO[bytes],
        format: IdFormat,
        dtype: np.dtype[Any] | None,
        index: IO[bytes] | None = None,
        begun: Written | None = None,
    ) -> None:
        self.sums = dict.fromkeys(SUMS, 0) if begun is None else dict(begun.sums)
        self.payload_bytes = 0 if begun is None else begun.payload_bytes
        self.inside = begun is not None and begun.inside
        self._out = out
        self._array: _NpyFile | None = None
        self._index: _NpyFile | None = None
        if format == "npy" and dtype is not None:
            self._array = _NpyFile(out, dtype, None if begun is None else begun.payload_bytes)
        if index is not None:
            self._index = _NpyFile(index, np.dtype("<i8"), None if begun is None else begun.index_bytes)
            if begun is None:
                self._index.write(bytes(8))  # where the first document begins

    def write(self, texts: Encoded) -> None:
        """Append texts."""
        ends = texts.offsets[1:][texts.final]
        if self._index is not None:
            self._index.write((ends + self.sums["ids"]).astype("<i8").tobytes())
        if self._array is not None:
            self._array.write(texts.payload)
        else:
            self._out.write(texts.payload)
        self.inside = not texts.final[-1]
        for name, value in texts.sums.items():
            self.sums[name] += value
        self.payload_bytes += len(texts.payload)

    def finish(self) -> None:
        """Complete the files; a document that goes on elsewhere ends in the index with the last id that is here."""
        if self.inside and self._index is not None:
            self._index.write(np.array([self.sums["ids"]], dtype="<i8").tobytes())
        for array in (self._array, self._index):
            if array is not None:
                array.finish()

    @property
    def written(self) -> Written:
        """How much has been written."""
        index_bytes = 0 if self._index is None else self._index.bytes
        return Written(dict(self.sums), self.payload_bytes, self.inside, index_bytes)


class IdFile:
    """A file of ids and its index, which take their names together when :meth:`close` is called, or not at all when the
    ``with`` block is left by an exception.

    Attributes:
        files: The files: the ids, and their index where there is one.
        writer: What writes them.
    """

    def __init__(self, path: Path, format: IdFormat, dtype: np.dtype[Any] | None, force: bool) -> None:
        self.files = (path,) if dtype is None else (path, index_path(path))
        with contextlib.ExitStack() as stack:
            # The index takes its name first: a failure in between leaves no ids that lack it.
            self._open = [stack.enter_context(atomic_write(file, force=force)) for file in self.files]
            self.writer = IdWriter(self._open[0], format, dtype, self._open[1] if dtype is not None else None)
            self._stack = stack.pop_all()

    def __enter__(self) -> IdFile:
        self._stack.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def close(self) -> None:
        """Complete the files and give them their names."""
        self.writer.finish()
        self._open[0].flush()
        os.fsync(self._open[0].fileno())  # so that what may still fail fails before the index takes its name
        self._stack.close()


class Numbers:
    """Renders ids as an array's bytes."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype

    def __call__(
        self, ids: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], final: npt.NDArray[np.bool_], begins: bool
    ) -> bytes:
        """The bytes of a batch; arguments as for ``Lines``."""
        return ids.astype(self._dtype).tobytes()

    def ends(self, texts: Encoded) -> npt.NDArray[np.int64]:
        """Where each text ends in the payload, in bytes."""
        return texts.offsets[1:] * self._dtype.itemsize


class Lines:
    """Renders ids as text, one document a line.

    Rows of a table are gathered, and the padding that makes them equally long is deleted: with a table of all ids that
    is several times as fast as making a str of each.
    """

    def __init__(self, tokenizer: Tokenizer, format: IdFormat) -> None:
        begin, separator, end = (b"[", b", ", b"]\n") if format == "json" else (b"", b" ", b"\n")
        vocabulary = tokenizer.vocabulary
        known: Iterable[int] = range(tokenizer.id_space)
        self._known = None
        if tokenizer.id_space > 2 * vocabulary.vocab_size:  # ids with large holes: no rows for those
            known = sorted({*vocabulary.tokens, *(special.id for special in vocabulary.special_tokens)})
            self._known = np.array(known, dtype=np.uint32)
        numbers = [b"%d" % id for id in known]
        self._size = len(numbers)
        self._table = np.array([*numbers, *(separator + number for number in numbers), begin, end], dtype=np.bytes_)

    def __call__(
        self, ids: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], final: npt.NDArray[np.bool_], begins: bool
    ) -> bytes:
        """The bytes of a batch.

        Args:
            ids: The ids of all its texts.
            offsets: Where those of each begin, and where the last ends.
            final: Whether each is the last of its document.
            begins: Whether the first begins a document.
        """
        size = self._size
        rows = (ids if self._known is None else np.searchsorted(self._known, ids)).astype(np.int64)
        first = np.empty(len(final), dtype=bool)
        first[0] = begins
        first[1:] = final[:-1]
        rows += size
        rows[offsets[:-1][first & (offsets[1:] > offsets[:-1])]] -= size  # no separator before it
        marks = np.stack((first, final), axis=1)
        places = np.stack((offsets[:-1], offsets[1:]), axis=1)[marks]
        rows = np.insert(rows, places, np.broadcast_to([2 * size, 2 * size + 1], marks.shape)[marks])
        return bytes(self._table[rows].tobytes().translate(None, b"\0"))

    def ends(self, texts: Encoded) -> npt.NDArray[np.int64]:
        """Where each text ends in the payload, in bytes, if it is the last of its document; else 0."""
        found = np.zeros(len(texts), dtype=np.int64)
        found[texts.final] = np.flatnonzero(np.frombuffer(texts.payload, dtype=np.uint8) == 0x0A) + 1
        return found


class _NpyFile:
    """An array of one dimension that grows in an ``.npy`` file: its length is put in the header at the end.

    Attributes:
        bytes: Bytes of elements in the file; ``begun`` says how many there are already.
    """

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any], begun: int | None = None) -> None:
        self._file = file
        self._dtype = dtype
        self.bytes = begun or 0
        if begun is None:
            file.write(self._header())

    def _header(self) -> bytes:
        length = self.bytes // self._dtype.itemsize
        # As NumPy writes it, byte for byte (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
        text = f"{{'descr': '{self._dtype.str}', 'fortran_order': False, 'shape': ({length},), }}".encode()
        text = text.ljust(_NPY_HEADER_BYTES - 11) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text

    def write(self, data: bytes | memoryview) -> None:
        """Append elements."""
        self._file.write(data)
        self.bytes += len(data)

    def finish(self) -> None:
        """Put the final length in the header."""
        self._file.seek(0)
        self._file.write(self._header())
        self._file.seek(0, os.SEEK_END)


# --- checks -----------------------------------------------------------------------------------------------------------


def checked_dtype(dtype: str, tokenizer: Tokenizer, *, reading: bool = False) -> np.dtype[Any]:
    """Of the ids in a file: little-endian, as everything that reads such files expects."""
    fits = tokenizer.id_space <= 1 << 16
    if dtype not in ("auto", "uint16", "uint32"):
        raise FormatError(f"unknown dtype {dtype!r}; known: auto, uint16, uint32")
    if dtype == "uint16" and not fits and not reading:
        raise FormatError(
            f"ids go up to {tokenizer.id_space - 1:,}, but uint16 holds 65,535 at most; choose uint32 or auto"
        )
    return np.dtype("<u2" if dtype == "uint16" or (dtype == "auto" and fits) else "<u4")


def special_id(tokenizer: Tokenizer, content: str | None) -> int | None:
    """The id of a special token; None for None.

    Raises:
        EncodeError: There is no such token.
    """
    if content is None:
        return None
    known = tokenizer.special_tokens
    if content not in known:
        shown = ", ".join(map(repr, list(known)[:8])) or "none"
        raise EncodeError(f"{content!r} is no special token of this vocabulary; it has: {shown}")
    return known[content]
