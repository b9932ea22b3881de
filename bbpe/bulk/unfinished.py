"""What stands beside an output until it is whole, so that another process can go on with it.

What it does: keeps ``<name>.partial``, a folder beside where the output will be. It holds the unfinished output itself
(``single_file.py``, ``shards.py``), a lock, ``job.json``, which says what the ids depend on besides the corpus (the
tokenizer's hash, the options), and ``progress.json``: how much of the output is finished, where in the corpus that
ends, and the files that were passed. A process may be killed at any moment: the next one that is given the same job goes
on behind what is finished, and one that is given another job is refused. What it does not: write ids.

A corpus that changed is refused where the finished ids are of it: the file in which they end is read again up to there,
and its hash is compared; of the files before it path, size and time are. What nothing finished is of may change: a file
that could not be read is repaired and the encoding goes on, and the result is that of the corpus as it then is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import numpy as np

from bbpe import unicode
from bbpe.atomic import (
    atomic_write,
    locked,
    output_error,
    output_errors,
    refuse_existing_folder,
    remove_temporaries,
)
from bbpe.corpus import Block, Corpus, Source, Stream, with_escaped_names
from bbpe.errors import OutputError
from bbpe.tokenizer import Tokenizer

__all__ = [
    "MANIFEST",
    "SHARD_NAME",
    "Place",
    "Unfinished",
    "after",
    "shard_names",
    "tokenizer_sha256",
    "unfinished_folder",
    "write_json",
]

MANIFEST = "manifest.json"
SHARD_NAME = re.compile(r"shard-[0-9]{5,}\.(npy|bin|ids|json)(\.index\.npy)?")
_SHARDS, _IDS, _INDEX = "shards", "ids", "index"
_JOB, _PROGRESS, _LOCK = "job.json", "progress.json", "lock"
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a corpus, between two parts of its text.

    Attributes:
        stream: Which of its streams; their number, where everything has been read.
        documents: Documents of that stream before the place.
        offset: Bytes of the next one before the place.
        bytes_read: Bytes that had been taken from disk when the place was reached; it may be behind by a batch.
        sha256: Of these bytes, in hex.
    """

    stream: int
    documents: int
    offset: int
    bytes_read: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Begun(Generic[_Found]):
    """What an earlier process finished: its record as it was parsed, where that ends, and the files that were passed."""

    result: _Found
    place: Place
    passed: list[Source]


