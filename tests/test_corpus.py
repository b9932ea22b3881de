"""Every kind of source, every compression, every way in which a source can be wrong."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbpe._count import PADDING, utf8_block
from bbpe.corpus import Corpus, Source, open_corpus
from bbpe.errors import CorpusError, MissingExtraError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}
TEXT = "第一行，有标点。\nsecond line\r\n\n  indented 4\n".encode() * 50


def read(source: object, **options: object) -> list[bytes]:
    return list(open_corpus(source, **options).documents())  # type: ignore[arg-type]


def refusal(source: object, **options: object) -> str:
    with pytest.raises(CorpusError) as caught:
        read(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name, data in {
        "b.txt": b"b",
        "a.txt.gz": gzip.compress(b"a"),
        "sub/c.jsonl": b'{"text": "c1"}\n{"text": "c2"}\n',
        "sub/deep/d.txt": b"d",
        "notes.md": b"not read",
        "x.bin": b"\0not read",
        ".hidden/e.txt": b"not read",
        ".f.txt": b"not read",
    }.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


# --- finding ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_read_recursively_in_sorted_order_by_known_suffixes(folder: Path) -> None:
    assert read(folder) == [b"a", b"b", b"c1", b"c2", b"d"]
    assert read(str(folder)) == [b"a", b"b", b"c1", b"c2", b"d"]


def test_a_pattern_names_files_of_any_suffix(folder: Path) -> None:
    assert read(folder / "*.md") == [b"not read"]
    assert read(str(folder / "**" / "*.txt")) == [b"b", b"d"]


def test_several_paths_are_read_in_the_order_given(folder: Path) -> None:
    assert read([folder / "sub", folder / "b.txt"]) == [b"c1", b"c2", b"d", b"b"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "[a]*.txt").write_bytes(b"itself")
    (tmp_path / "a.txt").write_bytes(b"other")
    assert read(tmp_path / "[a]*.txt") == [b"itself"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(TEXT)
    for lines in (False, True):
        with open(tmp_path / "in", "rb") as file:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
            corpus = open_corpus("-", lines=lines)
            assert corpus.total_bytes is None
            assert list(corpus.documents()) == (TEXT.replace(b"\r", b"").split(b"\n")[:-1] if lines else [TEXT])
            assert corpus.sources == (Source("-", len(TEXT), hashlib.sha256(TEXT).hexdigest()),)


def test_an_iterable_of_str_and_bytes_is_one_document_an_item() -> None:
    assert read(["héllo", b"\xff", "", "中"]) == ["héllo".encode(), b"\xff", b"", "中".encode()]
    assert read(item for item in ["x", "y"]) == [b"x", b"y"]


def test_long_items_come_whole_though_they_are_read_in_blocks() -> None:
    items = ["短", "长" * 5000, b"b" * 7000, "x", "y" * 4999 + "中"]
    wanted = [item if isinstance(item, bytes) else item.encode() for item in items]
    for block_bytes in (1, 2, 3, 100, 4096):
        assert read(items, block_bytes=block_bytes) == wanted


def test_items_are_asked_for_as_they_are_needed() -> None:
    taken = 0

    def items() -> Iterator[str]:
        nonlocal taken
        while taken < 10_000:
            taken += 1
            yield "x" * 1000

    blocks = iter(open_corpus(items(), block_bytes=10_000).streams[0])
    next(blocks)
    assert taken < 100


@pytest.mark.parametrize("source", [b"bytes", 7, None, {"a": 1}, 1.5])
def test_what_is_no_source_is_a_type_error(source: object) -> None:
    with pytest.raises(TypeError):
        open_corpus(source)  # type: ignore[arg-type]


def test_what_is_no_document_is_a_type_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="document 1 of the source is int"):
        read(["a", 1])
    (tmp_path / "a.txt").write_bytes(b"a")
    with pytest.raises(TypeError, match="stands among paths"):
        open_corpus([tmp_path / "a.txt", b"text"])


# --- formats and compressions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
def test_text_and_its_lines_in_every_compression(compression: str, block_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{compression}"
    on_disk = COMPRESS[compression](TEXT)
    path.write_bytes(on_disk)
    corpus = open_corpus(path, block_bytes=block_bytes)
    assert corpus.total_bytes == len(on_disk)
    assert list(corpus.documents()) == [TEXT]
    assert corpus.sources == (Source(str(path), len(on_disk), hashlib.sha256(on_disk).hexdigest()),)
    assert corpus.bytes_read == len(on_disk)
    assert read(path, lines=True, block_bytes=block_bytes) == [
        line.removesuffix(b"\r") for line in TEXT.split(b"\n")[:-1]
    ]


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".JSONL"])
def test_json_lines_in_every_compression(suffix: str, compression: str, tmp_path: Path) -> None:
    texts = ["中文\n两行", "", 'a "quoted" \\ word', "😀", "x" * 3000]
    path = tmp_path / f"a{suffix}{compression}"
    path.write_bytes(COMPRESS[compression]("".join(json.dumps({"body": text}) + "\n" for text in texts).encode()))
    for block_bytes in (3, 1 << 20):
        assert read(path, text_field="body", block_bytes=block_bytes) == [text.encode() for text in texts]


@pytest.mark.parametrize("compression", COMPRESS)
def test_parquet_in_every_compression(compression: str, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    texts = ["中文", "", "b" * 5000, "x"] * 700
    for kind in (arrow.string(), arrow.large_string(), arrow.dictionary(arrow.int32(), arrow.string())):
        table = arrow.table({"id": list(range(len(texts))), "body": arrow.array(texts, type=kind)})
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(table, buffer, row_group_size=1000)
        on_disk = COMPRESS[compression](buffer.getvalue())
        path = tmp_path / f"a.parquet{compression}"
        path.write_bytes(on_disk)
        for block_bytes in (100, 1 << 20):
            corpus = open_corpus(path, text_field="body", block_bytes=block_bytes)
            assert list(corpus.documents()) == [text.encode() for text in texts]
            assert corpus.sources == (Source(str(path), len(on_disk), hashlib.sha256(on_disk).hexdigest()),)


def test_several_compressed_streams_in_one_file_are_read_to_the_last(tmp_path: Path) -> None:
    for compression, compress in COMPRESS.items():
        path = tmp_path / f"a.txt{compression}"
        path.write_bytes(compress(b"one ") + compress(b"") + compress(b"two"))
        assert read(path) == [b"one two"]
    (tmp_path / "padded.txt.gz").write_bytes(gzip.compress(b"text") + bytes(512))
    assert read(tmp_path / "padded.txt.gz") == [b"text"]


def test_zstandard_with_a_window_larger_than_the_usual_limit(tmp_path: Path) -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 28})
    data = compressor.compress(b"one ", mode=compressor.FLUSH_BLOCK) + compressor.compress(b"two") + compressor.flush()
    (tmp_path / "a.txt.zst").write_bytes(data)
    assert read(tmp_path / "a.txt.zst") == [b"one two"]


def test_a_file_that_unpacks_to_far_more_comes_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for compression, compress in COMPRESS.items():
        packed = path.with_suffix(f".txt{compression}")
        packed.write_bytes(compress(b"a" * 1_000_000))
        sizes = [len(block.data) for block in open_corpus(packed, block_bytes=10_000).streams[0]]
        assert sum(sizes) == 1_000_000
        assert max(sizes) <= 10_000


@settings(deadline=None)
@given(st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"\r\n")), st.integers(1, 45))
def test_lines_are_those_of_split_wherever_blocks_end(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int
) -> None:
    # The sniffer would refuse most of these: they come in as standard text only after a long plain beginning.
    head = b"plain text\n" * 6000
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(head + data)
    lines = (head + data).split(b"\n")
    last = lines.pop()
    wanted = [line.removesuffix(b"\r") for line in lines] + ([last] if last else [])
    assert read(path, lines=True, block_bytes=size + 60_000) == wanted


@pytest.mark.parametrize("size", range(1, 14))
def test_line_ends_are_found_across_the_edges_of_blocks(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\r\n\r\nbcdefghij\r\rk\r\n\nlast\r")
    assert read(path, lines=True, block_bytes=size) == [b"a", b"", b"bcdefghij\r\rk", b"", b"last\r"]
    path.write_bytes(b"\na\r\nb\n\nc\r")  # an empty line first in a block that ends with a return
    assert read(path, lines=True, block_bytes=size) == [b"", b"a", b"b", b"", b"c\r"]


def field_text(line: bytes) -> bytes | None:
    """What Python's parser makes of a line; ``None`` for an error."""
    try:
        return json.loads(line.decode())["text"].encode()  # type: ignore[no-any-return]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "b", "é", 't"']), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(st.sampled_from(["text", "tex", "", "é", "a b"]), VALUES),
    st.text(max_size=12),
    st.booleans(),
    st.sampled_from([None, (",", ":"), (" , ", "\t:\r ")]),
    st.integers(0, 60),
    st.sampled_from(b'"\\{}[],:0e-.+ntu/ \x01\x7f\xc3'),
)
def test_json_is_read_as_python_reads_it(
    tmp_path_factory: pytest.TempPathFactory,
    record: dict[str, object],
    text: str,
    ascii_only: bool,
    separators: tuple[str, str] | None,
    place: int,
    damage: int,
) -> None:
    """Of a valid line, and of the same line with one byte replaced, the native parser and Python's say the same."""
    path = tmp_path_factory.getbasetemp() / "a.jsonl"
    line = json.dumps({**record, "text": text}, ensure_ascii=ascii_only, separators=separators).encode()
    damaged = bytearray(line)
    damaged[place % len(line)] = damage
    for candidate in (line, bytes(damaged)):
        try:
            candidate.decode()
        except UnicodeDecodeError:
            continue
        path.write_bytes(b'{"text": "before"}\n' + candidate + b'\n{"text": "after"}')
        wanted = field_text(candidate)
        if wanted is None:
            with pytest.raises(CorpusError, match=r"a\.jsonl:2: "):
                read(path)
        else:
            assert read(path) == [b"before", wanted, b"after"]


