"""A training that is killed and begun again gives the same bytes as one that was not."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbpe import counts as counting
from bbpe.checkpoints import Checkpoint, MergesKept
from bbpe.cli import run as run_command
from bbpe.corpus import Progress
from bbpe.count_files import write_counts
from bbpe.counts import count_pretokens
from bbpe.errors import BbpeError, CorpusError, TrainingError
from bbpe.training import train

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny" / "train"


class Died(Exception):
    """What stands for the death of a process at a moment that a test chooses."""


def record_of(tok: Any) -> str:
    assert tok.training_record is not None
    text: str = tok.training_record.to_json()
    return text


# --- in one process ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 0.002, 30])
@pytest.mark.parametrize("byte_order", ["value", "gpt2"])
def test_with_and_without_a_folder_the_result_is_the_same(seconds: float, byte_order: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"special_tokens": ["<s>"], "byte_order": byte_order, "max_token_bytes": 12}
    wanted = train(TINY, 700, **options)
    for _ in range(2):  # the second time everything is there
        tok = train(TINY, 700, **options, resume=tmp_path / "kept", resume_seconds=seconds)
        assert tok.vocabulary == wanted.vocabulary
        assert record_of(tok) == record_of(wanted)


@pytest.mark.parametrize("seed", range(6))
def test_killed_between_any_two_reports(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is reported between chunks and between steps of merging: after each of them the process may end."""
    monkeypatch.setattr(counting, "BLOCK_BYTES", 5000)
    monkeypatch.setattr("bbpe.corpus.REPORT_SECONDS", 0)
    monkeypatch.setattr("bbpe.training.learning._REPORT_SECONDS", 0)
    monkeypatch.setattr("bbpe.training.learning._STEP", 2000)
    rng = random.Random(seed)
    options: dict[str, Any] = {"weights": {str(TINY): "1"}} if seed % 3 == 1 else {}
    options |= {"sample": 60_000, "lines": True} if seed % 3 == 2 else {}
    wanted = train(TINY, 600, threads=1, **options)
    died = 0
    while True:
        left = rng.randrange(1, 80 if "sample" in options else 12)  # a sample is drawn in one life, parts added up

        def die(progress: Progress) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Died

        try:
            tok = train(TINY, 600, threads=1, progress=die, resume=tmp_path / "kept", resume_seconds=0, **options)
            break
        except Died:
            died += 1
            assert died < 200, "no progress from one death to the next"
    assert died >= 1
    assert tok.vocabulary == wanted.vocabulary
    assert record_of(tok) == record_of(wanted)


SEEDS = ["人工智能", "机器学习", " tokenizer", "zzz"]
PARALLEL = {"zh.txt": "zh-side.txt", "en.txt": "en-side.txt"}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "seeds": {"seed_tokens": SEEDS},
    "superwords": {"superwords": 450, "special_tokens": ["<s>"], "max_token_bytes": 20},
    "superwords, seeds, utf8-safe": {"superwords": 400, "seed_tokens": ["的一", " of the"], "utf8_safe": True},
    "superwords, sample, weights": {
        "superwords": 400,
        "sample": 60_000,
        "lines": True,
        "weights": {"zh.txt": "2", "en.txt": "1"},
    },
    "protect, seeds, NFC": {"protect": ["的", "C++"], "seed_tokens": ["的", "C++"], "normalizer": "NFC"},
    "balance": {"balance": PARALLEL},
    "balance, seeds, utf8-safe": {"balance": PARALLEL, "seed_tokens": SEEDS, "utf8_safe": True},
    "weights, rare": {"weights": {"zh.txt": "1.5", "en.txt": "1"}, "min_pretoken_count": 2},
}


