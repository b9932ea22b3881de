"""Slices of a corpus: its first or last megabytes, as whole documents, cut once and kept in a temporary folder.

A corpus is UTF-8 text, plain or `.zst`, whose documents are separated by a blank line. Two are not: `python-stdlib`, the
modules of the Python that runs this, and those of `ntrex/`, where each line is a document. A slice ends where a document
ends, so that every library is given the same documents; it is kept as plain text because unpacking 100 MB in the
process that measures would set its peak memory before the task begins. Which slices are measured is said in `sweep.py`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

SEPARATOR = b"\n\n"
"""What stands between two documents, in most corpora and their slices."""

SEPARATORS = {"python-stdlib": b"\0", "ntrex": b"\n"}
"""And where it is something else, by the first part of the corpus's name."""

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
    """A part of a corpus on disk: plain text, documents joined by `separator`, nothing after the last."""

    corpus: str
    part: Part
    path: Path
    separator: bytes = SEPARATOR

    def data(self) -> bytes:
        """The whole slice."""
        return self.path.read_bytes()

    def documents(self) -> list[str]:
        """The slice's documents, in order, none empty."""
        return [document for document in self._text().split(self.separator.decode()) if document]

    def _text(self) -> str:
        with self.path.open(encoding="utf-8", newline="") as stream:  # as it is: "\r\n" of code stays
            return stream.read()

    def describe(self) -> dict[str, object]:
        """Name, part, bytes, documents and sha256, for the record of a measurement."""
        data = self.data()
        return {
            "corpus": self.corpus,
            "part": str(self.part),
            "bytes": len(data),
            "documents": sum(1 for document in data.split(self.separator) if document),
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
    if name == "python-stdlib":
        return _standard_library()
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


def cut_slice(corpus: str, part: Part, *, before: bool = False) -> Slice:
    """The part of a corpus, cut now or found in the scratch folder from an earlier run.

    ``A+B`` is that part of one corpus and that of the other, evenly mixed, document by document.
    With ``before``, as much again that stands before a part at the end, without it.

    Raises:
        FileNotFoundError: no such corpus.
        ValueError: the corpus holds no text there.
    """
    if before:
        return _cut_before(corpus, part)
    if "+" in corpus:
        return _cut_mixture(corpus, part)
    source = find_corpus(corpus)
    separator = SEPARATORS.get(corpus.split("/")[0], SEPARATOR)
    state = source.stat()
    key = hashlib.sha256(f"{source.resolve()}|{state.st_size}|{state.st_mtime_ns}|{part}".encode()).hexdigest()[:12]
    name = source.name.removesuffix(".zst").removesuffix(".txt")
    path = scratch() / f"{name}-{part.end}-{part.size}-{key}.txt"
    if not path.exists():
        with _open(source) as stream:
            cut = _first if part.end == "first" else _last
            data = cut(stream, part.size, separator).strip(separator[:1])
        if not data:
            raise ValueError(f"{source} holds no documents in {part}")
        with replacing(path) as beside:
            beside.write_bytes(data)
    return Slice(name, part, path, separator)


def _cut_before(corpus: str, part: Part) -> Slice:
    if part.end != "last":
        raise ValueError(f"only before a part at the end is there text to cut, not before {part}")
    end = cut_slice(corpus, part)
    double = cut_slice(corpus, Part("last", 2 * part.size))
    path = double.path.with_name(f"{double.path.stem}-less-{part.size}.txt")
    if not path.exists():
        documents = double.documents()[: -len(end.documents())]
        with replacing(path) as beside:
            beside.write_bytes(end.separator.join(document.encode() for document in documents))
    return Slice(end.corpus, part, path, end.separator)


def _cut_mixture(corpus: str, part: Part) -> Slice:
    slices = [cut_slice(one, part) for one in corpus.split("+")]
    path = scratch() / ("+".join(one.path.stem for one in slices) + ".txt")
    if not path.exists():
        documents = [one.documents() for one in slices]
        # The shorter is spread over the longer, so that every stretch is the same mixture.
        order = sorted(
            (place / len(some), which, place) for which, some in enumerate(documents) for place in range(len(some))
        )
        with replacing(path) as beside:
            beside.write_bytes(SEPARATOR.join(documents[which][place].encode() for _, which, place in order))
    return Slice(corpus, part, path)


def _standard_library() -> Path:
    """The modules of Python's standard library that are UTF-8, in the order of their paths' sha256: a mixture anywhere."""
    folder = Path(sysconfig.get_path("stdlib"))
    path = scratch() / f"python-stdlib-{sys.version.split()[0]}.txt"
    if not path.exists():
        names = [name for name in folder.rglob("*.py") if "site-packages" not in name.parts]
        names.sort(key=lambda name: hashlib.sha256(name.relative_to(folder).as_posix().encode()).digest())
        modules = [module for name in names if b"\0" not in (module := name.read_bytes()) and _is_utf8(module)]
        with replacing(path) as beside:
            beside.write_bytes(b"\0".join(module for module in modules if module))
    return path


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _open(path: Path) -> BinaryIO:
    if path.suffix != ".zst":
        return path.open("rb")
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return cast(BinaryIO, zstd.open(path, "rb"))


def _first(stream: BinaryIO, size: int, separator: bytes) -> bytes:
    """At least `size` bytes, up to the end of the document that is then open."""
    data = bytearray()
    while block := stream.read(_BLOCK):
        data += block
        # The separator may straddle two blocks; searching from size - 1 on finds it once both are here.
        if len(data) >= size and (end := data.find(separator, max(size - 1, 0))) >= 0:
            return bytes(data[:end])
    return bytes(data)


def _last(stream: BinaryIO, size: int, separator: bytes) -> bytes:
    """At most `size` bytes, from the first document that begins within them."""
    data = bytearray()
    read = 0
    while block := stream.read(_BLOCK):
        data += block
        read += len(block)
        del data[: max(0, len(data) - size - len(separator))]
    if read <= size:
        return bytes(data)
    begin = data.find(separator)
    return bytes(data[begin + len(separator) :]) if begin >= 0 else b""
