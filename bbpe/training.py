"""Learn merges from counts, from scratch or on top of a base.

What it does: checks options, lets the merge loop run in steps between which Ctrl-C and progress have their turn, and
makes of its result a vocabulary and a record of how it came about. What it does not: read or count text
(``counts.py``), merge (``_merge.pyx``), write files (``io.py``), or extend published vocabularies with guarantees
(``extension.py``, which calls :func:`learn` with a base).

Where to read next: :func:`train` is the whole way from a corpus to a tokenizer, :func:`learn` its second half;
``reference.learn_merges`` says what the merges must be.
"""

from __future__ import annotations

import contextlib
import json
import operator
import os
import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe._characters import learner
from bbpe._merge import Rules
from bbpe.checkpoints import Checkpoint, MergesKept
from bbpe.corpus import Progress, Sample, Source, SourceLike
from bbpe.counts import LONG_PRETOKEN_BYTES, Counts, LongPretokens, Weight
from bbpe.errors import CorpusError, EncodeError, FormatError, TrainingError
from bbpe.mixture import Mixture
from bbpe.patterns import Pattern, Pretokenizer, get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.unicode import unicode_version
from bbpe.vocabulary import SpecialToken, Vocabulary

__all__ = [
    "CurvePoint",
    "LearnedMerges",
    "LongPretokenWarning",
    "TrainingOptions",
    "TrainingRecord",
    "as_merge_list",
    "byte_ids",
    "learn",
    "learn_merges",
    "train",
    "warn_of_long_pretokens",
]

StopReason = Literal["vocab_size", "num_merges", "min_count"]
ByteOrder = Literal["value", "gpt2"]

MAX_CELLS = 2**32 - 2
"""Symbols of distinct pretokens, and separators between them, that the merge loop can number: 17 GB of them."""
MAX_TOTAL = 2**63 - 1

_REPORT_SECONDS = 0.1
_SHARED_BYTES = 1 << 20  # distinct pretokens of so many bytes are encoded in several threads
_STEP = 1 << 20  # positions that one native step visits, about: some 50 ms
_FORMAT = "bbpe-training"
_FORMAT_VERSION = 1


class LongPretokenWarning(UserWarning):
    """Much of the text has no places where the pattern cuts it."""