@pytest.fixture
def languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two sources, and beside them a parallel text."""
    (tmp_path / "corpus").mkdir()
    monkeypatch.chdir(tmp_path / "corpus")
    for name in ("zh", "en"):
        data = (TINY / f"{name}.txt").read_bytes()
        Path(f"{name}.txt").write_bytes(data)
        Path(f"{name}-side.txt").write_bytes(b"\n".join(data.split(b"\n")[:40]))
    return [Path("zh.txt"), Path("en.txt")]


@pytest.mark.parametrize("memory", [None, 10**12], ids=["", "memory"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_option_killed_between_reports(
    variant: str, memory: int | None, languages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "BLOCK_BYTES", 8000)
    monkeypatch.setattr("bbpe.corpus.REPORT_SECONDS", 0)
    monkeypatch.setattr("bbpe.training.learning._REPORT_SECONDS", 0)
    monkeypatch.setattr("bbpe.training.learning._STEP", 400)
    options = VARIANTS[variant]
    wanted = train(languages, 600, threads=1, **options)
    kept: dict[str, Any] = {"resume": tmp_path / "kept", "resume_seconds": 0, "memory": memory, **options}
    rng = random.Random(variant)
    died = collections.Counter[str]()

    def die(progress: Progress) -> None:
        # A sample is drawn in one life, and has as many reports as all the rest.
        if rng.random() < {"sampling": 0.008, "merging": 0.2}.get(progress.phase, 0.1):
            died[progress.phase] += 1
            raise Died

    while True:
        try:
            tok = train(languages, 600, threads=1, progress=die, **kept)
            break
        except Died:
            assert sum(died.values()) < 200, "no progress from one death to the next"
    assert died["merging"] >= 1
    assert tok.vocabulary == wanted.vocabulary
    assert record_of(tok) == record_of(wanted)
    assert record_of(train(languages, 600, **kept)) == record_of(wanted)  # everything is there
    if "seed_tokens" in options:
        with pytest.raises(TrainingError, match="begun with another vocab_size"):
            train(languages, 500, **kept)
    else:
        for size in (500, 620):
            assert record_of(train(languages, size, **kept)) == record_of(train(languages, size, **options))


@pytest.mark.parametrize("memory", [[], ["--memory", "1TB"]], ids=["", "memory"])
@pytest.mark.parametrize(
    "options", [[], ["--sample", "60kB", "--seed", "3"], ["--min-pretoken-count", "2", "--special", "的"]], ids=str
)
def test_counting_alone_is_resumed(
    options: list[str], memory: list[str], languages: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "BLOCK_BYTES", 5000)
    monkeypatch.setattr("bbpe.corpus.REPORT_SECONDS", 0)
    write_counts(count_pretokens(Path("zh.txt"), special_tokens=["的"] if "的" in options else []), "zh.tsv")
    corpus = ["zh.txt" if "--sample" in options else "zh.tsv", "en.txt", "--lines", "--threads", "1", *options]
    assert run_command(["pretokens", *corpus, "-o", "whole.tsv", "-q"]) == 0
    rng = random.Random(str(options))
    died = 0

    def report(self: object, progress: Progress) -> None:
        nonlocal died
        if rng.random() < (0.005 if progress.phase == "sampling" else 0.15):
            died += 1
            raise Died

    command = ["pretokens", *corpus, *memory, "-o", "out.tsv", "--resume", "kept", "--save-every", "0"]
    with monkeypatch.context() as patched:
        patched.setattr("bbpe.cli.progress._Lines.__call__", report)
        while not Path("out.tsv").exists():
            with contextlib.suppress(Died):
                assert run_command(command) == 0
    assert died
    assert Path("out.tsv").read_bytes() == Path("whole.tsv").read_bytes()
    assert run_command([*command, "--force", "-q"]) == 0  # everything is there
    assert Path("out.tsv").read_bytes() == Path("whole.tsv").read_bytes()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--pattern", "gpt2"], "pattern"),
        (["--lines"], "lines"),
        (["--sample", "1kB"], "sample"),
        (["--max-pretoken-bytes", "9"], "max_pretoken_bytes"),
    ],
    ids=str,
)
def test_a_folder_of_another_count(
    options: list[str], what: str, languages: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pretokens", "zh.txt", "--resume", "kept", "-o"]
    assert run_command([*command, "a.tsv"]) == 0
    assert run_command([*command, "b.tsv", *options]) == 1
    assert f"kept: was begun with another {what} " in capsys.readouterr().err
    assert run_command(["train", "zh.txt", "--vocab", "300", "--resume", "kept", "-o", "out"]) == 1
    assert "kept: was begun with another" in capsys.readouterr().err
    assert run_command(["pretokens", "zh.txt", "--resume", "kept", "--spark", "local[1]", "-o", "c.tsv"]) == 2


def test_a_parallel_text_that_changed(languages: list[Path], tmp_path: Path) -> None:
    train(languages, 300, balance=PARALLEL, resume=tmp_path / "kept")
    side = Path("zh-side.txt")
    side.write_text(side.read_text("utf-8").replace("。", "！", 1), "utf-8")
    with pytest.raises(TrainingError, match="begun with another parallel_text"):
        train(languages, 320, balance=PARALLEL, resume=tmp_path / "kept")


def test_what_a_count_file_left_out_is_known_after_resuming(tmp_path: Path) -> None:
    counts = count_pretokens(TINY).without_rare(2)
    write_counts(counts, tmp_path / "counts.tsv")
    wanted = train(tmp_path / "counts.tsv", 400)
    for _ in range(2):
        tok = train(tmp_path / "counts.tsv", 400, resume=tmp_path / "kept")
        assert record_of(tok) == record_of(wanted)
    assert '"min_pretoken_count": 2' in record_of(tok)


def test_learning_goes_on_after_any_number_of_merges(tmp_path: Path) -> None:
    """Encoding with the first merges is the state that learning them made: for each prefix the rest is the same."""
    counts = count_pretokens(TINY)
    wanted = train(counts, 450)
    for size in (*range(256, 300), 333, 449, 450):
        folder = tmp_path / str(size)
        train(TINY, size, resume=folder)
        tok = train(TINY, 450, resume=folder)
        assert tok.vocabulary == wanted.vocabulary
        assert tok.training_record is not None
        assert tok.training_record.curve == wanted.training_record.curve  # type: ignore[union-attr]


def test_a_smaller_vocabulary_afterwards(tmp_path: Path) -> None:
    train(TINY, 600, resume=tmp_path / "kept")
    tok = train(TINY, 400, resume=tmp_path / "kept")
    assert record_of(tok) == record_of(train(TINY, 400))


def test_what_was_counted_is_not_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(TINY, 300, resume=tmp_path / "kept")

    def fail(self: object, counter: object, chunk: object) -> None:
        raise AssertionError("counted again")

    monkeypatch.setattr(counting._Job, "count", fail)
    assert len(train(TINY, 320, resume=tmp_path / "kept")) == 320


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"pattern": "gpt2"}, "pattern"),
        ({"special_tokens": ["<s>"]}, "special_tokens"),
        ({"min_count": 3}, "min_count"),
        ({"lines": True}, "lines"),
        ({"min_pretoken_count": 2}, "min_pretoken_count"),
        ({"weights": {str(TINY): "1"}}, "weights"),
    ],
    ids=str,
)
def test_a_folder_of_another_training(options: dict[str, Any], what: str, tmp_path: Path) -> None:
    train(TINY, 300, resume=tmp_path / "kept")
    with pytest.raises(TrainingError, match=f"kept: was begun with another {what} "):
        train(TINY, 300, resume=tmp_path / "kept", **options)


def test_a_corpus_that_changed(tmp_path: Path) -> None:
    corpus = tmp_path / "a.txt"
    corpus.write_bytes((TINY / "zh.txt").read_bytes())
    train(corpus, 300, resume=tmp_path / "kept")
    corpus.write_bytes((TINY / "en.txt").read_bytes())
    with pytest.raises(TrainingError, match="was begun with another corpus"):
        train(corpus, 300, resume=tmp_path / "kept")


def test_a_corpus_that_changed_and_looks_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same size and time, other bytes in what was counted already: the hash tells."""
    monkeypatch.setattr(counting, "BLOCK_BYTES", 2000)
    corpus = tmp_path / "a.txt"
    data = (TINY / "zh.txt").read_bytes()
    corpus.write_bytes(data)
    times = os.stat(corpus)

    def die(progress: Progress) -> None:
        if progress.done > 5000:
            raise Died

    monkeypatch.setattr("bbpe.corpus.REPORT_SECONDS", 0)
    with pytest.raises(Died):
        train(corpus, 300, threads=1, progress=die, resume=tmp_path / "kept", resume_seconds=0)
    corpus.write_bytes(b"X" + data[1:])
    os.utime(corpus, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(CorpusError, match=r"a\.txt: has changed since its count was begun"):
        train(corpus, 300, resume=tmp_path / "kept")


def test_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(TrainingError, match=r"holds other files \(mine\.txt\)"):
        train(TINY, 300, resume=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="name files"):
        train(["text"], 300, resume=tmp_path / "kept")
    with pytest.raises(TrainingError, match="these are Counts already"):
        train(count_pretokens(["text"]), 300, resume=tmp_path / "kept")
    with pytest.raises(BbpeError, match="cannot be written"):
        train(TINY, 300, resume=tmp_path / "no" / "such" / "folder")


def test_a_refused_training_leaves_no_folder(tmp_path: Path) -> None:
    """Neither of a sample that no document fits in, nor in a folder that was there; what was kept before stays."""
    kept = tmp_path / "kept"
    for options in ({"sample": 10}, {"sample": 10, "superwords": 300}, {"text_field": "no", "strict": True}):
        source = TINY / "zh.txt" if "sample" in options else [TINY / "zh.txt", tmp_path / "broken.jsonl"]
        (tmp_path / "broken.jsonl").write_text("{")
        with pytest.raises(BbpeError, match=r"larger than a sample|not valid JSON"):
            train(source, 400, resume=kept, **options)  # type: ignore[arg-type]  # of several kinds
        assert not kept.exists(), options
    kept.mkdir()
    with pytest.raises(CorpusError, match="larger than a sample"):
        train(TINY / "zh.txt", 300, sample=10, resume=kept)
    assert list(kept.iterdir()) == []
    train(TINY / "zh.txt", 300, resume=kept)
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    with pytest.raises(TrainingError, match="was begun with another sample"):
        train(TINY / "zh.txt", 300, sample=10, resume=kept)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


@pytest.mark.parametrize("name", ["counts.run", "merges.npz", "training.json"])
def test_damage_is_an_error(name: str, tmp_path: Path) -> None:
    train(TINY, 300, resume=tmp_path / "kept")
    path = tmp_path / "kept" / name
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], b"", data[: len(data) // 3] + b"?!?!" + data[len(data) // 3 + 4 :]):
        path.write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"damaged|another"):
            train(TINY, 320, resume=tmp_path / "kept")


