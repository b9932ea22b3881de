"""A limit on memory changes nothing but where things wait: the same bytes, whatever it is, and nothing left behind."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbpe import atomic, count_files, runs, training
from bbpe import counts as counting
from bbpe._characters import CharacterLearner, learner, trial_step
from bbpe.cli import progress as cli_progress
from bbpe.cli import run as run_command
from bbpe.corpus import Corpus, Forecast, Progress
from bbpe.count_files import read_counts, write_counts
from bbpe.counts import Counts, Tally, count_pretokens
from bbpe.errors import CorpusError, OutputError, TrainingError
from bbpe.forecast import Forecaster, heaps
from bbpe.memory import Budget, merging_bytes, merging_seconds
from bbpe.mixture import Mixture
from bbpe.runs import Run, RunFolder, merged_rows, temporary_runs
from bbpe.training import train

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny" / "train"
COMMAND = [sys.executable, "-c", "from bbpe.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
ENOUGH = 10**12


def record_of(tok: Any) -> str:
    text: str = tok.training_record.to_json()
    return text


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def many_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Small chunks, small blocks, and memory that is full after each chunk: dozens of runs, merged four at a time."""
    asked: list[int] = []

    def full(self: Budget, table: Any) -> bool:
        asked.append(len(table))
        return True

    monkeypatch.setattr(counting, "BLOCK_BYTES", 3000)
    monkeypatch.setattr(runs, "BLOCK_ROWS", 200)
    monkeypatch.setattr(runs, "_MERGED_AT_ONCE", 4)
    monkeypatch.setattr(Budget, "full", full)
    return asked


def distinct_text(size: int, seed: int = 0) -> bytes:
    """Words of which hardly any comes twice."""
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
    words = letters[np.random.default_rng(seed).integers(0, 26, (size // 20, 20))]
    words[:, ::10] = ord(" ")
    return words.tobytes()


# --- the same result --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_pretoken_count": 2, "special_tokens": ["的"], "normalizer": "NFC"},
        {"sample": 40_000, "lines": True, "max_pretoken_bytes": 12},
        {"weights": {"zh.txt": "1.5", "en.txt": "1"}},
    ],
    ids=str,
)
def test_training_is_the_same(
    threads: int, options: dict[str, Any], many_runs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TINY)
    corpus = [Path("zh.txt"), Path("en.txt")]
    wanted = train(corpus, 700, **options)
    spilled = tmp_path / "spilled"
    spilled.mkdir()
    tok = train(corpus, 700, threads=threads, memory=ENOUGH, spill_folder=spilled, **options)
    assert len(many_runs) > 5
    assert list(spilled.iterdir()) == []
    assert tok.vocabulary == wanted.vocabulary
    assert record_of(tok) == record_of(wanted)
    for memory in (ENOUGH, None):  # the second time everything is there, without a limit
        again = train(corpus, 700, threads=threads, memory=memory, resume=tmp_path / "kept", **options)
        assert record_of(again) == record_of(wanted)


@pytest.mark.parametrize("suffix", ["parquet", "tsv"])
def test_count_files_are_the_same(suffix: str, many_runs: list[int], tmp_path: Path) -> None:
    """Of text and count files together, which are read into runs as well."""
    half, whole, limited = (tmp_path / f"{name}.{suffix}" for name in ("half", "whole", "limited"))
    corpus = [str(TINY / "en.txt"), str(half), str(TINY / "mixed.txt")]
    assert run_command(["pretokens", str(TINY / "zh.txt"), "-o", str(half), "-q"]) == 0
    assert run_command(["pretokens", *corpus, "-o", str(whole), "-q"]) == 0
    many_runs.clear()
    assert run_command(["pretokens", *corpus, "-o", str(limited), "-q", "--memory", "1TB"]) == 0
    assert len(many_runs) > 5
    assert limited.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f.name for f in (half, whole, limited))


