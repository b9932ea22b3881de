"""Shards of ids: together they are the single file, and a process that is killed costs at most the shard it was in."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bulk_runs import END, FORMATS, ROOT, TINY, Died, trained, write_corpus

from bbpe.atomic import take_name
from bbpe.bulk import IdFormat, cutting, decode_ids, encode_corpus, encoding, index_path
from bbpe.bulk.id_files import IdWriter
from bbpe.bulk.shards import ShardFolder, read_manifest
from bbpe.bulk.unfinished import MANIFEST, tokenizer_sha256
from bbpe.corpus import Progress
from bbpe.errors import CorpusError, EncodeError, FormatError, OutputError
from bbpe.io import load, save
from bbpe.tokenizer import Tokenizer
from bbpe.training import train
from bbpe.vocabulary import SpecialToken


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return trained()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents in many parts, and batches that end in the middle of shards."""
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 700)
    monkeypatch.setattr(cutting, "BLOCK_BYTES", 700)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def shard_paths(folder: Path) -> list[Path]:
    return [folder / shard.file for shard in read_manifest(folder)[1]]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [900, 5000, 10**9])
def test_shards_are_together_the_single_file(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, format: IdFormat, size: int
) -> None:
    options: dict[str, Any] = {"format": format, "end_of_text": END}
    whole = encode_corpus(tokenizer, corpus, tmp_path / "whole", **options)
    result = encode_corpus(tokenizer, corpus, tmp_path / "shards", shard_bytes=size, **options)
    assert not (tmp_path / "shards.partial").exists()
    sums = ("documents", "ids", "bytes", "characters", "invalid_bytes", "dtype")
    assert [getattr(result, name) for name in sums] == [getattr(whole, name) for name in sums]
    assert all(path.exists() for path in result.files)
    manifest, shards = read_manifest(tmp_path / "shards")
    assert [manifest[name] for name in sums[:5]] == [getattr(whole, name) for name in sums[:5]]
    assert [each["sha256"] for each in manifest["corpus"]] == _hashes(corpus)
    paths = shard_paths(tmp_path / "shards")
    assert len(paths) == len(shards) == result.shards
    assert (len(paths) == 1) == (size == 10**9)
    if format in ("ids", "json"):
        assert b"".join(path.read_bytes() for path in paths) == (tmp_path / "whole").read_bytes()
        assert all(path.read_bytes().endswith(b"\n") for path in paths)  # no document in two of them
        assert not any(shard.continues for shard in shards)
    else:
        read = np.load if format == "npy" else lambda path: np.fromfile(path, "<u2")
        ids = [read(path) for path in paths]
        assert np.array_equal(np.concatenate(ids), read(tmp_path / "whole"))
        documents: list[list[int]] = []
        goes_on = False
        for part, path, shard in zip(ids, paths, shards, strict=True):
            index = np.load(index_path(path))
            assert (index[0], index[-1]) == (0, len(part))
            pieces = [part[a:b].tolist() for a, b in pairwise(index)]
            if goes_on:
                documents[-1] += pieces.pop(0)
            documents += pieces
            goes_on = shard.continues
            assert len(index) - 1 == shard.documents + shard.continues
        bounds = np.load(index_path(tmp_path / "whole"))
        assert documents == [read(tmp_path / "whole")[a:b].tolist() for a, b in pairwise(bounds)]


def _hashes(corpus: Path) -> list[str]:
    import hashlib

    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(corpus.iterdir())]


def test_a_shard_ends_with_the_document_that_fills_it(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """By hand: documents of 3, 5, 1 and 40 ids of two bytes each, shards of 12 bytes."""
    documents = [bytes(0x80 + i for i in range(size)) for size in (3, 5, 1, 40)]
    encode_corpus(tokenizer, documents, tmp_path / "out", shard_bytes=12, format="bin")
    _, shards = read_manifest(tmp_path / "out")
    assert [(shard.documents, shard.ids) for shard in shards] == [(2, 8), (2, 41)]


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_with_any_threads_and_decoded_again(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, format: IdFormat
) -> None:
    for threads in (1, 2, 8):
        encode_corpus(tokenizer, corpus, tmp_path / str(threads), shard_bytes=2000, format=format, threads=threads)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "8")
    encode_corpus(tokenizer, corpus, tmp_path / "whole", format=format)
    decode_ids(tokenizer, tmp_path / "whole", wanted := io.BytesIO(), format=format, lines=True)
    seen: list[Progress] = []
    result = decode_ids(tokenizer, tmp_path / "1", out := io.BytesIO(), lines=True, progress=seen.append)
    assert out.getvalue() == wanted.getvalue()
    assert seen[-1].done == seen[-1].total
    assert result.documents == read_manifest(tmp_path / "1")[0]["documents"]


