"""The ids of a corpus to a file, and from a file back to text, in bounded memory and on all cores.

What it does: reads documents (``corpus.py``), hands them to the tokenizer in batches, and writes the ids in the order
of the documents, so that the output is the same, byte for byte, with any number of threads. A document larger than a
batch is encoded in parts, cut only where that is proven to change nothing (:class:`_Cutter`); where no such place is
known (a pattern that runs on ``regex``) the document is held in memory whole. The ids never are.

What it does not: encode (``tokenizer.py``), print, or know a vocabulary's file formats (``formats/``).

The four formats of ids:

``ids``   one document a line, ids separated by a space; an empty line is an empty document
``json``  one document a line, a JSON array of ids
``npy``   one NumPy array of uint16 or uint32 with the ids of all documents, one after another
``bin``   the same numbers without a header, little-endian

Beside an ``npy`` or ``bin`` file stands its index, ``<file>.index.npy``: int64 of shape (documents + 1,), so that
document i is ``ids[index[i]:index[i + 1]]``.

Where to read next: :func:`encode_corpus`, :func:`decode_ids`.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe._count import PADDING, all_inert, count_characters
from bbpe.corpus import BLOCK_BYTES, REPORT_SECONDS, Corpus, Progress, Reporter, SourceLike, open_corpus
from bbpe.engines import EngineTokenizer
from bbpe.errors import CorpusError, EncodeError, FormatError
from bbpe.io import atomic_write
from bbpe.patterns import Pretokenizer
from bbpe.tokenizer import Allowed, Tokenizer

__all__ = ["DecodedIds", "EncodedCorpus", "IdFormat", "decode_ids", "encode_corpus", "id_format", "index_path"]

IdFormat: TypeAlias = Literal["ids", "json", "npy", "bin"]
IdType: TypeAlias = Literal["auto", "uint16", "uint32"]
DecodeErrors: TypeAlias = Literal["keep", "replace", "strict"]

_FORMAT_OF_SUFFIX: dict[str, IdFormat] = {
    ".npy": "npy",
    ".bin": "bin",
    ".json": "json",
    ".jsonl": "json",
    ".ids": "ids",
    ".txt": "ids",
}
_BATCH_DOCUMENTS = 1 << 14  # at most so many documents in a batch, however short they are
_WINDOW = 1 << 16  # how far back from the end of a block a place to cut is looked for
_ID_DIGITS = 20
_NPY_HEADER_BYTES = 128  # room for a length of any 64-bit size, and a multiple of 64 as the format asks


@dataclass(frozen=True, slots=True)
class EncodedCorpus:
    """What :func:`encode_corpus` wrote.

    Attributes:
        documents: Documents read and written.
        ids: Ids written, those of ``end_of_text`` included.
        bytes: Bytes of text.
        characters: Characters of text, each invalid byte being one.
        invalid_bytes: Bytes of text that are no part of valid UTF-8; they are encoded like any others.
        dtype: ``"uint16"`` or ``"uint32"``; None for the text formats.
        files: The files written: the ids, and their index where there is one. Empty for a stream.
    """

    documents: int
    ids: int
    bytes: int
    characters: int
    invalid_bytes: int
    dtype: str | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class DecodedIds:
    """What :func:`decode_ids` wrote: how many documents, from how many ids, and the bytes of text."""

    documents: int
    ids: int
    bytes: int


def id_format(path: str | os.PathLike[str]) -> IdFormat:
    """The format that a file's name asks for.

    Raises:
        FormatError: Its suffix is none of the known ones.

    >>> id_format("train.npy")
    'npy'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMAT_OF_SUFFIX:
        known = ", ".join(_FORMAT_OF_SUFFIX)
        raise FormatError(f"{os.fspath(path)}: which format of ids? End the name in {known}, or name the format")
    return _FORMAT_OF_SUFFIX[suffix]


def index_path(path: str | os.PathLike[str]) -> Path:
    """Where the document boundaries of an ``npy`` or ``bin`` file stand."""
    return Path(f"{os.fspath(path)}.index.npy")


# --- encoding ---------------------------------------------------------------------------------------------------------


