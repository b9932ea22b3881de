"""Count files: written and read they are the same counts; what is damaged or does not fit is refused; weights are exact."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bbpe import count_files
from bbpe.checkpoints import Checkpoint
from bbpe.corpus import draw_sample, open_corpus
from bbpe.count_files import check_output, is_count_file, read_counts, read_manifest, write_counts
from bbpe.counts import Counts, add_up, count_pretokens
from bbpe.errors import BbpeError, CorpusError, MissingExtraError, OutputError, PatternError, TrainingError
from bbpe.mixture import Mixture, weighed
from bbpe.patterns import get_pattern
from bbpe.training import train

TINY = Path(__file__).parent.parent / "corpora" / "tiny" / "train"
ODD = [
    b"\t",
    b"\n\n",
    b"\r\n",
    b"\\",
    b"\\t",
    b"\\x41",
    b"#bbpe-counts {}",
    b"\xff\xfe",
    b"\xe4\xb8",
    b"\0",
    "中\u2028文".encode(),
    b" ",
]


@pytest.fixture(scope="module")
def tiny() -> Counts:
    return count_pretokens(TINY, special_tokens=["<|endoftext|>"])


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
def test_what_is_written_is_read_again(suffix: str, tiny: Counts, tmp_path: Path) -> None:
    path = tmp_path / f"tiny{suffix}"
    write_counts(tiny, path)
    assert is_count_file(path)
    read = read_counts(path)
    assert read == tiny
    assert read.pattern.name == "llama3"
    again = tmp_path / f"again{suffix}"
    write_counts(read, again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
@settings(deadline=None, max_examples=60)
@given(
    items=st.dictionaries(
        st.one_of(
            st.binary(min_size=1, max_size=6),
            st.sampled_from(ODD),
            st.lists(st.sampled_from(ODD), min_size=1, max_size=3).map(b"".join),
        ),
        st.integers(1, 2**40),
        min_size=1,
        max_size=30,
    )
)
@example(items={pretoken: number for number, pretoken in enumerate(ODD, 1)})
def test_pretokens_of_any_bytes(suffix: str, items: dict[bytes, int], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    counts = Counts.from_items(items, pattern="gpt2")
    write_counts(counts, path)
    assert read_counts(path) == counts
    assert dict(read_counts(path).items()) == items


@pytest.mark.parametrize("manifest", [True, False])
def test_a_byte_order_mark_is_no_part_of_the_first_pretoken(manifest: bool, tmp_path: Path) -> None:
    counts = Counts.from_items({b"ab": 3, b"b": 2}, pattern="gpt2")
    write_counts(counts, tmp_path / "a.tsv")
    head, rows = (tmp_path / "a.tsv").read_bytes().split(b"\n", 1)
    (tmp_path / "b.tsv").write_bytes(b"\xef\xbb\xbf" + (head + b"\n" if manifest else b"") + rows)
    assert dict(read_counts(tmp_path / "b.tsv", pattern="gpt2").items()) == {b"ab": 3, b"b": 2}


def test_a_tsv_is_text_that_can_be_read(tmp_path: Path) -> None:
    write_counts(Counts.from_items({"中文".encode(): 7, b"a\tb": 2, b"\xff\\": 1}, pattern="gpt2"), tmp_path / "a.tsv")
    head, *lines = (tmp_path / "a.tsv").read_text("utf-8").splitlines()
    assert lines == ["a\\tb\t2", "中文\t7", "\\xff\\\\\t1"]
    manifest = json.loads(head.removeprefix("#bbpe-counts "))
    assert manifest["pattern"]["name"] == "gpt2"
    assert manifest["distinct_pretokens"] == 3


def test_the_manifest_says_how_the_counts_came_about(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xc3\xa9 <s> \xff tokens")
    counts = count_pretokens(
        tmp_path / "a.txt", pattern="qwen2", special_tokens=["<s>"], normalizer="NFC", max_pretoken_bytes=6
    )
    write_counts(counts, tmp_path / "c.parquet")
    manifest = read_manifest(tmp_path / "c.parquet")
    assert manifest is not None
    about = manifest.about
    assert (about.pattern, about.special_tokens, about.normalizer) == (get_pattern("qwen2"), ("<s>",), "NFC")
    assert (about.max_pretoken_bytes, about.pretokens_cut, about.documents) == (6, 1, 1)
    assert (about.bytes, about.characters, about.invalid_bytes) == (15, 14, 1)
    assert about.sources == counts.sources
    assert about.sources[0].bytes == 18
    stored = pq.read_schema(tmp_path / "c.parquet")
    assert [str(stored.field(name).type) for name in stored.names] == ["binary", "int64"]
    assert stored.names == ["pretoken", "count"]


def test_many_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Counts) -> None:
    monkeypatch.setattr(count_files, "_ROWS", 100)
    monkeypatch.setattr(count_files, "_GROUP_BYTES", 500)
    for name in ("a.parquet", "a.tsv"):
        write_counts(tiny, tmp_path / name)
        assert read_counts(tmp_path / name) == tiny
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups > len(tiny) / 101


# --- training from count files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
def test_training_from_count_files_is_training_from_the_text(suffix: str, tmp_path: Path) -> None:
    """The same merges, and the same record to the byte: it names the files that were counted."""
    files = sorted(TINY.iterdir())
    paths = []
    for file in files[1:]:
        paths.append(tmp_path / f"{file.stem}{suffix}")
        write_counts(count_pretokens(file), paths[-1])
    whole = train(files, 900)
    assert whole.training_record is not None
    mixed = train([*paths, files[0]], 900)
    assert mixed.vocabulary == whole.vocabulary
    assert mixed.training_record is not None
    assert {source.path for source in mixed.training_record.sources} == set(map(str, files))
    together = tmp_path / f"all{suffix}"
    write_counts(Mixture.of([files[0], *paths]).count(), together)
    again = train(together, 900)
    assert again.vocabulary == whole.vocabulary
    assert again.training_record is not None
    assert again.training_record.to_json() == whole.training_record.to_json()


def test_pattern_special_tokens_and_cap_come_from_the_count_file(tmp_path: Path) -> None:
    options: dict[str, Any] = {"pattern": "gpt2", "special_tokens": ["<s>"], "max_pretoken_bytes": 8}
    text = ["one two <s> three fourteen"] * 9
    write_counts(count_pretokens(text, **options), tmp_path / "a.tsv")
    assert train(tmp_path / "a.tsv", 270).vocabulary == train(text, 270, **options).vocabulary


@pytest.mark.parametrize(
    "options", [{"pattern": "gpt2"}, {"special_tokens": []}, {"normalizer": "NFC"}, {"max_pretoken_bytes": 9}], ids=str
)
def test_options_that_contradict_a_count_file_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    write_counts(count_pretokens(["text"], pattern="qwen2", special_tokens=["<s>"]), tmp_path / "a.tsv")
    with pytest.raises(TrainingError, match=rf"a\.tsv: was counted with {next(iter(options))}"):
        train(tmp_path / "a.tsv", 280, **options)


def test_count_files_of_different_patterns_are_not_added(tmp_path: Path) -> None:
    for pattern in ("gpt2", "qwen2"):
        write_counts(count_pretokens(["text"], pattern=pattern), tmp_path / f"{pattern}.tsv")
    with pytest.raises(TrainingError, match=r"qwen2\.tsv: counts made with different pattern cannot be added"):
        train([tmp_path / "gpt2.tsv", tmp_path / "qwen2.tsv"], 280)


def test_a_tsv_of_another_program_needs_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_bytes("low\t5\r\n lower\t2\n猫\t3\nlow\t1".encode())
    with pytest.raises(TrainingError, match=r"words\.tsv: does not say which pattern.*--pattern"):
        train(path, 260)
    counts = read_counts(path, pattern="gpt2")
    assert dict(counts.items()) == {b"low": 6, b" lower": 2, "猫".encode(): 3}
    assert train(path, 260, pattern="gpt2").vocabulary == train(counts, 260).vocabulary


def test_parquet_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "words.parquet"
    pq.write_table(pa.table({"count": pa.array([5, 2], pa.int32()), "pretoken": ["low", " lower"]}), path)
    assert is_count_file(path)
    assert dict(read_counts(path, pattern="gpt2").items()) == {b"low": 5, b" lower": 2}
    pq.write_table(pa.table({"text": ["a b"]}), tmp_path / "corpus.parquet")
    assert not is_count_file(tmp_path / "corpus.parquet")


def test_of_a_tsv_of_another_program_the_caller_knows_best(tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("low\t5\n lower\t2\n")
    tok = train(tmp_path / "words.tsv", 262, pattern="gpt2", special_tokens=["<s>"])
    assert tok.special_tokens == {"<s>": 261}


def test_a_count_file_is_never_learned_as_text(tmp_path: Path, tiny: Counts) -> None:
    write_counts(tiny, tmp_path / "a.tsv")
    data = (tmp_path / "a.tsv").read_bytes()
    (tmp_path / "a.txt").write_bytes(data)
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(data))
    for name in ("a.txt", "b.tsv.gz"):
        with pytest.raises(CorpusError, match="a count file, not text"):
            train(tmp_path / name, 300)


# --- what is refused --------------------------------------------------------------------------------------------------

HEAD = b"a\t1\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no tab at all\n", r"a\.tsv:2: 'no tab at all' is not pretoken"),
        (b"a\tb\t3\n", r"a\.tsv:2: 'a\\tb\\t3' is not pretoken"),
        (b"word\tmany\n", r"a\.tsv:2: 'word\\tmany' is not"),
        (b"word\t1.5\n", r"a\.tsv:2"),
        (b"word\t-4\n", r"a\.tsv:2: count -4; it must be from 1"),
        (b"word\t0\n", r"a\.tsv:2: count 0"),
        (b"word\t9223372036854775808\n", r"a\.tsv:2: count 9223372036854775808"),
        (b"word\t" + b"9" * 30 + b"\n", r"a\.tsv:2"),
        (b"\t3\n", r"a\.tsv:2: an empty pretoken"),
        (b"a\\qb\t3\n", r"a\.tsv:2: '\\\\q' is no escape"),
        (b"a\\x4\t3\n", r"a\.tsv:2: '\\\\x' is no escape"),
        (b"a\\\t3\n", r"a\.tsv:2: '\\\\' is no escape"),
        (b"\n", r"a\.tsv:2: '' is not"),
        (b'#bbpe-counts {"format": 1}\n', r"a\.tsv:2: the manifest of another count file"),
        (b"word\t9223372036854775807\n" * 3, "more than can be counted"),
    ],
)
def test_broken_lines(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(HEAD + data)
    with pytest.raises(BbpeError, match=message):
        read_counts(path, pattern="gpt2")


def parquet_of(tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pretoken": [b"a"], "n": [1]}, "no column 'count'"),
        ({"pretoken": [b"a", None], "count": [1, 2]}, "row 1: pretoken is null"),
        ({"pretoken": [b"a", b"b"], "count": [1, None]}, "row 1: count is null"),
        ({"pretoken": [b"a", b"b"], "count": [1, -3]}, "row 1: count -3; it must be at least 1"),
        ({"pretoken": [b"a", b""], "count": [1, 3]}, "row 1: an empty pretoken"),
        ({"pretoken": [b"a"], "count": [1.5]}, "'count' is of type double"),
        ({"pretoken": [1], "count": [1]}, "'pretoken' is of type int64"),
        ({"pretoken": pa.array([], pa.binary()), "count": pa.array([], pa.int64())}, "no pretokens in it"),
        ({"pretoken": [b"abcdefghi", b"b"], "count": [2**62, 2**62]}, "more than can be counted"),
    ],
    ids=str,
)
def test_broken_tables(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BbpeError, match=message):
        read_counts(parquet_of(tmp_path, **columns), pattern="gpt2")


def test_damage_anywhere_is_an_error_or_does_no_harm(tmp_path: Path, tiny: Counts) -> None:
    """A file cut off anywhere, or with a byte that differs: never other counts than were written."""
    for name in ("a.parquet", "a.tsv"):
        whole = tmp_path / name
        write_counts(tiny, whole)
        data = whole.read_bytes()
        damaged = tmp_path / f"damaged-{name}"
        for place in range(0, len(data), max(1, len(data) // 60)):
            damaged.write_bytes(data[:place])
            with pytest.raises(BbpeError):
                read_counts(damaged)
        harmless = 0
        for place in range(3, len(data), max(1, len(data) // 400)):
            damaged.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
            try:
                assert read_counts(damaged) == tiny
                harmless += 1
            except BbpeError:
                pass
        assert harmless < 20  # of 400: fields of Parquet that nobody reads
        assert read_counts(whole) == tiny


def test_a_file_without_check_sums_is_read(tmp_path: Path, tiny: Counts) -> None:
    """As earlier versions wrote it."""
    path = tmp_path / "a.tsv"
    write_counts(tiny, path)
    changed_manifest(path, lambda manifest: manifest.pop("checksums"))
    assert read_counts(path) == tiny


def test_a_tsv_that_lost_or_gained_rows(tmp_path: Path, tiny: Counts) -> None:
    path = tmp_path / "a.tsv"
    write_counts(tiny, path)
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (lines[:-1], [*lines, b"more\t1\n"], [*lines[:5], lines[5].replace(b"\t", b"\t1"), *lines[6:]]):
        path.write_bytes(b"".join(changed))
        with pytest.raises(CorpusError, match=r"a\.tsv: its manifest says .*rows were lost or changed"):
            read_counts(path)


def test_rows_that_were_exchanged(tmp_path: Path, tiny: Counts) -> None:
    """Sums say nothing of it; nor of a letter for another."""
    path = tmp_path / "a.tsv"
    write_counts(tiny, path)
    lines = path.read_bytes().splitlines(keepends=True)
    letter = next(at for at, line in enumerate(lines) if line.startswith(b" the\t"))
    for changed in (
        [lines[0], lines[2], lines[1], *lines[3:]],
        [*lines[:letter], b" tha" + lines[letter][4:], *lines[letter + 1 :]],
    ):
        path.write_bytes(b"".join(changed))
        with pytest.raises(CorpusError, match="some were changed, or stand in another order"):
            read_counts(path)


def changed_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    head, rest = path.read_bytes().split(b"\n", 1)
    manifest = json.loads(head.removeprefix(b"#bbpe-counts "))
    del manifest["crc32"]  # without it a manifest is believed
    change(manifest)
    path.write_bytes(b"#bbpe-counts " + json.dumps(manifest).encode() + b"\n" + rest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(format_version=2), "version 2; this bbpe reads"),
        (lambda manifest: manifest["pattern"].update(stages=[r"\w+"]), "the pattern is not the one"),
        (lambda manifest: manifest.pop("pattern"), "its manifest is damaged"),
        (lambda manifest: manifest.update(documents=-1), "its manifest is damaged"),
        (lambda manifest: manifest.update(bytes="many"), "its manifest is damaged"),
        (lambda manifest: manifest.update(special_tokens=[3]), "its manifest is damaged"),
        (lambda manifest: manifest.update(bytes=manifest["bytes"] + 1), "its manifest says"),
        (lambda manifest: manifest.update(crc32=1), "it is not what its check sum is of"),
        (lambda manifest: manifest.update(checksums=[1, 2]), "its manifest is damaged"),
        (lambda manifest: manifest.update(checksums="abc"), "its manifest is damaged"),
        (lambda manifest: manifest["versions"].update(unicode="3.0.0"), "was counted with Unicode 3.0.0"),
    ],
)
def test_a_manifest_that_does_not_fit(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path, tiny: Counts
) -> None:
    path = tmp_path / "a.tsv"
    write_counts(tiny, path)
    changed_manifest(path, change)
    with pytest.raises((CorpusError, TrainingError), match=message):
        train(path, 300)


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Counts) -> None:
    write_counts(tiny, tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for action in (
        lambda: write_counts(tiny, tmp_path / "b.parquet"),
        lambda: read_counts(tmp_path / "a.parquet"),
        lambda: check_output(tmp_path / "b.parquet"),
        lambda: train(tmp_path / "a.parquet", 300),
    ):
        with pytest.raises(MissingExtraError, match=r"bbpe\[parquet\]"):
            action()
    assert not (tmp_path / "b.parquet").exists()
    write_counts(tiny, tmp_path / "a.tsv")
    assert read_counts(tmp_path / "a.tsv") == tiny
    assert importlib.import_module("bbpe.count_files")


def test_outputs(tmp_path: Path, tiny: Counts) -> None:
    with pytest.raises(OutputError, match=r"a count file is \.parquet or \.tsv"):
        write_counts(tiny, tmp_path / "a.csv")
    write_counts(tiny, tmp_path / "a.tsv")
    with pytest.raises(OutputError, match="exists already"):
        write_counts(tiny, tmp_path / "a.tsv")
    write_counts(tiny, tmp_path / "a.tsv", force=True)
    with pytest.raises(ValueError, match="weighted counts"):
        write_counts(weighed([("a", "1", tiny), ("b", "2", tiny)]), tmp_path / "b.tsv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]


# --- weights ----------------------------------------------------------------------------------------------------------


def sources(tmp_path: Path, *texts: str) -> list[Path]:
    paths = []
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_text(text)
    return paths


def test_shares_are_those_of_the_weights() -> None:
    parts = [
        (file.name, weight, count_pretokens(file)) for file, weight in zip(sorted(TINY.iterdir()), "31111", strict=True)
    ]
    mixed = weighed(parts)
    for (name, weight, counts), used in zip(parts, mixed.weights, strict=True):
        assert (used.path, used.weight, used.bytes) == (name, weight, counts.bytes)
        assert abs(used.multiplier * counts.bytes / mixed.bytes - int(weight) / 7) < 1e-9
    wanted: Counter[bytes] = Counter()
    for (_, _, counts), used in zip(parts, mixed.weights, strict=True):
        for pretoken, count in counts.items():
            wanted[pretoken] += count * used.multiplier
    assert dict(mixed.items()) == wanted
    assert mixed.bytes >> mixed.power == pytest.approx(sum(counts.bytes for _, _, counts in parts), rel=1e-3)


def test_weights_by_size_change_nothing(tmp_path: Path) -> None:
    files = sorted(TINY.iterdir())[:3]
    weights = {str(file): str(count_pretokens(file).bytes) for file in files}
    tok = train(files, 700, weights=weights)
    assert tok.vocabulary == train(files, 700).vocabulary
    assert tok.training_record is not None
    assert tok.training_record.power == 0


def test_a_weight_of_two_is_the_text_twice(tmp_path: Path) -> None:
    """Two sources of the same size, 2 to 1: every count is that of the first twice and the second once, times 2/3."""
    first, second = sources(tmp_path, "ab abc abcd " * 50, "xy xyz xyzw " * 50)
    tok = train([first, second], num_merges=12, min_count=1, weights={str(first): "2", str(second): "1"})
    text = first.read_text()
    assert (
        tok.vocabulary.merges == train([text, text, second.read_text()], num_merges=12, min_count=1).vocabulary.merges
    )
    assert tok.training_record is not None
    one, two = tok.training_record.weights
    assert one.multiplier == 2 * two.multiplier


def test_weights_are_of_count_files_and_texts_alike(tmp_path: Path) -> None:
    zh, en = TINY / "zh.txt", TINY / "en.txt"
    write_counts(count_pretokens(zh), tmp_path / "zh.parquet")
    from_text = train([zh, en], 700, weights={str(zh): "0.25", str(en): "0.75"})
    mixed = train([tmp_path / "zh.parquet", en], 700, weights={str(tmp_path / "zh.parquet"): "1", str(en): "3"})
    assert from_text.vocabulary == mixed.vocabulary
    record = mixed.training_record
    assert record is not None
    assert [weight.multiplier for weight in record.weights] == [
        weight.multiplier
        for weight in from_text.training_record.weights  # type: ignore[union-attr]
    ]
    assert type(record).from_json(record.to_json()) == record
    assert record.bytes == pytest.approx(zh.stat().st_size + en.stat().st_size, rel=1e-3)
    assert record.bytes / record.curve[-1].tokens == pytest.approx(record.curve[-1].bytes_per_token, rel=1e-3)


@settings(deadline=None, max_examples=100)
@given(
    weights=st.lists(st.decimals("0.01", "100", places=3).map(str), min_size=2, max_size=4),
    data=st.data(),
)
def test_pairs_that_tie_in_a_source_tie_afterwards(weights: list[str], data: st.DataObject) -> None:
    """Each count is multiplied by one whole number for its source: nothing is rounded."""
    parts = []
    for number, weight in enumerate(weights):
        items = data.draw(
            st.dictionaries(st.binary(min_size=1, max_size=3), st.integers(1, 50), min_size=1, max_size=6)
        )
        parts.append((str(number), weight, Counts.from_items(items, pattern="gpt2")))
    mixed = weighed(parts)
    everything = dict(mixed.items())
    expected: Counter[bytes] = Counter()
    for (_, _, counts), used in zip(parts, mixed.weights, strict=True):
        for pretoken, count in counts.items():
            expected[pretoken] += count * used.multiplier
    assert everything == expected
    total = sum(Fraction(weight) for weight in weights)
    for (_, weight, counts), used in zip(parts, mixed.weights, strict=True):
        assert abs(Fraction(counts.bytes * used.multiplier, mixed.bytes) - Fraction(weight) / total) < Fraction(1, 500)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": "0"}, "expected a number above 0"),
        ({"a": "-1"}, "expected a number above 0"),
        ({"a": "nan"}, "expected a number above 0"),
        ({"a": "1e5"}, "expected a number above 0"),
        ({"a": "1", "c": "1"}, "a weight for c, which is no source"),
        ({"a": "1"}, "b has no weight"),
        ({"a": "1", "b": "100000000000000000"}, "cannot be told exactly"),
    ],
    ids=str,
)
def test_weights_that_are_none(
    weights: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(name).write_text(f"text of {name}")
    with pytest.raises(TrainingError, match=message):
        train([Path("a"), Path("b")], 260, weights=weights)


def test_min_count_of_weighted_text_is_in_units_of_text(tmp_path: Path) -> None:
    """A pair that occurs 3 times in a source that counts half is below 2."""
    heavy, light = sources(tmp_path, "aa " * 300, "bc " * 3 + "d e " * 223 + " ")
    weights = {str(heavy): "3", str(light): "1"}
    tok = train([heavy, light], num_merges=50, weights=weights)
    assert b"bc" not in tok.vocabulary.tokens.values()
    assert b"bc" in train([heavy, light], num_merges=50).vocabulary.tokens.values()


def test_rare_pretokens_are_left_out_and_the_record_says_so() -> None:
    counts = count_pretokens(TINY)
    kept = {pretoken: count for pretoken, count in counts.items() if count >= 3}
    assert dict(counts.without_rare(3).items()) == kept
    tok = train(TINY, 800, min_pretoken_count=3)
    assert tok.vocabulary.merges == train(Counts.from_items(kept, pattern="llama3"), 800).vocabulary.merges
    assert tok.training_record is not None
    assert tok.training_record.options.min_pretoken_count == 3
    assert tok.training_record.distinct_pretokens == len(kept)


def test_sums_that_do_not_fit() -> None:
    counts = Counts.from_items({b"abc": 2**59}, pattern="gpt2")
    with pytest.raises(TrainingError, match="more than 64 bits can count"):
        add_up([(counts, 1)] * 6)


# --- samples ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def documents(tmp_path: Path) -> list[Path]:
    """Two thousand documents in three files, which differ in their length."""
    rng = np.random.default_rng(3)
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "c.jsonl"]
    for number, path in enumerate(paths):
        with path.open("w") as file:
            for line in range(700):
                words = " ".join(f"w{number}x{line}x{word}" for word in range(int(rng.integers(0, 30))))
                file.write(json.dumps({"text": words}) + "\n")
    return paths


def test_a_sample_is_of_the_size_asked_for(documents: list[Path]) -> None:
    whole = count_pretokens(documents)
    for size in (2_000, 50_000, whole.bytes - 1):
        sample = count_pretokens(documents, sample=size, sample_seed=5)
        assert size * 0.9 - 1000 < sample.bytes <= size
        (drawn,) = sample.samples
        assert (drawn.bytes, drawn.seed, drawn.of_documents, drawn.of_bytes) == (size, 5, 2100, whole.bytes)
    everything = count_pretokens(documents, sample=10**9)
    assert dict(everything.items()) == dict(whole.items())


def test_a_sample_is_of_whole_documents_and_the_same_with_any_chunks_and_threads(documents: list[Path]) -> None:
    first = count_pretokens(documents, sample=40_000, sample_seed=1, threads=1)
    assert count_pretokens(iter(documents), sample=40_000, sample_seed=1, threads=4) == first
    assert count_pretokens(documents, sample=40_000, sample_seed=2) != first
    drawn = first.samples[0]
    kept = []
    for block_bytes in (1, 100, 1 << 20):
        corpus = open_corpus(documents, block_bytes=block_bytes)
        for number, stream in enumerate(corpus.streams):
            stream.keep(drawn, number)
        kept.append(list(corpus.documents()))
    assert kept[0] == kept[1] == kept[2]
    assert sum(map(len, kept[0])) == first.bytes
    assert len(kept[0]) == first.documents
    everything = set(open_corpus(documents).documents())
    assert set(kept[0]) <= everything
    assert dict(count_pretokens(kept[0]).items()) == dict(first.items())


def test_a_document_that_goes_on_over_blocks_is_in_the_sample_or_not(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}.txt").write_text(f"document {number} " * (number + 1) * 40)
    whole = [file.read_bytes() for file in sorted(tmp_path.iterdir())]
    drawn = draw_sample(open_corpus(tmp_path, block_bytes=64), 20_000, seed=7)
    corpus = open_corpus(tmp_path, block_bytes=50)
    for number, stream in enumerate(corpus.streams):
        stream.keep(drawn, number)
    kept = list(corpus.documents())
    assert 0 < len(kept) < 12
    assert set(kept) <= set(whole)
    assert sum(map(len, kept)) <= 20_000


def test_a_smaller_sample_is_part_of_a_larger(documents: list[Path]) -> None:
    small = dict(count_pretokens(documents, sample=10_000).items())
    large = dict(count_pretokens(documents, sample=30_000).items())
    assert all(large.get(pretoken, 0) >= count for pretoken, count in small.items())


def test_draws_are_even(documents: list[Path]) -> None:
    """Half of the text from each file, more or less: no place and no file is preferred."""
    sample = count_pretokens(documents, sample=count_pretokens(documents).bytes // 2)
    shares = [sum(b"w%dx" % number in pretoken for pretoken, _ in sample.items()) for number in range(3)]
    assert abs(sample.documents - 1050) < 120, shares


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (["text"], {"sample": 10}, CorpusError, "reading twice"),
        ("one.txt", {"sample": 10}, CorpusError, r"larger than a sample of 10; .*--lines"),
        ("one.txt", {"sample": 0}, TrainingError, "sample is 0"),
        ("one.txt", {"sample": 9, "sample_seed": -1}, TrainingError, "sample_seed is -1"),
    ],
)
def test_samples_that_cannot_be_drawn(
    source: Any, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    (tmp_path / "one.txt").write_text("one document of some length")
    with pytest.raises(error, match=message):
        count_pretokens(tmp_path / source if isinstance(source, str) else source, **options)


def test_a_count_file_has_no_documents_to_draw(tmp_path: Path, tiny: Counts) -> None:
    write_counts(tiny, tmp_path / "a.tsv")
    with pytest.raises(TrainingError, match=r"a\.tsv: a sample is one of documents"):
        train(tmp_path / "a.tsv", 300, sample=1000)


def test_a_training_says_what_sample_it_is_of(documents: list[Path]) -> None:
    record = train(documents, 300, sample=30_000, sample_seed=9).training_record
    assert record is not None
    assert (record.options.sample, record.options.sample_seed) == (30_000, 9)
    assert record.samples[0].of_documents == 2100
    assert type(record).from_json(record.to_json()) == record


def test_errors_of_sources_are_the_same_as_without_count_files(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        train(tmp_path / "missing.tsv", 300)
    with pytest.raises(CorpusError, match="no such file"):
        train([tmp_path / "missing.txt"], 300)
    with pytest.raises(PatternError):
        train([TINY], 300, pattern="nothing-of-that-name")
    with pytest.raises(TrainingError, match="resume_seconds"):
        Checkpoint(tmp_path, -1)
