"""Bulk encoding and decoding: whatever the threads, blocks, formats and cuts, the ids are those of ``encode_bytes``."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbpe.bulk import IdFormat, cutting, decode_ids, decoding, encode_corpus, encoding, id_format, index_path
from bbpe.bulk.cutting import Cutter
from bbpe.errors import CorpusError, EncodeError, FormatError, OutputError
from bbpe.patterns import named_patterns
from bbpe.tokenizer import Tokenizer
from bbpe.training import train
from bbpe.vocabulary import SpecialToken, Vocabulary

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
END = "<|endoftext|>"
FORMATS: tuple[IdFormat, ...] = ("ids", "json", "npy", "bin")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(TINY / "train", 1500, special_tokens=[END])


@pytest.fixture(scope="module")
def documents() -> list[bytes]:
    """Ordinary documents, an empty one, broken UTF-8, a long one."""
    text = (TINY / "eval" / "mixed.txt").read_bytes()
    lines = text.splitlines()[:60]
    return [b"", *lines, b"", b"\xff broken \xe4\xb8", text * 3, b"", "最后".encode(), b""]


def encoded(tokenizer: Tokenizer, documents: list[bytes], format: IdFormat, **options: object) -> tuple[bytes, bytes]:
    """The files that ``encode_corpus`` writes: ids and index."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        encode_corpus(tokenizer, documents, out, format=format, **options)  # type: ignore[arg-type]
        index = index_path(out)
        return out.read_bytes(), index.read_bytes() if index.exists() else b""


@pytest.mark.parametrize("format", FORMATS)
def test_ids_are_those_of_encode_bytes(tokenizer: Tokenizer, documents: list[bytes], format: IdFormat) -> None:
    expected = [tokenizer.encode_bytes(document) for document in documents]
    data, index = encoded(tokenizer, documents, format)
    if format == "ids":
        assert data == b"".join(" ".join(map(str, ids)).encode() + b"\n" for ids in expected)
        return
    if format == "json":
        assert data == b"".join(str(ids).encode() + b"\n" for ids in expected)
        return
    ids = np.load(io.BytesIO(data)) if format == "npy" else np.frombuffer(data, "<u2")
    offsets = np.load(io.BytesIO(index))
    assert ids.dtype == np.uint16
    assert offsets.dtype == np.int64
    assert offsets[0] == 0
    assert offsets[-1] == len(ids)
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == expected