def encode_corpus(
    tokenizer: Tokenizer | EngineTokenizer,
    source: SourceLike,
    output: str | os.PathLike[str] | IO[bytes],
    *,
    format: IdFormat | None = None,
    dtype: IdType = "auto",
    allowed_special: Allowed = (),
    end_of_text: str | None = None,
    threads: int | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> EncodedCorpus:
    """Write the ids of all documents of a corpus.

    Memory: some 30 MB a thread beside the tokenizer, whatever the size of the corpus or of a document; but the largest
    document where it cannot be cut, which is so with a pattern that has no automaton.

    Args:
        tokenizer: What encodes.
        source: What to read: see :func:`bbpe.corpus.open_corpus`.
        output: A path, which appears when all is written (with its index, for ``npy`` and ``bin``), or a binary stream.
        format: One of the four; told by the path's suffix when None, ``ids`` for a stream.
        dtype: Of ``npy`` and ``bin``: ``auto`` is uint16 where the last id fits (65,536 ids or fewer), else uint32.
        allowed_special: Special tokens that count as such where they stand in the text, or ``"all"``.
        end_of_text: A special token whose id is written after each document.
        threads: How many encode; as many as there are processors when None. The output is the same with any.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Whether each line of a text file is a document.
        strict: Whether invalid UTF-8 is an error; otherwise its bytes are encoded and counted.
        force: Replace an output that exists; the old one stays whole until the new one is.
        progress: Called at most ten times a second, in the calling thread, with the bytes read from disk.

    Raises:
        CorpusError: Something cannot be read, or there is no text in it.
        EncodeError: A special token that the vocabulary has not, or a byte for which it has no token.
        FormatError: The format is unknown, or ids do not fit in ``dtype``.
        OutputError: The output exists or cannot be written. (A stream raises what it raises.)
    """
    tokenizer = _own(tokenizer)
    chosen = _checked_format(format, output)
    last = _special_id(tokenizer, end_of_text)
    tokenizer.encode_bytes(b"", allowed_special=allowed_special)  # unknown ones are refused before any file is touched
    threads = _checked_threads(threads)
    binary = chosen in ("npy", "bin")
    kind = _checked_dtype(dtype, tokenizer) if binary else None
    corpus = open_corpus(source, text_field=text_field, lines=lines, strict=strict, block_bytes=BLOCK_BYTES)
    render = _Numbers(kind) if kind is not None else _Lines(tokenizer, chosen)
    job = _Encoding(tokenizer, allowed_special, last, render)
    try:
        with contextlib.ExitStack() as stack:
            writer = _Writer(output, chosen, kind, force, stack)
            results = _in_order(_batches(corpus, job), job.encode, threads, Reporter(corpus, "encoding", progress))
            for result in stack.enter_context(contextlib.closing(results)):
                writer.write(result)
            if not writer.bytes:
                raise corpus.empty_error()
            return writer.finish()
    finally:
        corpus.close()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Texts to be encoded, of documents one after another.

    Attributes:
        parts: The texts; a document too large for one batch is several.
        final: Whether each part is the last of its document.
        begins: Whether the first part begins a document.
        names: Where each part comes from: stream, number of the document in it, offset in bytes of the part in that.
    """

    parts: list[bytes]
    final: list[bool]
    begins: bool
    names: list[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class _Result:
    """An encoded batch: what to write, and where its documents end, counted in ids from the start of the batch."""

    payload: bytes
    ends: npt.NDArray[np.int64]
    ids: int
    bytes: int
    characters: int
    invalid_bytes: int


class _Encoding:
    """What is done with a batch; ``encode`` runs in many threads at once."""

    def __init__(self, tokenizer: Tokenizer, allowed: Allowed, last: int | None, render: _Numbers | _Lines) -> None:
        self.tokenizer = tokenizer
        self.allowed = allowed
        self.cutter = _Cutter(tokenizer, allowed)
        self._last = last
        self._render = render

    def encode(self, batch: _Batch) -> _Result:
        """The ids of a batch, as they are written."""
        try:
            ids, offsets = self.tokenizer.encode_batch_to_numpy(batch.parts, threads=1, allowed_special=self.allowed)
        except EncodeError:
            raise self._placed(batch) from None
        final = np.array(batch.final, dtype=bool)
        if self._last is not None:
            ids = np.insert(ids, offsets[1:][final], self._last)
            offsets[1:] += np.cumsum(final)
        characters = invalid = 0
        for part in batch.parts:
            in_part = count_characters(part)
            characters += in_part[0]
            invalid += in_part[1]
        return _Result(
            self._render(ids, offsets, final, batch.begins),
            offsets[1:][final],
            len(ids),
            sum(map(len, batch.parts)),
            characters,
            invalid,
        )

    def _placed(self, batch: _Batch) -> EncodeError:
        """The error of a batch, with the document it is in."""
        for part, (name, number, offset) in zip(batch.parts, batch.names, strict=True):
            try:
                self.tokenizer.encode_bytes(part, allowed_special=self.allowed)
            except EncodeError as error:
                after = f", after byte {offset:,}" if offset else ""
                return EncodeError(f"{name}: document {number:,}{after}: {error}")
        raise AssertionError("a batch cannot be encoded, but each of its parts can")


def _batches(corpus: Corpus, job: _Encoding) -> Iterator[_Batch]:
    """The documents of a corpus in batches of about ``BLOCK_BYTES``."""
    parts: list[bytes] = []
    final: list[bool] = []
    names: list[tuple[str, int, int]] = []
    begins = True
    size = 0
    for stream in corpus.streams:
        number = 0
        for part, is_last, offset in _parts(stream, job.cutter):
            parts.append(part)
            final.append(is_last)
            names.append((stream.name, number, offset))
            number += is_last
            size += len(part)
            if size >= BLOCK_BYTES or len(parts) >= _BATCH_DOCUMENTS:
                yield _Batch(parts, final, begins, names)
                begins = is_last
                parts, final, names, size = [], [], [], 0
    if parts:
        yield _Batch(parts, final, begins, names)


def _parts(stream: Iterable[Any], cutter: _Cutter) -> Iterator[tuple[bytes, bool, int]]:
    """Each document of a stream whole or in parts: the text, whether it is the document's last, its offset in it."""
    pending: list[bytes | memoryview] = []  # of a document that goes on
    size = offset = 0
    wanted = BLOCK_BYTES
    for block in stream:
        view = memoryview(block.data)
        last = len(block.starts) - 1
        for index, (start, end) in enumerate(zip(block.starts.tolist(), block.ends.tolist(), strict=True)):
            text = view[start:end]
            if index < last or block.complete:
                yield b"".join((*pending, text)), True, offset
                pending, size, offset, wanted = [], 0, 0, BLOCK_BYTES
                continue
            pending.append(text)
            size += len(text)
            if size < wanted or not cutter.usable:
                continue
            data = b"".join(pending)
            cut = cutter.find(data)
            if cut:
                yield data[:cut], False, offset
                offset += cut
                wanted = BLOCK_BYTES
            else:
                wanted = 2 * size  # so a text without any place to cut is copied a few times, not once a block
            pending = [data[cut:]]
            size -= cut


class _Cutter:
    """Finds places where a text may be cut in two whose ids, one after the other, are those of the whole.

    A safe cut of the pattern's first stage is a boundary of pretokens whatever stands around it. That is not yet
    enough: with the text cut off there, a look-ahead sees the end of text where there is a character. So two safe cuts
    are taken, and the text between them must fall into the same pretokens with the character that follows and without.
    What stands before the first of the two never depends on what follows the second.
    """

    def __init__(self, tokenizer: Tokenizer, allowed: Allowed) -> None:
        self._automata = Pretokenizer(tokenizer.pattern).automata
        self._normalized = tokenizer.vocabulary.normalizer is not None
        specials = [
            special for special in tokenizer.vocabulary.special_tokens if allowed == "all" or special.content in allowed
        ]
        self._specials = [special.content.encode() for special in specials]
        # A special token that takes the white space around it, or looks at its neighbours, makes any place near it one
        # that depends on text further off.
        plain = not any(special.lstrip or special.rstrip or special.single_word for special in specials)
        self.usable = self._automata is not None and plain

    def find(self, data: bytes) -> int:
        """A place to cut, near the end of ``data`` (of which more follows); 0 when none is found."""
        if not self.usable:
            return 0
        longest = max(map(len, self._specials), default=0)
        begin = max(0, len(data) - _WINDOW)
        first = begin + longest if begin else 0  # behind a special token that begins before the window
        end = len(data) - longest - 8  # before one that is still arriving; and whole characters only
        while end > first:
            # Between two special tokens, or the edges of the window: the last one that begins before `end`.
            found = [(data.rfind(each, begin, end + len(each) - 1), len(each)) for each in self._specials]
            cut = self._find_in(data, max((at + length for at, length in found if at >= 0), default=first), end)
            if cut:
                return cut
            end = max((at for at, _ in found), default=-1)
        return 0

    def _find_in(self, data: bytes, begin: int, end: int) -> int:
        if end - begin < 16:  # too short to be worth a look, or nothing at all
            return 0
        assert self._automata is not None
        automaton = self._automata[0]
        # The first bytes of the window may be the rest of a character: 4 bytes on, what they are no longer matters.
        window = data[begin:end]
        cut = automaton.safe_cut(window, len(window) - 4)
        for _ in range(8):
            if cut is None or cut < 8:
                return 0
            before = automaton.safe_cut(window, cut - 1)
            if before is None or before < 4:
                return 0
            followed = automaton.ends(window[before : cut + 4])
            alone = automaton.ends(window[before:cut])
            if np.array_equal(followed[: len(alone)], alone) and (not self._normalized or _inert(window, before, cut)):
                return begin + int(cut)
            cut = before
        return 0


def _inert(window: bytes, before: int, cut: int) -> bool:
    """Whether normalization reaches across neither place.

    That is so where the text from the character before the one to the second character after the other is inert.
    """
    start = before - 1
    while start > 0 and before - start < 4 and window[start] & 0xC0 == 0x80:
        start -= 1
    end = cut
    for _ in range(2):
        end += 1
        while end < len(window) and window[end] & 0xC0 == 0x80:
            end += 1
    if end > len(window):
        return False
    span = window[start:end]
    return all_inert(span + bytes(PADDING), np.zeros(1, np.int64), np.array([len(span)], np.int64))


def _in_order(
    batches: Iterable[_Batch], encode: Callable[[_Batch], _Result], threads: int, report: Reporter
) -> Generator[_Result, None, None]:
    """The results in the order of the batches; at most a few batches for each thread are in memory."""
    if threads == 1:
        for batch in batches:
            yield encode(batch)
            report.now_and_then()
        report.now()
        return
    pending: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="bbpe-encode")
    try:
        for batch in batches:
            pending.append(pool.submit(encode, batch))
            while pending and (pending[0].done() or len(pending) > 2 * threads):
                yield pending.popleft().result()
                report.now_and_then()
        while pending:
            yield pending.popleft().result()
            report.now_and_then()
        report.now()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