@pytest.mark.parametrize("block_bytes", [1, 10, 1 << 20])
def test_unusual_json_between_plain_lines(block_bytes: int, tmp_path: Path) -> None:
    lines = [
        b'{"text": "a", "n": NaN}',
        b'{"te\\u0078t": "b"}',
        b'{"text": 1, "text": "c"}',
        b'{"text": "old", "text": "d"}',
        b'{"n": ' + b"[" * 200 + b"]" * 200 + b', "text": "e"}',
        b'{"n": ' + b"9" * 1000 + b', "text": "f"}',
        b'{"text": "\\ud83d\\ude00\\u4e2d\\u00e9\\n\\"\\\\\\/\\b\\f\\r\\t"}',
    ]
    wanted = [b"a", b"b", b"c", b"d", b"e", b"f", '😀中é\n"\\/\b\f\r\t'.encode()]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\n{"text": "plain"}\n'.join(lines))
    documents = read(path, block_bytes=block_bytes)
    assert documents[::2] == wanted
    assert set(documents[1::2]) == {b"plain"}


def test_blank_lines_and_a_byte_order_mark_are_no_json_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('\ufeff{"text": "a"}\n\n  \r\n{"text": "b", "text": "c"}'.encode())
    assert read(path) == [b"a", b"c"]