# --- options ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Everything that decides the result of a training but the text itself.

    Attributes:
        vocab_size: Stop when there are so many entries: bytes, merges and special tokens.
        num_merges: Stop after so many merges. One of the two has to be given; with both, whichever comes first.
        min_count: Stop when no pair occurs so often.
        pattern: What cuts text into pretokens: a name, a regex, a list of stages, or a ``Pattern``.
        special_tokens: Strings cut out of the text; they get the last ids, in this order.
        max_token_bytes: No merge makes a longer token.
        max_pretoken_bytes: Longer pretokens are cut, between characters, before anything is counted.
        byte_order: ``"value"``: byte *b* has id *b*. ``"gpt2"``: the permutation of OpenAI's and Hugging Face's files.
        normalizer: ``"NFC"`` or None.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Each line of a text file is a document.
        strict: Invalid UTF-8 is an error.
        min_pretoken_count: Pretokens that occur less often, all sources together, are left out before anything is
            learned. ``train`` does it; counts that are given to ``learn`` are taken as they are.
        weights: (path, weight) of each source; empty when every byte counts the same.
        sample: Only a sample of the documents is learned from, of at most so many bytes of text.
        sample_seed: What decides which documents are in the sample.

    Raises:
        TrainingError: A value out of its range, or options that contradict one another.
        PatternError: A pattern that does not exist or compile.
        TypeError: A value of the wrong type.
    """

    vocab_size: int | None = None
    num_merges: int | None = None
    min_count: int = 2
    pattern: Pattern = field(default_factory=lambda: get_pattern("llama3"))
    special_tokens: tuple[str, ...] = ()
    max_token_bytes: int | None = None
    max_pretoken_bytes: int | None = None
    byte_order: ByteOrder = "value"
    normalizer: str | None = None
    text_field: str = "text"
    lines: bool = False
    strict: bool = False
    min_pretoken_count: int = 1
    weights: tuple[tuple[str, str], ...] = ()
    sample: int | None = None
    sample_seed: int = 0

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "vocab_size": _integer("vocab_size", self.vocab_size, 0),
            "num_merges": _integer("num_merges", self.num_merges, 0),
            "min_count": _integer("min_count", self.min_count, 1, none=False),
            "max_token_bytes": _integer("max_token_bytes", self.max_token_bytes, 2),
            "max_pretoken_bytes": _integer("max_pretoken_bytes", self.max_pretoken_bytes, 4),
            "min_pretoken_count": _integer("min_pretoken_count", self.min_pretoken_count, 1, none=False),
            "sample": _integer("sample", self.sample, 1),
            "sample_seed": _integer("sample_seed", self.sample_seed, 0, none=False),
            "weights": tuple((path, weight) for path, weight in self.weights),
            "pattern": get_pattern(self.pattern),
            "special_tokens": _special_tokens(self.special_tokens),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.byte_order not in ("value", "gpt2"):
            raise TrainingError(f"byte_order is {self.byte_order!r}; expected 'value' or 'gpt2'")
        if self.normalizer not in (None, "NFC"):
            raise TrainingError(f"normalizer is {self.normalizer!r}; expected None or 'NFC'")
        if not isinstance(self.text_field, str):
            raise TypeError(f"text_field is a str, not {type(self.text_field).__name__}")
        for name, flag in (("lines", self.lines), ("strict", self.strict)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} is True or False, not {flag!r}")
        if self.vocab_size is None and self.num_merges is None:
            raise TrainingError("neither vocab_size nor num_merges is given; one of them has to end the training")

    def merges_wanted(self, base: Vocabulary | None = None) -> int:
        """How many merges may be learned on top of ``base`` (None: the 256 bytes) before one of the two limits stops.

        Raises:
            TrainingError: ``vocab_size`` is less than there is to begin with.
        """
        wanted = self.num_merges if self.num_merges is not None else MAX_TOTAL
        if self.vocab_size is not None:
            entries = (256 if base is None else base.vocab_size) + len(self.special_tokens)
            if self.vocab_size < entries:
                what = "256 bytes" if base is None else f"{base.vocab_size:,} entries of the base"
                raise TrainingError(
                    f"vocab_size is {self.vocab_size:,}, but the {what} and {len(self.special_tokens)} special tokens "
                    f"are {entries:,} entries already; give at least that"
                )
            wanted = min(wanted, self.vocab_size - entries)
        return wanted


def _integer(name: str, value: Any, least: int, *, none: bool = True) -> int | None:
    """The value as an ``int``; Cython would take 1.9 for 1, and True for 1."""
    if value is None and none:
        return None
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} is an integer, not {value!r}")
    if number < least:
        why = "; a character has up to 4" if name == "max_pretoken_bytes" else ""
        raise TrainingError(f"{name} is {number}; expected at least {least}{why}")
    if number > MAX_TOTAL:
        raise TrainingError(f"{name} is {number}; expected at most 2**63 - 1")
    return number


def _special_tokens(tokens: Sequence[str]) -> tuple[str, ...]:
    if isinstance(tokens, (str, bytes)):
        raise TypeError("special_tokens is a list of str, not one")
    checked: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"special token {place} is a str, not {type(token).__name__}")
        if not token:
            raise TrainingError(f"special token {place} is empty; leave it out")
        if token in checked:
            raise TrainingError(f"special token {token!r} is given twice, at places {checked[token]} and {place}")
        try:
            token.encode()
        except UnicodeEncodeError:
            raise TrainingError(f"special token {token!r} holds a lone surrogate, which has no UTF-8") from None
        checked[token] = place
    return tuple(checked)


# --- the record -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One vocabulary size on the way, a prefix of the merges.

    Attributes:
        vocab_size: Entries: bytes (or the base), merges so far, and all special tokens.
        tokens: Tokens that the training text has with it.
        bytes_per_token: Bytes of the training text ÷ tokens.
        count: The count that the last merge won with; 0 before the first.
    """

    vocab_size: int
    tokens: int
    bytes_per_token: float
    count: int