class Unfinished:
    """The folder of an unfinished output. To be used in a ``with`` block, which holds the lock.

    Args:
        target: The output's name when all is written.
        tokenizer: What encodes.
        corpus: What is read; its streams that the finished part has passed are marked as read.
        options: What else the ids and the files depend on, as JSON can say it.
        force: Remove what another job left there, which is refused otherwise.

    Attributes:
        folder: ``<name>.partial``, beside the output.
        shards: The name of a folder of shards in it.
        ids: The name of a file of ids in it.
        index: The name of that file's index.
        place: Where in the corpus the finished part ends; None when there is none.
        kept: Whether there is something to go on with, of this job or of another.
    """

    def __init__(
        self, target: Path, tokenizer: Tokenizer, corpus: Corpus, options: Mapping[str, Any], force: bool
    ) -> None:
        final = Path(os.path.realpath(target))
        self.folder = final.with_name(final.name + ".partial")
        self.shards, self.ids, self.index = (self.folder / name for name in (_SHARDS, _IDS, _INDEX))
        self.place: Place | None = None
        self.kept = False
        self._target = target
        self._tokenizer = tokenizer
        self._corpus = corpus
        self._options = options
        self._force = force
        self._times = [_modified(file) for file in corpus.files]
        self._job_record: dict[str, Any] | None = None
        self._job_written = False
        self._lock: IO[bytes] | None = None

    @property
    def job(self) -> dict[str, Any]:
        """What the ids depend on besides the corpus, as ``job.json`` has it. Made when it is asked for first: the hash
        of a tokenizer takes longer than a short text does."""
        if self._job_record is None:
            name = self._tokenizer.vocabulary.name
            record = {"tokenizer": {"name": name, "sha256": tokenizer_sha256(self._tokenizer)}, **self._options}
            self._job_record = json.loads(json.dumps(record))
        return self._job_record

    # ---- begin and end ----

    def __enter__(self) -> Unfinished:
        with output_errors(self._target):
            refuse_existing_folder(self.folder, True, _state_names(self.folder))
            self.folder.mkdir(exist_ok=True)
            self._lock = locked(self.folder / _LOCK)
            if self._lock is None:
                raise OutputError(
                    f"{self.folder}: another process is writing there; let it end, or choose another name"
                )
            try:
                self.kept = (self.folder / _PROGRESS).exists()
                refuse_existing_folder(self.shards, True, shard_names(self.shards))
                remove_temporaries(self.folder)
            except BaseException:
                self._lock.close()
                raise
        return self

    def __exit__(self, *exception: Any) -> None:
        assert self._lock is not None
        try:
            if not self.kept and not self._lock.closed:
                self.remove()
        finally:
            self._lock.close()

    def go_on(self, parse: Callable[[Mapping[str, Any]], _Found | None]) -> _Found | None:
        """Take up what an earlier process finished of this job.

        Args:
            parse: Called with the record that was given to :meth:`keep`. What it gives is given back; None says that
                the output has its name already. A KeyError or a TypeError says that the record is damaged.

        Returns:
            None where there is nothing to go on with; then there is nothing left either.

        Raises:
            OutputError: What is there is damaged, or of another job, and ``force`` was not given.
        """
        found: _Begun[_Found] | None = None
        try:
            # An iterable does not say whether it is the same again.
            if self._corpus.files and (self.folder / _JOB).exists() and (self.folder / _PROGRESS).exists():
                found = self._found(parse)
        except OutputError:
            if not self._force:
                raise
        if found is None:
            with output_errors(self._target):
                self._clear()
            return None
        self.place = found.place
        for stream, source in zip(self._corpus.streams, found.passed, strict=False):
            stream.source, stream.bytes_read = source, source.bytes
        self._job_written = True
        return found.result

    def _found(self, parse: Callable[[Mapping[str, Any]], _Found | None]) -> _Begun[_Found] | None:
        known, asked = _read_json(self.folder / _JOB), self.job
        for name in sorted({*known, *asked}):
            if known.get(name) != asked.get(name):
                raise self._other(f"another {name} ({_shown(known.get(name))}, now {_shown(asked.get(name))})")
        record = _read_json(self.folder / _PROGRESS)
        try:
            place = Place(**record["place"])
            passed = [(Source(**each["source"]), each["modified"]) for each in record["passed"]]
            result = parse(record)
        except (KeyError, TypeError):
            raise _damaged(self.folder / _PROGRESS) from None
        files = self._corpus.files
        if len(files) < len(passed):
            raise self._other(f"another corpus ({len(files)} files, of which {len(passed)} were read)")
        for file, modified, (source, before) in zip(files, self._times, passed, strict=False):
            if file != source.path or modified != before:
                raise self._other(f"another corpus ({file} is not {source.path} as it was)")
        return None if result is None else _Begun(result, place, [source for source, _ in passed])

    def _other(self, what: str) -> OutputError:
        return OutputError(
            f"{self._target}: what is finished of it in {self.folder} was begun with {what}; repeat that, choose "
            "another name, or pass force (--force) to begin anew"
        )

    # ---- what is kept ----

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """The system's complaints, as an ``OutputError`` that names the output and says what is kept of it."""
        try:
            yield
        except OSError as error:
            cause = error.__cause__ if isinstance(error, OutputError) else error
            if not isinstance(cause, OSError):
                raise
            left = f"{self.folder} keeps what is finished: give the same command again to go on" if self.kept else None
            raise output_error(self._target, cause, left) from cause

    def keep(self, place: Place, record: Mapping[str, Any]) -> None:
        """Say how much is finished: it has to be on the disk.

        Args:
            place: Where in the corpus it ends.
            record: What a process has to know that goes on; for JSON, without ``place`` and ``passed``.
        """
        passed = [
            {"source": asdict(stream.source), "modified": modified}
            for stream, modified in zip(self._corpus.streams[: place.stream], self._times, strict=False)
            if stream.source is not None
        ]
        with self.errors():
            if not self._job_written:
                write_json(self.folder / _JOB, self.job)
                self._job_written = True
            write_json(self.folder / _PROGRESS, {**record, "place": asdict(place), "passed": passed})
        self.kept = True

    def damaged(self, path: Path) -> OutputError:
        """The error for a part of the output that is not what the record says."""
        return OutputError(
            f"{path}: is not what was written there; pass force (--force) to begin anew, or choose another name"
        )

    def remove(self) -> None:
        """Remove all of it: the output has its name, or there is nothing to go on with."""
        self._clear()
        # The lock goes while it is held, so that nobody locks a file that is gone; Windows removes no open one.
        for _ in range(2):
            with contextlib.suppress(OSError):
                (self.folder / _LOCK).unlink(missing_ok=True)
                self.folder.rmdir()
            if self._lock is not None:
                self._lock.close()

    def _clear(self) -> None:
        """Remove everything but the lock."""
        self.kept = self._job_written = False
        for name in (_PROGRESS, _JOB, _IDS, _INDEX):
            (self.folder / name).unlink(missing_ok=True)
        if self.shards.exists():
            shutil.rmtree(self.shards)