# --- gone on with -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format", "seed"), [("npy", 0), ("npy", 1), ("bin", 2), ("ids", 3), ("json", 4)])
def test_killed_between_any_two_shards(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, format: IdFormat, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Death in the middle of a shard, many times: the bytes are those of one life, and no shard is written twice."""
    rng = random.Random(seed)
    size = (1200, 4000)[seed % 2]
    options: dict[str, Any] = {"shard_bytes": size, "format": format, "end_of_text": END, "threads": 1 + seed % 2}
    encode_corpus(tokenizer, corpus, tmp_path / "whole", **options)
    plain_write = ShardFolder.write
    seen: dict[str, tuple[int, int]] = {}
    died = 0
    for life in (*(rng.randrange(8, 22) for _ in range(3)), 10**9):
        left = life  # batches

        def write(self: ShardFolder, *arguments: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Died
            plain_write(self, *arguments)

        monkeypatch.setattr(ShardFolder, "write", write)
        try:
            result = encode_corpus(tokenizer, corpus, tmp_path / "out", **options)
            break
        except Died:
            died += 1
            partial = tmp_path / "out.partial"
            assert not (tmp_path / "out").exists()
            now = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in partial.glob("shards/shard-*")}
            assert seen.items() <= now.items()
            seen = now
    assert died >= 2
    assert result.shards_kept > 0
    final = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (tmp_path / "out").glob("shard*")}
    assert seen.items() <= final.items()
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / "out.partial").exists()


def interrupted(tokenizer: Tokenizer, source: Any, out: Path, after: int = 6, **options: Any) -> None:
    """Encode, and die after so many batches."""
    plain = ShardFolder.write
    left = after

    def write(self: ShardFolder, *arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Died
        plain(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardFolder, "write", write)
        with pytest.raises(Died):
            encode_corpus(tokenizer, source, out, threads=1, **{"shard_bytes": 1500, **options})


def test_finished_texts_are_not_encoded_again(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_corpus(tokenizer, corpus, tmp_path / "whole", shard_bytes=1500)
    interrupted(tokenizer, corpus, tmp_path / "out", after=20)
    done = sum(
        shard["bytes"] for shard in json.loads((tmp_path / "out.partial" / "progress.json").read_text())["shards"]
    )
    encoded = 0
    plain = encoding._Encoding.encode

    def count(self: Any, batch: Any) -> Any:
        nonlocal encoded
        encoded += sum(map(len, batch.parts))
        return plain(self, batch)

    monkeypatch.setattr(encoding._Encoding, "encode", count)
    result = encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)
    assert done > 20_000
    assert encoded == result.bytes - done


def test_killed_before_the_folder_takes_its_name(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_corpus(tokenizer, corpus, tmp_path / "whole", shard_bytes=1500)

    def die(*_: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr("bbpe.bulk.shards.take_name", die)
        with pytest.raises(Died):
            encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)
    result = encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)
    assert result.shards == result.shards_kept
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_killed_after_the_folder_took_its_name(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left beside the finished folder is in nobody's way, and gone after the next run."""

    def die(*arguments: Any) -> None:
        take_name(*arguments)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr("bbpe.bulk.shards.take_name", die)
        with pytest.raises(Died):
            encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)
    encode_corpus(tokenizer, corpus, tmp_path / "whole", shard_bytes=1500)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    with pytest.raises(OutputError, match="exists already"):
        encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)
    (tmp_path / "out").rename(tmp_path / "moved")
    assert encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500).shards_kept == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / "out.partial").exists()


