"""Counting on Spark: a real one on this machine, whose workers are killed, against one process.

What needs no Spark comes first: how files are divided, what a worker hands on, what is refused before Spark begins.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bbpe
from bbpe import spark as bbpe_spark
from bbpe.cli import run
from bbpe.corpus import Portion, Stream, divide
from bbpe.count_files import read_counts, write_counts
from bbpe.counts import Counts, add_up, count_parts, count_pretokens
from bbpe.errors import BbpeError, ClusterError, CorpusError, MissingExtraError, TrainingError, VocabularyError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny" / "train"
WORDS = ["the", "token", "次の", "词元", "中文分词", "naïve", "a\tb", "x" * 40, "🙂", "1234567", "<|end|>", "é"]
BAD = [b"\xff", b"\xe4\xb8", b"caf\xe9", b"\xed\xa0\x80"]


def some_documents(number: int, seed: int = 5) -> list[bytes]:
    """Documents in several scripts, some empty, some long, some with bytes that are no UTF-8."""
    rng = random.Random(seed)
    documents = []
    for place in range(number):
        words = [rng.choice(WORDS).encode() for _ in range(rng.choice([0, 1, 5, 50, 400]))]
        if place % 7 == 0:
            words.append(rng.choice(BAD))
        documents.append(b" ".join(words))
    return documents


def joined(parts: Iterator[Any]) -> Counts:
    return add_up((part.counts, 1) for part in parts)


def counted(streams: Any, most_bytes: int = 1 << 30, **options: Any) -> Counts:
    return joined(count_parts(streams, most_bytes=most_bytes, **{"pattern": "llama3", **options}))


def same_but_sources(one: Counts, other: Counts) -> bool:
    import dataclasses

    return dataclasses.replace(one, sources=()) == dataclasses.replace(other, sources=())


# --- files in portions ------------------------------------------------------------------------------------------------


def portions_of(path: Path, size: int, lines: bool) -> list[Stream]:
    portions = divide(str(path), lines=lines, most_bytes=size)
    return [Stream.of_portion(each, text_field="text", lines=lines, strict=False, block_bytes=64) for each in portions]


LINES = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"\n", id="one empty line"),
    pytest.param(b"\n\n\n\n\n", id="empty lines"),
    pytest.param(b"one\ntwo\r\nthree", id="no newline at the end"),
    pytest.param(b"\r\n\r\n\r\r\n" * 5, id="carriage returns"),
    pytest.param(b"x" * 500 + b"\n" + b"y" * 3 + b"\n" + b"z" * 300, id="lines longer than portions"),
    pytest.param(b"\xef\xbb\xbfmark\n" + b"\n".join(some_documents(20)) + b"\n", id="documents"),
    pytest.param("词元化\n".encode() * 40, id="borders inside characters"),
]


@pytest.mark.parametrize("data", LINES)
def test_lines_are_the_same_however_a_file_is_divided(data: bytes, tmp_path: Path) -> None:
    """Every size from 1 byte on: so borders fall on, before and behind every newline."""
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    whole = counted([Stream.of_file(str(path), text_field="text", lines=True, strict=False, block_bytes=64)])
    for size in [*range(1, 40), 64, 100, 1000]:
        assert same_but_sources(counted(portions_of(path, size, True)), whole), size


def test_json_lines_are_the_same_however_a_file_is_divided(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    documents = [document.decode("utf-8", "ignore") for document in some_documents(30)]
    path.write_text("\ufeff" + "\n\n".join(json.dumps({"text": document}) for document in documents), "utf-8")
    whole = count_pretokens(path)
    assert whole.documents == 30
    for size in [1, 2, 3, 5, 17, 100, 999, 5000]:
        assert same_but_sources(counted(portions_of(path, size, False)), whole), size


def test_parquet_is_divided_between_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    documents = [document.decode("utf-8", "ignore") for document in some_documents(60)]
    parquet.write_table(pa.table({"text": documents, "other": list(range(60))}), path, row_group_size=7)
    whole = count_pretokens(path)
    for size in [1, 500, 2000, 10**9]:
        assert same_but_sources(counted(portions_of(path, size, False)), whole), size
    assert len(divide(str(path), lines=False, most_bytes=1)) == 9
    assert divide(str(path), lines=False, most_bytes=10**9) == (Portion(str(path)),)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl.gz", "a.parquet.zst", "broken.parquet"])
def test_what_cannot_be_divided_stays_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"text\n" * 100)
    assert divide(str(path), lines=False, most_bytes=10) == (Portion(str(path)),)
    with pytest.raises(CorpusError, match="cannot be read"):
        divide(str(path) + "x", lines=False, most_bytes=10)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"good\n" * 20 + b"b\xe9d\n" + b"good\n" * 20, r"invalid UTF-8 at byte offset 101 \(0xe9"),
        ("a.txt", b"good\n" * 20 + b"\0\n" + b"good\n" * 20, "binary, not text: byte 0x00 at offset 100"),
        ("a.jsonl", b'{"text": "x"}\n' * 20 + b"{}\n", r"a.jsonl \(from byte \d+\):\d: no field 'text'"),
        ("a.jsonl", b'{"text": "x"}\n' * 20 + b"\xef\xbb\xbf\n", r"from byte .*: not valid JSON"),
    ],
)
def test_mistakes_in_portions_say_where(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    portions = divide(str(path), lines=True, most_bytes=30)
    assert len(portions) > 3
    with pytest.raises(CorpusError, match=message):
        counted([Stream.of_portion(each, text_field="text", lines=True, strict=True) for each in portions])


def test_a_hash_is_read_without_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"text " * 10_000)
    nothing = counted([Stream.of_hash(str(path))])
    assert (len(nothing), nothing.documents) == (0, 0)
    assert nothing.sources == count_pretokens(path).sources
    with pytest.raises(CorpusError, match="no such file"):
        counted([Stream.of_hash(str(path) + "x")])


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most_bytes", [1, 16_000_000, 1 << 30])
def test_parts_add_up(most_bytes: int, tmp_path: Path) -> None:
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_bytes(b"\n".join(some_documents(200, seed=number)) * 5)
    options: dict[str, Any] = {"special_tokens": ["<|end|>"], "normalizer": "NFC", "max_pretoken_bytes": 20}
    streams = [
        Stream.of_file(str(path), text_field="", lines=True, strict=False, block_bytes=1 << 16) for path in paths
    ]
    parts = list(count_parts(streams, pattern="gpt2", most_bytes=most_bytes, **options))
    assert (len(parts) > 4) == (most_bytes == 1)
    whole = count_pretokens(paths, pattern="gpt2", lines=True, **options)
    assert joined(iter(parts)) == whole
    assert sum(part.text_bytes for part in parts) == sum(
        len(line.removesuffix(b"\r")) for path in paths for line in path.read_bytes().split(b"\n")
    )


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.string(), pa.large_string()])
def test_a_worker_counts_batches(kind: Any) -> None:
    """Without Spark: what mapInArrow is given is a function from batches to batches."""
    documents = some_documents(300)
    if kind in (pa.string(), pa.large_string()):
        documents = [document.decode("utf-8", "replace").encode() for document in documents]
    values = pa.array(documents, pa.binary()).cast(kind)
    batches = [
        pa.record_batch([pa.array(range(len(part))), part], names=["id", "text"])
        for part in (values[:7], values[7:7], values[7:200], values[200:])
    ]
    function = bbpe_spark.count_documents("text", pattern="gpt2", worker_memory=1_000_000)
    sums: dict[tuple[bytes | None, str | None], int] = {}
    for batch in function(iter(batches)):
        assert batch.schema.names == ["pretoken", "fact", "count"]
        for row in batch.to_pylist():
            key = row["pretoken"], row["fact"]
            assert (key[0] is None) != (key[1] is None)
            sums[key] = sums.get(key, 0) + row["count"]
    whole = count_pretokens(documents, pattern="gpt2")
    facts = {fact: sums.pop((None, fact)) for fact in ("documents", "text bytes", "pretokens cut")}
    assert facts == {"documents": 300, "text bytes": whole.bytes, "pretokens cut": 0}
    assert {key[0]: count for key, count in sums.items()} == dict(whole.items())


def test_a_worker_of_another_version_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    function = bbpe_spark.count_documents()
    monkeypatch.setattr(bbpe, "__version__", "0.0.1")
    with pytest.raises(ClusterError, match=r"and the worker .* bbpe 0\.0\.1"):
        list(function([pa.record_batch([pa.array(["a"])], names=["text"])]))


# --- refused before Spark begins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pattern": "nothing"}, BbpeError, "nothing"),
        ({"special_tokens": [""]}, VocabularyError, "is empty"),
        ({"normalizer": "NFKC"}, TrainingError, "normalizer is 'NFKC'"),
        ({"max_pretoken_bytes": 3}, TrainingError, "max_pretoken_bytes is 3"),
        ({"worker_memory": 10}, TrainingError, "worker_memory is 10"),
        ({"min_pretoken_count": 0}, TrainingError, "min_pretoken_count is 0"),
        ({"partition_bytes": 0}, TrainingError, "partition_bytes is 0"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        bbpe_spark.count_pretokens(TINY, **options)


def test_without_java_or_pyspark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pretokens", str(TINY), "-o", str(tmp_path / "a.parquet"), "--spark", "local[2]"]
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    assert run(command) == 1
    assert "pip install 'bbpe[spark]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyspark.sql", object())
    assert run(command) == 1
    assert "Spark needs Java 17 or later" in capsys.readouterr().err
    with pytest.raises(MissingExtraError), bbpe_spark.session("local"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--spark", "spark://127.0.0.1:1"], 1, "no Spark master answers at spark://127.0.0.1:1"),
        (["--spark", "spark://nobody"], 1, "not of the form spark://host:port"),
        (["--spark", "local", "--sample", "1MB"], 2, "--sample and --spark do not go together"),
        (["--spark", "local", "--threads", "2"], 2, "--threads and --spark do not go together"),
        (["--spark", "local", "--spark-conf", "executor.cores"], 2, "is no setting"),
        (["--spark-conf", "spark.executor.cores=2"], 2, "without --spark"),
        (["--spark", "local", "-o", "there.parquet"], 1, "exists already"),
        (["--spark", "local", "-o", "a.csv"], 1, "a count file is .parquet or .tsv"),
    ],
)
def test_mistakes_on_the_command_line(
    more: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))  # nothing gets as far as Java
    monkeypatch.chdir(tmp_path)
    Path("there.parquet").write_bytes(b"")
    assert run(["pretokens", str(TINY), "-o", "a.parquet", *more]) == status
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert not Path("a.parquet").exists()


# --- a real Spark -----------------------------------------------------------------------------------------------------

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "3",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


def need_spark() -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'bbpe[spark]'")
    pytest.importorskip("pandas", reason="pandas is not installed: pip install 'bbpe[spark]'")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("there is no Java, which Spark runs on")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def spark(logs: Path) -> Iterator[Any]:
    """A Spark in one Java process with two cores, which gives a task two attempts. Workers find bbpe where we do."""
    need_spark()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(bbpe.__file__).parent.parent))
        with bbpe_spark.session("local[2,2]", SETTINGS, log=logs / "local.log") as session:
            yield session


def files_equal(counts: Counts, expected: Counts, folder: Path) -> None:
    """The count files of both are equal byte for byte, in both forms."""
    assert counts == expected
    for suffix in ("parquet", "tsv"):
        write_counts(counts, folder / f"cluster.{suffix}", force=True)
        write_counts(expected, folder / f"alone.{suffix}", force=True)
        assert (folder / f"cluster.{suffix}").read_bytes() == (folder / f"alone.{suffix}").read_bytes()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with every form of file, compressed and not, broken UTF-8, an empty file."""
    folder = tmp_path / "corpus"
    shutil.copytree(TINY, folder)
    documents = some_documents(120)
    texts = [document.decode("utf-8", "ignore") for document in documents]
    (folder / "broken.txt").write_bytes(b"\n".join(documents))
    (folder / "empty.txt").write_bytes(b"")
    (folder / "lines.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts), "utf-8")
    parquet.write_table(pa.table({"text": texts, "n": list(range(120))}), folder / "rows.parquet", row_group_size=10)
    import gzip

    (folder / "more.jsonl.gz").write_bytes(gzip.compress((folder / "lines.jsonl").read_bytes()))
    return folder


OPTIONS: dict[str, Any] = {"pattern": "gpt2", "special_tokens": ["<|end|>"], "max_pretoken_bytes": 12}


def test_files_give_the_count_file_of_one_process(spark: Any, corpus: Path, tmp_path: Path) -> None:
    """Portions of 20 kB, many tasks, more than one part a task; then whole files, other options."""
    reported = []
    counts = bbpe_spark.count_pretokens(
        corpus, spark=spark, partition_bytes=20_000, worker_memory=1_000_000, lines=True, progress=reported.append
    )
    files_equal(counts, count_pretokens(corpus, lines=True), tmp_path)
    assert counts.invalid_bytes > 0
    assert [source.path for source in counts.sources] == [str(path) for path in sorted(corpus.iterdir())]
    assert {report.phase for report in reported} <= {"counting", "adding"}
    assert max(report.done for report in reported if report.phase == "counting") > 5
    counts = bbpe_spark.count_pretokens(corpus, **OPTIONS, normalizer="NFC", min_pretoken_count=3)
    files_equal(counts, count_pretokens(corpus, **OPTIONS, normalizer="NFC").without_rare(3), tmp_path)
    assert counts.pretokens_cut > 0


def test_a_count_file_of_a_cluster_trains_as_the_corpus_does(spark: Any, corpus: Path, tmp_path: Path) -> None:
    write_counts(bbpe_spark.count_pretokens(corpus, spark=spark), tmp_path / "counts.parquet")
    for source, out in ((corpus, "text"), (tmp_path / "counts.parquet", "counts")):
        assert run(["train", str(source), "--vocab", "700", "-q", "-o", str(tmp_path / out)]) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "text").iterdir()}
    assert {"tokenizer.json", "training.json"} <= set(written)
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "counts").iterdir()}


