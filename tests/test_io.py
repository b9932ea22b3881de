"""Loading by path and by name, saving as folder and file, and that an output is all there or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bbpe import atomic, io
from bbpe.errors import BbpeError, FormatError, OutputError, PatternError
from bbpe.formats import tiktoken_file, tokenizer_json, vocab_merges
from bbpe.patterns import get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.training import train
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

TOKENS = {**{byte: bytes([byte]) for byte in range(256)}, 256: b"th", 257: b"the", 258: b" the"}
MERGES = [(116, 104), (256, 101), (32, 257)]
VOCABULARY = Vocabulary(
    TOKENS,
    merges=MERGES,
    pattern=get_pattern("llama3"),
    special_tokens=[SpecialToken("<s>", 300)],
    template=Template((300,)),
)
TOKENIZER = Tokenizer(VOCABULARY)
OTHER = Tokenizer(VOCABULARY.replace(special_tokens=[SpecialToken("<other>", 300)]))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- save and load ---


def test_a_folder_holds_what_transformers_and_tiktoken_need(tmp_path: Path) -> None:
    saved = io.save(TOKENIZER, tmp_path / "out")
    names = ["tokenizer.json", "tokenizer_config.json", "vocab.tiktoken", "vocab.tiktoken.json"]
    assert sorted(contents(tmp_path / "out")) == names
    assert saved == io.Saved(tmp_path / "out", tuple(tmp_path / "out" / name for name in names), {})
    assert io.load(tmp_path / "out").vocabulary == VOCABULARY
    assert io.load(tmp_path / "out", format="tiktoken").vocabulary == VOCABULARY
    assert io.load(str(tmp_path / "out" / "vocab.tiktoken")).vocabulary == VOCABULARY


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("out.tiktoken", ["out.tiktoken", "out.tiktoken.json"]),
        ("out.json", ["out.json"]),
        ("vocab.json", ["merges.txt", "merges.txt.json", "vocab.json"]),
        ("merges.txt", ["merges.txt", "merges.txt.json", "vocab.json"]),
        ("my-vocab.json", ["my-merges.txt", "my-merges.txt.json", "my-vocab.json"]),
    ],
)
def test_single_files_by_their_name(tmp_path: Path, name: str, files: list[str]) -> None:
    saved = io.save(TOKENIZER, tmp_path / name)
    assert sorted(contents(tmp_path)) == files
    assert sorted(path.name for path in saved.files) == files
    assert io.load(tmp_path / name).vocabulary == VOCABULARY


def test_a_format_may_be_asked_for(tmp_path: Path) -> None:
    io.save(TOKENIZER, tmp_path / "pair", format="vocab+merges")
    assert sorted(contents(tmp_path / "pair")) == ["merges.txt", "merges.txt.json", "vocab.json"]
    assert io.load(tmp_path / "pair").vocabulary == VOCABULARY
    io.save(TOKENIZER, tmp_path / "ranks.bin", format="tiktoken")
    assert io.load(tmp_path / "ranks.bin").vocabulary == VOCABULARY
    io.save(TOKENIZER, tmp_path / "llama-3.1")  # a version is no suffix
    assert (tmp_path / "llama-3.1").is_dir()
    with pytest.raises(FormatError, match=r"writes no \.onnx files; end the name in \.tiktoken"):
        io.save(TOKENIZER, tmp_path / "out.onnx")
    with pytest.raises(FormatError, match="unknown format 'onnx'; bbpe writes directory"):
        io.save(TOKENIZER, tmp_path / "out", format="onnx")
    with pytest.raises(FormatError, match="unknown format 'onnx'; bbpe knows tokenizer"):
        io.load(tmp_path / "pair", format="onnx")


def test_the_training_record_is_kept(tmp_path: Path) -> None:
    trained = train([b"the cat and the hat", "猫和帽子。猫和帽子"], vocab_size=265)
    saved = io.save(trained, tmp_path / "out")
    assert tmp_path / "out" / "training.json" in saved.files
    loaded = io.load(tmp_path / "out")
    assert (loaded.vocabulary, loaded.training_record) == (trained.vocabulary, trained.training_record)
    assert io.load(tmp_path / "out" / "tokenizer.json").training_record is None  # a file is only itself
    for other in ("{}", "[", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "[" * 100_000):
        (tmp_path / "out" / "training.json").write_text(other, encoding="latin-1")
        assert io.load(tmp_path / "out").training_record is None


def test_what_tiktoken_cannot_say_is_left_out_of_a_folder_with_the_reason(tmp_path: Path) -> None:
    tokenizer = Tokenizer(VOCABULARY.replace(normalizer="NFC"))
    saved = io.save(tokenizer, tmp_path / "out")
    assert saved.left_out == {"vocab.tiktoken": "a .tiktoken file cannot say the normalizer NFC"}
    assert sorted(contents(tmp_path / "out")) == ["tokenizer.json", "tokenizer_config.json"]
    with pytest.raises(FormatError, match="cannot say the normalizer NFC"):
        io.save(tokenizer, tmp_path / "out.tiktoken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_folder_holds_the_vocabulary_even_where_tokenizer_json_cannot_say_it(tmp_path: Path) -> None:
    """A look-behind has no automaton, so no spelling that is proven: hours of training must not be lost for that."""
    with pytest.warns(UserWarning, match="regex package"):
        tokenizer = Tokenizer(VOCABULARY.replace(pattern=get_pattern(r"(?<=a)b+|[^b]+|b")))
    saved = io.save(tokenizer, tmp_path / "out")
    assert sorted(contents(tmp_path / "out")) == ["merges.txt", "merges.txt.json", "vocab.json"]
    assert sorted(saved.left_out) == ["tokenizer.json", "vocab.tiktoken"]
    assert io.load(tmp_path / "out").vocabulary == tokenizer.vocabulary


def test_a_special_token_that_spells_a_byte_is_saved_where_it_can_be(tmp_path: Path) -> None:
    tokenizer = Tokenizer(VOCABULARY.replace(special_tokens=[SpecialToken("a", 300)], template=Template()))
    saved = io.save(tokenizer, tmp_path / "out")
    assert sorted(contents(tmp_path / "out")) == ["vocab.tiktoken", "vocab.tiktoken.json"]
    assert sorted(saved.left_out) == ["tokenizer.json", "vocab.json"]
    assert io.load(tmp_path / "out").encode("that", allowed_special="all") == [256, 300, 116]
    both = Tokenizer(tokenizer.vocabulary.replace(normalizer="NFC"))
    with pytest.raises(FormatError, match=r"tokenizer\.json: .* spelled; .* vocab\.tiktoken: .* the normalizer NFC"):
        io.save(both, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_tokenizer_json_wins_in_a_folder(tmp_path: Path) -> None:
    vocab_merges.write(VOCABULARY, tmp_path)
    tiktoken_file.write(OTHER.vocabulary, tmp_path / "x.tiktoken")
    assert io.load(tmp_path).vocabulary == OTHER.vocabulary  # then the only .tiktoken
    tokenizer_json.write(VOCABULARY, tmp_path / "tokenizer.json")
    assert io.load(tmp_path).vocabulary == VOCABULARY


def test_a_folder_without_one_clear_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds nothing; which of them is the vocabulary"):
        io.load(tmp_path)
    tiktoken_file.write(VOCABULARY, tmp_path / "a.tiktoken")
    tiktoken_file.write(VOCABULARY, tmp_path / "b.tiktoken")
    with pytest.raises(FormatError, match=r"holds a\.tiktoken, a\.tiktoken\.json, b\.tiktoken"):
        io.load(tmp_path)


def test_what_a_file_does_not_carry_comes_from_the_caller(tmp_path: Path) -> None:
    tiktoken_file.write(VOCABULARY, tmp_path / "a.tiktoken")
    (tmp_path / "a.tiktoken.json").unlink()
    with pytest.raises(FormatError, match=r"pass pattern=.* and special_tokens="):
        io.load(tmp_path / "a.tiktoken")
    loaded = io.load(tmp_path / "a.tiktoken", pattern="qwen2", special_tokens={"<x>": 400}).vocabulary
    assert loaded.pattern == get_pattern("qwen2")
    assert loaded.special_tokens == (SpecialToken("<x>", 400),)
    with pytest.raises(PatternError, match="unknown pattern 'qwen9'"):
        io.load(tmp_path / "a.tiktoken", pattern="qwen9")
    tokenizer_json.write(VOCABULARY, tmp_path / "tokenizer.json")
    with pytest.raises(FormatError, match="carries its own pattern llama3; leave pattern out"):
        io.load(tmp_path / "tokenizer.json", pattern="qwen2")
    with pytest.raises(FormatError, match="carries its own special tokens"):
        io.load(tmp_path / "tokenizer.json", special_tokens={})


@pytest.mark.parametrize("name", ["no/such/file.json", "nothing-of-this-name", "a" * 5000, "nul\0byte", ""])
def test_no_such_file_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError) as raised:
        io.load(name)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_no_such_name_says_what_is_like_it() -> None:
    with pytest.raises(FormatError, match=r"no such file or folder, and 'cl100k_bass' is no name .* mean cl100k_base"):
        io.load("cl100k_bass")


def test_a_name_of_which_nothing_is_there_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BBPE_HOME", str(tmp_path))
    with pytest.raises(FormatError, match=r"cl100k_base: there is none in .*; 'bbpe vocab get cl100k_base' downloads"):
        io.load("gpt-4")
    monkeypatch.delenv("BBPE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(FormatError, match=r"there is none in .*/cache/bbpe/vocabs/cl100k_base;"):
        io.load("cl100k_base")


@pytest.mark.parametrize(
    ("name", "entries", "pattern", "normalizer", "before"),
    [
        ("cl100k_base", 100_261, "cl100k", None, ()),
        ("gpt-4o", 200_000, "o200k", None, ()),
        ("r50k_base", 50_257, "gpt2", None, ()),
        ("Llama3", 128_256, "llama3", None, (128000,)),
        ("qwen", 151_851, "qwen2", "NFC", ()),
    ],
)
def test_catalogue_names(
    bbpe_home: Path, name: str, entries: int, pattern: str, normalizer: str | None, before: tuple[int, ...]
) -> None:
    vocabulary = io.load(name).vocabulary
    assert len(vocabulary) == entries
    assert (vocabulary.pattern.name, vocabulary.normalizer) == (pattern, normalizer)
    assert vocabulary.template == Template(before)


def test_a_published_file_is_known_wherever_it_lies(bbpe_home: Path, tmp_path: Path) -> None:
    shutil.copy(bbpe_home / "vocabs" / "r50k_base" / "gpt2.tiktoken", tmp_path / "renamed.txt")
    assert io.load(tmp_path / "renamed.txt").vocabulary.special_tokens == (SpecialToken("<|endoftext|>", 50256),)
    with_own = io.load(tmp_path / "renamed.txt", special_tokens={"<mine>": 60000}).vocabulary
    assert (with_own.special_tokens, with_own.pattern.name) == ((SpecialToken("<mine>", 60000),), "gpt2")


def test_other_folders_of_bbpe_home_load_by_their_name(bbpe_home: Path) -> None:
    assert io.load("gpt-neox-20b").vocabulary.normalizer == "NFC"
    assert io.load("llama2").engine == "sentencepiece"


# --- all or nothing ---


def test_an_existing_output_is_refused_without_force(tmp_path: Path) -> None:
    for name in ("out", "out.tiktoken", "out.json", "vocab.json"):
        io.save(TOKENIZER, tmp_path / name)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(OutputError, match=r"exists already; choose another name or pass force \(--force\)"):
            io.save(OTHER, tmp_path / name)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        io.save(OTHER, tmp_path / name, force=True)
        assert io.load(tmp_path / name).vocabulary == OTHER.vocabulary
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_sidecar_in_the_way_counts_as_an_existing_output(tmp_path: Path) -> None:
    (tmp_path / "out.tiktoken.json").write_text("mine")
    with pytest.raises(OutputError, match=r"out\.tiktoken\.json: exists already"):
        io.save(TOKENIZER, tmp_path / "out.tiktoken")
    assert contents(tmp_path) == {"out.tiktoken.json": b"mine"}


def test_force_never_removes_files_of_others(tmp_path: Path) -> None:
    io.save(TOKENIZER, tmp_path / "out")
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(
        OutputError, match=r"holds other files \(thesis\.tex\), which force \(--force\) does not remove"
    ):
        io.save(OTHER, tmp_path / "out", force=True)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OutputError, match="exists already and is no folder"):
        io.save(OTHER, tmp_path / "file", force=True, format="directory")
    with pytest.raises(OutputError, match="is a folder"), io.atomic_write(tmp_path / "out", force=True):
        pass
    with pytest.raises(OutputError, match="is no regular file"), io.atomic_write("/dev/null", force=True):
        pass


def test_a_missing_or_unwritable_parent(tmp_path: Path) -> None:
    for name in ("no/out", "no/out.json"):
        with pytest.raises(OutputError, match=r"cannot be written: the folder .*no does not exist"):
            io.save(TOKENIZER, tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        io.save(TOKENIZER, tmp_path / "file" / "out.json")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_parent(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written: Permission denied"):
        io.save(TOKENIZER, tmp_path / "out")


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    io.save(TOKENIZER, tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    io.save(OTHER, tmp_path / "link", force=True)
    assert (tmp_path / "link").is_symlink()
    assert io.load(tmp_path / "real").vocabulary == OTHER.vocabulary


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def write() -> None:
        with atomic.atomic_write(tmp_path / "out") as file:
            file.write(b"ours")
            (tmp_path / "out").write_bytes(b"theirs")

    with pytest.raises(OutputError, match="exists already"):
        write()
    assert contents(tmp_path) == {"out": b"theirs"}


def test_atomic_write_leaves_nothing_after_an_exception(tmp_path: Path) -> None:
    target = tmp_path / "ids.bin"
    with pytest.raises(KeyboardInterrupt):
        _write_half(target, KeyboardInterrupt())
    assert contents(tmp_path) == {}
    with io.atomic_write(target) as file:
        file.write(b"whole")
    with pytest.raises(ValueError, match="later"):
        _write_half(target, ValueError("later"))
    assert contents(tmp_path) == {"ids.bin": b"whole"}
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _write_half(target: Path, error: BaseException) -> None:
    with io.atomic_write(target, force=True) as file:
        file.write(b"half")
        raise error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_two_renames_where_the_system_cannot_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_exchange_in_one_step", lambda first, second: False)
    io.save(TOKENIZER, tmp_path / "out")
    io.save(OTHER, tmp_path / "out", force=True)
    assert io.load(tmp_path / "out").vocabulary == OTHER.vocabulary
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """fsync fails as it does when the blocks of a file find no place."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    yield
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["out", "out.json", "out.tiktoken", "vocab.json"])
def test_a_full_disk_leaves_the_old_output(
    tmp_path: Path, name: str, full_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match=r"no space left .*; nothing was left there"):
        io.save(TOKENIZER, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    io.save(TOKENIZER, tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(os, "fsync", _raise_no_space)
    with pytest.raises(OutputError, match="no space left"):
        io.save(OTHER, tmp_path / name, force=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def _raise_no_space(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


SCRIPT = textwrap.dedent(
    """
    import os, signal, sys
    from bbpe import atomic, io
    from bbpe.errors import OutputError
    from bbpe.patterns import get_pattern
    from bbpe.tokenizer import Tokenizer
    from bbpe.vocabulary import Vocabulary

    action, target = sys.argv[1:]
    tokens = {byte: bytes([byte]) for byte in range(256)}
    tokenizer = Tokenizer(Vocabulary(tokens, merges=[], pattern=get_pattern("gpt2")))
    if action == "limit":  # the kernel refuses to let any file grow past 2,000 bytes
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    else:  # die at the n-th fsync, rename or exchange, whichever comes
        left = int(action)
        def dying(function):
            def call(*arguments, **options):
                global left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **options)
            return call
        os.fsync, os.rename, os.replace = dying(os.fsync), dying(os.rename), dying(os.replace)
        atomic._exchange_in_one_step = dying(atomic._exchange_in_one_step)
    try:
        io.save(tokenizer, target, force=True)
    except OutputError as error:
        print(error)
        sys.exit(1)
    """
)


def run_script(action: str, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, action, str(target)], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")
def test_a_disk_that_fills_while_writing(tmp_path: Path) -> None:
    io.save(TOKENIZER, tmp_path / "out")
    before = contents(tmp_path / "out")
    for name in ("out", "out.json"):
        result = run_script("limit", tmp_path / name)
        assert (result.returncode, result.stderr) == (1, "")
        assert "no space left (File too large); nothing was left there" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert contents(tmp_path / "out") == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs the exchange of two names in one step")
def test_killed_at_any_step_leaves_the_old_folder_or_the_new_one_whole(tmp_path: Path) -> None:
    """SIGKILL at the first, second, … of all fsyncs and renames of a save that replaces a folder."""
    io.save(TOKENIZER, tmp_path / "out")
    old = contents(tmp_path / "out")
    assert run_script("0", tmp_path / "new").returncode == 0
    new = contents(tmp_path / "new")
    outcomes: list[Any] = []
    for step in range(1, 20):
        result = run_script(str(step), tmp_path / "out")
        now = contents(tmp_path / "out")
        assert now in (old, new), step
        outcomes.append((result.returncode, now == new))
        if result.returncode == 0:
            break
    assert outcomes[0] == (-signal.SIGKILL, False)
    assert outcomes[-1] == (0, True)
    assert all(code == -signal.SIGKILL for code, _ in outcomes[:-1])
    assert len(outcomes) > 6
    assert issubclass(OutputError, BbpeError)
    assert json.loads(new["tokenizer.json"])["model"]["merges"] == []
