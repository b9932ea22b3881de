"""Counts equal what splitting in Python gives, with any number of threads and wherever chunks end."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bbpe import counts as counting
from bbpe._count import PADDING, PretokenCounter, all_inert, count_characters, sorted_counts
from bbpe.corpus import Progress, Source, open_corpus
from bbpe.counts import Counts, count_pretokens
from bbpe.errors import CorpusError, PatternError, TrainingError, VocabularyError
from bbpe.patterns import Pretokenizer, SlowPatternWarning

MIXED = (
    "It's 12345 他们说，“你好。”\r\n\r\n  \t spaces   and\n\n中文 English混排123４５ e\u0301te\u0301 가각 "
    "か\u3099 \u212b "
    "don't I'LL 'twas 😀😀 <|end|> <|endoftext|><|end <|endoftext <<|end|>> 。。。 \u00a0 x\u0300\u0316y"
).encode() + b" \xff\xfe\xe4\xb8 \xed\xa0\x80\xf0\x9f "
SPECIALS = ("<|end|>", "<|endoftext|>", "<|end", "。。")


def expected(
    documents: Iterable[bytes],
    pattern: str = "llama3",
    special_tokens: Sequence[str] = (),
    normalizer: str | None = None,
    max_pretoken_bytes: int | None = None,
) -> Counter[bytes]:
    """The definition, in plain Python: specials out, normalize, split, cut what is too long."""
    pretokenizer = Pretokenizer(pattern)
    longest_first = sorted((token.encode() for token in special_tokens), key=len, reverse=True)
    found = re.compile(b"|".join(map(re.escape, longest_first)) if longest_first else b"(?!)")
    counted: Counter[bytes] = Counter()
    for document in documents:
        for text in found.split(document):
            if normalizer:
                characters = text.decode("utf-8", "surrogateescape")
                text = unicodedata.normalize(normalizer, characters).encode("utf-8", "surrogateescape")
            for pretoken in pretokenizer.split(text):
                counted.update(pieces(pretoken, max_pretoken_bytes))
    return counted


def pieces(pretoken: bytes, longest: int | None) -> Iterator[bytes]:
    if longest is None or len(pretoken) <= longest:
        yield pretoken
        return
    piece = b""
    for character in pretoken.decode("utf-8", "surrogateescape"):
        octets = character.encode("utf-8", "surrogateescape")
        if len(piece) + len(octets) > longest:
            yield piece
            piece = b""
        piece += octets
    yield piece


def counted(
    source: object, *, threads: int = 1, chunk_bytes: int = 1 << 20, lines: bool = False, **options: object
) -> Counts:
    """As ``count_pretokens``, with chunks of any size."""
    given_options = {"pattern": "llama3", "special_tokens": (), "normalizer": None, "max_pretoken_bytes": None}
    job = counting._Job.checked(**(given_options | options))  # type: ignore[arg-type]
    corpus = open_corpus(source, lines=lines, block_bytes=chunk_bytes)  # type: ignore[arg-type]
    result = counting._count(corpus, job, threads, None, chunk_bytes)
    check(result)
    return result


def check(counts: Counts) -> None:
    """What is true of all counts."""
    keys = [pretoken for pretoken, _ in counts.items()]
    assert keys == sorted(set(keys))
    assert all(keys)
    assert counts.data.dtype == np.uint8
    assert counts.offsets.dtype == counts.counts.dtype == np.int64
    assert len(counts.offsets) == len(counts) + 1 == len(keys) + 1
    texts = {key: key.decode("utf-8", "surrogateescape") for key in keys}
    assert counts.pretokens == sum(count for _, count in counts.items())
    assert counts.bytes == sum(len(key) * count for key, count in counts.items())
    assert counts.characters == sum(len(texts[key]) * count for key, count in counts.items())
    assert counts.invalid_bytes == sum(
        sum("\udc80" <= character <= "\udcff" for character in texts[key]) * count for key, count in counts.items()
    )


# --- equal to the definition ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["llama3", "gpt2", "o200k", "qwen2", "deepseek-v2", "bloom", r"\d+|\s+\w"])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_counts_equal_splitting(pattern: str, threads: int) -> None:
    documents = [MIXED * 3, b"", MIXED, "短".encode(), MIXED[::-1]]
    wanted = expected(documents, pattern)
    for chunk_bytes in (1, 13, 100, 1 << 20):
        result = counted(documents, pattern=pattern, threads=threads, chunk_bytes=chunk_bytes)
        assert dict(result.items()) == wanted
        assert result.documents == len(documents)
        assert result.bytes == sum(map(len, documents))


ASCII = [
    "word ",
    " the",
    "a",
    "'s",
    "it's ",
    " ",
    "  ",
    "\n",
    " \n\n ",
    "12345",
    ",",
    "...)",
    "\0",
    "\0\0",
    "x" * 20,
    "\t\t",
]


@pytest.mark.parametrize("pattern", ["llama3", "gpt2", "o200k", r"\d+|\s+\w", r"(?:ab)*c|\s+(?!\S)|.+?"])
@pytest.mark.parametrize("others", [[], ["é", "中文，", "\u3000", "😀", "\u2029"]], ids=["ascii", "mixed"])
@pytest.mark.parametrize("seed", range(3))
def test_ascii_is_marked_in_windows_that_meet_anywhere(pattern: str, others: list[str], seed: int) -> None:
    """Texts of some windows each, in which boundaries near an edge depend on what stands behind it."""
    rng = random.Random(seed)
    pieces = ASCII * rng.choice([1, 60]) + others
    documents = ["".join(rng.choices(pieces, k=9000)).encode(), b" " * 30_000 + b"x", b"a" * 20_000, b"\xff" * 3]
    documents += ["".join(rng.choices(pieces, k=rng.randint(1, 60))).encode() for _ in range(60)]
    result = counted(documents, pattern=pattern, chunk_bytes=rng.choice([1 << 14, 1 << 20]))
    assert dict(result.items()) == expected(documents, pattern)


@pytest.mark.parametrize("pattern", ["llama3", "gpt2", "deepseek-v2"])
def test_every_chunk_size_gives_the_same(pattern: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(MIXED)
    wanted = expected([MIXED], pattern)
    for chunk_bytes in range(1, len(MIXED) + 2):
        assert dict(counted(path, pattern=pattern, chunk_bytes=chunk_bytes).items()) == wanted


def test_every_chunk_size_finds_special_tokens_and_normalizes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(MIXED)
    options = {"special_tokens": SPECIALS, "normalizer": "NFC", "max_pretoken_bytes": 6}
    wanted = expected([MIXED], **options)  # type: ignore[arg-type]
    for chunk_bytes in range(1, len(MIXED) + 2):
        assert dict(counted(path, chunk_bytes=chunk_bytes, **options).items()) == wanted


TEXTS = st.lists(
    st.sampled_from(
        [
            *"aZé1 \n\r\t'，中文。\u0301\u3099か\u1161가\u11a8\u212b😀<|>",
            *["<|end|>", "<|end", "'ll", "   ", "\r\n", "。。。"],
            *[b"\xff", b"\xe4\xb8", b"\x80", b"\xf0\x9f\x98"],
        ]
    ),
    max_size=40,
).map(lambda parts: b"".join(part.encode() if isinstance(part, str) else part for part in parts))


@settings(deadline=None, max_examples=300)
@given(
    documents=st.lists(TEXTS, min_size=1, max_size=3).filter(any),
    pattern=st.sampled_from(["llama3", "gpt2", "o200k", "deepseek-v2"]),
    specials=st.sets(st.sampled_from([*SPECIALS, "<", "a", "中", "\n", "\u0301"])),
    normalizer=st.sampled_from([None, "NFC"]),
    cap=st.none() | st.integers(4, 9),
    chunk_bytes=st.integers(1, 50),
    threads=st.sampled_from([1, 1, 3]),
)
@example([b"e<\xcc\x81"], "llama3", {"<"}, "NFC", None, 1, 1)
def test_chunks_of_any_documents(
    documents: list[bytes],
    pattern: str,
    specials: set[str],
    normalizer: str | None,
    cap: int | None,
    chunk_bytes: int,
    threads: int,
) -> None:
    options = {
        "pattern": pattern,
        "special_tokens": tuple(sorted(specials)),
        "normalizer": normalizer,
        "max_pretoken_bytes": cap,
    }
    result = counted(documents, threads=threads, chunk_bytes=chunk_bytes, **options)
    assert dict(result.items()) == expected(documents, **options)  # type: ignore[arg-type]
    assert result.documents == len(documents)


def test_a_pattern_without_an_automaton() -> None:
    options = {"pattern": r"(\w)\1|\w+?|\s+|[^\w\s]+", "special_tokens": SPECIALS, "max_pretoken_bytes": 7}
    with pytest.warns(SlowPatternWarning):
        Pretokenizer(options["pattern"])  # type: ignore[arg-type]
    documents = [MIXED * 2, b"", b"aabbc" * 10]
    wanted = expected(documents, **options)  # type: ignore[arg-type]
    for threads in (1, 3):
        for chunk_bytes in (1, 50, 1 << 20):
            assert dict(counted(documents, threads=threads, chunk_bytes=chunk_bytes, **options).items()) == wanted


def test_lines_are_documents(tmp_path: Path) -> None:
    text = b"one  \n  two\r\nthree   \n\n" + MIXED.replace(b"\r\n", b"\n") * 30
    path = tmp_path / "a.txt"
    path.write_bytes(text)
    documents = [line.removesuffix(b"\r") for line in text.split(b"\n")]
    for chunk_bytes in (1, 5, 64, 1 << 20):
        for threads in (1, 2):
            result = counted(path, lines=True, threads=threads, chunk_bytes=chunk_bytes)
            assert dict(result.items()) == expected(documents)
            assert result.documents == len(documents)


def test_files_of_every_kind_together_with_any_number_of_threads(tmp_path: Path) -> None:
    rng = random.Random(5)
    documents = []
    for number in range(30):
        document = bytes(rng.choices(MIXED, k=rng.randrange(3000))) if number % 2 else MIXED * rng.randrange(1, 20)
        document = document.decode("utf-8", "ignore").encode()
        documents.append(document)
        path = tmp_path / f"{number:02}.txt{'.gz' if number % 3 == 0 else ''}"
        path.write_bytes(gzip.compress(document) if number % 3 == 0 else document)
    results = [
        counted(tmp_path, threads=threads, chunk_bytes=chunk_bytes)
        for threads, chunk_bytes in ((1, 1 << 20), (2, 1 << 20), (2, 700), (8, 50), (3, 4096))
    ]
    assert dict(results[0].items()) == expected(documents)
    assert all(result == results[0] for result in results)
    assert [source.path for source in results[0].sources] == [str(path) for path in sorted(tmp_path.iterdir())]
    first = (tmp_path / "00.txt.gz").read_bytes()
    assert results[0].sources[0] == Source(str(tmp_path / "00.txt.gz"), len(first), hashlib.sha256(first).hexdigest())


@pytest.mark.parametrize("name", ["zh-small.txt", "en-small.txt", "emoji-social.txt"])
def test_real_text(name: str, read_corpus: Callable[..., bytes]) -> None:
    text = read_corpus(name, 600_000)
    wanted = expected([text])
    for threads, chunk_bytes in ((1, 1 << 20), (2, 10_000), (2, 997)):
        assert dict(counted([text], threads=threads, chunk_bytes=chunk_bytes).items()) == wanted


# --- special tokens, normalizer, cap ----------------------------------------------------------------------------------


def test_special_tokens_are_cut_out_and_both_sides_are_texts_of_their_own() -> None:
    """In ``a  <s>  b`` the spaces before ``<s>`` end a text: one pretoken. Without it the last space joins ``b``."""
    assert dict(counted([b"a  <s>  b"], special_tokens=["<s>"]).items()) == {b"a": 1, b"  ": 1, b" ": 1, b" b": 1}
    assert dict(counted([b"a    b"]).items()) == {b"a": 1, b"   ": 1, b" b": 1}
    result = counted([b"<s><s>x<s>"], special_tokens=["<s>"])
    assert dict(result.items()) == {b"x": 1}
    assert result.bytes == 1


def test_of_overlapping_special_tokens_the_leftmost_and_there_the_longest_is_cut() -> None:
    assert dict(counted([b"xabcdy"], special_tokens=["bcd", "ab", "abc"]).items()) == {b"x": 1, b"dy": 1}
    for chunk_bytes in range(1, 12):
        assert counted([b"aaaaaaa1"], special_tokens=["aa", "aaa"], chunk_bytes=chunk_bytes).bytes == 2


def test_text_of_special_tokens_alone_counts_nothing() -> None:
    result = counted([b"<s><s>"], special_tokens=["<s>"])
    assert (len(result), result.pretokens, result.bytes, result.documents) == (0, 0, 0, 1)


def test_normalization_makes_no_special_token_and_breaks_none() -> None:
    """Special tokens are cut first: ``e`` + U+0301 is not the special token ``é``, though it is normalized to it."""
    document = "e\u0301 é".encode()
    for chunk_bytes in (1, 2, 3, 100):
        result = counted([document], special_tokens=["é"], normalizer="NFC", chunk_bytes=chunk_bytes)
        assert dict(result.items()) == {"é".encode(): 1, b" ": 1}


def test_a_text_that_normalization_never_leaves_alone_can_still_be_cut() -> None:
    text = "Việt Nam e\u0301 가나다 か\u3099。" * 200
    assert dict(counted([text], normalizer="NFC", chunk_bytes=64).items()) == expected(
        [text.encode()], normalizer="NFC"
    )


def test_the_characters_called_inert_are_inert() -> None:
    """Each is normalized, no mark, and second in no composition: what NFC_Quick_Check=Yes and class 0 mean."""
    seconds = set()
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            seconds.add(int(parts[1], 16))
    seconds |= {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}  # Hangul vowels and finals, composed by rule
    inert = []
    for code in [*range(0xD800), *range(0xE000, 0x11000), *range(0x11000, 0x110000, 97)]:
        character = chr(code).encode()
        span = np.array([0]), np.array([len(character)])
        if all_inert(character + bytes(PADDING), *span):
            inert.append(code)
    for code in inert:
        character = chr(code)
        assert unicodedata.normalize("NFC", character) == character
        assert unicodedata.combining(character) == 0
        assert code not in seconds
    assert len(inert) > 30_000


def test_the_cap_cuts_at_character_boundaries_and_is_counted() -> None:
    result = counted(["中文字 abcdefghij"], max_pretoken_bytes=7)
    assert dict(result.items()) == {"中文".encode(): 1, "字".encode(): 1, b" abcdef": 1, b"ghij": 1}
    assert result.pretokens_cut == 2
    assert counted(["中文字"], max_pretoken_bytes=9).pretokens_cut == 0


# --- big and hard inputs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["a", "\n", " ", "我", "，", "1", "\u0301", "a'"])
def test_a_long_text_of_one_kind_is_not_quadratic(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing may be cut the chunk grows by doubling: each byte is planned a few times and not once a chunk."""
    planned = 0
    plan = counting.plan

    def counting_plan(data: bytes, *rest: object) -> object:
        nonlocal planned
        planned += len(data)
        return plan(data, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(counting, "plan", counting_plan)
    text = unit.encode() * 300_000
    for normalizer in (None, "NFC"):
        planned = 0
        result = counted([text], chunk_bytes=1000, normalizer=normalizer)
        assert dict(result.items()) == expected([text], normalizer=normalizer)
        assert planned < 6 * len(text)


def test_a_long_text_is_cut_and_not_held() -> None:
    job = counting._Job.checked("llama3", (), None, None)
    stream = open_corpus([MIXED * 2000], block_bytes=5000).streams[0]
    cutter = counting._Cutter(stream, job, 5000)
    sizes = []
    while (chunk := cutter.take()) is not None:
        sizes.append(len(chunk.data))
    assert len(sizes) > 50
    assert max(sizes) < 12_000


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"", b"\0" * 7, b"\0" * 8, b"abcdefgh", b"abcdefgh" * 4, "我们".encode() * 9]),
            st.binary(max_size=20),
            st.integers(1, 1 << 40),
        ),
        max_size=60,
    )
)
def test_strings_of_any_length_and_prefix_are_sorted_and_added_up(parts: list[tuple[bytes, bytes, int]]) -> None:
    items = [(head + tail, count) for head, tail, count in parts if head + tail]
    wanted: Counter[bytes] = Counter()
    for key, count in items:
        wanted[key] += count
    result = Counts.from_items(items, pattern="llama3")
    check(result)
    assert dict(result.items()) == wanted