def test_broken_utf8_is_kept_byte_for_byte(tmp_path: Path) -> None:
    broken = b"ok \xff\xfe \xe4\xb8 \xed\xa0\x80 ok"
    (tmp_path / "a.txt").write_bytes(broken)
    assert read(tmp_path / "a.txt") == [broken]
    assert read(tmp_path / "a.txt", lines=True) == [broken]
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "' + broken + b'\\u4e2d"}\n')
    assert read(tmp_path / "a.jsonl") == [broken + "中".encode()]
    assert read([broken]) == [broken]


# --- bad input: one clear line each -----------------------------------------------------------------------------------


def test_no_such_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing.txt") == f"{tmp_path / 'missing.txt'}: no such file; check the path"
    assert "missing.txt: no such file; to learn from this string itself pass it in a list: [text]" in refusal(
        "missing.txt"
    )
    assert "pass it in a list: [text]" in refusal("a text of\ntwo lines")
    assert "pass it in a list: [text]" in refusal("")
    assert "no file matches this pattern" in refusal(tmp_path / "*.txt")


def test_a_folder_without_files_to_read(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"a")
    assert "no files to read in this folder; it needs .txt .jsonl" in refusal(tmp_path)


def test_strings_that_name_files_may_mean_either(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    assert "pass Path objects" in refusal([str(tmp_path / "a.txt")])
    assert read([str(tmp_path / "a.txt").encode()]) == [str(tmp_path / "a.txt").encode()]


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "a.txt").chmod(0)
    assert "cannot be read: Permission denied" in refusal(tmp_path / "a.txt")


