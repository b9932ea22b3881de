"""Count files: pretokens and their counts on disk, to be added up and trained from.

What it does: writes counts as Parquet or as tab-separated text, each with a manifest that says how they came about, and
reads both again, piece by piece, believing nothing: every row is checked, and so are the sums that the manifest names.
What it does not: count (``counts.py``), find count files among other sources or weight them (``mixture.py``).

Parquet: the columns ``pretoken`` (binary) and ``count`` (int64), sorted by the bytes; the manifest is the value of
``bbpe-counts`` in the file's metadata. TSV: a line a pretoken, ``pretoken⟨TAB⟩count``, as sorted; a tab, newline,
carriage return or backslash in a pretoken is written ``\\t``, ``\\n``, ``\\r``, ``\\\\``, and a byte that is no part of
valid UTF-8 (or is zero) ``\\xHH``; the manifest is the first line, ``#bbpe-counts`` and JSON, which no other line can be
taken for, because it has no tab. Files that other programs wrote may lack the manifest: then whoever reads them has to
say the pattern.

Where to read next: :func:`write_counts`, :func:`read_counts`.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import importlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe._count import PretokenCounter
from bbpe.atomic import atomic_write, remove_dead
from bbpe.corpus import Progress, Sample, Source, with_escaped_names
from bbpe.counts import Counted, Counts, CountsOnDisk, collected, merged_counts, without_pretokens, write_counted
from bbpe.errors import CorpusError, MissingExtraError, OutputError, TrainingError
from bbpe.memory import Budget, at_most_resident, enough, megabytes
from bbpe.patterns import Pattern, get_pattern
from bbpe.runs import Rows, RunFolder
from bbpe.unicode import unicode_version

__all__ = [
    "SUFFIXES",
    "Manifest",
    "arrow_of_counts",
    "is_count_file",
    "pattern_sha256",
    "read_counts",
    "read_counts_to_disk",
    "read_manifest",
    "rows_of_arrow",
    "write_counts",
    "write_tsv",
]

SUFFIXES = (".parquet", ".tsv")
"""What the name of a count file ends in."""

_FORMAT = "bbpe-counts"
_FORMAT_VERSION = 1
_TSV_HEAD = b"#bbpe-counts "
_ROWS = 1 << 19  # in a row group of Parquet, and in one piece of TSV
_GROUP_BYTES = 1 << 25  # of pretokens in a row group, which has to be held whole; half a million of Chinese have 14 MB
_PARQUET_BYTES = 230_000_000  # that writing such groups takes: pyarrow 31 MB, a group in all its forms 150 to 195
_LINES = 1 << 14  # of TSV, written at once
_MOST = 2**63 - 1
_SUMS = ("documents", "bytes", "characters", "invalid_bytes", "pretokens", "pretokens_cut")


# --- the manifest -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a count file says of itself.

    Attributes:
        about: The counts without the pretokens: how they were made, of what, and their sums.
        distinct: How many distinct pretokens there are.
        unicode: The version of the Unicode tables that the pattern was run with.
        bbpe: The version of bbpe that wrote the file.
        checksums: Of the rows, in the order in which they were written: see :class:`_Checksums`. None: not said.
    """

    about: Counts
    distinct: int
    unicode: str
    bbpe: str
    checksums: tuple[int, int, int] | None = None


class _Checksums:
    """CRC-32 of the bytes of all pretokens, one after another, of their lengths and of their counts (``<i8``)."""

    def __init__(self) -> None:
        self.sums = (0, 0, 0)

    def add(self, rows: Rows) -> Rows:
        """Rows that come next, in pieces of any size; they are handed on."""
        data, offsets, counts = rows
        numbers = (data, np.diff(offsets).astype("<i8", copy=False), counts.astype("<i8", copy=False))
        first, second, third = (
            zlib.crc32(np.ascontiguousarray(each).view(np.uint8).data, sum)
            for each, sum in zip(numbers, self.sums, strict=True)
        )
        self.sums = first, second, third
        return rows


