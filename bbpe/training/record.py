"""How a vocabulary came about: what ``training.json`` says, and how it is written and read.

What it does not: decide anything. ``learning.py``, ``superwords.py`` and ``balance.py`` fill it in.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bbpe.corpus import Sample, Source, with_escaped_names
from bbpe.counts import LongPretokens, Weight
from bbpe.errors import FormatError
from bbpe.patterns import Pattern
from bbpe.training.options import TrainingOptions

__all__ = [
    "BalancedLanguage",
    "CurvePoint",
    "StopReason",
    "SuperwordStage",
    "TrainingRecord",
    "curve_points",
    "opened_record",
]

StopReason = Literal["vocab_size", "num_merges", "min_count"]

_FORMAT = "bbpe-training"
_FORMAT_VERSION = 1


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
        text = with_escaped_names(json.dumps(record, ensure_ascii=False, indent=2))
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


def curve_points(
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
