"""A single file of ids is gone on with: whatever ends the process, the same call gives the bytes of one run."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bulk_runs import END, FORMATS, ROOT, TINY, Died, trained, write_corpus

from bbpe.bulk import IdFormat, cutting, decode_ids, encode_corpus, encoding, index_path, single_file
from bbpe.bulk.single_file import SingleFile
from bbpe.corpus import Progress
from bbpe.errors import CorpusError, OutputError
from bbpe.io import save
from bbpe.tokenizer import Tokenizer
from bbpe.training import train


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return trained()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind, and a name that is none."""
    folder = write_corpus(tmp_path_factory.mktemp("corpus"))
    if sys.platform == "linux":
        Path(os.fsdecode(os.fsencode(folder) + b"/e\xff.txt")).write_bytes(b"a name that is no UTF-8")
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents in many parts, and a note after every batch."""
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 700)
    monkeypatch.setattr(cutting, "BLOCK_BYTES", 700)
    monkeypatch.setattr(single_file, "NOTE_SECONDS", 0.0)


def contents(folder: Path, name: str = "out") -> dict[str, bytes]:
    """The files of an output, under the name of the first of them."""
    found = {path.name: path for path in folder.iterdir() if path.name.startswith(name)}
    return {key[len(name) :]: path.read_bytes() if path.is_file() else b"" for key, path in found.items()}


def dying(after: int, *, noted: Callable[[int], bool] = lambda _: True) -> Any:
    """A patch with which a process dies before so many batches are written; and which batches are noted."""
    patch = pytest.MonkeyPatch()
    plain_write, plain_note = SingleFile.write, SingleFile._note
    count = 0

    def write(self: SingleFile, *arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == after:
            raise Died
        plain_write(self, *arguments)

    def note(self: SingleFile, place: Any) -> None:
        if noted(count):
            plain_note(self, place)
        self._due = 0.0  # after every batch, however long it took

    patch.setattr(SingleFile, "write", write)
    patch.setattr(SingleFile, "_note", note)
    return patch


def interrupted(tokenizer: Tokenizer, source: Any, out: Path, after: int = 6, **options: Any) -> None:
    """Encode, and die before so many batches were written."""
    patch = dying(after)
    try:
        with pytest.raises(Died):
            encode_corpus(tokenizer, source, out, threads=1, **options)
    finally:
        patch.undo()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("threads", [1, 2])
def test_death_before_any_batch(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, format: IdFormat, threads: int
) -> None:
    """Many lives, each a few batches longer, with notes at random: the bytes are those of one life."""
    options: dict[str, Any] = {"format": format, "end_of_text": END, "threads": threads}
    whole = encode_corpus(tokenizer, corpus, tmp_path / "whole", **options)
    rng = random.Random(threads)
    lives = kept = 0
    while True:
        patch = dying(rng.randrange(3, 12), noted=lambda _: rng.random() < 0.7)
        try:
            result = encode_corpus(tokenizer, corpus, tmp_path / "out", **options)
            break
        except Died:
            lives += 1
            assert not (tmp_path / "out").exists()
            assert not index_path(tmp_path / "out").exists()
        finally:
            patch.undo()
        progress = tmp_path / "out.partial" / "progress.json"
        ids = json.loads(progress.read_text())["written"]["sums"]["ids"] if progress.exists() else 0
        assert ids >= kept, "finished ids were written again"
        kept = ids
    assert lives > 4
    assert result.ids_kept == kept > 0
    assert contents(tmp_path) == contents(tmp_path, "whole")
    for name in ("documents", "ids", "bytes", "characters", "invalid_bytes", "dtype"):
        assert getattr(result, name) == getattr(whole, name)


def test_finished_texts_are_not_encoded_again(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tokenizer, corpus, tmp_path / "out.npy", after=25)
    done = json.loads((tmp_path / "out.npy.partial" / "progress.json").read_text())["written"]["sums"]["bytes"]
    encoded = 0
    plain = encoding._Encoding.encode

    def count(self: Any, batch: Any) -> Any:
        nonlocal encoded
        encoded += sum(map(len, batch.parts))
        return plain(self, batch)

    monkeypatch.setattr(encoding._Encoding, "encode", count)
    seen: list[Progress] = []
    result = encode_corpus(tokenizer, corpus, tmp_path / "out.npy", progress=seen.append)
    assert done > 20_000
    assert encoded == result.bytes - done
    assert {each.phase for each in seen} == {"reading again", "encoding"}


@pytest.mark.parametrize("step", range(4))
def test_death_while_files_take_their_names(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the index has its name, between the two, after both, and with what is beside them half removed."""
    encode_corpus(tokenizer, corpus, tmp_path / "whole.npy")
    plain, plain_unlink = single_file._rename, Path.unlink
    done = 0  # of these steps

    def dies_at_its_step() -> None:
        nonlocal done
        done += 1
        if done > step:
            raise Died

    def rename(*paths: Path) -> None:
        dies_at_its_step()
        plain(*paths)

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if done and self.parent.name == "out.npy.partial":
            dies_at_its_step()
        plain_unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(single_file, "_rename", rename)
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(Died):
            encode_corpus(tokenizer, corpus, tmp_path / "out.npy")
    assert (tmp_path / "out.npy.partial").is_dir()
    assert index_path(tmp_path / "out.npy").exists() == (step >= 1)
    assert (tmp_path / "out.npy").exists() == (step >= 2)
    if step < 2:
        result = encode_corpus(tokenizer, corpus, tmp_path / "out.npy")
        assert result.ids_kept == result.ids
    else:  # it is whole; what is left beside it is in nobody's way, and gone after the next run
        with pytest.raises(OutputError, match="exists already"):
            encode_corpus(tokenizer, corpus, tmp_path / "out.npy")
        before = contents(tmp_path, "out.npy")
        del before[".partial"]
        assert before == contents(tmp_path, "whole.npy")
        assert encode_corpus(tokenizer, corpus, tmp_path / "out.npy", force=True).ids_kept == 0
    assert contents(tmp_path, "out.npy") == contents(tmp_path, "whole.npy")