def pattern_sha256(pattern: Pattern) -> str:
    """The sha256 of a pattern's stages as a JSON list, UTF-8, without spaces: in hex.

    >>> pattern_sha256(get_pattern("gpt2"))[:16]
    '78a78dce1d2b0edb'
    """
    text = json.dumps(list(pattern.stages), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def manifest_json(whole: Counts | CountsOnDisk) -> str:
    """The manifest of counts, as one line of JSON."""
    counts = whole.about
    if counts.power or counts.weights:
        raise ValueError("weighted counts are made where they are used, and not written")
    pattern = counts.pattern
    checksums = _Checksums()
    for rows in whole.rows():
        checksums.add(rows)
    return _signed(
        {
            "format": _FORMAT,
            "format_version": _FORMAT_VERSION,
            "pattern": {"name": pattern.name, "stages": list(pattern.stages), "sha256": pattern_sha256(pattern)},
            "special_tokens": list(counts.special_tokens),
            "normalizer": counts.normalizer,
            "max_pretoken_bytes": counts.max_pretoken_bytes,
            # Only where something is missing, so that all other files are as they have always been.
            **({"min_pretoken_count": counts.min_pretoken_count} if counts.min_pretoken_count > 1 else {}),
            "distinct_pretokens": len(whole),
            **{name: getattr(counts, name) for name in _SUMS},
            "sources": [asdict(source) for source in counts.sources],
            "samples": [asdict(sample) for sample in counts.samples],
            "versions": {"bbpe": bbpe.__version__, "unicode": unicode_version()},
            "checksums": checksums.sums,
        }
    )


def _signed(record: dict[str, Any]) -> str:
    """A manifest as JSON, with the CRC-32 of the JSON before that was put at its end."""
    text = with_escaped_names(json.dumps(record, ensure_ascii=False))
    return f'{text[:-1]}, "crc32": {zlib.crc32(text.encode())}}}'


def _parsed_manifest(text: bytes | str, path: str) -> Manifest:
    """Read a manifest.

    Raises:
        CorpusError: It is damaged or of a later version.
        TrainingError: The Unicode tables were others.
    """
    try:
        record = json.loads(text)
        version = record["format_version"]
        if record["format"] != _FORMAT or version != _FORMAT_VERSION:
            raise CorpusError(
                f"{path}: its manifest is of {record['format']!r} version {version!r}; this bbpe reads "
                f"{_FORMAT!r} version {_FORMAT_VERSION}"
            )
        pattern = Pattern(tuple(record["pattern"]["stages"]), record["pattern"]["name"])
        if record["pattern"]["sha256"] != pattern_sha256(pattern):
            raise CorpusError(f"{path}: its manifest is damaged: the pattern is not the one that its sha256 is of")
        sums: dict[str, Any] = {name: _whole(record[name]) for name in _SUMS}
        about = replace(
            without_pretokens(pattern),
            special_tokens=tuple(map(_text, record["special_tokens"])),
            normalizer=None if record["normalizer"] is None else _text(record["normalizer"]),
            max_pretoken_bytes=None if record["max_pretoken_bytes"] is None else _whole(record["max_pretoken_bytes"]),
            sources=tuple(
                Source(_text(each["path"]), _whole(each["bytes"]), _text(each["sha256"])) for each in record["sources"]
            ),
            samples=tuple(
                Sample(**{name: _whole(value) for name, value in each.items()}) for each in record["samples"]
            ),
            min_pretoken_count=max(1, _whole(record.get("min_pretoken_count", 1))),
            **sums,
        )
        versions = record["versions"]
        checksums = None
        if "checksums" in record:
            first, second, third = map(_whole, record["checksums"])
            checksums = first, second, third
        manifest = Manifest(
            about, _whole(record["distinct_pretokens"]), _text(versions["unicode"]), _text(versions["bbpe"]), checksums
        )
        sum = record.pop("crc32", None)
        if sum is not None and json.loads(_signed(record))["crc32"] != sum:
            raise ValueError("it is not what its check sum is of")
    except CorpusError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: its manifest is damaged ({type(error).__name__}: {error}); count again") from None
    if manifest.unicode != unicode_version():
        raise TrainingError(
            f"{path}: was counted with Unicode {manifest.unicode} by bbpe {manifest.bbpe}, and this bbpe has Unicode "
            f"{unicode_version()}: a few characters are of other classes; count again"
        )
    return manifest


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**64:
        raise ValueError(f"{value!r} is no count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no string")
    return value


def is_count_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path is to be read as a count file.

    Every ``.tsv`` is, and a Parquet file that has a manifest or the two columns of one. A Parquet file that cannot be
    read is left to whoever reads it next, who says why.
    """
    name = os.fspath(path)
    if name.lower().endswith(".tsv"):
        return True
    if not name.lower().endswith(".parquet") or not os.path.isfile(name):
        return False
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        return False
    try:
        schema = parquet.read_schema(name)
    except (OSError, ValueError):  # ArrowInvalid is a ValueError
        return False
    return _FORMAT.encode() in (schema.metadata or {}) or set(schema.names) == {"pretoken", "count"}


def read_manifest(path: str | os.PathLike[str]) -> Manifest | None:
    """What a count file says of itself; None where another program wrote it.

    Raises:
        CorpusError: The file cannot be read, or its manifest is damaged.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
        TrainingError: It was counted with other Unicode tables.
    """
    name = os.fspath(path)
    with _opened(name) as file:
        if name.lower().endswith(".parquet"):
            with _arrow_errors(name):
                metadata = _arrow(name)[1].ParquetFile(file).schema_arrow.metadata or {}
            text = metadata.get(_FORMAT.encode())
        else:
            head = file.readline()
            text = head[len(_TSV_HEAD) :] if head.startswith(_TSV_HEAD) else None
        return None if text is None else _parsed_manifest(text, name)


# --- reading ----------------------------------------------------------------------------------------------------------


def read_counts(path: str | os.PathLike[str], *, pattern: str | Sequence[str] | Pattern | None = None) -> Counts:
    """Read a count file.

    Args:
        path: A ``.parquet`` or ``.tsv`` file.
        pattern: What made the pretokens; needed where the file has no manifest, and otherwise compared with it.

    Raises:
        CorpusError: The file cannot be read, is damaged, or is not what its manifest says.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
        TrainingError: It was made with another pattern or other Unicode tables, or does not say with which.
    """
    name = os.fspath(path)
    manifest, about = _opened_manifest(name, pattern)
    counter = PretokenCounter()
    checksums = _Checksums()
    for rows in _checked_rows(name):
        counter.add(*checksums.add(rows))
    result = collected([counter], about)
    _check_sums(name, manifest, result, checksums)
    return result


def read_counts_to_disk(
    path: str | os.PathLike[str],
    folder: RunFolder,
    budget: Budget | None,
    *,
    pattern: str | Sequence[str] | Pattern | None = None,
) -> CountsOnDisk:
    """Read a count file, of any size, into a folder for runs.

    Args:
        path: As for :func:`read_counts`; so are the pattern and the errors.
        folder: Where to.
        budget: What memory there is; None: no limit.
        pattern: What made the pretokens.

    Raises:
        OutputError: The folder cannot be written to.
    """
    name = os.fspath(path)
    manifest, about = _opened_manifest(name, pattern)
    counter = PretokenCounter()
    runs = []

    def write() -> None:
        runs.append(write_counted(Counted([counter], 1), folder))
        if budget is not None:
            budget.empty()

    checksums = _Checksums()
    for rows in _checked_rows(name):
        counter.add(*checksums.add(rows))
        if budget is not None and budget.full(counter):
            write()
    if len(counter) or not runs:
        write()
    sums = {each: sum(run.about[each] for run in runs) for each in _SUMS if each not in ("documents", "pretokens_cut")}
    result = merged_counts(replace(about, **sums), [(run, 1) for run in runs], folder, budget)
    _check_sums(name, manifest, result, checksums)
    return result


def _opened_manifest(name: str, pattern: str | Sequence[str] | Pattern | None) -> tuple[Manifest | None, Counts]:
    """The manifest, and what the counts in the file are."""
    manifest = read_manifest(name)
    wanted = None if pattern is None else get_pattern(pattern)
    if manifest is None:
        if wanted is None:
            raise TrainingError(f"{name}: does not say which pattern made its pretokens; name it (--pattern)")
        return None, without_pretokens(wanted)
    if wanted is not None and wanted != manifest.about.pattern:
        raise TrainingError(f"{name}: was counted with the pattern {manifest.about.pattern}, not {wanted}; count again")
    return manifest, manifest.about


def _checked_rows(name: str) -> Iterator[Rows]:
    """What is in a count file, in the order in which it stands there."""
    total = 0.0
    with _opened(name) as file:
        pieces = _parquet_rows(file, name) if name.lower().endswith(".parquet") else _tsv_rows(file, name)
        for data, offsets, counts in pieces:
            # The sum may not fit the integers that it would be made in.
            total += float(np.multiply(np.diff(offsets), counts, dtype=np.float64).sum())
            if total > _MOST / 2:
                raise TrainingError(f"{name}: stands for {total:.4g} bytes, more than can be counted; scale it down")
            yield data, offsets, counts


def _check_sums(name: str, manifest: Manifest | None, result: Counts | CountsOnDisk, checksums: _Checksums) -> None:
    found = result.about
    if manifest is not None:
        said = manifest.about
        for what, by_manifest, by_rows in (
            ("distinct pretokens", manifest.distinct, len(result)),
            ("pretokens", said.pretokens, found.pretokens),
            ("bytes", said.bytes, found.bytes),
            ("characters", said.characters, found.characters),
            ("invalid bytes", said.invalid_bytes, found.invalid_bytes),
        ):
            if by_manifest != by_rows:
                raise CorpusError(
                    f"{name}: its manifest says {by_manifest:,} {what}, and there are {by_rows:,}: rows were lost or "
                    "changed; fetch or count it again"
                )
        if manifest.checksums not in (None, checksums.sums):
            raise CorpusError(
                f"{name}: its rows are not those that its manifest has check sums of: some were changed, or stand in "
                "another order; fetch or count it again"
            )
    if not len(result):
        raise CorpusError(f"{name}: no pretokens in it; give a count file that has some")


@contextlib.contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    try:
        with open(name, "rb") as file:
            if name.lower().endswith(".tsv") and file.peek(3).startswith(codecs.BOM_UTF8):
                file.read(len(codecs.BOM_UTF8))  # as spreadsheets write it: no part of the first pretoken
            yield file
    except FileNotFoundError:
        raise CorpusError(f"{name}: no such file; check the path") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise CorpusError(f"{name}: cannot be read: {reason}; check the file and its permissions") from error


def _arrow(name: str) -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError(
            f"{name}: count files of Parquet need pyarrow: pip install 'bbpe[parquet]'; or write a .tsv"
        ) from None


@contextlib.contextmanager
def _arrow_errors(name: str) -> Iterator[None]:
    arrow, _ = _arrow(name)
    try:
        yield
    except (arrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorpusError(f"{name}: corrupt or truncated Parquet: {reason}; fetch or count it again") from None


def _parquet_rows(file: IO[bytes], name: str) -> Iterator[Rows]:
    arrow, parquet = _arrow(name)
    with _arrow_errors(name):
        table = parquet.ParquetFile(file)
        schema = table.schema_arrow
        missing = [column for column in ("pretoken", "count") if column not in schema.names]
        if missing:
            raise CorpusError(f"{name}: no column {missing[0]!r}; a count file has pretoken and count")
        kind, number = schema.field("pretoken").type, schema.field("count").type
        types = arrow.types
        if not (types.is_binary(kind) or types.is_large_binary(kind) or types.is_string(kind)):
            raise CorpusError(f"{name}: column 'pretoken' is of type {kind}, not binary")
        if not types.is_integer(number) or types.is_uint64(number):
            raise CorpusError(f"{name}: column 'count' is of type {number}, not int64")
        row = 0
        for batch in table.iter_batches(batch_size=1 << 16, columns=["pretoken", "count"], use_threads=False):
            pretokens, counted = batch.column(0), batch.column(1)
            for column, values in (("pretoken", pretokens), ("count", counted)):
                if values.null_count:
                    at = row + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
                    raise CorpusError(f"{name}: row {at}: {column} is null")
            data, offsets, counts = rows_of_arrow(pretokens, counted)
            _check_rows(name, "row", row, offsets, counts)
            yield data, offsets, counts
            row += len(counts)
        arrow.default_memory_pool().release_unused()  # some 40 MB, which a limit on memory counts


def rows_of_arrow(pretokens: Any, counts: Any) -> Rows:
    """Arrow arrays of pretokens and of their counts, without nulls, as ours."""
    arrow, _ = _arrow("count file")
    array = pretokens.cast(arrow.large_binary())
    _, offsets_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer if data_buffer is not None else b"", dtype=np.uint8)
    numbers = counts.cast(arrow.int64()).to_numpy(zero_copy_only=False)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0], numbers


def arrow_of_counts(counts: Counts | CountsOnDisk, most_rows: int, most_bytes: int) -> Iterator[tuple[Any, Any]]:
    """Counts as Arrow arrays, (pretokens: binary, counts: int64), piece by piece.

    Args:
        counts: The counts.
        most_rows: In a piece.
        most_bytes: Of pretokens in a piece; a longer pretoken is a piece of its own.
    """
    arrow, _ = _arrow("count file")
    for data, offsets, numbers in _groups(counts.rows(), most_rows, most_bytes):
        buffers = [None, arrow.py_buffer(offsets.astype(np.int32)), arrow.py_buffer(data)]
        yield arrow.Array.from_buffers(arrow.binary(), len(numbers), buffers), arrow.array(numbers)


def _check_rows(
    name: str, unit: str, first: int, offsets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> None:
    wrong = np.flatnonzero((np.diff(offsets) == 0) | (counts < 1))
    if len(wrong):
        at = int(wrong[0])
        what = "an empty pretoken" if offsets[at] == offsets[at + 1] else f"count {counts[at]}; it must be at least 1"
        raise CorpusError(f"{name}: {unit} {first + at}: {what}")


_UNESCAPED = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"\\": b"\\"}
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.|$)", re.DOTALL)
_NUMBER = re.compile(rb"-?[0-9]{1,25}")


def _tsv_rows(file: IO[bytes], name: str) -> Iterator[Rows]:
    pretokens: list[bytes] = []
    counts: list[int] = []
    for number, line in enumerate(file, 1):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line.startswith(_TSV_HEAD) and b"\t" not in line:
            if number > 1:
                raise CorpusError(
                    f"{name}:{number}: the manifest of another count file; train takes several files, so that they "
                    "need not be joined"
                )
            continue
        pretoken, tab, counted = line.rpartition(b"\t")
        if not tab or b"\t" in pretoken or not _NUMBER.fullmatch(counted):
            shown = line[:60].decode("utf-8", "replace")
            raise CorpusError(
                f"{name}:{number}: {shown!r} is not pretoken⟨TAB⟩count; a .tsv is read as a count file, name text .txt"
            )
        count = int(counted)
        if not 1 <= count <= _MOST:
            raise CorpusError(f"{name}:{number}: count {count}; it must be from 1 to 2**63 - 1")
        if b"\\" in pretoken:
            pretoken = _unescaped(pretoken, f"{name}:{number}")
        if not pretoken:
            raise CorpusError(f"{name}:{number}: an empty pretoken")
        pretokens.append(pretoken)
        counts.append(count)
        if len(counts) == _ROWS:
            yield _as_rows(pretokens, counts)
            pretokens, counts = [], []
    if counts:
        yield _as_rows(pretokens, counts)


def _unescaped(text: bytes, place: str) -> bytes:
    def replaced(match: re.Match[bytes]) -> bytes:
        escape: bytes = match[1]
        if len(escape) == 3:
            return bytes([int(escape[1:], 16)])
        if escape not in _UNESCAPED:
            shown = match[0].decode("utf-8", "replace")
            raise CorpusError(f"{place}: {shown!r} is no escape; known are \\t \\n \\r \\\\ and \\xHH")
        return _UNESCAPED[escape]

    return _ESCAPE.sub(replaced, text)


def _as_rows(pretokens: list[bytes], counts: list[int]) -> Rows:
    offsets = np.zeros(len(pretokens) + 1, np.int64)
    np.cumsum([len(pretoken) for pretoken in pretokens], out=offsets[1:])
    return np.frombuffer(b"".join(pretokens), np.uint8), offsets, np.array(counts, np.int64)


# --- writing ----------------------------------------------------------------------------------------------------------


def write_counts(
    counts: Counts | CountsOnDisk,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Write a count file, all or nothing. Equal counts give equal bytes (of Parquet: with one version of pyarrow).

    Args:
        counts: What to write; not weighted.
        path: Ends in ``.parquet`` or ``.tsv``.
        force: Replace a file that exists.
        progress: Called now and then with the pretokens written, in phase ``"writing"``.

    Raises:
        MissingExtraError: Parquet is wanted, and pyarrow is not installed.
        OutputError: The name ends in something else, exists, or cannot be written.
    """
    kind = check_output(path, force=force)
    remove_dead(path)  # it may have the size of all counts
    with atomic_write(path, force=force) as file:
        if kind == ".parquet":
            _write_parquet(counts, file, os.fspath(path), progress)
        else:
            write_tsv(counts, file, progress)


def check_output(
    path: str | os.PathLike[str], *, force: bool = False, memory: int | None = None
) -> Literal[".parquet", ".tsv"]:
    """The kind of count file that a name asks for; to be called before the work that fills it.

    Args:
        path: Where it is to be written.
        force: Replace a file that exists.
        memory: Bytes that the whole process may have; None: no limit.

    Raises:
        MissingExtraError: Parquet is wanted, and pyarrow is not installed.
        OutputError: The name asks for none, or the file exists already (and ``force`` is false).
        TrainingError: Writing it may take more memory than there is.
    """
    suffix = Path(path).suffix.lower()
    if suffix in SUFFIXES:
        if os.path.exists(path) and not force:
            raise OutputError(
                f"{os.fspath(path)}: exists already; choose another name or pass force (--force) to replace it"
            )
        if suffix == ".tsv":
            return ".tsv"
        own = at_most_resident()
        if memory is not None and memory < own + _PARQUET_BYTES:
            least = enough(own + _PARQUET_BYTES)
            raise TrainingError(
                f"memory is {megabytes(memory)}, and writing Parquet takes up to {least}, {megabytes(own)} of them for "
                f"the program itself; give that much (--memory {least}), or write a .tsv"
            )
        _arrow(os.fspath(path))
        return ".parquet"
    raise OutputError(f"{os.fspath(path)}: a count file is .parquet or .tsv; end its name in one of them")


def _write_parquet(
    counts: Counts | CountsOnDisk, file: IO[bytes], name: str, progress: Callable[[Progress], None] | None
) -> None:
    arrow, parquet = _arrow(name)
    schema = arrow.schema(
        [arrow.field("pretoken", arrow.binary(), nullable=False), arrow.field("count", arrow.int64(), nullable=False)],
        metadata={_FORMAT: manifest_json(counts)},
    )
    # No dictionary: no pretoken comes twice. Sorted strings share beginnings, which Zstandard finds.
    writing = _Writing(len(counts), progress)
    with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as writer:
        for pretokens, numbers in arrow_of_counts(counts, _ROWS, _GROUP_BYTES):
            writer.write_batch(arrow.RecordBatch.from_arrays([pretokens, numbers], schema=schema))
            writing.wrote(len(numbers))


class _Writing:
    """Says how many pretokens have been written."""

    def __init__(self, total: int, progress: Callable[[Progress], None] | None) -> None:
        self._done = 0
        self._total = total
        self._progress = progress
        self.wrote(0)

    def wrote(self, more: int) -> None:
        self._done += more
        if self._progress is not None:
            self._progress(Progress("writing", self._done, self._total, "pretokens"))


def _groups(pieces: Iterable[Rows], most_rows: int, most_bytes: int) -> Iterator[Rows]:
    """The same rows in groups of which the size depends on nothing but the rows."""
    waiting: list[Rows] = []
    rows = size = 0
    for data, offsets, counts in pieces:
        first = 0
        while first < len(counts):
            # Up to what the group still takes; a pretoken that is too long for any has one to itself.
            fits = int(np.searchsorted(offsets, offsets[first] + most_bytes - size, side="right")) - 1
            last = min(fits, first + most_rows - rows, len(counts))
            if last <= first:
                if waiting:
                    yield _joined(waiting)
                    waiting, rows, size = [], 0, 0
                    continue
                last = first + 1
            begin, end = int(offsets[first]), int(offsets[last])
            waiting.append((data[begin:end], offsets[first : last + 1] - begin, counts[first:last]))
            rows += last - first
            size += end - begin
            first = last
    if waiting:
        yield _joined(waiting)


def _joined(pieces: list[Rows]) -> Rows:
    sizes = np.cumsum([0, *(len(data) for data, _, _ in pieces)])
    starts = [offsets[:-1] + before for (_, offsets, _), before in zip(pieces, sizes[:-1].tolist(), strict=True)]
    return (
        np.concatenate([data for data, _, _ in pieces]),
        np.concatenate([*starts, sizes[-1:]]),
        np.concatenate([counts for _, _, counts in pieces]),
    )


_ESCAPED = {b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r", b"\\": b"\\\\", b"\0": b"\\x00"}
_TO_ESCAPE = re.compile(rb"[\t\n\r\\\x00]")


def write_tsv(
    counts: Counts | CountsOnDisk, file: IO[bytes], progress: Callable[[Progress], None] | None = None
) -> None:
    """Write counts as TSV into an open file; ``progress`` as for :func:`write_counts`."""
    writing = _Writing(len(counts), progress)
    file.write(_TSV_HEAD + manifest_json(counts).encode() + b"\n")
    for data, offsets, numbers in counts.rows():
        for first in range(0, len(numbers), _LINES):
            edges = offsets[first : first + _LINES + 1].tolist()
            text = data[edges[0] : edges[-1]].tobytes()
            begins = [edge - edges[0] for edge in edges]
            file.write(
                b"".join(
                    b"%b\t%d\n" % (_escaped(text[begin:end]), count)
                    for begin, end, count in zip(
                        begins, begins[1:], numbers[first : first + _LINES].tolist(), strict=False
                    )
                )
            )
            writing.wrote(len(edges) - 1)


def _escaped(pretoken: bytes) -> bytes:
    text = _TO_ESCAPE.sub(lambda match: _ESCAPED[match[0]], pretoken)
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "backslashreplace").encode()
    return text