@pytest.mark.parametrize("buckets", [1, 3, 64])
def test_tables_grow_and_are_added_up_in_any_number_of_parts(buckets: int) -> None:
    """Enough strings that each of the 32 partitions doubles its tables several times and fills several chunks."""
    rng = random.Random(9)
    wanted: Counter[bytes] = Counter()
    counters = []
    for _ in range(3):
        counter = PretokenCounter()
        lengths = rng.choices([1, 2, 7, 8, 9, 15, 16, 17, 30, 31, 32, 33, 100], k=40_000)
        keys = [b"%0*d" % (length, rng.randrange(10 ** min(length, 5))) for length in lengths]
        wanted.update(keys)
        ends = np.cumsum([len(key) for key in keys], dtype=np.uint64)
        counter.count_ends(b"".join(keys) + bytes(PADDING), 0, ends)
        counters.append(counter)
    data, offsets, counts, sums = sorted_counts(counters, lambda f, r: list(map(f, r)), buckets)
    keys = [data[offsets[i] : offsets[i + 1]].tobytes() for i in range(len(counts))]
    assert keys == sorted(wanted)
    assert dict(zip(keys, counts.tolist(), strict=True)) == wanted
    size = sum(len(key) * count for key, count in wanted.items())
    assert sums == (size, size, 0, sum(wanted.values()))
    assert [len(counter) for counter in counters] == [0, 0, 0]