def test_a_corpus_that_grew_after_the_end(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    """All was read, and the process died before the file took its name: a file that came since is encoded too."""
    copy = copied(corpus, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single_file, "_rename", lambda *_: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            encode_corpus(tokenizer, copy, tmp_path / "out.npy")
    (copy / "z.txt").write_text("one more")
    result = encode_corpus(tokenizer, copy, tmp_path / "out.npy")
    assert 0 < result.ids_kept < result.ids
    encode_corpus(tokenizer, copy, tmp_path / "whole.npy")
    assert contents(tmp_path, "out.npy") == contents(tmp_path, "whole.npy")


def copied(corpus: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "corpus"
    copy.mkdir()
    for path in corpus.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "seed"), [("SIGKILL", 0), ("SIGKILL", 1), ("SIGINT", 2), ("SIGTERM", 3)])
def test_signals_at_random_moments(name: str, seed: int, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The command line, ended at random moments until it gets to its end by itself."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for path in (TINY / "train").iterdir():
        (corpus / path.name).write_bytes(path.read_bytes() * 60)
    save(tokenizer, tmp_path / "tok")
    script = "from bbpe.bulk import single_file; single_file.NOTE_SECONDS = 0.02; from bbpe.cli import main; main()"
    command = [sys.executable, "-c", script, "encode", "corpus", "-t", "tok", *(["--lines"] if seed % 2 else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = time.monotonic()
    subprocess.run([*command, "-o", "whole.npy"], check=True, cwd=tmp_path, env=environment, capture_output=True)
    seconds = time.monotonic() - begun
    rng = random.Random(seed)
    kept = 0
    for _ in range(3):
        process = subprocess.Popen(
            [*command, "-o", "out.npy", "--threads", str(1 + seed % 2)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        progress = tmp_path / "out.npy.partial" / "progress.json"
        if name == "SIGKILL":
            time.sleep(rng.uniform(0.4, 0.9) * seconds)
        else:  # once it is at work
            noted = progress.stat().st_ino if progress.exists() else None
            while process.poll() is None and (not progress.exists() or progress.stat().st_ino == noted):
                time.sleep(0.01)
        process.send_signal(getattr(signal, name))
        said = process.communicate()[1].decode()
        if (tmp_path / "out.npy").exists():
            break
        if progress.exists():
            now = json.loads(progress.read_text())["written"]["sums"]["ids"]
            assert now >= kept
            kept = now
            if name != "SIGKILL":
                assert process.returncode == {"SIGINT": 130, "SIGTERM": 143}[name]
                assert "out.npy.partial keeps what is finished; the same command goes on from there" in said
    if not (tmp_path / "out.npy").exists():
        done = subprocess.run([*command, "-o", "out.npy"], cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        assert not kept or f"of which {kept:,} were there" in done.stderr.decode()
        assert not (tmp_path / "out.npy.partial").exists()
    for file in ("out.npy", "out.npy.index.npy"):
        assert (tmp_path / file).read_bytes() == (tmp_path / file.replace("out", "whole")).read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_full_disk_costs_nothing_that_was_finished(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; the message says where things stand."""
    text = (TINY / "train" / "zh.txt").read_bytes()
    (tmp_path / "a.txt").write_bytes(text * (8_000_000 // len(text)))
    save(tokenizer, tmp_path / "tok")
    script = (
        "import sys, resource, signal; from bbpe.bulk import single_file; single_file.NOTE_SECONDS = 0;"
        "size = int(sys.argv.pop(1)); signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "size and resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); from bbpe.cli import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(limit: int, out: str) -> tuple[int, str]:
        command = [sys.executable, "-c", script, str(limit), "encode", "a.txt", "-t", "tok", "-o", out]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr

    assert run(0, "whole.npy")[0] == 0
    code, said = run((tmp_path / "whole.npy").stat().st_size // 2, "out.npy")
    assert code == 1
    assert said.startswith("bbpe: error: out.npy: cannot be written: no space left (File too large); ")
    assert said.endswith("out.npy.partial keeps what is finished: give the same command again to go on\n")
    code, said = run(0, "out.npy")
    assert (code, "were there" in said) == (0, True)
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


# --- what is refused --------------------------------------------------------------------------------------------------


def test_another_job_is_refused(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    interrupted(tokenizer, corpus, out)
    with pytest.raises(CorpusError, match=r"out\.npy: its encoding is not finished"):
        decode_ids(tokenizer, out, io.BytesIO())
    before = contents(tmp_path / "out.npy.partial", "")
    other = train(TINY / "train", 1100, special_tokens=[END])
    with pytest.raises(OutputError, match=r"finished of it in .*out\.npy\.partial was begun with another tokenizer"):
        encode_corpus(other, corpus, out)
    for options, what in (
        ({"format": "bin"}, "format"),
        ({"dtype": "uint32"}, "dtype"),
        ({"end_of_text": END}, "end_of_text"),
        ({"allowed_special": "all"}, "allowed_special"),
        ({"lines": True}, "lines"),
        ({"strict": True}, "strict"),
        ({"text_field": "t"}, "text_field"),
    ):
        with pytest.raises(OutputError, match=f"was begun with another {what} "):
            encode_corpus(tokenizer, corpus, out, **options)  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="another corpus"):
        encode_corpus(tokenizer, [corpus / "b.jsonl", corpus / "a.txt"], out)
    assert contents(tmp_path / "out.npy.partial", "") == before
    assert encode_corpus(other, corpus, out, force=True).ids_kept == 0
    encode_corpus(other, corpus, tmp_path / "whole.npy")
    assert contents(tmp_path, "out.npy") == contents(tmp_path, "whole.npy")


def test_shards_and_a_file_of_one_name_are_two_jobs(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    interrupted(tokenizer, corpus, tmp_path / "out", format="npy")
    with pytest.raises(OutputError, match=r"was begun with another shard_bytes \(null, now 1500\)"):
        encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)
    encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500, force=True)
    assert (tmp_path / "out" / "manifest.json").exists()
    assert not (tmp_path / "out.partial").exists()


def test_the_same_job_goes_on_with_force_too(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    """Who replaces an output has to say --force again: that must not cost him what is finished."""
    out = tmp_path / "out.npy"
    encode_corpus(tokenizer, corpus, out, dtype="uint32")
    before = contents(tmp_path, "out.npy")
    interrupted(tokenizer, corpus, out, after=30, force=True)
    assert {**contents(tmp_path, "out.npy"), ".partial": b""} == {
        **before,
        ".partial": b"",
    }  # whole until the new one is
    assert encode_corpus(tokenizer, corpus, out, force=True).ids_kept > 1000
    encode_corpus(tokenizer, corpus, tmp_path / "whole.npy")
    assert contents(tmp_path, "out.npy") == contents(tmp_path, "whole.npy")


def test_a_changed_corpus_is_refused(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    copy = copied(corpus, tmp_path)
    out = tmp_path / "out.npy"
    interrupted(tokenizer, copy, out, after=10)
    place = json.loads((tmp_path / "out.npy.partial" / "progress.json").read_text())["place"]
    assert place["stream"] == 1  # in b.jsonl
    second = copy / "b.jsonl"
    data, times = second.read_bytes(), os.stat(second)
    second.write_bytes(data.replace(b"a", b"b", 1))
    os.utime(second, ns=(times.st_atime_ns, times.st_mtime_ns))
    for force in (False, True):
        with pytest.raises(OutputError, match=r"b\.jsonl: has changed since its encoding was begun"):
            encode_corpus(tokenizer, copy, out, force=force)
    second.write_bytes(data)
    (copy / "f.txt").write_text("what nothing finished is of may change")
    encode_corpus(tokenizer, copy, out)
    encode_corpus(tokenizer, copy, tmp_path / "whole.npy")
    assert contents(tmp_path, "out.npy") == contents(tmp_path, "whole.npy")


@pytest.mark.parametrize("name", ["job.json", "progress.json", "ids", "index"])
def test_damage_is_an_error(tokenizer: Tokenizer, corpus: Path, tmp_path: Path, name: str) -> None:
    interrupted(tokenizer, corpus, tmp_path / "out.npy", after=20)
    path = tmp_path / "out.npy.partial" / name
    whole = path.read_bytes()
    for damaged in (b"", b"{}", b"[]", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(OutputError, match=r"damaged|is not what was written there|was begun with another"):
            encode_corpus(tokenizer, corpus, tmp_path / "out.npy")
        assert path.read_bytes() == damaged
    assert encode_corpus(tokenizer, corpus, tmp_path / "out.npy", force=True).ids_kept == 0


def test_what_is_not_ours_is_not_touched(tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = tmp_path / "out.npy.partial"
    folder.write_text("a file of somebody's")
    with pytest.raises(OutputError, match=r"out\.npy\.partial: exists already and is no folder"):
        encode_corpus(tokenizer, ["text"], tmp_path / "out.npy", force=True)
    folder.unlink()
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match=r"holds other files \(thesis\.tex\)"):
        encode_corpus(tokenizer, ["text"], tmp_path / "out.npy", force=True)
    assert (folder / "thesis.tex").read_text() == "precious"
    index = index_path(tmp_path / "new.npy")
    index.write_bytes(b"somebody's")
    with pytest.raises(OutputError, match=r"new\.npy\.index\.npy: exists already"):
        encode_corpus(tokenizer, ["text"], tmp_path / "new.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.npy.index.npy", "out.npy.partial"]


def test_the_corpus_is_not_replaced(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Also under another name of the file."""
    text = tmp_path / "a.txt"
    text.write_text("precious")
    (tmp_path / "b.txt").symlink_to(text)
    for out in (text, tmp_path / "b.txt"):
        with pytest.raises(OutputError, match="is part of the input"):
            encode_corpus(tokenizer, text, out, force=True)
    assert text.read_text() == "precious"


def test_an_iterable_begins_anew(tokenizer: Tokenizer, tmp_path: Path) -> None:
    documents = (TINY / "train" / "zh.txt").read_text("utf-8").splitlines()
    interrupted(tokenizer, documents, tmp_path / "out.npy")
    assert list(tmp_path.iterdir()) == []
    assert encode_corpus(tokenizer, documents, tmp_path / "out.npy").ids_kept == 0


def test_a_symbolic_link_stays_one(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    disk = tmp_path / "large disk"
    disk.mkdir()
    (tmp_path / "out.npy").symlink_to(disk / "ids.npy")
    interrupted(tokenizer, corpus, tmp_path / "out.npy")
    assert (disk / "ids.npy.partial").is_dir()
    encode_corpus(tokenizer, corpus, tmp_path / "out.npy")
    assert (tmp_path / "out.npy").is_symlink()
    encode_corpus(tokenizer, corpus, tmp_path / "whole.npy")
    assert contents(tmp_path, "out.npy") == contents(tmp_path, "whole.npy")
    assert [path.name for path in disk.iterdir()] == ["ids.npy"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_two_at_once(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    asked = 0

    def second(_: Progress) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            with pytest.raises(OutputError, match="another process is writing there"):
                encode_corpus(tokenizer, corpus, tmp_path / "out.npy")

    encode_corpus(tokenizer, corpus, tmp_path / "out.npy", progress=second)
    assert asked
