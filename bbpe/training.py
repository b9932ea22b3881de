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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe._characters import learner, trial_pays, trial_step
from bbpe._count import release_free_memory
from bbpe._joint import JointLearner
from bbpe._merge import MergeLearner, Rules
from bbpe.checkpoints import Checkpoint, MergesKept
from bbpe.corpus import Forecast, Progress, Sample, Source, SourceLike
from bbpe.count_files import is_count_file
from bbpe.counts import (
    LONG_PRETOKEN_BYTES,
    Counts,
    CountsOnDisk,
    LongPretokens,
    Tally,
    Weight,
    add_up,
    count_pretokens,
)
from bbpe.errors import CorpusError, EncodeError, FormatError, TrainingError
from bbpe.memory import at_most_resident, megabytes, merging_bytes
from bbpe.mixture import Mixture
from bbpe.normalizer import normalize
from bbpe.patterns import Pattern, Pretokenizer, get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.unicode import unicode_version
from bbpe.vocabulary import SpecialToken, Vocabulary

__all__ = [
    "SUPERWORD_PATTERN",
    "BalancedLanguage",
    "CurvePoint",
    "LearnedMerges",
    "LongPretokenWarning",
    "SuperwordStage",
    "TrainingOptions",
    "TrainingRecord",
    "as_merge_list",
    "begins_by_character",
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
SUPERWORD_PATTERN = r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]{2,}[\r\n/]*| +(?!\S)"
"""Where superwords end, unless asked otherwise: SuperBPE's own second pattern (Liu et al. 2025, arXiv:2503.13423;
``scripts/extend_tokenizer.sh`` of PythonNut/superbpe). Digits, runs of punctuation and spaces before a line's end stay
apart; what stands between them is one pretoken, lines and sentences long."""

