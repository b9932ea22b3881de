"""What a training keeps on disk, so that it goes on after the death of its process.

A folder holds one training: ``training`` says which one, in words that another training is told from; ``counted-P-N``
are parts of the counts of source P, sorted runs (``runs.py``), and ``counting-P`` how far its count is; ``counts`` is
their sum once all is counted, and ``merges`` what has been learned. What is counted apart (a second stage, languages to
be balanced) has a folder ``part-NAME`` of the same kind inside. Every file is written beside its name and renamed, a part before the
state that speaks of it, so that a process may be killed at any moment: what stands there is whole. A lock, which ends
with the process, keeps a second one out.

What it does not: decide what to do next. ``counts.py`` and ``training/`` ask it for what there is and go on from there.
Merges are kept as NumPy's ``.npz``, which has a check sum for every array. How much memory a process may use changes
nothing in the folder: one that was killed because it used too much may be begun again with less.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bbpe.atomic import atomic_write, locked, output_errors, remove_temporaries
from bbpe.corpus import Sample, Source, with_escaped_names
from bbpe.counts import Counted, Counts, CountsOnDisk, CountState, Keeper, StreamState, Weight, without_pretokens
from bbpe.errors import TrainingError
from bbpe.patterns import Pattern
from bbpe.runs import Rows, Run, RunFolder, write_run

__all__ = ["Checkpoint", "MergesKept"]

_FORMAT = "bbpe-resume"
_FORMAT_VERSION = 3  # 1: counts were .npz; 2: merges did not say which text chose them
_PART = "part-"
_TRAINING, _COUNTS, _MERGES, _LOCK = "training.json", "counts.run", "merges.npz", "lock"


@dataclass(frozen=True, slots=True, eq=False)
class MergesKept:
    """Merges that have been learned.

    Attributes:
        merges: (left id, right id) in learning order: uint32[n, 2].
        counts: The count that each won with: int64[n].
        tokens: Tokens of the text before the first and after each: int64[n + 1].
        chosen_by: Which of several texts chose each, the seed tokens after the last of them; 0 where there is one
            text: int64[n].
    """

    merges: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]
    chosen_by: npt.NDArray[np.int64]

    @classmethod
    def none(cls) -> MergesKept:
        """No merges yet; how many tokens the text has is known when learning begins."""
        nothing = np.empty(0, np.int64)
        return cls(np.empty((0, 2), np.uint32), nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.counts)

    def first(self, size: int) -> MergesKept:
        """The first merges, at most ``size``."""
        return MergesKept(self.merges[:size], self.counts[:size], self.tokens[: size + 1], self.chosen_by[:size])

    def and_then(
        self,
        merges: npt.NDArray[np.uint32],
        counts: npt.NDArray[np.int64],
        tokens: npt.NDArray[np.int64],
        chosen_by: npt.NDArray[np.int64] | None = None,
    ) -> MergesKept:
        """These merges and those learned after them, whose numbers of tokens begin with the last of these.

        Raises:
            TrainingError: They do not: these merges were not learned from this text.
        """
        if len(self.tokens) and self.tokens[-1] != tokens[0]:
            raise TrainingError("the merges that were kept were not learned from this text; name another folder")
        return MergesKept(
            np.concatenate([self.merges, merges]),
            np.concatenate([self.counts, counts]),
            np.concatenate([self.tokens[:-1], tokens]),
            np.concatenate([self.chosen_by, np.zeros(len(counts), np.int64) if chosen_by is None else chosen_by]),
        )


class Checkpoint:
    """The folder of one training. To be used in a ``with`` block, which holds the lock.

    Attributes:
        seconds: How long to work between two times that something is kept.
    """

    def __init__(self, folder: str | os.PathLike[str], seconds: float) -> None:
        if not seconds >= 0:
            raise TrainingError(f"resume_seconds is {seconds}; it must be at least 0")
        self.folder = Path(folder)
        self.seconds = seconds
        self._lock: IO[bytes] | None = None
        self._training: Mapping[str, object] = {}
        self._made_folder = self._made_training = False

    def __enter__(self) -> Checkpoint:
        with output_errors(self.folder):
            with contextlib.suppress(FileExistsError):
                self.folder.mkdir()
                self._made_folder = True
            others = sorted(set(os.listdir(self.folder)).difference(_files_of(self.folder)))
            if others:
                raise TrainingError(
                    f"{self.folder}: holds other files ({', '.join(others[:5])}); name an empty or a new folder"
                )
            self._lock = locked(self.folder / _LOCK)
            if self._lock is None:
                raise TrainingError(f"{self.folder}: another process is training with this folder; let it end")
            remove_temporaries(self.folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._made_training:
            self._remove_if_nothing_is_kept()
        if self._lock is not None:
            self._lock.close()

    def _remove_if_nothing_is_kept(self) -> None:
        """Leave no folder behind of a training that was refused before it began (a sample that is too small, say)."""
        with contextlib.suppress(OSError):
            if set(os.listdir(self.folder)) == {_TRAINING, _LOCK}:
                (self.folder / _TRAINING).unlink()
                (self.folder / _LOCK).unlink()
                if self._made_folder:
                    self.folder.rmdir()

    def begin(self, training: Mapping[str, object]) -> None:
        """Say which training this is; what was kept of the same one is gone on with.

        Args:
            training: What the result depends on, by the name that an error calls it, as JSON can say it.

        Raises:
            TrainingError: The folder is of another training.
        """
        self._training = training
        path = self.folder / _TRAINING
        asked = json.loads(json.dumps(training))
        if path.exists():
            known = self._json(path)
            for name in sorted({*known, *asked}):
                if known.get(name) != asked.get(name):
                    raise TrainingError(
                        f"{self.folder}: was begun with another {name} ({_shown(known.get(name))}, now "
                        f"{_shown(asked.get(name))}); repeat that training, or name another folder"
                    )
        else:
            self._made_training = True
            self._write_json(path, asked)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Checkpoint]:
        """The folder of a part of the same training."""
        with Checkpoint(self.folder / f"{_PART}{name}", self.seconds) as part:
            part.begin(self._training)
            yield part

    # ---- counting ----

    def keeper(self, source: int) -> Keeper:
        """What keeps the count of one source."""
        return _CountKeeper(self, source)

    def runs(self) -> RunFolder:
        """Where to put what is needed only as long as this process lives."""
        return RunFolder(self.folder)

    def counts(self) -> CountsOnDisk | None:
        """The counts of everything; None where not everything is counted."""
        path = self.folder / _COUNTS
        if not path.exists():
            return None
        run = Run.at(path)
        return CountsOnDisk(_about(run), run)

    def save_counts(self, about: Counts, rows: Iterable[Rows]) -> CountsOnDisk:
        """Keep the counts of everything; the parts they were made of are not needed any more.

        Args:
            about: What they are, and their sums.
            rows: Their pretokens.
        """
        path = self.folder / _COUNTS
        with atomic_write(path, force=True) as file:
            write_run(file, rows, lambda: _described(about))
        for name in os.listdir(self.folder):
            if name.startswith("counted-") or name.endswith(".tmp"):
                (self.folder / name).unlink()
        return CountsOnDisk(about, Run.at(path))

    # ---- merging ----

    def merges(self) -> MergesKept | None:
        """The merges that were learned; None where there are none."""
        path = self.folder / _MERGES
        if not path.exists():
            return None
        with _arrays(path) as arrays:
            kept = MergesKept(*(arrays[each.name] for each in fields(MergesKept)))
        if kept.merges.shape != (len(kept), 2) or (len(kept.tokens), len(kept.chosen_by)) != (len(kept) + 1, len(kept)):
            raise _damaged(path)
        return kept

    def save_merges(self, kept: MergesKept) -> None:
        """Keep the merges that were learned, instead of those before."""
        with atomic_write(self.folder / _MERGES, force=True) as file:
            np.savez(file, **{each.name: getattr(kept, each.name) for each in fields(kept)})

    # ---- files ----

    def _json(self, path: Path) -> dict[str, Any]:
        try:
            record = json.loads(path.read_bytes())
            if record.pop("format") != _FORMAT or record.pop("format_version") != _FORMAT_VERSION:
                raise TrainingError(f"{path}: was written by another version of bbpe; name another folder")
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            if isinstance(error, TrainingError):
                raise
            raise _damaged(path) from None
        assert isinstance(record, dict)  # it has pop
        return record

    def _write_json(self, path: Path, record: Mapping[str, object]) -> None:
        text = json.dumps(
            {"format": _FORMAT, "format_version": _FORMAT_VERSION, **record}, ensure_ascii=False, indent=1
        )
        with atomic_write(path, force=True) as file:
            file.write(with_escaped_names(text).encode())


class _CountKeeper:
    """``counts.Keeper`` for one source."""

    lasting = True

    def __init__(self, checkpoint: Checkpoint, source: int) -> None:
        self._checkpoint = checkpoint
        self._source = source

    @property
    def seconds(self) -> float:
        return self._checkpoint.seconds

    def load(self) -> CountState | None:
        path = self._state_path()
        if not path.exists():
            return None
        record = self._checkpoint._json(path)
        try:
            return CountState(
                tuple(StreamState(**stream) for stream in record["streams"]),
                record["parts"],
                None if record["sample"] is None else Sample(**record["sample"]),
            )
        except (KeyError, TypeError):
            raise _damaged(path) from None

    def save(self, state: CountState, counted: Counted | None) -> None:
        if counted is not None:
            with atomic_write(self._part_path(state.parts), force=True) as file:
                write_run(file, counted.rows(), counted.about)
        self._checkpoint._write_json(self._state_path(), asdict(state))

    def runs(self, parts: int) -> list[Run]:
        return [Run.at(self._part_path(number)) for number in range(1, parts + 1)]

    def _state_path(self) -> Path:
        return self._checkpoint.folder / f"counting-{self._source}.json"

    def _part_path(self, number: int) -> Path:
        return self._checkpoint.folder / f"counted-{self._source}-{number}.run"


def _files_of(folder: Path) -> list[str]:
    """The names in a folder that a checkpoint may have written."""
    known = (_TRAINING, _COUNTS, _MERGES, _LOCK)
    return [
        name
        for name in os.listdir(folder)
        if name in known
        or name.startswith(("counted-", "counting-", _PART))
        or (name.startswith(".") and name.endswith(".tmp"))
    ]


def _described(counts: Counts) -> dict[str, Any]:
    """What counts are, without pretokens, as JSON can say it."""
    about: dict[str, Any] = {name: getattr(counts, name) for name in _NUMBERS}
    about["pattern"] = {"stages": counts.pattern.stages, "name": counts.pattern.name}
    for name in ("sources", "samples", "weights"):
        about[name] = [asdict(each) for each in getattr(counts, name)]
    return about


_NUMBERS = (
    "special_tokens",
    "normalizer",
    "max_pretoken_bytes",
    "documents",
    "bytes",
    "characters",
    "invalid_bytes",
    "pretokens",
    "pretokens_cut",
    "power",
    "min_pretoken_count",
)


def _about(run: Run) -> Counts:
    try:
        about = dict(run.about)
        pattern = about.pop("pattern")
        about["special_tokens"] = tuple(about["special_tokens"])
        about["sources"] = tuple(Source(**each) for each in about["sources"])
        about["samples"] = tuple(Sample(**each) for each in about["samples"])
        about["weights"] = tuple(Weight(**each) for each in about["weights"])
        return replace(without_pretokens(Pattern(tuple(pattern["stages"]), pattern["name"])), **about)
    except (KeyError, TypeError):
        raise _damaged(run.path) from None


@contextlib.contextmanager
def _arrays(path: Path) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise _damaged(path) from None


def _damaged(path: Path) -> TrainingError:
    return TrainingError(f"{path}: is damaged, and a training cannot go on from it; name another folder")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"