def test_standard_input_is_gone_on_with(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """What it gave before is passed over, and its hash compared."""
    text = b"".join(line + b"\n" for line in (TINY / "train" / "zh.txt").read_bytes().splitlines())
    script = f"""
import sys
from bbpe.bulk import cutting, encoding, encode_corpus
from bbpe.bulk.shards import ShardFolder
from bbpe.io import load
encoding.BLOCK_BYTES = cutting.BLOCK_BYTES = 700
plain, left = ShardFolder.write, int(sys.argv[2])
def write(self, *arguments):
    global left
    left -= 1
    if not left:
        raise SystemExit(3)
    plain(self, *arguments)
ShardFolder.write = write
from pathlib import Path
encode_corpus(load({str(tmp_path / "tok")!r}), [Path("-")], sys.argv[1], shard_bytes=1500, lines=True, threads=1)
"""
    save(tokenizer, tmp_path / "tok")

    def run(out: str, left: int, data: bytes) -> tuple[int, str]:
        command = [sys.executable, "-c", script, str(tmp_path / out), str(left)]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        return done.returncode, done.stderr.decode()

    assert run("whole", -1, text)[0] == 0
    assert run("out", 6, text)[0] == 3
    code, words = run("out", -1, b"X" + text[1:])
    assert (code, "-: has changed since its encoding was begun" in words) == (1, True)
    assert run("out", -1, text)[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("seed", range(2))
def test_kill_9_at_random_moments(seed: int, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The command line, killed at random moments until it gets to its end by itself."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for path in (TINY / "train").iterdir():
        (corpus / path.name).write_bytes(path.read_bytes() * 60)
    save(tokenizer, tmp_path / "tok")
    command = [sys.executable, "-c", "from bbpe.cli import main; main()", "encode", "corpus", "-t", "tok", "-q"]
    command += ["--shard-size", "150k", *(["--lines"] if seed else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = time.monotonic()
    subprocess.run([*command, "-o", "whole"], check=True, cwd=tmp_path, env=environment, capture_output=True)
    seconds = time.monotonic() - begun
    rng = random.Random(seed)
    seen: dict[str, tuple[int, int]] = {}
    for _ in range(4):
        process = subprocess.Popen(
            [*command, "-o", "out"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.3, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        whole = (tmp_path / "out").exists()
        folder = tmp_path / ("out" if whole else "out.partial/shards")
        if folder.exists():
            recorded = folder / MANIFEST if whole else folder.parent / "progress.json"
            names = [s["file"] for s in json.loads(recorded.read_text())["shards"]] if recorded.exists() else []
            now = {name: ((folder / name).stat().st_ino, (folder / name).stat().st_mtime_ns) for name in names}
            assert seen.items() <= now.items(), "a finished shard was written again"
            seen = now
        if whole:
            break
    if not (tmp_path / "out").exists():
        done = subprocess.run([*command, "-o", "out"], cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        for name, facts in seen.items():
            status = (tmp_path / "out" / name).stat()
            assert (status.st_ino, status.st_mtime_ns) == facts
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


# --- what is refused --------------------------------------------------------------------------------------------------


def test_another_job_is_refused(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    interrupted(tokenizer, corpus, out)
    with pytest.raises(CorpusError, match="out: its encoding is not finished"):
        decode_ids(tokenizer, out, io.BytesIO())
    before = contents(tmp_path / "out.partial" / "shards")
    other = train(TINY / "train", 1100, special_tokens=[END])
    with pytest.raises(
        OutputError, match=r"out: what is finished of it in .*out\.partial was begun with another tokenizer"
    ):
        encode_corpus(other, corpus, out, shard_bytes=1500)
    for options, what in (
        ({"shard_bytes": 1501}, "shard_bytes"),
        ({"format": "bin"}, "format"),
        ({"dtype": "uint32"}, "dtype"),
        ({"end_of_text": END}, "end_of_text"),
        ({"allowed_special": "all"}, "allowed_special"),
        ({"lines": True}, "lines"),
        ({"strict": True}, "strict"),
        ({"text_field": "t"}, "text_field"),
    ):
        with pytest.raises(OutputError, match=f"was begun with another {what} "):
            encode_corpus(tokenizer, corpus, out, **{"shard_bytes": 1500, **options})  # type: ignore[arg-type]
    assert contents(tmp_path / "out.partial" / "shards") == before
    encode_corpus(other, corpus, out, shard_bytes=1500, force=True)
    encode_corpus(other, corpus, tmp_path / "fresh", shard_bytes=1500)
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_changed_corpus_is_refused(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    """Where finished shards are of it: a file that was passed by its size or time, the one they end in by its hash."""
    copy = tmp_path / "corpus"
    copy.mkdir()
    for path in corpus.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "out"
    interrupted(tokenizer, copy, out, after=8)
    place = json.loads((tmp_path / "out.partial" / "progress.json").read_text())["place"]
    assert place["stream"] == 1  # in b.jsonl
    first, second = copy / "a.txt", copy / "b.jsonl"
    times = os.stat(first)
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns + 10**9))
    with pytest.raises(OutputError, match=r"another corpus \(.*a\.txt is not .*a\.txt as it was\)"):
        encode_corpus(tokenizer, copy, out, shard_bytes=1500)
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(OutputError, match="another corpus"):
        encode_corpus(tokenizer, [second, first], out, shard_bytes=1500)
    data, times = second.read_bytes(), os.stat(second)
    second.write_bytes(data.replace(b"a", b"b", 1))
    os.utime(second, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(OutputError, match=r"b\.jsonl: has changed since its encoding was begun"):
        encode_corpus(tokenizer, copy, out, shard_bytes=1500)
    second.write_bytes(data[:500])
    with pytest.raises((CorpusError, OutputError), match=r"b\.jsonl"):
        encode_corpus(tokenizer, copy, out, shard_bytes=1500)
    second.write_bytes(data)
    (copy / "f.txt").write_text("what no finished shard is of may change")
    encode_corpus(tokenizer, copy, out, shard_bytes=1500)
    encode_corpus(tokenizer, copy, tmp_path / "fresh", shard_bytes=1500)
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_broken_file_is_repaired_and_the_rest_goes_on(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "corpus"
    copy.mkdir()
    for path in corpus.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    good = (copy / "d.txt.gz").read_bytes()
    (copy / "d.txt.gz").write_bytes(good[:-20])
    with pytest.raises(CorpusError, match=r"d\.txt\.gz: truncated"):
        encode_corpus(tokenizer, copy, tmp_path / "out", shard_bytes=1500)
    (copy / "d.txt.gz").write_bytes(good)
    assert encode_corpus(tokenizer, copy, tmp_path / "out", shard_bytes=1500).shards_kept > 3
    encode_corpus(tokenizer, corpus, tmp_path / "fresh", shard_bytes=1500)
    assert shard_bytes_of(tmp_path / "out") == shard_bytes_of(tmp_path / "fresh")


def shard_bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if name != MANIFEST}


def test_nothing_is_left_where_no_shard_was_finished(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text"\n')
    with pytest.raises(CorpusError, match="not valid JSON"):
        encode_corpus(tokenizer, tmp_path / "a.jsonl", tmp_path / "out", shard_bytes=1000)
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(CorpusError, match="no text in it"):
        encode_corpus(tokenizer, tmp_path / "a.jsonl", tmp_path / "out", shard_bytes=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_an_iterable_begins_anew(tokenizer: Tokenizer, tmp_path: Path) -> None:
    documents = (TINY / "train" / "zh.txt").read_text("utf-8").splitlines()
    interrupted(tokenizer, documents, tmp_path / "out")
    result = encode_corpus(tokenizer, documents, tmp_path / "out", shard_bytes=1500)
    assert result.shards_kept == 0
    encode_corpus(tokenizer, documents, tmp_path / "fresh", shard_bytes=1500)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_what_stands_there_is_not_lost(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encode_corpus(tokenizer, corpus, out, shard_bytes=1500)
    before = contents(out)
    with pytest.raises(OutputError, match="out: exists already"):
        encode_corpus(tokenizer, corpus, out, shard_bytes=1500)
    interrupted(tokenizer, corpus, out, shard_bytes=700, force=True)
    assert contents(out) == before  # whole until the new one is
    encode_corpus(tokenizer, corpus, out, shard_bytes=700, force=True)
    assert contents(out) != before
    assert not (tmp_path / "out.partial").exists()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"holds other files \(mine\.txt\)"):
        encode_corpus(tokenizer, corpus, out, shard_bytes=700, force=True)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "shard-00000.npy").write_text("not ours: no manifest beside it")
    with pytest.raises(OutputError, match="holds other files"):
        encode_corpus(tokenizer, corpus, tmp_path / "text", shard_bytes=700, force=True)


@pytest.mark.parametrize("name", ["job.json", "progress.json", "shard-00001.npy"])
def test_damage_is_an_error(tokenizer: Tokenizer, corpus: Path, tmp_path: Path, name: str) -> None:
    interrupted(tokenizer, corpus, tmp_path / "out", after=20)
    path = tmp_path / "out.partial" / ("shards" if name.startswith("shard") else "") / name
    for damaged in (b"", b"{}", path.read_bytes()[:-10]):
        path.write_bytes(damaged)
        with pytest.raises(OutputError, match=r"damaged|is not what was written there|was begun with another"):
            encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_two_at_once(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    asked = 0

    def second(_: Progress) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            with pytest.raises(OutputError, match="another process is writing there"):
                encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)

    encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500, progress=second)
    assert asked
    assert read_manifest(tmp_path / "out")[1]


def test_a_full_disk_costs_nothing_that_was_finished(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = IdWriter.write
    left = 20

    def write(self: IdWriter, texts: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(self, texts)

    with monkeypatch.context() as patch:
        patch.setattr(IdWriter, "write", write)
        with pytest.raises(OutputError, match=r"out: cannot be written: no space left .*out\.partial keeps what is"):
            encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500)
        left = 0
        with pytest.raises(OutputError, match=r"new: cannot be written: no space left .*; nothing was left there"):
            encode_corpus(tokenizer, corpus, tmp_path / "new", shard_bytes=1500)
    assert encode_corpus(tokenizer, corpus, tmp_path / "out", shard_bytes=1500).shards_kept > 0
    assert not (tmp_path / "new.partial").exists()


def test_options_of_shards(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="shards cannot be written to a stream"):
        encode_corpus(tokenizer, ["a"], io.BytesIO(), shard_bytes=10)
    with pytest.raises(FormatError, match=r"ids\.npy: shards are a folder"):
        encode_corpus(tokenizer, ["a"], tmp_path / "ids.npy", shard_bytes=10)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="shard_bytes is a positive integer"):
            encode_corpus(tokenizer, ["a"], tmp_path / "ids", shard_bytes=wrong)  # type: ignore[arg-type]
    with pytest.raises(OutputError, match=r"the folder .*no does not exist"):
        encode_corpus(tokenizer, ["a"], tmp_path / "no" / "ids", shard_bytes=10)
    assert list(tmp_path.iterdir()) == []


def test_shards_are_decoded_by_the_tokenizer_that_made_them(tokenizer: Tokenizer, tmp_path: Path) -> None:
    encode_corpus(tokenizer, ["some text", "中文"], tmp_path / "out", shard_bytes=4)
    other = train(TINY / "train", 1100, special_tokens=[END])
    with pytest.raises(EncodeError, match="out: encoded with another tokenizer"):
        decode_ids(other, tmp_path / "out", io.BytesIO())
    (tmp_path / "out" / "shard-00001.npy").unlink()
    with pytest.raises(CorpusError, match=r"shard-00001\.npy: missing"):
        decode_ids(tokenizer, tmp_path / "out", io.BytesIO())
    for wrong in (b"", b"{}", b"[1]", b'{"format": "bbpe-shards", "format_version": 1, "shards": [{"file": "../x"}]}'):
        (tmp_path / "out" / MANIFEST).write_bytes(wrong)
        with pytest.raises(CorpusError, match=r"manifest\.json: is damaged"):
            decode_ids(tokenizer, tmp_path / "out", io.BytesIO())
    (tmp_path / "out" / MANIFEST).unlink()
    with pytest.raises(CorpusError, match=r"no manifest\.json in it"):
        decode_ids(tokenizer, tmp_path / "out", io.BytesIO())


def test_the_hash_of_a_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The same for the same encoder however it came; another one for whatever changes ids."""
    save(tokenizer, tmp_path / "tok")
    known = tokenizer_sha256(tokenizer)
    for path in (tmp_path / "tok", tmp_path / "tok" / "tokenizer.json"):
        loaded = load(path)
        assert isinstance(loaded, Tokenizer)
        assert tokenizer_sha256(loaded) == known
    vocabulary = tokenizer.vocabulary
    assert vocabulary.merges is not None
    swapped = [*vocabulary.merges]
    swapped[3], swapped[4] = swapped[4], swapped[3]
    for changes in (
        {"merges": swapped},
        {"normalizer": "NFC"},
        {"whole_pretoken": True},
        {"special_tokens": [SpecialToken(END, 1199, lstrip=True)]},
        {"special_tokens": []},
    ):
        changed: dict[str, Any] = changes  # type: ignore[assignment]
        assert tokenizer_sha256(Tokenizer(vocabulary.replace(**changed))) != known
    assert tokenizer_sha256(Tokenizer(vocabulary.replace(name="another name"))) == known
