"""One file of ids, and its index, that survive the death of the process which writes them.

What it does: writes both under ``<name>.partial`` (``unfinished.py``) and gives them their names when all is written.
Every few seconds what has been written is put on the disk and noted in ``progress.json``: another process that is given
the same job cuts the files back to the last note and goes on from there. So a kill costs those seconds, and the result
is byte for byte that of one run. What it does not: encode (``encoding.py``), or render ids (``id_files.py``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from bbpe.atomic import atomic_write, refuse_existing_file, sync_folder
from bbpe.bulk.id_files import Encoded, IdFormat, IdWriter, Written, index_path
from bbpe.bulk.unfinished import Place, Unfinished
from bbpe.corpus import Corpus

__all__ = ["NOTE_SECONDS", "SingleFile"]

NOTE_SECONDS = 5.0
"""Between two notes of what is finished, or twenty times what the last one took: with a million files it is long."""


class SingleFile:
    """The file of one encoding. To be used in a ``with`` block.

    Args:
        target: The file's name when all is written.
        unfinished: The folder where it is written.
        corpus: What is read. Of an iterable nothing is noted, since it cannot be gone on with.
        format: Of the ids.
        dtype: Of their numbers; None for the text formats.
        force: Replace files that exist; the old ones stay whole until the new ones are.

    Attributes:
        place: Where in the corpus what was finished before ends; None when nothing was.
        files: The files that :meth:`close` gave their names.
        ids_kept: How many ids had been written when the file was opened.
    """

    def __init__(
        self,
        target: Path,
        unfinished: Unfinished,
        corpus: Corpus,
        format: IdFormat,
        dtype: np.dtype[Any] | None,
        force: bool,
    ) -> None:
        self._unfinished, self._corpus = unfinished, corpus
        self._format, self._dtype, self._force = format, dtype, force
        self._targets: tuple[Path, ...] = (target,) if dtype is None else (target, index_path(target))
        self._parts: tuple[Path, ...] = (unfinished.ids, unfinished.index)[: len(self._targets)]
        self._index_has_name = False  # another process was killed between two renames
        self._open: list[IO[bytes]] = []
        self._due = 0.0
        self.place: Place | None = None
        self.files: tuple[Path, ...] = ()
        self.ids_kept = 0

    # ---- begin and end ----

    def __enter__(self) -> SingleFile:
        target = self._targets[0]
        with self._unfinished.errors():
            refuse_existing_file(target, self._force)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._unfinished)
            begun = self._unfinished.go_on(self._found)
            self.place = self._unfinished.place
            with self._unfinished.errors():
                if len(self._targets) > 1 and not self._index_has_name:
                    refuse_existing_file(self._targets[1], self._force)
                for part, size in zip(self._parts, self._sizes(begun), strict=True):
                    file = stack.enter_context(part.open("wb" if begun is None else "r+b"))
                    self._open.append(file)
                    file.truncate(size)
                    file.seek(size)
                index = self._open[1] if len(self._open) > 1 else None
                self._writer = IdWriter(self._open[0], self._format, self._dtype, index, begun)
            self.ids_kept = self._writer.sums["ids"]
            self._due = time.monotonic() + NOTE_SECONDS
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        for file in self._open:
            with contextlib.suppress(OSError):  # a full disk: what could not be written is behind the last note
                file.close()
        self._stack.__exit__(*exception)

    def _found(self, record: Mapping[str, Any]) -> Written | None:
        """How much another process has written, checked against the files; None where the file has its name."""
        begun = Written(**record["written"])
        if not all(type(value) is int for value in (*begun.sums.values(), begun.payload_bytes)):
            raise TypeError("sums are integers")
        all_read = record["place"]["stream"] == len(self._corpus.streams)
        if all_read and not self._parts[0].exists():
            return None
        if all_read and len(self._parts) > 1 and not self._parts[1].exists() and self._targets[1].exists():
            self._index_has_name = True
            self._parts = self._parts[:1]
        for part, size in zip(self._parts, self._sizes(begun), strict=True):
            if not part.exists() or part.stat().st_size < size:
                raise self._unfinished.damaged(part)
        return begun

    def _sizes(self, begun: Written | None) -> tuple[int, ...]:
        """The sizes of the files in bytes, as far as they are finished."""
        sizes = (0, 0) if begun is None else begun.file_sizes(self._format)
        return sizes[: len(self._parts)]

    def close(self) -> None:
        """Complete the files, and give them their names."""
        with self._unfinished.errors():
            self._writer.finish()
            self._note(Place(len(self._corpus.streams), 0, 0, 0, ""))
            for file in self._open:
                file.close()
            for target in self._targets[: len(self._parts)]:
                refuse_existing_file(target, self._force)
            # The index takes its name first: a kill in between leaves no ids that lack their index.
            for part, target in reversed(list(zip(self._parts, self._targets, strict=False))):
                _rename(part, Path(os.path.realpath(target)))
            self._unfinished.kept = False  # Ctrl-C between here and there
            self._unfinished.remove()
        self.files = self._targets

    # ---- writing ----

    def write(self, texts: Encoded, place_after: Callable[[int], Place]) -> None:
        """Append texts.

        Args:
            texts: What was encoded.
            place_after: Called with the number of one of the texts: the :class:`Place` behind it.
        """
        with self._unfinished.errors():
            self._writer.write(texts)
            if self._corpus.files and time.monotonic() >= self._due:
                self._note(place_after(len(texts) - 1))

    def _note(self, place: Place) -> None:
        """Say that what has been written is finished, once it is on the disk."""
        begun = time.monotonic()
        for file in self._open:
            file.flush()
            os.fsync(file.fileno())
        self._unfinished.keep(place, {"written": self._writer.written.record()})
        now = time.monotonic()
        self._due = now + max(NOTE_SECONDS, 20 * (now - begun))

    @property
    def sums(self) -> dict[str, int]:
        """Of all that was written, as ``IdWriter.sums``."""
        return self._writer.sums


def _rename(part: Path, final: Path) -> None:
    try:
        os.replace(part, final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The index of a file that a symbolic link has on another disk.
        with part.open("rb") as source, atomic_write(final, force=True) as copy:
            shutil.copyfileobj(source, copy)
        part.unlink()
    sync_folder(final.parent)
