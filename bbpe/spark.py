"""Counting on a Spark cluster: the same count file as one process writes, from more text than one machine reads.

What it does: gives files, or the documents of a DataFrame, to a cluster's workers, which count them with the same code
as everywhere (``counts.py``); Spark adds the partial counts up and puts them in order; the driver takes them in order,
piece by piece. What it does not: learn merges, which needs one machine (``training/``), or read what only Spark can
read: such text comes as a DataFrame.

How it stays exact. A worker's rows are partial counts (:data:`PARTIAL_COUNTS`): a pretoken and its count, or, where the
pretoken is null, a fact and its number: documents, bytes of text, pretokens that were cut, and the size and sha256 of a
file. All of them go through the shuffle, and Spark takes from the shuffle the rows of one successful attempt of each
task. So what a killed, repeated or speculative attempt has written counts for nothing: an accumulator would count it.

How little is shuffled. A task counts all of its partition before it hands rows on, in bounded memory, so that what is
shuffled follows the distinct pretokens of a partition and not its text. ``docs/scale.md`` does the sums for 10 TB.

Workers need bbpe of the same version, numpy and pyarrow, and the files under the same names.

Where to read next: :func:`count_pretokens`, which the command line calls; :class:`CountDocuments` is what
``DataFrame.mapInArrow`` is given.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe import errors
from bbpe._count import PretokenCounter
from bbpe.corpus import Portion, Progress, Source, Stream, divide, find_files
from bbpe.count_files import arrow_of_counts, is_count_file, rows_of_arrow
from bbpe.counts import Counts, Part, collected, count_parts
from bbpe.errors import BbpeError, ClusterError, CorpusError, MissingExtraError, TrainingError
from bbpe.patterns import Pattern
from bbpe.unicode import unicode_version

__all__ = ["PARTIAL_COUNTS", "WORKER_MEMORY", "CountDocuments", "count_documents", "count_pretokens", "session"]

PARTIAL_COUNTS = "pretoken binary, fact string, count bigint"
"""The schema of partial counts. Of ``pretoken`` and ``fact`` one is null; equal keys are to be summed."""

WORKER_MEMORY = 256_000_000
"""Bytes that a worker's counting takes at most, text and Python aside. Each core of an executor has a worker."""

_PACKED = "fact string, count bigint, data binary, lengths binary, counts binary, characters bigint, invalid bigint"
_BATCH_ROWS = 1 << 16
_BATCH_BYTES = 1 << 24
_PACK_ROWS = 1 << 17  # in one row of what the driver takes
_PACK_BYTES = 1 << 22
_LEAST_PARTITION = 1 << 24  # below it, beginning a task takes longer than counting
_MOST_PARTITION = 1 << 30
_TASKS_A_CORE = 3  # so that no core waits long for the last one
_HASHING = 10  # sha256 is about so many times as fast as counting
_DOCUMENTS, _TEXT_BYTES, _CUT, _SOURCE = "documents", "text bytes", "pretokens cut", "source"
_POLL_SECONDS = 0.25
_REACH_SECONDS = 5.0


# --- on the workers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Method:
    """How to count: the same for every worker."""

    pattern: Pattern
    special_tokens: tuple[str, ...]
    normalizer: str | None
    max_pretoken_bytes: int | None
    strict: bool
    worker_memory: int
    versions: tuple[str, str]  # of bbpe and of Unicode, on the driver

    def parts(self, streams: Iterable[Stream]) -> Iterator[Part]:
        """Count streams here."""
        here = bbpe.__version__, unicode_version()
        if here != self.versions:
            raise ClusterError(
                f"the driver has bbpe {self.versions[0]} with Unicode {self.versions[1]}, and the worker "
                f"{socket.gethostname()} bbpe {here[0]} with Unicode {here[1]}; install the same on both"
            )
        return count_parts(
            streams,
            pattern=self.pattern,
            special_tokens=self.special_tokens,
            normalizer=self.normalizer,
            max_pretoken_bytes=self.max_pretoken_bytes,
            # The table, then half as much again and the sorted arrays beside it; and it doubles when it is full.
            most_bytes=self.worker_memory // 4,
        )


