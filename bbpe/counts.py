"""Count the pretokens of a corpus: what training learns from.

What it does: reads a corpus with several threads, cuts special tokens out of it, normalizes where asked to, and counts
every distinct pretoken. The result does not depend on the number of threads or on where chunks end.

What it does not: learn anything, or look into a pretoken. Finding files is ``corpus.py``'s, finding pretokens the
automaton's (``automaton.py``); the inner loop and its table are in ``_count.pyx``.

How the work is shared: a file is read by one thread at a time, but by whichever has nothing to count; so is a list of
documents, and only an iterator, which may run anybody's code, is asked in the calling thread. Reading a chunk
ends with :meth:`_Cutter.take`, which finds the last place in it where a pretoken boundary is certain whatever follows,
keeps what stands after it for the next chunk, and lets the thread count what stands before it while another thread
reads on. So chunks of one large document are counted in parallel, exactly. :func:`count_pretokens` begins it all.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bbpe._count import (
    PADDING,
    PretokenCounter,
    SpecialStrings,
    count_characters_of,
    lines_not_inert,
    plan,
    sorted_counts,
    sorted_rows,
)
from bbpe.corpus import (
    BLOCK_BYTES,
    REPORT_SECONDS,
    Block,
    Corpus,
    Documents,
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
from bbpe.forecast import Forecaster
from bbpe.memory import Budget, at_most_resident, megabytes, resident_bytes
from bbpe.normalizer import normalize
from bbpe.patterns import Pattern, Pretokenizer, get_pattern
from bbpe.runs import BLOCK_BYTES as RUN_BLOCK_BYTES
from bbpe.runs import BLOCK_ROWS, Rows, Run, RunFolder, merged_rows, temporary_runs
from bbpe.threads import thread_count

__all__ = [
    "LONG_PRETOKEN_BYTES",
    "CountState",
    "Counted",
    "Counts",
    "CountsOnDisk",
    "Keeper",
    "LongPretokens",
    "Part",
    "Spill",
    "StreamState",
    "Tally",
    "Weight",
    "add_up",
    "added_rows",
    "check_same",
    "collected",
    "count_in_runs",
    "count_parts",
    "count_pretokens",
    "merged_counts",
    "sums_of",
    "without_pretokens",
    "write_counted",
]

LONG_PRETOKEN_BYTES = 1000
"""A longer pretoken is no word and no clause: 300 Chinese characters without punctuation, a line of DNA or base64."""

_SUMS = ("bytes", "characters", "invalid_bytes", "pretokens")  # of all occurrences
_PADDING = bytes(PADDING)
_SHORTEST_CAP = 4  # bytes in the longest character: a piece of a pretoken holds at least one
_PATIENCE_SECONDS = 2.0  # for threads to end when counting is given up: a chunk takes milliseconds, a pipe for ever
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


def _long_pretokens(pieces: Iterable[Rows], power: int) -> LongPretokens | None:
    distinct = pretokens = size = longest = 0
    example = b""
    for data, all_offsets, all_counts in pieces:
        for first in range(0, len(all_counts), BLOCK_ROWS):  # the lengths of so many stay in the cache
            offsets, counts = all_offsets[first : first + BLOCK_ROWS + 1], all_counts[first : first + BLOCK_ROWS]
            lengths = np.diff(offsets)
            (which,) = np.nonzero(lengths > LONG_PRETOKEN_BYTES)
            if not len(which):
                continue
            distinct += len(which)
            pretokens += int(counts[which].sum())
            size += int(np.dot(counts[which], lengths[which]))
            at = int(which[np.argmax(lengths[which])])
            if lengths[at] > longest:
                longest = int(lengths[at])
                example = data[offsets[at] : offsets[at] + min(longest, 80)].tobytes()
    if not distinct:
        return None
    return LongPretokens(
        distinct, pretokens >> power, size >> power, longest, example.decode("utf-8", "backslashreplace")[:20]
    )


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
        min_pretoken_count: Pretokens that occurred less often, in all of the corpus or in a part that was counted apart,
            have been left out; the sums are of those that are left. 1: all are there.
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
    min_pretoken_count: int = 1

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

    @property
    def about(self) -> Counts:
        """These counts; :class:`CountsOnDisk` has what they are without pretokens under this name."""
        return self

    def rows(self) -> Iterator[Rows]:
        """All distinct pretokens at once: what :class:`CountsOnDisk` gives in pieces."""
        if len(self):
            yield self.data, self.offsets, self.counts

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
        return _long_pretokens(self.rows(), self.power)

    def without_rare(self, least: int) -> Counts:
        """These counts without the pretokens that occur less often than ``least`` times; with 1 all stay.

        The sums are those of what is left; documents and sources stay. Weighted counts are compared as they are: one
        that occurs 3 times in a source that counts half is below 2.
        """
        if least <= 1:
            return self
        about = replace(self, min_pretoken_count=max(least, self.min_pretoken_count))
        kept = self.counts >= least << self.power
        if kept.all():
            return about
        counter = PretokenCounter()
        lengths = np.diff(self.offsets)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[kept])])
        data = self.data[np.repeat(kept, lengths)]
        counter.add(data, offsets, self.counts[kept])
        del data, offsets
        return _collected([counter], 1, about)

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
            self.min_pretoken_count,
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
    facts: Counts | None = None
    counter = PretokenCounter()
    for counts, multiplier in parts:
        facts = _with(facts, counts, multiplier)
        counter.add(counts.data, counts.offsets, counts.counts if multiplier == 1 else counts.counts * multiplier)
    if facts is None:
        raise ValueError("no counts to add up")
    return _collected([counter], 1, replace(facts, power=power, weights=weights))


def sums_of(parts: Iterable[tuple[Counts, int]], *, power: int = 0, weights: tuple[Weight, ...] = ()) -> Counts:
    """What :func:`add_up` would say, without the pretokens; arguments and errors are the same."""
    facts: Counts | None = None
    for counts, multiplier in parts:
        facts = _with(facts, counts, multiplier)
    if facts is None:
        raise ValueError("no counts to add up")
    return replace(facts, power=power, weights=weights)


def _with(facts: Counts | None, counts: Counts, multiplier: int) -> Counts:
    """What is said of some counts, if any, and of others together; without the pretokens of either."""
    if facts is None:
        facts = replace(
            without_pretokens(counts.pattern),
            special_tokens=counts.special_tokens,
            normalizer=counts.normalizer,
            max_pretoken_bytes=counts.max_pretoken_bytes,
            power=counts.power,
        )
    check_same(facts, counts)
    sums: dict[str, Any] = {name: getattr(facts, name) + multiplier * getattr(counts, name) for name in _SUMS}
    if sums["bytes"] >= 2**63:
        raise TrainingError(
            f"the counts stand for {sums['bytes']:,} bytes, more than 64 bits can count; scale them down"
        )
    return replace(
        facts,
        **sums,
        documents=facts.documents + counts.documents,
        pretokens_cut=facts.pretokens_cut + counts.pretokens_cut,
        sources=facts.sources + counts.sources,
        samples=facts.samples + counts.samples,
        min_pretoken_count=max(facts.min_pretoken_count, counts.min_pretoken_count),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What would be left of counts without their rarer pretokens, for every limit there could be.

    Attributes:
        distinct: Distinct pretokens that occur at least *k* times, by *k* from 0 to 2**16: int64.
        size: Bytes of them, each once.
        characters: Characters of them, each once; an invalid byte may be none.
    """

    distinct: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    characters: npt.NDArray[np.int64]

    @classmethod
    def of(cls, pieces: Iterable[Rows], power: int) -> Tally:
        """Read counts in units of 2**``power`` and tally them."""
        sums = np.zeros((3, _TALLIED + 1), np.int64)
        for data, offsets, counts in pieces:
            times = np.minimum(counts >> power, _TALLIED)
            begins = np.add.reduceat((data & 0xC0) != 0x80, offsets[:-1], dtype=np.int64)
            for sum, weights in zip(sums, (None, np.diff(offsets), begins), strict=True):
                sum += np.bincount(times, weights, _TALLIED + 1).astype(np.int64)  # exact: a piece is below 2**53
        return cls(*np.ascontiguousarray(sums[:, ::-1].cumsum(axis=1)[:, ::-1]))