# --- what is written --------------------------------------------------------------------------------------------------


class _Writer:
    """Writes encoded batches, one after another, to a file and its index or to a stream; keeps the sums.

    Files are opened in ``stack``, which gives them their names, or removes them, when it is left.
    """

    def __init__(
        self,
        output: str | os.PathLike[str] | IO[bytes],
        format: IdFormat,
        dtype: np.dtype[Any] | None,
        force: bool,
        stack: contextlib.ExitStack,
    ) -> None:
        self.bytes = 0
        self._ids = self._documents = self._characters = self._invalid_bytes = 0
        self._dtype = dtype
        self._files: list[Path] = []
        self._index: _NpyFile | None = None
        if isinstance(output, (str, os.PathLike)):
            self._files.append(Path(output))
            self._out: IO[bytes] = stack.enter_context(atomic_write(output, force=force))
        else:
            self._out = output
        self._array = _NpyFile(self._out, dtype) if format == "npy" and dtype is not None else None
        if self._files and dtype is not None:
            # It takes its name first: a failure in between leaves no ids that lack their index.
            self._files.append(index_path(self._files[0]))
            self._index = _NpyFile(stack.enter_context(atomic_write(self._files[1], force=force)), np.dtype("<i8"))
            self._index.write(bytes(8))  # where the first document begins

    def write(self, result: _Result) -> None:
        """Append a batch."""
        if self._index is not None:
            self._index.write((result.ends + self._ids).astype("<i8").tobytes())
        if self._array is not None:
            self._array.write(result.payload)
        else:
            self._out.write(result.payload)
        self._documents += len(result.ends)
        self._ids += result.ids
        self.bytes += result.bytes
        self._characters += result.characters
        self._invalid_bytes += result.invalid_bytes

    def finish(self) -> EncodedCorpus:
        """Complete the files; the names are theirs when the stack is left."""
        for array in (self._array, self._index):
            if array is not None:
                array.finish()
        if self._files:
            self._out.flush()
            os.fsync(self._out.fileno())  # so that what may still fail fails before the index takes its name
        dtype = None if self._dtype is None else self._dtype.name
        return EncodedCorpus(
            self._documents,
            self._ids,
            self.bytes,
            self._characters,
            self._invalid_bytes,
            dtype,
            tuple(self._files),
        )