@dataclass(frozen=True, slots=True)
class CountDocuments:
    """What ``DataFrame.mapInArrow`` is given to count documents: made by :func:`count_documents`.

    Attributes:
        column: The column that holds the text; where there is one only, it may be called something else.
    """

    column: str
    _method: _Method

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Batches with a column of documents to batches of partial counts."""
        arrays = (
            batch.column(0 if batch.num_columns == 1 else batch.schema.get_field_index(self.column))
            for batch in batches
        )
        stream = Stream.of_arrow(arrays, name=_frame_name(), column=self.column, strict=self._method.strict)
        for part in self._method.parts([stream]):
            yield from _partial_counts(part, iter(()))


@dataclass(frozen=True, slots=True)
class _Reading:
    """Something that a task reads of a file.

    Attributes:
        number: The file's place among all.
        portion: What of it.
        for_hash: Whether it is read for its sha256 only, because what is counted of it are parts.
    """

    number: int
    portion: Portion
    for_hash: bool

    def stream(self, text_field: str, lines: bool, strict: bool) -> Stream:
        """The stream of it."""
        if self.for_hash:
            return Stream.of_hash(self.portion.path)
        return Stream.of_portion(self.portion, text_field=text_field, lines=lines, strict=strict)

    @property
    def tells_source(self) -> bool:
        """Whether size and sha256 of the file come from it."""
        return self.for_hash or self.portion.end is None


@dataclass(frozen=True, slots=True)
class _CountFiles:
    """What ``DataFrame.mapInArrow`` is given to count files: numbers of tasks come in."""

    tasks: tuple[tuple[_Reading, ...], ...]
    text_field: str
    lines: bool
    method: _Method

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        readings = [
            reading for batch in batches for task in batch.column(0).to_pylist() for reading in self.tasks[task]
        ]
        numbers = iter([reading.number for reading in readings if reading.tells_source])
        streams = (reading.stream(self.text_field, self.lines, self.method.strict) for reading in readings)
        for part in self.method.parts(streams):
            yield from _partial_counts(part, numbers)


def _frame_name() -> str:
    """What to call the documents at hand in errors."""
    try:
        context = importlib.import_module("pyspark").TaskContext.get()
    except ImportError:  # the function is run by something else
        context = None
    return "DataFrame" if context is None else f"DataFrame, partition {context.partitionId()}"


def _partial_counts(part: Part, numbers: Iterator[int]) -> Iterator[Any]:
    """A part as record batches of :data:`PARTIAL_COUNTS`.

    Args:
        part: What was counted.
        numbers: The places of its sources among all files.
    """
    arrow: Any = importlib.import_module("pyarrow")
    schema = arrow.schema([("pretoken", arrow.binary()), ("fact", arrow.string()), ("count", arrow.int64())])
    counts = part.counts
    for pretokens, numbers_of in arrow_of_counts(counts, _BATCH_ROWS, _BATCH_BYTES):
        nothing = arrow.nulls(len(pretokens), arrow.string())
        yield arrow.RecordBatch.from_arrays([pretokens, nothing, numbers_of], schema=schema)
    facts = {_DOCUMENTS: counts.documents, _TEXT_BYTES: part.text_bytes, _CUT: counts.pretokens_cut}
    for source, number in zip(counts.sources, numbers, strict=False):
        facts[f"{_SOURCE} {number} {source.sha256}"] = source.bytes
    nothing = arrow.nulls(len(facts), arrow.binary())
    values = [arrow.array(list(facts), arrow.string()), arrow.array(list(facts.values()), arrow.int64())]
    yield arrow.RecordBatch.from_arrays([nothing, *values], schema=schema)


def _packed(batches: Iterable[Any]) -> Iterator[Any]:
    """Sums in order, as rows of :data:`_PACKED`: a few large ones, which the driver takes faster than many."""
    waiting: list[tuple[Any, Any]] = []
    rows = size = 0
    for batch in batches:
        pretokens, facts, counts = (batch.column(number) for number in range(3))
        if facts.null_count < len(facts):
            chosen = facts.is_valid()
            yield _pack(facts=facts.filter(chosen).to_pylist(), numbers=counts.filter(chosen).to_pylist())
            pretokens, counts = pretokens.filter(facts.is_null()), counts.filter(facts.is_null())
        waiting.append((pretokens, counts))
        rows += len(pretokens)
        size += pretokens.nbytes
        if rows >= _PACK_ROWS or size >= _PACK_BYTES:
            yield _pack(waiting)
            waiting, rows, size = [], 0, 0
    if rows:
        yield _pack(waiting)


def _pack(sums: Sequence[tuple[Any, Any]] = (), facts: Sequence[str] = (), numbers: Sequence[int] = ()) -> Any:
    """One batch of :data:`_PACKED`: facts, one a row; or sums, all in one row."""
    arrow: Any = importlib.import_module("pyarrow")
    names = [column.split()[0] for column in _PACKED.split(", ")]
    kinds = [arrow.string(), arrow.int64(), *[arrow.binary()] * 3, arrow.int64(), arrow.int64()]
    if facts:
        rows: list[tuple[Any, ...]] = [(fact, number, *[None] * 5) for fact, number in zip(facts, numbers, strict=True)]
    else:
        counter = PretokenCounter()
        for pretokens, counts in sums:
            if len(pretokens):
                counter.add(*rows_of_arrow(pretokens, counts))
        whole = collected([counter], Counts.from_items([], pattern="gpt2"))
        lengths = np.diff(whole.offsets)
        binary = (whole.data.tobytes(), lengths.tobytes(), whole.counts.tobytes())
        rows = [(None, None, *binary, whole.characters, whole.invalid_bytes)]
    columns = [arrow.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    return arrow.RecordBatch.from_arrays(columns, names=names)


# --- on the driver ----------------------------------------------------------------------------------------------------


def count_documents(
    column: str = "text",
    *,
    pattern: str | Sequence[str] | Pattern = "llama3",
    special_tokens: Sequence[str] = (),
    normalizer: str | None = None,
    max_pretoken_bytes: int | None = None,
    strict: bool = False,
    worker_memory: int = WORKER_MEMORY,
) -> CountDocuments:
    """A function for ``DataFrame.mapInArrow``: batches of documents to partial counts.

    :func:`count_pretokens` does the rest, too. Alone it is for those who want the sums in a table of theirs::

        partial = frame.select("text").mapInArrow(count_documents("text"), PARTIAL_COUNTS)
        partial.groupBy("pretoken", "fact").sum("count")

    Args:
        column: A column of strings or of binary; each value is a document. Null is an error.
        pattern: As for :func:`bbpe.counts.count_pretokens`, and so are the next four.
        special_tokens: See there.
        normalizer: See there.
        max_pretoken_bytes: See there.
        strict: See there.
        worker_memory: As for :func:`count_pretokens` here.

    Raises:
        PatternError: As ``count_pretokens``, and so are the rest.
        TrainingError: See there.
        VocabularyError: See there.
    """
    about = _about(pattern, special_tokens, normalizer, max_pretoken_bytes)
    return CountDocuments(column, _method(about, strict, worker_memory))


def count_pretokens(
    source: Any,
    *,
    spark: Any = None,
    pattern: str | Sequence[str] | Pattern = "llama3",
    special_tokens: Sequence[str] = (),
    normalizer: str | None = None,
    max_pretoken_bytes: int | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    min_pretoken_count: int = 1,
    partition_bytes: int | None = None,
    worker_memory: int = WORKER_MEMORY,
    progress: Callable[[Progress], None] | None = None,
) -> Counts:
    """Count the pretokens of a corpus on a Spark cluster. The counts are those of :func:`bbpe.counts.count_pretokens`.

    ``bbpe.write_counts`` writes them as a count file, byte for byte the one that a single process writes of the same
    files: sizes and hashes of all files are in it. Of a DataFrame it names no files, as of any documents from memory.

    The driver keeps the distinct pretokens in files without names in its temporary folder (``TMPDIR``), and in memory
    only what is being looked at.

    Args:
        source: A ``pyspark.sql.DataFrame``, whose column ``text_field`` holds a document in each row, string or binary
            (which need not be UTF-8); or a path or paths of files and folders, as for ``count_pretokens``, that the
            driver and all workers see under the same names. Files are read by our own rules, not by Spark's.
        spark: The ``SparkSession``; the DataFrame's own, or the active one when None.
        pattern: As for ``count_pretokens``, and so are the next three.
        special_tokens: See there.
        normalizer: See there.
        max_pretoken_bytes: See there.
        text_field: The field of JSON lines, or the column of Parquet or of the DataFrame, that holds the text.
        lines: Whether each line of a text file is a document.
        strict: Whether invalid UTF-8 is an error.
        min_pretoken_count: Leave out pretokens that occur less often in all of the corpus, before they come to the
            driver. The count file says so, and so does every training on it; its sums are of what is left.
        partition_bytes: About how much of the files, as they lie on disk, one task reads: at least a byte. When None
            three tasks a core, of 16 MB to 1 GB: the larger, the less is shuffled. Files are divided between documents
            only; see :func:`bbpe.corpus.divide`. A DataFrame's partitions stay as they are.
        worker_memory: Bytes that counting takes in one worker, text aside, before partial counts are handed on.
        progress: Called now and then with tasks that have ended, in the phases ``"counting"`` and ``"adding"``.

    Raises:
        ClusterError: There is no session, or Spark failed.
        CorpusError: Something cannot be read, or there is no text in it.
        MissingExtraError: pyspark is not installed.
        PatternError: As for ``count_pretokens``.
        TrainingError: An option out of range.
        VocabularyError: An empty or repeated special token.
    """
    about = _about(pattern, special_tokens, normalizer, max_pretoken_bytes)
    method = _method(about, strict, worker_memory)
    if partition_bytes is not None and partition_bytes < 1:
        raise TrainingError(f"partition_bytes is {partition_bytes}; it must be at least 1")
    if min_pretoken_count < 1:
        raise TrainingError(f"min_pretoken_count is {min_pretoken_count}; it must be at least 1")
    about = replace(about, min_pretoken_count=min_pretoken_count)
    _pyspark()
    if hasattr(source, "mapInArrow"):
        _check_column(source, text_field)
        session = source.sparkSession
        files: tuple[str, ...] = ()
        with _spark_errors():
            texts = source.select(source[_quoted(text_field)].alias("text"))  # mapInArrow takes no name with a dot
            partial = texts.mapInArrow(CountDocuments(text_field, method), PARTIAL_COUNTS)
    else:
        files = _files(source)
        session = _active_session() if spark is None else spark
        with _spark_errors():
            tasks = _tasks(files, lines, partition_bytes or _partition_bytes(files, session))
            numbers = session.range(0, len(tasks), 1, len(tasks))
            partial = numbers.mapInArrow(_CountFiles(tasks, text_field, lines, method), PARTIAL_COUNTS)
    with _Sums() as sums:
        with _spark_errors():
            _watched(session, lambda: _sum(partial, min_pretoken_count, sums), progress)
        return sums.counts(about, files)


def _about(
    pattern: str | Sequence[str] | Pattern,
    special_tokens: Sequence[str],
    normalizer: str | None,
    max_pretoken_bytes: int | None,
) -> Counts:
    """The options, checked: counts of nothing."""
    parts = count_parts(
        (),
        pattern=pattern,
        special_tokens=special_tokens,
        normalizer=normalizer,
        max_pretoken_bytes=max_pretoken_bytes,
        most_bytes=0,
    )
    return next(parts).counts


def _method(about: Counts, strict: bool, worker_memory: int) -> _Method:
    if worker_memory < 1_000_000:
        raise TrainingError(f"worker_memory is {worker_memory}; it must be at least 1,000,000 bytes")
    return _Method(
        about.pattern,
        about.special_tokens,
        about.normalizer,
        about.max_pretoken_bytes,
        strict,
        worker_memory,
        (bbpe.__version__, unicode_version()),
    )


def _check_column(frame: Any, column: str) -> None:
    if column not in frame.columns:
        shown = ", ".join(map(repr, frame.columns[:20])) or "none"
        raise CorpusError(f"the DataFrame has no column {column!r}; it has {shown}; choose one with text_field")
    kind = frame.schema[column].dataType.simpleString()
    if kind not in ("string", "binary") and not kind.startswith(("varchar", "char")):
        raise CorpusError(
            f"column {column!r} of the DataFrame is of type {kind}, not string or binary; choose another column"
        )


def _quoted(column: str) -> str:
    """A column's name for ``select``, in which a dot would mean a field of a struct."""
    return "`" + column.replace("`", "``") + "`"


