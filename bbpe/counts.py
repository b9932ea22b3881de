"""Count the pretokens of a corpus: what training learns from.

What it does: reads a corpus with several threads, cuts special tokens out of it, normalizes where asked to, and counts
every distinct pretoken. The result does not depend on the number of threads or on where chunks end.

What it does not: learn anything, or look into a pretoken. Finding files is ``corpus.py``'s, finding pretokens the
automaton's (``automaton.py``); the inner loop and its table are in ``_count.pyx``.

How the work is shared: a file is read by one thread at a time, but by whichever has nothing to count. Reading a chunk
ends with :meth:`_Cutter.take`, which finds the last place in it where a pretoken boundary is certain whatever follows,
keeps what stands after it for the next chunk, and lets the thread count what stands before it while another thread
reads on. So chunks of one large document are counted in parallel, exactly. :func:`count_pretokens` begins it all.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bbpe._count import PADDING, PretokenCounter, SpecialStrings, lines_not_inert, plan, sorted_counts
from bbpe.corpus import (
    BLOCK_BYTES,
    REPORT_SECONDS,
    Block,
    Corpus,
    Progress,
    Reporter,
    Sample,
    Source,
    SourceLike,
    Stream,
    draw_sample,
    open_corpus,
)
from bbpe.errors import CorpusError, TrainingError, VocabularyError
from bbpe.normalizer import normalize
from bbpe.patterns import Pattern, Pretokenizer, get_pattern

__all__ = [
    "LONG_PRETOKEN_BYTES",
    "CountState",
    "Counts",
    "Keeper",
    "LongPretokens",
    "StreamState",
    "Weight",
    "add_up",
    "check_same",
    "collected",
    "count_pretokens",
    "without_pretokens",
]

LONG_PRETOKEN_BYTES = 1000
"""A longer pretoken is no word and no clause: 300 Chinese characters without punctuation, a line of DNA or base64."""

_PADDING = bytes(PADDING)
_SHORTEST_CAP = 4  # bytes in the longest character: a piece of a pretoken holds at least one
_BUCKETS = 4  # parts a thread sorts: smaller ones stay in its cache, and the last to finish is not much later


@dataclass(frozen=True, slots=True)
class Weight:
    """How one source of several was weighted.

    Attributes:
        path: The source as given: a file, a folder, a pattern, a count file.
        weight: The weight as given; its share of the sum of all weights is the source's share of bytes.
        bytes: Bytes that were counted in the source.
        multiplier: What each of its counts was multiplied by; all counts of all sources are to be read in units of
            2**``power`` of the ``Counts``.
    """

    path: str
    weight: str
    bytes: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class LongPretokens:
    """Pretokens of more than ``LONG_PRETOKEN_BYTES`` bytes: text that the pattern finds no edges in.

    Attributes:
        distinct: How many there are.
        pretokens: How often they occur.
        bytes: Bytes in all occurrences.
        longest: Bytes of the longest.
        example: The beginning of the longest, up to 20 characters; bytes that are no part of one as ``\\xHH``.
    """

    distinct: int
    pretokens: int
    bytes: int
    longest: int
    example: str


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How often each distinct pretoken occurs in a corpus, and what the corpus was.

    The distinct pretokens stand in byte order, so that equal corpora give equal counts.

    Attributes:
        data: The bytes of all distinct pretokens, one after another; uint8.
        offsets: Pretoken ``i`` is ``data[offsets[i]:offsets[i + 1]]``; int64, one more than there are pretokens.
        counts: How often each occurs, at least once; int64.
        pattern: The pattern that made the pretokens.
        special_tokens: What was cut out of the text beforehand and counts for nothing.
        normalizer: ``"NFC"`` or ``None``.
        max_pretoken_bytes: Longer pretokens were cut into pieces of at most this many bytes; ``None``: none were.
        documents: Documents read, empty ones included.
        bytes: Bytes counted: the sum of counts times lengths. Special tokens are not among them; where there is a
            normalizer, it is the normalized text that counts.
        characters: Characters counted, each invalid byte being one.
        invalid_bytes: Bytes counted that are not part of valid UTF-8.
        pretokens: The sum of ``counts``.
        pretokens_cut: How many occurrences were longer than ``max_pretoken_bytes``.
        sources: The files that were read, in order; empty for an iterable.
        samples: The samples that were counted instead of whole corpora.
        power: ``counts`` are in units of 2**``power``, and so are the sums ``bytes``, ``characters``,
            ``invalid_bytes`` and ``pretokens``: weights are exact that way. 0 without weights.
        weights: How sources were weighted; empty when none was.
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    pattern: Pattern
    special_tokens: tuple[str, ...] = ()
    normalizer: str | None = None
    max_pretoken_bytes: int | None = None
    documents: int = 0
    bytes: int = 0
    characters: int = 0
    invalid_bytes: int = 0
    pretokens: int = 0
    pretokens_cut: int = 0
    sources: tuple[Source, ...] = field(default=())
    samples: tuple[Sample, ...] = ()
    power: int = 0
    weights: tuple[Weight, ...] = ()

    @classmethod
    def from_items(
        cls,
        items: Mapping[builtins.bytes, int] | Iterable[tuple[builtins.bytes, int]],
        *,
        pattern: str | Sequence[str] | Pattern,
    ) -> Counts:
        """Counts made from pretokens that were counted elsewhere.

        Args:
            items: Pretokens and how often each occurs; a pretoken that comes twice is added up.
            pattern: The pattern that made them.

        Raises:
            TrainingError: An empty pretoken, or a count below 1.
        """
        pairs = list(items.items() if isinstance(items, Mapping) else items)
        for pretoken, count in pairs:
            if not pretoken or count < 1:
                raise TrainingError(f"pretoken {pretoken!r} with count {count}: both must be at least 1")
        counter = PretokenCounter()
        lengths = np.fromiter((len(pretoken) for pretoken, _ in pairs), dtype=np.int64, count=len(pairs))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        joined = np.frombuffer(b"".join(pretoken for pretoken, _ in pairs), dtype=np.uint8)
        counter.add(joined, offsets, np.fromiter((count for _, count in pairs), dtype=np.int64, count=len(pairs)))
        return _collected([counter], 1, cls(*_no_arrays(), pattern=get_pattern(pattern)))

    def __len__(self) -> int:
        """How many distinct pretokens there are."""
        return len(self.counts)

    def items(self) -> Iterator[tuple[builtins.bytes, int]]:
        """Each distinct pretoken and its count, in byte order."""
        data = self.data.tobytes()
        offsets = self.offsets.tolist()
        for index, count in enumerate(self.counts.tolist()):
            yield data[offsets[index] : offsets[index + 1]], count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Counts):
            return NotImplemented
        return (
            self._about() == other._about()
            and np.array_equal(self.counts, other.counts)
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.data, other.data)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared, and cannot be hashed cheaply

    def __add__(self, other: Counts) -> Counts:
        """The counts of both corpora together.

        Raises:
            TrainingError: The two were not made in the same way.
        """
        if not isinstance(other, Counts):
            return NotImplemented
        return add_up([(self, 1), (other, 1)], power=self.power, weights=self.weights + other.weights)

    def long_pretokens(self) -> LongPretokens | None:
        """What is known of the pretokens longer than ``LONG_PRETOKEN_BYTES``; None where there are none."""
        lengths = np.diff(self.offsets)
        (which,) = np.nonzero(lengths > LONG_PRETOKEN_BYTES)
        if not len(which):
            return None
        longest = int(which[np.argmax(lengths[which])])
        begin, end = int(self.offsets[longest]), int(self.offsets[longest + 1])
        return LongPretokens(
            distinct=len(which),
            pretokens=int(self.counts[which].sum()) >> self.power,
            bytes=int(np.dot(self.counts[which], lengths[which])) >> self.power,
            longest=end - begin,
            example=self.data[begin : min(end, begin + 80)].tobytes().decode("utf-8", "backslashreplace")[:20],
        )

    def without_rare(self, least: int) -> Counts:
        """These counts without the pretokens that occur less often than ``least`` times; with 1 all stay.

        The sums are those of what is left; documents and sources stay. Weighted counts are compared as they are: one
        that occurs 3 times in a source that counts half is below 2.
        """
        if least <= 1:
            return self
        kept = self.counts >= least << self.power
        if kept.all():
            return self
        counter = PretokenCounter()
        lengths = np.diff(self.offsets)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[kept])])
        data = self.data[np.repeat(kept, lengths)]
        counter.add(data, offsets, self.counts[kept])
        del data, offsets
        return _collected([counter], 1, self)

    def __repr__(self) -> str:
        return (
            f"<Counts: {len(self)} distinct of {self.pretokens} pretokens, "
            f"{self.bytes} bytes in {self.documents} documents>"
        )

    def _about(self) -> tuple[object, ...]:
        return (
            self.pattern,
            self.special_tokens,
            self.normalizer,
            self.max_pretoken_bytes,
            self.documents,
            self.bytes,
            self.characters,
            self.invalid_bytes,
            self.pretokens,
            self.pretokens_cut,
            self.sources,
            self.samples,
            self.power,
            self.weights,
        )


def add_up(parts: Iterable[tuple[Counts, int]], *, power: int = 0, weights: tuple[Weight, ...] = ()) -> Counts:
    """The counts of several corpora together, each multiplied by a whole number.

    Args:
        parts: Counts and what to multiply them by; at least one. Each is let go of before the next is asked for.
        power: What the result says of its units.
        weights: What the result says of its weights.

    Raises:
        TrainingError: They were not made in the same way, or the sums do not fit 64 bits.
    """
    first: Counts | None = None
    counter = PretokenCounter()
    documents = cut = total = 0
    sources: list[Source] = []
    samples: list[Sample] = []
    for counts, multiplier in parts:
        if first is None:
            first = replace(counts, data=_NO_DATA, offsets=_NO_OFFSETS, counts=_NO_COUNTS)
        check_same(first, counts)
        total += counts.bytes * multiplier
        if total >= 2**63:
            raise TrainingError(f"the counts stand for {total:,} bytes, more than 64 bits can count; scale them down")
        counter.add(counts.data, counts.offsets, counts.counts if multiplier == 1 else counts.counts * multiplier)
        documents += counts.documents
        cut += counts.pretokens_cut
        sources += counts.sources
        samples += counts.samples
    if first is None:
        raise ValueError("no counts to add up")
    about = replace(
        first,
        documents=documents,
        pretokens_cut=cut,
        sources=tuple(sources),
        samples=tuple(samples),
        power=power,
        weights=weights,
    )
    return _collected([counter], 1, about)


def check_same(one: Counts, other: Counts, where: str = "") -> None:
    """Refuse counts that were not made in the same way: their sum would mean nothing.

    Raises:
        TrainingError: They differ in pattern, special tokens, normalizer, the cap on pretokens, or units.
    """
    for what, mine, theirs in (
        ("pattern", one.pattern, other.pattern),
        ("special_tokens", sorted(one.special_tokens), sorted(other.special_tokens)),
        ("normalizer", one.normalizer, other.normalizer),
        ("max_pretoken_bytes", one.max_pretoken_bytes, other.max_pretoken_bytes),
        ("weights", one.power, other.power),
    ):
        if mine != theirs:
            raise TrainingError(
                f"{where}counts made with different {what} cannot be added: {mine!r} and {theirs!r}; count one again"
            )


def count_pretokens(
    source: SourceLike,
    *,
    pattern: str | Sequence[str] | Pattern = "llama3",
    special_tokens: Sequence[str] = (),
    normalizer: str | None = None,
    max_pretoken_bytes: int | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    sample: int | None = None,
    sample_seed: int = 0,
    keeper: Keeper | None = None,
) -> Counts:
    """Count the pretokens of a corpus.

    Memory follows the distinct pretokens and not the corpus: at its peak about 90 bytes and its own length for each
    (30 MB of Chinese, 924 k distinct: 110 MB), and 4 MB a thread. A pattern that runs on ``regex`` instead of an
    automaton needs one whole document at a time, too.

    Args:
        source: What to read: see :func:`bbpe.corpus.open_corpus`.
        pattern: The name of a pattern, a regex, a list of stages, or a ``Pattern``.
        special_tokens: Strings that are cut out of the text; the leftmost first, and of several at one place the
            longest. What stands on either side is separate text.
        normalizer: ``"NFC"`` normalizes the text between special tokens; ``None`` leaves it as it is.
        max_pretoken_bytes: Cut longer pretokens at character boundaries into pieces of at most this many bytes;
            at least 4.
        threads: How many to use; as many as there are processors when ``None``. The result is the same with any.
        progress: Called at most about ten times a second, in the calling thread, with the bytes read from disk.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Whether each line of a text file is a document.
        strict: Whether invalid UTF-8 is an error; otherwise its bytes are kept and counted.
        sample: Count only a sample of the documents, of at most so many bytes of text; of files only, which are read
            twice. See :class:`bbpe.corpus.Sample`.
        sample_seed: What decides which documents are in the sample.
        keeper: Where a count is kept now and then, so that it goes on after the death of its process; for files.

    Returns:
        The counts.

    Raises:
        CorpusError: Something cannot be read, or there is no text in it.
        PatternError: The pattern is unknown, does not compile, or matches the empty string.
        TrainingError: An option out of range.
        VocabularyError: An empty or repeated special token.
    """
    job = _Job.checked(pattern, special_tokens, normalizer, max_pretoken_bytes)
    if threads is None:
        threads = os.cpu_count() or 1
    elif threads < 1:
        raise TrainingError(f"threads is {threads}; it must be at least 1")
    if sample is not None and sample < 1:
        raise TrainingError(f"sample is {sample}; it must be at least 1 byte")
    if not 0 <= sample_seed < 2**64:
        raise TrainingError(f"sample_seed is {sample_seed}; it must be from 0 to 2**64 - 1")
    if isinstance(source, Iterator):
        source = list(source) if sample is not None else source  # paths, which are opened twice

    def opened() -> Corpus:
        return open_corpus(source, text_field=text_field, lines=lines, strict=strict, block_bytes=BLOCK_BYTES)

    corpus = opened()
    if keeper is not None and (not corpus.files or "-" in corpus.files):
        raise TrainingError(f"{corpus.name}: only a count of files can be resumed; name files")
    before = keeper.load() if keeper is not None else None
    if sample is None:
        return _count(corpus, job, threads, progress, BLOCK_BYTES, keeper=keeper, before=before)
    drawn = before.sample if before is not None else None
    if drawn is None:
        drawn = draw_sample(corpus, sample, sample_seed, progress=progress)
        corpus = opened()
        if keeper is not None:
            keeper.save(CountState((_NOTHING_READ,) * len(corpus.streams), 0, drawn), None)
    for number, stream in enumerate(corpus.streams):
        stream.keep(drawn, number)
    return _count(corpus, job, threads, progress, BLOCK_BYTES, sample=drawn, keeper=keeper, before=before)


def _count(
    corpus: Corpus,
    job: _Job,
    threads: int,
    progress: Callable[[Progress], None] | None,
    chunk_bytes: int,
    *,
    sample: Sample | None = None,
    keeper: Keeper | None = None,
    before: CountState | None = None,
) -> Counts:
    """Count an open corpus in chunks of at least ``chunk_bytes`` (tests make them tiny)."""
    report = Reporter(corpus, "counting", progress)
    cutters = [_Cutter(stream, job, chunk_bytes) for stream in corpus.streams]
    about = Counts(
        *_no_arrays(),
        pattern=job.pretokenizer.pattern,
        special_tokens=job.special_tokens,
        normalizer=job.normalizer,
        max_pretoken_bytes=job.max_pretoken_bytes,
    )
    parts = 0  # counted before and kept
    try:
        if before is not None:
            parts = before.parts
            for cutter, state in zip(cutters, before.streams, strict=True):
                cutter.go_on_from(state)
                report.now_and_then()
        if not corpus.files and threads > 1:
            # An iterable is the caller's code: it is asked for documents in the caller's thread only.
            counters = _count_in_threads(job, _Fed(cutters[0], threads + 1), threads, report)
        else:
            feed = _Files(cutters, None if keeper is None else keeper.seconds)
            counters = _count_a_while(job, feed, threads, report)
            while keeper is not None:
                # What was counted since is kept as a part of its own, and counting begins with empty tables again.
                part = _collected(counters, threads, about)
                counters = []
                states = tuple(cutter.state() for cutter in cutters)
                parts += 1
                keeper.save(CountState(states, parts, sample), part)
                del part
                if feed.ended:
                    break
                counters = _count_a_while(job, feed, threads, report)
    finally:
        corpus.close()
    report.now()
    about = replace(
        about,
        documents=sum(cutter.documents for cutter in cutters),
        sources=corpus.sources,
        samples=() if sample is None else (sample,),
    )
    if keeper is None:
        result = _collected(counters, threads, about)
    else:
        # Which parts there are depends on when the process died; their sum does not.
        added = add_up((keeper.part(number), 1) for number in range(1, parts + 1))
        result = replace(added, documents=about.documents, sources=about.sources, samples=about.samples)
    if not any(cutter.text_bytes for cutter in cutters):
        raise corpus.empty_error()
    return result


def _collected(counters: list[PretokenCounter], threads: int, about: Counts) -> Counts:
    """Add up the counters; the fields of ``about`` that do not follow from them are kept."""
    cut = sum(counter.cut for counter in counters)
    if threads == 1:
        data, offsets, counts, characters, invalid = sorted_counts(counters, _map_here, _BUCKETS)
    else:
        with ThreadPoolExecutor(threads) as pool:
            data, offsets, counts, characters, invalid = sorted_counts(
                counters, lambda function, numbers: list(pool.map(function, numbers)), _BUCKETS * threads
            )
    for array in (data, offsets, counts):
        array.setflags(write=False)
    return replace(
        about,
        data=data,
        offsets=offsets,
        counts=counts,
        bytes=int(np.dot(counts, np.diff(offsets))),
        characters=characters,
        invalid_bytes=invalid,
        pretokens=int(counts.sum()),
        pretokens_cut=about.pretokens_cut + cut,
    )


def collected(counters: list[PretokenCounter], about: Counts) -> Counts:
    """Add counters up; they are emptied.

    Args:
        counters: At least one.
        about: How they were made and of what; the sums are made anew.
    """
    return _collected(counters, 1, about)


def without_pretokens(pattern: Pattern) -> Counts:
    """Counts of nothing, to be filled in with ``dataclasses.replace``."""
    return Counts(*_no_arrays(), pattern=pattern)


def _map_here(function: Callable[[int], None], numbers: range) -> None:
    for number in numbers:
        function(number)


_NO_DATA = np.empty(0, np.uint8)
_NO_OFFSETS = np.zeros(1, np.int64)
_NO_COUNTS = np.empty(0, np.int64)


def _no_arrays() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return _NO_DATA, _NO_OFFSETS, _NO_COUNTS


# --- kept over the death of a process ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far one file has been counted.

    Attributes:
        chunks: Chunks that were counted.
        ended: Whether that was all of it.
        bytes_read: Bytes taken from disk for them.
        sha256: Of these bytes, in hex.
        documents: Documents that ended in them.
        text_bytes: Bytes of text in them.
    """

    chunks: int
    ended: bool
    bytes_read: int
    sha256: str
    documents: int
    text_bytes: int