def test_a_frame_of_documents(spark: Any, tmp_path: Path) -> None:
    """Binary that is no UTF-8; a Parquet file that Spark reads itself; a column with a dot in its name."""
    documents = some_documents(200)
    frame = spark.createDataFrame(
        [(place, bytearray(text)) for place, text in enumerate(documents)], "n int, `a.b` binary"
    )
    counts = bbpe_spark.count_pretokens(frame.repartition(3), text_field="a.b", **OPTIONS)
    files_equal(counts, count_pretokens(documents, **OPTIONS), tmp_path)
    texts = [document.decode("utf-8", "replace") for document in documents]
    parquet.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    counts = bbpe_spark.count_pretokens(spark.read.parquet(str(tmp_path / "a.parquet")))
    files_equal(counts, count_pretokens(texts), tmp_path)


def test_the_page_about_scale_on_spark(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of docs/scale.md that need Spark, in a notebook's manner: with the session that is there."""
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shutil.copytree(TINY, tmp_path / "corpora" / "tiny" / "train")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bbpe_spark, "session", lambda *_, **__: contextlib.nullcontext(spark))
    for language, block in blocks:
        if language == "python":
            exec(block, {"spark": spark})
        elif "--spark" in block:
            assert [run([*shlex.split(line)[1:], "-q"]) for line in block.splitlines()] == [0, 0]
    assert read_counts("frame.parquet") == count_pretokens(["一段文字。", "Some text."])
    assert read_counts("counts.parquet") == count_pretokens(Path("corpora/tiny/train"))
    assert Path("from-spark/tokenizer.json").exists()