def opened_record(text: str, name: str, format: str, version: int) -> dict[str, Any]:
    """What a record that bbpe wrote as JSON says, without the format and version that it begins with.

    Args:
        text: The JSON.
        name: What such a record is called in messages.
        format: What its ``format`` has to be.
        version: What its ``format_version`` has to be.

    Raises:
        FormatError: It is a record of something else, or of another version.
    """
    record: dict[str, Any] = json.loads(text)
    if record.pop("format") != format:
        raise FormatError(f"this JSON is no {name}: its format is not {format!r}")
    found = record.pop("format_version")
    if found != version:
        raise FormatError(f"{name} of version {found!r}; this bbpe reads {version}")
    return record


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """How a vocabulary came about: written as ``training.json``. The same training gives the same record, to the byte.

    Attributes:
        options: What was asked for.
        sources: The files read, each with its size and sha256; empty for text from memory.
        documents: Documents read.
        bytes: Bytes counted: special tokens not among them, normalized where there is a normalizer.
        characters: Characters counted, each invalid byte being one.
        invalid_bytes: Bytes counted that are no part of valid UTF-8.
        pretokens: Pretokens counted.
        distinct_pretokens: Distinct ones among them.
        base: The name of the base that was extended; None when training began with the 256 bytes.
        base_size: Entries of the base: 256 without one.
        merges: Merges learned.
        vocab_size: Entries in the end.
        stop: What ended the training: ``"vocab_size"``, ``"num_merges"``, or ``"min_count"`` when no pair was left that
            occurs often enough. In that order where several hold.
        versions: Of bbpe, of its Unicode tables (they decide pretokens), of Python (it decides nothing).
        curve: Vocabulary size → tokens of the training text, from the start to the last merge. Thinned: kept are the
            multiples of the largest power of two that is at most 1/32 of them (so at least 32 points a doubling, powers
            of two included), multiples of 1,000, the first and the last.
        samples: The samples that stand for whole corpora.
        weights: How sources were weighted, exactly; empty when none was. All numbers of the record are in units of
            text: bytes, characters, tokens and counts are weighted, and rounded down.
        power: The multipliers of ``weights`` are in units of 2**-power.
        long_pretokens: What is known of pretokens longer than 1,000 bytes; None where there are none.
    """

    options: TrainingOptions
    sources: tuple[Source, ...]
    documents: int
    bytes: int
    characters: int
    invalid_bytes: int
    pretokens: int
    distinct_pretokens: int
    base: str | None
    base_size: int
    merges: int
    vocab_size: int
    stop: StopReason
    versions: dict[str, str]
    curve: tuple[CurvePoint, ...]
    samples: tuple[Sample, ...] = ()
    weights: tuple[Weight, ...] = ()
    power: int = 0
    long_pretokens: LongPretokens | None = None

    __hash__ = None  # type: ignore[assignment]  # versions is a dict

    def to_json(self) -> str:
        """The record as JSON text, one point of the curve a line, ending in a newline."""
        record: dict[str, Any] = {"format": _FORMAT, "format_version": _FORMAT_VERSION}
        for each in fields(self):
            record[each.name] = getattr(self, each.name)
        pattern = self.options.pattern
        options = {each.name: getattr(self.options, each.name) for each in fields(self.options)}
        record["options"] = {**options, "pattern": {"name": pattern.name, "stages": list(pattern.stages)}}
        for name in ("sources", "samples", "weights"):
            record[name] = [asdict(each) for each in getattr(self, name)]
        record["long_pretokens"] = None if self.long_pretokens is None else asdict(self.long_pretokens)
        del record["curve"]
        record["curve"] = []  # the last, a line a point
        rows = ",\n".join(f"    {json.dumps(asdict(point))}" for point in self.curve)
        text = json.dumps(record, ensure_ascii=False, indent=2)
        return text.removesuffix("[]\n}") + f"[\n{rows}\n  ]\n}}\n"

    @classmethod
    def from_json(cls, text: str) -> TrainingRecord:
        """Read what :meth:`to_json` wrote.

        Raises:
            FormatError: The text is something else.
        """
        try:
            record = opened_record(text, "training record", _FORMAT, _FORMAT_VERSION)
            options = record.pop("options")
            options["pattern"] = Pattern(tuple(options["pattern"]["stages"]), options["pattern"]["name"])
            return cls(
                options=TrainingOptions(**options),
                sources=tuple(Source(**source) for source in record.pop("sources")),
                curve=tuple(CurvePoint(**point) for point in record.pop("curve")),
                samples=tuple(Sample(**each) for each in record.pop("samples", ())),
                weights=tuple(Weight(**each) for each in record.pop("weights", ())),
                long_pretokens=LongPretokens(**long) if (long := record.pop("long_pretokens", None)) else None,
                **record,
            )
        except FormatError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"this is no training record: {type(error).__name__}: {error}") from None


def _curve(
    corpus_bytes: int, before: int, tokens: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], power: int
) -> list[CurvePoint]:
    last = len(tokens) - 1
    sizes = before + np.arange(len(tokens))
    strides = 1 << np.maximum(0, np.frexp(sizes)[1] - 6)  # the largest power of two at most size / 32
    shown = (sizes % strides == 0) | (sizes % 1000 == 0)
    shown[[0, last]] = True
    points = []
    for merge in np.flatnonzero(shown).tolist():
        total = int(tokens[merge])
        count = int(counts[merge - 1]) if merge else 0
        points.append(CurvePoint(before + merge, total >> power, corpus_bytes / total, count >> power))
    return points


