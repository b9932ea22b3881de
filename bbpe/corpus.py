"""Documents from files, folders, standard input and iterables, as streams of blocks.

What it does: finds the files that a source names, opens each one (compressed or not, text, JSON lines or Parquet),
and hands on the text of its documents in blocks of about a megabyte, so that memory never follows the size of a file.
The size and the sha256 of every file are taken on the way, as it lies on disk.

What it does not: know of pretokens, special tokens or normalizers, cut a document at places that mean anything, or
start threads. A :class:`Block` may end anywhere in a document; ``counts.py`` decides where a document may be cut.

Where to read next: :func:`open_corpus` says what a source may be, :meth:`Stream._open` shows the layers that a file
goes through (disk → decompression → checks → documents), ``counts.py`` is the reader of all this.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import glob
import hashlib
import importlib
import io
import itertools
import json
import lzma
import os
import re
import sys
import tempfile
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe._count import PADDING, add_strings, utf8_block
from bbpe._json_lines import take_documents
from bbpe.errors import CorpusError, MissingExtraError

if sys.version_info >= (3, 14):  # pragma: no cover
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "BLOCK_BYTES",
    "REPORT_SECONDS",
    "Block",
    "Corpus",
    "Documents",
    "Forecast",
    "Portion",
    "Progress",
    "Reporter",
    "Sample",
    "Source",
    "SourceLike",
    "Stream",
    "divide",
    "draw_sample",
    "find_files",
    "open_corpus",
    "with_escaped_names",
]

REPORT_SECONDS = 0.1
"""Progress is reported at most so often."""

BLOCK_BYTES = 1 << 20
"""Text in one block, about: a few milliseconds of counting, and small enough to stay in a core's cache."""

SourceLike: TypeAlias = "str | os.PathLike[str] | Iterable[str | bytes | os.PathLike[str]]"
"""What :func:`open_corpus` accepts."""