def test_partial_counts_are_for_anyone_to_sum(spark: Any) -> None:
    """The function that mapInArrow takes, and Spark's own sum, without the rest."""
    frame = spark.createDataFrame([("one two two",), ("two 三",)], "text string")
    with bbpe_spark._without_pandas_warning():
        partial = frame.mapInArrow(bbpe_spark.count_documents("text"), bbpe_spark.PARTIAL_COUNTS)
    rows = partial.groupBy("pretoken", "fact").sum("count").collect()
    sums = {row.pretoken or row.fact: row["sum(count)"] for row in rows}
    expected = {b"one": 1, b" two": 2, b"two": 1, " 三".encode(): 1}
    assert sums == {**expected, "documents": 2, "text bytes": 18, "pretokens cut": 0}


@pytest.mark.parametrize(
    ("rows", "schema", "options", "error", "message"),
    [
        ([("a",)], "words string", {}, CorpusError, "has no column 'text'; it has 'words'"),
        ([(1,)], "text int", {}, CorpusError, "column 'text' of the DataFrame is of type int, not string or binary"),
        ([("a",), (None,)], "`a.b` string", {"text_field": "a.b"}, CorpusError, r"n \d: row 0: column 'a.b' is null"),
        ([], "text string", {}, CorpusError, "the DataFrame: no text in it"),
    ],
)
def test_mistakes_in_a_frame(
    spark: Any, rows: list[Any], schema: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        bbpe_spark.count_pretokens(spark.createDataFrame(rows, schema), **options)
    assert "\n" not in str(caught.value)


def test_mistakes_in_files(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good \xff bad")
    (tmp_path / "empty.txt").write_bytes(b"")
    write_counts(count_pretokens(["text"]), tmp_path / "counts.tsv")
    for name, options, message in [
        ("a.txt", {"strict": True}, r"a\.txt: invalid UTF-8 at byte offset 5"),
        ("empty.txt", {}, r"empty\.txt: no text in it"),
        ("counts.tsv", {}, "a count file, counted already"),
        ("-", {}, "not a regular file"),
        ("missing.txt", {}, "no such file"),
    ]:
        path = name if name == "-" else tmp_path / name
        with pytest.raises(CorpusError, match=message):
            bbpe_spark.count_pretokens(path, spark=spark, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'text' among the sources"):
        bbpe_spark.count_pretokens(["text"], spark=spark)


def test_workers_without_bbpe_are_told_of(spark: Any, tmp_path: Path) -> None:
    def without(batches: Iterator[Any]) -> Iterator[Any]:
        raise ModuleNotFoundError("No module named 'bbpe'")
        yield

    with pytest.raises(ClusterError, match=f"install bbpe {bbpe.__version__} and pyarrow"), bbpe_spark._spark_errors():
        spark.range(1).mapInArrow(without, "id long").collect()
    with pytest.raises(ClusterError, match=r"Spark failed: .*nothing"), bbpe_spark._spark_errors():
        spark.sql("select nothing").collect()


# --- and it is killed -------------------------------------------------------------------------------------------------


def kill_once(marker: Path) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """A function for mapInArrow that passes batches on, and dies at the third one, the first time that it gets there.

    By then the counting behind it has handed rows on: an accumulator would have them twice.
    """
    path = str(marker)

    def passing(batches: Iterator[Any]) -> Iterator[Any]:
        for number, batch in enumerate(batches):
            if number == 2:
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL))
                    os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    return passing


def test_a_killed_worker_changes_nothing(spark: Any, tmp_path: Path) -> None:
    documents = some_documents(400)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "20")
    frame = spark.createDataFrame([(bytearray(text),) for text in documents], "text binary").repartition(2)
    with bbpe_spark._without_pandas_warning():
        frame = frame.mapInArrow(kill_once(tmp_path / "killed"), "text binary")
    counts = bbpe_spark.count_pretokens(frame, worker_memory=1_000_000)
    assert (tmp_path / "killed").exists()
    files_equal(counts, count_pretokens(documents), tmp_path)