_TALLIED = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class CountsOnDisk:
    """Counts of which only a piece is in memory at a time.

    Attributes:
        about: What they are, and their sums; without the pretokens.
        run: The pretokens.
    """

    about: Counts
    run: Run

    def __len__(self) -> int:
        """How many distinct pretokens there are."""
        return self.run.distinct

    def rows(self) -> Iterator[Rows]:
        """All distinct pretokens in pieces, in byte order."""
        return self.run.rows()

    def long_pretokens(self) -> LongPretokens | None:
        """As :meth:`Counts.long_pretokens`."""
        return _long_pretokens(self.rows(), self.about.power)

    def tally(self) -> Tally:
        """How many pretokens are how frequent."""
        return Tally.of(self.rows(), self.about.power)

    def load(self, least: int = 1, *, memory: int | None = None) -> Counts:
        """Take them into memory, without those that occur less often than ``least`` times: see ``Counts.without_rare``.

        Raises:
            TrainingError: They do not fit in ``memory``, as bytes that the process may have.
        """
        about, power = self.about, self.about.power
        if least <= 1:
            distinct, size = self.run.distinct, self.run.size
        else:
            distinct = size = 0
            for _, offsets, counts in self.rows():
                kept = counts >= least << power
                distinct += int(np.count_nonzero(kept))
                size += int(np.diff(offsets)[kept].sum())
        if memory is not None:
            needed = (resident_bytes() or 0) + 16 * distinct + size + 4 * RUN_BLOCK_BYTES
            if needed > memory:
                raise TrainingError(
                    f"memory is {megabytes(memory)}, and {distinct:,} distinct pretokens need {megabytes(needed)} to be "
                    "held at once; write them to a count file (bbpe pretokens), or leave out rare ones (min_pretoken_count)"
                )
        all_data, all_offsets = np.empty(size, np.uint8), np.zeros(distinct + 1, np.int64)
        all_counts = np.empty(distinct, np.int64)
        first = begin = characters = invalid = pretokens = total = 0
        for data, offsets, counts in self.rows():
            if least > 1:
                kept = counts >= least << power
                lengths = np.diff(offsets)
                data, counts = data[np.repeat(kept, lengths)], counts[kept]
                offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[kept])])
                some, broken = count_characters_of(data, offsets, counts)
                characters += some
                invalid += broken
                pretokens += int(counts.sum())
                total += int(np.dot(counts, lengths[kept]))
            last, end = first + len(counts), begin + len(data)
            all_data[begin:end], all_counts[first:last] = data, counts
            all_offsets[first + 1 : last + 1] = offsets[1:] + begin
            first, begin = last, end
        for array in (all_data, all_offsets, all_counts):
            array.setflags(write=False)
        whole = replace(
            about,
            data=all_data,
            offsets=all_offsets,
            counts=all_counts,
            min_pretoken_count=max(least, about.min_pretoken_count),
        )
        if least <= 1:
            return whole
        return replace(whole, bytes=total, characters=characters, invalid_bytes=invalid, pretokens=pretokens)