def test_groups_of_parquet_follow_from_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the rows come: in one piece from memory or in blocks from disk, groups end at the same places."""
    monkeypatch.setattr(count_files, "_ROWS", 700)
    monkeypatch.setattr(count_files, "_GROUP_BYTES", 5000)
    monkeypatch.setattr(runs, "BLOCK_ROWS", 130)
    counts = count_pretokens([TINY / "zh.txt", TINY / "en.txt"])
    groups = [len(numbers) for _, _, numbers in count_files._groups(counts.rows(), 700, 5000)]
    with Mixture.of([TINY / "zh.txt", TINY / "en.txt"]).count_on_disk(spill_folder=tmp_path) as on_disk:
        assert [len(numbers) for _, _, numbers in count_files._groups(on_disk.rows(), 700, 5000)] == groups
        write_counts(on_disk, tmp_path / "a.parquet")
    write_counts(counts, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert max(groups) <= 700 < sum(groups)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_iterable_is_asked_only_once(threads: int, many_runs: list[int]) -> None:
    documents = [f"{number} is text {number % 7}" * 50 for number in range(200)]
    assert count_pretokens(iter(documents), threads=threads, memory=ENOUGH) == count_pretokens(documents)
    assert len(many_runs) > 5


def test_to_standard_output(many_runs: list[int], capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    assert run_command(["pretokens", str(TINY / "zh.txt"), "-o", "-", "--memory", "1TB"]) == 0
    (tmp_path / "a.tsv").write_bytes(capfdbinary.readouterr().out)
    assert read_counts(tmp_path / "a.tsv") == count_pretokens(TINY / "zh.txt")


def test_killed_between_any_two_reports(many_runs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --resume runs are kept: a training may die between any two of them, and go on with another limit."""

    class Died(Exception):
        pass

    monkeypatch.setattr("bbpe.corpus.REPORT_SECONDS", 0)
    wanted = record_of(train(TINY, 500, threads=1))
    rng = random.Random(1)
    died = 0
    while True:
        left = rng.randrange(1, 40)

        def die(progress: Progress) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Died

        try:
            memory = rng.choice([None, ENOUGH])
            tok = train(
                TINY, 500, threads=1, progress=die, resume=tmp_path / "kept", resume_seconds=0.001, memory=memory
            )
            break
        except Died:
            died += 1
            assert died < 100, "no progress from one death to the next"
    assert died >= 1
    assert record_of(tok) == wanted


def test_kept_merges_that_do_not_fit_are_learned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(TINY, 400, resume=tmp_path / "kept")
    monkeypatch.setattr("bbpe.training.limits._fits_encoded", lambda *_: False)
    tok = train(TINY, 500, resume=tmp_path / "kept", memory=ENOUGH)
    assert record_of(tok) == record_of(train(TINY, 500))


# --- runs -------------------------------------------------------------------------------------------------------------


def rows_of(counted: Counter[bytes]) -> runs.Rows:
    words = sorted(counted)
    offsets = np.cumsum([0, *map(len, words)]).astype(np.int64)
    return np.frombuffer(b"".join(words), np.uint8), offsets, np.array([counted[word] for word in words], np.int64)


def words_of(pieces: Any) -> list[tuple[bytes, int]]:
    return [
        (data[offsets[i] : offsets[i + 1]].tobytes(), int(counts[i]))
        for data, offsets, counts in pieces
        for i in range(len(counts))
    ]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.text("ab\0", min_size=1, max_size=12).map(str.encode), st.integers(1, 2**40), min_size=1
            ),
            st.integers(1, 1000),
        ),
        min_size=1,
        max_size=9,
    ),
    st.integers(1, 5),
)
def test_merging_is_adding_up(parts: list[tuple[dict[bytes, int], int]], rows: int) -> None:
    """Over beginnings that are shared, zeros, and blocks that end anywhere; in several passes where there are many."""
    expected: Counter[bytes] = Counter()
    with pytest.MonkeyPatch.context() as patch, temporary_runs(Path(os.environ.get("TMPDIR", "/tmp"))) as folder:
        patch.setattr(runs, "BLOCK_ROWS", rows)
        patch.setattr(runs, "BLOCK_BYTES", 10)
        written = []
        for part, times in parts:
            written.append((folder.write([rows_of(Counter(part))], lambda: {"x": 1}), times))
            expected.update({word: count * times for word, count in part.items()})
        assert words_of(written[0][0].rows()) == sorted(parts[0][0].items())
        few = folder.few(written, room=0)
        assert len(few) <= 2
        assert words_of(merged_rows(few)) == sorted(expected.items())
        assert len(os.listdir(folder.folder)) == len(few)


