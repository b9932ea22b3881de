"""Ids in files back to text, in bounded memory.

What it does: reads the four formats of ids (``id_files.py``) and folders of shards, and writes the bytes of the
documents. What it does not: encode (``encoding.py``), or know where a shard ends but by its manifest (``shards.py``).
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe.atomic import atomic_write, refuse_input
from bbpe.bulk.encoding import own_encoder
from bbpe.bulk.id_files import FORMATS, IdFormat, IdType, checked_dtype, id_format, index_path, special_id
from bbpe.bulk.shards import read_manifest
from bbpe.bulk.unfinished import tokenizer_sha256, unfinished_folder
from bbpe.corpus import BLOCK_BYTES, REPORT_SECONDS, Progress
from bbpe.engines import EngineTokenizer
from bbpe.errors import CorpusError, EncodeError, FormatError
from bbpe.tokenizer import Tokenizer

__all__ = ["DecodeErrors", "DecodedIds", "decode_ids"]

DecodeErrors: TypeAlias = Literal["keep", "replace", "strict"]
_ID_DIGITS = 20


@dataclass(frozen=True, slots=True)
class DecodedIds:
    """What :func:`decode_ids` wrote: how many documents, from how many ids, and the bytes of text."""

    documents: int
    ids: int
    bytes: int


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
        source: A path, a folder of shards, or a binary stream.
        output: A path, which appears when all is written, or a binary stream.
        format: One of the four; told by the path's suffix when None, ``ids`` for a stream. A folder of shards says its
            own.
        dtype: Of ``bin``, as :func:`encode_corpus` wrote it; ``npy`` and a folder of shards say their own.
        lines: Write a newline after each document. ``npy`` and ``bin`` have their documents from the index beside them;
            without one, all is one document.
        errors: ``keep`` writes the bytes as they are; ``replace`` puts U+FFFD for those that are no valid UTF-8;
            ``strict`` refuses them.
        end_of_text: A special token that ends documents and is not written.
        force: Replace an output that exists.
        progress: Called at most ten times a second with the bytes read.

    Raises:
        CorpusError: The file cannot be read, is truncated, or is not of this format.
        EncodeError: An id that the vocabulary has not (with its place), shards that another tokenizer made, or
            ``strict`` and invalid UTF-8.
        FormatError: The format is unknown.
        OutputError: The output exists, is part of the input or cannot be written. (A stream raises what it raises.)
    """
    if errors not in ("keep", "replace", "strict"):
        raise ValueError(f"errors is 'keep', 'replace' or 'strict', not {errors!r}")
    tokenizer = own_encoder(tokenizer)
    last = special_id(tokenizer, end_of_text)
    if isinstance(source, (str, os.PathLike)) and isinstance(output, (str, os.PathLike)):
        inside = Path(source).iterdir() if os.path.isdir(source) else ()
        refuse_input(output, [source, index_path(Path(source)), *inside])
    with contextlib.ExitStack() as stack:
        runs: Iterable[_Run]
        if isinstance(source, (str, os.PathLike)) and os.path.isdir(source):
            runs = _read_shards(tokenizer, Path(source), last, progress)
        elif isinstance(source, (str, os.PathLike)):
            if not os.path.exists(source) and unfinished_folder(source) is not None:
                raise CorpusError(
                    f"{os.fspath(source)}: its encoding is not finished; give the same encode command again"
                )
            runs = _read_file(Path(source), format or id_format(source), tokenizer, dtype, last, _Meter(progress))
        else:
            reader = _Reader(source, "standard input", None, _Meter(progress))
            runs = _read(reader, format or "ids", tokenizer, dtype, last, None)
        if isinstance(output, (str, os.PathLike)):
            return _decode_runs(
                tokenizer, runs, stack.enter_context(atomic_write(output, force=force)), lines, errors, last
            )
        return _decode_runs(tokenizer, runs, output, lines, errors, last)


def _read_shards(
    tokenizer: Tokenizer, folder: Path, last: int | None, progress: Callable[[Progress], None] | None
) -> Iterator[_Run]:
    """The ids of all shards; a document that goes on from one to the next does so here too."""
    manifest, shards = read_manifest(folder)
    if manifest["tokenizer"]["sha256"] != tokenizer_sha256(tokenizer):
        name = manifest["tokenizer"].get("name") or "another one"
        raise EncodeError(f"{folder}: encoded with another tokenizer ({name}); decode with that one")
    options = manifest["options"]
    dtype: IdType = options["dtype"] or "auto"
    meter = _Meter(progress, sum(shard.file_bytes for shard in shards))
    for shard in shards:
        pending: _Run | None = None
        for run in _read_file(folder / shard.file, options["format"], tokenizer, dtype, last, meter):
            if pending is not None:
                yield pending
            pending = run
        if pending is not None:
            yield replace(pending, ends=pending.ends and not shard.continues)


def _read_file(
    path: Path, format: IdFormat, tokenizer: Tokenizer, dtype: IdType, last: int | None, meter: _Meter
) -> Iterator[_Run]:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size or None
            if meter.total is None:
                meter.total = size
            yield from _read(_Reader(file, os.fspath(path), size, meter), format, tokenizer, dtype, last, path)
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}; check the file") from None


def _read(
    reader: _Reader, format: str, tokenizer: Tokenizer, dtype: IdType, last: int | None, path: Path | None
) -> Iterator[_Run]:
    if format == "ids":
        return _read_lines(reader)
    if format == "json":
        return _read_json(reader)
    if format in ("npy", "bin"):
        kind = None if format == "npy" else checked_dtype(dtype, tokenizer, reading=True)
        return _read_numbers(reader, kind, path, last)
    raise FormatError(f"unknown format of ids {format!r}; known: {', '.join(FORMATS)}")


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


class _Meter:
    """Reports how much has been read, of one file or of several."""

    def __init__(self, progress: Callable[[Progress], None] | None, total: int | None = None) -> None:
        self.total = total
        self._done = 0
        self._progress = progress
        self._next = 0.0

    def add(self, size: int) -> None:
        """So many bytes more; none at the end of a file."""
        self._done += size
        if self._progress is not None and (not size or time.monotonic() >= self._next):
            self._next = time.monotonic() + REPORT_SECONDS
            self._progress(Progress("decoding", self._done, self.total, "bytes"))


class _Reader:
    """Reads a file of ids in blocks."""

    def __init__(self, file: IO[bytes], name: str, size: int | None, meter: _Meter) -> None:
        self._file = file
        self.name = name
        self.size = size
        self._meter = meter

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """At most ``size`` bytes; none at the end."""
        try:
            data = self._file.read(size)
        except OSError as error:
            raise CorpusError(f"{self.name}: cannot be read: {error.strerror or error}; check the file") from None
        self._meter.add(len(data))
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
        version = np.lib.format.read_magic(reader)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(reader)
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