_NOTHING_READ = StreamState(0, False, 0, hashlib.sha256().hexdigest(), 0, 0)


@dataclass(frozen=True, slots=True)
class CountState:
    """Where a count stands: everything up to there is in the parts that were kept.

    Attributes:
        streams: How far each file has been counted.
        parts: How many parts have been kept: 1 to ``parts``.
        sample: The sample that is counted; None for the whole corpus.
    """

    streams: tuple[StreamState, ...]
    parts: int
    sample: Sample | None


class Keeper(Protocol):
    """Keeps a count on disk: ``checkpoints.py``."""

    @property
    def seconds(self) -> float:
        """How long to count between two calls of :meth:`save`."""

    def load(self) -> CountState | None:
        """Where an earlier process stopped; None where there was none."""

    def save(self, state: CountState, part: Counts | None) -> None:
        """Keep the part that was counted last, if any, and then that the count stands at ``state``."""

    def part(self, number: int) -> Counts:
        """A part that was kept."""


# --- what is done with a chunk ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Texts to be counted, each between two special tokens or edges of a document.

    Attributes:
        data: The bytes, and padding.
        starts: Where each text begins.
        ends: Where each ends, as the pattern sees it.
        stop: Where counting stops in the last text: its end, or a cut before it.
    """

    data: bytes
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    stop: int


@dataclass(frozen=True, slots=True)
class _Job:
    """The options of one count, checked."""

    pretokenizer: Pretokenizer
    special_tokens: tuple[str, ...]
    specials: SpecialStrings | None
    normalizer: str | None
    max_pretoken_bytes: int | None

    @classmethod
    def checked(
        cls,
        pattern: str | Sequence[str] | Pattern,
        special_tokens: Sequence[str],
        normalizer: str | None,
        max_pretoken_bytes: int | None,
    ) -> _Job:
        if normalizer not in (None, "NFC"):
            raise TrainingError(f"normalizer is {normalizer!r}; known are None and 'NFC'")
        if max_pretoken_bytes is not None and max_pretoken_bytes < _SHORTEST_CAP:
            raise TrainingError(
                f"max_pretoken_bytes is {max_pretoken_bytes}; give at least {_SHORTEST_CAP}, one character's bytes"
            )
        if isinstance(special_tokens, str):
            raise TypeError("special_tokens is one str; give a list of them")
        seen: set[str] = set()
        encoded = []
        for index, token in enumerate(special_tokens):
            if not isinstance(token, str):
                raise TypeError(f"special token {index} is {type(token).__name__}, not str")
            if not token:
                raise VocabularyError(f"special token {index} is empty; it would be found everywhere: leave it out")
            if token in seen:
                raise VocabularyError(f"special token {token!r} is given twice; give it once")
            seen.add(token)
            try:
                encoded.append(token.encode())
            except UnicodeEncodeError:
                raise VocabularyError(f"special token {token!r} holds a lone surrogate, which has no UTF-8") from None
        return cls(
            Pretokenizer(get_pattern(pattern)),
            tuple(special_tokens),
            SpecialStrings(encoded) if encoded else None,
            normalizer,
            max_pretoken_bytes,
        )

    def count(self, counter: PretokenCounter, chunk: _Chunk) -> None:
        """Count a chunk's pretokens."""
        if self.normalizer is not None:
            chunk = _normalized(chunk)
        automata = self.pretokenizer.automata
        if automata is not None:
            counter.count(chunk.data, chunk.starts, chunk.ends, chunk.stop, automata)
            return
        for start, end in zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True):
            counter.count_ends(chunk.data, start, self.pretokenizer.ends(chunk.data[start:end]))