def test_a_damaged_run_is_an_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path).write([rows_of(Counter({b"one": 1, b"three": 3}))], lambda: {"said": 7})
    data = run.path.read_bytes()
    assert Run.at(run.path).about == {"said": 7}
    for at in range(len(data)):
        run.path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        with pytest.raises(TrainingError, match="is damaged"):
            list(Run.at(run.path).rows())
        run.path.write_bytes(data[:at])
        with pytest.raises(TrainingError, match="is damaged"):
            list(Run.at(run.path).rows())


def test_tally_says_what_without_rare_leaves() -> None:
    counts = count_pretokens([TINY / "zh.txt", TINY / "en.txt"])
    tally = Tally.of(counts.rows(), 0)
    for least in (1, 2, 3, 10, 1000):
        left = counts.without_rare(least)
        assert (tally.distinct[least], tally.size[least]) == (len(left), len(left.data))
        text = left.data.tobytes().decode()
        assert tally.characters[least] == len(text)


# --- what does not fit ------------------------------------------------------------------------------------------------


def test_too_small_a_limit_is_refused_with_the_minimum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        TrainingError, match=r"memory is 5MB, and counting with 2 threads needs at least (\d+)MB"
    ) as error:
        train(TINY, 300, memory=5_000_000, threads=2)
    least = int(str(error.value).partition("--memory ")[2].partition("MB")[0])
    assert len(train(TINY, 300, memory=(least + 20) * 10**6, threads=2)) == 300
    assert run_command(["pretokens", str(TINY), "-o", str(tmp_path / "a.tsv"), "--memory", "5MB"]) == 1
    assert "needs at least" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_limit_that_is_named_does_for_the_next_process_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which holds a little more, or less: where libraries are placed differs."""
    here, more = 50_000_000, 2_900_000
    for module in ("memory", "count_files"):
        monkeypatch.setattr(f"bbpe.{module}.at_most_resident", lambda: here)

    def named(error: pytest.ExceptionInfo[TrainingError]) -> int:
        return int(str(error.value).partition("(--memory ")[2].partition("MB)")[0]) * 10**6

    with pytest.raises(TrainingError) as error:
        Budget(here, 2)
    counting_limit = named(error)
    pytest.importorskip("pyarrow")
    with pytest.raises(TrainingError) as error:
        count_files.check_output(tmp_path / "a.parquet", force=False, memory=here)
    parquet_limit = named(error)
    here += more
    Budget(counting_limit, 2)
    assert count_files.check_output(tmp_path / "a.parquet", force=False, memory=parquet_limit) == ".parquet"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what is resident")
def test_a_limit_that_parquet_does_not_fit_in_is_refused(tmp_path: Path) -> None:
    """Before anything is counted; with the limit that it names, a count of groups of the largest size stays within."""
    rng = random.Random(0)
    words = ("".join(rng.choices("abcdefgh", k=63)) for _ in range(700_000))
    (tmp_path / "a.txt").write_text(" ".join(words))

    def run(limit: str, out: str) -> tuple[int, str, int]:
        code = (
            "from bbpe.cli import main\n"
            "try: main()\n"
            "finally: print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
        )
        command = [sys.executable, "-c", code, "pretokens", "a.txt", "-o", out, "--memory", limit, "-q"]
        done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr, int(done.stdout.split()[-2]) * 1024

    status, said, _ = run("150MB", "a.parquet")
    assert status == 1
    assert "memory is 150MB, and writing Parquet takes up to" in said
    assert said.endswith("or write a .tsv\n")
    least = said.partition("(--memory ")[2].partition(")")[0]
    status, said, peak = run(least, "a.parquet")
    assert (status, said) == (0, "")
    assert peak <= int(least.removesuffix("MB")) * 10**6
    assert run("150MB", "a.tsv")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "a.tsv", "a.txt"]


def test_merging_that_does_not_fit_is_refused_with_what_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbpe.training.limits.at_most_resident", lambda: 0)
    monkeypatch.setattr("bbpe.training.limits.merging_bytes", lambda distinct, *_: 10**9 * np.asarray(distinct))
    counts = count_pretokens(TINY)
    left = [len(counts.without_rare(least)) for least in (2, 3, 4)]
    with pytest.raises(TrainingError, match=rf"--min-pretoken-count 3\), which gives another result: {left[1]:,} are"):
        train(TINY, 300, memory=(left[1] + 1) * 10**9)
    tok = train(TINY, 300, memory=(left[1] + 1) * 10**9, min_pretoken_count=3)
    assert record_of(tok) == record_of(train(TINY, 300, min_pretoken_count=3))
    assert json.loads(record_of(tok))["options"]["min_pretoken_count"] == 3
    with pytest.raises(TrainingError, match="--min-pretoken-count 4"):
        train(counts, 300, memory=(left[2] + 1) * 10**9, min_pretoken_count=2)
    with pytest.raises(TrainingError, match="would not do for the most frequent alone"):
        train(counts, 300, memory=1)


@pytest.mark.parametrize(
    ("options", "memory", "message"),
    [
        ({"seed_tokens": ["人工智能"]}, 70, r"needs about \d+MB, and memory is 70MB; .*--min-pretoken-count \d"),
        ({"superwords": 20_000}, 70, r"needs about \d+MB, and memory is 70MB; give that much, or a sample"),
        ({"superwords": 300}, 101, r"merging across the edges of the first pattern, .* or a sample"),
        ({"balance": True}, 95, r"of 4 texts together needs about \d+MB, and memory is 95MB; give that much, or less"),
    ],
    ids=["seeds", "superwords, first stage", "superwords, second stage", "balance"],
)
def test_every_kind_of_merging_that_does_not_fit_is_refused(
    options: dict[str, Any], memory: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bbpe.training.limits.at_most_resident", lambda: 50_000_000)
    monkeypatch.setattr("bbpe.memory.resident_bytes", lambda: 10_000_000)
    (tmp_path / "a.txt").write_bytes(distinct_text(1_300_000))
    (tmp_path / "b.txt").write_text("some words come more than once " * 1000)
    (tmp_path / "side.txt").write_text("a b\n")
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    if "balance" in options:
        options = {"balance": {str(path): str(tmp_path / "side.txt") for path in paths}}
    with pytest.raises(TrainingError, match=message):
        train(paths, 32_000, threads=1, memory=memory * 1_000_000, spill_folder=tmp_path, **options)
    assert len(os.listdir(tmp_path)) == 3


def test_counts_that_do_not_fit_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "resident_bytes", lambda: ENOUGH)
    with pytest.raises(TrainingError, match=r"need .*MB to be held at once; write them to a count file"):
        count_pretokens(TINY, memory=ENOUGH)


def test_text_without_a_place_to_cut(tmp_path: Path) -> None:
    (tmp_path / "dna.txt").write_bytes(b"ACGT" * 2_500_000)
    base = Budget(ENOUGH, 1)._base
    with pytest.raises(
        CorpusError, match=r"dna\.txt: .* bytes of text without a place where the pattern certainly cuts"
    ):
        count_pretokens(tmp_path / "dna.txt", memory=base + 40_000_000, threads=1)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("resume", [False, True])
def test_disk_full(resume: bool, tmp_path: Path) -> None:
    """The system refuses to let any file grow past 100 KB."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "corpus.txt").write_bytes(distinct_text(600_000))
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); from bbpe.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "train", "in", "--vocab", "300", "-o", "out", "--memory", "2GB"]
    command += ["--resume", "kept"] if resume else []
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot be written: no space left (File too large)" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]  # nothing was kept that one could go on from