def test_a_file_that_fails_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    (tmp_path / "a.txt").write_bytes(b"a")
    monkeypatch.setattr("bbpe.corpus._open_binary", lambda path: Failing())
    assert f"{tmp_path / 'a.txt'}: cannot be read: Input/output error" in refusal(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.txt.gz", "a.parquet"])
def test_an_empty_corpus(name: str, tmp_path: Path) -> None:
    if name.endswith(".parquet"):
        arrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        pyarrow.parquet.write_table(arrow.table({"text": arrow.array([], type=arrow.string())}), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"")
    assert "no text in it" in refusal(tmp_path / name)
    assert "no text in it" in refusal(tmp_path)


def test_an_empty_iterable() -> None:
    assert "yielded no text" in refusal([])
    assert "yielded no text" in refusal(iter(["", b""]))


def test_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"some text\0more")
    assert "binary, not text: byte 0x00 at offset 9" in refusal(path)
    path.write_bytes(b"abc\x02\x03\x01xyz")
    assert "byte 0x02 at offset 3" in refusal(path)
    path.write_bytes("中文 text".encode("utf-16"))
    assert "UTF-16" in refusal(path)
    for compression, word in {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}.items():
        path.write_bytes(COMPRESS[compression](os.urandom(1000)))
        assert f"name the file with {compression}" in refusal(path), word
    path.write_bytes(b"\x1b[1mbold\x1b[0m\f\v ok")  # a terminal's colours are text
    assert read(path) == [b"\x1b[1mbold\x1b[0m\f\v ok"]
    for block_bytes in (1, 3):
        path.write_bytes(b"some text\0more")
        assert "offset 9" in refusal(path, block_bytes=block_bytes)


@pytest.mark.parametrize("compression", [".gz", ".bz2", ".xz", ".zst"])
def test_truncated_and_corrupt_compressed_files(compression: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{compression}"
    whole = COMPRESS[compression](os.urandom(2000).hex().encode())
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        message = refusal(path)
        assert f"{path}: truncated: the file ends at byte {length}" in message
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:])
    assert "corrupt" in refusal(path) or "truncated" in refusal(path)
    path.write_bytes(b"this is plain text, whatever its name says")
    assert "corrupt" in refusal(path)
    path.write_bytes(whole + b"garbage")
    assert "corrupt" in refusal(path) or "truncated" in refusal(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "unfinished', "a.jsonl:3: not valid JSON: Unterminated string starting at (column 10)"),
        (b"{'text': 1}", "a.jsonl:3: not valid JSON"),
        (b"[1, 2]", "a.jsonl:3: JSON an array, not an object"),
        (b'"text"', "a.jsonl:3: JSON a string, not an object"),
        (b"null", "a.jsonl:3: JSON null, not an object"),
        (
            b'{"body": "x", "id": 1}',
            "a.jsonl:3: no field 'text'; this line has 'body', 'id'; choose one with text_field",
        ),
        (b"{}", "a.jsonl:3: no field 'text'; this line has none"),
        (b'{"text": 5}', "a.jsonl:3: field 'text' is a number, not a string"),
        (b'{"text": null}', "a.jsonl:3: field 'text' is null, not a string"),
        (b'{"text": ["x"]}', "a.jsonl:3: field 'text' is an array, not a string"),
        (b'{"text": "a\\ud800b"}', "a.jsonl:3: field 'text': lone surrogate U+D800 at character 1"),
        (b'{"text": "\xff \\udcff"}', "a.jsonl:3: field 'text': lone surrogate U+DCFF at character 2"),
        (b"[" * 100_000, "a.jsonl:3: JSON nested too deeply"),
        (b'{"text": "x"} {"text": "y"}', "a.jsonl:3: not valid JSON: Extra data"),
        (b'{"n": ' + b"9" * 5000 + b"}", "a.jsonl:3: "),
    ],
)
def test_a_broken_json_line_is_named(line: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "fine"}\n\n' + line + b'\n{"text": "fine"}\n')
    assert message in refusal(path)