class _Numbers:
    """Renders ids as an array's bytes."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype

    def __call__(
        self, ids: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], final: npt.NDArray[np.bool_], begins: bool
    ) -> bytes:
        return ids.astype(self._dtype).tobytes()


class _Lines:
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


class _NpyFile:
    """An array of one dimension that grows in an ``.npy`` file: its length is put in the header at the end."""

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any]) -> None:
        self._file = file
        self._dtype = dtype
        self._bytes = 0
        file.write(self._header())

    def _header(self) -> bytes:
        length = self._bytes // self._dtype.itemsize
        # As NumPy writes it, byte for byte (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
        text = f"{{'descr': '{self._dtype.str}', 'fortran_order': False, 'shape': ({length},), }}".encode()
        text = text.ljust(_NPY_HEADER_BYTES - 11) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text

    def write(self, data: bytes) -> None:
        """Append elements."""
        self._file.write(data)
        self._bytes += len(data)

    def finish(self) -> None:
        """Put the final length in the header."""
        self._file.seek(0)
        self._file.write(self._header())
        self._file.seek(0, os.SEEK_END)


# --- checks -----------------------------------------------------------------------------------------------------------


def _checked_format(format: str | None, output: str | os.PathLike[str] | IO[bytes]) -> IdFormat:
    to_file = isinstance(output, (str, os.PathLike))
    if format is None:
        return id_format(output) if isinstance(output, (str, os.PathLike)) else "ids"
    known = ("ids", "json", "npy", "bin")
    for each in known:
        if format == each:
            if format == "npy" and not to_file:
                raise FormatError("npy cannot be written to a stream: its header holds the length; use bin, or a file")
            return each  # type: ignore[return-value]  # one of the four
    raise FormatError(f"unknown format of ids {format!r}; known: {', '.join(known)}")


def _checked_dtype(dtype: str, tokenizer: Tokenizer, *, reading: bool = False) -> np.dtype[Any]:
    """Of the ids in a file: little-endian, as everything that reads such files expects."""
    fits = tokenizer.id_space <= 1 << 16
    if dtype not in ("auto", "uint16", "uint32"):
        raise FormatError(f"unknown dtype {dtype!r}; known: auto, uint16, uint32")
    if dtype == "uint16" and not fits and not reading:
        raise FormatError(
            f"ids go up to {tokenizer.id_space - 1:,}, but uint16 holds 65,535 at most; choose uint32 or auto"
        )
    return np.dtype("<u2" if dtype == "uint16" or (dtype == "auto" and fits) else "<u4")


def _checked_threads(threads: int | None) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if type(threads) is not int or threads < 1:
        raise ValueError(f"threads is a positive integer or None, not {threads!r}")
    return threads


def _own(tokenizer: Tokenizer | EngineTokenizer) -> Tokenizer:
    """A tokenizer whose encoder is bbpe's."""
    if isinstance(tokenizer, EngineTokenizer):
        raise EncodeError(
            f"this vocabulary is run by {tokenizer.engine} ({tokenizer.reason}); bbpe encodes and decodes corpora with "
            "its own encoder only"
        )
    return tokenizer


