"""A folder of shards: the ids of a large corpus in files of a bounded size, which survive the death of the process.

While it is made, ``<name>.partial`` (``unfinished.py``) stands beside where it will be. There ``shards`` holds
``shard-00000.npy`` (``.bin``, ``.ids``, ``.json``) and so on with their indexes, each under its name only when it is
whole, and ``progress.json`` says which are finished. A process may be killed at any moment: the next one that is given
the same job goes on behind the last finished shard. In the end ``manifest.json`` is written and ``shards`` takes the
folder's name.

The shards of one corpus, one after the other, are the bytes of a single file; where a shard ends follows from the
documents and from ``shard_bytes`` alone. In the manifest ``documents`` counts the documents that end in a shard, and
``continues`` says that its last one goes on in the next (which only ``npy`` and ``bin`` do, with documents of more than
two shards); the index of such a shard has an entry for the piece that is there. The hash of every file that was read is
taken on the way, and stands in the manifest.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bbpe.atomic import output_errors, refuse_existing_folder, remove_temporaries, take_name
from bbpe.bulk.id_files import SUMS, Encoded, IdFile, IdFormat, Lines, Numbers, index_path
from bbpe.bulk.unfinished import MANIFEST, SHARD_NAME, Place, Unfinished, shard_names, write_json
from bbpe.corpus import Corpus
from bbpe.errors import CorpusError

__all__ = ["Shard", "ShardFolder", "read_manifest"]

_FORMAT = "bbpe-shards"
_FORMAT_VERSION = 1


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
    """The folder of one encoding. To be used in a ``with`` block.

    Args:
        target: The folder's name when all is written.
        unfinished: The folder where it is written.
        corpus: What is read.
        shard_bytes: A shard is ended by the document that brings it to so many bytes of ids.
        format: Of the shards.
        dtype: Of their numbers; None for the text formats.
        render: What made the payloads that :meth:`write` is given.
        force: Replace a folder that exists; the old one stays whole until the new one is.

    Attributes:
        place: Where in the corpus the finished shards end; None when there are none.
        files: The files in the folder once it is closed.
        shards_kept: How many of them were when the folder was opened.
        ids_kept: How many ids they hold.
    """

    def __init__(
        self,
        target: Path,
        unfinished: Unfinished,
        corpus: Corpus,
        shard_bytes: int,
        format: IdFormat,
        dtype: np.dtype[Any] | None,
        render: Numbers | Lines,
        force: bool,
    ) -> None:
        self._target = target
        self._unfinished = unfinished
        self._corpus = corpus
        self._shard_bytes = shard_bytes
        self._format, self._dtype, self._render, self._force = format, dtype, render, force
        self._finished: list[Shard] = []
        self._file: IdFile | None = None
        self.place: Place | None = None
        self.files: tuple[Path, ...] = ()
        self.shards_kept = self.ids_kept = 0

    # ---- begin and end ----

    def __enter__(self) -> ShardFolder:
        with output_errors(self._target):
            refuse_existing_folder(self._target, self._force, shard_names(self._target, MANIFEST))
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._unfinished)
            finished = self._unfinished.go_on(self._found)
            with self._unfinished.errors():
                self._unfinished.shards.mkdir(exist_ok=True)
                remove_temporaries(self._unfinished.shards)
            self._finished = finished or []
            self.place = self._unfinished.place
            self.shards_kept, self.ids_kept = len(self._finished), self.sums["ids"]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            if self._file is not None:
                self._file.__exit__(*exception)
        finally:
            self._stack.__exit__(*exception)

    def _found(self, record: Mapping[str, Any]) -> list[Shard] | None:
        """The shards that another process finished, if they are what it wrote; None where their folder has its name."""
        finished = [Shard(**each) for each in record["shards"]]
        folder = self._unfinished.shards
        if not folder.exists():
            return None
        for shard in finished:
            path = folder / shard.file
            if not path.exists() or path.stat().st_size != shard.file_bytes:
                raise self._unfinished.damaged(path)
        return finished

    def close(self) -> None:
        """Finish the last shard, write the manifest, and give the folder its name."""
        if self._file is not None:
            with self._unfinished.errors():
                self._finish_shard(Place(len(self._corpus.streams), 0, 0, 0, ""))
        job = self._unfinished.job
        with self._unfinished.errors():
            write_json(
                self._unfinished.shards / MANIFEST,
                {
                    "format": _FORMAT,
                    "format_version": _FORMAT_VERSION,
                    "tokenizer": job["tokenizer"],
                    "options": {name: value for name, value in job.items() if name != "tokenizer"},
                    "corpus": [asdict(source) for source in self._corpus.sources],
                    **self.sums,
                    "shards": [asdict(shard) for shard in self._finished],
                },
            )
            take_name(self._unfinished.shards, self._target, self._force, shard_names(self._target, MANIFEST))
            self._unfinished.remove()  # and what was replaced, which is there now
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
        with self._unfinished.errors():
            ends = self._render.ends(texts)
            payload = memoryview(texts.payload)
            first = begin = 0
            while first < len(texts):
                if self._file is None:
                    name = f"shard-{len(self._finished):05d}.{self._format}"
                    self._file = IdFile(self._unfinished.shards / name, self._format, self._dtype, True)
                sizes = self._file.writer.payload_bytes + ends[first:] - begin
                full = (sizes >= self._shard_bytes) & texts.final[first:]
                if self._dtype is not None:
                    full |= sizes >= 2 * self._shard_bytes
                last = first + 1 + int(np.argmax(full)) if full.any() else len(texts)
                end = len(payload) if last == len(texts) else int(ends[last - 1])
                self._file.writer.write(texts.part(first, last, payload[begin:end]))
                if full.any():
                    self._finish_shard(place_after(last - 1))
                first, begin = last, end

    def _finish_shard(self, place: Place) -> None:
        file = self._file
        assert file is not None
        file.close()
        self._file = None
        path = file.files[0]
        size = path.stat().st_size
        self._finished.append(Shard(file=path.name, file_bytes=size, continues=file.writer.inside, **file.writer.sums))
        self._unfinished.keep(place, {"shards": [asdict(shard) for shard in self._finished]})

    @property
    def sums(self) -> dict[str, int]:
        """Of all that was written, as ``IdWriter.sums``."""
        open_file = {} if self._file is None else self._file.writer.sums
        return {name: sum(getattr(shard, name) for shard in self._finished) + open_file.get(name, 0) for name in SUMS}

    @property
    def shards(self) -> int:
        """How many shards are finished."""
        return len(self._finished)


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
        if not known or not all(isinstance(name, str) and SHARD_NAME.fullmatch(name) for name in names):
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
