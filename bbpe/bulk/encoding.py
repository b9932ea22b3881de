"""A corpus to ids: batches of documents, encoded by several threads, written in order.

What it does: :func:`encode_corpus`, from the options to the files. What it does not: know where a document may be cut
(``cutting.py``), what files look like (``id_files.py``), or what is kept for another process (``unfinished.py``).
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from bbpe.atomic import refuse_input
from bbpe.bulk.cutting import Cutter, texts_of
from bbpe.bulk.id_files import (
    FORMATS,
    SUFFIXES,
    Encoded,
    IdFormat,
    IdType,
    IdWriter,
    Lines,
    Numbers,
    checked_dtype,
    id_format,
    special_id,
)
from bbpe.bulk.shards import ShardFolder
from bbpe.bulk.single_file import SingleFile
from bbpe.bulk.unfinished import Place, Unfinished, after
from bbpe.corpus import BLOCK_BYTES, Block, Corpus, Progress, Reporter, SourceLike, Stream, open_corpus
from bbpe.engines import EngineTokenizer
from bbpe.errors import EncodeError, FormatError
from bbpe.threads import thread_count
from bbpe.tokenizer import Allowed, Tokenizer

__all__ = ["EncodedCorpus", "encode_corpus", "own_encoder"]

_BATCH_DOCUMENTS = 1 << 14  # a batch with so many documents is full, however short they are
_Render: TypeAlias = "Numbers | Lines"


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
        files: The files written: the ids, and their index where there is one; of a folder also the manifest. Empty for
            a stream.
        shards: How many shards there are; 0 where shards were not asked for.
        shards_kept: How many of them an earlier process had finished.
        ids_kept: How many of the ids an earlier process had written.
    """

    documents: int
    ids: int
    bytes: int
    characters: int
    invalid_bytes: int
    dtype: str | None
    files: tuple[Path, ...]
    shards: int = 0
    shards_kept: int = 0
    ids_kept: int = 0