def unfinished_folder(target: str | os.PathLike[str]) -> Path | None:
    """The folder in which there is something to go on with of an output; None where there is none."""
    folder = f"{os.path.realpath(target)}.partial"
    return Path(folder) if os.path.exists(os.path.join(folder, _PROGRESS)) else None


def shard_names(folder: Path, marker: str | None = None) -> set[str]:
    """The names in a folder that an encoding may have written; none where there is no ``marker`` among them."""
    names = os.listdir(folder) if folder.is_dir() else []
    if marker is not None and marker not in names:
        return set()
    return {name for name in names if name == MANIFEST or SHARD_NAME.fullmatch(name) or _is_temporary(name)}


def _state_names(folder: Path) -> set[str]:
    """The names in a folder that :class:`Unfinished` may have made."""
    names = os.listdir(folder) if folder.is_dir() else []
    own = (_SHARDS, _IDS, _INDEX, _JOB, _PROGRESS, _LOCK)
    return {name for name in names if name in own or _is_temporary(name)}


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


# --- the corpus again -------------------------------------------------------------------------------------------------


def after(stream: Stream, place: Place, folder: Path, tell: Callable[[], None]) -> Iterator[Block]:
    """What stands in a stream behind a place: it is read from its start, and its hash is checked.

    Args:
        stream: The stream.
        place: The place.
        folder: Where what ends there is kept, for the error.
        tell: Called after every block that is passed over.

    Raises:
        OutputError: The stream is not what it was.
    """
    documents, offset = place.documents, place.offset
    checked = False
    for block in stream:
        if not checked and stream.bytes_read >= place.bytes_read:
            checked = _checked(stream, place, folder)
        ended = len(block.starts) - (not block.complete)
        if documents > ended or (documents == ended and block.complete):
            documents -= ended
            tell()
            continue
        starts, ends = block.starts[documents:].copy(), block.ends[documents:]
        documents = 0
        passed = min(offset, int(ends[0] - starts[0]))
        starts[0] += passed
        offset -= passed
        if offset:
            tell()
        else:
            yield Block(block.data, starts, ends, block.complete)
    if not checked:
        _checked(stream, place, folder)


def _checked(stream: Stream, place: Place, folder: Path) -> bool:
    if (stream.bytes_read, stream.prefix_sha256) != (place.bytes_read, place.sha256):
        raise OutputError(
            f"{stream.name}: has changed since its encoding was begun; choose another name for the output, or remove "
            f"{folder} to begin anew"
        )
    return True


def _modified(file: str) -> list[int] | None:
    """Size and time of a file, which tell it from a changed one without reading it; None where there are none."""
    if file == "-":
        return None
    try:
        status = os.stat(file)
    except OSError:  # reading it will say what is wrong
        return None
    return [status.st_size, status.st_mtime_ns]


# --- records ----------------------------------------------------------------------------------------------------------


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """A hash of everything that decides which ids a text gets, in hex: the same for the same encoder on any machine."""
    vocabulary = tokenizer.vocabulary
    about = {
        "kind": "ranks" if vocabulary.merges is None else "merges",
        "special_tokens": [asdict(special) for special in vocabulary.special_tokens],
        "pattern": vocabulary.pattern.stages,
        "unicode": unicode.unicode_version(),
        "normalizer": vocabulary.normalizer,
        "whole_pretoken": vocabulary.whole_pretoken,
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(b"".join(struct.pack("<II", id, len(token)) + token for id, token in vocabulary.tokens.items()))
    order = vocabulary.ranks if vocabulary.merges is None else vocabulary.merges
    digest.update(np.array(order, dtype="<u4").tobytes())
    return digest.hexdigest()


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Put a record in the place of what was there, all or nothing."""
    with atomic_write(path, force=True) as file:
        file.write(with_escaped_names(json.dumps(record, ensure_ascii=False, indent=1)).encode())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict):
        raise _damaged(path)
    return record


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path}: is damaged, and nothing can go on from it; pass force (--force) to begin anew")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"
