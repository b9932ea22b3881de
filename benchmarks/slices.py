"""Slices of a corpus: its first or last megabytes, as whole documents, cut once and kept in a temporary folder.

A corpus is UTF-8 text, plain or `.zst`, whose documents are separated by a blank line. A slice ends where a document
ends, so that every library is given the same documents; it is kept as plain text because unpacking 100 MB in the
process that measures would set its peak memory before the task begins. Which slices are measured is said in `sweep.py`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

SEPARATOR = b"\n\n"
"""What stands between two documents, in the corpora and in the slices."""

MEGABYTE = 1_000_000
"""Sizes are decimal: 1 MB is 10^6 bytes of UTF-8."""

_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a corpus: its first or its last `size` bytes, rounded up or down to whole documents."""

    end: Literal["first", "last"]
    size: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read `first:30MB` or `last:500KB`.

        >>> Part.parse("last:10MB")
        Part(end='last', size=10000000)

        Raises:
            ValueError: the text is not of that form.
        """
        found = re.fullmatch(r"(first|last):(\d+(?:\.\d+)?)([KMG]?)B?", text)
        if found is None:
            raise ValueError(f"a slice is written first:30MB or last:500KB, not {text!r}")
        unit = {"": 1, "K": 1000, "M": MEGABYTE, "G": 1000 * MEGABYTE}[found[3]]
        return cls(cast('Literal["first", "last"]', found[1]), int(float(found[2]) * unit))

    def __str__(self) -> str:
        return f"{self.end}:{self.size / MEGABYTE:g}MB"


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a corpus on disk: plain text, documents joined by `SEPARATOR`, nothing after the last."""

    corpus: str
    part: Part
    path: Path

    def data(self) -> bytes:
        """The whole slice."""
        return self.path.read_bytes()

    def documents(self) -> list[str]:
        """The slice's documents, in order, none empty."""
        return [document for document in self.path.read_text(encoding="utf-8").split("\n\n") if document]

    def describe(self) -> dict[str, object]:
        """Name, part, bytes, documents and sha256, for the record of a measurement."""
        data = self.data()
        return {
            "corpus": self.corpus,
            "part": str(self.part),
            "bytes": len(data),
            "documents": sum(1 for document in data.split(SEPARATOR) if document),
            "sha256": hashlib.sha256(data).hexdigest(),
        }


def scratch() -> Path:
    """The folder for slices and converted vocabularies: `$BBPE_BENCH_CACHE`, else one in the temporary folder."""
    named = os.environ.get("BBPE_BENCH_CACHE")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / "bbpe-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, moved onto it when the block ends well, so that no reader sees half a file."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def find_corpus(name: str) -> Path:
    """The file of a corpus: a path as it stands, else a name in `$BBPE_HOME/corpora`, with or without its ending.

    Raises:
        FileNotFoundError: there is no such file; the message says where it was looked for.
    """
    as_path = Path(name)
    if as_path.is_file():
        return as_path
    home = os.environ.get("BBPE_HOME")
    if home is None:
        raise FileNotFoundError(f"{name} is no file, and BBPE_HOME is not set, whose corpora/ would be searched")
    for ending in ("", ".txt.zst", ".txt"):
        path = Path(home) / "corpora" / (name + ending)
        if path.is_file():
            return path
    raise FileNotFoundError(f"{name} is neither a file nor the name of a corpus in {home}/corpora")


def cut_slice(corpus: str, part: Part) -> Slice:
    """The part of a corpus, cut now or found in the scratch folder from an earlier run.

    Raises:
        FileNotFoundError: no such corpus.
        ValueError: the corpus holds no text there.
    """
    source = find_corpus(corpus)
    state = source.stat()
    key = hashlib.sha256(f"{source.resolve()}|{state.st_size}|{state.st_mtime_ns}|{part}".encode()).hexdigest()[:12]
    name = source.name.removesuffix(".zst").removesuffix(".txt")
    path = scratch() / f"{name}-{part.end}-{part.size}-{key}.txt"
    if not path.exists():
        with _open(source) as stream:
            data = _first(stream, part.size) if part.end == "first" else _last(stream, part.size)
        data = data.strip(b"\n")
        if not data:
            raise ValueError(f"{source} holds no documents in {part}")
        with replacing(path) as beside:
            beside.write_bytes(data)
    return Slice(name, part, path)


def _open(path: Path) -> BinaryIO:
    if path.suffix != ".zst":
        return path.open("rb")
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return cast(BinaryIO, zstd.open(path, "rb"))


def _first(stream: BinaryIO, size: int) -> bytes:
    """At least `size` bytes, up to the end of the document that is then open."""
    data = bytearray()
    while block := stream.read(_BLOCK):
        data += block
        # The separator may straddle two blocks; searching from size - 1 on finds it once both are here.
        if len(data) >= size and (end := data.find(SEPARATOR, max(size - 1, 0))) >= 0:
            return bytes(data[:end])
    return bytes(data)


def _last(stream: BinaryIO, size: int) -> bytes:
    """At most `size` bytes, from the first document that begins within them."""
    data = bytearray()
    read = 0
    while block := stream.read(_BLOCK):
        data += block
        read += len(block)
        del data[: max(0, len(data) - size - len(SEPARATOR))]
    if read <= size:
        return bytes(data)
    begin = data.find(SEPARATOR)
    return bytes(data[begin + len(SEPARATOR) :]) if begin >= 0 else b""