def processes_with(path: Path) -> list[int]:
    """Processes, not this one, that have a file open."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), os.scandir(f"/proc/{process}/fd") as files:
            if int(process) != os.getpid() and any(os.readlink(file.path) == str(path) for file in files):
                found.append(int(process))
    return found


def executor_of(worker: int) -> int:
    """The Java process whose Python daemon's child a worker is."""
    process = worker
    for _ in range(2):
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    assert b"CoarseGrainedExecutorBackend" in Path(f"/proc/{process}/cmdline").read_bytes()
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_command_line_on_a_cluster_one_of_whose_executors_is_killed(tmp_path: Path) -> None:
    """Two executors in Java processes of their own. The one whose worker reads the corpus first is killed as it does."""
    need_spark()
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": text.decode("utf-8", "ignore")}, ensure_ascii=False) for text in some_documents(500)]
    path.write_text("\n".join(lines * 40), "utf-8")
    here = Path(bbpe.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(here), "TMPDIR": str(tmp_path), "SPARK_LOCAL_IP": "127.0.0.1"}
    out = tmp_path / "cluster.parquet"
    settings = [f"--spark-conf={name}={value}" for name, value in SETTINGS.items()]
    command = ["pretokens", str(path), "-o", str(out), "--spark", "local-cluster[2,1,1024]", *settings, "--json"]
    code = "from bbpe.cli import main; main()"
    killed = 0
    with subprocess.Popen(
        [sys.executable, "-c", code, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        log = ""
        while process.poll() is None:
            for reader in processes_with(path) if not killed else []:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    os.kill(executor_of(reader), signal.SIGKILL)
                    killed += 1
                    break
            for file in tmp_path.glob("bbpe-spark-*.log"):
                with contextlib.suppress(FileNotFoundError):
                    log = file.read_text("utf-8", "replace")
            time.sleep(0.02)
        printed, said = process.communicate()
    assert process.returncode == 0, said
    assert killed == 1
    assert "Lost executor" in log
    counts = count_pretokens(path)
    assert json.loads(printed)["documents"] == counts.documents == 20_000
    assert not [line for line in said.splitlines() if not line.startswith("bbpe: ")]
    write_counts(counts, tmp_path / "alone.parquet")
    assert out.read_bytes() == (tmp_path / "alone.parquet").read_bytes()
    assert {each.name for each in tmp_path.iterdir() if each.is_file()} == {
        "a.jsonl",
        "cluster.parquet",
        "alone.parquet",
    }
    assert read_counts(out) == counts