def _files(source: Any) -> tuple[str, ...]:
    """The files that paths name, which a worker can open."""
    if isinstance(source, (str, os.PathLike)):
        paths = [os.fspath(source)]
    else:
        paths = list(source)
        for path in paths:
            if not isinstance(path, os.PathLike):
                raise TypeError(
                    f"{path!r} among the sources of a Spark job; give a DataFrame, a path, or a list of Path objects"
                )
        paths = [os.fspath(path) for path in paths]
    files = tuple(file for path in paths for file in find_files(path, isinstance(source, str)))
    if not files:
        raise CorpusError("no sources given; give at least one file, folder or DataFrame")
    for file in files:
        if file == "-" or not os.path.isfile(file):
            raise CorpusError(f"{file}: not a regular file, which workers could open; write it to one first")
        if is_count_file(file):
            raise CorpusError(
                f"{file}: a count file, counted already; add it up afterwards (bbpe pretokens A.parquet B.parquet)"
            )
    return files


def _partition_bytes(files: Sequence[str], session: Any) -> int:
    """How much of the files a task is to read."""
    try:
        cores = int(session.sparkContext.defaultParallelism)
    except Exception:  # of a session over Spark Connect nobody knows
        cores = 64
    share = sum(os.path.getsize(file) for file in files) // (_TASKS_A_CORE * max(1, cores))
    return max(_LEAST_PARTITION, min(_MOST_PARTITION, share))


