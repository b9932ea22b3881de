"""What to train on: files to count and count files to add up, together, each with its weight.

What it does: tells count files from other files, settles what they all have to agree on (pattern, special tokens,
normalizer, cap), counts what has to be counted, and adds everything up with weights that are exact. What it does not:
count (``counts.py``), read or write count files (``count_files.py``), learn (``training.py``).

Weights. Source *s* has the weight *w* and *b* bytes; all sources have *W* and *B*. Its counts are to be multiplied by
*f = (w/W) · (B/b)*: then its share of bytes is *w/W*, and all bytes together are as many as before. *f* is rounded to a
whole number of units of 2**-power, one power for all sources, as large as 64 bits allow (at most 32); then every count
is multiplied by that whole number, and everything that is compared afterwards (pair counts, ``min_count``) is in these
units. So no count is ever rounded: pairs that tie within a source tie afterwards, and a source's share is right to one
part in 2**10 at worst, mostly to one in 2**30. Where the numbers have a power of two in common it is taken out: equal
weights for equal sizes change nothing at all.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

from bbpe.checkpoints import Checkpoint
from bbpe.corpus import Progress, SourceLike, find_files
from bbpe.count_files import is_count_file, read_counts, read_manifest
from bbpe.counts import Counts, Weight, add_up, check_same, count_pretokens, without_pretokens
from bbpe.errors import TrainingError
from bbpe.patterns import Pattern, get_pattern

__all__ = ["Mixture", "weighed"]

_MOST_BITS = 62  # of the sum of all bytes in units: one bit less than a signed 64-bit integer
_MOST_POWER = 32
_LEAST_MULTIPLIER = 1 << 10  # rounding changes a share by less than a thousandth
_WEIGHT = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class _Part:
    """One source as it was named.

    Attributes:
        name: The name.
        files: What is to be counted, as ``count_pretokens`` takes it; None: nothing.
        count_files: What is counted already.
    """

    name: str
    files: SourceLike | None
    count_files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mixture:
    """Sources that were found and agree, but are not counted yet. Made by :meth:`of`.

    Attributes:
        pattern: What makes the pretokens.
        special_tokens: What is cut out of the text.
        normalizer: ``"NFC"`` or None.
        max_pretoken_bytes: The cap on pretokens, or None.
    """

    pattern: Pattern
    special_tokens: tuple[str, ...]
    normalizer: str | None
    max_pretoken_bytes: int | None
    _parts: tuple[_Part, ...]
    _weights: tuple[str, ...]

    @classmethod
    def of(
        cls,
        source: SourceLike,
        *,
        pattern: str | Sequence[str] | Pattern | None = None,
        special_tokens: Sequence[str] | None = None,
        normalizer: str | None = None,
        max_pretoken_bytes: int | None = None,
        weights: Mapping[str, str] | None = None,
    ) -> Mixture:
        """Find the sources, and settle what they have to agree on. Of count files only the manifests are read.

        Args:
            source: As for ``count_pretokens``; paths may be those of count files, too.
            pattern: What is asked for; None: what the count files were made with, else ``"llama3"``.
            special_tokens: Likewise; None: those of the count files, else none.
            normalizer: Likewise.
            max_pretoken_bytes: Likewise.
            weights: The weight of each source, by its path as given in ``source``: a decimal number above 0 such as
                ``"0.7"``. None: every byte counts the same.

        Raises:
            CorpusError: A source cannot be found, or a manifest cannot be read.
            TrainingError: The sources disagree with one another or with what is asked for; weights that are none, or
                for what is no source.
        """
        paths, source = _as_paths(source)
        if paths is not None:
            parts = tuple(_part(path, isinstance(source, str)) for path in paths)
            if weights is None and not any(part.count_files for part in parts):
                parts = (_Part("", source if isinstance(source, str) else list(map(Path, paths)), ()),)
            elif weights is None:
                parts = tuple(_joined(parts))
        else:
            parts = (_Part("", source, ()),)
        checked = _checked_weights(paths or [], weights)
        about: Counts | None = None
        for name in (name for part in parts for name in part.count_files):
            manifest = read_manifest(name)
            if manifest is None and pattern is None:
                raise TrainingError(f"{name}: does not say which pattern made its pretokens; name it (--pattern)")
            if manifest is not None:
                if about is not None:
                    check_same(about, manifest.about, f"{name}: ")
                about = manifest.about
                for what, asked, made in (
                    ("pattern", None if pattern is None else get_pattern(pattern), about.pattern),
                    (
                        "special_tokens",
                        None if special_tokens is None else sorted(special_tokens),
                        sorted(about.special_tokens),
                    ),
                    ("normalizer", normalizer, about.normalizer),
                    ("max_pretoken_bytes", max_pretoken_bytes, about.max_pretoken_bytes),
                ):
                    if asked is not None and asked != made:
                        shown = made if not isinstance(made, Pattern) else str(made)
                        wanted = asked if not isinstance(asked, Pattern) else str(asked)
                        raise TrainingError(
                            f"{name}: was counted with {what} {shown!r}, not {wanted!r}; leave it out or count again"
                        )
        if about is None:
            about = without_pretokens(get_pattern(pattern if pattern is not None else "llama3"))
        return cls(
            pattern=get_pattern(pattern) if pattern is not None else about.pattern,
            special_tokens=tuple(special_tokens) if special_tokens is not None else about.special_tokens,
            normalizer=normalizer if normalizer is not None else about.normalizer,
            max_pretoken_bytes=max_pretoken_bytes if max_pretoken_bytes is not None else about.max_pretoken_bytes,
            _parts=parts,
            _weights=checked,
        )

    @property
    def files(self) -> tuple[str, ...] | None:
        """Every file that will be read, in order; None where the source is no files but an iterable of documents."""
        names: list[str] = []
        for part in self._parts:
            if part.files is not None:
                paths, _ = _as_paths(part.files)
                if paths is None:
                    return None
                names += chain.from_iterable(find_files(path, isinstance(part.files, str)) for path in paths)
            names += part.count_files
        return tuple(names)

    def count(
        self,
        *,
        sample: int | None = None,
        sample_seed: int = 0,
        min_pretoken_count: int = 1,
        threads: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        text_field: str = "text",
        lines: bool = False,
        strict: bool = False,
        checkpoint: Checkpoint | None = None,
    ) -> Counts:
        """Count and add up.

        Args:
            sample: As for ``count_pretokens``. Count files have no documents to draw from: an error with any.
            sample_seed: As for ``count_pretokens``.
            min_pretoken_count: Leave out pretokens that occur less often, all sources together, weighted.
            threads: As for ``count_pretokens``.
            progress: Called in the phases ``"sampling"``, ``"counting"`` and ``"adding"``.
            text_field: As for ``count_pretokens``.
            lines: As for ``count_pretokens``.
            strict: As for ``count_pretokens``.
            checkpoint: Keeps the counts over the death of the process.

        Raises:
            CorpusError: Something cannot be read.
            TrainingError: Weights that cannot be exact; a sample of count files.
        """
        if min_pretoken_count < 1:
            raise TrainingError(f"min_pretoken_count is {min_pretoken_count}; it must be at least 1")
        if sample is not None:
            for part in self._parts:
                if part.count_files:
                    raise TrainingError(
                        f"{part.count_files[0]}: a sample is one of documents, and a count file has none; draw the "
                        "sample when counting (bbpe pretokens --sample)"
                    )
        options: dict[str, Any] = {
            "pattern": self.pattern,
            "special_tokens": self.special_tokens,
            "normalizer": self.normalizer,
            "max_pretoken_bytes": self.max_pretoken_bytes,
            "sample": sample,
            "sample_seed": sample_seed,
            "threads": threads,
            "text_field": text_field,
            "lines": lines,
            "strict": strict,
            "progress": progress,
        }
        done = 0
        total = sum(len(part.count_files) for part in self._parts)

        def added(part: _Part, place: int) -> Iterator[tuple[Counts, int]]:
            nonlocal done
            if part.files is not None:
                keeper = None if checkpoint is None else checkpoint.keeper(place)
                yield count_pretokens(part.files, **options, keeper=keeper), 1
            for name in part.count_files:
                if progress is not None:
                    progress(Progress("adding", done, total, "files"))
                counts = read_counts(name, pattern=self.pattern)
                if read_manifest(name) is None:  # nobody knows better than the caller how it was made
                    counts = replace(
                        counts,
                        special_tokens=self.special_tokens,
                        normalizer=self.normalizer,
                        max_pretoken_bytes=self.max_pretoken_bytes,
                    )
                done += 1
                yield counts, 1

        whole = checkpoint.counts() if checkpoint is not None else None
        if whole is None:
            if self._weights:
                whole = weighed(
                    [
                        (part.name, weight, _sum(added(part, place)))
                        for place, (part, weight) in enumerate(zip(self._parts, self._weights, strict=True))
                    ]
                )
            else:
                whole = _sum(chain.from_iterable(added(part, place) for place, part in enumerate(self._parts)))
            if progress is not None and total:
                progress(Progress("adding", done, total, "files"))
            if checkpoint is not None:
                checkpoint.save_counts(whole)
        return whole.without_rare(min_pretoken_count)


def weighed(parts: Sequence[tuple[str, str, Counts]]) -> Counts:
    """The sum of sources, each with its share of bytes, exactly.

    Args:
        parts: Name, weight (a decimal number above 0) and counts of each source.

    Raises:
        TrainingError: A source without text; weights that differ so much that 64 bits cannot hold them.
    """
    for name, _, counts in parts:
        if not counts.bytes:
            raise TrainingError(f"{name}: no text in it, so that no weight gives it a share of the bytes; leave it out")
    all_weights = sum((Fraction(weight) for _, weight, _ in parts), Fraction())
    all_bytes = sum(counts.bytes for _, _, counts in parts)
    factors = [Fraction(weight) / all_weights * all_bytes / counts.bytes for _, weight, counts in parts]
    power = max(0, min(_MOST_POWER, _MOST_BITS - all_bytes.bit_length()))
    proportions = _whole_numbers(factors)
    times = round(factors[0] * 2**power / proportions[0])
    if times >= _LEAST_MULTIPLIER:
        multipliers = [proportion * times for proportion in proportions]
    else:
        multipliers = [round(factor * 2**power) for factor in factors]
    while power and not any(multiplier % 2 for multiplier in multipliers):
        multipliers = [multiplier // 2 for multiplier in multipliers]
        power -= 1
    for (name, weight, _), factor, multiplier in zip(parts, factors, multipliers, strict=True):
        if multiplier < _LEAST_MULTIPLIER and multiplier != factor * 2**power and times < _LEAST_MULTIPLIER:
            raise TrainingError(
                f"{name}: its counts times {float(factor):.3g}, for the weight {weight}, cannot be told exactly in 64 "
                "bits; give it more weight, or less text to the others"
            )
    return add_up(
        ((counts, multiplier) for (_, _, counts), multiplier in zip(parts, multipliers, strict=True)),
        power=power,
        weights=tuple(
            Weight(name, weight, counts.bytes, multiplier)
            for (name, weight, counts), multiplier in zip(parts, multipliers, strict=True)
        ),
    )


def _whole_numbers(factors: Sequence[Fraction]) -> list[int]:
    """The smallest whole numbers with these proportions.

    >>> _whole_numbers([Fraction(2, 3), Fraction(1, 2)])
    [4, 3]
    """
    denominator = math.lcm(*(factor.denominator for factor in factors))
    numbers = [int(factor * denominator) for factor in factors]
    common = math.gcd(*numbers)
    return [number // common for number in numbers]


def _sum(parts: Iterable[tuple[Counts, int]]) -> Counts:
    """The sum; one alone is not copied."""
    iterator = iter(parts)
    first = next(iterator)
    second = next(iterator, None)
    return first[0] if second is None else add_up(chain([first, second], iterator))


def _as_paths(source: SourceLike) -> tuple[list[str] | None, SourceLike]:
    """The paths where the source is some, else None; and the source with nothing taken from it."""
    if isinstance(source, (str, os.PathLike)):
        return [os.fspath(source)], source
    if isinstance(source, (bytes, bytearray, memoryview, dict)) or not isinstance(source, Iterable):
        return None, source  # no source: who opens it says so
    items = iter(source)
    first = next(items, None)
    if isinstance(first, os.PathLike):
        paths = [first, *items]
        named = [os.fspath(path) for path in paths if isinstance(path, (str, os.PathLike))]
        return named if len(named) == len(paths) else None, paths
    if items is source and first is not None:
        return None, chain([first], items)
    return None, source


def _part(path: str, alone: bool) -> _Part:
    counted: list[str] = []
    others: list[str] = []
    if os.path.exists(path) or path == "-" or not alone or "\n" not in path:
        with contextlib.suppress(ValueError):  # what cannot be found is told when it is opened, in its own words
            for file in find_files(path, alone):
                (counted if is_count_file(file) else others).append(file)
    if not counted:
        return _Part(path, path if alone else [Path(path)], ())
    return _Part(path, [Path(file) for file in others] or None, tuple(counted))


def _joined(parts: Iterable[_Part]) -> Iterator[_Part]:
    """The same files in two parts, those to be counted and the count files."""
    files: list[Path] = []
    counted: list[str] = []
    for part in parts:
        counted += part.count_files
        if isinstance(part.files, str):
            files.append(Path(part.files))
        elif isinstance(part.files, list):
            files += part.files
    yield _Part("", files or None, tuple(counted))  # a list of paths is a source


def _checked_weights(names: Sequence[str], weights: Mapping[str, str] | None) -> tuple[str, ...]:
    if weights is None:
        return ()
    for name, weight in weights.items():
        if not isinstance(weight, str):
            raise TypeError(f"the weight of {name} is a str such as '0.7', not {weight!r}: a float is not exact")
        if not _WEIGHT.fullmatch(weight) or not Fraction(weight):
            raise TrainingError(f"the weight of {name} is {weight!r}; expected a number above 0 such as 3 or 0.7")
        if name not in names:
            known = ", ".join(names[:10]) or "none"
            raise TrainingError(f"a weight for {name}, which is no source; the sources are {known}")
    for name in names:
        if name not in weights:
            raise TrainingError(f"{name} has no weight; give one for each source (--weight '{name}=1'), or for none")
        if names.count(name) > 1:
            raise TrainingError(f"{name} is given twice; give it once, and its weight says how much it counts")
    return tuple(weights[name] for name in names)