def _normalized(chunk: _Chunk) -> _Chunk:
    """The chunk's texts in normalization form C. Invalid bytes stay as they are.

    What is only looked at, after the stop, begins with a character that no normalization changes: it stays raw.
    """
    ends = chunk.ends.copy()
    ends[-1:] = np.maximum(chunk.stop, chunk.starts[-1:])
    changed: list[tuple[int, int, bytes]] = []
    for start, end in zip(*map(np.ndarray.tolist, lines_not_inert(chunk.data, chunk.starts, ends)), strict=True):
        text = chunk.data[start:end].decode("utf-8", "surrogateescape")
        normalized = normalize(text)
        if normalized != text:
            changed.append((start, end, normalized.encode("utf-8", "surrogateescape")))
    if not changed:
        return chunk
    parts = []
    at = 0
    for start, end, line in changed:
        parts += [chunk.data[at:start], line]
        at = end
    parts.append(chunk.data[at:])
    line_ends = np.array([end for _, end, _ in changed], np.int64)
    longer = np.cumsum([0, *(len(line) - (end - start) for start, end, line in changed)])

    def moved(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where places that lie in no changed line, but perhaps at its edge, have gone; a beginning before the line."""
        shift: npt.NDArray[np.int64] = longer[np.searchsorted(line_ends, places, side="right")]
        return places + shift

    return _Chunk(b"".join(parts), moved(chunk.starts), moved(chunk.ends), int(moved(np.array([chunk.stop]))[0]))


class _Cutter:
    """Makes chunks of one stream. Used by one thread at a time.

    Attributes:
        documents: Documents that have ended so far.
        text_bytes: Bytes of text seen so far.
        ended: Whether there are no more chunks.
    """

    __slots__ = (
        "_chunk_bytes",
        "_chunks",
        "_first_stage",
        "_job",
        "_rest",
        "_stream",
        "documents",
        "ended",
        "text_bytes",
    )

    def __init__(self, stream: Stream, job: _Job, chunk_bytes: int) -> None:
        self.documents = 0
        self.text_bytes = 0
        self.ended = False
        self._chunks = 0
        self._stream = stream
        self._job = job
        self._chunk_bytes = chunk_bytes
        self._rest = b""  # of a document that goes on: what has not been handed out
        automata = job.pretokenizer.automata
        # A boundary that is certain in the first stage is one for all: the later stages only see its pieces.
        self._first_stage = automata[0] if automata is not None else None

    def take(self) -> _Chunk | None:
        """The next chunk, or ``None`` at the end of the stream."""
        while True:
            parts: list[bytes | memoryview] = [self._rest]
            size = shift = len(self._rest)
            # Where no cut was found the next chunk is to be twice as long: so a text without any is copied, all in
            # all, a few times and not once a block.
            wanted = max(self._chunk_bytes, 2 * size)
            block: Block
            while True:
                following = next(self._stream, None)
                if following is None:
                    self.ended = True
                    return None
                block = following
                shift = size
                parts.append(block.data)
                size += len(block.data)
                if block.complete or len(block.starts) > 1 or size >= wanted:
                    break
            starts, ends = block.starts + shift, block.ends + shift
            starts[0] = 0  # the document that goes on from before; where none does, `shift` is 0
            self.documents += len(starts) if block.complete else len(starts) - 1
            self.text_bytes += int((block.ends - block.starts).sum())
            parts.append(_PADDING)
            data = b"".join(parts)
            job = self._job
            starts, ends, stop, rest = plan(
                data, starts, ends, block.complete, job.specials, self._first_stage, job.normalizer is not None
            )
            self._rest = data[rest:size] if not block.complete else b""
            if len(starts):
                self._chunks += 1
                return _Chunk(data, starts, ends, stop)

    def state(self) -> StreamState:
        """How far this has come; every chunk that was taken has been counted."""
        stream = self._stream
        return StreamState(
            self._chunks, self.ended, stream.bytes_read, stream.prefix_sha256, self.documents, self.text_bytes
        )

    def go_on_from(self, state: StreamState) -> None:
        """Pass over what an earlier process has counted: it is read and cut again, in a twentieth of counting's time.

        The chunks of a file are the same in every process, and the hash of what was read for them says whether the file
        is.

        Raises:
            CorpusError: The file has changed.
        """
        while self._chunks < state.chunks and self.take() is not None:
            pass
        if state.ended:
            while not self.ended and self.take() is None:
                pass
        if self.state() != state:
            raise CorpusError(
                f"{self._stream.name}: has changed since its count was begun; begin again with another folder to resume "
                "from"
            )


# --- who does it ------------------------------------------------------------------------------------------------------


class _Files:
    """Hands out chunks of files. A file is read by one thread at a time, several files by several threads."""

    def __init__(self, cutters: Iterable[_Cutter], seconds: float | None = None) -> None:
        self._changed = threading.Condition()
        self._waiting = deque(cutter for cutter in cutters if not cutter.ended)  # not begun
        self._idle: deque[_Cutter] = deque()  # begun, and nobody is reading them
        self._reading = 0
        self._stopped = False
        self._seconds = seconds
        self._until = float("inf")
        self._handed_out = False  # anything since `begin`: a round without work would never end

    @property
    def ended(self) -> bool:
        """Whether every file has been read to its end; to be asked when nobody is reading."""
        return not (self._idle or self._waiting)

    def begin(self) -> None:
        """Hand out chunks from now on, for so many seconds as there are between two checkpoints."""
        self._stopped = self._handed_out = False
        if self._seconds is not None:
            self._until = time.monotonic() + self._seconds

    def take(self) -> _Chunk | None:
        """The next chunk of some file; ``None`` when there are no more, or none for now."""
        while True:
            with self._changed:
                while not (self._stopped or self._idle or self._waiting or not self._reading):
                    self._changed.wait()
                if self._stopped or not (self._idle or self._waiting):
                    return None
                if self._handed_out and time.monotonic() >= self._until:
                    return None
                cutter = self._idle.popleft() if self._idle else self._waiting.popleft()
                self._reading += 1
            chunk = None
            try:
                chunk = cutter.take()
            finally:
                with self._changed:
                    self._reading -= 1
                    if chunk is not None:
                        self._idle.append(cutter)
                        self._handed_out = True
                    self._changed.notify_all()
            if chunk is not None:
                return chunk

    def run(self, report: Reporter, done: threading.Event) -> None:
        """Wait until the workers are done, in the calling thread."""
        while not done.wait(REPORT_SECONDS):
            report.now_and_then()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class _Fed:
    """Hands out chunks that the calling thread makes, at most ``capacity`` ahead."""

    def __init__(self, cutter: _Cutter, capacity: int) -> None:
        self._changed = threading.Condition()
        self._cutter = cutter
        self._capacity = capacity
        self._chunks: deque[_Chunk] = deque()
        self._ended = False

    def take(self) -> _Chunk | None:
        """The next chunk; ``None`` when there are no more."""
        with self._changed:
            while not (self._chunks or self._ended):
                self._changed.wait()
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._changed.notify_all()
            return chunk

    def run(self, report: Reporter, done: threading.Event) -> None:
        """Make chunks until the source ends or the workers do, in the calling thread."""
        while (chunk := self._cutter.take()) is not None:
            with self._changed:
                while len(self._chunks) >= self._capacity and not self._ended:
                    self._changed.wait(REPORT_SECONDS)  # with a limit, so that Ctrl-C is noticed everywhere
                if self._ended:
                    break
                self._chunks.append(chunk)
                self._changed.notify_all()
            report.now_and_then()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        while not done.wait(REPORT_SECONDS):
            report.now_and_then()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._ended = True
            self._chunks.clear()
            self._changed.notify_all()


def _count_a_while(job: _Job, feed: _Files, threads: int, report: Reporter) -> list[PretokenCounter]:
    """Count files until they end, or until what was counted is to be kept."""
    feed.begin()
    if threads > 1:
        return _count_in_threads(job, feed, threads, report)
    counter = PretokenCounter(job.max_pretoken_bytes)
    while (chunk := feed.take()) is not None:
        job.count(counter, chunk)
        report.now_and_then()
    return [counter]


def _count_in_threads(job: _Job, feed: _Files | _Fed, threads: int, report: Reporter) -> list[PretokenCounter]:
    """Count all that ``feed`` hands out, each thread with a counter of its own."""
    counters = [PretokenCounter(job.max_pretoken_bytes) for _ in range(threads)]
    errors: list[BaseException] = []
    done = threading.Event()
    left = threads
    lock = threading.Lock()

    def work(counter: PretokenCounter) -> None:
        nonlocal left
        try:
            while (chunk := feed.take()) is not None:
                job.count(counter, chunk)
        except BaseException as error:  # it is raised again in the calling thread
            errors.append(error)
            feed.stop()
        finally:
            with lock:
                left -= 1
                if left == 0:
                    done.set()

    workers = [
        threading.Thread(target=work, args=(counter,), name=f"bbpe-count-{i}") for i, counter in enumerate(counters)
    ]
    try:
        for worker in workers:
            worker.start()
        feed.run(report, done)
    finally:
        feed.stop()
        for worker in workers:
            if worker.ident is not None:
                worker.join()
    if errors:
        raise errors[0]
    return counters