def _tasks(files: Sequence[str], lines: bool, most_bytes: int) -> tuple[tuple[_Reading, ...], ...]:
    """What each task reads: large files in several tasks, small ones together in one."""
    tasks: list[tuple[_Reading, ...]] = []
    task: list[_Reading] = []
    size = 0
    for number, file in enumerate(files):
        portions = divide(file, lines=lines, most_bytes=most_bytes)
        bytes_each = os.path.getsize(file) // len(portions)
        readings = [(_Reading(number, portion, False), bytes_each) for portion in portions]
        if len(portions) > 1:
            readings.append((_Reading(number, Portion(file), True), bytes_each * len(portions) // _HASHING))
        for reading, reading_size in readings:
            if task and size + reading_size > most_bytes:
                tasks.append(tuple(task))
                task, size = [], 0
            task.append(reading)
            size += reading_size
    return (*tasks, tuple(task))


def _sum(partial: Any, least: int, sums: _Sums) -> None:
    """Let Spark add partial counts up and sort them, and take the sums."""
    functions: Any = importlib.import_module("pyspark.sql.functions")
    levels: Any = importlib.import_module("pyspark").StorageLevel
    summed = partial.groupBy("pretoken", "fact").agg(functions.sum("count").alias("count"))
    if least > 1:
        summed = summed.where(functions.col("fact").isNotNull() | (functions.col("count") >= least))
    # Kept on the workers' disks, because the driver takes one partition at a time, and would let them be made so.
    packed = summed.orderBy("pretoken").mapInArrow(_packed, _PACKED).persist(levels.DISK_ONLY)
    try:
        packed.count()
        for row in packed.toLocalIterator():
            sums.add(row)
    finally:
        packed.unpersist()


class _Sums:
    """The sums as they come to the driver, in order; the pretokens go to disk."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._files: tuple[IO[bytes], ...] = ()
        self._facts: dict[str, int] = {}
        self._sources: dict[int, tuple[int, str]] = {}
        self._rows = self._size = self._pretokens = self._bytes = self._characters = self._invalid = 0
        self._last = b""

    def __enter__(self) -> _Sums:
        open_file = tempfile.TemporaryFile
        self._files = tuple(self._open.enter_context(open_file(prefix="bbpe-")) for _ in range(3))
        self._files[1].write(np.zeros(1, np.int64).tobytes())
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()  # what is mapped of the files stays

    def add(self, row: Any) -> None:
        """Take a row of :data:`_PACKED`."""
        if row.fact is not None:
            kind, _, rest = row.fact.partition(" ")
            if kind == _SOURCE:
                number, _, sha256 = rest.partition(" ")
                self._sources[int(number)] = row["count"], sha256
            else:
                self._facts[row.fact] = row["count"]
            return
        lengths, counts = np.frombuffer(row.lengths, np.int64), np.frombuffer(row.counts, np.int64)
        first, last = bytes(row.data[: lengths[0]]), bytes(row.data[len(row.data) - int(lengths[-1]) :])
        if self._rows and first <= self._last:
            raise ClusterError(
                "Spark gave pretokens that are not in the order of their bytes; report this with its version"
            )
        self._last = last
        ends = self._size + np.cumsum(lengths)
        for file, data in zip(self._files, (row.data, ends.tobytes(), row.counts), strict=True):
            file.write(data)
        self._rows += len(counts)
        self._size += len(row.data)
        self._pretokens += int(counts.sum())
        self._bytes += int(counts @ lengths)
        self._characters += row.characters
        self._invalid += row.invalid

    def counts(self, about: Counts, files: Sequence[str]) -> Counts:
        """All of it.

        Raises:
            CorpusError: There was no text.
        """
        if not self._facts.get(_TEXT_BYTES):
            name = files[0] if len(files) == 1 else f"{len(files)} files" if files else "the DataFrame"
            raise CorpusError(f"{name}: no text in it; give a corpus with text")
        if len(self._sources) != len(files):
            raise ClusterError(f"of {len(files)} files {len(self._sources)} were read to their ends; report this")
        data, offsets, counts = self._files
        return replace(
            about,
            data=_mapped(data, np.uint8, self._size),
            offsets=_mapped(offsets, np.int64, self._rows + 1),
            counts=_mapped(counts, np.int64, self._rows),
            documents=self._facts[_DOCUMENTS],
            bytes=self._bytes,
            characters=self._characters,
            invalid_bytes=self._invalid,
            pretokens=self._pretokens,
            pretokens_cut=self._facts[_CUT],
            sources=tuple(Source(file, *self._sources[number]) for number, file in enumerate(files)),
        )


def _mapped(file: IO[bytes], kind: type[Any], size: int) -> npt.NDArray[Any]:
    """An array that lies in a file."""
    file.flush()
    return np.asarray(np.memmap(file, kind, "r", shape=(size,))) if size else np.empty(0, kind)


# --- Spark itself -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def session(
    master: str, conf: Mapping[str, str] | None = None, *, log: str | os.PathLike[str] | None = None
) -> Iterator[Any]:
    """A Spark session of our own, stopped at the end of the ``with`` block. Notebooks have one already.

    Args:
        master: Where the cluster is, as Spark writes it: ``spark://host:7077``, ``yarn``, ``k8s://…``, ``local[4]``.
        conf: Spark's settings, such as ``{"spark.executor.memory": "8g"}``; what is not given is as
            ``spark-defaults.conf`` says.
        log: A file that takes what Spark says on standard error, which is much, instead of ours.

    Raises:
        ClusterError: The cluster cannot be reached.
        MissingExtraError: pyspark or Java is not installed.
    """
    sql = _pyspark()
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        raise MissingExtraError(
            "Spark needs Java 17 or later, and there is no 'java' on the PATH and no JAVA_HOME; install one, for example "
            "with apt-get install openjdk-17-jre-headless"
        )
    _check_reachable(master)
    settings = {"spark.ui.showConsoleProgress": "false", **(conf or {})}
    here = master.startswith("local") and "PYSPARK_PYTHON" not in os.environ
    if here:
        os.environ["PYSPARK_PYTHON"] = sys.executable  # workers of this machine: the Python that has bbpe
    try:
        builder = sql.SparkSession.builder.appName("bbpe").master(master)
        for name, value in settings.items():
            builder = builder.config(name, value)
        try:
            with _errors_into(log), _without_pandas_warning():
                made = builder.getOrCreate()
        except Exception as error:
            reason = _said(log) or _first_line(error)
            raise ClusterError(f"no Spark session at {master!r}: {reason}; check the master and the settings") from None
        try:
            yield made
        finally:
            made.stop()
    finally:
        if here:
            os.environ.pop("PYSPARK_PYTHON", None)


@contextlib.contextmanager
def _errors_into(log: str | os.PathLike[str] | None) -> Iterator[None]:
    """Processes that are begun in the ``with`` block have a file as their standard error, for as long as they live."""
    if log is None:
        yield
        return
    sys.stderr.flush()
    ours = os.dup(2)
    try:
        with open(log, "ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


_THROWN = re.compile(r"^Exception in thread .*?(?:Exception|Error): (.+)$|^Error: (.+)$", re.MULTILINE)


def _said(log: str | os.PathLike[str] | None) -> str | None:
    """Why Java ended before Python could ask it, where its log says so."""
    if log is None:
        return None
    with open(log, encoding="utf-8", errors="replace") as file:
        found = _THROWN.search(file.read(1 << 20))
    return (found[1] or found[2]).strip().rstrip(".") if found else None


@contextlib.contextmanager
def _without_pandas_warning() -> Iterator[None]:
    """pyspark wants pandas for everything with Arrow, and warns of releases newer than itself; we need none of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield


def _pyspark() -> Any:
    """``pyspark.sql``."""
    try:
        importlib.import_module("pyarrow")
        return importlib.import_module("pyspark.sql")
    except ImportError:
        raise MissingExtraError("counting on Spark needs pyspark and pyarrow: pip install 'bbpe[spark]'") from None


def _active_session() -> Any:
    active = _pyspark().SparkSession.getActiveSession()
    if active is None:
        raise ClusterError("no Spark session is active; pass one as spark, or use bbpe.spark.session(master)")
    return active


def _check_reachable(master: str) -> None:
    """Ask a standalone master for a connection: Spark itself asks for a minute, and then says little.

    Raises:
        ClusterError: None of them answers.
    """
    if not master.startswith("spark://"):
        return
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            if not host or not port.isdigit():
                raise OSError("not of the form spark://host:port")
            with socket.create_connection((host, int(port)), _REACH_SECONDS):
                return
        except (OSError, OverflowError) as error:
            reasons.append(f"{address}: {getattr(error, 'strerror', None) or error}")
    raise ClusterError(f"no Spark master answers at {master} ({'; '.join(reasons)}); check the address and the cluster")


_OURS = re.compile(r"^(?:.*: )?bbpe\.errors\.(\w+): (.*)$", re.MULTILINE)
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '(bbpe|numpy|pyarrow|regex)[.']")


@contextlib.contextmanager
def _spark_errors() -> Iterator[None]:
    """Say in our words what Spark says: an error of ours on a worker is the same error here."""
    try:
        with _without_pandas_warning():
            yield
    except (BbpeError, TypeError):
        raise
    except Exception as error:
        kinds = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
        if not kinds & {"pyspark", "py4j"}:
            raise
        text = str(error)
        ours = _OURS.findall(text)
        if ours:
            name, message = ours[-1]
            kind = getattr(errors, name, ClusterError)
            if name == "CorpusError" or kind.__init__ is Exception.__init__:
                raise kind(message.strip()) from None
        missing = _NO_MODULE.search(text)
        if missing:
            raise ClusterError(
                f"the workers have no {missing[1]}; install bbpe {bbpe.__version__} and pyarrow where the workers' Python "
                "finds it, or name their Python (PYSPARK_PYTHON)"
            ) from None
        raise ClusterError(f"Spark failed: {_first_line(error)}; its log says more") from error


def _first_line(error: Exception) -> str:
    """What an error says, in one line; of a Java exception its message."""
    java = getattr(error, "java_exception", None)
    text = str(error)
    if java is not None:
        with contextlib.suppress(Exception):  # the other side may be gone
            text = str(java.getMessage() or java.toString())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:500].rstrip(".") if lines else type(error).__name__