def test_an_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="check the folder and its permissions"):
        count_pretokens(TINY, memory=ENOUGH, spill_folder=tmp_path / "nowhere")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", ["SIGINT", "SIGKILL"])
def test_stopped_while_runs_are_written(number: str, tmp_path: Path) -> None:
    """Ctrl-C leaves nothing; a kill nothing under a final name, and what it leaves is in nobody's way."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "corpus.txt").write_bytes(distinct_text(20_000_000))
    command = [*COMMAND, "pretokens", "in", "-o", "out.tsv", "--memory", "110MB", "--threads", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(tmp_path.glob(".bbpe-runs.*.tmp/.run-*")):
        time.sleep(0.002)
    process.send_signal(getattr(signal, number))
    assert process.wait() != 0
    left = sorted(path.name for path in tmp_path.iterdir())
    if number == "SIGINT":
        assert left == ["in"]
        return
    assert left[-1] == "in"
    assert all(name.startswith(".bbpe-runs.") and name.endswith(".tmp") for name in left[:-1])
    with temporary_runs(tmp_path) as alive:  # removes what the dead process left
        assert sorted(os.listdir(tmp_path)) == [alive.folder.name, "in"]
        with temporary_runs(tmp_path) as other:
            assert sorted(os.listdir(tmp_path)) == sorted([alive.folder.name, other.folder.name, "in"])
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked")
def test_what_is_removed_is_of_dead_processes_alone(tmp_path: Path) -> None:
    """Not what lives, nor what is called in a similar way, nor what was made on another machine."""
    with atomic.temporary_folder(tmp_path, "out") as alive:
        name = alive.name
    others = [f".out.{'0' * 20}.tmp", name[:-5] + ".tmp", name.replace("out", "out.txt"), name + "2"]
    for other in [name, *others]:
        (tmp_path / other).mkdir()
        (tmp_path / other / "file").write_text("precious")
    (tmp_path / name / "folder").mkdir()
    with atomic.temporary_folder(tmp_path, "out") as alive:
        code = "import sys, pathlib, bbpe.atomic\nwith bbpe.atomic.temporary_folder(pathlib.Path(sys.argv[1]), 'out'): pass"
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=ENVIRONMENT)
        assert sorted(os.listdir(tmp_path)) == sorted([alive.name, *others])
    assert sorted(os.listdir(tmp_path)) == sorted(others)


def test_a_count_file_that_was_being_written(tmp_path: Path) -> None:
    """Its size is that of all counts: what a kill left of it does not stay; another process's is left alone."""
    counts = Counts.from_items({b"a": 1}, pattern="gpt2")
    target = tmp_path / "out.tsv"
    code = (
        "import sys, bbpe.atomic\nwith bbpe.atomic.atomic_write(sys.argv[1]) as file:\n"
        " file.write(b'x'); print('written', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(target)], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    write_counts(counts, target)
    assert len(os.listdir(tmp_path)) == 2
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert len(os.listdir(tmp_path)) == 2
    write_counts(counts, target, force=True)
    assert os.listdir(tmp_path) == ["out.tsv"]


def test_where_folders_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic.temporary_folder(tmp_path, "out") as dead:
        name = dead.name
    (tmp_path / name).mkdir()

    def missing(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr("importlib.import_module", missing)
    with atomic.temporary_folder(tmp_path, "out") as alive:
        assert sorted(os.listdir(tmp_path)) == sorted([alive.name, name])
    assert os.listdir(tmp_path) == [name]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what is resident")
def test_the_peak_is_near_the_limit(tmp_path: Path) -> None:
    """Without a limit this text takes 250 MB. The limit is used, and kept to a tenth."""
    (tmp_path / "corpus.txt").write_bytes(distinct_text(24_000_000))
    code = (
        "from bbpe.cli import main\n"  # not ru_maxrss: that also keeps the peak of the process that started this one
        "try: main()\n"
        "finally: print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    limit = 130_000_000
    command = [sys.executable, "-c", code, "pretokens", "corpus.txt", "-o", "out.tsv", "--memory", str(limit)]
    done = subprocess.run(
        [*command, "--threads", "1"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    peak = int(done.stdout.split()[-2]) * 1024
    assert 0.8 * limit < peak <= 1.1 * limit
    assert done.stdout.startswith("out.tsv: 2,")


# --- forecasts --------------------------------------------------------------------------------------------------------


def test_heaps_law_is_found_again() -> None:
    points = [(size, 7.0 * size**0.8 * (1 + 0.01 * (-1) ** number)) for number, size in enumerate(range(100, 1000, 50))]
    assert heaps(points) == pytest.approx(0.8, abs=0.02)
    assert heaps(points[:3]) is None
    assert heaps([(100 + number, 50.0) for number in range(9)]) is None  # too close
    assert heaps([(100 * number, 50.0) for number in range(1, 9)]) == pytest.approx(0, abs=1e-9)


class FakeTable:
    def __init__(self, hashes: np.ndarray[Any, np.dtype[np.uint64]]) -> None:
        self.hashes = hashes
        self.memory = 100 * len(hashes)

    def __len__(self) -> int:
        return len(self.hashes)

    def sample(self) -> Any:
        few = self.hashes[self.hashes < 2**59]
        return few, 10 * len(few), 4 * len(few)


@pytest.mark.parametrize("total", [64_000_000, None])
def test_a_forecast_over_several_tables_that_are_emptied(total: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """distinct = bytes**0.7; each table has seen half of the text; both are emptied on the way. Read: a quarter."""
    monkeypatch.setattr("bbpe.forecast.KEPT", 1 << 10)
    clock = [0.0]
    corpus = Corpus("x", ("x",), (), total)
    read = [0]
    monkeypatch.setattr(Corpus, "bytes_read", property(lambda self: read[0]))
    forecaster = Forecaster(corpus, 2, 1000, lambda: clock[0])
    every = np.random.default_rng(0).integers(0, 2**64, round(16e6**0.7), np.uint64)
    seen = 0
    for step in range(1, 41):
        clock[0], read[0] = step * 0.25, step * 400_000
        distinct = round(read[0] ** 0.7)
        tables = [FakeTable(every[seen:distinct]), FakeTable(every[(seen + distinct) // 2 : distinct])]
        for table in tables:
            forecaster.look(table)
        if step == 20:
            for table in tables:
                forecaster.leave(table)
            seen = distinct
        assert (forecaster.latest is not None) == (clock[0] >= 2)
    latest = forecaster.latest
    assert latest is not None
    assert latest.distinct_now == pytest.approx(16e6**0.7, rel=0.1)
    if total is None:
        assert latest.distinct is latest.seconds_left is latest.counting_memory is None
    else:
        assert latest.distinct == pytest.approx(64e6**0.7, rel=0.15)
        assert latest.distinct_bytes == pytest.approx(10 * 64e6**0.7, rel=0.15)
        assert latest.seconds_left == pytest.approx(30, rel=0.05)  # it was made a moment ago


@pytest.mark.parametrize("known", [True, False])
def test_a_forecast_is_said_as_json_and_in_words(
    known: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bbpe.forecast.FIRST_SECONDS", 0)
    monkeypatch.setattr("bbpe.forecast._POINTS_FROM", 0)
    ticks = itertools.count()  # not of a machine that may stand still between two points
    monkeypatch.setattr(Forecaster.__init__, "__defaults__", (lambda: next(ticks) / 1000,))
    monkeypatch.setattr(counting, "BLOCK_BYTES", 1000)
    monkeypatch.setattr("bbpe.corpus.REPORT_SECONDS", 0)
    with (TINY / "zh.txt").open() as file, cli_progress.shown(quiet=False, style="json") as show:
        monkeypatch.setattr(sys, "stdin", file)
        train(TINY / "zh.txt" if known else Path("-"), 300, progress=show, threads=1)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    forecasts = [line for line in lines if line.get("event") == "forecast"]
    assert forecasts
    for line in forecasts:
        assert (line["phase"], line["distinct_now"] > 0) == ("counting", True)
        if known:
            assert line["distinct"] >= line["distinct_now"] > 0 < line["merging_memory"]
            assert line["merging_seconds"] == round(merging_seconds(line["distinct"], line["distinct_bytes"], 44), 1)
            assert "why_not" not in line
        else:
            assert line["why_not"] == "the size of the corpus is not known"
            assert line["total"] is line["distinct"] is line["seconds_left"] is line["merging_memory"] is None
            assert line["merging_seconds"] is None


def test_forecasts_in_words() -> None:
    words = cli_progress.forecast_text(Forecast(5, 21_000_000, 9, 9, 3700.0, 3 * 10**9, 700 * 10**6, 95.0))
    assert words == (
        "21.0 million distinct pretokens, 3.0 GB to count and 700 MB to merge them; "
        "1:01:40 of counting left, then about 1:35"
    )
    unknown = cli_progress.forecast_text(Forecast(1234, None, None, None, None, None))
    assert unknown == "none, the size of the corpus is not known; 1,234 distinct pretokens so far"


def test_time_left_of_merging_follows_its_slowing_growth() -> None:
    """Merges that take t = 3·n^0.2 seconds: after an eighth of them an even pace is wrong by a factor of 8."""
    pace = None
    for done in range(0, 4001, 50):
        now = 3 * done**0.2 if done else 0.0
        progress = Progress("merging", done, 32_000, "merges")
        pace = pace or cli_progress.Pace(progress, now)
        left = pace.left(progress, now)
    assert left == pytest.approx(3 * 32_000**0.2 - now, rel=0.02)
    assert pace is not None
    assert pace.left(Progress("merging", 32_000, 32_000, "merges"), 50.0) == 0


@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize("name", ["zh-web.txt", "zh-classical.txt"])
def test_the_estimate_is_of_the_learner_that_will_be_chosen(
    name: str, least: int, read_corpus: Callable[..., bytes], tmp_path: Path
) -> None:
    """From disk, the same pretokens are tried that the learner tries: also where one more or less would turn it."""
    (tmp_path / "corpus.txt").write_bytes(read_corpus(name, 14_000_000))
    options = training.TrainingOptions(vocab_size=1000, min_pretoken_count=least)
    with Mixture.of(tmp_path / "corpus.txt").count_on_disk(spill_folder=tmp_path) as on_disk:
        counts = on_disk.load(least)
        begins = training.begins_by_character(on_disk, options, len(counts.data))
    tokens = [bytes([byte]) for byte in range(256)]
    chosen = learner(counts.data, counts.offsets, counts.counts, tokens, byte_ids=training.byte_ids())
    if trial_step(len(counts.data)):
        assert begins == isinstance(chosen, CharacterLearner)
    else:
        assert not begins


def test_the_estimate_of_merging_is_of_the_right_size() -> None:
    """Peaks that were measured, less what the process had before (benchmarks/memory.md has them all)."""
    for distinct, size, characters, merges, by_character, peak in (
        (2_824_310, 81_454_594, 28_282_396, 31_744, True, 392_400_000),
        (924_386, 25_677_931, 8_969_100, 31_744, True, 129_800_000),
        (207_171, 2_911_048, 1_217_303, 31_744, False, 38_000_000),
        (241_972, 1_962_704, 1_956_844, 99_744, False, 49_500_000),
        (235_011, 4_357_781, 1_462_162, 31_744, False, 55_400_000),
    ):
        estimate = int(merging_bytes(distinct, size, characters, merges, by_character))
        assert peak <= estimate <= 1.35 * peak


def test_counts_keep_their_sums_without_rare_ones_on_disk(tmp_path: Path) -> None:
    corpus = tmp_path / "a.txt"
    corpus.write_bytes((TINY / "mixed.txt").read_bytes() + b" \xff\xfe broken \xff\xfe")
    counts = count_pretokens(corpus)
    with Mixture.of(corpus).count_on_disk(spill_folder=tmp_path) as on_disk:
        for least in (1, 2, 5):
            loaded: Counts = on_disk.load(least)
            assert loaded == counts.without_rare(least)
        assert on_disk.long_pretokens() == counts.long_pretokens()