_REPORT_SECONDS = 0.1
_BLOCK_IDS = 1 << 16
_SHARED_BYTES = 1 << 20  # distinct pretokens of so many bytes are encoded in several threads
_MOST_PARTS = 1 << 22  # of seed tokens; more of them take more memory than all rare pairs of a text
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
        utf8_safe: Tokens are whole characters, or a single piece of one; never a character and a piece of the next.
            Extensions have it, too; "character integrity" in Land and Arnett 2025, arXiv:2505.24689.
        balance: (path of a source, path of its side of a parallel text): the next merge is always the best one of the
            source whose side has the most tokens. Empty: the best one of all text. Parity-aware BPE, Foroutan et al.
            2025, arXiv:2508.04796.
        superwords: From so many entries on, merges cross the edges of ``pattern``, up to those of ``superword_pattern``.
            SuperBPE, Liu et al. 2025, arXiv:2503.13423.
        superword_pattern: The looser pattern, which is then that of the vocabulary. None: ``SUPERWORD_PATTERN``.
        protect: Strings that are pretokens wherever they occur, in training and in encoding: no merge crosses their
            edges, and none of them is ever a part of a longer token, but of one that is protected itself. To have them
            as tokens, too, name them in ``seed_tokens``. Both are wanted in huggingface/tokenizers#1380.
        seed_tokens: Strings that are tokens in the end. huggingface/tokenizers#1862 asks for it, and puts their merges
            first; here they come last, so that all other merges are those of plain BPE.

    ``reference.py`` says what the last six mean, point 15.

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
    utf8_safe: bool = False
    balance: tuple[tuple[str, str], ...] = ()
    superwords: int | None = None
    superword_pattern: Pattern | None = None
    protect: tuple[str, ...] = ()
    seed_tokens: tuple[str, ...] = ()

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
            "balance": tuple((path, side) for path, side in self.balance),
            "superwords": _integer("superwords", self.superwords, 256),
            "protect": _strings("protect", self.protect),
            "seed_tokens": _strings("seed_tokens", self.seed_tokens),
        }
        if self.superword_pattern is not None:
            checked["superword_pattern"] = get_pattern(self.superword_pattern)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.byte_order not in ("value", "gpt2"):
            raise TrainingError(f"byte_order is {self.byte_order!r}; expected 'value' or 'gpt2'")
        if self.normalizer not in (None, "NFC"):
            raise TrainingError(f"normalizer is {self.normalizer!r}; expected None or 'NFC'")
        if not isinstance(self.text_field, str):
            raise TypeError(f"text_field is a str, not {type(self.text_field).__name__}")
        for name, flag in (("lines", self.lines), ("strict", self.strict), ("utf8_safe", self.utf8_safe)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} is True or False, not {flag!r}")
        if self.vocab_size is None and self.num_merges is None:
            raise TrainingError("neither vocab_size nor num_merges is given; one of them has to end the training")
        self._check_options_of_the_loop()

    def _check_options_of_the_loop(self) -> None:
        """What does not go together, and why."""
        if self.superword_pattern is not None and self.superwords is None:
            raise TrainingError("superword_pattern is given without superwords, the entries from which on it holds")
        if self.superwords is not None:
            if self.vocab_size is not None and self.superwords >= self.vocab_size:
                raise TrainingError(
                    f"superwords begin at {self.superwords:,} entries, but there are to be {self.vocab_size:,} in all; "
                    "begin earlier"
                )
            if self.min_pretoken_count > 1:
                raise TrainingError(
                    "min_pretoken_count does not go with superwords: their pretokens are sentences and lines, of which "
                    "nearly every one occurs once"
                )
        if self.balance:
            for name, there in (
                ("weights", bool(self.weights)),
                ("sample", self.sample is not None),
                ("min_pretoken_count", self.min_pretoken_count > 1),
                ("superwords", self.superwords is not None),
            ):
                if there:
                    raise TrainingError(f"balance does not go with {name}; leave one of the two out")
            if len(self.balance) < 2:
                raise TrainingError("balance is for two languages or more; each has a source and a side")
        for string in self.protect:
            for special in self.special_tokens:
                if special in string or string in special:
                    raise TrainingError(
                        f"{string!r} is to be protected, and {special!r} is a special token, which is cut out of the "
                        "text before; leave one of the two out"
                    )
        self._check_seeds()

    def _check_seeds(self) -> None:
        if not self.seed_tokens:
            return
        pattern = Pretokenizer(self.last_pattern)
        most = min(size for size in (self.max_token_bytes, self.max_pretoken_bytes, MAX_TOTAL) if size is not None)
        for seed in self.seed_tokens:
            for special in self.special_tokens:
                if special in seed:
                    raise TrainingError(
                        f"seed token {seed!r} holds the special token {special!r}, which is cut out of all text"
                    )
            if self.normalizer is not None and normalize(seed) != seed:
                raise TrainingError(
                    f"seed token {seed!r} is not in the form that the normalizer {self.normalizer} makes"
                )
            if len(seed.encode()) > most:
                raise TrainingError(f"seed token {seed!r} has {len(seed.encode())} bytes; at most {most} are allowed")
            pieces = pattern.split(seed)
            if len(pieces) > 1:
                shown = ", ".join(repr(piece.decode("utf-8", "replace")) for piece in pieces[:4])
                raise TrainingError(
                    f"seed token {seed!r} can never occur: the pattern cuts it into {shown}; protect it as well, or "
                    "take another pattern"
                )

    @property
    def first_pattern(self) -> Pattern:
        """What cuts text for the first merges: ``pattern``, with what is protected."""
        return self.pattern.protecting(self.protect)

    @property
    def last_pattern(self) -> Pattern:
        """What cuts text for the last merges, and in encoding."""
        if self.superwords is None:
            return self.first_pattern
        return (self.superword_pattern or get_pattern(SUPERWORD_PATTERN)).protecting(self.protect)

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


def _strings(name: str, strings: Sequence[str]) -> tuple[str, ...]:
    """Strings that are not empty, each once, in order."""
    if isinstance(strings, (str, bytes)):
        raise TypeError(f"{name} is a list of str, not one")
    for string in strings:
        if not isinstance(string, str):
            raise TypeError(f"{name} holds str, not {type(string).__name__}")
        if not string:
            raise TrainingError(f"{name} holds an empty string; leave it out")
        try:
            string.encode()
        except UnicodeEncodeError:
            raise TrainingError(f"{name} holds {string!r}, a lone surrogate, which has no UTF-8") from None
    return tuple(dict.fromkeys(strings))


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
class BalancedLanguage:
    """What balancing did for one language.

    Attributes:
        path: Its source.
        parallel: Its side of the parallel text.
        lines: Lines of that: as many as every other side has.
        tokens: Tokens of the side in the end.
        merges: Merges that were chosen for this language.
    """

    path: str
    parallel: str
    lines: int
    tokens: int
    merges: int