def test_parquet_that_cannot_be_read(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    table = arrow.table({"id": [1, 2, 3], "body": ["x", None, "y"], "raw": [b"\xff", b"", b""]})
    pyarrow.parquet.write_table(table, path)
    assert "no column 'text'; this file has 'id', 'body', 'raw'; choose one with text_field" in refusal(path)
    assert "column 'id' is of type int64, not string" in refusal(path, text_field="id")
    assert "row 1: column 'body' is null" in refusal(path, text_field="body")
    path.write_bytes(path.read_bytes()[:100])
    assert "corrupt or truncated Parquet" in refusal(path)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bbpe\[parquet\]'"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 4, 1 << 20])
def test_strict_refuses_invalid_utf8_with_its_place(block_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    options = {"strict": True, "block_bytes": block_bytes}
    for data, offset in [(b"abc \xff", 4), ("中".encode() + b"\xe4\xb8", 3), (b"\xed\xa0\x80", 0), (b"a\xc0\x80", 1)]:
        path.write_bytes(data)
        assert f"{path}: invalid UTF-8 at byte offset {offset}" in refusal(path, **options)
        assert f"document 1: invalid UTF-8 at byte offset {offset}" in refusal(["fine", data], **options)
    path.write_bytes(TEXT)
    assert read(path, **options) == [TEXT]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "\xff"}')
    assert f"{path}: invalid UTF-8 at byte offset 10" in refusal(path, **options)


def test_strict_parquet_names_the_row(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    # Two halves of one character in neighbouring rows are valid only together.
    halves = arrow.array([b"ok", b"\xe4\xb8", b"\xad"]).view(arrow.string())
    pyarrow.parquet.write_table(arrow.table({"text": halves}), tmp_path / "a.parquet")
    assert "row 1: invalid UTF-8 at byte offset 0" in refusal(tmp_path / "a.parquet", strict=True)
    assert read(tmp_path / "a.parquet") == [b"ok", b"\xe4\xb8", b"\xad"]


def test_a_lone_surrogate_in_a_str_is_refused_with_its_place() -> None:
    assert "document 1: lone surrogate U+D800 at character 2" in refusal(["fine", "ab\ud800"])
    assert "document 0: lone surrogate U+DFFF at character 5000" in refusal(["x" * 5000 + "\udfff"], block_bytes=100)


def test_documents_that_end_with_no_files_open(tmp_path: Path) -> None:
    """A corpus that is given up halfway leaves no file open (a ResourceWarning is an error here)."""
    (tmp_path / "a.txt").write_bytes(TEXT)
    corpus: Corpus = open_corpus(tmp_path / "a.txt", block_bytes=10)
    next(iter(corpus.streams[0]))
    corpus.close()
    assert corpus.sources == ()


# ---- many documents in one block ----------------------------------------------------------------------

UNITS = ["a", "é", "ÿ", "Ā", "中", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "😀", "\U0010ffff", "\0"]


@given(st.lists(st.one_of(st.text(), st.text(alphabet=UNITS, max_size=60), st.binary(max_size=30)), max_size=12))
def test_a_block_is_its_documents_in_utf_8(documents: list[str | bytes]) -> None:
    made = utf8_block(documents)
    assert not isinstance(made, int)
    data, ends = made
    encoded = [document.encode() if isinstance(document, str) else document for document in documents]
    assert data == b"".join(encoded) + bytes(PADDING)
    assert ends.tolist() == list(accumulate(map(len, encoded)))


@pytest.mark.parametrize("other", ["a" * 9, "中" * 9, "😀"])
@pytest.mark.parametrize("before", range(10))
def test_a_lone_surrogate_names_its_document(other: str, before: int) -> None:
    bad = other + "中" * before + "\ud83d" + other
    documents = [other] * before + [bad, other]
    assert utf8_block(list(documents)) == before
    assert f"document {before}: lone surrogate U+D83D at character {len(other) + before}" in refusal(documents)