# --- learning ---------------------------------------------------------------------------------------------------------


def train(
    source: SourceLike | Counts,
    vocab_size: int | None = None,
    *,
    num_merges: int | None = None,
    min_count: int = 2,
    pattern: str | Sequence[str] | Pattern | None = None,
    special_tokens: Sequence[str] | None = None,
    max_token_bytes: int | None = None,
    max_pretoken_bytes: int | None = None,
    byte_order: ByteOrder = "value",
    normalizer: str | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    min_pretoken_count: int = 1,
    weights: Mapping[str, str] | None = None,
    sample: int | None = None,
    sample_seed: int = 0,
    resume: str | os.PathLike[str] | None = None,
    resume_seconds: float = 30.0,
) -> Tokenizer:
    """Train a byte-level BPE vocabulary.

    The result depends on the text and on the options that :class:`TrainingOptions` describes, and on nothing else: not
    on the order of files or documents, on threads, or on the machine.

    Args:
        source: Path(s), a folder, a glob, an iterable of documents (str or bytes), or ``Counts``. Paths may be those of
            count files, too, which ``bbpe pretokens`` and :func:`bbpe.count_files.write_counts` write: all are added up.
        vocab_size: Entries in the end: 256 bytes, merges, special tokens. Fewer when no pair is left that occurs
            ``min_count`` times: the record says so, and nothing is padded.
        num_merges: Merges to learn, instead or as a second limit.
        min_count: Pairs that occur less often are not merged.
        pattern: What cuts text into pretokens. None means ``"llama3"``, or that of the ``Counts`` or count files.
        special_tokens: Strings cut out of the text; they get the last ids. None means none, or those of the ``Counts``
            or count files.
        max_token_bytes: No merge makes a longer token.
        max_pretoken_bytes: Longer pretokens are cut.
        byte_order: ``"gpt2"`` numbers bytes as OpenAI's and Hugging Face's files do.
        normalizer: ``"NFC"`` or None.
        threads: Threads for counting; as many as there are processors when None.
        progress: Called now and then, in the calling thread: phase ``"counting"``, then ``"merging"``.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Each line of a text file is a document.
        strict: Invalid UTF-8 is an error; otherwise its bytes are kept, and the record says how many there were.
        min_pretoken_count: Leave out pretokens that occur less often: less memory, and another result.
        weights: The weight of each source, by its path as given: a decimal number such as ``"0.7"``. Its share of all
            weights is the source's share of bytes; see ``mixture.py`` for how that is exact.
        sample: Learn from a sample of the documents, of at most so many bytes of text; see :class:`bbpe.corpus.Sample`.
        sample_seed: What decides which documents are in the sample.
        resume: A folder to keep in what is done, so that the same call goes on from there when its process died; a
            larger ``vocab_size`` goes on, too. The result is the same as without. It may be removed afterwards.
        resume_seconds: How long to work between two times that something is kept: what a death costs, at most.

    Raises:
        TrainingError: Options out of range or in contradiction, also with the ``Counts``; a corpus without text; a
            folder that another training is kept in.
        CorpusError: A corpus that cannot be read.
        MissingExtraError: Parquet is to be read, and pyarrow is not installed.
        OutputError: The folder to resume from cannot be written.
        PatternError: A pattern that does not exist or compile.

    >>> tok = train(["low lower lowest " * 9, "newer wider " * 9], 263, pattern="gpt2")
    >>> tok.tokens("lower"), tok.training_record.stop
    ([b'low', b'er'], 'vocab_size')
    """
    made: Counts | None = source if isinstance(source, Counts) else None
    if made is not None and (weights is not None or sample is not None or resume is not None):
        raise TrainingError("weights, sample and resume are for what is still to be counted; these are Counts already")
    asked = TrainingOptions(
        vocab_size=vocab_size,
        num_merges=num_merges,
        min_count=min_count,
        pattern=get_pattern("llama3" if pattern is None else pattern),
        special_tokens=_special_tokens(() if special_tokens is None else special_tokens),
        max_token_bytes=max_token_bytes,
        max_pretoken_bytes=max_pretoken_bytes,
        byte_order=byte_order,
        normalizer=normalizer,
        text_field=text_field,
        lines=lines,
        strict=strict,
        min_pretoken_count=min_pretoken_count,
        weights=tuple((weights or {}).items()),
        sample=sample,
        sample_seed=sample_seed,
    )
    asked.merges_wanted()  # refuse before anything is read
    if pattern is not None:
        Pretokenizer(asked.pattern)
    mixture = None
    if made is None:
        mixture = Mixture.of(
            source,  # type: ignore[arg-type]  # not Counts
            pattern=None if pattern is None else asked.pattern,
            special_tokens=None if special_tokens is None else asked.special_tokens,
            normalizer=normalizer,
            max_pretoken_bytes=asked.max_pretoken_bytes,
            weights=weights,
        )
    about = mixture if mixture is not None else made
    assert about is not None  # one of the two
    # What was counted already says what was not asked for.
    options = replace(
        asked,
        pattern=about.pattern if pattern is None else asked.pattern,
        special_tokens=_special_tokens(about.special_tokens if special_tokens is None else asked.special_tokens),
        max_pretoken_bytes=about.max_pretoken_bytes if max_pretoken_bytes is None else asked.max_pretoken_bytes,
        normalizer=about.normalizer if normalizer is None else normalizer,
    )
    options.merges_wanted()  # refuse before a long count, not after it
    with contextlib.ExitStack() as stack:
        checkpoint = None
        if resume is not None:
            assert mixture is not None  # refused above
            checkpoint = stack.enter_context(Checkpoint(resume, resume_seconds))
            checkpoint.begin(_identity(options, mixture))
        if mixture is not None:
            counts = mixture.count(
                sample=options.sample,
                sample_seed=options.sample_seed,
                min_pretoken_count=options.min_pretoken_count,
                threads=threads,
                progress=progress,
                text_field=text_field,
                lines=lines,
                strict=strict,
                checkpoint=checkpoint,
            )
        else:
            assert made is not None  # no mixture
            counts = made.without_rare(options.min_pretoken_count)
        warn_of_long_pretokens(counts, stacklevel=2)
        run = _Run(counts, None, options, kept=None if checkpoint is None else checkpoint.merges())
        del counts, made, about, source  # the merge loop has its own copy: the text's memory is free for it
        vocabulary, record = run.finish(progress, checkpoint)
    return Tokenizer(vocabulary, training_record=record)