_SNIFFED = 1 << 16  # how much of a file is looked at before it is believed to be text
_TEXT_SUFFIXES = (".txt", ".jsonl", ".ndjson", ".parquet")
_JSON_SUFFIXES = (".jsonl", ".ndjson")
_COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
# Control characters that text does not have. Tab, newline, vertical tab, form feed, return and escape occur in text.
_CONTROLS = bytes([*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])
_COUNT_FILE = b"#bbpe-counts {"  # count_files.py writes it; learned as text it would be numbers and escapes
_MAGIC = (
    (b"\x1f\x8b", "gzip data; name the file with .gz"),
    (b"BZh", "bzip2 data; name the file with .bz2"),
    (b"\xfd7zXZ\x00", "xz data; name the file with .xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data; name the file with .zst"),
    (b"PAR1", "Parquet data; name the file with .parquet"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\xff\xfe", "UTF-16; convert the file to UTF-8"),
    (b"\xfe\xff", "UTF-16; convert the file to UTF-8"),
)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a count will come to. All but ``distinct_now`` are None where the size of the corpus is not known: of standard
    input, say.

    Attributes:
        distinct_now: Distinct pretokens so far, estimated.
        distinct: Distinct pretokens in the end, by Heaps' law.
        distinct_bytes: Bytes of them.
        distinct_characters: Characters of them.
        seconds_left: Of counting, at its pace so far.
        counting_memory: Bytes that the process would have at its peak while counting, without a limit.
        merging_memory: Bytes that it would have while merging; None also where nothing is to be merged.
        merging_seconds: After counting, to the end of merging: see :func:`bbpe.memory.merging_seconds`.
    """

    distinct_now: int
    distinct: int | None
    distinct_bytes: int | None
    distinct_characters: int | None
    seconds_left: float | None
    counting_memory: int | None
    merging_memory: int | None = None
    merging_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long operation is.

    Attributes:
        phase: What is being done, for example ``"counting"``.
        done: Units done so far; never decreases within a phase.
        total: Units in all, or ``None`` when that is not known.
        unit: What is counted: ``"bytes"`` (as read from disk), ``"merges"``.
        forecast: What it will come to; None where nobody knows, and in most phases. The same object until there is a
            better one.
    """

    phase: str
    done: int
    total: int | None
    unit: str
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One file that was read: its path as given (``-`` for standard input), size in bytes on disk, sha256 in hex."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A part of a corpus: documents drawn at random, each as likely as any other.

    A document is in the sample where its draw, a number that follows from the seed, from the place of its file among
    the files and from its own place in that file, is below ``threshold``. So the same files in the same order with the
    same seed give the same sample on any machine, with any number of threads, and a smaller sample is part of a larger.

    Attributes:
        bytes: How much text was asked for, at most.
        seed: What the draws follow from, from 0 to 2**64 - 1.
        threshold: Documents drawn below it are in the sample; of 2**20.
        of_documents: How many documents the whole corpus has.
        of_bytes: Bytes of text that the whole corpus has.
    """

    bytes: int
    seed: int
    threshold: int
    of_documents: int
    of_bytes: int


@dataclass(frozen=True, slots=True)
class Portion:
    """A file, or what lies between two places of it that no document crosses. Made by :func:`divide`.

    Attributes:
        path: The file.
        begin: Of a text file, a byte: the portion has the lines that begin there or later. Of Parquet, a row group.
        end: The first byte, or row group, that is no longer in the portion; None where the portion is the whole file.
    """

    path: str
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A run of text from one stream, documents one after another.

    Attributes:
        data: The bytes. Bytes outside every span (newlines between documents) belong to no document.
        starts: Where each document begins in ``data``; int64, ascending.
        ends: Where each ends.
        complete: Whether the last document ends here. When not, the next block of the stream continues it, and that
            block's first span begins at its offset 0.
        padded: ``data`` with ``PADDING`` zero bytes after it, where they stand so in memory: it can be counted as it is.
    """

    data: bytes | memoryview
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    complete: bool
    padded: bytes | None = None


@dataclass(frozen=True, slots=True)
class Documents:
    """Whole documents of an iterable, which :meth:`Stream.block_of` makes a block of.

    Attributes:
        texts: The documents.
        first: The number of the first.
    """

    texts: list[str | bytes]
    first: int


class Stream:
    """One file, standard input, or one iterable: an iterator of its blocks.

    Attributes:
        name: The path, or a word for what is read; stands in every error.
        bytes_read: Bytes taken from disk so far (from an iterable: bytes of its text).
        source: Size and sha256 of the file once it has been read to its end; ``None`` before, and for iterables.
        any_thread: Whether blocks may be asked for in any thread, one at a time: asking runs no code of the caller's.
    """

    __slots__ = ("_blocks", "_hash", "_lock", "any_thread", "bytes_read", "name", "source")

    def __init__(self, name: str, *, any_thread: bool = True) -> None:
        self.name = name
        self.any_thread = any_thread
        self.bytes_read = 0
        self.source: Source | None = None
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self._blocks: Iterator[Block | Documents] = iter(())

    @classmethod
    def of_file(cls, path: str, *, text_field: str, lines: bool, strict: bool, block_bytes: int) -> Stream:
        """A stream of the file ``path``, which is opened when the first block is asked for."""
        stream = cls(path)
        stream._blocks = stream._with_file_errors(stream._open(text_field, lines, strict, block_bytes))
        return stream

    @classmethod
    def of_portion(
        cls, portion: Portion, *, text_field: str, lines: bool, strict: bool, block_bytes: int = BLOCK_BYTES
    ) -> Stream:
        """A stream of a portion of a file. Of less than a whole file there is no ``source``: see :meth:`of_hash`."""
        if portion.end is None:
            return cls.of_file(portion.path, text_field=text_field, lines=lines, strict=strict, block_bytes=block_bytes)
        stream = cls(portion.path)
        blocks = stream._open_between(portion.begin, portion.end, text_field, strict, block_bytes)
        stream._blocks = stream._with_file_errors(blocks)
        return stream

    @classmethod
    def of_hash(cls, path: str) -> Stream:
        """A stream without documents: it reads a file for its ``source`` alone."""
        stream = cls(path)

        def read() -> Iterator[Block]:
            with _open_binary(path) as file:
                for _ in stream._raw(file, BLOCK_BYTES):
                    pass
            stream.source = Source(path, stream.bytes_read, stream.prefix_sha256)
            yield from ()

        stream._blocks = stream._with_file_errors(read())
        return stream

    @classmethod
    def of_arrow(cls, arrays: Iterable[Any], *, name: str, column: str, strict: bool) -> Stream:
        """A stream of Arrow arrays of strings or of binary, each value a document.

        Args:
            arrays: ``pyarrow.Array`` objects.
            name: What to call them in errors.
            column: Likewise.
            strict: Whether invalid UTF-8 is refused.
        """
        stream = cls(name)

        def read() -> Iterator[Block]:
            arrow: Any = importlib.import_module("pyarrow")
            row = 0
            for array in arrays:
                for block in _rows(arrow, array, name, column, row, strict, BLOCK_BYTES):
                    stream.bytes_read += len(block.data)
                    yield block
                row += len(array)

        stream._blocks = read()
        return stream

    @classmethod
    def of_items(cls, items: Iterable[object], *, strict: bool, block_bytes: int, any_thread: bool = False) -> Stream:
        """A stream of an iterable whose items are documents."""
        stream = cls("iterable", any_thread=any_thread)
        stream._blocks = stream._of_items(items, strict, block_bytes)
        return stream

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        following = next(self._blocks)
        return following if isinstance(following, Block) else self.block_of(following)

    def next_unmade(self) -> Block | Documents | None:
        """The next block, or what :meth:`block_of` makes it of; None at the end."""
        return next(self._blocks, None)

    def block_of(self, documents: Documents) -> Block:
        """A block of documents that :meth:`next_unmade` gave; several threads may make theirs at the same time."""
        made = utf8_block(documents.texts)
        if isinstance(made, int):
            try:
                str(documents.texts[made]).encode()
            except UnicodeEncodeError as error:
                raise _lone_surrogate(f"document {documents.first + made}", error) from None
            raise AssertionError(f"document {made} of the block was refused without reason")
        padded, ends = made
        data = memoryview(padded)[:-PADDING]
        with self._lock:
            self.bytes_read += len(data)
        starts = np.empty_like(ends)
        starts[0] = 0
        starts[1:] = ends[:-1]
        return Block(data, starts, ends, True, padded)

    def documents(self) -> Iterator[bytes]:
        """Yield each document whole, in order. A document of any size is held in memory as it is yielded."""
        parts: list[bytes] = []
        for block in self:
            last = len(block.starts) - 1
            view = memoryview(block.data)
            for index, (start, end) in enumerate(zip(block.starts.tolist(), block.ends.tolist(), strict=True)):
                parts.append(bytes(view[start:end]))
                if index < last or block.complete:
                    document = parts[0] if len(parts) == 1 else b"".join(parts)
                    parts.clear()
                    yield document

    @property
    def prefix_sha256(self) -> str:
        """The sha256 of what has been read so far, in hex."""
        return self._hash.hexdigest()

    def keep(self, sample: Sample, number: int) -> None:
        """Hand on only the documents of a sample; to be called before the first block is taken.

        Args:
            sample: The sample.
            number: The place of this stream among all.
        """
        blocks = self._blocks
        made = (each if isinstance(each, Block) else self.block_of(each) for each in blocks)
        self._blocks = _sampled(made, sample, number)

    def close(self) -> None:
        """Close the file, read to its end or not."""
        close = getattr(self._blocks, "close", None)
        if close is not None:
            with contextlib.suppress(ValueError):  # a thread that was given up waits in it, for a pipe
                close()

    def _open(self, text_field: str, lines: bool, strict: bool, block_bytes: int) -> Iterator[Block]:
        """The layers a file goes through, from disk to documents."""
        form, compression = _suffixes(self.name)
        with _open_binary(self.name) as file:
            pieces = self._raw(file, block_bytes)
            if compression:
                pieces = _decompressed(pieces, self.name, compression, block_bytes)
            if form == ".parquet":
                yield from _parquet(pieces, file, self.name, text_field, strict, bool(compression), block_bytes)
            else:
                pieces = _sniffed(pieces, self.name)
                if strict:
                    pieces = _validated(pieces, self.name)
                if form in _JSON_SUFFIXES:
                    yield from _json_lines(pieces, self.name, text_field, block_bytes)
                elif lines:
                    yield from _lines(pieces, block_bytes)
                else:
                    yield from _whole(pieces)
        self.source = Source(self.name, self.bytes_read, self._hash.hexdigest())

    def _open_between(self, begin: int, end: int, text_field: str, strict: bool, block_bytes: int) -> Iterator[Block]:
        """The same layers for a part of a file, which is not compressed; what is looked at is what the whole would be."""
        form, _ = _suffixes(self.name)
        with _open_binary(self.name) as file:
            if form == ".parquet":
                groups = range(begin, end)
                yield from _parquet(iter(()), file, self.name, text_field, strict, False, block_bytes, groups)
                return
            if begin == 0:
                for _ in _sniffed(iter([_read_up_to(file, _SNIFFED)]), self.name):
                    pass
            between = _LinesBetween(file, begin, end)
            start = between.start
            pieces = self._raw(between, block_bytes)
            if strict:
                pieces = _validated(pieces, self.name, start)
            if form in _JSON_SUFFIXES:
                place = self.name if begin == 0 else f"{self.name} (from byte {start})"
                yield from _json_lines(pieces, place, text_field, block_bytes, first=begin == 0)
            else:
                yield from _lines(pieces, block_bytes)

    def _with_file_errors(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Say in our words what the system says of a file."""
        try:
            yield from blocks
        except FileNotFoundError:
            raise CorpusError(_no_such_file(self.name)) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise CorpusError(f"{self.name}: cannot be read: {reason}; check the file and its permissions") from error

    def _raw(self, file: _Readable, size: int) -> Iterator[bytes]:
        while piece := file.read(size):
            self._hash.update(piece)
            self.bytes_read += len(piece)
            yield piece

    def _of_items(self, items: Iterable[object], strict: bool, block_bytes: int) -> Iterator[Block | Documents]:
        """Batch small documents into one block, because a native call for each would cost more than the counting."""
        batch: list[str | bytes] = []
        size = before = 0  # of the batch; documents before it
        rest, source = iter(items), items if type(items) is list else None
        while True:
            size, other = add_strings(rest, source, before + len(batch), batch, size, block_bytes)
            long = None
            if other:
                number = before + len(batch)
                document, most = _document(other[0], number, strict)
                if most > block_bytes:
                    long = document
                else:
                    batch.append(document)
                    size += most + 16
            if batch and (long is not None or other is None or size >= block_bytes):
                yield Documents(batch, before)
                before += len(batch)
                batch, size = [], 0
            if long is not None:  # encode and hand on piece by piece, so that no second copy is made
                before += 1
                if isinstance(long, str):
                    yield from self._of_long_str(long, number, block_bytes)
                else:
                    self.bytes_read += len(long)
                    view = memoryview(long)
                    yield from _whole(view[at : at + block_bytes] for at in range(0, len(long), block_bytes))
            if other is None:
                return

    def _of_long_str(self, text: str, number: int, block_bytes: int) -> Iterator[Block]:
        def pieces() -> Iterator[bytes]:
            for at in range(0, len(text), block_bytes):
                try:
                    piece = text[at : at + block_bytes].encode()
                except UnicodeEncodeError as error:
                    raise _lone_surrogate(f"document {number}", error, at) from None
                self.bytes_read += len(piece)
                yield piece

        return _whole(pieces())


def _document(item: object, number: int, strict: bool) -> tuple[str | bytes, int]:
    """An item of an iterable as a document, and how many bytes it has, at most, but for rare characters."""
    if isinstance(item, str):
        return item, len(item) if item.isascii() else 3 * len(item)
    if not isinstance(item, (bytes, bytearray, memoryview)):
        raise TypeError(f"document {number} of the source is {type(item).__name__}; each document must be str or bytes")
    document = item if type(item) is bytes else bytes(item)
    if strict:
        _check_utf8(document, f"document {number}")
    return document, len(document)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents to be read, once. Made by :func:`open_corpus`.

    Attributes:
        name: What to call it in errors: its only path, or how many files it has.
        files: The paths in the order they are read; empty for an iterable.
        streams: One stream for each file, opened as it is read; exactly one for an iterable.
        total_bytes: Bytes on disk in all, or ``None`` where that cannot be known (standard input, iterables).
    """

    name: str
    files: tuple[str, ...]
    streams: tuple[Stream, ...]
    total_bytes: int | None

    @property
    def bytes_read(self) -> int:
        """Bytes taken from disk so far, all streams together."""
        return sum(stream.bytes_read for stream in self.streams)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Size and sha256 of each file that has been read to its end, in the order of ``files``."""
        return tuple(stream.source for stream in self.streams if stream.source is not None)

    def documents(self) -> Iterator[bytes]:
        """Yield each document whole, in order. A document of any size is held in memory as it is yielded.

        Raises:
            CorpusError: Something cannot be read, or there is no text at all.
        """
        empty = True
        for stream in self.streams:
            for document in stream.documents():
                empty = empty and not document
                yield document
        if empty:
            raise self.empty_error()

    def empty_error(self) -> CorpusError:
        """The error for a corpus without any text."""
        if self.files:
            return CorpusError(f"{self.name}: no text in it ({self.bytes_read} bytes read); give a corpus with text")
        return CorpusError("the source yielded no text; give at least one document that is not empty")

    def close(self) -> None:
        """Close every file that is still open."""
        for stream in self.streams:
            stream.close()


class Reporter:
    """Calls ``progress`` now and then with how much of a corpus has been read.

    Attributes:
        forecast: Says what it will come to; None: nobody does.
    """

    def __init__(self, corpus: Corpus, phase: str, progress: Callable[[Progress], None] | None) -> None:
        self._corpus = corpus
        self._phase = phase
        self._progress = progress
        self._next = 0.0
        self.forecast: Callable[[], Forecast | None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return self._progress is not None

    def now_and_then(self) -> None:
        """Report if the last report was long enough ago."""
        if self._progress is not None and time.monotonic() >= self._next:
            self.now()

    def other(self, phase: str, unit: str) -> None:
        """Report the beginning of a phase of which nobody knows how far it is."""
        if self._progress is not None:
            self._progress(Progress(phase, 0, None, unit))

    def now(self) -> None:
        """Report."""
        if self._progress is not None:
            self._next = time.monotonic() + REPORT_SECONDS
            forecast = None if self.forecast is None else self.forecast()
            self._progress(Progress(self._phase, self._corpus.bytes_read, self._corpus.total_bytes, "bytes", forecast))


def open_corpus(
    source: SourceLike,
    *,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> Corpus:
    """Find the documents that a source names.

    A source is one of

    * a path, as ``str`` or ``Path``: a file, a folder (its files with known suffixes, recursively, sorted; hidden ones
      left out), a pattern with ``*``, ``?``, ``[...]`` or ``**``, or ``-`` for standard input;
    * several paths: an iterable of ``Path`` objects, each of which may be any of these;
    * an iterable of ``str`` or ``bytes``: each item is one document.

    A file is read by its suffix: ``.jsonl`` and ``.ndjson`` hold one document a line in the field ``text_field``,
    ``.parquet`` one a row in the column of that name, anything else is text: one document, or one a line with ``lines``
    (without the line's ``\\n`` or ``\\r\\n``). Each may be compressed: ``.gz``, ``.bz2``, ``.xz``, ``.zst``.

    Args:
        source: What to read, as above.
        text_field: The field or column that holds the text.
        lines: Whether each line of a text file is a document of its own. Does not concern iterables.
        strict: Whether invalid UTF-8 is refused. Otherwise it is kept as it is.
        block_bytes: About how much text one block holds, in bytes.

    Returns:
        The corpus. Files have been found, none has been opened.

    Raises:
        CorpusError: A path that does not exist, a folder or pattern without files, or a list of strings of which one
            names a file, which may mean either.
        TypeError: Something that is no source.
    """
    if block_bytes < 1:
        raise ValueError(f"block_bytes is {block_bytes}; it must be at least 1")
    if isinstance(source, (str, os.PathLike)):
        paths = [os.fspath(source)]
        if isinstance(source, str) and not _may_be_path(source):
            raise CorpusError(_no_such_file(source, alone=True))
    elif isinstance(source, (bytes, bytearray, memoryview)):
        raise TypeError("the source is one bytes object; to learn from it as one document pass it in a list: [data]")
    elif isinstance(source, dict) or not isinstance(source, Iterable):
        raise TypeError(f"the source is {type(source).__name__}; give a path, paths, or an iterable of str or bytes")
    else:
        items = iter(source)
        head: deque[object] = deque()
        for item in items:
            head.append(item)
            if len(head) == 16:
                break
        if not (head and isinstance(head[0], os.PathLike)):
            _refuse_file_names(head)
            in_memory = type(source) in (list, tuple)
            stream = Stream.of_items(
                source if in_memory else _chain(head, items),
                strict=strict,
                block_bytes=block_bytes,
                any_thread=in_memory,
            )
            return Corpus("iterable", (), (stream,), None)
        paths = []
        for path in _chain(head, items):
            if not isinstance(path, (str, os.PathLike)):
                raise TypeError(f"{path!r} stands among paths; give only paths, or only documents")
            paths.append(os.fspath(path))
    alone = isinstance(source, str)
    files = tuple(file for named in paths for file in find_files(named, alone))
    if not files:
        raise CorpusError("no sources given; give at least one file, folder or document")
    sizes = [_size(file) for file in files]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    streams = tuple(
        Stream.of_file(file, text_field=text_field, lines=lines, strict=strict, block_bytes=block_bytes)
        for file in files
    )
    name = files[0] if len(files) == 1 else f"{', '.join(paths[:3])}{' …' if len(paths) > 3 else ''}"
    return Corpus(name, files, streams, total)


# --- sampling ---------------------------------------------------------------------------------------------------------


def draw_sample(
    corpus: Corpus, size: int, seed: int = 0, *, progress: Callable[[Progress], None] | None = None
) -> Sample:
    """Read a corpus, and find which documents make a sample of at most ``size`` bytes of text.

    Sizes on disk would not do: compressed files and Parquet hold more text than that, JSON lines less. So the corpus is
    read twice, here and when it is counted.

    Args:
        corpus: Files, opened afresh; they are read to their ends.
        size: Bytes of text.
        seed: From 0 to 2**64 - 1.
        progress: Called now and then with the phase ``"sampling"``.

    Raises:
        CorpusError: A source that cannot be read twice; no document is small enough; what reading raises.
    """
    if not corpus.files or "-" in corpus.files:
        raise CorpusError(f"{corpus.name}: a sample is drawn by reading twice, which only files can be; name files")
    report = Reporter(corpus, "sampling", progress)
    sizes = np.zeros(_DRAWS, dtype=np.int64)  # bytes of the documents with each draw
    documents = 0
    try:
        for number, stream in enumerate(corpus.streams):
            begun = 0  # documents of this stream that have ended
            for block in stream:
                drawn = _draws(seed, number, begun, len(block.starts))
                np.add.at(sizes, drawn, block.ends - block.starts)
                begun += len(drawn) if block.complete else len(drawn) - 1
                report.now_and_then()
            documents += begun
    finally:
        corpus.close()
    report.now()
    upto = np.cumsum(sizes)
    total = int(upto[-1])
    if total == 0:
        raise corpus.empty_error()
    threshold = _DRAWS if total <= size else int(np.searchsorted(upto, size, side="right"))
    if threshold == 0 or upto[threshold - 1] == 0:
        raise CorpusError(
            f"{corpus.name}: {documents:,} documents of {total:,} bytes, and the first one drawn is larger than a "
            f"sample of {size:,}; ask for more, or make lines documents (--lines)"
        )
    return Sample(size, seed, threshold, documents, total)


_DRAWS = 1 << 20
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _draws(seed: int, number: int, first: int, size: int) -> npt.NDArray[np.int64]:
    """The draws of ``size`` documents from ``first`` on, of stream ``number``: each from 0 to 2**20 - 1, all as likely.

    SplitMix64 (Steele, Lea and Flood 2014), whose n-th number needs none of those before it.
    """
    with np.errstate(over="ignore"):
        key = _mixed(_mixed(np.array([seed], np.uint64) + _GOLDEN) + np.array([number + 1], np.uint64) * _GOLDEN)
        places = np.arange(first + 1, first + size + 1, dtype=np.uint64)
        return (_mixed(key + places * _GOLDEN) >> np.uint64(44)).astype(np.int64)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _sampled(blocks: Iterator[Block], sample: Sample, number: int) -> Iterator[Block]:
    """Of each block the documents that are in the sample. One that goes on over blocks has the same draw in each."""
    begun = 0
    for block in blocks:
        kept = _draws(sample.seed, number, begun, len(block.starts)) < sample.threshold
        begun += len(kept) if block.complete else len(kept) - 1
        if kept.all():
            yield block
        elif kept.any():
            starts, ends = block.starts[kept], block.ends[kept]
            first = int(starts[0])  # a block begins with a document
            data = memoryview(block.data)[first : int(ends[-1])]
            yield Block(data, starts - first, ends - first, block.complete or not kept[-1])


# --- finding files ----------------------------------------------------------------------------------------------------


def find_files(path: str, alone: bool = False) -> Iterator[str]:
    """The files that one path names, sorted.

    Args:
        path: A file, a folder, a pattern, or ``-``.
        alone: Whether it was given as a ``str``, which may have been meant as a text.

    Raises:
        CorpusError: There is none.
    """
    if path == "-" or os.path.isfile(path):
        yield path
    elif os.path.isdir(path):
        found = list(_walk(path))
        if not found:
            known = " ".join(_TEXT_SUFFIXES)
            raise CorpusError(
                f"{path}: no files to read in this folder; it needs {known} "
                f"(each also with {' '.join(_COMPRESSED_SUFFIXES)}), or name other files one by one"
            )
        yield from found
    elif os.path.exists(path):
        yield path  # a pipe or a device
    elif glob.has_magic(path):
        matches = sorted(match for match in glob.glob(path, recursive=True) if os.path.isfile(match))
        if not matches:
            raise CorpusError(f"{path}: no file matches this pattern; check it, and quote it in a shell")
        yield from matches
    else:
        raise CorpusError(_no_such_file(path, alone=alone))


def _walk(folder: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise CorpusError(f"{error.filename}: cannot be read: {error.strerror}; check its permissions")

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(place, name)
            if name.startswith(".") or _suffixes(name)[0] not in _TEXT_SUFFIXES:
                continue
            if os.path.isfile(path) or not os.path.exists(
                path
            ):  # no pipe; a link to nowhere is named when it is opened
                yield path


def with_escaped_names(json_text: str) -> str:
    r"""JSON in which the names of files that are no UTF-8 can be written as UTF-8: lone surrogates become escapes.

    >>> with_escaped_names('["\udcff.txt"]')
    '["\\udcff.txt"]'
    """
    return _SURROGATE.sub(lambda lone: f"\\u{ord(lone.group()):04x}", json_text)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _size(file: str) -> int | None:
    """Bytes on disk, or ``None`` where that cannot be known; opening the file will say what is wrong with it."""
    try:
        return os.stat(file).st_size if os.path.isfile(file) else None
    except OSError:
        return None


def _suffixes(path: str) -> tuple[str, str]:
    """The suffix that says what a file holds, and that of its compression: ``("", "")`` for neither."""
    stem, last = os.path.splitext(path.lower())
    if last in _COMPRESSED_SUFFIXES:
        return os.path.splitext(stem)[1], last
    return last, ""


def _may_be_path(text: str) -> bool:
    return bool(text) and len(text) <= 4096 and "\n" not in text and "\0" not in text


def _no_such_file(path: str, *, alone: bool = False) -> str:
    shown = path if len(path) <= 80 and path.isprintable() else repr(path[:60] + "…")
    hint = "; to learn from this string itself pass it in a list: [text]" if alone else "; check the path"
    return f"{shown}: no such file{hint}"


def _refuse_file_names(items: Iterable[object]) -> None:
    """A list of strings is documents. One that names a file was probably meant as a path: nothing is guessed."""
    for item in items:
        if isinstance(item, str) and (item == "-" or (_may_be_path(item) and os.path.isfile(item))):
            raise CorpusError(
                f"{item!r} in a list of str names a file, but str items are documents; "
                "pass Path objects to read files, or bytes to learn from the names themselves"
            )


def _chain(head: deque[object], rest: Iterator[object]) -> Iterator[object]:
    while head:
        yield head.popleft()  # let go of each, a document may be large
    yield from rest


# --- a file in portions ------------------------------------------------------------------------------------------------


def divide(path: str, *, lines: bool, most_bytes: int) -> tuple[Portion, ...]:
    """A file in portions of at most about ``most_bytes`` on disk, each of which can be read without the others.

    A portion ends where a document ends, and nowhere else. So JSON lines are divided between lines, a text file whose
    lines are documents likewise, and Parquet between row groups. A text file that is one document stays whole, and so
    does a compressed file, which can only be read from its beginning.

    Args:
        path: A regular file.
        lines: Whether each line of a text file is a document.
        most_bytes: At least 1.

    Raises:
        CorpusError: There is no such file.
    """
    form, compression = _suffixes(path)
    whole = (Portion(path),)
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}; check the path") from None
    if compression or size <= most_bytes:
        return whole
    if form == ".parquet":
        borders = _row_groups(path, most_bytes)
    elif lines or form in _JSON_SUFFIXES:
        number = -(-size // most_bytes)
        borders = [size * place // number for place in range(number + 1)]
    else:
        return whole
    if len(borders) <= 2:
        return whole
    return tuple(Portion(path, begin, end) for begin, end in itertools.pairwise(borders))


def _row_groups(path: str, most_bytes: int) -> list[int]:
    """Between which row groups to divide a Parquet file. One that cannot be read stays whole: its reader says why."""
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        metadata = parquet.read_metadata(path)
    except (ImportError, OSError, ValueError):  # ArrowInvalid is a ValueError
        return []
    borders = [0]
    size = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        group_size = sum(group.column(column).total_compressed_size for column in range(group.num_columns))
        if size and size + group_size > most_bytes:
            borders.append(number)
            size = 0
        size += group_size
    return [*borders, metadata.num_row_groups]


class _Readable(Protocol):
    """A file, or something like it: bytes until there are none."""

    def read(self, size: int, /) -> bytes | None: ...


class _LinesBetween:
    """The lines of a file that begin at ``begin`` or later and before ``end``, as something to read from.

    A line begins at ``begin`` only where a newline stands just before it: so that is where the search starts. The last
    line is read to its end, wherever that is. So every line of the file is in one portion, and no line in two.

    Attributes:
        start: Where the first of these lines begins; ``end`` where there is none.
    """

    def __init__(self, file: IO[bytes], begin: int, end: int) -> None:
        self._file = file
        self._end = end
        self.start = begin if begin == 0 else self._line_start(begin)
        self._at = self.start
        file.seek(self._at)

    def _line_start(self, begin: int) -> int:
        at = begin - 1
        self._file.seek(at)
        while at < self._end - 1 and (data := self._file.read(min(BLOCK_BYTES, self._end - 1 - at))):
            newline = data.find(b"\n")
            if newline >= 0:
                return at + newline + 1
            at += len(data)
        return self._end

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, at least one; none at the end."""
        if self.start >= self._end:
            return b""
        data = self._file.read(size)
        before, self._at = self._at, self._at + len(data)
        if self._at >= self._end:  # the last line holds the byte before `end`
            newline = data.find(b"\n", max(0, self._end - 1 - before))
            if newline >= 0:
                self.start = self._end
                return data[: newline + 1]
        return data


def _read_up_to(file: IO[bytes], size: int) -> bytes:
    """``size`` bytes, or as many as there are: one read of an unbuffered file may bring fewer."""
    parts = []
    while size and (data := file.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


# --- from disk to bytes of text ---------------------------------------------------------------------------------------


def _open_binary(path: str) -> IO[bytes]:
    if path == "-":
        # Not closed with the corpus: standard input is the process's own.
        return open(sys.stdin.buffer.fileno(), "rb", buffering=0, closefd=False)
    return open(path, "rb", buffering=0)


class _Decompressor(Protocol):
    """What bz2, lzma and zstd decompressors have in common: one stream of input, output of bounded size."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


class _GzipDecompressor:
    """zlib's decompressor with the manners of the other three: it keeps the input it has not used."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        tail = self._zlib.unconsumed_tail
        return self._zlib.decompress(tail + data if tail else data, max_length)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data


def _zstd_decompressor() -> _Decompressor:
    """One that takes any window: archives made with ``--long=31`` need 2 GB and say so, others do not."""
    largest = zstd.DecompressionParameter.window_log_max.bounds()[1]
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: largest})


_DECOMPRESSORS: dict[str, tuple[str, Callable[[], _Decompressor]]] = {
    ".gz": ("gzip", _GzipDecompressor),
    ".bz2": ("bzip2", bz2.BZ2Decompressor),
    ".xz": ("xz", lzma.LZMADecompressor),
    ".zst": ("Zstandard", _zstd_decompressor),
}
_DECOMPRESSION_ERRORS = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, ValueError)


def _decompressed(pieces: Iterator[bytes], name: str, suffix: str, size: int) -> Iterator[bytes]:
    """Decompress stream after stream, at most ``size`` bytes at a time, whatever the ratio.

    Not the standard library's file objects: two of them pass over garbage after the last stream in silence.
    """
    kind, new = _DECOMPRESSORS[suffix]
    decompressor: _Decompressor | None = new()  # a file without a single stream is truncated
    offset = 0  # of the end of `piece` in the file
    for piece in pieces:
        offset += len(piece)
        data = piece
        while data or decompressor is not None:
            if decompressor is None:
                if suffix in (".gz", ".xz"):
                    data = data.lstrip(b"\0")  # padding after a stream, which both formats allow
                    if not data:
                        break
                decompressor = new()
            try:
                text = decompressor.decompress(data, size)
            except _DECOMPRESSION_ERRORS as error:
                raise CorpusError(
                    f"{name}: corrupt {kind} data before byte {offset} of the file ({error}); "
                    "fetch or compress the file again"
                ) from None
            data = b""
            if text:
                yield text
            if decompressor.eof:
                data = decompressor.unused_data
                decompressor = None
            elif len(text) < size:
                break  # all that this input had to give
    if decompressor is not None:
        raise CorpusError(
            f"{name}: truncated: the file ends at byte {offset}, before its {kind} stream does; "
            "fetch or compress the file again"
        )


def _sniffed(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Pass text on; refuse what is no text: a NUL, or more than a tenth control characters, in the first 64 KiB."""
    seen = controls = 0
    first_control: tuple[int, int] | None = None
    head = b""
    for piece in pieces:
        if seen == 0 and piece.startswith(_COUNT_FILE):
            raise CorpusError(
                f"{name}: a count file, not text: store it uncompressed under a name that ends in .tsv, and give that"
            )
        if seen < _SNIFFED:
            looked_at = piece[: _SNIFFED - seen]
            head = (head + looked_at[:8])[:8]
            zero = looked_at.find(0)
            if zero >= 0:
                raise _binary(name, 0, seen + zero, head)
            rest = looked_at.translate(None, _CONTROLS)
            if len(rest) < len(looked_at):
                controls += len(looked_at) - len(rest)
                if first_control is None:
                    at = next(i for i, byte in enumerate(looked_at) if byte in _CONTROLS)
                    first_control = (looked_at[at], seen + at)
            seen += len(looked_at)
            if seen == _SNIFFED and first_control and controls * 10 > seen:
                raise _binary(name, *first_control, head)
        yield piece
    if seen < _SNIFFED and first_control and controls * 10 > seen:
        raise _binary(name, *first_control, head)


def _binary(name: str, byte: int, offset: int, head: bytes) -> CorpusError:
    kind = next((f" (it looks like {what})" for magic, what in _MAGIC if head.startswith(magic)), "")
    return CorpusError(
        f"{name}: binary, not text: byte 0x{byte:02x} at offset {offset}{kind}; "
        "bbpe reads UTF-8 text, .jsonl and .parquet"
    )


def _validated(pieces: Iterator[bytes], name: str, offset: int = 0) -> Iterator[bytes]:
    """Pass valid UTF-8 on; refuse the rest, with the offset in the (decompressed) file."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending = 0  # bytes of an unfinished character before `offset`
    try:
        for piece in pieces:
            decoder.decode(piece)
            offset += len(piece)
            pending = len(decoder.getstate()[0])
            yield piece
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _invalid_utf8(name, error, offset - pending) from None


def _check_utf8(data: bytes, place: str) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise _invalid_utf8(place, error, 0) from None


def _invalid_utf8(place: str, error: UnicodeDecodeError, base: int) -> CorpusError:
    byte = error.object[error.start]
    return CorpusError(
        f"{place}: invalid UTF-8 at byte offset {base + error.start} (0x{byte:02x}: {error.reason}); "
        "repair the text, or read it without strict, which keeps such bytes as they are"
    )


def _lone_surrogate(place: str, error: UnicodeEncodeError, base: int = 0) -> CorpusError:
    return CorpusError(
        f"{place}: lone surrogate U+{ord(error.object[error.start]):04X} at character {base + error.start}; "
        "it has no UTF-8: repair the text, or give bytes"
    )


# --- from bytes of text to documents ----------------------------------------------------------------------------------


def _offsets(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _whole(pieces: Iterable[bytes | memoryview]) -> Iterator[Block]:
    """All pieces are one document. One piece is held back, so that the last block is known to be the last."""
    last: bytes | memoryview = b""
    for piece in pieces:
        if len(last):
            yield Block(last, _offsets(0), _offsets(len(last)), False)
        last = piece
    yield Block(last, _offsets(0), _offsets(len(last)), True)


def _lines(pieces: Iterable[bytes], block_bytes: int) -> Iterator[Block]:
    """Each line is a document, an empty line too; what follows the last newline is one unless it is empty."""
    rest = b""  # the unfinished line
    for piece in pieces:
        data = rest + piece
        newlines = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 0x0A)
        if len(newlines):
            starts = np.empty(len(newlines), dtype=np.int64)
            starts[0] = 0
            starts[1:] = newlines[:-1] + 1
            ends = newlines.astype(np.int64)
            octets = np.frombuffer(data, dtype=np.uint8)
            ends -= (ends > starts) & (octets[ends - 1] == 0x0D)
            cut = int(newlines[-1])
            yield Block(memoryview(data)[:cut], starts, ends, True)
            rest = data[cut + 1 :]
        elif len(data) > block_bytes:
            # A line longer than a block is handed on in parts. Its last byte stays: it may be the \r of \r\n.
            yield Block(memoryview(data)[:-1], _offsets(0), _offsets(len(data) - 1), False)
            rest = data[-1:]
        else:
            rest = data
    if rest:
        yield Block(rest, _offsets(0), _offsets(len(rest)), True)


def _json_lines(
    pieces: Iterable[bytes], name: str, field: str, block_bytes: int, *, first: bool = True
) -> Iterator[Block]:
    """Each line is a JSON object whose ``field`` is a document. Blank lines are passed over.

    ``first``: whether the pieces begin where the file does, and a byte order mark may stand alone.
    """
    key = field.encode("utf-8", "surrogatepass")
    number = 0  # lines done
    texts: list[bytes] = []
    ends: list[npt.NDArray[np.int64]] = []
    size = 0
    for data in _whole_lines(pieces):
        at = 0
        while at < len(data):
            text, found, at, lines = take_documents(data, at, key, block_bytes)
            number += lines
            if len(found):
                texts.append(text)
                ends.append(found + size)
                size += len(text)
            if at < len(data) and size < block_bytes:  # a line that is wrong, or unusual
                end = data.find(b"\n", at) + 1 or len(data)
                number += 1
                line = data[at:end].removesuffix(b"\n")
                at = end
                if line.strip() and not (first and number == 1 and line.strip() == codecs.BOM_UTF8):
                    texts.append(_json_document(line, f"{name}:{number}", field))
                    size += len(texts[-1])
                    ends.append(_offsets(size))
            if size >= block_bytes:
                yield _joined(texts, ends)
                texts, ends, size = [], [], 0
    if ends:
        yield _joined(texts, ends)


def _joined(texts: list[bytes], ends: list[npt.NDArray[np.int64]]) -> Block:
    all_ends = np.concatenate(ends)
    return Block(b"".join(texts), np.concatenate([_offsets(0), all_ends[:-1]]), all_ends, True)


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut after newlines only."""
    parts: list[bytes] = []
    for piece in pieces:
        cut = piece.rfind(b"\n") + 1
        if cut:
            parts.append(piece[:cut])
            yield b"".join(parts)
            parts.clear()
        if cut < len(piece):
            parts.append(piece[cut:])
    if parts:
        yield b"".join(parts)


def _json_document(line: bytes, place: str, field: str) -> bytes:
    """The document of one line that is not plainly well-formed: broken UTF-8, a byte order mark, or an error.

    Broken UTF-8 is kept byte for byte. A lone surrogate written as an escape (``\\ud800``) is refused: it has no bytes.
    """
    try:
        text = line.decode("utf-8")
        broken = False
    except UnicodeDecodeError:
        text = line.decode("utf-8", "surrogateescape")
        broken = True
    text = text.removeprefix("\ufeff")
    try:
        record = json.loads(text)
    except RecursionError:
        raise CorpusError(f"{place}: JSON nested too deeply to read; repair or remove this line") from None
    except ValueError as error:
        what = f"{error.msg} (column {error.colno})" if isinstance(error, json.JSONDecodeError) else str(error)
        raise CorpusError(f"{place}: not valid JSON: {what}; each line must be one JSON object") from None
    if not isinstance(record, dict):
        raise CorpusError(f"{place}: JSON {_json_kind(record)}, not an object; each line must be one JSON object")
    if field not in record:
        raise CorpusError(f"{place}: no field {field!r}; {_existing('this line has', list(record))}")
    value = record[field]
    if not isinstance(value, str):
        raise CorpusError(f"{place}: field {field!r} is {_json_kind(value)}, not a string; choose another field")
    checked = value
    if broken:
        # Bytes escaped as U+DC80..U+DCFF are wanted; the same characters written as \udcxx are not.
        checked = json.loads(line.decode("utf-8", "replace").removeprefix("\ufeff"))[field]
    try:
        checked.encode()
    except UnicodeEncodeError as error:
        raise _lone_surrogate(f"{place}: field {field!r}", error) from None
    return value.encode("utf-8", "surrogateescape")


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")


def _existing(intro: str, names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")
    return f"{intro} {shown or 'none'}; choose one with text_field"


def _parquet(
    pieces: Iterator[bytes],
    file: IO[bytes],
    name: str,
    column: str,
    strict: bool,
    compressed: bool,
    block_bytes: int,
    groups: range | None = None,
) -> Iterator[Block]:
    """Each row's ``column`` is a document; of the row groups ``groups``, or of all.

    The file is hashed in a pass of its own: Parquet is not read in order.
    """
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError(f"{name}: reading Parquet needs pyarrow: pip install 'bbpe[parquet]'") from None
    with tempfile.TemporaryFile() if compressed else io.BytesIO() as unpacked:
        for piece in pieces:
            if compressed:
                unpacked.write(piece)
        seekable: IO[bytes] = unpacked if compressed else file
        seekable.seek(0)
        try:
            table = parquet.ParquetFile(seekable)
            schema = table.schema_arrow
            if column not in schema.names:
                raise CorpusError(f"{name}: no column {column!r}; {_existing('this file has', schema.names)}")
            if not _is_text(arrow, schema.field(column).type):
                kind = schema.field(column).type
                raise CorpusError(f"{name}: column {column!r} is of type {kind}, not string; choose another column")
            row = 0 if groups is None else sum(table.metadata.row_group(at).num_rows for at in range(groups.start))
            chosen = None if groups is None else list(groups)
            for batch in table.iter_batches(batch_size=1024, row_groups=chosen, columns=[column], use_threads=False):
                yield from _rows(arrow, batch.column(0), name, column, row, strict, block_bytes)
                row += batch.num_rows
        except (arrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CorpusError(f"{name}: corrupt or truncated Parquet: {reason}; fetch the file again") from None


def _is_text(arrow: Any, kind: Any) -> bool:
    types = arrow.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    view = getattr(types, "is_string_view", lambda _: False)  # not in older releases
    return bool(types.is_string(kind) or types.is_large_string(kind) or view(kind))


def _rows(arrow: Any, values: Any, name: str, column: str, row: int, strict: bool, block_bytes: int) -> Iterator[Block]:
    """Hand on the text of an Arrow array where it lies, without making an object of each row."""
    if values.null_count:
        at = row + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise CorpusError(f"{name}: row {at}: column {column!r} is null, not a string; drop such rows first")
    binary = arrow.types.is_binary(values.type) or arrow.types.is_large_binary(values.type)
    array = values.cast(arrow.large_binary() if binary else arrow.large_string())
    if not len(array):
        return
    _, offsets_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    data = memoryview(data_buffer or b"")
    if strict:
        for index in range(len(array)):
            _check_utf8(bytes(data[offsets[index] : offsets[index + 1]]), f"{name}: row {row + index}")
    first = 0
    while first < len(array):
        base = int(offsets[first])
        # As many rows as fill a block, at least one.
        last = max(first + 1, int(np.searchsorted(offsets, base + block_bytes, side="right")) - 1)
        view = data[base : int(offsets[last])]
        if last == first + 1 and len(view) > block_bytes:
            yield from _whole(view[at : at + block_bytes] for at in range(0, len(view), block_bytes))
        else:
            yield Block(view, offsets[first:last] - base, offsets[first + 1 : last + 1] - base, True)
        first = last