def _special_id(tokenizer: Tokenizer, content: str | None) -> int | None:
    if content is None:
        return None
    known = tokenizer.special_tokens
    if content not in known:
        shown = ", ".join(map(repr, list(known)[:8])) or "none"
        raise EncodeError(f"{content!r} is no special token of this vocabulary; it has: {shown}")
    return known[content]


# --- decoding ---------------------------------------------------------------------------------------------------------


def decode_ids(
    tokenizer: Tokenizer | EngineTokenizer,
    source: str | os.PathLike[str] | IO[bytes],
    output: str | os.PathLike[str] | IO[bytes],
    *,
    format: IdFormat | None = None,
    dtype: IdType = "auto",
    lines: bool = False,
    errors: DecodeErrors = "keep",
    end_of_text: str | None = None,
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> DecodedIds:
    """Write the text of ids: what :func:`encode_corpus` read, where no normalizer changed it.

    The bytes of the documents are written exactly, one document after another and nothing between them; with ``lines``
    each is followed by a newline, as files of one document a line are. Memory does not follow the size of the file, but
    JSON needs its longest line.

    Args:
        tokenizer: What decodes.
        source: A path, or a binary stream.
        output: A path, which appears when all is written, or a binary stream.
        format: One of the four; told by the path's suffix when None, ``ids`` for a stream.
        dtype: Of ``bin``, as :func:`encode_corpus` wrote it; ``npy`` says its own.
        lines: Write a newline after each document. ``npy`` and ``bin`` have their documents from the index beside them;
            without one, all is one document.
        errors: ``keep`` writes the bytes as they are; ``replace`` puts U+FFFD for those that are no valid UTF-8;
            ``strict`` refuses them.
        end_of_text: A special token that ends documents and is not written.
        force: Replace an output that exists.
        progress: Called at most ten times a second with the bytes read.

    Raises:
        CorpusError: The file cannot be read, is truncated, or is not of this format.
        EncodeError: An id that the vocabulary has not (with its place), or ``strict`` and invalid UTF-8.
        FormatError: The format is unknown.
        OutputError: The output exists or cannot be written. (A stream raises what it raises.)
    """
    if errors not in ("keep", "replace", "strict"):
        raise ValueError(f"errors is 'keep', 'replace' or 'strict', not {errors!r}")
    tokenizer = _own(tokenizer)
    last = _special_id(tokenizer, end_of_text)
    with contextlib.ExitStack() as stack:
        if isinstance(source, (str, os.PathLike)):
            name, path = os.fspath(source), Path(source)
            chosen = id_format(source) if format is None else format
            try:
                file: IO[bytes] = stack.enter_context(open(path, "rb"))
                size: int | None = os.fstat(file.fileno()).st_size or None
            except FileNotFoundError:
                raise CorpusError(f"{name}: no such file; check the path") from None
            except OSError as error:
                raise CorpusError(f"{name}: cannot be read: {error.strerror or error}; check the file") from None
        else:
            name, path, size = "standard input", None, None
            chosen, file = format or "ids", source
        reader = _Reader(file, name, size, progress)
        if chosen == "ids":
            runs = _read_lines(reader)
        elif chosen == "json":
            runs = _read_json(reader)
        elif chosen in ("npy", "bin"):
            kind = None if chosen == "npy" else _checked_dtype(dtype, tokenizer, reading=True)
            runs = _read_numbers(reader, kind, path, last)
        else:
            raise FormatError(f"unknown format of ids {chosen!r}; known: ids, json, npy, bin")
        if isinstance(output, (str, os.PathLike)):
            return _decode_runs(
                tokenizer, runs, stack.enter_context(atomic_write(output, force=force)), lines, errors, last
            )
        return _decode_runs(tokenizer, runs, output, lines, errors, last)


@dataclass(frozen=True, slots=True)
class _Run:
    """Some ids that follow one another in one document.

    Attributes:
        ids: The ids; a list as read from text, or an array.
        ends: Whether the document ends after them.
        place: Where they stand, for messages.
    """

    ids: list[int] | npt.NDArray[Any]
    ends: bool
    place: str


def _decode_runs(
    tokenizer: Tokenizer, runs: Iterable[_Run], out: IO[bytes], lines: bool, errors: DecodeErrors, last: int | None
) -> DecodedIds:
    documents = ids = size = 0
    inside = False  # a document that has begun
    decoder = None if errors == "keep" else codecs.getincrementaldecoder("utf-8")(errors)
    for run in runs:
        ids += len(run.ids)
        wanted = run.ids
        if last is not None:
            wanted = wanted[wanted != last] if isinstance(wanted, np.ndarray) else [id for id in wanted if id != last]
        try:
            data = tokenizer.decode_bytes(wanted)
        except EncodeError as error:
            raise EncodeError(f"{run.place}: {error}") from None
        if decoder is not None:
            try:
                data = decoder.decode(data, run.ends).encode()
            except UnicodeDecodeError as error:
                raise EncodeError(
                    f"{run.place}: the text is no valid UTF-8 ({error.reason}); decode with errors keep or replace"
                ) from None
        inside = not run.ends
        if run.ends:
            documents += 1
            if lines:
                data += b"\n"
        size += len(data)
        out.write(data)
    if inside:  # a stream of ids that does not say where its last document ends
        rest = decoder.decode(b"", True).encode() if decoder is not None else b""
        out.write(rest + b"\n" if lines else rest)
        documents += 1
        size += len(rest) + lines
    return DecodedIds(documents, ids, size)


class _Reader:
    """Reads a file of ids in blocks, and reports how far it is."""

    def __init__(
        self, file: IO[bytes], name: str, size: int | None, progress: Callable[[Progress], None] | None
    ) -> None:
        self.file = file
        self.name = name
        self.size = size
        self._done = 0
        self._progress = progress
        self._next = 0.0

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """At most ``size`` bytes; none at the end."""
        try:
            data = self.file.read(size)
        except OSError as error:
            raise CorpusError(f"{self.name}: cannot be read: {error.strerror or error}; check the file") from None
        self._done += len(data)
        if self._progress is not None and (not data or time.monotonic() >= self._next):
            self._next = time.monotonic() + REPORT_SECONDS
            self._progress(Progress("decoding", self._done, self.size, "bytes"))
        return data

    def read_exactly(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end: a pipe may give less at a time."""
        parts = []
        while size > 0 and (part := self.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _read_lines(reader: _Reader) -> Iterator[_Run]:
    """Ids in decimal; a document a line, however long the line is."""
    rest = b""
    number = 1  # of the line
    done = 0  # ids of it that have been handed on
    while block := reader.read():
        data = rest + block
        # Up to the last white space: what follows may be half a number.
        cut = max(map(data.rfind, (b"\n", b" ", b"\t", b"\r"))) + 1
        rest = data[cut:]
        pieces = data[:cut].split(b"\n")
        for piece in pieces[:-1]:
            place = _place(reader, number, done)
            yield _Run(_numbers(piece, place), True, place)
            number, done = number + 1, 0
        if pieces[-1]:
            place = _place(reader, number, done)
            ids = _numbers(pieces[-1], place)
            done += len(ids)
            yield _Run(ids, False, place)
        if len(rest) > _ID_DIGITS:
            _numbers(rest, _place(reader, number, done))
    if rest or done:
        place = _place(reader, number, done)
        yield _Run(_numbers(rest, place), True, place)


def _place(reader: _Reader, line: int, ids: int) -> str:
    return f"{reader.name}:{line}" + (f", after {ids:,} ids" if ids else "")


def _numbers(text: bytes, place: str) -> list[int]:
    """The ids of a line, or a part of one."""
    if text.translate(None, b"0123456789 \t\r"):
        bad = next(word for word in text.split() if not word.isdigit())
        shown = repr(bad[:40].decode("utf-8", "backslashreplace"))
        raise EncodeError(f"{place}: {shown} is no id; each line holds the ids of a document, separated by spaces")
    words = text.split()
    if words and max(map(len, words)) > _ID_DIGITS:  # also keeps int() from a number of a million digits
        bad = next(word for word in words if len(word) > _ID_DIGITS)
        raise EncodeError(f"{place}: {bad[:_ID_DIGITS].decode()}… is too large for an id")
    return list(map(int, words))


def _read_json(reader: _Reader) -> Iterator[_Run]:
    """An array a line; blank lines are passed over."""
    number = 0
    parts: list[bytes] = []
    going = True
    while going:
        block = reader.read()
        going = bool(block)
        lines = block.split(b"\n")
        parts.append(lines[0])
        if len(lines) == 1 and going:
            continue
        whole = [b"".join(parts), *lines[1:]]
        parts = [whole.pop()] if going else []
        for line in whole:
            number += 1
            if line.strip():
                yield _Run(_array(line, f"{reader.name}:{number}"), True, f"{reader.name}:{number}")


def _array(line: bytes, place: str) -> list[int]:
    try:
        ids = json.loads(line)
    except RecursionError:
        raise EncodeError(f"{place}: JSON nested too deeply; each line is an array of ids") from None
    except ValueError as error:
        what = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise EncodeError(f"{place}: not valid JSON: {what}; each line is an array of ids") from None
    if not isinstance(ids, list):
        raise EncodeError(f"{place}: not an array; each line is an array of ids")
    for position, id in enumerate(ids):
        if type(id) is not int:
            raise EncodeError(f"{place}: item {position} is {json.dumps(id)[:40]}, not an id")
    return ids


def _read_numbers(reader: _Reader, dtype: np.dtype[Any] | None, path: Path | None, last: int | None) -> Iterator[_Run]:
    """Ids of an array; its documents from the index beside it, else from end-of-text ids, else all is one."""
    length: int | None = None
    if dtype is None:
        dtype, length = _npy_header(reader)
    elif reader.size is not None:
        length, odd = divmod(reader.size, dtype.itemsize)
        if odd:
            raise CorpusError(
                f"{reader.name}: {reader.size:,} bytes are no whole number of {dtype.name}; check the dtype"
            )
    ends = _index(path, length) if path is not None else None
    at = 0
    while data := reader.read_exactly(BLOCK_BYTES):
        if len(data) % dtype.itemsize:
            raise CorpusError(f"{reader.name}: truncated: it ends inside an id; fetch or encode it again")
        ids = np.frombuffer(data, dtype=dtype)
        if ends is not None:
            stops = ends[np.searchsorted(ends, at, "right") : np.searchsorted(ends, at + len(ids), "right")] - at
            # Documents without ids at the very start have their end at 0, which `right` passes over.
            if at == 0:
                stops = np.concatenate((np.zeros(np.searchsorted(ends, 0, "right"), np.int64), stops))
        elif last is not None:
            stops = np.flatnonzero(ids == last) + 1
        else:
            stops = np.empty(0, np.int64)
        begin = 0
        for stop in stops.tolist():
            yield _Run(ids[begin:stop], True, f"{reader.name}: ids from {at + begin:,}")
            begin = stop
        if begin < len(ids):
            yield _Run(ids[begin:], False, f"{reader.name}: ids from {at + begin:,}")
        at += len(ids)
    if length is not None and at != length:
        raise CorpusError(f"{reader.name}: truncated: {at:,} ids of {length:,}; fetch or encode it again")
    if at == 0 and ends is not None:
        for _ in range(len(ends)):
            yield _Run([], True, reader.name)


def _npy_header(reader: _Reader) -> tuple[np.dtype[Any], int]:
    try:
        version = np.lib.format.read_magic(reader.file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(reader.file)
    except (ValueError, OSError) as error:
        raise CorpusError(f"{reader.name}: no .npy file, or a truncated one: {error}") from None
    if len(shape) != 1 or dtype.kind not in "iu":
        raise CorpusError(f"{reader.name}: an array of {dtype} and shape {shape}; expected one dimension of integers")
    return dtype, int(shape[0])


def _index(path: Path, length: int | None) -> npt.NDArray[np.int64] | None:
    """Where each document ends, in ids; None when there is no index."""
    place = index_path(path)
    if not place.exists():
        return None
    try:
        index = np.load(place, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise CorpusError(f"{place}: no index of documents: {error}; encode again, or remove it") from None
    sound = index.ndim == 1 and index.dtype == np.int64 and len(index) and index[0] == 0
    if not sound or (length is not None and index[-1] != length) or bool((np.diff(index) < 0).any()):
        raise CorpusError(f"{place}: not the index of {path}; encode again, or remove it")
    return index[1:]  # type: ignore[no-any-return]
