"""Bad input, as a person meets it: one clear line, exit status 1, and nothing half-written.

Each test says in its name what is wrong. The line is checked for the place and for the way out.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bbpe import Tokenizer, Vocabulary, get_pattern
from bbpe.cli import run
from bbpe.corpus import zstd
from bbpe.counts import count_pretokens
from bbpe.errors import TrainingError

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny"
MAIN = [sys.executable, "-c", "from bbpe.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tokenizer."""
    out = tmp_path_factory.mktemp("trained") / "tiny"
    assert run(["train", str(TINY / "train" / "zh.txt"), "--vocab", "600", "-o", str(out), "-q"]) == 0
    return out


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """Run a command that must fail; the error's line, once it is known to be one, and nothing to be left behind."""

    def check(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        capfd.readouterr()
        status = run(list(map(str, arguments)))
        printed = capfd.readouterr()
        assert status == 1
        assert printed.out == ""
        assert sorted(tmp_path.rglob("*")) == before
        assert printed.err.startswith("bbpe: error: ")
        assert printed.err.count("\n") == 1
        return printed.err[len("bbpe: error: ") : -1]

    return check


@pytest.fixture(params=["train", "encode"])
def command(request: pytest.FixtureRequest, tmp_path: Path, folder: Path) -> list[object]:
    """Both commands that read a corpus, with everything they need but that."""
    if request.param == "train":
        return ["train", "--vocab", "300", "-o", tmp_path / "out"]
    return ["encode", "-t", folder, "-o", tmp_path / "out.npy"]


# --- the corpus -------------------------------------------------------------------------------------------------------


def test_no_such_file(command: list[object], refused: Refused, tmp_path: Path) -> None:
    assert refused(*command, tmp_path / "gone.txt") == f"{tmp_path}/gone.txt: no such file; check the path"


def test_no_such_file_among_others(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    assert "gone.txt: no such file" in refused(*command, tmp_path / "a.txt", tmp_path / "gone.txt")


def test_a_name_with_a_line_break(command: list[object], refused: Refused, tmp_path: Path) -> None:
    assert "no such file" in refused(*command, tmp_path / "a\nb\x1b.txt")


def test_empty_corpus(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    assert "a.txt: no text in it" in refused(*command, tmp_path / "a.txt")


def test_empty_folder(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no files to read in this folder" in refused(*command, tmp_path / "empty")


def test_glob_without_a_match(command: list[object], refused: Refused, tmp_path: Path) -> None:
    assert "no file matches this pattern" in refused(*command, tmp_path / "*.jsonl")


def test_binary_file(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(range(256)) * 10)
    assert "a.txt: binary, not text: byte 0x00 at offset 0" in refused(*command, tmp_path / "a.txt")


def test_compressed_file_without_its_suffix(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(gzip.compress(b"text" * 100))
    assert "name the file with .gz" in refused(*command, tmp_path / "a.txt")


def test_broken_utf8_with_strict(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine " * 300_000 + b"\xe4\xb8 not")
    line = refused(*command, tmp_path / "a.txt", "--strict")
    assert "a.txt: invalid UTF-8 at byte offset 1500000 (0xe4" in line


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_truncated_compressed_file(command: list[object], refused: Refused, tmp_path: Path, suffix: str) -> None:
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd.compress}[suffix]
    data = compress((TINY / "train" / "zh.txt").read_bytes())
    (tmp_path / f"a.txt.{suffix}").write_bytes(data[: len(data) // 2])
    assert f"a.txt.{suffix}: truncated: the file ends at byte" in refused(*command, tmp_path / f"a.txt.{suffix}")


def test_broken_json_line(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"\n')
    assert f"{tmp_path}/a.jsonl:2: not valid JSON: " in refused(*command, tmp_path / "a.jsonl")


def test_missing_field(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"content": "two"}\n')
    assert "a.jsonl:2: no field 'text'; this line has 'content'" in refused(*command, tmp_path / "a.jsonl")


def test_missing_column(command: list[object], refused: Refused, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"content": ["one"]}), tmp_path / "a.parquet")
    assert "a.parquet: no column 'text'; this file has 'content'" in refused(*command, tmp_path / "a.parquet")


def test_file_names_that_are_no_utf8(tmp_path: Path) -> None:
    """A mistake of long ago on somebody's disk, not of this command: what is written names the file with an escape."""
    source = tmp_path / "corpus"
    source.mkdir()
    try:
        (source / os.fsdecode(b"\xff\xfe.txt")).write_bytes((TINY / "train" / "zh.txt").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such names")
    trained, counts, shards = tmp_path / os.fsdecode(b"\xfa"), tmp_path / "counts.tsv", tmp_path / "shards"
    for arguments in (
        ["train", source, "--vocab", "300", "-o", trained, "--json", "-q"],
        ["pretokens", source, "-o", counts, "-q"],
        ["encode", source, "-t", trained, "-o", shards, "--shard-size", "1000", "-q"],
    ):
        done = subprocess.run([*MAIN, *arguments], capture_output=True, env=ENVIRONMENT)
        assert (done.returncode, done.stderr) == (0, b"")
    name = os.fsdecode(os.fsencode(source) + b"/\xff\xfe.txt")
    record = json.loads((trained / "training.json").read_bytes())
    assert [each["path"] for each in record["sources"]] == [name]
    assert rb"/\udcff\udcfe.txt" in counts.read_bytes()
    assert rb"/\udcff\udcfe.txt" in (shards / "manifest.json").read_bytes()


def test_a_folder_with_a_pipe_in_it(tmp_path: Path) -> None:
    """Nobody writes into it; a folder's files are read, and it is none."""
    (tmp_path / "corpus").mkdir()
    os.mkfifo(tmp_path / "corpus" / "a.txt")
    (tmp_path / "corpus" / "b.txt").write_text("text " * 10)
    assert run(["train", str(tmp_path / "corpus"), "--vocab", "258", "-o", str(tmp_path / "out"), "-q"]) == 0


@pytest.mark.parametrize("arguments", [["train", "--vocab", "300"], ["encode", "-t", "x"], ["pretokens"]])
def test_more_threads_than_a_machine_can_have(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str]
) -> None:
    """Each would have tables of its own, and all memory would be gone."""
    (tmp_path / "a.txt").write_text("text")
    assert run([*arguments, str(tmp_path / "a.txt"), "-o", str(tmp_path / "out"), "--threads", "9" * 12]) == 2
    assert "999999999999 is not in the range 1<=x<=1024" in capfd.readouterr().err
    with pytest.raises(TypeError, match="threads is an integer or None, not '2'"):
        count_pretokens(["text"], pattern="llama3", threads="2")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="from 1 to 1,024"):
        count_pretokens(["text"], pattern="llama3", threads=10**12)
    with pytest.raises(ValueError, match="from 1 to 1,024"):
        Tokenizer(Vocabulary({i: bytes([i]) for i in range(256)}, pattern=get_pattern("llama3"))).encode_batch(
            ["a"], threads=10**12
        )


def test_a_name_that_is_empty(capfd: pytest.CaptureFixture[str], folder: Path) -> None:
    """That of a shell's variable that is not set. As a path it would be the folder at hand, and all of it be read."""
    for arguments in (["train", "", "--vocab", "300"], ["encode", "", "-t", str(folder)]):
        assert run(arguments) == 2
        assert "CORPUS is empty; name a file or folder" in capfd.readouterr().err
    assert run(["encode", str(TINY / "eval"), "-t", ""]) == 1
    assert capfd.readouterr().err.startswith("bbpe: error: the name of the tokenizer is empty")


def test_names_that_are_too_long(refused: Refused, tmp_path: Path, folder: Path) -> None:
    name = tmp_path / ("x" * 300)
    assert refused("decode", name, "-t", folder).startswith(f"{name}: ")
    assert "cannot be written: File name too long" in refused("train", TINY / "eval", "--vocab", "300", "-o", name)
    assert "cannot be written: File name too long" in refused("convert", folder, name)


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vocab", "255"], "vocab_size is 255, but the 256 bytes and 0 special tokens are 256 entries already"),
        (["--vocab", "257", "--special", "<a>", "--special", "<b>"], "are 258 entries already; give at least that"),
        ([], "neither vocab_size nor num_merges is given; one of them has to end the training"),
        (["--vocab", "300", "--pattern", "(unclosed"], "(unclosed"),
        (["--vocab", "300", "--pattern", r"\p{Nonsense}+"], "Nonsense"),
        (["--vocab", "300", "--pattern", r"\s*"], "empty"),
        (["--vocab", "300", "--pattern", "lama3"], "llama3"),
        (["--vocab", "300", "--special", ""], "special token 0 is empty"),
        (["--vocab", "300", "--special", "<a>", "--special", "<a>"], "special token '<a>' is given twice"),
        (["--vocab", "300", "--min-count", "0"], "min_count is 0; expected at least 1"),
        (["--vocab", "300", "--max-token-bytes", "1"], "max_token_bytes is 1; expected at least 2"),
    ],
)
def test_options_from_which_nothing_can_be_learned(
    refused: Refused, tmp_path: Path, options: list[str], message: str
) -> None:
    """Before the corpus is touched: it does not exist."""
    assert message in refused("train", tmp_path / "gone.txt", "-o", tmp_path / "out", *options)


def test_special_tokens_that_the_vocabulary_has_not(refused: Refused, tmp_path: Path, folder: Path) -> None:
    for option in ("--end-of-text", "--allow-special"):
        line = refused("encode", tmp_path / "gone.txt", "-t", folder, option, "<eot>")
        assert line == "'<eot>' is no special token of this vocabulary; it has: none"


# --- the tokenizer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command_name", ["encode", "decode"])
def test_no_such_tokenizer(refused: Refused, tmp_path: Path, command_name: str) -> None:
    (tmp_path / "a.txt").write_text("text")
    line = refused(command_name, tmp_path / "a.txt", "-t", tmp_path / "gone")
    assert "no such file or folder" in line
    assert f"{tmp_path}/gone" in line


def test_damaged_tokenizer(refused: Refused, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes()[:-100])
    line = refused("encode", tmp_path / "a.txt", "-t", tmp_path / "tokenizer.json")
    assert "tokenizer.json:" in line
    assert "not JSON" in line


# --- ids --------------------------------------------------------------------------------------------------------------


def test_ids_that_are_none(refused: Refused, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.ids").write_text("72 73\n74 seventy\n")
    line = refused("decode", tmp_path / "a.ids", "-t", folder, "-o", tmp_path / "out")
    assert line.startswith(f"{tmp_path}/a.ids:2: 'seventy' is no id")


def test_ids_that_the_vocabulary_has_not(refused: Refused, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.ids").write_text("72 73\n74 600\n")
    line = refused("decode", tmp_path / "a.ids", "-t", folder, "-o", tmp_path / "out")
    assert line.startswith(f"{tmp_path}/a.ids:2: id 600 at position 1 ")


def test_ids_in_a_file_that_is_no_array(refused: Refused, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.npy").write_text("72 73\n")
    assert "a.npy: no .npy file" in refused("decode", tmp_path / "a.npy", "-t", folder)
    assert "gone.npy: no such file" in refused("decode", tmp_path / "gone.npy", "-t", folder)


# --- the output -------------------------------------------------------------------------------------------------------


def test_existing_output_is_refused_before_the_work_and_replaced_with_force(
    refused: Refused, tmp_path: Path, folder: Path
) -> None:
    source = tmp_path / "a.txt"
    source.write_text("text " * 100)
    for arguments in (
        ["train", source, "--vocab", "300", "-o", tmp_path / "folder"],
        ["encode", source, "-t", folder, "-o", tmp_path / "a.ids"],
        ["encode", source, "-t", folder, "-o", tmp_path / "a.npy"],
        ["decode", tmp_path / "a.ids", "-t", folder, "-o", tmp_path / "back.txt"],
    ):
        assert run(list(map(str, [*arguments, "-q"]))) == 0
        if arguments[0] == "train":  # nothing is read before the output is known to be free
            arguments[1] = tmp_path / "gone.txt"
        line = refused(*arguments)
        assert "exists already; choose another name or pass force (--force) to replace it" in line
        arguments[1] = source if arguments[0] == "train" else arguments[1]
        assert run(list(map(str, [*arguments, "-q", "--force"]))) == 0


def test_no_command_replaces_what_it_reads(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even with --force, and not under another name of the file either."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("low lower lowest " * 20)
    assert run(["train", "a.txt", "--vocab", "270", "-o", "tok", "-q"]) == 0
    assert run(["encode", "a.txt", "-t", "tok", "-o", "a.npy", "-q"]) == 0
    assert run(["encode", "a.txt", "-t", "tok", "-o", "shards", "--shard-size", "1k", "-q"]) == 0
    assert run(["pretokens", "a.txt", "-o", "a.tsv", "-q"]) == 0
    (tmp_path / "other.json").symlink_to(tmp_path / "tok" / "tokenizer.json")
    (tmp_path / "other").symlink_to(tmp_path / "tok")
    shard = str(Path("shards", "shard-00000.npy"))
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    capfd.readouterr()
    for command, output in (
        (["encode", "a.txt", "-t", "tok"], "a.txt"),
        (["decode", "a.npy", "-t", "tok"], "a.npy"),
        (["decode", "a.npy", "-t", "tok"], "a.npy.index.npy"),
        (["decode", "shards", "-t", "tok"], shard),
        (["pretokens", "a.txt", "a.tsv"], "a.tsv"),
        (["pretokens", "*.tsv"], "a.tsv"),
        (["extend", "tok", "a.txt", "--add", "1"], "other"),
        (["extend", "tok/tokenizer.json", "a.txt", "--add", "1"], "tok"),
        (["prune", "tok", "a.txt", "--keep", "260"], "tok"),
        (["inspect", "tok/tokenizer.json"], "other.json"),
        (["diff", "tok", "other.json", "text"], "other.json"),
        (["compare", "zh=a.txt", "-t", "x=other.json"], "tok/tokenizer.json"),
    ):
        assert run([*command, "-o", output, "--force"]) == 1, command
        error = capfd.readouterr().err
        assert error.count("\n") == 1, error
        assert f"{output}: is part of the input, which force (--force) does not replace; choose another name" in error
    for source, output in (("tok", "tok"), ("tok/tokenizer.json", "other.json"), ("tok/vocab.tiktoken", "other")):
        assert run(["convert", source, output, "--force"]) == 1
        assert f"{output}: is part of the input" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == before


def test_a_folder_with_other_files_is_not_replaced(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("text")
    line = refused("train", tmp_path / "thesis", "--vocab", "300", "-o", tmp_path / "thesis", "--force")
    assert "holds other files (chapter1.txt), which force (--force) does not remove" in line


def test_output_in_a_folder_that_does_not_exist(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    elsewhere = [tmp_path / "gone" / "out.npy" if str(part).startswith(f"{tmp_path}/out") else part for part in command]
    line = refused(*elsewhere, tmp_path / "a.txt")
    assert line.startswith(f"{tmp_path}/gone/out.npy: cannot be written: the folder {tmp_path}/gone does not exist")


def test_output_in_a_folder_that_may_not_be_written(command: list[object], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.geteuid() == 0:  # who may write anywhere but here
        folder = Path("/sys")
    elsewhere = [folder / "out.npy" if str(part).startswith(f"{tmp_path}/out") else part for part in command]
    line = refused(*elsewhere, tmp_path / "a.txt")
    assert line.startswith(f"{folder}/out.npy: cannot be written: ")
    assert "denied" in line or "not permitted" in line or "Read-only" in line


def test_output_that_cannot_be_a_file(refused: Refused, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    for out in ("/dev/full", "/proc/cpuinfo/x.ids", tmp_path):
        line = refused("encode", tmp_path / "a.txt", "-t", folder, "--format", "ids", "-o", out, "--force")
        assert line.startswith(f"{out}: ")


def test_format_that_no_suffix_tells(refused: Refused, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    line = refused("encode", tmp_path / "a.txt", "-t", folder, "-o", tmp_path / "ids.pt")
    assert "ids.pt: which format of ids? End the name in .npy, .bin" in line
    assert "npy cannot be written to a stream" in refused("encode", tmp_path / "a.txt", "-t", folder, "--format", "npy")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("what", ["train", "encode", "decode", "help"])
def test_standard_output_that_is_full(tmp_path: Path, folder: Path, what: str) -> None:
    (tmp_path / "a.txt").write_text("72 73 ")
    arguments = {
        "train": ["train", tmp_path / "a.txt", "--vocab", "300", "-o", tmp_path / "out", "-q"],
        "encode": ["encode", tmp_path / "a.txt", "-t", folder],
        "decode": ["decode", tmp_path / "a.txt", "-t", folder],
        "help": ["--help"],
    }[what]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*MAIN, *arguments], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert done.returncode == 1
    assert done.stderr == b"bbpe: error: standard output: cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("closed", "arguments", "status", "said"),
    [
        (0, ["train", "-", "--vocab", "300"], 1, "-: cannot be read: Bad file descriptor; check the file"),
        (0, ["decode", "-t", "TOKENIZER"], 1, "standard input: cannot be read: Bad file descriptor"),
        (0, ["train", "a.txt", "--vocab", "258"], 0, None),
        (1, ["train", "a.txt", "--vocab", "258"], 1, "standard output: cannot be written: Bad file descriptor"),
        (1, ["encode", "a.txt", "-t", "TOKENIZER"], 1, "standard output: cannot be written: Bad file descriptor"),
        (1, ["--help"], 1, "standard output: cannot be written: Bad file descriptor"),
        (2, ["train", "a.txt", "--vocab", "258"], 0, None),
        (2, ["encode", "gone.txt", "-t", "TOKENIZER"], 1, None),
    ],
)
def test_standard_streams_that_are_closed(
    tmp_path: Path, folder: Path, closed: int, arguments: list[str], status: int, said: str | None
) -> None:
    (tmp_path / "a.txt").write_text("text " * 10)
    words = [str(folder) if word == "TOKENIZER" else word for word in arguments]
    done = subprocess.run(
        [*MAIN, *words, *(["-q"] if arguments[0] == "train" else [])],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: os.close(closed),
    )
    assert done.returncode == status
    if said is None:
        assert done.stderr == b""
    else:
        assert done.stderr.decode().startswith(f"bbpe: error: {said}")
        assert done.stderr.count(b"\n") == 1


def test_standard_output_that_cannot_say_a_character(folder: Path) -> None:
    """A terminal of another encoding: an escape stands in place of what it lacks."""
    done = subprocess.run(
        [*MAIN, "inspect", folder], capture_output=True, env={**ENVIRONMENT, "PYTHONIOENCODING": "latin-1"}
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u" in done.stdout


@pytest.mark.parametrize("what", ["train", "encode", "decode"])
def test_disk_full(tmp_path: Path, folder: Path, what: str) -> None:
    """A limit on the size of files stands for the disk. What was there before stays whole."""
    source = TINY / "train" / "zh.txt"
    ids = tmp_path / "a.ids"
    assert run(["encode", str(source), "-t", str(folder), "-o", str(ids), "-q"]) == 0
    out = tmp_path / "output"
    out.mkdir()
    arguments, target = {
        "train": (["train", source, "--vocab", "600", "-o", out / "t"], out / "t" / "tokenizer.json"),
        "encode": (["encode", source, "-t", folder, "-o", out / "a.npy"], out / "a.npy"),
        "decode": (["decode", ids, "-t", folder, "-o", out / "a.txt"], out / "a.txt"),
    }[what]
    assert run([*map(str, arguments), "-q"]) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert target in before

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    done = subprocess.run([*MAIN, *arguments, "--force"], capture_output=True, env=ENVIRONMENT, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"bbpe: error: " + bytes(out))
    assert b"cannot be written: no space left (File too large)" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("what", ["train", "encode"])
def test_killed_in_the_middle(tmp_path: Path, folder: Path, what: str, name: str) -> None:
    """The output that was there stays whole; except for SIGKILL nothing else is left either, of so short a run.

    A named pipe that is never closed holds the command in the middle of its work: it has read all that was written.
    """
    out = tmp_path / "output"
    out.mkdir()
    arguments = {
        "train": ["train", "--vocab", "300", "-o", out / "t"],
        "encode": ["encode", "-t", folder, "-o", out / "a.npy"],
    }[what]
    assert run([*map(str, arguments), str(TINY / "eval"), "-q"]) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*MAIN, *arguments, pipe, "--force", "--threads", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    with open(pipe, "wb", buffering=0) as writer:
        text = (TINY / "train" / "zh.txt").read_bytes()
        for _ in range(4_000_000 // len(text)):
            writer.write(text)
        time.sleep(0.2)
        process.send_signal(getattr(signal, name))
        output, errors = process.communicate(timeout=20)  # the pipe is still open, and nothing more comes out of it
    status, said = {
        "SIGINT": (130, b"bbpe: interrupted\n"),
        "SIGTERM": (143, b"bbpe: terminated\n"),
        "SIGKILL": (-signal.SIGKILL, b""),
    }[name]
    assert (process.returncode, output, errors.lstrip(b"\n")) == (status, b"", said)
    after = {path: path.read_bytes() for path in before}
    assert after == before
    if name != "SIGKILL":
        assert sorted(out.iterdir()) == sorted({path if path.parent == out else path.parent for path in before})
