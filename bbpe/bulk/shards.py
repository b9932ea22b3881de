"""A folder of shards: the ids of a large corpus in files of a bounded size, which survive the death of the process.

While it is made, ``<name>.partial`` stands beside where it will be. There ``shards`` holds ``shard-00000.npy`` (``.bin``,
``.ids``, ``.json``) and so on with their indexes, each under its name only when it is whole; ``job.json`` says what the
ids depend on besides the corpus (the tokenizer's hash, the options); and ``progress.json`` which shards are finished,
where in the corpus they end, and the files that they have passed. A process may be killed at any moment: the next one
that is given the same job goes on behind the last finished shard, and one that is given another job is refused. In the
end ``manifest.json`` is written and ``shards`` takes the folder's name.

The shards of one corpus, one after the other, are the bytes of a single file; where a shard ends follows from the
documents and from ``shard_bytes`` alone. In the manifest ``documents`` counts the documents that end in a shard, and
``continues`` says that its last one goes on in the next (which only ``npy`` and ``bin`` do, with documents of more than
two shards); the index of such a shard has an entry for the piece that is there.

A corpus that changed is refused where the finished shards are of it: the file in which they end is read again up to
there, and its hash is compared; of the files before it path, size and time are, and the hash that was taken while they
were read stands in the manifest. What no finished shard is of may change: a file that could not be read is repaired and
the encoding goes on, and the result is that of the corpus as it then is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bbpe import unicode
from bbpe.atomic import (
    atomic_write,
    locked,
    output_errors,
    refuse_existing_folder,
    remove_temporaries,
    take_name,
)
from bbpe.bulk.id_files import SUMS, Encoded, IdFile, IdFormat, Lines, Numbers, index_path
from bbpe.corpus import Block, Corpus, Source, Stream, with_escaped_names
from bbpe.errors import CorpusError, OutputError
from bbpe.tokenizer import Tokenizer

__all__ = ["MANIFEST", "Place", "Shard", "ShardFolder", "after", "read_manifest", "tokenizer_sha256"]

MANIFEST = "manifest.json"
_SHARDS, _JOB, _PROGRESS, _LOCK = "shards", "job.json", "progress.json", "lock"
_FORMAT = "bbpe-shards"
_FORMAT_VERSION = 1
_SHARD_NAME = re.compile(r"shard-[0-9]{5,}\.(npy|bin|ids|json)(\.index\.npy)?")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a corpus, between two parts of its text.

    Attributes:
        stream: Which of its streams.
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
class Shard:
    """A finished shard, as the manifest has it.

    Attributes:
        file: Its name.
        file_bytes: Its size.
        documents: Documents that end in it.
        ids: Ids in it.
        bytes: Bytes of text they are of.
        characters: Characters of text.
        invalid_bytes: Bytes of text that are no part of valid UTF-8.
        continues: Whether its last document goes on in the next shard.
    """

    file: str
    file_bytes: int
    documents: int
    ids: int
    bytes: int
    characters: int
    invalid_bytes: int
    continues: bool


class ShardFolder:
    """The folder of one encoding. To be used in a ``with`` block, which holds the lock.

    Args:
        target: The folder's name when all is written.
        tokenizer: What encodes.
        corpus: What is read; its streams that finished shards have passed are marked as read.
        options: What else the ids and the files depend on, as JSON can say it; ``shard_bytes`` among it.
        format: Of the shards.
        dtype: Of their numbers; None for the text formats.
        render: What made the payloads that :meth:`write` is given.
        force: Replace what is there, finished or not.

    Attributes:
        place: Where the finished shards end; None when there are none.
        files: The files in the folder once it is closed.
        shards_kept: How many of them were when the folder was opened.
    """

    def __init__(
        self,
        target: Path,
        tokenizer: Tokenizer,
        corpus: Corpus,
        options: Mapping[str, Any],
        format: IdFormat,
        dtype: np.dtype[Any] | None,
        render: Numbers | Lines,
        force: bool,
    ) -> None:
        self._target = target
        final = Path(os.path.realpath(target))
        self._state = final.with_name(final.name + ".partial")
        self._folder = self._state / _SHARDS
        self._corpus = corpus
        self._job = {
            "tokenizer": {"name": tokenizer.vocabulary.name, "sha256": tokenizer_sha256(tokenizer)},
            **options,
        }
        self._times = [_modified(file) for file in corpus.files]
        self._format, self._dtype, self._render, self._force = format, dtype, render, force
        self._shard_bytes: int = options["shard_bytes"]
        self._finished: list[Shard] = []
        self._file: IdFile | None = None
        self._lock: IO[bytes] | None = None
        self.place: Place | None = None
        self.files: tuple[Path, ...] = ()
        self.shards_kept = 0

    # ---- begin and end ----

    def __enter__(self) -> ShardFolder:
        with output_errors(self._target):
            refuse_existing_folder(self._target, self._force, _shard_names(self._target, MANIFEST))
            refuse_existing_folder(self._state, True, _state_names(self._state))
            self._state.mkdir(exist_ok=True)
            self._lock = locked(self._state / _LOCK)
        if self._lock is None:
            raise OutputError(f"{self._state}: another process is writing there; let it end, or name another folder")
        try:
            with output_errors(self._state):
                refuse_existing_folder(self._folder, True, _shard_names(self._folder))
                # An iterable does not say whether it is the same again. Without shards, the folder took its name.
                if self._force or not self._corpus.files or not self._folder.exists():
                    self._remove_state()
                self._folder.mkdir(exist_ok=True)
                remove_temporaries(self._state)
                remove_temporaries(self._folder)
            self._go_on()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            if self._file is not None:
                self._file.__exit__(*exception)
        finally:
            if not self._finished and self._folder.exists():  # nothing to go on with
                self._remove_state()
                self._remove_lock()
            if self._lock is not None:
                self._lock.close()

    def _go_on(self) -> None:
        """Take up what an earlier process finished, if this is the same job."""
        job, progress = self._state / _JOB, self._state / _PROGRESS
        asked = json.loads(json.dumps(self._job))
        if not job.exists() or not progress.exists():
            _write_json(job, asked)
            return
        known = _read_json(job)
        for name in sorted({*known, *asked}):
            if known.get(name) != asked.get(name):
                raise self._other(f"another {name} ({_shown(known.get(name))}, now {_shown(asked.get(name))})")
        record = _read_json(progress)
        try:
            finished = [Shard(**each) for each in record["shards"]]
            self.place = Place(**record["place"])
            passed = [(Source(**each["source"]), each["modified"]) for each in record["passed"]]
        except (KeyError, TypeError):
            raise _damaged(progress) from None
        for shard in finished:
            path = self._folder / shard.file
            if not path.exists() or path.stat().st_size != shard.file_bytes:
                raise OutputError(f"{path}: is not the shard that was written; pass force (--force) to begin anew")
        files = self._corpus.files
        if len(files) < len(passed):
            raise self._other(f"another corpus ({len(files)} files, of which {len(passed)} were read)")
        for file, modified, stream, (source, before) in zip(
            files, self._times, self._corpus.streams, passed, strict=False
        ):
            if file != source.path or modified != before:
                raise self._other(f"another corpus ({file} is not {source.path} as it was)")
            stream.source, stream.bytes_read = source, source.bytes
        self._finished = finished
        self.shards_kept = len(finished)

    def _other(self, what: str) -> OutputError:
        return OutputError(
            f"{self._target}: its shards in {self._state} were begun with {what}; repeat that, name another folder, or "
            "pass force (--force) to begin anew"
        )

    def close(self) -> None:
        """Finish the last shard, write the manifest, and give the folder its name."""
        if self._file is not None:
            self._finish_shard(Place(len(self._corpus.streams), 0, 0, 0, ""))
        with output_errors(self._target):
            _write_json(
                self._folder / MANIFEST,
                {
                    "format": _FORMAT,
                    "format_version": _FORMAT_VERSION,
                    "tokenizer": self._job["tokenizer"],
                    "options": {name: value for name, value in self._job.items() if name != "tokenizer"},
                    "corpus": [asdict(source) for source in self._corpus.sources],
                    **self.sums,
                    "shards": [asdict(shard) for shard in self._finished],
                },
            )
            take_name(self._folder, self._target, self._force, _shard_names(self._target, MANIFEST))
            self._remove_state()  # and what was replaced, which is there now
            self._remove_lock()
        shards = [self._target / shard.file for shard in self._finished]
        indexes = [] if self._dtype is None else [index_path(path) for path in shards]
        self.files = (*shards, *indexes, self._target / MANIFEST)

    # ---- writing ----

    def write(self, texts: Encoded, place_after: Any) -> None:
        """Append texts, and finish every shard that they fill.

        Args:
            texts: What was encoded.
            place_after: Called with the number of one of the texts: the :class:`Place` behind it.
        """
        ends = self._render.ends(texts)
        payload = memoryview(texts.payload)
        first = begin = 0
        while first < len(texts):
            if self._file is None:
                name = f"shard-{len(self._finished):05d}.{self._format}"
                self._file = IdFile(self._folder / name, self._format, self._dtype, True)
            sizes = self._file.payload_bytes + ends[first:] - begin
            full = (sizes >= self._shard_bytes) & texts.final[first:]
            if self._dtype is not None:
                full |= sizes >= 2 * self._shard_bytes
            last = first + 1 + int(np.argmax(full)) if full.any() else len(texts)
            end = len(payload) if last == len(texts) else int(ends[last - 1])
            self._file.write(texts.part(first, last, payload[begin:end]))
            if full.any():
                self._finish_shard(place_after(last - 1))
            first, begin = last, end

    def _finish_shard(self, place: Place) -> None:
        file = self._file
        assert file is not None
        continues = file.inside
        file.close()
        self._file = None
        path = file.files[0]
        size = path.stat().st_size
        self._finished.append(Shard(file=path.name, file_bytes=size, continues=continues, **file.sums))
        passed = [
            {"source": asdict(stream.source), "modified": modified}
            for stream, modified in zip(self._corpus.streams[: place.stream], self._times, strict=False)
            if stream.source is not None
        ]
        shards = [asdict(shard) for shard in self._finished]
        _write_json(self._state / _PROGRESS, {"shards": shards, "place": asdict(place), "passed": passed})

    @property
    def sums(self) -> dict[str, int]:
        """Of all that was written, as ``IdFile.sums``."""
        open_file = {} if self._file is None else self._file.sums
        return {name: sum(getattr(shard, name) for shard in self._finished) + open_file.get(name, 0) for name in SUMS}

    @property
    def shards(self) -> int:
        """How many shards are finished."""
        return len(self._finished)

    # ---- files ----

    def _remove_state(self) -> None:
        """Remove everything but the lock."""
        for name in (_PROGRESS, _JOB):
            (self._state / name).unlink(missing_ok=True)
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _remove_lock(self) -> None:
        # While it is held, so that nobody locks a file that is gone; Windows removes no open one.
        for _ in range(2):
            with contextlib.suppress(OSError):
                (self._state / _LOCK).unlink(missing_ok=True)
                self._state.rmdir()
            if self._lock is not None:
                self._lock.close()


def _shard_names(folder: Path, marker: str | None = None) -> set[str]:
    """The names in a folder that an encoding may have written; none where there is no ``marker`` among them."""
    names = os.listdir(folder) if folder.is_dir() else []
    if marker is not None and marker not in names:
        return set()
    return {name for name in names if name == MANIFEST or _SHARD_NAME.fullmatch(name) or _is_temporary(name)}


def _state_names(folder: Path) -> set[str]:
    """The names in a folder that the making of one may have written beside the shards."""
    names = os.listdir(folder) if folder.is_dir() else []
    return {name for name in names if name in (_SHARDS, _JOB, _PROGRESS, _LOCK) or _is_temporary(name)}


def after(stream: Stream, place: Place) -> Iterator[Block]:
    """What stands in a stream behind a place: it is read from its start, and its hash is checked.

    Raises:
        CorpusError: The stream is not what it was.
    """
    documents, offset = place.documents, place.offset
    checked = False
    for block in stream:
        if not checked and stream.bytes_read >= place.bytes_read:
            checked = _checked(stream, place)
        ended = len(block.starts) - (not block.complete)
        if documents > ended or (documents == ended and block.complete):
            documents -= ended
            continue
        starts, ends = block.starts[documents:].copy(), block.ends[documents:]
        documents = 0
        passed = min(offset, int(ends[0] - starts[0]))
        starts[0] += passed
        offset -= passed
        if not offset:
            yield Block(block.data, starts, ends, block.complete)
    if not checked:
        _checked(stream, place)


def _checked(stream: Stream, place: Place) -> bool:
    if (stream.bytes_read, stream.prefix_sha256) != (place.bytes_read, place.sha256):
        raise CorpusError(
            f"{stream.name}: has changed since its encoding was begun; pass force (--force) to begin anew, or name "
            "another folder"
        )
    return True


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


def read_manifest(folder: Path) -> tuple[dict[str, Any], list[Shard]]:
    """The manifest of a finished folder, and its shards.

    Raises:
        CorpusError: There is none, or it is damaged, or a shard is missing or of another size.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise CorpusError(f"{folder}: no {MANIFEST} in it, so no finished folder of shards; name one, or a file of ids")
    try:
        record = json.loads(path.read_bytes())
        if record["format"] != _FORMAT or record["format_version"] != _FORMAT_VERSION:
            raise CorpusError(f"{path}: written by another version of bbpe; encode again")
        shards = [Shard(**each) for each in record["shards"]]
        names = [shard.file for shard in shards]
        known = record["options"].keys() >= {"format", "dtype"} and isinstance(record["tokenizer"]["sha256"], str)
        if not known or not all(isinstance(name, str) and _SHARD_NAME.fullmatch(name) for name in names):
            raise KeyError("options, tokenizer or shards")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CorpusError):
            raise
        raise CorpusError(f"{path}: is damaged; encode again") from None
    for shard in shards:
        place = folder / shard.file
        if not place.exists() or place.stat().st_size != shard.file_bytes:
            raise CorpusError(f"{place}: missing, or not of {shard.file_bytes:,} bytes as {path} says; encode again")
    return record, shards


def _modified(file: str) -> list[int] | None:
    """Size and time of a file, which tell it from a changed one without reading it; None where there are none."""
    if file == "-":
        return None
    try:
        status = os.stat(file)
    except OSError:  # reading it will say what is wrong
        return None
    return [status.st_size, status.st_mtime_ns]


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _write_json(path: Path, record: Mapping[str, object]) -> None:
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