def test_strings_that_become_frequent_later_are_held_once() -> None:
    """Each takes the place of one that is less frequent by then; both have to be found again, wherever they stand."""
    rng = random.Random(4)
    counter = PretokenCounter()
    keys = [b"%0*d" % (rng.choice([6, 8, 9, 15]), number) for number in range(30_000)]
    wanted: Counter[bytes] = Counter()
    for _ in range(6):
        rng.shuffle(keys)
        said = [keys[int(len(keys) * rng.random() ** 4)] for _ in range(60_000)] + keys
        wanted.update(said)
        ends = np.cumsum([len(key) for key in said], dtype=np.uint64)
        counter.count_ends(b"".join(said) + bytes(PADDING), 0, ends)
        assert len(counter) == len(keys)
    data, offsets, counts, _ = sorted_counts([counter], lambda f, r: list(map(f, r)), 4)
    found = {data[offsets[i] : offsets[i + 1]].tobytes(): int(counts[i]) for i in range(len(counts))}
    assert found == wanted


def test_large_tables_with_nothing_in_common_are_added_up_in_linear_time() -> None:
    """Both have their strings in the order of the same hash: taken so, those of one would fill a part of the other."""
    size, octets = 1_200_000, np.random.default_rng(1).integers(33, 120, 8 * 2_400_000 + 32, np.uint8)
    offsets = 8 * np.arange(size + 1)
    counters = [PretokenCounter(), PretokenCounter()]
    begun = time.process_time()
    for number, counter in enumerate(counters):
        counter.add(octets[number * 8 * size :], offsets, np.ones(size, np.int64))
    counted = time.process_time()
    seconds = []

    def timed(function: Callable[[int], None], numbers: range) -> None:
        begun = time.process_time()
        for number in numbers:
            function(number)
        seconds.append(time.process_time() - begun)

    _, _, counts, _ = sorted_counts(counters, timed, 8)
    assert seconds[0] < 1.5 * (
        counted - begun
    )  # bringing them together: 0.4 of it; in the order of the hash 3 to 8 times
    assert counts.sum() == 2 * size