def _identity(options: TrainingOptions, mixture: Mixture) -> dict[str, object]:
    """What tells a training from another. Not how many merges it is to learn: it learns on, or has learned more."""
    files = mixture.files
    if files is None or "-" in files:
        raise TrainingError("only a training on files can be resumed; name files")
    seen = []
    for file in files:
        try:
            status = os.stat(file)
        except OSError as error:
            raise CorpusError(
                f"{file}: cannot be read: {error.strerror}; check the file and its permissions"
            ) from error
        seen.append([file, status.st_size, status.st_mtime_ns])
    identity: dict[str, object] = {
        each.name: getattr(options, each.name)
        for each in fields(options)
        if each.name not in ("vocab_size", "num_merges", "pattern")
    }
    return {
        **identity,
        "pattern": list(options.pattern.stages),
        "pattern_name": options.pattern.name,
        "corpus": seen,
        "bbpe": bbpe.__version__,
        "unicode": unicode_version(),
    }


def warn_of_long_pretokens(counts: Counts, *, stacklevel: int = 1) -> None:
    """Warn where a thousandth of the text, or a single megabyte, is pretokens longer than any word or clause.

    They train as quickly as other text; but no two of them are alike, so that they take memory like no other text, and
    the merges learned in them serve nothing else.
    """
    long = counts.long_pretokens()
    if long is None:
        return
    share = long.bytes / max(1, counts.bytes >> counts.power)
    if share >= 0.001 or long.longest >= 1_000_000:
        warnings.warn(
            f"{long.pretokens:,} pretokens ({share:.1%} of the text) are longer than {LONG_PRETOKEN_BYTES:,} bytes: the "
            f"pattern finds no place to cut them; the longest, {long.longest:,} bytes, begins {long.example!r}. Where "
            "that is no text worth learning from take it out of the corpus, or cut it with max_pretoken_bytes "
            "(--max-pretoken-bytes)",
            LongPretokenWarning,
            stacklevel=stacklevel + 1,
        )