def merged_counts(
    about: Counts,
    runs: Sequence[tuple[Run, int]],
    folder: RunFolder,
    budget: Budget | None,
    progress: Callable[[Progress], None] | None = None,
) -> CountsOnDisk:
    """Runs as one, in a folder for runs.

    Args:
        about: What the counts are, and their sums.
        runs: At least one, each with what its counts are to be multiplied by. Those in the folder are gone afterwards.
        folder: Where the result is written, if that has to be.
        budget: What memory there is; None: no limit.
        progress: Called now and then with the pretokens of runs that have been added up, in phase ``"adding up"``.
    """
    if len(runs) == 1 and runs[0][1] == 1:
        return CountsOnDisk(about, runs[0][0])
    return CountsOnDisk(about, folder.write(added_rows(runs, folder, budget, progress), dict))


def added_rows(
    runs: Sequence[tuple[Run, int]],
    folder: RunFolder,
    budget: Budget | None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Rows]:
    """The pretokens of runs, added up: the arguments are those of :func:`merged_counts`."""
    done = 0
    due = 0.0

    def advanced(rows: int) -> None:
        nonlocal done, due
        done += rows
        if progress is not None and time.monotonic() >= due:
            due = time.monotonic() + REPORT_SECONDS
            progress(Progress("adding up", done, max(done, total), "pretokens"))

    total = sum(run.distinct for run, _ in runs)
    runs = folder.few(runs, None if budget is None else budget.room(), advanced)
    total = done + sum(run.distinct for run, _ in runs)  # where there are several passes it is known only now
    yield from merged_rows(runs, advanced)
    if progress is not None:
        progress(Progress("adding up", done, done, "pretokens"))
    for run, _ in runs:
        folder.forget(run)


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
            made = " and ".join(str(each) if isinstance(each, Pattern) else repr(each) for each in (mine, theirs))
            raise TrainingError(f"{where}counts made with different {what} cannot be added: {made}; count one again")


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
    memory: int | None = None,
    spill_folder: str | os.PathLike[str] | None = None,
) -> Counts:
    """Count the pretokens of a corpus.

    Memory follows the distinct pretokens and not the corpus: at its peak about 90 bytes and its own length for each
    (30 MB of Chinese, 924 k distinct: 110 MB), and 4 MB a thread. A pattern that runs on ``regex`` instead of an
    automaton needs one whole document at a time, too. With a limit what does not fit goes to disk, and only the result
    has to fit: 16 bytes and its own length for each distinct pretoken. (``Mixture.count_on_disk`` needs not even that.)

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
        memory: Bytes that the whole process may have, Python included; None: no limit. The result is the same.
        spill_folder: Where to make a folder for what does not fit, which is gone afterwards; None: where the system
            keeps temporary files.

    Returns:
        The counts.

    Raises:
        CorpusError: Something cannot be read, or there is no text in it.
        OutputError: What does not fit in memory cannot be written.
        PatternError: The pattern is unknown, does not compile, or matches the empty string.
        TrainingError: An option out of range; too little memory.
        VocabularyError: An empty or repeated special token.
    """
    counting = _Counting.checked(
        source,
        pattern=pattern,
        special_tokens=special_tokens,
        normalizer=normalizer,
        max_pretoken_bytes=max_pretoken_bytes,
        threads=threads,
        progress=progress,
        text_field=text_field,
        lines=lines,
        strict=strict,
        sample=sample,
        sample_seed=sample_seed,
    )
    if memory is None:
        return counting.in_memory()
    budget = Budget(memory, counting.threads)
    with temporary_runs(Path(tempfile.gettempdir() if spill_folder is None else spill_folder)) as folder:
        about, runs = counting.in_runs(Spill(folder), budget)
        return merged_counts(about, [(run, 1) for run in runs], folder, budget).load(memory=memory)