def test_a_pretoken_longer_than_a_chunk_of_the_table() -> None:
    long = "字" * 100_000
    result = counted([f"{long}，x {long}", long, long[:-1]])
    assert dict(result.items())[long.encode()] == 2
    assert result.counts.sum() == len(expected([f"{long}，x {long}".encode()])) + 2


@given(st.binary(max_size=12))
@example(b"\xf4\x8f\xbf\xbf\xf4\x90\x80\x80\xe0\x9f\x80\xc1\x80\xed\xa0\x80\xf0\x8f\x80\x80")
def test_characters_are_those_of_surrogateescape(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert count_characters(data) == (len(text), sum("\udc80" <= character <= "\udcff" for character in text))


# --- counts as objects ------------------------------------------------------------------------------------------------


def test_adding_counts_is_counting_both(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(MIXED)
    (tmp_path / "b.txt").write_bytes(b"other text " + MIXED)
    options = {"special_tokens": ["<|end|>"], "max_pretoken_bytes": 6}
    both = counted([tmp_path / "a.txt", tmp_path / "b.txt"], **options)
    added = counted(tmp_path / "a.txt", **options) + counted(tmp_path / "b.txt", **options)
    check(added)
    assert added == both
    assert added != counted(tmp_path / "a.txt", **options)


@pytest.mark.parametrize(
    "options",
    [{"pattern": "gpt2"}, {"special_tokens": ["x"]}, {"normalizer": "NFC"}, {"max_pretoken_bytes": 5}],
)
def test_counts_made_differently_are_not_added(options: dict[str, object]) -> None:
    with pytest.raises(TrainingError, match=f"different {next(iter(options))}"):
        counted([b"text"]) + counted([b"text"], **options)


def test_counts_cannot_be_changed() -> None:
    result = counted([b"text"])
    with pytest.raises(ValueError, match="read-only"):
        result.counts[0] = 7
    with pytest.raises(AttributeError):
        result.bytes = 7  # type: ignore[misc]


@pytest.mark.parametrize("item", [(b"", 1), (b"a", 0), (b"a", -1)])
def test_items_that_are_no_counts(item: tuple[bytes, int]) -> None:
    with pytest.raises(TrainingError):
        Counts.from_items([item], pattern="llama3")


# --- progress, errors, interruption -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 4])
def test_progress_is_reported_in_the_calling_thread(threads: int, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_bytes(MIXED * 10)
    reports: list[tuple[Progress, int]] = []
    count_pretokens(tmp_path, threads=threads, progress=lambda p: reports.append((p, threading.get_ident())))
    size = 20 * 10 * len(MIXED)
    assert reports[-1][0] == Progress("sorting", 0, None, "pretokens")
    assert reports[-2][0] == Progress("counting", size, size, "bytes")
    done = [report.done for report, _ in reports[:-1]]
    assert done == sorted(done)
    assert {thread for _, thread in reports} == {threading.get_ident()}
    count_pretokens([MIXED], threads=threads, progress=lambda p: reports.append((p, 0)))
    assert reports[-2][0] == Progress("counting", len(MIXED), None, "bytes")


@pytest.mark.parametrize("threads", [1, 4])
def test_an_interruption_ends_all_threads(threads: int, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_bytes(MIXED * 10)

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    for source in (tmp_path, [MIXED] * 100):
        with pytest.raises(KeyboardInterrupt):
            count_pretokens(source, threads=threads, progress=interrupt)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("bbpe-count")]


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_anywhere_is_raised_and_ends_all_threads(threads: int, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_bytes(MIXED * 10)
    (tmp_path / "7.txt").write_bytes(b"\0")
    with pytest.raises(CorpusError, match="binary"):
        count_pretokens(tmp_path, threads=threads)

    def items() -> Iterator[bytes]:
        for _ in range(50):
            yield MIXED * 1000
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        count_pretokens(items(), threads=threads)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bbpe-count")]


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_of_a_worker_reaches_whoever_feeds_it(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, counter: object, chunk: object) -> None:
        raise MemoryError

    monkeypatch.setattr(counting._Job, "count", fail)
    with pytest.raises(MemoryError):
        count_pretokens([MIXED * 5000] * 30, threads=threads)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_list_and_what_yields_its_documents_are_counted_alike(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any thread takes from a list; of an iterator, the calling one. Either way a fault is that of the first document."""
    monkeypatch.setattr(counting, "BLOCK_BYTES", 500)
    documents = [MIXED[start : start + 1 + 37 * start % 900] for start in range(0, len(MIXED), 40)] * 40
    documents[7:7] = ["", "x" * 2000, "<|end|>"]
    wanted = count_pretokens(documents, special_tokens=["<|end|>"], threads=1)
    assert wanted.documents == len(documents)
    for source in (documents, tuple(documents), iter(documents), (document for document in documents)):
        assert count_pretokens(source, special_tokens=["<|end|>"], threads=threads) == wanted
    documents[50] = "a \ud800"
    for source in (documents, iter(documents)):
        with pytest.raises(CorpusError, match="document 50: lone surrogate"):
            count_pretokens(source, threads=threads)


def test_an_iterable_is_read_in_the_calling_thread_only() -> None:
    threads = set()

    def items() -> Iterator[bytes]:
        for _ in range(1000):
            threads.add(threading.get_ident())
            yield MIXED

    assert count_pretokens(items(), threads=4).documents == 1000
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"special_tokens": ["a", ""]}, VocabularyError, "special token 1 is empty"),
        ({"special_tokens": ["a", "b", "a"]}, VocabularyError, "special token 'a' is given twice"),
        ({"special_tokens": ["\ud800"]}, VocabularyError, "lone surrogate"),
        ({"special_tokens": "<s>"}, TypeError, "one str"),
        ({"special_tokens": [b"<s>"]}, TypeError, "special token 0 is bytes"),
        ({"normalizer": "NFKC"}, TrainingError, "normalizer is 'NFKC'"),
        ({"max_pretoken_bytes": 3}, TrainingError, "max_pretoken_bytes is 3"),
        ({"threads": 0}, TrainingError, "threads is 0"),
        ({"pattern": "llama4"}, PatternError, "llama4"),
        ({"pattern": "("}, PatternError, "[(]"),
        ({"pattern": "a*"}, PatternError, "empty"),
    ],
)
def test_options_out_of_range(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        count_pretokens(["text"], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_empty_corpus(threads: int, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    for source in (tmp_path, [], [""]):
        with pytest.raises(CorpusError, match="no text"):
            count_pretokens(source, threads=threads)


@given(
    st.lists(st.text("a\n é\u0301e\u0323가\u11a8ᄀ中①\U0001f600<", max_size=12), min_size=1, max_size=8), st.booleans()
)
def test_only_lines_that_need_it_are_normalized_and_all_of_them(documents: list[str], special: bool) -> None:
    """Documents of several lines, special tokens between them, lines that get shorter before others that do not."""
    specials = ["<"] if special else []
    documents = [*documents, "e\u0301\nx"]
    normalized = [
        "<".join(unicodedata.normalize("NFC", part) for part in text.split("<"))
        if special
        else unicodedata.normalize("NFC", text)
        for text in documents
    ]
    made = count_pretokens(documents, pattern="gpt2", special_tokens=specials, normalizer="NFC")
    plain = count_pretokens(normalized, pattern="gpt2", special_tokens=specials)
    assert dict(made.items()) == dict(plain.items())
    assert (made.bytes, made.characters, made.documents) == (plain.bytes, plain.characters, plain.documents)
