"""What to train on: files to count and count files to add up, together, each with its weight.

What it does: tells count files from other files, settles what they all have to agree on (pattern, special tokens,
normalizer, cap), counts what has to be counted, and adds everything up with weights that are exact. What it does not:
count (``counts.py``), read or write count files (``count_files.py``), learn (``training/``).

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
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import bbpe
from bbpe.checkpoints import Checkpoint
from bbpe.corpus import Progress, SourceLike, find_files
from bbpe.count_files import is_count_file, read_counts, read_counts_to_disk, read_manifest
from bbpe.counts import (
    Counts,
    CountsOnDisk,
    Spill,
    Weight,
    add_up,
    added_rows,
    check_same,
    count_in_runs,
    count_pretokens,
    merged_counts,
    sums_of,
    without_pretokens,
)
from bbpe.errors import CorpusError, TrainingError
from bbpe.memory import Budget
from bbpe.patterns import Pattern, get_pattern
from bbpe.runs import Run, temporary_runs
from bbpe.threads import thread_count
from bbpe.unicode import unicode_version

__all__ = ["Mixture", "as_paths", "files_by_sight", "weighed"]

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
        if source is None:
            raise TypeError("the source is None; give a path, paths, or an iterable of str or bytes")
        paths, source = as_paths(source)
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
                paths, _ = as_paths(part.files)
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
    ) -> Counts:
        """Count and add up, in memory.

        Args:
            sample: As for ``count_pretokens``. Count files have no documents to draw from: an error with any.
            sample_seed: As for ``count_pretokens``.
            min_pretoken_count: Leave out pretokens that occur less often, all sources together, weighted.
            threads: As for ``count_pretokens``.
            progress: Called in the phases ``"sampling"``, ``"counting"``, ``"sorting"`` and ``"adding"``.
            text_field: As for ``count_pretokens``.
            lines: As for ``count_pretokens``.
            strict: As for ``count_pretokens``.

        Raises:
            CorpusError: Something cannot be read.
            TrainingError: Weights that cannot be exact; a sample of count files.
        """
        if min_pretoken_count < 1:
            raise TrainingError(f"min_pretoken_count is {min_pretoken_count}; it must be at least 1")
        self._check_sample(sample)
        options: dict[str, Any] = {
            **self._made_with(),
            "sample": sample,
            "sample_seed": sample_seed,
            "threads": threads,
            "text_field": text_field,
            "lines": lines,
            "strict": strict,
            "progress": progress,
        }
        added = _Adding(self._parts, progress)

        def counted(part: _Part) -> Iterator[tuple[Counts, int]]:
            if part.files is not None:
                yield count_pretokens(part.files, **options), 1
            for name in added.of(part):
                yield self._as_made(name, read_counts(name, pattern=self.pattern)), 1

        if self._weights:
            whole = weighed(
                [
                    (part.name, weight, _sum(counted(part)))
                    for part, weight in zip(self._parts, self._weights, strict=True)
                ]
            )
        else:
            whole = _sum(chain.from_iterable(counted(part) for part in self._parts))
        added.end()
        return whole.without_rare(min_pretoken_count)

    @contextlib.contextmanager
    def count_on_disk(
        self,
        *,
        memory: int | None = None,
        spill_folder: str | os.PathLike[str] | None = None,
        checkpoint: Checkpoint | None = None,
        sample: int | None = None,
        sample_seed: int = 0,
        threads: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        text_field: str = "text",
        lines: bool = False,
        strict: bool = False,
    ) -> Iterator[CountsOnDisk]:
        """Count and add up, with what is counted on disk; it is there as long as the ``with`` block lasts.

        The result is that of :meth:`count`, whatever memory there is.

        Args:
            memory: Bytes that the whole process may have, Python included; None: no limit.
            spill_folder: Where to make a folder for what is counted, which is gone afterwards; None: where the system
                keeps temporary files.
            checkpoint: Keeps the counts over the death of the process, in its own folder.
            sample: As for :meth:`count`; so are the others.
            sample_seed: As for :meth:`count`.
            threads: As for :meth:`count`.
            progress: As for :meth:`count`; and in phase ``"adding up"``.
            text_field: As for :meth:`count`.
            lines: As for :meth:`count`.
            strict: As for :meth:`count`.

        Raises:
            CorpusError: Something cannot be read.
            OutputError: The disk is full, or cannot be written to.
            TrainingError: Too little memory; weights that cannot be exact; a sample of count files.
        """
        self._check_sample(sample)
        threads = thread_count(threads, TrainingError)
        budget = None if memory is None else Budget(memory, threads)
        options: dict[str, Any] = {
            **self._made_with(),
            "sample": sample,
            "sample_seed": sample_seed,
            "threads": threads,
            "text_field": text_field,
            "lines": lines,
            "strict": strict,
            "progress": progress,
        }
        with contextlib.ExitStack() as stack:
            if checkpoint is not None:
                folder = checkpoint.runs()
                kept = checkpoint.counts()
                if kept is not None:
                    yield kept
                    return
            else:
                place = Path(tempfile.gettempdir() if spill_folder is None else spill_folder)
                folder = stack.enter_context(temporary_runs(place))
            added = _Adding(self._parts, progress)
            counted: list[tuple[Counts, list[Run]]] = []
            for place_of, part in enumerate(self._parts):
                facts: list[Counts] = []
                runs: list[Run] = []
                if part.files is not None:
                    keeper = Spill(folder) if checkpoint is None else checkpoint.keeper(place_of)
                    about, runs = count_in_runs(part.files, keeper, budget, **options)
                    facts.append(about)
                for name in added.of(part):
                    read = read_counts_to_disk(name, folder, budget, pattern=self.pattern)
                    facts.append(self._as_made(name, read.about))
                    runs.append(read.run)
                counted.append((sums_of((each, 1) for each in facts), runs))
            added.end()
            multipliers, power = [1] * len(counted), 0
            weights: tuple[Weight, ...] = ()
            if self._weights:
                named = [
                    (part.name, weight, about)
                    for part, weight, (about, _) in zip(self._parts, self._weights, counted, strict=True)
                ]
                multipliers, power, weights = _multipliers(named)
            whole = sums_of(
                ((about, times) for (about, _), times in zip(counted, multipliers, strict=True)),
                power=power,
                weights=weights,
            )
            all_runs = [(run, times) for (_, runs), times in zip(counted, multipliers, strict=True) for run in runs]
            if checkpoint is None:
                yield merged_counts(whole, all_runs, folder, budget, progress)
            else:
                yield checkpoint.save_counts(whole, added_rows(all_runs, folder, budget, progress))

    @contextlib.contextmanager
    def count_resumably(
        self, folder: str | os.PathLike[str], seconds: float = 30.0, **options: Any
    ) -> Iterator[CountsOnDisk]:
        """Count as :meth:`count_on_disk` does, in a folder from which the same call goes on when its process died.

        Args:
            folder: It may be removed afterwards.
            seconds: How long to work between two times that something is kept.
            options: As for :meth:`count_on_disk`.

        Raises:
            TrainingError: The folder is of another count, or the sources are no files; as there, and so are the others.
        """
        deciding = ("sample", "sample_seed", "text_field", "lines", "strict")
        identity = {
            **self._made_with(),
            **{name: options[name] for name in deciding if name in options},
            "pattern": [self.pattern.name, *self.pattern.stages],
            "corpus": files_by_sight(self.files),
            "task": "count",
            "bbpe": bbpe.__version__,
            "unicode": unicode_version(),
        }
        with Checkpoint(folder, seconds) as checkpoint:
            checkpoint.begin(identity)
            with self.count_on_disk(**options, checkpoint=checkpoint) as counted:
                yield counted

    def _made_with(self) -> dict[str, Any]:
        return {
            "pattern": self.pattern,
            "special_tokens": self.special_tokens,
            "normalizer": self.normalizer,
            "max_pretoken_bytes": self.max_pretoken_bytes,
        }

    def _as_made(self, name: str, counts: Counts) -> Counts:
        """Counts of a file; where it does not say how it was made, nobody knows better than the caller."""
        return counts if read_manifest(name) is not None else replace(counts, **self._made_with())

    def _check_sample(self, sample: int | None) -> None:
        if sample is None:
            return
        for part in self._parts:
            if part.count_files:
                raise TrainingError(
                    f"{part.count_files[0]}: a sample is one of documents, and a count file has none; draw the "
                    "sample when counting (bbpe pretokens --sample)"
                )


def files_by_sight(files: Sequence[str] | None) -> list[list[object]]:
    """Path, size and time of change of each file: by what what is read is known again before it is read.

    Raises:
        CorpusError: A file cannot be read.
        TrainingError: What is read is no files.
    """
    if files is None or "-" in files:
        raise TrainingError("only what is read from files can be resumed; name files")
    seen: list[list[object]] = []
    for file in files:
        try:
            status = os.stat(file)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}; check the file and its permissions"
            raise CorpusError(f"{file}: {reason}") from error
        seen.append([file, status.st_size, status.st_mtime_ns])
    return seen


class _Adding:
    """Reports how many count files have been added."""

    def __init__(self, parts: Iterable[_Part], progress: Callable[[Progress], None] | None) -> None:
        self._done = 0
        self._total = sum(len(part.count_files) for part in parts)
        self._progress = progress

    def of(self, part: _Part) -> Iterator[str]:
        """The count files of a part, each done when the next is asked for."""
        for name in part.count_files:
            self._report()
            yield name
            self._done += 1

    def end(self) -> None:
        if self._total:
            self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(Progress("adding", self._done, self._total, "files"))


def weighed(parts: Sequence[tuple[str, str, Counts]]) -> Counts:
    """The sum of sources, each with its share of bytes, exactly.

    Args:
        parts: Name, weight (a decimal number above 0) and counts of each source.

    Raises:
        TrainingError: A source without text; weights that differ so much that 64 bits cannot hold them.
    """
    multipliers, power, weights = _multipliers(parts)
    return add_up(
        ((counts, multiplier) for (_, _, counts), multiplier in zip(parts, multipliers, strict=True)),
        power=power,
        weights=weights,
    )


def _multipliers(parts: Sequence[tuple[str, str, Counts]]) -> tuple[list[int], int, tuple[Weight, ...]]:
    """What to multiply the counts of each source by, and in units of which power of two. Only their bytes matter."""
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
    weights = tuple(
        Weight(name, weight, counts.bytes, multiplier)
        for (name, weight, counts), multiplier in zip(parts, multipliers, strict=True)
    )
    return multipliers, power, weights


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


def as_paths(source: SourceLike) -> tuple[list[str] | None, SourceLike]:
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