def learn(
    counts: Counts,
    base: Vocabulary | None,
    options: TrainingOptions,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Vocabulary, TrainingRecord]:
    """Learn merges on top of a base: training from scratch is the extension of the 256 bytes.

    The base's tokens, ids and merges stay as they are; a rank table becomes the list of all its splits
    (:func:`as_merge_list`). New tokens get the ids after the base's last one, special tokens included, and
    ``options.special_tokens`` those after them. A pair whose bytes are a token already is never learned.

    Args:
        counts: The pretokens, counted with the pattern, special tokens and normalizer of ``options``.
        base: What to extend; None for the 256 bytes.
        options: ``vocab_size`` counts the entries of the base too. ``byte_order`` must be ``"value"`` with a base.
        progress: Called now and then, in the calling thread, with the merges learned.

    Raises:
        TrainingError: Options that contradict the counts or the base, counts without text, or too large.
        EncodeError: The base has no token for a byte of the text.
    """
    run = _Run(counts, base, options)
    return run.finish(progress)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedMerges:
    """Merges on top of a base, before anybody has numbered their tokens for good.

    Attributes:
        first_id: The id that merge 0 makes in ``pairs``; merge *r* makes ``first_id + r``.
        pairs: (left id, right id) of each merge, in learning order: uint32[merges, 2].
        counts: The count that each merge won with: int64[merges].
        tokens: Tokens of the counted text before the first merge and after each: int64[merges + 1].
        exhausted: Whether no pair was left that may be merged.
    """

    first_id: int
    pairs: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]
    exhausted: bool

    def __len__(self) -> int:
        return len(self.counts)