def _watched(session: Any, run: Callable[[], None], progress: Callable[[Progress], None] | None) -> None:
    """Run a job in a thread, so that the calling one can tell how far it is, and cancel it when interrupted."""
    context = getattr(session, "_sc", None)
    if context is None:  # Spark Connect tells nothing
        run()
        return
    group = f"bbpe-{os.urandom(8).hex()}"
    failed: list[BaseException] = []

    def work() -> None:
        try:
            context.setJobGroup(group, "bbpe: counting pretokens", interruptOnCancel=True)
            run()
        except BaseException as error:  # it is raised again in the calling thread
            failed.append(error)

    thread = threading.Thread(target=work, name="bbpe-spark", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            if progress is not None:
                for report in _progress(context.statusTracker(), group):
                    progress(report)
    except BaseException:
        context.cancelJobGroup(group)
        raise
    if failed:
        raise failed[0]


def _progress(tracker: Any, group: str) -> Iterator[Progress]:
    """How many tasks have ended: of the first stage, which counts, and of the others."""
    stages: set[int] = set()
    for job in tracker.getJobIdsForGroup(group):
        info = tracker.getJobInfo(job)
        if info is not None:
            stages.update(info.stageIds)
    known = [info for info in map(tracker.getStageInfo, sorted(stages)) if info is not None]
    if known:
        first, *others = known
        yield Progress("counting", first.numCompletedTasks, first.numTasks, "tasks")
        if first.numCompletedTasks == first.numTasks and others:
            yield Progress("adding", sum(info.numCompletedTasks for info in others), None, "tasks")
