"""``bbpe compare``, ``bbpe diff`` and ``bbpe count``: what they print and write, and what goes wrong."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bbpe
from bbpe.analysis import same_corpus
from bbpe.analysis.difference import difference
from bbpe.analysis.probe import PROBE_TEXT
from bbpe.cli import run
from bbpe.report.difference_report import difference_report

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny"
ZH, EN = str(TINY / "eval" / "zh.txt"), str(TINY / "eval" / "en.txt")

Bbpe = Callable[..., str]


@pytest.fixture(scope="module")
def vocabs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained vocabularies in folders, ``small`` and ``large``."""
    folder = tmp_path_factory.mktemp("vocabs")
    for name, size in (("small", 600), ("large", 1500)):
        bbpe.save(bbpe.train(TINY / "train", size, special_tokens=["<|end|>"]), folder / name)
    return folder


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, vocabs: Path, monkeypatch: pytest.MonkeyPatch) -> Bbpe:
    """Run a command in a folder of its own, with ``small`` and ``large`` in it; give what it printed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("BBPE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in ("small", "large"):
        (tmp_path / name).symlink_to(vocabs / name)

    def run_command(*arguments: str, status: int = 0, error: str | None = None) -> str:
        assert run(list(arguments)) == status, capsys.readouterr().err
        printed = capsys.readouterr()
        if error is not None:
            assert re.search(error, printed.err), printed.err
            assert "Traceback" not in printed.err
        return printed.out

    return run_command


# --- the answer -------------------------------------------------------------------------------------------------------


def test_the_answer_fits_one_screen(cli: Bbpe) -> None:
    out = cli("compare", ZH, EN, "-t", "small", "-t", "large")
    lines = out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, (line.rstrip() for line in lines))) <= 160
    assert "zh: large needs the fewest tokens" in out
    rows = [line.split() for line in lines if line.strip().startswith(("small", "large"))]
    assert [row[0] for row in rows] == ["large", "small"]  # the fewest tokens first
    text = Path(ZH).read_text("utf-8")
    expected = bbpe.load("large").count(text) / len(text)
    assert rows[0][1:3] == ["1,500", f"{expected:.3f}"]
    assert "bbpe's own encoder" in out


def test_json_has_every_row_and_what_is_needed_to_repeat_it(cli: Bbpe) -> None:
    found = json.loads(cli("compare", f"zh={ZH}", f"en={EN}", "-t", "small", "-t", "big=large", "--json",
                           "--baseline", "small", "--d-model", "64", "--tied", "--pad-to", "128", "--body", "1m"))  # fmt: skip
    rows = {(row["tokenizer"], row["text"]): row for row in found["rows"]}
    assert set(rows) == {(name, label) for name in ("small", "big") for label in ("zh", "en")}
    assert rows["big", "zh"]["nsl"] == rows["big", "zh"]["tokens"] / rows["small", "zh"]["tokens"]
    assert found["model"] == {"d_model": 64, "tied": True, "pad_to": 128, "body": 10**6}
    assert found["costs"][1]["embedding"]["parameters"] == 1536 * 64
    assert found["texts"][0]["sha256"] in found["method"]["Corpus zh"]
    assert found["missing"] == []


def test_two_files_of_one_label_are_one_corpus(cli: Bbpe) -> None:
    found = json.loads(cli("compare", f"x={ZH}", "--language", f"x={EN}", "-t", "small", "--json"))
    (text,) = found["texts"]
    assert text["documents"] == 2
    assert text["bytes"] == Path(ZH).stat().st_size + Path(EN).stat().st_size


def test_parallel_corpora(cli: Bbpe, tmp_path: Path) -> None:
    (tmp_path / "zh.txt").write_text("你好\n再见\n", "utf-8")
    (tmp_path / "en.txt").write_text("hello\nbye\n", "utf-8")
    found = json.loads(cli("compare", "zh=zh.txt", "en=en.txt", "--parallel", "-t", "small", "--json"))
    assert found["reference"] == "en"
    assert set(found["balances"][0]["parity"]) == {"zh", "en"}
    assert "zh/en" in cli("compare", "zh=zh.txt", "en=en.txt", "--parallel", "-t", "small")
    (tmp_path / "en.txt").write_text("hello\n", "utf-8")
    cli("compare", "zh=zh.txt", "en=en.txt", "--parallel", "-t", "small", status=1, error="zh has 2, en has 1")


@pytest.mark.parametrize("suffix", ["md", "csv", "json"])
def test_reports(cli: Bbpe, tmp_path: Path, suffix: str) -> None:
    name = f"report.{suffix}"
    arguments = ("compare", ZH, EN, "-t", "small", "-t", "large", "--baseline", "small", "-o", name)
    cli(*arguments, error=f"{name} written")
    written = (tmp_path / name).read_text("utf-8-sig")
    if suffix == "csv":
        rows = list(csv.DictReader(io.StringIO(written)))
        assert [(row["tokenizer"], row["text"]) for row in rows][:2] == [("small", "zh"), ("small", "en")]
        assert float(rows[2]["nsl"]) < 1
    elif suffix == "json":
        assert json.loads(written)["title"] == "Vocabularies compared"
    else:
        assert "GB 2312 level 1" in written
        assert "sha256" in written
        assert "no measure of quality" in written
    cli(*arguments, status=1, error="exists already")
    cli(*arguments, "--force")


def test_a_page_with_pictures_and_a_live_box(cli: Bbpe, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    cli("compare", f"zh={ZH}", f"en={EN}", "-t", "small", "-t", "large", "-o", "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "Tokens per character" in page


def test_a_page_without_its_libraries_is_refused_before_the_work(cli: Bbpe, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jinja2" else find(name))
    cli("compare", "nowhere.txt", "-t", "small", "-o", "page.html", status=1, error=r"needs jinja2.*bbpe\[compare\]")


def test_the_probe(cli: Bbpe) -> None:
    out = cli("compare", "--probe", "-t", "small", "-t", "large")
    assert "WORLD" in out.replace("|", "")
    found = json.loads(cli("compare", "--probe", "two  spaces", "-t", "small", "--json"))
    (vocab,) = found["vocabularies"]
    assert found["probe"] == "two  spaces"
    assert len(vocab["probed"]["pieces"]) == bbpe.load("small").count("two  spaces")
    # What follows --probe may be a corpus.
    both = json.loads(cli("compare", "--probe", ZH, EN, "-t", "small", "--json"))
    assert both["probe"] == PROBE_TEXT
    assert [text["label"] for text in both["texts"]] == ["zh", "en"]


def test_a_curve_of_sizes(cli: Bbpe, tmp_path: Path) -> None:
    arguments = ("compare", "--sizes", "0.4k,800,1.2k", "large", ZH)
    found = json.loads(cli(*arguments, "--d-model", "16", "--json"))
    assert [row["vocab_size"] for row in found["rows"]] == [400, 800, 1200]
    assert found["rows"][0]["cost"]["parameters"] == 400 * 16 * 2
    same = json.loads(cli("compare", ZH, "--sizes", "400,800,1200", "-t", "large", "--json"))
    assert [row["tokens"] for row in same["rows"]] == [row["tokens"] for row in found["rows"]]
    assert "Rows" in cli(*arguments, "--d-model", "16", "-o", "sizes.md")
    assert "400" in (tmp_path / "sizes.md").read_text("utf-8")
    cli("compare", "--sizes", "400", "large", status=2, error="needs held-out text")
    cli("compare", "--sizes", "9k", "large", ZH, status=1, error="vocab_size 9000 is not between")
    cli("compare", "--sizes", "many", "large", ZH, status=2, error="'many' is no size")


# --- same corpus, same size -------------------------------------------------------------------------------------------


def test_libraries_trained_on_the_same_text(cli: Bbpe) -> None:
    pytest.importorskip("tokenizers")
    names = list(same_corpus.LIBRARIES)
    corpora = [f"zh={TINY / 'train' / 'zh.txt'}", f"en={TINY / 'train' / 'en.txt'}"]
    found = json.loads(cli("compare", "--train", ",".join(names), "--vocab", "2.5k", *corpora, "--json"))
    assert [one["name"] for one in found["trained"]] == names
    assert [vocab["name"] for vocab in found["comparison"]["vocabularies"]] == names
    entries = {one["name"]: one["entries"] for one in found["trained"]}
    assert entries["bbpe"] == entries["tokenizers"] == 2500
    rows: dict[tuple[str, str], Any] = {(row["tokenizer"], row["text"]): row for row in found["comparison"]["rows"]}
    for label in ("zh", "en"):
        # The same algorithm, pattern and text, whoever learns.
        assert rows["bbpe", label]["tokens"] == pytest.approx(rows["tokenizers", label]["tokens"], rel=0.01)
        assert rows["bbpe", label]["lossless"]
        assert rows["sentencepiece-unigram", label]["lossless"]
    assert not rows["wordpiece", "en"]["lossless"]
    assert found["held_out_bytes"] < found["training_bytes"] / 10
    out = cli("compare", "--train", "bbpe,tokenizers", "--vocab", "500", corpora[0])
    assert "How long training took" in out
    out = cli("compare", "--train", "bbpe,sentencepiece-bpe", "--vocab", "400", *corpora,
              error="sentencepiece-bpe was not measured: sentencepiece cannot train 400 entries on this text")  # fmt: skip
    assert "Not measured: sentencepiece-bpe" in out


def test_held_out_lines_are_no_training_lines(tmp_path: Path) -> None:
    lines = ["the same again"] * 100 + [f"line {n % 390} of the text" for n in range(400)]
    learned, aside = same_corpus._split(lines, "x")
    assert not set(learned) & set(aside)
    assert len(aside) == 25 - 10  # the last block, without the ten lines that stand twice
    assert len(learned) == 500 - 25


def test_training_that_cannot_be(cli: Bbpe, tmp_path: Path) -> None:
    cli("compare", "--train", "bbpe", ZH, status=2, error="--train needs --vocab")
    cli("compare", "--train", "bbpe,spm", "--vocab", "500", ZH, status=1, error="unknown trainer 'spm'; bbpe compares")
    cli("compare", "--train", "bbpe,bbpe", "--vocab", "500", ZH, status=1, error="named twice")
    (tmp_path / "short.txt").write_text("one\ntwo\n")
    cli("compare", "--train", "bbpe", "--vocab", "500", "short.txt", status=1, error="2 lines of text are too few")
    cli("compare", "--train", "bbpe", "--vocab", "500", "--sizes", "400", ZH, status=2, error="ask one")


# --- bad input --------------------------------------------------------------------------------------------------------


def test_bad_input_of_compare(cli: Bbpe, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_bytes(b"")
    cli("compare", "-t", "small", status=2, error="name a corpus")
    cli("compare", ZH, status=1, error="no vocabulary is present")
    cli("compare", ZH, "-t", "cl100kbase", status=1, error=r"did you mean cl100k_base \(not here yet: bbpe vocab get")
    cli("compare", "nowhere.txt", "-t", "small", status=1, error="nowhere.txt: no such file")
    cli("compare", "empty.txt", "-t", "small", status=1, error="no text in it")
    cli("compare", ZH, ZH, "-t", "small", status=2, error="two corpora would be called 'zh'")
    cli("compare", ZH, "-t", "small", "-t", "small", status=2, error="-t small is given twice|named twice")
    cli("compare", ZH, "-t", "small", "--language", ZH, status=2, error="write LABEL=PATH")
    cli("compare", ZH, "-t", "small", "--tied", status=2, error="give its width with --d-model")
    cli("compare", ZH, "-t", "small", "-o", "report.pdf", status=1, error=r"ends in \.html, \.md, \.csv or \.json")
    cli("compare", ZH, "-t", "small", "-o", "no/folder.md", status=1, error="folder no does not exist")
    cli("compare", ZH, "-t", "small", "--baseline", "large", status=1, error="'large' is none of the compared")


def test_the_others_run_when_one_cannot(cli: Bbpe, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{}")
    out = cli("compare", ZH, "-t", "small", "-t", "broken.json", "-t", "o200k_base", "-o", "r.md",
              error="(?s)broken.json was not measured.*o200k_base was not measured: .*bbpe vocab get o200k_base")  # fmt: skip
    assert "Not measured: broken.json, o200k_base" in out
    report = (tmp_path / "r.md").read_text("utf-8")
    assert "What is missing" in report
    assert "bbpe vocab get o200k_base" in report.replace("\\", "")


def test_text_of_another_language_is_told(cli: Bbpe) -> None:
    assert "the label says zh, but 0% of its letters are Han" in cli("compare", f"zh={EN}", "-t", "small")
    cli("compare", f"zh={EN}", "-t", "small", "--json", error="note: zh: the label says zh")


# --- diff and count ---------------------------------------------------------------------------------------------------


def test_diff(cli: Bbpe, tmp_path: Path) -> None:
    out = cli("diff", "small", "large", "The quick brown fox 你们的")
    assert "they part in" in out
    assert "merges" in out
    (tmp_path / "text.txt").write_text("The quick brown fox 你们的", "utf-8")
    found = json.loads(cli("diff", "small", "large", "text.txt", "--json"))
    expected = difference(bbpe.load("small"), bbpe.load("large"), "The quick brown fox 你们的")
    assert found["first_tokens"] == expected.first_tokens
    assert [one["explanation"] for one in found["differences"]] == [
        one.explanation.replace("A ", "small ").replace("B ", "large ") for one in expected.differences
    ]
    assert bytes.fromhex(found["differences"][0]["first"][0]["token"])
    assert "cut this text alike" in cli("diff", "small", "small", "abc")
    cli("diff", "small", "large", "text.txt", "-o", "diff.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "diff.csv").read_text("utf-8-sig"))))
    assert len(rows) == len(expected.differences)


def test_bad_input_of_diff(cli: Bbpe, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\0\1")
    cli("diff", "small", "nothing", "x", status=1, error="nothing")
    cli("diff", "small", "large", "binary", status=1, error="binary, not text")
    cli("diff", "small", "large", "x", "--allow-special", "<x>", status=1, error="'<x>' is a special token of neither")
    cli("diff", "small", "large", "x", "-o", "d.txt", status=1, error="ends in")
    assert "alike" in cli("diff", "small", "small", "x" * 5000)


def test_a_report_of_many_differences_is_short_on_the_terminal() -> None:
    small, large = (bbpe.train(TINY / "train", size) for size in (300, 1500))
    found = difference(small, large, Path(ZH).read_text("utf-8"))
    report = difference_report(found, limit=5)
    (table, _) = report.tables()
    assert len(table.rows) == len(found.differences) > 5
    assert table.limit == 5


def test_count(cli: Bbpe, tmp_path: Path) -> None:
    tokenizer = bbpe.load("small")
    expected = [tokenizer.count(Path(path).read_text("utf-8")) for path in (EN, ZH)]
    assert cli("count", EN, ZH, "-t", "small") == f"{sum(expected)}\n"
    by_file = cli("count", EN, ZH, "-t", "small", "--by-file", "-q").splitlines()
    assert by_file == [f"{expected[0]}\t{EN}", f"{expected[1]}\t{ZH}", f"{sum(expected)}\ttotal"]
    found = json.loads(cli("count", ZH, "-t", "small", "--json"))
    assert found["tokens"] == found["files"][0]["tokens"] == expected[1]
    assert found["characters"] == len(Path(ZH).read_text("utf-8"))
    (tmp_path / "s.txt").write_text("a<|end|>b")
    assert int(cli("count", "s.txt", "-t", "small", "--allow-special", "all")) == 3
    cli("count", "s.txt", "-t", "small", "--allow-special", "<x>", status=1, error="no special token")
    cli("count", "nowhere", "-t", "small", status=1, error="nowhere: no such file")
