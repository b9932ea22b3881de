"""``bbpe inspect``: one screen, files, look-ups, and what goes wrong in one line."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

import bbpe
from bbpe.analysis.inspection import inspect
from bbpe.cli import run
from bbpe.report.inspection_report import inspection_report
from bbpe.report.terminal import show

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
END = "<|endoftext|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tokenizer, saved."""
    out = tmp_path_factory.mktemp("trained") / "tiny"
    bbpe.save(bbpe.train(TINY / "train", vocab_size=1000, special_tokens=[END]), out)
    return out


def test_it_tells_in_one_screen_what_to_know(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(folder)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "1,000 entries" in printed.out
    assert "Every token can come out of some text." in printed.out
    assert "1,000 entries = 256 bytes + 743 merges + 1 special" in printed.out
    assert re.search(r"GB 2312 level 1 +\d+\.\d% one token", printed.out)
    assert re.search(r"in no valid UTF-8 +13 ", printed.out)
    assert "None: unreachable by merges, unreachable by pattern, " in printed.out
    assert len(printed.out.splitlines()) <= 50


def test_the_largest_answer_fits_a_terminal_of_fifty_lines_and_a_hundred_columns(bbpe_home: Path) -> None:
    out = Terminal()
    report = inspection_report(inspect("llama3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        patch.setenv("TERM", "xterm")
        show(report, file=out, color=False)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in out.getvalue().splitlines()]
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 100


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_reports_are_written_by_their_suffix(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("html", "md", "csv", "json"):
        target = tmp_path / f"report.{suffix}"
        assert run(["inspect", str(folder), "--corpus", str(TINY / "eval" / "zh.txt"), "-o", str(target)]) == 0
        printed = capsys.readouterr()
        assert printed.err == f"bbpe: note: {target}: written\n"
        assert printed.out.startswith("1,000 entries")  # the summary alone
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "junk from training" in text
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<svg") + page.count("<img") >= 4  # scripts, lengths, coverage, use by rank
    rows = (tmp_path / "report.csv").read_text("utf-8-sig").splitlines()
    assert len(rows) > 3
    document = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert document["title"] == f"Inside {folder}"
    assert run(["inspect", str(folder), "-o", str(tmp_path / "report.md")]) == 1
    assert "exists" in capsys.readouterr().err
    assert run(["inspect", str(folder), "-o", str(tmp_path / "report.md"), "--force", "-q"]) == 0


def test_json_holds_the_whole_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(folder), "--json", "--against", str(folder)]) == 0
    document = json.loads(capsys.readouterr().out)
    text = json.dumps(document)
    assert "never_in_utf8" in text
    assert "every text gets the same ids" in text
    assert document["method"]["command"] == f"bbpe inspect {folder} --against {folder}"


def test_tokens_are_looked_up_with_their_trees(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(folder), "--id", "256"]) == 0
    printed = capsys.readouterr().out
    assert "├─ " in printed
    assert "└─ " in printed
    assert "rank 0)" in printed
    assert run(["inspect", str(folder), "--token", END]) == 0
    assert "special" in capsys.readouterr().out
    assert run(["inspect", str(folder), "--search", "^ [a-z]+$", "--limit", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "of which the first 3 are shown" in document["summary"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--id", "5000"], 1, "has no token 5000"),
        (["--search", "("], 1, "'(' is no regular expression"),
        (["--id", "1", "--token", "a"], 2, "--id and --token exclude one another"),
        (["--id", "1", "--corpus", "x.txt"], 2, "takes no --corpus or --against"),
        (["-o", "report.pdf"], 1, "a report's name ends in"),
        (["--corpus", "no-such-file.txt"], 1, "no-such-file.txt"),
        (["--against", "no-such-vocabulary"], 1, "no-such-vocabulary"),
    ],
)
def test_mistakes_are_told_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    assert run(["inspect", str(folder), *arguments]) == status
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    if status == 1:
        assert len(printed.err.splitlines()) == 1