def count_in_runs(
    source: SourceLike, keeper: Keeper, budget: Budget | None, **options: Any
) -> tuple[Counts, list[Run]]:
    """Count the pretokens of a corpus into runs.

    Args:
        source: As for :func:`count_pretokens`.
        keeper: Where runs are kept: for this count alone, or so that it goes on after the death of its process.
        budget: What memory there is; None: no limit.
        options: As for :func:`count_pretokens`.

    Returns:
        What the counts are, without pretokens, and the runs, of which the same pretoken may be in several.
    """
    return _Counting.checked(source, **options).in_runs(keeper, budget)


@dataclass(frozen=True, slots=True)
class _Counting:
    """The arguments of :func:`count_pretokens`, checked."""

    source: SourceLike
    job: _Job
    threads: int
    progress: Callable[[Progress], None] | None
    reading: Mapping[str, Any]
    sample: int | None
    sample_seed: int

    @classmethod
    def checked(
        cls,
        source: SourceLike,
        *,
        pattern: str | Sequence[str] | Pattern,
        special_tokens: Sequence[str],
        normalizer: str | None,
        max_pretoken_bytes: int | None,
        threads: int | None,
        progress: Callable[[Progress], None] | None,
        text_field: str,
        lines: bool,
        strict: bool,
        sample: int | None,
        sample_seed: int,
    ) -> _Counting:
        job = _Job.checked(pattern, special_tokens, normalizer, max_pretoken_bytes)
        threads = thread_count(threads, TrainingError)
        if sample is not None and sample < 1:
            raise TrainingError(f"sample is {sample}; it must be at least 1 byte")
        if not 0 <= sample_seed < 2**64:
            raise TrainingError(f"sample_seed is {sample_seed}; it must be from 0 to 2**64 - 1")
        if isinstance(source, Iterator):
            source = list(source) if sample is not None else source  # paths, which are opened twice
        reading = {"text_field": text_field, "lines": lines, "strict": strict}
        return cls(source, job, threads, progress, reading, sample, sample_seed)

    def opened(self) -> Corpus:
        return open_corpus(self.source, **self.reading, block_bytes=BLOCK_BYTES)

    def in_memory(self) -> Counts:
        corpus = self.opened()
        drawn = None
        if self.sample is not None:
            drawn = draw_sample(corpus, self.sample, self.sample_seed, progress=self.progress)
            corpus = self.opened()
        return _count(_sampled(corpus, drawn), self.job, self.threads, self.progress, BLOCK_BYTES, sample=drawn)

    def in_runs(self, keeper: Keeper, budget: Budget | None) -> tuple[Counts, list[Run]]:
        corpus = self.opened()
        if keeper.lasting and (not corpus.files or "-" in corpus.files):
            raise TrainingError(f"{corpus.name}: only a count of files can be resumed; name files")
        before = keeper.load()
        drawn = before.sample if before is not None else None
        if self.sample is not None and drawn is None:
            drawn = draw_sample(corpus, self.sample, self.sample_seed, progress=self.progress)
            corpus = self.opened()
            if keeper.lasting:
                keeper.save(CountState((_NOTHING_READ,) * len(corpus.streams), 0, drawn), None)
        return _count_in_runs(
            _sampled(corpus, drawn),
            self.job,
            self.threads,
            self.progress,
            BLOCK_BYTES,
            keeper,
            budget,
            sample=drawn,
            before=before,
        )


def _sampled(corpus: Corpus, sample: Sample | None) -> Corpus:
    if sample is not None:
        for number, stream in enumerate(corpus.streams):
            stream.keep(sample, number)
    return corpus


def _count(
    corpus: Corpus,
    job: _Job,
    threads: int,
    progress: Callable[[Progress], None] | None,
    chunk_bytes: int,
    *,
    sample: Sample | None = None,
) -> Counts:
    """Count an open corpus in chunks of at least ``chunk_bytes`` (tests make them tiny)."""
    report = Reporter(corpus, "counting", progress)
    cutters = [_Cutter(stream, job, chunk_bytes) for stream in corpus.streams]
    watch = _Watch(corpus, threads, report, None)
    try:
        counters = _count_a_while(job, _feed(corpus, cutters, threads), threads, report, watch)
    finally:
        corpus.close()
    report.now()
    report.other("sorting", "pretokens")
    result = _collected(counters, threads, _about(corpus, job, cutters, sample))
    if not any(cutter.text_bytes for cutter in cutters):
        raise corpus.empty_error()
    return result


