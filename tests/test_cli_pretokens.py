"""``bbpe pretokens``, and what ``bbpe train`` does with count files, weights, samples, long pretokens and JSON progress."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bbpe.cli import progress as cli_progress
from bbpe.cli import run
from bbpe.cli.options import byte_size
from bbpe.corpus import Progress
from bbpe.count_files import read_counts, write_counts
from bbpe.counts import LONG_PRETOKEN_BYTES, Counts, count_pretokens
from bbpe.patterns import get_pattern
from bbpe.training import LongPretokenWarning, TrainingOptions, learn, train, warn_of_long_pretokens

TINY = Path(__file__).parent.parent / "corpora" / "tiny" / "train"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", ["parquet", "tsv"])
def test_from_text_to_count_file_to_the_same_folder(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"counts.{suffix}"
    assert run(["pretokens", str(TINY), "-o", str(out)]) == 0
    counts = count_pretokens(TINY)
    printed = capsys.readouterr()
    assert printed.out == (
        f"{out}: {len(counts):,} distinct of {counts.pretokens:,} pretokens, {counts.bytes:,} bytes of 5 documents\n"
    )
    assert printed.err == ""
    assert run(["train", str(TINY), "--vocab", "800", "-o", str(tmp_path / "text"), "-q"]) == 0
    assert run(["train", str(out), "--vocab", "800", "-o", str(tmp_path / "counts"), "-q"]) == 0
    assert files_of(tmp_path / "text") == files_of(tmp_path / "counts")


def test_every_option_reaches_the_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"t": "aaaa bbbb <a> aaaaaaaaaaaa"}\n{"t": "one two"}\n')
    options = "--pattern gpt2 --special <a> --max-pretoken-bytes 8 --threads 2 --text-field t --strict"
    out = tmp_path / "out.tsv"
    assert run(["pretokens", str(tmp_path / "a.jsonl"), *options.split(), "-o", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    counts = read_counts(out)
    assert counts == count_pretokens(
        tmp_path / "a.jsonl", pattern="gpt2", special_tokens=["<a>"], max_pretoken_bytes=8, text_field="t"
    )
    assert result == {
        "path": str(out),
        "pattern": "gpt2",
        "distinct_pretokens": len(counts),
        "pretokens": counts.pretokens,
        "documents": 2,
        "bytes": counts.bytes,
        "characters": counts.characters,
        "invalid_bytes": 0,
        "pretokens_cut": 1,
    }


def test_count_files_are_added_up(tmp_path: Path) -> None:
    for name in ("zh", "en"):
        assert run(["pretokens", str(TINY / f"{name}.txt"), "-o", str(tmp_path / f"{name}.tsv"), "-q"]) == 0
    both = tmp_path / "both.parquet"
    assert run(["pretokens", str(tmp_path / "zh.tsv"), str(tmp_path / "en.tsv"), "-o", str(both), "-q"]) == 0
    assert read_counts(both) == count_pretokens([TINY / "zh.txt", TINY / "en.txt"])


def test_rare_pretokens_left_out_of_a_count_file(tmp_path: Path) -> None:
    """The file, every sum it goes into and every training on it say so; files of everything are as they were."""
    rare, whole = tmp_path / "rare.tsv", tmp_path / "whole.tsv"
    assert run(["pretokens", str(TINY), "-o", str(rare), "--min-pretoken-count", "3", "-q"]) == 0
    assert run(["pretokens", str(TINY), "-o", str(whole), "-q"]) == 0
    assert "min_pretoken_count" not in whole.read_text("utf-8")
    counts = read_counts(rare)
    assert counts == count_pretokens(TINY).without_rare(3)
    assert (counts.min_pretoken_count, (counts + read_counts(whole)).min_pretoken_count) == (3, 3)
    assert min(counts.counts) == 3
    for source, options in ((rare, []), (whole, ["--min-pretoken-count", "3"])):
        assert run(["train", str(source), "--vocab", "500", "-q", "-o", f"{source}-trained", *options]) == 0
    assert files_of(Path(f"{rare}-trained")) == files_of(Path(f"{whole}-trained"))
    record = json.loads((tmp_path / "rare.tsv-trained" / "training.json").read_text())
    assert record["options"]["min_pretoken_count"] == 3


def test_to_standard_output(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    assert run(["pretokens", str(TINY / "zh.txt"), "-o", "-"]) == 0
    printed = capfdbinary.readouterr().out
    (tmp_path / "a.tsv").write_bytes(printed)
    assert read_counts(tmp_path / "a.tsv") == count_pretokens(TINY / "zh.txt")


def test_weights_and_samples_of_train(tmp_path: Path) -> None:
    zh, en = str(TINY / "zh.txt"), str(TINY / "en.txt")
    command = ["train", zh, en, "--vocab", "600", "--weight", f"{zh}/=0.8", "--weight", f"{en}=0.2", "-q"]
    assert run([*command, "-o", str(tmp_path / "weighted")]) == 0
    record = json.loads((tmp_path / "weighted" / "training.json").read_text())
    assert record["options"]["weights"] == [[zh, "0.8"], [en, "0.2"]]
    assert [weight["path"] for weight in record["weights"]] == [zh, en]
    expected = train([Path(zh), Path(en)], 600, weights={zh: "0.8", en: "0.2"})
    assert expected.training_record is not None
    assert (tmp_path / "weighted" / "training.json").read_text() == expected.training_record.to_json()
    more = ["--lines", "--sample", "20kB", "--seed", "3", "--min-pretoken-count", "2"]
    assert run(["train", str(TINY), "--vocab", "500", *more, "-q", "-o", str(tmp_path / "sampled")]) == 0
    record = json.loads((tmp_path / "sampled" / "training.json").read_text())
    assert {name: record["options"][name] for name in ("sample", "sample_seed", "min_pretoken_count")} == {
        "sample": 20_000,
        "sample_seed": 3,
        "min_pretoken_count": 2,
    }
    assert record["samples"][0]["bytes"] == 20_000 < record["samples"][0]["of_bytes"]
    assert 3_000 < record["bytes"] < 20_000


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["pretokens", "zh.txt"], 2, "--output"),
        (["pretokens", "zh.txt", "-o", "a.csv"], 1, "a count file is .parquet or .tsv"),
        (["pretokens", "zh.txt", "-o", "there.tsv"], 1, "exists already"),
        (["pretokens", "zh.txt", "-o", "-", "--json"], 2, "--json"),
        (["pretokens", "missing.txt", "-o", "a.tsv"], 1, "missing.txt: no such file"),
        (["pretokens", "there.tsv", "-o", "a.tsv"], 1, "does not say which pattern"),
        (["pretokens", "there.tsv", "-o", "a.tsv", "--pattern", "gpt2"], 1, "there.tsv:1: 'no counts'"),
        (["pretokens", "zh.txt", "-o", "a.tsv", "--sample", "0"], 2, "no amount of text"),
        (["train", "zh.txt", "--vocab", "300", "--weight", "zh.txt"], 2, "write PATH=0.7"),
        (["train", "zh.txt", "--vocab", "300", "--weight", "en.txt=1"], 1, "a weight for en.txt, which is no source"),
        (["train", "zh.txt", "--vocab", "300", "--weight", "zh.txt=1", "--weight", "zh.txt=2"], 2, "twice"),
        (["train", "-", "--vocab", "300", "--resume", "kept"], 1, "only what is read from files can be resumed"),
    ],
)
def test_mistakes(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zh.txt").write_bytes((TINY / "zh.txt").read_bytes())
    Path("there.tsv").write_text("no counts\n")
    assert run(arguments) == status
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert not Path("a.tsv").exists()


# --- long pretokens ---------------------------------------------------------------------------------------------------

RUN_ON = "这是没有标点也没有空格的很长的一段话" * 40
DNA = "ACGTTGCAAC" * 500


def test_long_pretokens_are_named_with_counts_and_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text(f"一句话。{RUN_ON}。{DNA} {DNA} short text")
    assert run(["train", str(tmp_path / "a.txt"), "--vocab", "300", "-o", str(tmp_path / "out")]) == 0
    (note,) = [line for line in capsys.readouterr().err.splitlines() if "longer than" in line]
    assert note.startswith("bbpe: note: 3 pretokens (99.")
    assert f"longer than {LONG_PRETOKEN_BYTES:,} bytes" in note
    assert "the longest, 5,003 bytes, begins '。ACGTTGCAACACGTTGCAA'." in note
    assert "--max-pretoken-bytes" in note
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["long_pretokens"] == {
        "distinct": 3,
        "pretokens": 3,
        "bytes": len(f"。{RUN_ON}。{DNA} {DNA}".encode()),
        "longest": len(f"。{DNA}".encode()),
        "example": "。" + DNA[:19],
    }
    assert run(["pretokens", str(tmp_path / "a.txt"), "-o", str(tmp_path / "a.tsv")]) == 0
    assert "longer than" in capsys.readouterr().err
    quiet = ["train", str(tmp_path / "a.txt"), "--vocab", "300", "-o", str(tmp_path / "out"), "--force"]
    assert run([*quiet, "-q"]) == 0
    assert run([*quiet, "--max-pretoken-bytes", "100"]) == 0
    assert capsys.readouterr().err == ""


def test_the_library_warns() -> None:
    with pytest.warns(LongPretokenWarning, match="longer than 1,000 bytes"):
        train([DNA, "text"], 260)
    train([DNA[:1100], "words " * 400_000], 260, max_token_bytes=20)  # less than a thousandth


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("ACGT" * 500_000, id="one pair over and over"),
        pytest.param("a" * 2_000_000, id="a run"),
        pytest.param("".join(chr(0x4E00 + place * place % 5003) for place in range(700_000)), id="Chinese run-on"),
        pytest.param('{"k":[1,2,{"v":"x"}]},' * 90_000, id="minified JSON"),
        pytest.param("".join("ABCDwxyz0189+/ab"[place * place // 7 % 16] for place in range(2_000_000)), id="base64"),
    ],
)
def test_two_megabytes_without_an_edge_train(text: str) -> None:
    """Cost follows the number of occurrences, wherever they stand: one pretoken of two megabytes is no worse than many.

    Only merges are learned: a tokenizer takes time for the square of its longest token, a megabyte here.
    """
    pattern = get_pattern((r"(?s:.+)",))
    counts = Counts.from_items({text.encode(): 1}, pattern=pattern)
    with pytest.warns(LongPretokenWarning, match=r"\(100\.0% of the text\)"):
        warn_of_long_pretokens(counts)
    vocabulary, record = learn(counts, None, TrainingOptions(vocab_size=400, pattern=pattern))
    assert record.long_pretokens is not None
    assert record.long_pretokens.longest == len(text.encode())
    assert record.curve[-1].tokens < len(text.encode()) / 1.5
    assert vocabulary.vocab_size == record.vocab_size


# --- progress as JSON -------------------------------------------------------------------------------------------------


def test_progress_as_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", str(TINY), "--vocab", "600", "--progress", "json", "-o", str(tmp_path / "out")]
    assert run(command) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    size = sum(path.stat().st_size for path in TINY.iterdir())
    last = {line["phase"]: line for line in lines}
    assert list(last) == ["counting", "sorting", "merging"]
    assert (last["sorting"]["total"], last["sorting"]["seconds_left"]) == (None, None)  # nobody knows
    assert (last["counting"]["done"], last["counting"]["total"], last["counting"]["unit"]) == (size, size, "bytes")
    assert (last["merging"]["done"], last["merging"]["total"], last["merging"]["unit"]) == (344, 344, "merges")
    for line in lines:
        assert set(line) == {"phase", "done", "total", "unit", "seconds", "rate", "seconds_left"}


@pytest.mark.parametrize(
    ("arguments", "phases"),
    [
        (
            ["pretokens", "zh.txt", "-o", "a.parquet", "--sample", "50kB"],
            ["sampling", "counting", "sorting", "writing"],
        ),
        (["pretokens", "zh.txt", "b.tsv", "-o", "a.tsv"], ["counting", "sorting", "adding", "writing"]),
        (
            ["train", "zh.txt", "b.tsv", "--weight", "zh.txt=2", "--weight", "b.tsv=1", "--memory", "1TB"],
            ["counting", "adding", "adding up", "merging"],
        ),
        (
            ["train", "zh.txt", "en.txt", "--superwords", "400", "--resume", "kept", "--save-every", "0"],
            ["counting", "adding up", "merging"] * 2,
        ),
        (
            ["train", "zh.txt", "en.txt", "--balance", "zh.txt=zh.txt", "--balance", "en.txt=zh.txt"],
            ["counting", "sorting", "counting", "sorting", "merging"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) and len(value) > 3 else "",
)
def test_every_phase_as_json_lines(
    arguments: list[str],
    phases: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Well-formed, done only grows, and a phase ends with all of it done."""
    monkeypatch.chdir(tmp_path)
    for name in ("zh.txt", "en.txt"):
        Path(name).write_bytes((TINY / name).read_bytes())
    write_counts(count_pretokens(Path("en.txt")), "b.tsv")
    monkeypatch.setattr("bbpe.counts.BLOCK_BYTES", 5000)
    monkeypatch.setattr("bbpe.corpus.REPORT_SECONDS", 0)
    monkeypatch.setattr(cli_progress, "JSON_SECONDS", 0)
    training = ["--vocab", "600", "-o", "out"] if arguments[0] == "train" else []
    assert run([*arguments, *training, "--lines", "--threads", "1", "--progress", "json", "-q"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    lines = [line for line in lines if "event" not in line]
    blocks: list[list[dict[str, Any]]] = []
    for line in lines:
        before = blocks[-1][-1] if blocks else None
        # A phase that follows itself, as for another language, begins again.
        if before is None or line["phase"] != before["phase"] or line["done"] < before["done"]:
            blocks.append([])
        blocks[-1].append(line)
    assert list(dict.fromkeys(block[0]["phase"] for block in blocks)) == list(dict.fromkeys(phases))
    assert [block[0]["phase"] for block in blocks if block[-1]["phase"] != "adding"] == [
        phase for phase in phases if phase != "adding"
    ]
    for block in blocks:
        last = block[-1]
        if last["phase"] not in ("adding", "sorting"):  # files, among which others are counted; nobody knows
            assert last["done"] == last["total"]
            assert last["seconds_left"] in (0, None)
        assert {line["unit"] for line in block} == {last["unit"]}
        assert sorted(line["seconds"] for line in block) == [line["seconds"] for line in block]
        assert all(line["seconds_left"] is None or line["seconds_left"] >= 0 for line in block)


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are of what was done in this process: a count that goes on from 400 has not done them in a second."""
    clock = [100.0]
    monkeypatch.setattr(cli_progress.time, "monotonic", lambda: clock[0])
    with cli_progress.shown(quiet=True, style="json") as show:
        assert show is not None
        for tenth in range(36):
            clock[0] = 100 + tenth / 10
            show(Progress("counting", 400 + 10 * tenth, 1000, "bytes"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["done"] for line in lines] == [400, 500, 600, 700, 750]
    assert [line["rate"] for line in lines] == [None, 100, 100, 100, 100]
    assert [line["seconds_left"] for line in lines] == [None, 5, 4, 3, 2.5]


def _even(done: float) -> float:
    return 7200 * done


def _slower(done: float) -> float:
    """A pace that falls by half on the way, up and down besides."""
    return 7200 * (0.4 * done + 0.2 * done**2 + 0.1 * (1 - math.cos(200 * done)) / 200) / 0.6


def _merging(done: float) -> float:
    """The last half of the merges takes an eighth of the time."""
    return float(7200 * done**0.2)


@pytest.mark.parametrize("style", ["json", "auto"])
@pytest.mark.parametrize(
    ("phase", "time_of", "begun_at", "since", "off"),
    [
        ("counting", _even, 0.0, 0.01, 0.01),
        ("counting", _even, 0.4, 0.01, 0.01),
        ("counting", _slower, 0.0, 0.5, 0.2),
        ("merging", _merging, 0.0, 0.4, 0.03),
    ],
)
def test_time_left_comes_true(
    phase: str,
    time_of: Callable[[float], float],
    begun_at: float,
    since: float,
    off: float,
    style: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A job of two hours: whatever is said of the time left is compared with what the clock says at its end.

    Args:
        phase: What it is called, and how it is forecast.
        time_of: When how much of it is done.
        begun_at: How much was done before.
        since: From which part of the time on it has to be right,
        off: within how much of the rest.
    """
    clock = [1000.0]
    monkeypatch.setattr(cli_progress.time, "monotonic", lambda: clock[0])
    total = 32_000 if phase == "merging" else 10**11
    ends = time_of(1) - time_of(begun_at)
    truths: list[float] = []
    said: list[float | None] = []
    with cli_progress.shown(quiet=False, style=style) as show:
        assert show is not None
        for step in range(20_001):
            done = begun_at + (1 - begun_at) * step / 20_000
            clock[0] = 1000 + time_of(done) - time_of(begun_at)
            show(Progress(phase, round(total * done), total, "merges" if phase == "merging" else "bytes"))
            for line in capsys.readouterr().err.splitlines():
                truths.append(1000 + ends - clock[0])
                said.append(_said(line, style))
    known = [(left, truth) for left, truth in zip(said, truths, strict=True) if left is not None]
    assert len(known) > 100
    assert said[-1] is not None
    for left, truth in known:
        if truth < (1 - since) * ends:
            assert abs(left - truth) <= off * truth + 1, (left, truth)


def _said(line: str, style: str) -> float | None:
    """The seconds that a line of progress says are left."""
    if style == "json":
        left: float | None = json.loads(line)["seconds_left"]
        return left
    clock = re.search(r"([0-9:]+) left$", line)
    return None if clock is None else sum(60**n * int(part) for n, part in enumerate(clock[1].split(":")[::-1]))


@pytest.mark.parametrize("style", ["json", "auto"])
def test_a_phase_that_follows_one_of_its_name_has_a_time_of_its_own(
    style: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two languages that are counted one after the other, the second four times as fast."""
    clock = [0.0]
    monkeypatch.setattr(cli_progress.time, "monotonic", lambda: clock[0])
    said: list[float | None] = []
    with cli_progress.shown(quiet=False, style=style) as show:
        assert show is not None
        for second in range(401):
            clock[0] = second
            show(Progress("counting", second * 10**6, 4 * 10**8, "bytes"))
        capsys.readouterr()
        for second in range(101):
            clock[0] = 400 + second
            show(Progress("counting", second * 4 * 10**6, 4 * 10**8, "bytes"))
            for line in capsys.readouterr().err.splitlines():
                said.append(_said(line, style))
                assert said[-1] is None or abs(said[-1] - (100 - second)) <= 1, line
    assert sum(left is not None for left in said) >= 10


def test_the_last_report_of_a_phase_is_of_its_own_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is held back until the next phase begins, which may be long after: its rate must not fall for that."""
    clock = [0.0]
    monkeypatch.setattr(cli_progress.time, "monotonic", lambda: clock[0])
    with cli_progress.shown(quiet=True, style="json") as show:
        assert show is not None
        for clock[0], progress in (
            (0.0, Progress("counting", 0, 90, "bytes")),
            (0.9, Progress("counting", 90, 90, "bytes")),
            (60.0, Progress("merging", 0, 5, "merges")),
            (60.5, Progress("merging", 5, 5, "merges")),
        ):
            show(progress)
        clock[0] = 100.0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["phase"], line["seconds"], line["rate"]) for line in lines] == [
        ("counting", 0, None),
        ("counting", 0.9, 100),
        ("merging", 0, None),
        ("merging", 0.5, 10),
    ]


@pytest.mark.parametrize(
    ("text", "number"), [("2000", 2000), ("10GB", 10**10), ("1.5m", 1_500_000), ("3 TB".replace(" ", ""), 3 * 10**12)]
)
def test_amounts_of_text(text: str, number: int) -> None:
    assert byte_size(text) == number