@pytest.mark.parametrize("format", FORMATS)
def test_output_is_the_same_with_any_threads_and_blocks(
    tokenizer: Tokenizer, documents: list[bytes], format: IdFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoded(tokenizer, documents, format, threads=1, end_of_text=END)
    for size in (64, 1000):
        monkeypatch.setattr(encoding, "BLOCK_BYTES", size)
        monkeypatch.setattr(cutting, "BLOCK_BYTES", size)
        for threads in (1, 2, 8):
            assert encoded(tokenizer, documents, format, threads=threads, end_of_text=END) == whole


def test_many_files_of_all_kinds_in_order(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Folders are read in order, JSON lines by their field, and documents never run into one another."""
    (tmp_path / "a.txt").write_text("first 第一\n")
    (tmp_path / "b.jsonl").write_text('{"t": "second"}\n\n{"t": "第三\\n"}\n')
    (tmp_path / "c.txt").write_text("fourth")
    result = encode_corpus(tokenizer, tmp_path, out := io.BytesIO(), text_field="t")
    texts = ["first 第一\n", "second", "第三\n", "fourth"]
    assert out.getvalue().decode().splitlines() == [" ".join(map(str, tokenizer.encode(text))) for text in texts]
    assert result.documents == 4
    assert result.files == ()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("end", [None, END])
def test_decoding_gives_the_documents_back(
    tokenizer: Tokenizer, documents: list[bytes], tmp_path: Path, format: IdFormat, end: str | None
) -> None:
    path = tmp_path / "ids"
    encode_corpus(tokenizer, documents, path, format=format, end_of_text=end)
    result = decode_ids(tokenizer, path, out := io.BytesIO(), format=format, end_of_text=end)
    assert out.getvalue() == b"".join(documents)
    assert result.documents == len(documents)
    decode_ids(tokenizer, path, out := io.BytesIO(), format=format, end_of_text=end, lines=True)
    assert out.getvalue() == b"".join(document + b"\n" for document in documents)


def test_numbers_without_an_index_end_at_end_of_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "ids.bin"
    encode_corpus(tokenizer, ["one", "", "three"], path, end_of_text=END)
    index_path(path).unlink()
    decode_ids(tokenizer, path, out := io.BytesIO(), end_of_text=END, lines=True)
    assert out.getvalue() == b"one\n\nthree\n"


def test_decoding_is_the_same_with_any_blocks(
    tokenizer: Tokenizer, documents: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for format in FORMATS:
        encode_corpus(tokenizer, documents, tmp_path / format, format=format)
        for size in (8, 4096):
            monkeypatch.setattr(decoding._Reader.read, "__defaults__", (size,))
            monkeypatch.setattr(decoding, "BLOCK_BYTES", size)
            decode_ids(tokenizer, tmp_path / format, out := io.BytesIO(), format=format, lines=True)
            assert out.getvalue() == b"".join(document + b"\n" for document in documents), (format, size)


def test_what_to_do_with_invalid_utf8_in_decoded_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "ids"
    encode_corpus(tokenizer, [b"\xe4\xb8", b"\xadx"], path, format="ids")
    decode_ids(tokenizer, path, out := io.BytesIO(), format="ids", errors="replace")
    assert out.getvalue().decode() == "\ufffd\ufffdx"  # the two documents make no character together
    with pytest.raises(EncodeError, match="ids:1: the text is no valid UTF-8"):
        decode_ids(tokenizer, path, io.BytesIO(), format="ids", errors="strict")


# --- cutting a large document -----------------------------------------------------------------------------------------

PATTERNS = sorted(named_patterns())
# Letters, digits, white space of several kinds, contractions, Han, punctuation, marks that compose, invalid bytes.
PIECES = [
    *"aZé中。'’  \n\r\t19!.,/",
    "'s",
    "don't",
    "  ",
    "\r\n",
    "，",
    "がか",
    "한",
    "́",
    "　",
    "x" * 9,
    "中文" * 4,
    "😀",
]


@pytest.fixture(scope="module")
def pattern_tokenizers() -> dict[str, Tokenizer]:
    """Bytes and some merges, for every named pattern; ``NFC`` where a published model has it."""
    merges = [(32, 32), (256, 256), (10, 10), (13, 10), (97, 32), (32, 97), (39, 115), (228, 184), (260, 173), (49, 57)]
    tokens = {i: bytes([i]) for i in range(256)}
    for left, right in merges:
        tokens[len(tokens)] = tokens[left] + tokens[right]
    return {
        name: Tokenizer(
            Vocabulary(
                tokens,
                merges=merges,
                pattern=pattern,
                normalizer="NFC" if name.startswith("qwen") else None,
                special_tokens=[SpecialToken(END, 1000), SpecialToken("<x>", 1001), SpecialToken("x>>", 1002)],
            )
        )
        for name, pattern in named_patterns().items()
    }


@pytest.mark.parametrize("name", PATTERNS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_cut_changes_no_ids(pattern_tokenizers: dict[str, Tokenizer], name: str, data: st.DataObject) -> None:
    """Whatever follows: the ids of both sides are together those of the whole."""
    tokenizer = pattern_tokenizers[name]
    allowed = data.draw(st.sampled_from([(), "all", ("<x>",)]))
    pieces = [*PIECES, b"\xff", b"\xe4\xb8", END, "<x>", "<x>>", "<"]
    words = st.lists(st.sampled_from(pieces), min_size=4, max_size=60).map(
        lambda words: b"".join(word if isinstance(word, bytes) else word.encode() for word in words)
    )
    text, more = data.draw(words), data.draw(words)
    cut = Cutter(tokenizer, allowed).find(text)
    assert 0 <= cut < len(text)
    parts = [tokenizer.encode_bytes(part, allowed_special=allowed) for part in (text[:cut], text[cut:] + more)]
    assert parts[0] + parts[1] == tokenizer.encode_bytes(text + more, allowed_special=allowed)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_look_ahead_at_the_cut_sees_no_end_of_text(pattern_tokenizers: dict[str, Tokenizer], name: str) -> None:
    r"""Before a digit ``\s+(?!\S)`` leaves the last space; at the end of text it takes it: no cut between the two."""
    tokenizer = pattern_tokenizers[name]
    cutter = Cutter(tokenizer, ())
    seed = random.Random(7)
    for _ in range(300):
        text = "".join(seed.choices(" 1a\n", (4, 3, 1, 1), k=60)).encode()
        cut = cutter.find(text)
        parts = tokenizer.encode_bytes(text[:cut]) + tokenizer.encode_bytes(text[cut:])
        assert parts == tokenizer.encode_bytes(text), (text, cut)


@pytest.mark.parametrize("name", PATTERNS)
def test_real_text_is_cut_near_its_end(pattern_tokenizers: dict[str, Tokenizer], name: str) -> None:
    """What makes this fail: a check so careful that large documents are held whole."""
    tokenizer = pattern_tokenizers[name]
    cutter = Cutter(tokenizer, ())
    if not cutter.usable:
        pytest.skip("this pattern has no automaton")
    for file in ("en.txt", "zh.txt"):
        text = (TINY / "eval" / file).read_bytes()
        seed = random.Random(1)
        for _ in range(20):
            end = seed.randrange(2000, len(text))
            assert cutter.find(text[:end]) > end - 500


def test_special_tokens_that_look_around_are_not_cut() -> None:
    tokens = {i: bytes([i]) for i in range(256)}
    special = SpecialToken("<x>", 256, lstrip=True)
    vocabulary = Vocabulary(tokens, merges=[], pattern=named_patterns()["llama3"], special_tokens=[special])
    assert Cutter(Tokenizer(vocabulary), ()).usable
    assert not Cutter(Tokenizer(vocabulary), "all").usable


def test_memory_follows_neither_corpus_nor_document(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """One document of 96 MB: ids alone would take as much, and its text too."""
    text = (TINY / "train" / "zh.txt").read_bytes()
    path = tmp_path / "large.txt"
    path.write_bytes(text * (96_000_000 // len(text)))
    from bbpe.io import save

    save(tokenizer, tmp_path / "tokenizer")
    script = f"""
from pathlib import Path
from bbpe import bulk, io
tokenizer = io.load({str(tmp_path / "tokenizer")!r})
for source in ({str(TINY / "eval" / "zh.txt")!r}, {str(path)!r}):
    bulk.encode_corpus(tokenizer, Path(source), Path({str(tmp_path)!r}) / "out.npy", threads=2, force=True)
    with open("/proc/self/status") as lines:  # the peak of getrusage would begin with that of the parent
        print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after - before < 64_000  # KB


# --- what is refused --------------------------------------------------------------------------------------------------


def test_formats_are_told_by_suffix() -> None:
    assert [id_format(f"x{suffix}") for suffix in (".npy", ".bin", ".JSONL", ".ids")] == ["npy", "bin", "json", "ids"]
    with pytest.raises(FormatError, match=r"x\.pt: which format of ids\? End the name in \.npy"):
        id_format("x.pt")


def test_uint32_where_ids_need_it(tokenizer: Tokenizer, tmp_path: Path) -> None:
    vocabulary = tokenizer.vocabulary.replace(special_tokens=[SpecialToken("<big>", 65536)])
    large = Tokenizer(vocabulary)
    result = encode_corpus(large, ["a<big>"], tmp_path / "a.npy", allowed_special={"<big>"})
    assert result.dtype == "uint32"
    assert np.load(tmp_path / "a.npy").tolist() == [97, 65536]
    with pytest.raises(FormatError, match="ids go up to 65,536, but uint16 holds 65,535"):
        encode_corpus(large, ["a"], tmp_path / "b.npy", dtype="uint16")
    encode_corpus(large, ["a<big>"], out := io.BytesIO(), allowed_special="all")  # ids with a large hole, as text
    assert out.getvalue() == b"97 65536\n"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"format": "npy"}, FormatError, "npy cannot be written to a stream"),
        ({"format": "parquet"}, FormatError, "unknown format of ids 'parquet'"),
        ({"end_of_text": "<eot>"}, EncodeError, r"'<eot>' is no special token of this vocabulary; it has: '<\|endo"),
        ({"allowed_special": {"<eot>"}}, EncodeError, "'<eot>' is no special token"),
        ({"threads": 0}, ValueError, "threads is 0; it is an integer from 1 to 1,024"),
        ({"format": "bin", "dtype": "int8"}, FormatError, "unknown dtype 'int8'"),
    ],
)
def test_options_are_refused_before_anything_is_read(
    tokenizer: Tokenizer, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        encode_corpus(tokenizer, Path("does not exist"), io.BytesIO(), **options)  # type: ignore[arg-type]


def test_a_byte_without_a_token_is_named_with_its_document() -> None:
    tokens = {byte: bytes([byte]) for byte in range(128)}
    tokenizer = Tokenizer(Vocabulary(tokens, merges=[], pattern=named_patterns()["llama3"]))
    with pytest.raises(EncodeError, match=r"iterable: document 1: .*0xE4"):
        encode_corpus(tokenizer, ["fine", "not 中"], io.BytesIO())


def test_nothing_is_left_of_a_failed_run(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("text " * 1000)
    (tmp_path / "worse.jsonl").write_text('{"text": "a"}\n{"text"\n')
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CorpusError, match=r"worse\.jsonl:2: not valid JSON"):
        encode_corpus(tokenizer, [tmp_path / "good.txt", tmp_path / "worse.jsonl"], out / "a.npy")
    assert list(out.iterdir()) == []
    encode_corpus(tokenizer, tmp_path / "good.txt", out / "a.npy")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(before) == ["a.npy", "a.npy.index.npy"]
    with pytest.raises(OutputError, match="exists already"):
        encode_corpus(tokenizer, tmp_path / "good.txt", out / "a.npy")
    with pytest.raises(CorpusError):
        encode_corpus(tokenizer, tmp_path / "worse.jsonl", out / "a.npy", force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("format", "data", "error", "message"),
    [
        ("ids", b"72 x1 3\n", EncodeError, "ids:1: 'x1' is no id"),
        ("ids", b"72\n-1\n", EncodeError, "ids:2: '-1' is no id"),
        ("ids", b"72\n\n99999\n", EncodeError, "ids:3: id 99999 at position 0"),
        ("ids", b"9" * 100, EncodeError, "too large for an id"),
        ("ids", b"1" * 5000 + b"x", EncodeError, "ids:1: "),
        ("json", b"[72]\n[1, true]\n", EncodeError, "ids:2: item 1 is true, not an id"),
        ("json", b"[72\n", EncodeError, "ids:1: not valid JSON"),
        ("json", b'{"ids": [1]}\n', EncodeError, "ids:1: not an array"),
        ("json", b"[" * 100_000, EncodeError, "ids:1: "),
        ("bin", b"abc", CorpusError, "ids: 3 bytes are no whole number of uint16"),
        ("npy", b"not npy", CorpusError, r"ids: no \.npy file"),
        ("npy", b"", CorpusError, r"ids: no \.npy file"),
    ],
)
def test_ids_that_are_none(
    tokenizer: Tokenizer, tmp_path: Path, format: IdFormat, data: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / "ids"
    path.write_bytes(data)
    out = tmp_path / "out.txt"
    with pytest.raises(error, match=message):
        decode_ids(tokenizer, path, out, format=format)
    assert not out.exists()


def test_arrays_that_are_none(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "ids.npy"
    np.save(path, np.zeros((2, 2), np.uint16))
    with pytest.raises(CorpusError, match=r"shape \(2, 2\); expected one dimension"):
        decode_ids(tokenizer, path, io.BytesIO())
    np.save(path, np.arange(9, dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CorpusError, match="truncated: 7 ids of 9"):
        decode_ids(tokenizer, path, io.BytesIO())
    encode_corpus(tokenizer, ["text"], path, force=True)
    np.save(index_path(path), np.array([0, 99]))
    with pytest.raises(CorpusError, match=r"ids\.npy\.index\.npy: not the index of"):
        decode_ids(tokenizer, path, io.BytesIO())
    with pytest.raises(CorpusError, match="gone: no such file"):
        decode_ids(tokenizer, tmp_path / "gone", io.BytesIO(), format="ids")