@dataclass(frozen=True, slots=True)
class SuperwordStage:
    """The second stage of a training with superwords.

    Attributes:
        begins_at: Entries when it began, special tokens included.
        pretokens: Pretokens of the second pattern.
        distinct_pretokens: Distinct ones among them.
    """

    begins_at: int
    pretokens: int
    distinct_pretokens: int


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
        languages: Where languages were balanced: what that did for each.
        superwords: Where there are superwords: their stage. ``pretokens`` and ``distinct_pretokens`` are those of the
            first stage, and so is the curve before the second begins.
        seed_merges: Merges that only seed tokens asked for.
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
    languages: tuple[BalancedLanguage, ...] = ()
    superwords: SuperwordStage | None = None
    seed_merges: int = 0

    __hash__ = None  # type: ignore[assignment]  # versions is a dict

    def to_json(self) -> str:
        """The record as JSON text, one point of the curve a line, ending in a newline."""
        record: dict[str, Any] = {"format": _FORMAT, "format_version": _FORMAT_VERSION}
        for each in fields(self):
            record[each.name] = getattr(self, each.name)
        options = {each.name: getattr(self.options, each.name) for each in fields(self.options)}
        for name in ("pattern", "superword_pattern"):
            pattern = options[name]
            options[name] = None if pattern is None else {"name": pattern.name, "stages": list(pattern.stages)}
        record["options"] = options
        for name in ("sources", "samples", "weights", "languages"):
            record[name] = [asdict(each) for each in getattr(self, name)]
        for name in ("long_pretokens", "superwords"):
            record[name] = None if record[name] is None else asdict(record[name])
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
            for name in ("pattern", "superword_pattern"):
                if options.get(name) is not None:
                    options[name] = Pattern(tuple(options[name]["stages"]), options[name]["name"])
            return cls(
                options=TrainingOptions(**options),
                sources=tuple(Source(**source) for source in record.pop("sources")),
                curve=tuple(CurvePoint(**point) for point in record.pop("curve")),
                samples=tuple(Sample(**each) for each in record.pop("samples", ())),
                weights=tuple(Weight(**each) for each in record.pop("weights", ())),
                long_pretokens=LongPretokens(**long) if (long := record.pop("long_pretokens", None)) else None,
                languages=tuple(BalancedLanguage(**each) for each in record.pop("languages", ())),
                superwords=SuperwordStage(**stage) if (stage := record.pop("superwords", None)) else None,
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
    utf8_safe: bool = False,
    balance: Mapping[str, str] | None = None,
    superwords: int | None = None,
    superword_pattern: str | Sequence[str] | Pattern | None = None,
    protect: Sequence[str] = (),
    seed_tokens: Sequence[str] = (),
    memory: int | None = None,
    spill_folder: str | os.PathLike[str] | None = None,
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
        utf8_safe: Make no token that holds a character and a piece of another: whole characters, or one piece.
        balance: For each source, by its path as given, the path of its side of a parallel text (line *n* says the same
            on every side): the next merge is the best one of the source whose side has the most tokens at that moment.
        superwords: From so many entries on, learn merges across the edges of ``pattern``, which is for the first stage
            only: the vocabulary's pattern is ``superword_pattern``. The text is read twice.
        superword_pattern: The looser pattern; None: ``SUPERWORD_PATTERN``.
        protect: Strings that no merge may join with what stands beside them, nor make a part of a longer token; in
            encoding, too, since the vocabulary's pattern says so.
        seed_tokens: Strings that are to be tokens. Those that are not learned anyway get their merges last.
        memory: Bytes that the whole process may have, Python included; None: no limit. What does not fit while counting
            goes to disk; merging is refused where it would not fit. The result is the same.
        spill_folder: Where to make a folder for what does not fit, which is gone afterwards; None: where the system
            keeps temporary files. With ``resume`` it is that folder.

    Raises:
        TrainingError: Options out of range or in contradiction, also with the ``Counts``; a corpus without text; a
            folder that another training is kept in; too little memory.
        CorpusError: A corpus that cannot be read.
        MissingExtraError: Parquet is to be read, and pyarrow is not installed.
        OutputError: The folder to resume from, or that for what does not fit in memory, cannot be written.
        PatternError: A pattern that does not exist or compile.

    >>> tok = train(["low lower lowest " * 9, "newer wider " * 9], 263, pattern="gpt2")
    >>> tok.tokens("lower"), tok.training_record.stop
    ([b'low', b'er'], 'vocab_size')
    """
    made: Counts | None = source if isinstance(source, Counts) else None
    for name, there in (
        ("balance", balance is not None),
        ("superwords", superwords is not None),
        ("protect", len(protect) > 0),
    ):
        if there and made is not None:
            raise TrainingError(f"{name} decides how text is counted, and these are Counts already")
    if resume is not None and (balance is not None or superwords is not None or len(seed_tokens)):
        raise TrainingError("a training with balance, superwords or seed_tokens cannot be resumed; leave resume out")
    if memory is not None and (balance is not None or superwords is not None or len(seed_tokens)):
        raise TrainingError("what balance, superwords or seed_tokens take is not known beforehand; leave memory out")
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
        utf8_safe=utf8_safe,
        balance=tuple((balance or {}).items()),
        superwords=superwords,
        superword_pattern=None if superword_pattern is None else get_pattern(superword_pattern),
        protect=tuple(protect),
        seed_tokens=tuple(seed_tokens),
    )
    asked.merges_wanted()  # refuse before anything is read
    if pattern is not None:
        Pretokenizer(asked.pattern)
    if balance is not None:
        return _train_balanced(source, asked, threads, progress)  # type: ignore[arg-type]  # not Counts
    mixture = None
    if made is None:
        mixture = Mixture.of(
            source,  # type: ignore[arg-type]  # not Counts
            pattern=asked.first_pattern if pattern is not None or protect or superwords is not None else None,
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
        pattern=about.pattern if pattern is None and about.pattern != asked.first_pattern else asked.pattern,
        special_tokens=_special_tokens(about.special_tokens if special_tokens is None else asked.special_tokens),
        max_pretoken_bytes=about.max_pretoken_bytes if max_pretoken_bytes is None else asked.max_pretoken_bytes,
        normalizer=about.normalizer if normalizer is None else normalizer,
    )
    options.merges_wanted()  # refuse before a long count, not after it
    again = _again(source, options) if options.superwords is not None else None
    with contextlib.ExitStack() as stack:
        checkpoint = None
        if resume is not None:
            assert mixture is not None  # refused above
            checkpoint = stack.enter_context(Checkpoint(resume, resume_seconds))
            checkpoint.begin(_identity(options, mixture))
        reading: dict[str, Any] = {
            "sample": options.sample,
            "sample_seed": options.sample_seed,
            "threads": threads,
            "progress": None if progress is None else _with_merging(progress, options),
            "text_field": text_field,
            "lines": lines,
            "strict": strict,
        }
        least = options.min_pretoken_count
        if mixture is None:
            assert made is not None  # no mixture
            if memory is not None:
                _check_memory(made, options, memory)
            counts = made.without_rare(least)
        elif memory is None and checkpoint is None:
            counts = mixture.count(**reading, min_pretoken_count=least)
        else:
            on_disk = mixture.count_on_disk(**reading, memory=memory, spill_folder=spill_folder, checkpoint=checkpoint)
            with on_disk as counted:
                if memory is not None:
                    _check_memory(counted, options, memory)
                counts = counted.load(least)
        warn_of_long_pretokens(counts, stacklevel=2)
        if again is not None:
            first = _Run(counts, None, _first_stage(options))
            del counts, made, about, source
            return _train_superwords(first, again, options, threads, progress)
        kept = None if checkpoint is None else checkpoint.merges()
        if memory is not None and kept is not None and not _fits_encoded(counts, kept, memory):
            kept = None  # learned again, the same
        run = _Run(counts, None, options, kept=kept)
        del counts, made, about, source  # the merge loop has its own copy: the text's memory is free for it
        vocabulary, record = run.finish(progress, checkpoint)
    return Tokenizer.of_training(vocabulary, record)


def _again(source: Any, options: TrainingOptions) -> Mixture:
    """The same text, to be counted with the last pattern.

    Raises:
        TrainingError: It cannot be read twice.
    """
    if isinstance(source, Iterator):
        raise TrainingError("superwords read the text twice, and an iterator gives it once; give a list, or files")
    mixture = Mixture.of(
        source,
        pattern=options.last_pattern,
        special_tokens=options.special_tokens,
        normalizer=options.normalizer,
        max_pretoken_bytes=options.max_pretoken_bytes,
        weights=dict(options.weights) or None,
    )
    for file in mixture.files or ():
        if file == "-":
            raise TrainingError("superwords read the text twice, and standard input gives it once; name files")
        if is_count_file(file):
            raise TrainingError(f"{file}: is a count file, of one pattern; superwords need two: name the text itself")
    return mixture


def _first_stage(options: TrainingOptions) -> TrainingOptions:
    return replace(options, vocab_size=options.superwords, superwords=None, superword_pattern=None, seed_tokens=())


def _train_superwords(
    first_run: _Run,
    again: Mixture,
    options: TrainingOptions,
    threads: int | None,
    progress: Callable[[Progress], None] | None,
) -> Tokenizer:
    """Two stages: the first as it would be without superwords, the second an extension of it with another pattern."""
    first = first_run.run(progress)
    base = first_run._vocabulary(first.pairs, ())
    second_options = replace(
        options,
        num_merges=None if options.num_merges is None else max(0, options.num_merges - len(first)),
        pattern=options.last_pattern,
        superwords=None,
        superword_pattern=None,
        protect=(),
        byte_order="value",
    )
    counted = again.count(
        sample=options.sample,
        sample_seed=options.sample_seed,
        threads=threads,
        progress=progress,
        text_field=options.text_field,
        lines=options.lines,
        strict=options.strict,
    )
    run = _Run(counted, base.replace(pattern=options.last_pattern), second_options)
    stage = SuperwordStage(
        256 + len(first) + len(options.special_tokens), run.facts["pretokens"], run.facts["distinct_pretokens"]
    )
    del counted
    vocabulary, record = run.finish(progress)
    before = 256 + len(options.special_tokens)
    curve = _curve(
        run.units,
        before,
        np.concatenate([first.tokens[:-1], run.learned_tokens]),
        np.concatenate([first.counts, run.learned_counts]),
        run.power,
    )
    record = replace(
        record,
        options=options,
        base=None,
        base_size=256,
        merges=len(first) + record.merges,
        curve=tuple(curve),
        superwords=stage,
        pretokens=first_run.facts["pretokens"],
        distinct_pretokens=first_run.facts["distinct_pretokens"],
        long_pretokens=first_run.facts["long_pretokens"],
    )
    return Tokenizer.of_training(vocabulary, record)


def _train_balanced(
    source: SourceLike,
    options: TrainingOptions,
    threads: int | None,
    progress: Callable[[Progress], None] | None,
) -> Tokenizer:
    """Languages are counted one by one, and so are the sides of the parallel text."""
    _check_balance(source, options.balance)
    reading: dict[str, Any] = {
        "pattern": options.first_pattern,
        "special_tokens": options.special_tokens,
        "normalizer": options.normalizer,
        "max_pretoken_bytes": options.max_pretoken_bytes,
    }
    how: dict[str, Any] = {"text_field": options.text_field, "strict": options.strict, "threads": threads}
    sides = [count_pretokens(Path(side), **reading, **how, lines=True) for _, side in options.balance]
    for (_, first), (_, other), counted in zip(options.balance[:1] * len(sides), options.balance, sides, strict=True):
        if not len(counted):
            raise TrainingError(f"{other}: no text in it, so that nothing can be measured by it")
        if counted.documents != sides[0].documents:
            raise TrainingError(
                f"{first} has {sides[0].documents:,} lines and {other} has {counted.documents:,}; in a parallel text "
                "line n says the same on every side"
            )
    texts = [
        Mixture.of(Path(path), **reading).count(progress=progress, lines=options.lines, **how)
        for path, _ in options.balance
    ]
    for (path, _), text in zip(options.balance, texts, strict=True):
        if not len(text):
            raise TrainingError(f"{path}: no text in it to learn from")
    counts = add_up((text, 1) for text in texts)
    warn_of_long_pretokens(counts, stacklevel=3)
    run = _Run(counts, None, options, languages=list(zip(texts, sides, strict=True)))
    lines = [side.documents for side in sides]
    del counts, texts, sides
    vocabulary, record = run.finish(progress)
    languages = tuple(
        BalancedLanguage(path, side, count, tokens, merges)
        for (path, side), count, tokens, merges in zip(
            options.balance, lines, run.side_tokens, run.merges_for[:-1], strict=True
        )
    )
    return Tokenizer.of_training(vocabulary, replace(record, languages=languages))


def _check_balance(source: SourceLike, balance: Sequence[tuple[str, str]]) -> None:
    """Every source has its side, and is named once."""
    if isinstance(source, (str, os.PathLike)):
        named = [os.fspath(source)]
    else:
        items = list(source) if isinstance(source, Sequence) else []
        if not items or not all(isinstance(item, os.PathLike) for item in items):
            raise TrainingError("balance is for files: name the sources, each a language")
        named = [os.fspath(item) for item in items]
    known = ", ".join(named[:10])
    for path, _ in balance:
        if path not in named:
            raise TrainingError(f"a side for {path}, which is no source; the sources are {known}")
    for path in named:
        if path not in dict(balance):
            raise TrainingError(f"{path} has no side of the parallel text; name one for each source (--balance)")
        if named.count(path) > 1:
            raise TrainingError(f"{path} is given twice; give it once")


def _with_merging(progress: Callable[[Progress], None], options: TrainingOptions) -> Callable[[Progress], None]:
    """The same, told what merging will take where counting is forecast. Without rare pretokens it would be less: how much
    less nobody knows before they are counted."""
    base = at_most_resident()
    forecasts: tuple[Forecast | None, Forecast | None] = None, None

    def show(report: Progress) -> None:
        nonlocal forecasts
        found = report.forecast
        if found is not None and found is not forecasts[0]:
            told = found
            if found.distinct is not None and found.distinct_bytes is not None and options.min_pretoken_count <= 1:
                size = found.distinct_bytes
                merges = min(options.merges_wanted(), size)
                characters = found.distinct_characters or size
                needed = merging_bytes(found.distinct, size, characters, merges, 2 * characters < size)
                told = replace(found, merging_memory=base + int(needed))
            forecasts = found, told
        progress(report if found is None else replace(report, forecast=forecasts[1]))

    return show


def _check_memory(counts: Counts | CountsOnDisk, options: TrainingOptions, memory: int) -> None:
    """Refuse, before it begins, a merging that does not fit.

    Raises:
        TrainingError: It does not; the message says what does.
    """
    tally = Tally.of(counts.rows(), counts.about.power)
    already = (
        sum(array.nbytes for array in (counts.data, counts.offsets, counts.counts)) if isinstance(counts, Counts) else 0
    )
    release_free_memory()
    base = at_most_resident() - already
    merges = np.minimum(options.merges_wanted(), tally.size)
    needed = base + merging_bytes(tally.distinct, tally.size, tally.characters, merges, False)
    asked = min(options.min_pretoken_count, len(needed) - 1)
    if needed[asked] > memory and begins_by_character(counts, options, int(tally.size[asked])):
        found_of = (tally.distinct[asked], tally.size[asked], tally.characters[asked], merges[asked])
        needed[asked] = base + merging_bytes(*found_of, True)
    if needed[asked] <= memory:
        return
    found = f"merging {int(tally.distinct[asked]):,} distinct pretokens needs about {megabytes(needed[asked])}"
    (fitting,) = np.nonzero((needed <= memory) & (tally.distinct > 0))
    if len(fitting):
        least = int(fitting[0])
        raise TrainingError(
            f"{found}, and memory is {megabytes(memory)}; leave out those that occur less than {least} times "
            f"(--min-pretoken-count {least}), which gives another result: {int(tally.distinct[least]):,} are left, for "
            f"about {megabytes(needed[least])}; or give that much memory"
        )
    raise TrainingError(
        f"{found}, and memory is {megabytes(memory)}, which would not do for the most frequent alone; give more"
    )


def begins_by_character(counts: Counts | CountsOnDisk, options: TrainingOptions, size: int) -> bool:
    """Whether the learner will begin with whole characters, which takes half the memory: the trial that it will make.

    Args:
        counts: The pretokens.
        options: With the least count of a pretoken.
        size: Bytes of those that are as frequent.
    """
    step = trial_step(size)
    if not step:
        return False
    least = options.min_pretoken_count << counts.about.power
    parts: list[bytes] = []
    times: list[int] = []
    seen = 0
    for data, offsets, numbers in counts.rows():
        (kept,) = np.nonzero(numbers >= least)
        chosen = kept[-seen % step :: step]
        seen += len(kept)
        parts += [data[offsets[at] : offsets[at + 1]].tobytes() for at in chosen.tolist()]
        times += numbers[chosen].tolist()
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    order = byte_ids(options.byte_order)
    tokens = [b""] * 256
    for byte, id in enumerate(order.tolist()):
        tokens[id] = bytes([byte])
    return trial_pays(
        np.frombuffer(b"".join(parts), np.uint8),
        starts,
        np.array(times, np.int64),
        tokens,
        order,
        taken=[token.encode() for token in options.special_tokens],
        min_count=options.min_count << counts.about.power,
        max_token_bytes=None if options.max_token_bytes is None else min(options.max_token_bytes, 2**32 - 1),
    )


def _fits_encoded(counts: Counts, kept: MergesKept, memory: int) -> bool:
    """Whether there is room to encode the pretokens with merges that were kept, to go on from there.

    How many ids that makes is not known before; frequent pretokens have fewer for their bytes than rare ones.
    """
    if not len(kept):
        return True
    share = min(1.0, 1.5 * int(kept.tokens[-1]) / max(1, counts.bytes))
    return at_most_resident() + 8 * share * len(counts.data) + 12 * len(counts) + _SHARED_BYTES * 16 <= memory


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
        if each.name not in ("vocab_size", "num_merges", "pattern", "superword_pattern")
    }
    return {
        **identity,
        "pattern": list(options.pattern.stages),
        "pattern_name": options.pattern.name,
        "corpus": seen,
        "bbpe": bbpe.__version__,
        "unicode": unicode_version(),
    }


def warn_of_long_pretokens(counts: Counts | CountsOnDisk, *, stacklevel: int = 1) -> None:
    """Warn where a thousandth of the text, or a single megabyte, is pretokens longer than any word or clause.

    They train as quickly as other text; but no two of them are alike, so that they take memory like no other text, and
    the merges learned in them serve nothing else.
    """
    long = counts.long_pretokens()
    if long is None:
        return
    share = long.bytes / max(1, counts.about.bytes >> counts.about.power)
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
        languages: Sequence[tuple[Counts, Counts]] = (),
    ) -> None:
        _check_agreement(counts, base, options)
        if options.superwords is not None or (options.balance and not languages):
            raise TrainingError("superwords and balance need the text itself, not counts of it: use train")
        # What has been left out of a count file counts as left out here.
        self.options = replace(options, min_pretoken_count=max(options.min_pretoken_count, counts.min_pretoken_count))
        if rules is None and options.utf8_safe:
            rules = Rules(utf8_safe=True)
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
        encoder: Tokenizer | None = None
        if self.base is None:
            order: npt.NDArray[np.uint32] | None
            order = byte_order = byte_ids(options.byte_order)
            tokens: list[bytes | None] = [b""] * 256
            for byte, id in enumerate(byte_order.tolist()):
                tokens[id] = bytes([byte])
            self.first_id = 256
            if kept is not None and len(kept):
                self.kept = kept = kept.first(self.wanted)
                # Encoding with the first merges is what learning them made of the pretokens: learning goes on there.
                begun = self._vocabulary(kept.merges, ())
                encoder = Tokenizer(begun)
                tokens += [begun.tokens[id] for id in range(256, 256 + len(kept))]
                order = None
        else:
            order = None
            self.first_id = self.base.id_space
            tokens = [None] * self.first_id
            for id, token in self.base.tokens.items():
                tokens[id] = token
            taken += [special.content.encode() for special in self.base.special_tokens]
            encoder = Tokenizer(self.base) if tokenizer is None else tokenizer
        least = options.min_count << counts.power
        if least > MAX_TOTAL:
            raise TrainingError(f"min_count is {options.min_count}; with these weights 64 bits cannot count so far")
        making: dict[str, Any] = {
            "byte_ids": order,
            "taken": taken,
            "first_id": self.first_id + len(self.kept),
            "max_token_bytes": None if options.max_token_bytes is None else min(options.max_token_bytes, 2**32 - 1),
            "rules": rules,
        }

        def symbols(counts: Counts) -> tuple[Any, Any, Any]:
            found = (counts.data, counts.offsets) if encoder is None else _encoded(counts, encoder)
            return *found, counts.counts

        self.learner: Any
        if not languages and not options.seed_tokens:
            self.learner = learner(*symbols(counts), tokens, min_count=least, **making)
            return
        seeds = Counts.from_items(dict.fromkeys(map(str.encode, options.seed_tokens), 1), pattern=counts.pattern)
        parts = _parts(options.seed_tokens)
        if languages or parts is None:
            texts = [text for text, _ in languages] or [counts]
            learners = [MergeLearner(*symbols(text), tokens, min_count=1, **making) for text in texts]
        else:
            learners = [MergeLearner(*symbols(counts), tokens, min_count=least, keep=parts, **making)]
        self.learner = JointLearner(
            learners,
            [MergeLearner(*symbols(side), tokens, min_count=1, **making) for _, side in languages],
            MergeLearner(*symbols(seeds), tokens, min_count=1, **making) if len(seeds) else None,
            seed_tokens=len(seeds),
            min_count=least,
        )
        if self.learner.seed_merges > self.wanted:
            raise TrainingError(
                f"the seed tokens need up to {self.learner.seed_merges:,} merges, and {self.wanted:,} may be learned; "
                "give fewer of them, or a larger vocabulary"
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
        self._keep_what_was_served(native)
        del native, self.learner  # its memory is free for the vocabulary
        release_free_memory()
        if checkpoint is not None and len(kept) > before:
            checkpoint.save_merges(kept)
        return LearnedMerges(self.first_id, kept.merges, kept.counts, kept.tokens, not going)

    def _keep_what_was_served(self, native: Any) -> None:
        """What a joint training says of its texts."""
        self.merges_for: list[int] = []
        self.side_tokens: list[int] = []
        if isinstance(native, JointLearner):
            self.merges_for, self.side_tokens = native.merges_for, native.side_tokens
            if native.seed_merges:
                raise TrainingError(
                    "some seed tokens cannot be made: another option, or what is a token already, stands in their way"
                )

    def finish(
        self, progress: Callable[[Progress], None] | None, checkpoint: Checkpoint | None = None
    ) -> tuple[Vocabulary, TrainingRecord]:
        """Learn all merges, and make a vocabulary of them."""
        learned = self.run(progress, checkpoint)
        self.learned_tokens, self.learned_counts = learned.tokens, learned.counts
        vocabulary = self._vocabulary(learned.pairs, self.options.special_tokens)
        return vocabulary, self._record(vocabulary, learned.tokens, learned.counts)

    def _vocabulary(self, learned: npt.NDArray[np.uint32], special_tokens: Sequence[str]) -> Vocabulary:
        options, base = self.options, self.base
        merges = zip(learned[:, 0].tolist(), learned[:, 1].tolist(), strict=True)
        after = self.first_id + len(learned)
        specials = [SpecialToken(content, after + place) for place, content in enumerate(special_tokens)]
        if base is None:
            order = np.argsort(byte_ids(options.byte_order))
            return Vocabulary.of_learned(
                [bytes([byte]) for byte in order.tolist()],
                merges,
                special_tokens=specials,
                pattern=options.first_pattern,
                normalizer=options.normalizer,
            )
        assert base.merges is not None  # as_merge_list
        tokens, known = dict(base.tokens), (*base.merges, *merges)
        for id, (left, right) in enumerate(known[len(base.merges) :], self.first_id):
            tokens[id] = tokens[left] + tokens[right]
        return base.replace(tokens=tokens, merges=known, special_tokens=[*base.special_tokens, *specials], name=None)

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
            seed_merges=self.merges_for[-1] if self.merges_for else 0,
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
        ("pattern", options.first_pattern, counts.pattern),
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
            ("pattern", options.first_pattern, base.pattern),
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
    # Not a dot product of floats: BLAS would wake its threads for it, which then burn a tenth of a second waiting.
    if float(np.multiply(lengths, counts.counts, dtype=np.float64).sum()) > MAX_TOTAL / 2:
        total = sum(length * count for length, count in zip(lengths.tolist(), counts.counts.tolist(), strict=True))
        if total > MAX_TOTAL:
            raise TrainingError(f"the counts stand for {total:,} bytes, more than 64 bits can count; scale them down")


def _parts(seeds: Sequence[str]) -> set[bytes] | None:
    """All parts of the seed tokens; None where these are more than it pays to list."""
    encoded = list(map(str.encode, seeds))
    if sum(len(seed) ** 2 for seed in encoded) > _MOST_PARTS:
        return None
    return {
        seed[begin:end] for seed in encoded for begin in range(len(seed)) for end in range(begin + 1, len(seed) + 1)
    }


def _encoded(counts: Counts, tokenizer: Tokenizer) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The pretokens as the base encodes them: ids, and where each pretoken begins among them."""
    ids = _encoded_ids(counts, tokenizer)
    lengths = np.zeros(tokenizer.id_space, dtype=np.int32)
    for id, token in tokenizer.vocabulary.tokens.items():
        lengths[id] = len(token)
    ends = counts.offsets[1:]
    offsets = np.zeros(len(counts.offsets), dtype=np.int64)
    done = 0  # pretokens whose end is known
    size = 0  # bytes before this block
    # In blocks: fresh memory for all of it at once took as long as the encoding.
    for begin in range(0, len(ids), _BLOCK_IDS):
        reached = np.cumsum(lengths[ids[begin : begin + _BLOCK_IDS]], dtype=np.int64) + size
        size = int(reached[-1])
        last = int(np.searchsorted(ends, size, side="right"))
        offsets[done + 1 : last + 1] = np.searchsorted(reached, ends[done:last]) + (begin + 1)
        done = last
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