def _count_in_runs(
    corpus: Corpus,
    job: _Job,
    threads: int,
    progress: Callable[[Progress], None] | None,
    chunk_bytes: int,
    keeper: Keeper,
    budget: Budget | None,
    *,
    sample: Sample | None = None,
    before: CountState | None = None,
) -> tuple[Counts, list[Run]]:
    """The same in rounds, each of which ends when its memory is full or it is time to keep what was counted: it is
    written as a run of its own, and counting begins with empty tables again."""
    report = Reporter(corpus, "counting", progress)
    most = None if budget is None else budget.text
    cutters = [_Cutter(stream, job, chunk_bytes, most) for stream in corpus.streams]
    parts = 0  # counted before and kept
    try:
        if before is not None:
            parts = before.parts
            for cutter, state in zip(cutters, before.streams, strict=True):
                cutter.go_on_from(state)
                report.now_and_then()
        feed = _feed(corpus, cutters, threads, keeper.seconds)
        watch = _Watch(corpus, threads, report, budget)
        while True:
            counters = _count_a_while(job, feed, threads, report, watch)
            watch.leave(counters)
            states = tuple(cutter.state() for cutter in cutters)
            parts += 1
            keeper.save(CountState(states, parts, sample), Counted(counters, threads))
            del counters
            if feed.ended:
                break
    finally:
        corpus.close()
    report.now()
    if not any(cutter.text_bytes for cutter in cutters):
        raise corpus.empty_error()
    # Which runs there are depends on memory and on when the process died; their sum does not.
    runs = keeper.runs(parts)
    sums = {name: sum(run.about[name] for run in runs) for name in (*_SUMS, "pretokens_cut")}
    return replace(_about(corpus, job, cutters, sample), **sums), runs


def _feed(corpus: Corpus, cutters: list[_Cutter], threads: int, seconds: float | None = None) -> _Files | _Fed:
    if threads > 1 and not all(stream.any_thread for stream in corpus.streams):
        # It is asked for documents in the caller's thread only.
        return _Fed(cutters[0], threads + 1)
    return _Files(cutters, seconds)