def test_merges_of_another_text_are_noticed(tmp_path: Path) -> None:
    train(TINY / "zh.txt", 300, resume=tmp_path / "zh")
    train(TINY / "en.txt", 300, resume=tmp_path / "en")
    (tmp_path / "zh" / "merges.npz").replace(tmp_path / "en" / "merges.npz")
    with pytest.raises(TrainingError, match="not learned from this text"):
        train(TINY / "en.txt", 320, resume=tmp_path / "en")
    empty = MergesKept.none()
    assert len(empty.and_then(np.empty((0, 2), np.uint32), np.empty(0, np.int64), np.array([7]))) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_two_at_once(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "kept", 30), pytest.raises(TrainingError, match="another process"):
        train(TINY, 300, resume=tmp_path / "kept")
    assert len(train(TINY, 300, resume=tmp_path / "kept")) == 300


# --- killed -----------------------------------------------------------------------------------------------------------


COMMAND = [sys.executable, "-c", "from bbpe.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
KILLED: dict[str, list[str]] = {
    "text": ["zh.txt", "en.txt"],
    "memory": ["zh.txt", "en.txt", "--memory", "150MB", "--threads", "1"],
    "count file, weights, memory": [
        *("zh.tsv", "en.txt", "--weight", "zh.tsv=2", "--weight", "en.txt=1", "--memory", "200MB", "--threads", "1"),
    ],
    "sample, seeds": ["zh.txt", "en.txt", "--sample", "1MB", "--lines", "--seed-tokens", "seeds.txt"],
    "superwords, memory": ["zh.txt", "en.txt", "--superwords", "1500", "--memory", "300MB"],
    "balance": ["zh.txt", "en.txt", "--balance", "zh.txt=zh-side.txt", "--balance", "en.txt=en-side.txt"],
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("variant", KILLED)
def test_kill_9_at_random_moments(variant: str, languages: list[Path], tmp_path: Path) -> None:
    """The command line, killed four times at random moments; ``scripts/kill_training.py`` does it twenty times."""
    for path in languages:
        path.write_bytes(path.read_bytes() * 30)
    Path("seeds.txt").write_text("\n".join(SEEDS), "utf-8")
    write_counts(count_pretokens(Path("zh.txt")), "zh.tsv")
    there = sorted(os.listdir())
    train_command = [*COMMAND, "train", *KILLED[variant], "--vocab", "2000", "-q"]

    def run(*options: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*train_command, *options], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    begun = time.monotonic()
    whole = run("-o", str(tmp_path / "whole"))
    assert whole.communicate()[1] == b""
    seconds = time.monotonic() - begun
    rng = random.Random(variant)
    for _ in range(4):
        process = run("-o", "out", "--resume", "kept", "--save-every", "0")
        time.sleep(rng.uniform(0.2, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if Path("out").exists():
            shutil.rmtree("out")
    done = run("-o", "out", "--resume", "kept", "--save-every", "0")
    assert done.communicate()[1] == b""
    assert sorted(os.listdir()) == sorted([*there, "kept", "out"])  # nothing is left of those that were killed
    for path in (tmp_path / "whole").iterdir():
        assert Path("out", path.name).read_bytes() == path.read_bytes(), path.name