def encode_corpus(
    tokenizer: Tokenizer | EngineTokenizer,
    source: SourceLike,
    output: str | os.PathLike[str] | IO[bytes],
    *,
    format: IdFormat | None = None,
    dtype: IdType = "auto",
    allowed_special: Allowed = (),
    end_of_text: str | None = None,
    shard_bytes: int | None = None,
    threads: int | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> EncodedCorpus:
    """Write the ids of all documents of a corpus.

    Until all is written, ``<output>.partial`` stands beside a path, and after a kill the same call goes on with what is
    finished there: all but the last seconds of a file, all whole shards of a folder. (Not with an iterable, which does
    not say whether it is the same again.) The result is that of one run, byte for byte.

    Memory: some 30 MB a thread beside the tokenizer, whatever the size of the corpus or of a document; but the largest
    document where it cannot be cut, which is so with a pattern that has no automaton.

    Args:
        tokenizer: What encodes.
        source: What to read: see :func:`bbpe.corpus.open_corpus`.
        output: A path, which appears when all is written (with its index, for ``npy`` and ``bin``), or a binary stream.
            With ``shard_bytes`` a folder.
        format: One of the four; told by the path's suffix when None, ``ids`` for a stream, ``npy`` for a folder.
        dtype: Of ``npy`` and ``bin``: ``auto`` is uint16 where the last id fits (65,536 ids or fewer), else uint32.
        allowed_special: Special tokens that count as such where they stand in the text, or ``"all"``.
        end_of_text: A special token whose id is written after each document.
        shard_bytes: Write a folder of shards, each ended by the document that brings it to so many bytes of ids. (In
            ``npy`` and ``bin`` a document so large that the shard would have twice as many goes on in the next one.)
        threads: How many encode; as many as there are processors when None. The output is the same with any.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Whether each line of a text file is a document.
        strict: Whether invalid UTF-8 is an error; otherwise its bytes are encoded and counted.
        force: Replace an output that exists; the old one stays whole until the new one is. Also: begin anew where
            another job (tokenizer, options, corpus) was not finished under this name.
        progress: Called at most ten times a second, in the calling thread, with the bytes read from disk.

    Raises:
        CorpusError: Something cannot be read, or there is no text in it.
        EncodeError: A special token that the vocabulary has not, or a byte for which it has no token.
        FormatError: The format is unknown, or ids do not fit in ``dtype``.
        OutputError: The output exists, is part of the input or cannot be written; or an unfinished one was begun with
            another tokenizer, corpus or options, or of files that changed since. (A stream raises what it raises.)
    """
    tokenizer = own_encoder(tokenizer)
    chosen = _checked_format(format, output, shard_bytes)
    last = special_id(tokenizer, end_of_text)
    tokenizer.encode_bytes(b"", allowed_special=allowed_special)  # unknown ones are refused before any file is touched
    threads = thread_count(threads)
    kind = checked_dtype(dtype, tokenizer) if chosen in ("npy", "bin") else None
    corpus = open_corpus(source, text_field=text_field, lines=lines, strict=strict, block_bytes=BLOCK_BYTES)
    render = Numbers(kind) if kind is not None else Lines(tokenizer, chosen)
    job = _Encoding(tokenizer, corpus, allowed_special, last, render)
    report = Reporter(corpus, "encoding", progress)
    name = None if kind is None else kind.name
    again = Reporter(corpus, "reading again", progress)

    def results(
        begin: Place | None, folder: Path = Path()
    ) -> contextlib.closing[Generator[tuple[_Batch, Encoded], None, None]]:
        def rest(stream: Stream) -> Iterator[Block]:
            assert begin is not None
            return after(stream, begin, folder, again.now_and_then)

        batches = _batches(corpus, job, begin, rest)
        return contextlib.closing(_in_order(batches, job.encode, threads, report))

    try:
        if not isinstance(output, (str, os.PathLike)):
            writer = IdWriter(output, chosen, kind)
            with results(None) as encoded:
                for _, texts in encoded:
                    writer.write(texts)
            if not writer.sums["bytes"]:
                raise corpus.empty_error()
            return EncodedCorpus(**writer.sums, dtype=name, files=())
        options = {
            "format": chosen,
            "dtype": name,
            "allowed_special": allowed_special if isinstance(allowed_special, str) else sorted(allowed_special),
            "end_of_text": end_of_text,
            "text_field": text_field,
            "lines": lines,
            "strict": strict,
            "shard_bytes": shard_bytes,
        }
        target = Path(output)
        refuse_input(target, (name for name in corpus.files if name != "-"))
        unfinished = Unfinished(target, tokenizer, corpus, options, force)
        file: SingleFile | ShardFolder
        if shard_bytes is None:
            file = SingleFile(target, unfinished, corpus, chosen, kind, force)
        else:
            file = ShardFolder(target, unfinished, corpus, shard_bytes, chosen, kind, render, force)
        with file:
            with results(file.place, unfinished.folder) as encoded:
                for batch, texts in encoded:
                    file.write(texts, batch.place_after)
            sums = file.sums
            if not sums["bytes"]:
                raise corpus.empty_error()
            file.close()
        found = EncodedCorpus(**sums, dtype=name, files=file.files, ids_kept=file.ids_kept)
        if isinstance(file, SingleFile):
            return found
        return replace(found, shards=file.shards, shards_kept=file.shards_kept)
    finally:
        corpus.close()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Texts to be encoded, of documents one after another.

    Attributes:
        parts: The texts; a document too large for one batch is several.
        final: Whether each part is the last of its document.
        begins: Whether the first part begins a document.
        runs: Where parts begin: number of a part, its stream, number of its document in that, offset in bytes in that.
            Up to the next of these, each part is the document after the one before it.
        read: How far each of its streams had been read: bytes taken from disk, and their sha256.
    """

    parts: list[bytes] = field(default_factory=list)
    final: list[bool] = field(default_factory=list)
    begins: bool = True
    runs: list[tuple[int, int, int, int]] = field(default_factory=list)
    read: dict[int, tuple[int, str]] = field(default_factory=dict)

    def begun(self, index: int) -> tuple[int, int, int]:
        """Where a part begins: stream, number of its document in it, offset in bytes in that."""
        first, stream, number, offset = self.runs[bisect_right(self.runs, index, key=itemgetter(0)) - 1]
        return stream, number + index - first, offset if index == first else 0

    def place_after(self, index: int) -> Place:
        """Where the text after a part begins."""
        stream, number, offset = self.begun(index)
        if self.final[index]:
            return Place(stream, number + 1, 0, *self.read[stream])
        return Place(stream, number, offset + len(self.parts[index]), *self.read[stream])


class _Encoding:
    """What is done with a batch; ``encode`` runs in many threads at once."""

    def __init__(
        self, tokenizer: Tokenizer, corpus: Corpus, allowed: Allowed, last: int | None, render: _Render
    ) -> None:
        self.cutter = Cutter(tokenizer, allowed)
        self._tokenizer = tokenizer
        self._corpus = corpus
        self._allowed = allowed
        self._last = last
        self._render = render

    def encode(self, batch: _Batch) -> Encoded:
        """The ids of a batch, as they are written."""
        try:
            ids, offsets = self._tokenizer.encode_batch_to_numpy(batch.parts, threads=1, allowed_special=self._allowed)
        except EncodeError:
            raise self._placed(batch) from None
        final = np.array(batch.final, dtype=bool)
        if self._last is not None:
            ids = np.insert(ids, offsets[1:][final], self._last)
            offsets[1:] += np.cumsum(final)
        return Encoded.of(self._render(ids, offsets, final, batch.begins), offsets, final, batch.parts)

    def _placed(self, batch: _Batch) -> EncodeError:
        """The error of a batch, with the document it is in."""
        for index, part in enumerate(batch.parts):
            try:
                self._tokenizer.encode_bytes(part, allowed_special=self._allowed)
            except EncodeError as error:
                stream, number, offset = batch.begun(index)
                behind = f", after byte {offset:,}" if offset else ""
                return EncodeError(f"{self._corpus.streams[stream].name}: document {number:,}{behind}: {error}")
        raise AssertionError("a batch cannot be encoded, but each of its parts can")


def _batches(
    corpus: Corpus, job: _Encoding, begin: Place | None, rest: Callable[[Stream], Iterable[Block]]
) -> Iterator[_Batch]:
    """The documents of a corpus in batches of about ``BLOCK_BYTES``.

    Args:
        corpus: What to read.
        job: What knows where documents may be cut.
        begin: Where to go on; from the start when None.
        rest: What stands behind that in its stream.
    """
    batch = _Batch()
    size = 0
    for index, stream in enumerate(corpus.streams):
        number = offset = 0
        blocks: Iterable[Block] = stream
        if begin is not None and index <= begin.stream:
            if index < begin.stream:
                continue
            number, offset = begin.documents, begin.offset
            blocks = rest(stream) if begin.bytes_read else stream  # which came after all was read
            batch = _Batch(begins=not offset)
        for texts in texts_of(blocks, job.cutter, offset):
            parts = texts.parts
            batch.runs.append((len(batch.parts), index, number, texts.offset))
            batch.parts.extend(parts)
            batch.final.extend([True] * len(parts))
            batch.final[-1] = texts.complete
            number += len(parts) - (not texts.complete)
            size += sum(map(len, parts))
            if size >= BLOCK_BYTES or len(batch.parts) >= _BATCH_DOCUMENTS:
                batch.read[index] = (stream.bytes_read, stream.prefix_sha256)
                yield batch
                batch = _Batch(begins=texts.complete)
                size = 0
        batch.read[index] = (stream.bytes_read, stream.prefix_sha256)
    if batch.parts:
        yield batch


def _in_order(
    batches: Iterable[_Batch], encode: Callable[[_Batch], Encoded], threads: int, report: Reporter
) -> Generator[tuple[_Batch, Encoded], None, None]:
    """The batches and what they are encoded to, in order; at most a few for each thread are in memory."""
    if threads == 1:
        for batch in batches:
            yield batch, encode(batch)
            report.now_and_then()
        report.now()
        return
    pending: deque[tuple[_Batch, Future[Encoded]]] = deque()

    def next_result() -> tuple[_Batch, Encoded]:
        batch, future = pending.popleft()
        return batch, future.result()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="bbpe-encode")
    try:
        for batch in batches:
            pending.append((batch, pool.submit(encode, batch)))
            while pending and (pending[0][1].done() or len(pending) > 2 * threads):
                yield next_result()
                report.now_and_then()
        while pending:
            yield next_result()
            report.now_and_then()
        report.now()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


# --- checks -----------------------------------------------------------------------------------------------------------


def _checked_format(
    format: str | None, output: str | os.PathLike[str] | IO[bytes], shard_bytes: int | None
) -> IdFormat:
    to_file = isinstance(output, (str, os.PathLike))
    if shard_bytes is not None:
        if not to_file:
            raise FormatError("shards cannot be written to a stream: name a folder as the output")
        if type(shard_bytes) is not int or shard_bytes < 1:
            raise ValueError(f"shard_bytes is a positive integer or None, not {shard_bytes!r}")
        if isinstance(output, (str, os.PathLike)) and Path(output).suffix.lower() in SUFFIXES:
            raise FormatError(
                f"{os.fspath(output)}: shards are a folder: name it without a suffix, and name the format"
            )
    if format is None:
        if shard_bytes is not None:
            return "npy"
        return id_format(output) if isinstance(output, (str, os.PathLike)) else "ids"
    for each in FORMATS:
        if format == each:
            if format == "npy" and not to_file:
                raise FormatError("npy cannot be written to a stream: its header holds the length; use bin, or a file")
            return each
    raise FormatError(f"unknown format of ids {format!r}; known: {', '.join(FORMATS)}")


def own_encoder(tokenizer: Tokenizer | EngineTokenizer) -> Tokenizer:
    """A tokenizer whose encoder is bbpe's."""
    if isinstance(tokenizer, EngineTokenizer):
        raise EncodeError(
            f"this vocabulary is run by {tokenizer.engine} ({tokenizer.reason}); bbpe encodes and decodes corpora with "
            "its own encoder only"
        )
    return tokenizer
