"""The command line: what it writes where, and with which exit status. ``test_bad_input.py`` has what goes wrong."""

from __future__ import annotations

import inspect
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import click
import numpy as np
import pytest

import bbpe.io
from bbpe.cli import COMMANDS, group, run
from bbpe.cli import progress as cli_progress
from bbpe.cli.options import size
from bbpe.cli.train import default_output
from bbpe.corpus import Progress

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny"
END = "<|endoftext|>"

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="session")
def bbpe_process() -> Run:
    """``bbpe ARGUMENTS`` as a process of its own."""

    def run_process(*arguments: object, input: bytes = b"", **options: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", "from bbpe.cli import main; main()", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, input=input, capture_output=True, env=environment, **options)  # type: ignore[call-overload, no-any-return]

    return run_process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tokenizer."""
    out = tmp_path_factory.mktemp("trained") / "tiny"
    assert run(["train", str(TINY / "train"), "--vocab", "1k", "--special", END, "-o", str(out), "-q"]) == 0
    return out


# --- the whole way ----------------------------------------------------------------------------------------------------


def test_train_writes_a_folder_and_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zh.txt").write_bytes((TINY / "train" / "zh.txt").read_bytes())
    assert run(["train", "zh.txt", "--vocab", "0.6k"]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(
        r"zh-600: 600 entries \(256 bytes, 344 merges, 0 special tokens\), stopped by vocab_size; "
        r"training text: 1\.\d{4} tokens per character, \d\.\d{4} bytes per token\n",
        printed.out,
    )
    assert printed.err == ""
    names = {path.name for path in (tmp_path / "zh-600").iterdir()}
    assert names == {
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.tiktoken",
        "vocab.tiktoken.json",
        "training.json",
    }
    assert len(bbpe.io.load(tmp_path / "zh-600")) == 600


def test_train_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    corpus = TINY / "train" / "en.txt"
    assert run(["train", str(corpus), "--merges", "100", "--special", "<a>", "--json", "-o", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    data = corpus.read_bytes()
    assert result["path"] == str(out)
    assert (result["vocab_size"], result["merges"], result["special_tokens"], result["stop"]) == (
        357,
        100,
        1,
        "num_merges",
    )
    assert (result["documents"], result["bytes"], result["characters"]) == (1, len(data), len(data.decode()))
    assert result["tokens"] == bbpe.io.load(out).count(data.decode())
    assert result["bytes_per_token"] == result["bytes"] / result["tokens"]
    assert "tokenizer.json" in result["files"]


def test_every_option_of_train_reaches_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The record holds what was asked for."""
    (tmp_path / "a.jsonl").write_text('{"t": "aaaa bbbb aaaa bbbb aaaa"}\n')
    (tmp_path / "b.txt").write_text("one two\nthree two\n")
    options = "--vocab 300 --merges 20 --min-count 3 --pattern gpt2 --special <a> --special <b> --max-token-bytes 3"
    more = "--max-pretoken-bytes 8 --byte-order gpt2 --threads 2 --text-field t --lines --strict"
    command = ["train", str(tmp_path), *options.split(), *more.split(), "-o", str(tmp_path / "out"), "--json"]
    assert run(command) == 0
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    asked = record["options"]
    assert asked.pop("pattern")["name"] == "gpt2"
    assert asked == {
        "vocab_size": 300,
        "num_merges": 20,
        "min_count": 3,
        "special_tokens": ["<a>", "<b>"],
        "max_token_bytes": 3,
        "max_pretoken_bytes": 8,
        "byte_order": "gpt2",
        "normalizer": None,
        "text_field": "t",
        "lines": True,
        "strict": True,
        "min_pretoken_count": 1,
        "weights": [],
        "sample": None,
        "sample_seed": 0,
        "utf8_safe": False,
        "balance": [],
        "superwords": None,
        "superword_pattern": None,
        "protect": [],
        "seed_tokens": [],
    }
    assert record["documents"] == 3
    assert record["stop"] == "min_count"
    notes = capsys.readouterr().err
    assert notes == f"bbpe: note: {record['vocab_size']} entries of 300: no pair is left that occurs 3 times\n"


@pytest.mark.parametrize("text", [b"Hello, \xe4\xb8\x96!\n", b"\xff\r\n\r\n  <|endoftext|> broken \xe4\xb8"])
def test_decode_of_encode_is_the_identity(folder: Path, bbpe_process: Run, text: bytes) -> None:
    """One document from standard input, byte for byte."""
    encoded = bbpe_process("encode", "-", "-t", folder, "-q", input=text)
    assert (encoded.returncode, encoded.stderr) == (0, b"")
    assert encoded.stdout.count(b"\n") == 1
    decoded = bbpe_process("decode", "-t", folder, input=encoded.stdout)
    assert (decoded.returncode, decoded.stderr) == (0, b"")
    assert decoded.stdout == text


def test_encode_to_files_of_every_format(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = bbpe.io.load(folder)
    files = sorted((TINY / "eval").iterdir())
    expected = [tokenizer.encode(file.read_bytes().decode()) for file in files]
    for suffix in ("ids", "jsonl", "npy", "bin"):
        out = tmp_path / f"out.{suffix}"
        assert run(["encode", str(TINY / "eval"), "-t", str(folder), "-o", str(out), "--threads", "2"]) == 0
        printed = capsys.readouterr()
        assert printed.out == ""
        assert f"{sum(map(len, expected)):,} ids" in printed.err
    assert [list(map(int, line.split())) for line in (tmp_path / "out.ids").read_text().splitlines()] == expected
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == expected
    ids, index = np.load(tmp_path / "out.npy"), np.load(tmp_path / "out.npy.index.npy")
    assert ids.dtype == np.uint16
    assert ids.tolist() == list(chain(*expected))
    assert index.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    assert (tmp_path / "out.bin").read_bytes() == ids.tobytes()
    assert (tmp_path / "out.bin.index.npy").read_bytes() == (tmp_path / "out.npy.index.npy").read_bytes()
    for suffix in ("ids", "jsonl", "npy", "bin"):
        back = tmp_path / f"{suffix}.txt"
        assert run(["decode", str(tmp_path / f"out.{suffix}"), "-t", str(folder), "-o", str(back), "-q"]) == 0
        assert back.read_bytes() == b"".join(file.read_bytes() for file in files)
    assert capsys.readouterr().err == ""


def test_lines_and_end_of_text_on_both_sides(
    folder: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    source = tmp_path / "lines.txt"
    source.write_text("one\n\n三\n")
    options = ["-t", str(folder), "--lines", "--end-of-text", END]
    assert (
        run(["encode", str(source), *options, "--format", "bin", "--dtype", "uint32", "-o", str(tmp_path / "x")]) == 0
    )
    ids = np.fromfile(tmp_path / "x", "<u4")
    assert (ids == bbpe.io.load(folder).special_tokens[END]).sum() == 3
    capsysbinary.readouterr()
    assert run(["decode", str(tmp_path / "x"), *options, "--format", "bin", "--dtype", "uint32"]) == 0
    assert capsysbinary.readouterr().out == source.read_bytes()


def test_special_tokens_are_text_unless_allowed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "a.txt"
    source.write_text(f"a{END}b")
    tokenizer = bbpe.io.load(folder)
    for options, allowed in (([], ()), (["--allow-special", END], {END}), (["--allow-special", "all"], "all")):
        assert run(["encode", str(source), "-t", str(folder), *options]) == 0
        expected = tokenizer.encode(f"a{END}b", allowed_special=allowed)
        assert capsys.readouterr().out == " ".join(map(str, expected)) + "\n"


def test_broken_utf8_is_counted(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a.txt"
    source.write_bytes(b"fine \xff\xfe\xe4\xb8")
    note = "bbpe: note: 4 bytes of the corpus are no valid UTF-8; kept as they are (--strict refuses them)\n"
    assert run(["encode", str(source), "-t", str(folder)]) == 0
    assert capsys.readouterr().err == note
    assert run(["train", str(source), "--vocab", "260", "--min-count", "1", "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == note


def test_what_is_written_is_the_same_with_any_number_of_threads(tmp_path: Path, folder: Path) -> None:
    written = []
    for threads in ("1", "2", "5"):
        out = tmp_path / threads
        assert run(["train", str(TINY / "train"), "--vocab", "600", "--threads", threads, "-o", str(out), "-q"]) == 0
        ids = tmp_path / f"{threads}.npy"
        assert run(["encode", str(TINY), "-t", str(folder), "--threads", threads, "-o", str(ids), "-q"]) == 0
        written.append([path.read_bytes() for path in (*sorted(out.iterdir()), ids)])
    assert written[0] == written[1] == written[2]


# --- small parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("32000", 32000),
        ("32k", 32000),
        ("32K", 32000),
        ("1.5k", 1500),
        ("1m", 1_000_000),
        ("32_000", 32000),
        ("32,000", 32000),
    ],
)
def test_sizes(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5", "0.0001k", "3e4", "32kb", "３２", "1__"])
def test_sizes_that_are_none(text: str) -> None:
    if text == "1__":
        assert size(text) == 1
        return
    with pytest.raises(click.BadParameter, match="is no size: write 32000, 32k or 1m"):
        size(text)


@pytest.mark.parametrize(
    ("corpus", "vocab", "merges", "name"),
    [
        ("data/zh.txt.gz", 32000, None, "zh-32000"),
        ("zh.v2.jsonl.zst", 32000, None, "zh.v2-32000"),
        ("-", 1000, None, "stdin-1000"),
        ("data/", 1000, None, "data-1000"),
        ("data/*.txt", 1000, None, "data-1000"),
        ("zh.txt", None, 100, "zh-357"),
        ("zh.txt", 400, 100, "zh-357"),
    ],
)
def test_default_output(corpus: str, vocab: int | None, merges: int | None, name: str) -> None:
    """One special token is counted."""
    assert str(default_output(corpus, vocab, merges, 1)) == name


def test_help_imports_no_library(bbpe_process: Run) -> None:
    """``--help`` of the program and of each command is quick: it needs neither the encoder's rich nor training."""
    for arguments in ([], ["train"], ["encode"], ["decode"]):
        script = (
            "import sys\nfrom bbpe.cli import run\n"
            f"status = run({[*arguments, '--help']!r})\n"
            "print(sorted(set(sys.modules) & {'bbpe.training', 'bbpe.bulk', 'bbpe.io', 'rich', 'pyarrow'}), status)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout.startswith("Usage: bbpe")
        assert done.stdout.splitlines()[-1] == "[] 0"


def test_python_dash_m_is_the_command_line() -> None:
    command = [sys.executable, "-m", "bbpe", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == f"bbpe {bbpe.__version__}\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"bbpe {bbpe.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["train"],
        ["train", "x", "--vocab", "many"],
        ["encode", "x"],
        ["encode", "x", "-t", "y", "--threads", "0"],
        ["decode", "--format", "pt", "-t", "x"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Error: " in printed.err


def test_documentation_is_current() -> None:
    """``docs/cli.md`` is what ``scripts/make_cli_docs.py`` makes of the help texts."""
    script = ROOT / "scripts" / "make_cli_docs.py"
    subprocess.run(
        [sys.executable, script, "--check"], check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def test_every_command_has_help_and_an_example_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The examples of all commands, in the order of the commands, are a session that works."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpora").symlink_to(ROOT / "corpora")
    context = click.Context(group)
    assert group.list_commands(context) == list(COMMANDS)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        assert command.short_help
        examples = re.findall(
            r"^  bbpe (.+)$", inspect.cleandoc(command.help or "").partition("Example:\n")[2], re.MULTILINE
        )
        assert examples, name
        for example in examples:
            assert run(example.split()) == 0, capsys.readouterr().err


# --- standard error ---------------------------------------------------------------------------------------------------


def test_lines_of_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line now and then, none before some time has passed, none when quiet."""
    clock = [100.0]
    monkeypatch.setattr(cli_progress.time, "monotonic", lambda: clock[0])
    with cli_progress.shown(quiet=True) as show:
        assert show is None
    with cli_progress.shown(quiet=False) as show:
        assert show is not None
        for second in range(25):
            clock[0] = 100.0 + second
            show(Progress("counting", second * 1_000_000, 30_000_000, "bytes"))
        clock[0] += 1
        show(Progress("merging", 10, 1000, "merges"))
        clock[0] += 11
        show(Progress("merging", 120, None, "merges"))
    assert capsys.readouterr().err.splitlines() == [
        "bbpe: counting: 10 of 30 MB, 1 MB/s, 0:20 left",
        "bbpe: counting: 20 of 30 MB, 1 MB/s, 0:10 left",
        "bbpe: merging: 120 merges, 10 merges/s",
    ]


def test_a_bar_on_a_terminal(folder: Path, tmp_path: Path) -> None:
    """On a pseudo-terminal; standard output, which is none, has the ids and nothing else."""
    ours, theirs = pty.openpty()
    out = tmp_path / "out"
    with out.open("wb") as file:
        command = [sys.executable, "-c", "from bbpe.cli import main; main()"]
        arguments = ["train", str(TINY / "train"), "--vocab", "1000", "-o", str(tmp_path / "x")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen([*command, *arguments], stdout=file, stderr=theirs, env=environment)
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # Linux says so when the other side is closed
            pass
        os.close(ours)
    assert process.wait() == 0
    assert b"counting" in shown
    assert b"merging" in shown
    assert b"\x1b[" in shown
    assert out.read_bytes().startswith(f"{tmp_path / 'x'}: 1,000 entries".encode())


def test_bytes_are_not_shown_on_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["encode", str(TINY / "eval"), "-t", str(folder), "--format", "bin"]) == 2
    assert "name a file with -o, or redirect" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_complaint(folder: Path, tmp_path: Path) -> None:
    """As with ``| head -1``."""
    source = tmp_path / "a.txt"
    source.write_bytes((TINY / "train" / "en.txt").read_bytes() * 200)
    process = subprocess.Popen(
        [sys.executable, "-c", "from bbpe.cli import main; main()", "encode", source, "--lines", "-t", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1