def _about(corpus: Corpus, job: _Job, cutters: list[_Cutter], sample: Sample | None) -> Counts:
    """What the counts are, without pretokens and sums."""
    return replace(
        job.about(),
        documents=sum(cutter.documents for cutter in cutters),
        sources=corpus.sources,
        samples=() if sample is None else (sample,),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a count: see :func:`count_parts`.

    Attributes:
        counts: The pretokens; the documents that ended and the files that were read to their ends in this part.
        text_bytes: Bytes of text that were read for it, special tokens included.
    """

    counts: Counts
    text_bytes: int


def count_parts(
    streams: Iterable[Stream],
    *,
    pattern: str | Sequence[str] | Pattern,
    special_tokens: Sequence[str] = (),
    normalizer: str | None = None,
    max_pretoken_bytes: int | None = None,
    most_bytes: int,
) -> Iterator[Part]:
    """Count streams one after another, in one thread, and hand on what was counted when it has grown too large.

    All parts together (:func:`add_up`) are what :func:`count_pretokens` makes of the same documents.

    Args:
        streams: What to read.
        pattern: As for ``count_pretokens``; and so are the next three.
        special_tokens: See there.
        normalizer: See there.
        max_pretoken_bytes: See there.
        most_bytes: Memory of the table of distinct pretokens at which a part ends. Putting it in order takes as much
            again, and half of it.

    Yields:
        At least one part.

    Raises:
        CorpusError: Something cannot be read.
        PatternError: As ``count_pretokens``, and so are the rest.
        TrainingError: See there.
        VocabularyError: See there.
    """
    job = _Job.checked(pattern, special_tokens, normalizer, max_pretoken_bytes)
    counter = PretokenCounter(max_pretoken_bytes)
    documents = text_bytes = 0  # before the stream at hand, and handed on: those of earlier parts are subtracted
    sources: list[Source] = []

    def part(cutter: _Cutter | None) -> Part:
        about = replace(job.about(), documents=documents + (cutter.documents if cutter else 0), sources=tuple(sources))
        return Part(_collected([counter], 1, about), text_bytes + (cutter.text_bytes if cutter else 0))

    for stream in streams:
        cutter = _Cutter(stream, job, BLOCK_BYTES)
        try:
            while (chunk := cutter.take()) is not None:
                job.count(counter, chunk)
                if counter.memory > most_bytes:
                    yield part(cutter)
                    counter = PretokenCounter(max_pretoken_bytes)
                    documents, text_bytes = -cutter.documents, -cutter.text_bytes
                    sources.clear()
        finally:
            stream.close()
        documents += cutter.documents
        text_bytes += cutter.text_bytes
        if stream.source is not None:
            sources.append(stream.source)
    yield part(None)


def _collected(counters: list[PretokenCounter], threads: int, about: Counts) -> Counts:
    """Add up the counters; the fields of ``about`` that do not follow from them are kept."""
    cut = sum(counter.cut for counter in counters)
    with _mapping(threads) as map_parallel:
        data, offsets, counts, sums = sorted_counts(counters, map_parallel, _BUCKETS * threads)
    for array in (data, offsets, counts):
        array.setflags(write=False)
    return replace(
        about,
        data=data,
        offsets=offsets,
        counts=counts,
        bytes=sums[0],
        characters=sums[1],
        invalid_bytes=sums[2],
        pretokens=sums[3],
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


@contextmanager
def _mapping(threads: int) -> Iterator[Callable[[Callable[[int], None], range], object]]:
    """What calls a function for every number of a range, in so many threads."""
    if threads == 1:

        def map_here(function: Callable[[int], None], numbers: range) -> None:
            for number in numbers:
                function(number)

        yield map_here
    else:
        with ThreadPoolExecutor(threads) as pool:
            yield lambda function, numbers: list(pool.map(function, numbers))


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
    """Keeps a count on disk: :class:`Spill`, and ``checkpoints.py``."""

    @property
    def lasting(self) -> bool:
        """Whether it outlives the process."""

    @property
    def seconds(self) -> float | None:
        """How long to count between two calls of :meth:`save`; None: until memory is full."""

    def load(self) -> CountState | None:
        """Where an earlier process stopped; None where there was none."""

    def save(self, state: CountState, counted: Counted | None) -> None:
        """Keep what was counted last, if anything, and then that the count stands at ``state``."""

    def runs(self, parts: int) -> list[Run]:
        """The parts that were kept."""


class Spill:
    """A ``Keeper`` for the time of one count."""

    lasting = False
    seconds = None

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._runs: list[Run] = []

    def load(self) -> None:
        return None

    def save(self, state: CountState, counted: Counted | None) -> None:
        if counted is not None:
            self._runs.append(write_counted(counted, self._folder))

    def runs(self, parts: int) -> list[Run]:
        return self._runs


class Counted:
    """Tables that are full, to be written as a run. What the run is to say of itself is known when it is written."""

    def __init__(self, counters: list[PretokenCounter], threads: int) -> None:
        self._counters = counters
        self._threads = threads
        self._sums = dict.fromkeys((*_SUMS, "pretokens_cut"), 0)

    def rows(self) -> Iterator[Rows]:
        """All pretokens, in byte order; once, and the tables are empty."""
        sums = self._sums
        sums["pretokens_cut"] = sum(counter.cut for counter in self._counters)
        size = sum(map(len, self._counters))
        buckets = self._threads * max(_BUCKETS, min(64, size >> 16))
        with _mapping(self._threads) as map_parallel:
            for data, offsets, counts, of_these in sorted_rows(
                self._counters, map_parallel, buckets, self._threads, BLOCK_ROWS, RUN_BLOCK_BYTES
            ):
                for name, more in zip(_SUMS, of_these, strict=True):
                    sums[name] += more
                yield data, offsets, counts

    def about(self) -> dict[str, int]:
        """The sums of all that :meth:`rows` gave."""
        return self._sums


def write_counted(counted: Counted, folder: RunFolder) -> Run:
    """Write tables as a run that lasts no longer than its folder."""
    return folder.write(counted.rows(), counted.about)


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

    def about(self) -> Counts:
        """Counts of nothing, made in this way."""
        return replace(
            without_pretokens(self.pretokenizer.pattern),
            special_tokens=self.special_tokens,
            normalizer=self.normalizer,
            max_pretoken_bytes=self.max_pretoken_bytes,
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
    """Makes chunks of one stream. Used by one thread at a time, but for :meth:`chunk_of`.

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
        "_lock",
        "_most",
        "_rest",
        "_stream",
        "documents",
        "ended",
        "text_bytes",
    )

    def __init__(self, stream: Stream, job: _Job, chunk_bytes: int, most: int | None = None) -> None:
        """
        Args:
            stream: What to make chunks of.
            job: How.
            chunk_bytes: Of a chunk, at least, where the stream goes on.
            most: Of a chunk: where no place to cut is found within so many bytes that is an error. None: no limit.
        """
        self._most = most
        self.documents = 0
        self.text_bytes = 0
        self.ended = False
        self._chunks = 0
        self._stream = stream
        self._job = job
        self._chunk_bytes = chunk_bytes
        self._lock = threading.Lock()
        self._rest = b""  # of a document that goes on: what has not been handed out
        automata = job.pretokenizer.automata
        # A boundary that is certain in the first stage is one for all: the later stages only see its pieces.
        self._first_stage = automata[0] if automata is not None else None

    def take(self) -> _Chunk | None:
        """The next chunk, or ``None`` at the end of the stream."""
        while (taken := self.take_unmade()) is not None:
            if (chunk := self.chunk_of(taken)) is not None:
                return chunk
        return None

    def take_unmade(self) -> Documents | _Chunk | None:
        """What :meth:`chunk_of` makes the next chunk of, or ``None`` at the end of the stream."""
        while True:
            parts: list[bytes | memoryview] = [self._rest]
            size = shift = len(self._rest)
            # Where no cut was found the next chunk is to be twice as long: so a text without any is copied, all in
            # all, a few times and not once a block.
            wanted = max(self._chunk_bytes, 2 * size)
            while True:
                block = self._stream.next_unmade()
                if block is None:
                    self.ended = True
                    return None
                if isinstance(block, Documents):  # they are whole, and so was what stood before them
                    return block
                shift = size
                parts.append(block.data)
                size += len(block.data)
                if block.complete or len(block.starts) > 1 or size >= wanted:
                    break
            if self._most is not None and size > max(self._most, 2 * self._chunk_bytes):
                raise CorpusError(
                    f"{self._stream.name}: {size:,} bytes of text without a place where the pattern certainly cuts: they "
                    "have to be held at once and do not fit; give more memory (--memory), or take them out"
                )
            starts, ends = block.starts + shift, block.ends + shift
            starts[0] = 0  # the document that goes on from before; where none does, `shift` is 0
            if size == len(block.data) and block.padded is not None:
                data = block.padded
            else:
                data = b"".join([*parts, _PADDING])
            self._seen(block)
            chunk, rest = self._planned(data, starts, ends, block.complete)
            self._rest = data[rest:size] if not block.complete else b""
            if chunk is not None:
                self._chunks += 1
                return chunk

    def chunk_of(self, taken: Documents | _Chunk) -> _Chunk | None:
        """A chunk of what :meth:`take_unmade` gave; ``None`` where there is no text in it. Any thread may make it."""
        if isinstance(taken, _Chunk):
            return taken
        block = self._stream.block_of(taken)
        assert block.padded is not None  # it was made for this
        self._seen(block)
        return self._planned(block.padded, block.starts, block.ends, True)[0]

    def _seen(self, block: Block) -> None:
        text_bytes = int((block.ends - block.starts).sum())
        with self._lock:
            self.documents += len(block.starts) - (not block.complete)
            self.text_bytes += text_bytes

    def _planned(
        self, data: bytes, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], complete: bool
    ) -> tuple[_Chunk | None, int]:
        """The chunk, and where the bytes begin that belong to the next one."""
        job = self._job
        starts, ends, stop, rest = plan(
            data, starts, ends, complete, job.specials, self._first_stage, job.normalizer is not None
        )
        return _Chunk(data, starts, ends, stop) if len(starts) else None, rest

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
    """Hands out chunks of files, or of a list. Each is read by one thread at a time, several files by several threads."""

    def __init__(self, cutters: Iterable[_Cutter], seconds: float | None = None) -> None:
        self._changed = threading.Condition()
        self._waiting = deque(cutter for cutter in cutters if not cutter.ended)  # not begun
        self._idle: deque[_Cutter] = deque()  # begun, and nobody is reading them
        self._reading = 0
        self._stopped = False
        self._seconds = seconds
        self._until = float("inf")
        self._handed_out = False  # anything since `begin`: a round without work would never end
        self._paused = False

    @property
    def ended(self) -> bool:
        """Whether every file has been read to its end; to be asked when nobody is reading."""
        return not (self._idle or self._waiting)

    def begin(self) -> None:
        """Hand out chunks from now on, for so many seconds as there are between two checkpoints."""
        self._stopped = self._handed_out = self._paused = False
        if self._seconds is not None:
            self._until = time.monotonic() + self._seconds

    def take(self) -> _Chunk | None:
        """The next chunk of some file; ``None`` when there are no more, or none for now."""
        while True:
            with self._changed:
                while not (self._stopped or self._paused or self._idle or self._waiting or not self._reading):
                    self._changed.wait()
                if self._stopped or not (self._idle or self._waiting):
                    return None
                if self._paused or (self._handed_out and time.monotonic() >= self._until):
                    return None
                cutter = self._idle.popleft() if self._idle else self._waiting.popleft()
                self._reading += 1
            taken = None
            try:
                taken = cutter.take_unmade()
            finally:
                with self._changed:
                    self._reading -= 1
                    if taken is not None:
                        self._idle.append(cutter)
                        self._handed_out = True
                    self._changed.notify_all()
            if taken is not None and (chunk := cutter.chunk_of(taken)) is not None:
                return chunk

    def run(self, report: Reporter, done: threading.Event) -> None:
        """Wait until the workers are done, in the calling thread."""
        while not done.wait(REPORT_SECONDS):
            report.now_and_then()

    def pause(self) -> None:
        """Hand out nothing more until :meth:`begin`."""
        with self._changed:
            self._paused = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class _Fed:
    """Hands out chunks of documents that the calling thread asks an iterable for, at most ``capacity`` chunks ahead."""

    def __init__(self, cutter: _Cutter, capacity: int) -> None:
        self._changed = threading.Condition()
        self._cutter = cutter
        self._capacity = capacity
        self._taken: deque[Documents | _Chunk] = deque()
        self._ended = False
        self._paused = False

    @property
    def ended(self) -> bool:
        """Whether the source has been read to its end and everything of it handed out."""
        return self._ended and not self._taken

    def begin(self) -> None:
        """Hand out chunks from now on."""
        self._paused = False

    def take(self) -> _Chunk | None:
        """The next chunk; ``None`` when there are no more, or none for now."""
        while True:
            with self._changed:
                while not (self._taken or self._ended or self._paused):
                    self._changed.wait()
                if not self._taken or self._paused:
                    return None
                taken = self._taken.popleft()
                self._changed.notify_all()
            if (chunk := self._cutter.chunk_of(taken)) is not None:
                return chunk

    def run(self, report: Reporter, done: threading.Event) -> None:
        """Ask for documents until the source ends, the workers do, or pause, in the calling thread."""
        while not self._ended and not self._paused:
            taken = self._cutter.take_unmade()
            with self._changed:
                if taken is None:
                    self._ended = True
                    self._changed.notify_all()
                    break
                # One more than there is room for where the workers pause meanwhile: it is theirs when they go on.
                self._taken.append(taken)
                self._changed.notify_all()
                while len(self._taken) >= self._capacity and not (self._ended or self._paused):
                    self._changed.wait(REPORT_SECONDS)  # with a limit, so that Ctrl-C is noticed everywhere
            report.now_and_then()
        while not done.wait(REPORT_SECONDS):
            report.now_and_then()

    def pause(self) -> None:
        """Hand out nothing more until :meth:`begin`."""
        with self._changed:
            self._paused = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out nothing more, ever."""
        with self._changed:
            self._ended = True
            self._taken.clear()
            self._changed.notify_all()


class _Watch:
    """What is looked at between two chunks: how full the tables are, and what they will come to."""

    def __init__(self, corpus: Corpus, threads: int, report: Reporter, budget: Budget | None) -> None:
        self._budget = budget
        self._forecaster: Forecaster | None = None
        if report.wanted:
            forecaster = self._forecaster = Forecaster(corpus, threads, at_most_resident())
            report.forecast = lambda: forecaster.latest

    def full(self, counter: PretokenCounter) -> bool:
        """Whether it is time to write the tables to disk."""
        if self._forecaster is not None:
            self._forecaster.look(counter)
        return self._budget is not None and self._budget.full(counter)

    def leave(self, counters: Iterable[PretokenCounter]) -> None:
        """The tables are going to be written."""
        if self._forecaster is not None:
            for counter in counters:
                self._forecaster.leave(counter)
        if self._budget is not None:
            self._budget.empty()


def _count_a_while(
    job: _Job, feed: _Files | _Fed, threads: int, report: Reporter, watch: _Watch
) -> list[PretokenCounter]:
    """Count until there is nothing left, until memory is full, or until what was counted is to be kept; each thread
    with a counter of its own."""
    feed.begin()
    counters = [PretokenCounter(job.max_pretoken_bytes) for _ in range(threads)]
    if threads > 1:
        _count_in_threads(job, feed, counters, report, watch)
        return counters
    (counter,) = counters
    while (chunk := feed.take()) is not None:
        job.count(counter, chunk)
        if watch.full(counter):
            feed.pause()
        report.now_and_then()
    return counters


def _count_in_threads(
    job: _Job, feed: _Files | _Fed, counters: list[PretokenCounter], report: Reporter, watch: _Watch
) -> None:
    """Count all that ``feed`` hands out."""
    errors: list[BaseException] = []
    done = threading.Event()
    left = len(counters)
    lock = threading.Lock()

    def work(counter: PretokenCounter) -> None:
        nonlocal left
        try:
            while (chunk := feed.take()) is not None:
                job.count(counter, chunk)
                del chunk
                if watch.full(counter):
                    feed.pause()
        except BaseException as error:  # it is raised again in the calling thread
            errors.append(error)
            feed.stop()
        finally:
            with lock:
                left -= 1
                if left == 0:
                    done.set()

    # Daemons: one that waits for a pipe into which nobody writes must keep neither Ctrl-C nor the process waiting.
    workers = [
        threading.Thread(target=work, args=(counter,), name=f"bbpe-count-{i}", daemon=True)
        for i, counter in enumerate(counters)
    ]
    finished = False
    try:
        for worker in workers:
            worker.start()
        feed.run(report, done)
        finished = True
    finally:
        if not finished:
            feed.stop()
        until = time.monotonic() + _PATIENCE_SECONDS
        for worker in workers:
            if worker.ident is not None:
                worker.join(None if finished else max(0.0, until - time.monotonic()))
    if errors:
        raise errors[0]