def learn_merges(
    counts: Counts,
    base: Vocabulary,
    options: TrainingOptions,
    *,
    rules: Rules | None = None,
    tokenizer: Tokenizer | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> LearnedMerges:
    """Learn merges on top of a base, as :func:`learn` does, without making a vocabulary of them.

    Args:
        counts: The pretokens, counted with the pattern, special tokens and normalizer of ``options``.
        base: What to extend: a merge list.
        options: As for :func:`learn`.
        rules: What tokens may be made; None: all.
        tokenizer: One that gives the ids that ``base`` gives, where there is one already.
        progress: Called now and then, in the calling thread, with the merges learned.

    Raises:
        TrainingError: Options that contradict the counts or the base, counts without text, or too large.
        EncodeError: The base has no token for a byte of the text.
    """
    return _Run(counts, base, options, rules, tokenizer).run(progress)


class _Run:
    """One training: construction checks and takes what it needs of the counts, ``finish`` does the rest."""

    def __init__(
        self,
        counts: Counts,
        base: Vocabulary | None,
        options: TrainingOptions,
        rules: Rules | None = None,
        tokenizer: Tokenizer | None = None,
        kept: MergesKept | None = None,
    ) -> None:
        _check_agreement(counts, base, options)
        self.options = options
        self.kept = MergesKept.none()
        self.wanted = options.merges_wanted(base)
        self.base = None if base is None else as_merge_list(base)
        self.power = counts.power
        self.units = counts.bytes
        self.facts: dict[str, Any] = {
            name: getattr(counts, name) for name in ("sources", "documents", "samples", "weights", "power")
        }
        for name in ("bytes", "characters", "invalid_bytes", "pretokens"):
            self.facts[name] = getattr(counts, name) >> counts.power
        self.facts["distinct_pretokens"] = len(counts)
        self.facts["long_pretokens"] = counts.long_pretokens()
        _check_size(counts)
        taken = [token.encode() for token in options.special_tokens]
        if self.base is None:
            order: npt.NDArray[np.uint32] | None
            order = byte_order = byte_ids(options.byte_order)
            tokens: list[bytes | None] = [b""] * 256
            for byte, id in enumerate(byte_order.tolist()):
                tokens[id] = bytes([byte])
            self.first_id = 256
            symbols: npt.NDArray[np.uint8] | npt.NDArray[np.uint32] = counts.data
            offsets = counts.offsets
            if kept is not None and len(kept):
                self.kept = kept = kept.first(self.wanted)
                # Encoding with the first merges is what learning them made of the pretokens: learning goes on there.
                begun = self._vocabulary(kept.merges, ())
                symbols, offsets = _encoded(counts, Tokenizer(begun))
                tokens += [begun.tokens[id] for id in range(256, 256 + len(kept))]
                order = None
        else:
            order = None
            self.first_id = self.base.id_space
            tokens = [None] * self.first_id
            for id, token in self.base.tokens.items():
                tokens[id] = token
            taken += [special.content.encode() for special in self.base.special_tokens]
            symbols, offsets = _encoded(counts, Tokenizer(self.base) if tokenizer is None else tokenizer)
        least = options.min_count << counts.power
        if least > MAX_TOTAL:
            raise TrainingError(f"min_count is {options.min_count}; with these weights 64 bits cannot count so far")
        self.learner = learner(
            symbols,
            offsets,
            counts.counts,
            tokens,
            byte_ids=order,
            taken=taken,
            first_id=self.first_id + len(self.kept),
            min_count=least,
            max_token_bytes=None if options.max_token_bytes is None else min(options.max_token_bytes, 2**32 - 1),
            rules=rules,
        )

    def run(self, progress: Callable[[Progress], None] | None, checkpoint: Checkpoint | None = None) -> LearnedMerges:
        """Learn all merges. Between native steps Python runs: an exception there ends the training, Ctrl-C included."""
        native = self.learner
        before = len(self.kept)
        total = None if self.wanted == MAX_TOTAL else self.wanted
        due = 0.0
        keep = time.monotonic() + (checkpoint.seconds if checkpoint is not None else 0)
        going = True
        while going and before + len(native) < self.wanted:
            if progress is not None and time.monotonic() >= due:
                due = time.monotonic() + _REPORT_SECONDS
                progress(Progress("merging", before + len(native), total, "merges"))
            going = native.learn(self.wanted - before, _STEP)
            if checkpoint is not None and time.monotonic() >= keep:
                checkpoint.save_merges(self.kept.and_then(native.merges, native.counts, native.corpus_tokens))
                keep = time.monotonic() + checkpoint.seconds
        if progress is not None:
            learned = before + len(native)
            progress(Progress("merging", learned, total if going else learned, "merges"))
        kept = self.kept.and_then(native.merges, native.counts, native.corpus_tokens)
        del native, self.learner  # its memory is free for the vocabulary
        if checkpoint is not None and len(kept) > before:
            checkpoint.save_merges(kept)
        return LearnedMerges(self.first_id, kept.merges, kept.counts, kept.tokens, not going)

    def finish(
        self, progress: Callable[[Progress], None] | None, checkpoint: Checkpoint | None = None
    ) -> tuple[Vocabulary, TrainingRecord]:
        """Learn all merges, and make a vocabulary of them."""
        learned = self.run(progress, checkpoint)
        vocabulary = self._vocabulary(learned.pairs, self.options.special_tokens)
        return vocabulary, self._record(vocabulary, learned.tokens, learned.counts)

    def _vocabulary(self, learned: npt.NDArray[np.uint32], special_tokens: Sequence[str]) -> Vocabulary:
        options, base = self.options, self.base
        merges: list[tuple[int, int]] = list(zip(learned[:, 0].tolist(), learned[:, 1].tolist(), strict=True))
        if base is None:
            tokens = {id: bytes([byte]) for byte, id in enumerate(byte_ids(options.byte_order).tolist())}
            known: tuple[tuple[int, int], ...] = ()
            specials: list[SpecialToken] = []
        else:
            assert base.merges is not None  # as_merge_list
            tokens, known, specials = dict(base.tokens), base.merges, list(base.special_tokens)
        for id, (left, right) in enumerate(merges, self.first_id):
            tokens[id] = tokens[left] + tokens[right]
        after = self.first_id + len(merges)
        specials += [SpecialToken(content, after + place) for place, content in enumerate(special_tokens)]
        if base is not None:
            return base.replace(tokens=tokens, merges=(*known, *merges), special_tokens=specials, name=None)
        return Vocabulary(
            tokens, merges=merges, special_tokens=specials, pattern=options.pattern, normalizer=options.normalizer
        )

    def _record(
        self, vocabulary: Vocabulary, tokens: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
    ) -> TrainingRecord:
        base_size = 256 if self.base is None else self.base.vocab_size
        merges = len(counts)
        stop: StopReason = "min_count"
        if vocabulary.vocab_size == self.options.vocab_size:
            stop = "vocab_size"
        elif merges == self.options.num_merges:
            stop = "num_merges"
        before = base_size + len(self.options.special_tokens)
        return TrainingRecord(
            options=self.options,
            **self.facts,
            base=None if self.base is None else self.base.name or "unnamed",
            base_size=base_size,
            merges=merges,
            vocab_size=vocabulary.vocab_size,
            stop=stop,
            versions={
                "bbpe": bbpe.__version__,
                "unicode": unicode_version(),
                "python": platform.python_version(),
            },
            curve=tuple(_curve(self.units, before, tokens, counts, self.power)),
        )


def byte_ids(byte_order: ByteOrder = "value") -> npt.NDArray[np.uint32]:
    """The id of each byte: uint32[256].

    ``"gpt2"`` is the order of OpenAI's and Hugging Face's files: first the 188 bytes that are printable in Latin-1,
    then the other 68, both ascending.

    >>> byte_ids("gpt2")[[33, 255, 0, 32, 173]].tolist()
    [0, 187, 188, 220, 255]
    """
    if byte_order == "value":
        return np.arange(256, dtype=np.uint32)
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    order = printable + sorted(set(range(256)).difference(printable))
    ids = np.empty(256, dtype=np.uint32)
    ids[order] = np.arange(256, dtype=np.uint32)
    return ids


def as_merge_list(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary with a merge list; a rank table becomes the list of all splits of its tokens, by their ranks.

    That is the same encoder, while the canonical split alone loses tokens (Llama 3: 107 of them).
    """
    if vocabulary.ranks is None:
        return vocabulary
    merges: list[tuple[int, int]] = []
    tokens, ids = vocabulary.tokens, vocabulary.ids
    for id in vocabulary.ranks:
        token = tokens[id]
        splits = []
        for at in range(1, len(token)):
            left = ids.get(token[:at])
            if left is not None:
                right = ids.get(token[at:])
                if right is not None:
                    splits.append((left, right))
        merges += sorted(splits)
    return vocabulary.replace(merges=merges, ranks=None)


def _check_agreement(counts: Counts, base: Vocabulary | None, options: TrainingOptions) -> None:
    for what, mine, theirs in (
        ("pattern", options.pattern, counts.pattern),
        ("special_tokens", set(options.special_tokens), set(counts.special_tokens)),
        ("normalizer", options.normalizer, counts.normalizer),
        ("max_pretoken_bytes", options.max_pretoken_bytes, counts.max_pretoken_bytes),
    ):
        if base is not None and what == "special_tokens" and isinstance(mine, set):
            mine = mine | {special.content for special in base.special_tokens}
        if mine != theirs:
            raise TrainingError(
                f"the counts were made with {what} {theirs!r}, not {mine!r}; leave it out or count again"
            )
    if base is not None:
        if options.byte_order != "value":
            raise TrainingError(f"byte_order is {options.byte_order!r}, but the base has its ids already; leave it out")
        for what, mine, theirs in (
            ("pattern", options.pattern, base.pattern),
            ("normalizer", options.normalizer, base.normalizer),
        ):
            if mine != theirs:
                raise TrainingError(f"{what} is {mine!r}, but that of the base is {theirs!r}; use the base's")
        for special in base.special_tokens:
            if special.content in options.special_tokens:
                raise TrainingError(f"special token {special.content!r} is in the base already; leave it out")
    if len(counts) == 0:
        raise TrainingError("there is no text to learn from: the corpus is empty, or all of it is special tokens")


def _check_size(counts: Counts) -> None:
    lengths = np.diff(counts.offsets)
    if len(counts.data) + len(counts) >= MAX_CELLS:
        raise TrainingError(
            f"{len(counts):,} distinct pretokens have {len(counts.data):,} bytes, and the merge loop can number 2**32; "
            "train on a sample, or cut long pretokens with max_pretoken_bytes"
        )
    # In floating point first: the exact sum may not fit the integers that numpy would use.
    if float(lengths.astype(np.float64) @ counts.counts.astype(np.float64)) > MAX_TOTAL / 2:
        total = sum(length * count for length, count in zip(lengths.tolist(), counts.counts.tolist(), strict=True))
        if total > MAX_TOTAL:
            raise TrainingError(f"the counts stand for {total:,} bytes, more than 64 bits can count; scale them down")


def _encoded(counts: Counts, tokenizer: Tokenizer) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The pretokens as the base encodes them: ids, and where each pretoken begins among them."""
    ids = _encoded_ids(counts, tokenizer)
    lengths = np.zeros(tokenizer.id_space, dtype=np.int64)
    for id, token in tokenizer.vocabulary.tokens.items():
        lengths[id] = len(token)
    ends = np.cumsum(lengths[ids])
    offsets = np.zeros(len(counts.offsets), dtype=np.int64)
    offsets[1:] = np.searchsorted(ends, counts.offsets[1:]) + 1
    return ids, offsets


def _encoded_ids(counts: Counts, tokenizer: Tokenizer) -> npt.NDArray[np.uint32]:
    # Tokenizer has no public way to encode pretokens that are cut already, and should have none for text.
    encode = tokenizer._encoder.encode_pretokens
    starts = np.linspace(0, len(counts), (os.cpu_count() or 1) + 1).astype(np.int64)
    if len(counts.data) >= _SHARED_BYTES and len(starts) > 2:
        edges = counts.offsets[starts]

        def part(number: int) -> npt.NDArray[np.uint32]:
            ends = counts.offsets[starts[number] + 1 : starts[number + 1] + 1] - edges[number]
            return encode(counts.data[edges[number] : edges[number + 1]].tobytes(), ends.astype(np.uint64))

        try:
            with ThreadPoolExecutor(len(starts) - 1) as pool:
                return np.concatenate(list(pool.map(part, range(len(starts) - 1))))
        except EncodeError:
            pass  # said again below, with its place in all of the text
    return encode(counts.data.tobytes(), counts.offsets[1:].astype(np.uint64))
