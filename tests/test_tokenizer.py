"""The Python contract of a tokenizer: what text it takes, what it returns, special tokens, offsets, threads, copies.

What ids come out is compared with ``reference.py``; that the native core computes them is ``test_encode.py``.
"""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import (
    CHINESE,
    FRAGMENTS,
    MARKS,
    broken_texts,
    documents,
    pretoken_counts,
    surrogate_texts,
    texts,
    tokenizer_of,
    vocabularies,
)
from test_encode import assert_linear

from bbpe import SpecialToken, Template, Tokenizer, Vocabulary, get_pattern, reference
from bbpe.counts import count_pretokens
from bbpe.errors import BbpeError, EncodeError
from bbpe.expression import spell_out
from bbpe.normalizer import _joining, all_stable

BYTES = reference.byte_tokens()
LLAMA3 = get_pattern("llama3")
SPECIALS = {"<s>": 1000, "</s>": 1001, "<|x|>": 1002, "<|x|>>": 1003, "结束": 1004}
COMPOSED = [
    "e\u0301",
    "\u1112\u1161\u11ab",
    "が",
    "か\u3099",
    "q\u0323\u0301",
    "q\u0301\u0323",
    "ｶﾞ",
    "\u2126",
    "\u0301",
    "ά\u0345",
]


def build(normalizer: Any = None) -> reference.Vocabulary:
    """Merges of the kinds of text that the strategies make, some that end inside characters, and special tokens."""
    pattern = tuple(map(spell_out, LLAMA3.stages))
    base = reference.Vocabulary(BYTES, pattern=pattern, normalizer=normalizer)
    counted = reference.count_pretokens([*FRAGMENTS * 3, CHINESE, "".join(COMPOSED) * 2] * 2, pattern)
    learned = reference.learn_merges(counted, base, num_merges=300).vocabulary
    return replace(learned, special_tokens=SPECIALS, template=((1000,), (1001, 1001)))


SPEC = build()
SPEC_NFC = build("NFC")
TOK = tokenizer_of(SPEC, LLAMA3)
TOK_NFC = tokenizer_of(SPEC_NFC, LLAMA3)
BOTH = pytest.mark.parametrize(("tok", "spec"), [(TOK, SPEC), (TOK_NFC, SPEC_NFC)], ids=["as it is", "NFC"])


def texts_with_specials() -> st.SearchStrategy[str]:
    """Text, special tokens, beginnings of them, and what composes under NFC, in any mixture."""
    part = st.one_of(
        texts(3), st.sampled_from([*SPECIALS, *SPECIALS, "<", "<|x|", ">", "结", "s>", *COMPOSED, "e", "か"])
    )
    return st.lists(part, max_size=8).map("".join)


ALLOWED: list[Any] = [(), "all", {"<s>"}, {"<|x|>"}, {"<|x|>", "<|x|>>", "结束"}]


# ---- every way to encode gives the same ids -----------------------------------------------------------


@BOTH
@given(texts_with_specials(), st.sampled_from(ALLOWED))
def test_every_way_to_encode_a_text_says_what_the_reference_says(
    tok: Tokenizer, spec: reference.Vocabulary, text: str, allowed: Any
) -> None:
    expected = reference.encode(text, spec, allowed_special=allowed)
    assert tok.encode(text, allowed_special=allowed) == expected
    assert tok.encode_bytes(text.encode(), allowed_special=allowed) == expected
    assert tok.encode_to_numpy(text, allowed_special=allowed).tolist() == expected
    assert tok.count(text, allowed_special=allowed) == len(expected)
    assert tok.encode_batch([text, "", text], allowed_special=allowed) == [expected, [], expected]
    assert tok.encode_with_offsets(text, allowed_special=allowed)[0] == expected
    assert tok.tokens(text, allowed_special=allowed) == [reference.decode_bytes([id], spec) for id in expected]
    if spec.normalizer is None:
        assert tok.decode(expected) == text


@BOTH
@given(broken_texts(), st.sampled_from(ALLOWED))
@example(b"e\xcc\x81\xff\xcc\x81", ())
def test_bytes_that_are_not_utf8(tok: Tokenizer, spec: reference.Vocabulary, data: bytes, allowed: Any) -> None:
    expected = reference.encode(data, spec, allowed_special=allowed)
    assert tok.encode_bytes(data, allowed_special=allowed) == expected
    assert tok.encode_bytes(bytearray(data), allowed_special=allowed) == expected
    assert tok.encode_bytes(memoryview(data), allowed_special=allowed) == expected
    if spec.normalizer is None:
        assert tok.decode_bytes(expected) == data


@pytest.mark.parametrize(
    "text", ["", "a", "é", "中", "😀", "aé", "a中", "é😀", "\0", "\U0010ffff", "\uffff", "\u0800\u07ff"]
)
def test_strings_of_each_width_and_the_edges_of_utf8(text: str) -> None:
    for times in (1, 7, 5000):  # 4096 is where the lock of the interpreter is given up
        expected = reference.encode(text, SPEC) * times if times == 1 else TOK.encode_bytes((text * times).encode())
        assert TOK.encode(text * times) == expected
        assert TOK.decode(expected) == text * times


def test_what_is_no_text_is_refused() -> None:
    class Text(str):
        pass

    assert TOK.encode(Text("ab 中")) == TOK.encode("ab 中")
    for wrong in (b"a", None, 1, ["a"], np.str_):
        for method in (TOK.encode, TOK.encode_to_numpy, TOK.count, TOK.tokens, TOK.encode_with_offsets):
            with pytest.raises(TypeError, match="str"):
                method(wrong)  # type: ignore[operator]
    for wrong in ("a", None, 1, [97]):
        with pytest.raises(TypeError, match="bytes"):
            TOK.encode_bytes(wrong)  # type: ignore[arg-type]


# ---- lists and arrays ---------------------------------------------------------------------------------


def test_an_array_is_uint32_owns_its_memory_and_can_be_changed() -> None:
    for text in ("", "a", "你好" * 3000):
        array = TOK.encode_to_numpy(text)
        assert (array.dtype, array.shape) == (np.dtype(np.uint32), (TOK.count(text),))
        assert array.flags.owndata
        assert array.flags.c_contiguous
        before = array.copy()
        array[:] = 7
        assert np.array_equal(TOK.encode_to_numpy(text), before)


def test_a_batch_of_arrays_is_one_array_and_the_offsets_of_its_texts() -> None:
    batch = ["", "你好", "", "a b", ""]
    ids, offsets = TOK.encode_batch_to_numpy(batch)
    assert (ids.dtype, offsets.dtype) == (np.dtype(np.uint32), np.dtype(np.int64))
    assert (ids.ndim, offsets.shape) == (1, (6,))
    assert ids.flags.owndata
    assert offsets[0] == 0
    assert [ids[offsets[at] : offsets[at + 1]].tolist() for at in range(5)] == [TOK.encode(text) for text in batch]


@BOTH
@pytest.mark.parametrize("allowed", [(), "all"])
def test_an_empty_batch(tok: Tokenizer, spec: reference.Vocabulary, allowed: Any) -> None:
    assert tok.encode_batch([], allowed_special=allowed) == []
    ids, offsets = tok.encode_batch_to_numpy([], allowed_special=allowed)
    assert (ids.tolist(), offsets.tolist()) == ([], [0])
    assert (ids.dtype, offsets.dtype) == (np.dtype(np.uint32), np.dtype(np.int64))
    assert tok.encode_batch(["", ""], allowed_special=allowed) == [[], []]


def test_lists_hold_ints_and_keep_them_alive() -> None:
    big = Tokenizer(Vocabulary({**BYTES, 3_000_000_000: b"ab"}, merges=[(97, 98)], pattern=LLAMA3))
    for tok in (TOK, big):
        lists = [tok.encode("abab 中 <s>") for _ in range(50)]
        assert all(type(id) is int for id in lists[0])
        expected = list(lists[0])
        del lists[1:]
        assert lists[0] == expected
    assert big.encode("abab") == [3_000_000_000] * 2


def test_large_arrays_use_memory_again_but_share_none() -> None:
    """From a megabyte of ids on, a result takes the memory of one that is gone."""
    text = "你好 ab" * 150_000
    other = "a b好" * 200_000
    tok = tokenizer_of(SPEC)
    ids, others = tok.encode_to_numpy(text), tok.encode_to_numpy(other)
    expected, expected_others = ids.copy(), others.copy()
    assert ids.size > 2**18
    assert not np.shares_memory(ids, others)
    assert ids.flags.writeable
    part = ids[7:]
    del ids  # the part still uses the memory
    again, _ = tok.encode_batch_to_numpy([other, text])
    assert np.array_equal(part, expected[7:])
    assert not np.shares_memory(part, again)
    assert np.array_equal(again, np.concatenate([expected_others, expected]))
    del part
    with pytest.raises(EncodeError, match="surrogate"):
        tok.encode_to_numpy(text + "\ud800")  # what raises gives the memory back as well
    reused = tok.encode_to_numpy(text)
    del tok
    gc.collect()
    reused[:] += 1  # the memory outlives its tokenizer
    assert np.array_equal(reused, expected + 1)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much memory is resident is asked of Linux")
def test_the_memory_kept_for_large_arrays_is_bounded() -> None:
    """In a process of its own: what other tests leave behind may be given back at any moment."""
    script = """
import os
from pathlib import Path
from bbpe import Tokenizer, Vocabulary, get_pattern
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
tok = Tokenizer(Vocabulary({id: bytes([id]) for id in range(256)}, merges=[], pattern=get_pattern("llama3")))
texts = ["a b好" * 10_000] * 1200
tok.encode("好")
before = resident()
arrays = [tok.encode_batch_to_numpy(texts, threads=threads)[0] for threads in (1, 2)]
print(sum(array.nbytes for array in arrays) // 2**20, resident() - before)
del arrays
print(resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    held, with_arrays, without = map(int, done.stdout.split())
    assert held > 150
    assert with_arrays > held - 10  # what was measured is memory that was there
    assert without < 32 + 2 * 16  # and what each of two threads may keep; with any number of chunks that waited


# ---- batches and threads ------------------------------------------------------------------------------


def many_texts() -> list[str]:
    """Empty, short and long ones, in several chunks, of every width of str."""
    rng = random.Random(11)
    short = ["".join(rng.choices([*FRAGMENTS, *CHINESE, "😀", ""], k=rng.randint(0, 9))) for _ in range(3000)]
    return [*short, "你好世界" * 30_000, "", "word " * 30_000, "é" * 100_000, *short[:100]]


@BOTH
def test_any_number_of_threads_gives_the_same(tok: Tokenizer, spec: reference.Vocabulary) -> None:
    batch = many_texts()
    ids, offsets = tok.encode_batch_to_numpy(batch, threads=1)
    for threads in (2, 8, None):
        ids_too, offsets_too = tok.encode_batch_to_numpy(batch, threads=threads)
        assert np.array_equal(ids, ids_too)
        assert np.array_equal(offsets, offsets_too)
    assert tok.encode_batch(iter(batch), threads=2) == [ids[start:end].tolist() for start, end in pairwise(offsets)]
    for at in range(0, 3000, 211):
        assert ids[offsets[at] : offsets[at + 1]].tolist() == reference.encode(batch[at], spec)


@BOTH
@pytest.mark.parametrize("allowed", [(), {"<s>"}], ids=str)
def test_a_batch_of_bytes_is_each_of_them_alone(tok: Tokenizer, spec: reference.Vocabulary, allowed: Any) -> None:
    rng = random.Random(12)
    parts = [
        *(fragment.encode() for fragment in FRAGMENTS),
        b"\xff",
        b"\xe4\xbd",
        b"<s>",
        "e\u0301".encode(),
        b"\xcc\x81",
    ]
    batch = [b"".join(rng.choices(parts, k=rng.randint(0, 8))) for _ in range(300)] + ["中".encode() * 30_000, b""] * 2
    expected = [tok.encode_bytes(data, allowed_special=allowed) for data in batch]
    for threads in (1, 2):
        assert tok.encode_batch(batch, threads=threads, allowed_special=allowed) == expected
    assert expected[:20] == [reference.encode(data, spec, allowed_special=allowed) for data in batch[:20]]
    with pytest.raises(TypeError, match=r"text 1 is str, not bytes"):
        tok.encode_batch([b"a", "b"], allowed_special=allowed)  # type: ignore[list-item]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_threads_is_a_positive_integer(threads: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="threads"):
        TOK.encode_batch(["a"], threads=threads)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes cannot be bound to processors here")
def test_no_more_threads_than_the_process_has_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may give one of a hundred."""
    monkeypatch.setattr(os, "cpu_count", lambda: 100)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    started: list[str] = []
    original = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (started.append(self.name), original(self))[1])
    TOK.encode_batch(["ab 你好" * 50_000] * 4)
    count_pretokens(["ab 你好" * 500_000] * 4)
    assert not started
    TOK.encode_batch(["ab 你好" * 50_000] * 4, threads=2)
    assert started


def test_chunks_that_are_done_before_their_turn_wait_for_it() -> None:
    """The first chunk takes longest; then uneven ones, so that several wait and are placed together."""
    draw = random.Random(5)
    batch = ["".join(draw.choices("ab 你好好学习", k=400_000)) * 5]
    batch += ["".join(draw.choices("ab 你好好学习", k=draw.choice((1, 30, 40_000, 200_000)))) for _ in range(40)]
    ids, offsets = TOK.encode_batch_to_numpy(batch, threads=1)
    assert [ids[start:end].tolist() for start, end in pairwise(offsets)] == [TOK.encode(text) for text in batch]
    for threads in (2, 4, 8, 8, 8):
        again, offsets_again = TOK.encode_batch_to_numpy(batch, threads=threads)
        assert np.array_equal(again, ids)
        assert np.array_equal(offsets_again, offsets)


def test_more_threads_than_there_is_work_cost_nothing() -> None:
    before = threading.active_count()
    started: list[int] = []
    original = threading.Thread.start

    def counting(thread: threading.Thread) -> None:
        started.append(1)
        original(thread)

    threading.Thread.start = counting  # type: ignore[method-assign]
    try:
        assert len(TOK.encode_batch(["x" * 70_000] * 3, threads=500)) == 3
    finally:
        threading.Thread.start = original  # type: ignore[method-assign]
    assert len(started) <= 3
    assert threading.active_count() == before


def test_a_wrong_text_in_a_batch_is_named() -> None:
    with pytest.raises(TypeError, match=r"text 2 is bytes"):
        TOK.encode_batch(["a", "b", b"c"])  # type: ignore[list-item]
    for wrong in ("abc", b"abc", bytearray(b"abc")):
        with pytest.raises(TypeError, match="iterable of str"):
            TOK.encode_batch(wrong)  # type: ignore[arg-type]
    for wrong in (None, 5, {"a": 1}, {"a", "b"}, frozenset("ab")):  # a set has no order
        with pytest.raises(TypeError, match=rf"not {type(wrong).__name__}"):
            TOK.encode_batch(wrong)  # type: ignore[arg-type]
    assert TOK.encode_batch({"a": 1, "b": 2}.keys()) == [[97], [98]]


@BOTH
def test_of_several_bad_texts_the_first_is_named_whatever_the_threads(
    tok: Tokenizer, spec: reference.Vocabulary
) -> None:
    # The first stands behind a slow text; whoever has done the quick chunk before it meets another one long before.
    slow = random.Random(9).randbytes(60_000).translate(b"ab" * 128).decode()
    batch = ["x " * 33_000, slow, "a\ud800", "y" * 66_000, *["\ud801"] * 100]
    for threads in (1, 2, 2, 2, 2, 2, 4, 4):
        with pytest.raises(EncodeError, match=r"U\+D800 at position 1 of text 2\b"):
            tok.encode_batch(batch, threads=threads)


def test_a_tokenizer_still_works_after_an_error() -> None:
    for _ in range(3):
        with pytest.raises(EncodeError):
            TOK.encode("ab" * 4000 + "\ud800")
        with pytest.raises(EncodeError):
            TOK.encode_batch(["中", "\ud800"], threads=2)
        assert TOK.encode("ab 中") == reference.encode("ab 中", SPEC)


def test_one_tokenizer_in_many_threads_at_once() -> None:
    rng = random.Random(4)
    batch = ["".join(rng.choices([*FRAGMENTS, *CHINESE], k=4000)) for _ in range(8)]  # long: without the lock
    batch += ["".join(rng.choices([*FRAGMENTS, *CHINESE], k=40)) for _ in range(200)]
    tok = tokenizer_of(SPEC, LLAMA3)
    expected = [TOK.encode(text) for text in batch]
    failures: list[object] = []
    gate = threading.Barrier(8)

    def work(number: int) -> None:
        gate.wait()
        order = random.Random(number).sample(range(len(batch)), len(batch))
        for at in order:
            ids = tok.encode(batch[at])
            if ids != expected[at] or tok.decode(ids) != batch[at] or tok.count(batch[at]) != len(ids):
                failures.append(at)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


# ---- copies and processes -----------------------------------------------------------------------------


def test_pickled_and_copied_it_encodes_the_same() -> None:
    text = "<s>ab 中文，e\u0301 12345"
    for tok in (TOK, TOK_NFC):
        for other in (pickle.loads(pickle.dumps(tok)), copy.copy(tok), copy.deepcopy(tok)):
            assert other.vocabulary == tok.vocabulary
            assert other.encode(text, allowed_special="all") == tok.encode(text, allowed_special="all")
            assert other.decode([1000, 0x41]) == "<s>A"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_it_works_in_a_forked_process_after_threads_have_used_it() -> None:
    batch = many_texts()[:2000] * 4
    expected = TOK.encode_batch(batch, threads=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of fork beside threads, which is the point
        child = os.fork()
    if child == 0:  # no pytest in here: the exit status is the answer
        same = False
        try:
            same = TOK.encode_batch(batch, threads=4) == expected and TOK.encode(batch[5]) == expected[5]
        finally:
            os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert TOK.encode_batch(batch, threads=2) == expected


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_it_works_in_a_pool_of_processes() -> None:
    batch = many_texts()[:40]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(TOK.encode, batch) == [TOK.encode(text) for text in batch]


# ---- lone surrogates ----------------------------------------------------------------------------------


@BOTH
@given(surrogate_texts(), st.sampled_from(ALLOWED))
@example("e\u0301\ud800", ())
@example("ab<s>c\ud800", "all")
@example("\ud83d\ude00", ())
def test_a_lone_surrogate_is_refused_with_its_position_or_replaced(
    tok: Tokenizer, spec: reference.Vocabulary, text: str, allowed: Any
) -> None:
    place = next(place for place, character in enumerate(text) if unicodedata.category(character) == "Cs")
    named = rf"U\+{ord(text[place]):04X} at position {place}\b"
    calls: list[Callable[..., Any]] = [tok.encode, tok.encode_to_numpy, tok.count, tok.tokens, tok.encode_with_offsets]
    for call in calls:
        with pytest.raises(EncodeError, match=named):
            call(text, allowed_special=allowed)
    with pytest.raises(EncodeError, match=named):
        tok.encode_with_offsets(text, allowed_special=allowed, unit="bytes")
    with pytest.raises(EncodeError, match=named + r" of text 1\b"):
        tok.encode_batch(["a", text], allowed_special=allowed)
    expected = reference.encode(text, spec, allowed_special=allowed, errors="replace")
    assert tok.encode(text, allowed_special=allowed, errors="replace") == expected
    assert tok.encode_batch([text], allowed_special=allowed, errors="replace") == [expected]
    for unit in ("characters", "bytes"):
        assert tok.encode_with_offsets(
            text, allowed_special=allowed, errors="replace", unit=unit  # type: ignore[arg-type]
        ) == reference.encode_with_offsets(
            text, spec, allowed_special=allowed, errors="replace", unit=unit  # type: ignore[arg-type]
        )  # fmt: skip


def test_errors_is_strict_or_replace() -> None:
    for call in (TOK.encode, TOK.encode_to_numpy, TOK.count, TOK.tokens, TOK.encode_with_offsets):
        with pytest.raises(ValueError, match=r"'strict' or 'replace', not 'ignore'"):
            call("a", errors="ignore")  # type: ignore[operator]
    for batch in (["a"], [b"a"], []):
        with pytest.raises(ValueError, match="'ignore'"):
            TOK.encode_batch(batch, errors="ignore")


# ---- bytes without a token ----------------------------------------------------------------------------


@BOTH
def test_a_missing_byte_is_named_with_its_offset_in_the_text_as_given(
    tok: Tokenizer, spec: reference.Vocabulary
) -> None:
    tokens = {id: token for id, token in BYTES.items() if token != b"z"}
    poor = replace(spec, tokens=tokens, merges=(), special_tokens={"<s>": 300}, template=((), ()))
    tokenizer = tokenizer_of(poor, LLAMA3)
    for text in ["z", "ab z", "中z", "e\u0301z", "ab<s>z", "e\u0301<s>e\u0301 z", "x" * 5000 + "z"]:
        with pytest.raises(reference.MissingByteError) as expected:
            reference.encode(text, poor, allowed_special="all")
        named = rf"0x7A.*\b{expected.value.offset}\b"
        for call in (tokenizer.encode, tokenizer.encode_with_offsets):
            with pytest.raises(EncodeError, match=named) as caught:
                call(text, allowed_special="all")  # type: ignore[operator]
            assert isinstance(caught.value, BbpeError)
        with pytest.raises(EncodeError, match=named):
            tokenizer.encode_bytes(text.encode(), allowed_special="all")
        with pytest.raises(EncodeError, match=named + r" of text 1\b"):
            tokenizer.encode_batch(["a", text], allowed_special="all")


def test_a_rank_table_needs_no_token_for_a_byte_that_merges() -> None:
    # ab merges by its bytes, so b needs no token of its own there; elsewhere it is missing.
    vocabulary = reference.Vocabulary({0: b"a", 1: b"ab", 2: b"c"}, ranks=(0, 1, 2))
    tok = tokenizer_of(vocabulary)
    assert tok.encode("cab") == reference.encode("cab", vocabulary) == [2, 1]
    for text in ("cb", "abb", "cabcbab"):
        with pytest.raises(reference.MissingByteError) as expected:
            reference.encode(text, vocabulary)
        with pytest.raises(EncodeError, match=rf"0x62.*\b{expected.value.offset}\b"):
            tok.encode(text)


# ---- offsets ------------------------------------------------------------------------------------------


@BOTH
@given(texts_with_specials(), st.sampled_from(ALLOWED), st.sampled_from(["characters", "bytes"]))
@example("か\u3099e\u0301か", (), "bytes")
@example("中é😀", (), "characters")
def test_offsets_are_those_of_the_reference(
    tok: Tokenizer, spec: reference.Vocabulary, text: str, allowed: Any, unit: Any
) -> None:
    assert tok.encode_with_offsets(text, unit=unit, allowed_special=allowed) == reference.encode_with_offsets(
        text, spec, unit=unit, allowed_special=allowed
    )


@given(st.text(st.sampled_from([*"ecka한하かは", *MARKS, *"\u1161\u11a8\u0323\u0307\u0345"]), max_size=12))
def test_offsets_of_stacked_marks_and_jamo(text: str) -> None:
    for unit in ("characters", "bytes"):
        assert TOK_NFC.encode_with_offsets(text, unit=unit) == reference.encode_with_offsets(  # type: ignore[arg-type]
            text, SPEC_NFC, unit=unit  # type: ignore[arg-type]
        )  # fmt: skip


@given(texts())
def test_offsets_in_bytes_cut_the_text_into_the_tokens(text: str) -> None:
    ids, places = TOK.encode_with_offsets(text, unit="bytes")
    data = text.encode()
    assert [data[start:end] for start, end in places] == [TOK.token(id) for id in ids]
    assert all(type(start) is int and type(end) is int for start, end in places)


def test_offsets_of_tokens_that_share_a_character_overlap() -> None:
    # 你 is e4 bd a0, one token for its first two bytes: both tokens of it touch character 0.
    tok = Tokenizer(Vocabulary({**BYTES, 256: b"\xe4\xbd"}, merges=[(0xE4, 0xBD)], pattern=LLAMA3))
    assert tok.encode_with_offsets("你!") == ([256, 160, 33], [(0, 1), (0, 1), (1, 2)])
    assert tok.encode_with_offsets("你!", unit="bytes") == ([256, 160, 33], [(0, 2), (2, 3), (3, 4)])
    assert tok.encode_with_offsets("") == ([], [])


def test_unit_is_characters_or_bytes() -> None:
    with pytest.raises(ValueError, match="'words'"):
        TOK.encode_with_offsets("a", unit="words")  # type: ignore[arg-type]


# ---- special tokens -----------------------------------------------------------------------------------


def test_arrays_of_special_tokens_are_collections_like_others() -> None:
    """An array has no truth of its own, and ``==`` makes another array of it."""
    calls = [TOK.encode, TOK.count, TOK.tokens, TOK.encode_to_numpy, TOK.encode_with_offsets, TOK.pretokens]
    for call in calls:
        for text in ("<s>a</s>", "", "a"):
            for contents in ([], ["<s>"], ["<s>", "</s>"]):
                given: Any = np.array(contents, dtype=str)
                found, wanted = call(text, allowed_special=given), call(text, allowed_special=set(contents))  # type: ignore[operator]
                assert np.array_equal(found, wanted) if isinstance(wanted, np.ndarray) else found == wanted
        for wrong in (np.array([1, 2]), np.array("<s>"), np.array(["<x>"]), np.array([None, "<s>"])):
            with pytest.raises((TypeError, EncodeError), match=r"^(allowed_special is a set|'<x>' is no special)"):
                call("<s>", allowed_special=wrong)  # type: ignore[operator]
    assert TOK.encode_bytes(b"<s>", allowed_special=np.array(["<s>"])) == [1000]  # type: ignore[arg-type]
    assert TOK.encode_batch(["<s>", ""], allowed_special=np.array(["<s>", "</s>"])) == [[1000], []]  # type: ignore[arg-type]


def test_special_tokens_are_plain_text_unless_allowed() -> None:
    plain = TOK.encode("<s>")
    assert TOK.decode(plain) == "<s>"
    assert 1000 not in plain
    assert TOK.encode("<s>", allowed_special={"</s>"}) == plain
    assert TOK.encode("<s>", allowed_special={"<s>"}) == TOK.encode("<s>", allowed_special="all") == [1000]
    assert TOK.encode("<s>", allowed_special=["<s>"]) == TOK.encode("<s>", allowed_special=frozenset({"<s>"})) == [1000]
    assert TOK.special_tokens == SPECIALS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|x|>>", [1003]),  # the longest at a place
        ("<|x|>>>", [1003, ord(">")]),
        ("<<|x|>", [ord("<"), 1002]),
        ("<|x|<|x|>", [*TOK.encode("<|x|"), 1002]),  # a beginning of it stands before it
        ("<s><s></s>", [1000, 1000, 1001]),  # nothing between
        ("<s>中", [1000, *TOK.encode("中")]),  # at the edges
        ("中<s>", [*TOK.encode("中"), 1000]),
        ("结束结束<s>", [1004, 1004, 1000]),
        ("a  <s>", [*TOK.encode("a"), *TOK.encode("  "), 1000]),  # what is before it ends there
    ],
)
def test_special_tokens_beside_one_another_and_at_the_edges(text: str, expected: list[int]) -> None:
    assert TOK.encode(text, allowed_special="all") == expected
    assert reference.encode(text, SPEC, allowed_special="all") == expected


def test_the_longest_allowed_counts_and_not_the_longest_known() -> None:
    assert TOK.encode("<|x|>>", allowed_special={"<|x|>"}) == [1002, ord(">")]


@pytest.mark.parametrize("text", ["", "a", "<s>"])
def test_an_unknown_allowed_name_is_refused_whatever_the_text(text: str) -> None:
    calls: list[Callable[..., Any]] = [TOK.encode, TOK.encode_to_numpy, TOK.count, TOK.tokens, TOK.encode_with_offsets]
    for call in calls:
        with pytest.raises(EncodeError, match=r"'<nope>' is no special token.*'<s>'"):
            call(text, allowed_special={"<s>", "<nope>"})
    with pytest.raises(EncodeError, match="'<nope>'"):
        TOK.encode_bytes(text.encode(), allowed_special={"<nope>"})
    for batch in ([text], []):
        with pytest.raises(EncodeError, match="'<nope>'"):
            TOK.encode_batch(batch, allowed_special={"<nope>"})


@pytest.mark.parametrize("allowed", ["<s>", "ALL", ""])
def test_a_bare_string_other_than_all_is_refused(allowed: str) -> None:
    with pytest.raises(ValueError, match="'all'"):
        TOK.encode("a<s>", allowed_special=allowed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "allowed", [None, 5, True, b"<s>", [1], [None], [b"<s>"], [["<s>"]], [np.array(["<s>"])]], ids=repr
)
def test_allowed_special_tokens_are_strings(allowed: Any) -> None:
    calls: list[Callable[..., Any]] = [TOK.encode, TOK.encode_to_numpy, TOK.count, TOK.tokens, TOK.encode_with_offsets]
    for call in calls:
        with pytest.raises(TypeError, match=r"^allowed_special is a set of special tokens or 'all'"):
            call("a<s>", allowed_special=allowed)
    with pytest.raises(TypeError, match=r"^allowed_special"):
        TOK.encode_batch(["a<s>"], allowed_special=allowed)


def test_an_empty_set_allows_nothing() -> None:
    for nothing in ((), [], set(), frozenset(), {}):
        assert TOK.encode("a<s>", allowed_special=nothing) == TOK.encode("a<s>")
        assert TOK.count("a<s>", allowed_special=nothing) == TOK.count("a<s>")


def flagged() -> Tokenizer:
    specials = [
        SpecialToken("<l>", 300, lstrip=True),
        SpecialToken("<r>", 301, rstrip=True),
        SpecialToken("<lr>", 302, lstrip=True, rstrip=True),
        SpecialToken("word", 303, single_word=True),
        SpecialToken("wordy", 304),
    ]
    return Tokenizer(Vocabulary(BYTES, merges=[], special_tokens=specials, pattern=LLAMA3))


# The expected ids are those of tokenizers' AddedToken with the same flags.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <l> b", [97, 300, 32, 98]),
        ("a \n\t<l>", [97, 300]),
        ("a\u3000<l>\u3000", [97, 300, *"\u3000".encode()]),
        ("a <r> b", [97, 32, 301, 98]),
        ("<r>\u3000\n", [301]),
        ("  <lr>  <lr>  ", [302, 302]),
        ("<r>  <l>", [301, 300]),  # the first takes the spaces; none are left for the second
        ("<lr>", [302]),
        ("word", [303]),
        ("a word.", [97, 32, 303, 46]),
        ("swords", [*b"swords"]),
        ("word中", [*"word中".encode()]),  # a character of Chinese is part of a word
        ("中word", [*"中word".encode()]),
        ("é word", [*"é ".encode(), 303]),
        ("éword", [*"éword".encode()]),
        ("。word，", [*"。".encode(), 303, *"，".encode()]),
        ("_word 1word", [*b"_word 1word"]),
        ("swordy", [ord("s"), 304]),
    ],
)
def test_lstrip_rstrip_and_single_word(text: str, expected: list[int]) -> None:
    tok = flagged()
    assert tok.encode(text, allowed_special="all") == expected
    assert tok.encode_bytes(text.encode(), allowed_special="all") == expected
    ids, places = tok.encode_with_offsets(text, allowed_special="all", unit="bytes")
    assert ids == expected
    assert [start for start, _ in places] == [0, *(end for _, end in places)][:-1]  # no gap, no overlap
    assert places[-1][1] == len(text.encode())


def test_flags_of_special_tokens_are_those_of_tokenizers() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tok = flagged()
    peer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={}, merges=[]))
    peer.add_special_tokens(
        [
            tokenizers.AddedToken(
                special.content, lstrip=special.lstrip, rstrip=special.rstrip, single_word=special.single_word,
                normalized=False,
            )
            for special in tok.vocabulary.special_tokens
        ]
    )  # fmt: skip
    by_content = {special.content: special.id for special in tok.vocabulary.special_tokens}
    names = {peer.token_to_id(content): id for content, id in by_content.items()}
    rng = random.Random(6)
    parts = [
        *by_content,
        *by_content,
        " ",
        "\n",
        "\u3000",
        "\u00a0",
        "a",
        "中",
        "é",
        ".",
        "_",
        "1",
        "，",
        "<",
        "y",
        "s",
    ]
    for _ in range(4000):
        text = "".join(rng.choices(parts, k=rng.randint(1, 7)))
        expected = [names[id] for id in peer.encode(text).ids]  # ordinary text has no ids there
        ids = [id for id in tok.encode(text, allowed_special="all") if id >= 300]
        assert ids == expected, text
        ids, places = tok.encode_with_offsets(text, allowed_special="all")
        found = [place for id, place in zip(ids, places, strict=True) if id >= 300]
        assert found == peer.encode(text).offsets, text


# ---- the template -------------------------------------------------------------------------------------


@given(texts())
def test_the_template_is_added_only_on_request(text: str) -> None:
    assert TOK.encode(text, add_template=True) == [1000, *TOK.encode(text), 1001, 1001]
    assert TOK.encode(text, add_template=True) == reference.encode(text, SPEC, add_template=True)


def test_a_vocabulary_without_a_template_adds_nothing() -> None:
    tok = flagged()
    assert tok.encode("a", add_template=True) == tok.encode("a") == [97]


# ---- sizes --------------------------------------------------------------------------------------------


def test_sizes_and_parts_are_those_of_the_vocabulary() -> None:
    assert len(TOK) == TOK.vocab_size == TOK.vocabulary.vocab_size == 256 + 300 + 5
    assert TOK.id_space == 1005
    assert TOK.pattern == LLAMA3
    assert TOK.engine == "bbpe"
    assert TOK.training_record is None
    assert "561" in repr(TOK)


# ---- truncated ----------------------------------------------------------------------------------------


@given(pretoken_counts(b"ab"), st.integers(0, 12), st.lists(st.sampled_from(["<a>", "<b>"]), unique=True))
def test_truncated_is_training_with_a_smaller_size(
    pretokens: dict[bytes, int], removed: int, specials: list[str]
) -> None:
    def learned(vocab_size: int) -> reference.Learned:
        return reference.learn_merges(pretokens, vocab_size=vocab_size, special_tokens=specials)

    large = learned(280)
    size = len(large.vocabulary) - removed
    assume(removed <= len(large.merges))
    small = tokenizer_of(learned(size).vocabulary, LLAMA3)
    truncated = tokenizer_of(large.vocabulary, LLAMA3).truncated(size)
    assert truncated.vocabulary == small.vocabulary
    assert (len(truncated), truncated.id_space) == (size, size)
    for pretoken in pretokens:
        assert truncated.encode_bytes(pretoken) == small.encode_bytes(pretoken)


def test_truncated_rank_tables_templates_and_flags() -> None:
    vocabulary = Vocabulary(
        {**BYTES, 256: b"ab", 257: b"abc"}, whole_pretoken=True, pattern=LLAMA3, normalizer="NFC",
        special_tokens=[SpecialToken("<s>", 258, lstrip=True)], template=Template((258,), (65, 258)),
    )  # fmt: skip
    truncated = Tokenizer(vocabulary).truncated(258).vocabulary
    assert truncated == Vocabulary(
        {**BYTES, 256: b"ab"}, whole_pretoken=True, pattern=LLAMA3, normalizer="NFC",
        special_tokens=[SpecialToken("<s>", 257, lstrip=True)], template=Template((257,), (65, 257)),
    )  # fmt: skip
    assert Tokenizer(vocabulary).truncated(259).vocabulary == vocabulary


@pytest.mark.parametrize("size", [256, 260, 0, -1])
def test_truncated_to_an_impossible_size_names_the_possible_ones(size: int) -> None:
    tok = Tokenizer(
        Vocabulary({**BYTES, 256: b"ab", 257: b"abc"}, merges=[(97, 98), (256, 99)], pattern=LLAMA3,
                   special_tokens=[SpecialToken("<s>", 258)])
    )  # fmt: skip
    with pytest.raises(ValueError, match=rf"{size} .*257 .*259"):
        tok.truncated(size)
    for wrong in (257.0, "257", None, True):
        with pytest.raises(TypeError, match="vocab_size"):
            tok.truncated(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "vocabulary",
    [
        # Ids do not follow ranks.
        Vocabulary({**BYTES, 256: b"ab", 257: b"bc"}, merges=[(98, 99), (97, 98)], pattern=LLAMA3),
        Vocabulary({**BYTES, 256: b"ab", 257: b"bc"}, ranks=[*range(256), 257, 256], pattern=LLAMA3),
        # Two merges make one token.
        Vocabulary(
            {**BYTES, 256: b"ab", 257: b"bc", 258: b"abc"},
            merges=[(97, 98), (98, 99), (256, 99), (97, 257)],
            pattern=LLAMA3,
        ),
    ],
    ids=["merges", "ranks", "two merges"],
)
def test_truncated_is_refused_where_a_prefix_of_the_merges_is_no_smaller_vocabulary(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="cannot be truncated"):
        Tokenizer(vocabulary).truncated(257)


def test_truncated_where_bytes_come_after_merges_stays_sound_or_is_a_value_error() -> None:
    tokens = {0: b"ab", 1: b"abc"} | {1000 + value: bytes([value]) for value in range(256)}
    vocabulary = Vocabulary(
        tokens, merges=[(1097, 1098), (0, 1099)], pattern=LLAMA3, special_tokens=[SpecialToken("<s>", 1256)]
    )
    truncated = Tokenizer(vocabulary).truncated(258)
    assert truncated.encode("abc") == [0, 1099]
    assert truncated.decode(truncated.encode("<s>\xff", allowed_special="all")) == "<s>\xff"


# ---- no input is quadratic ----------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["<", "<s>", "<|x|", " <s> ", "a<s>", "  "])
def test_looking_for_special_tokens_is_linear(unit: str) -> None:
    tok = Tokenizer(
        Vocabulary(BYTES, merges=[], pattern=LLAMA3, special_tokens=[
            SpecialToken("<s>", 300, lstrip=True, rstrip=True), SpecialToken("<|x|>", 301, single_word=True),
            SpecialToken("<|x|>>", 302),
        ])
    )  # fmt: skip
    assert_linear(lambda size: tok.encode(unit * size, allowed_special="all"), 10_000)
    assert_linear(lambda size: tok.encode_bytes((unit * size).encode(), allowed_special="all"), 10_000)


@pytest.mark.parametrize("unit", ["中文", "e\u0301", "\u0301", "\u0301\u0323", "\u0f73", "한\u11a8", "か\u3099"])
def test_normalizing_and_offsets_are_linear(unit: str) -> None:
    assert_linear(lambda size: TOK_NFC.encode(unit * size), 4000)
    assert_linear(lambda size: TOK_NFC.encode_with_offsets(unit * size), 2000)


def test_batches_lists_and_decoding_are_linear() -> None:
    ids = np.frombuffer("中a".encode() * 10, dtype=np.uint8)
    assert_linear(lambda size: TOK.encode_batch(["a b"] * size, threads=1), 20_000)
    assert_linear(lambda size: TOK.encode_with_offsets("中a" * size), 10_000)
    assert_linear(lambda size: TOK.decode(np.resize(ids, size)), 300_000)
    assert_linear(lambda size: TOK.decode(np.resize(ids, size).tolist()), 100_000)
    assert_linear(lambda size: [decoder.add(id) for decoder in [TOK.decoder()] for id in b"a" * size], 10_000)


@given(vocabularies(), documents())
def test_a_vocabulary_of_two_letters_encodes_what_it_has_and_names_what_it_lacks(
    vocabulary: reference.Vocabulary, text: bytes
) -> None:
    tokenizer = tokenizer_of(vocabulary)
    try:
        expected = reference.encode(text, vocabulary)
    except reference.MissingByteError as error:
        with pytest.raises(EncodeError, match=rf"0x{error.byte:02X}.*\b{error.offset}\b"):
            tokenizer.encode_bytes(text)
    else:
        assert tokenizer.encode_bytes(text) == expected


def test_text_that_is_normalized_at_a_glance_is_normalized() -> None:
    """Where all characters are stable, nothing is left to do, in whatever order they stand."""
    stable = [character for character in map(chr, range(0x10000)) if all_stable([character])]
    assert len(stable) > 40_000
    assert not all_stable(["a\u0301"])
    assert not all_stable(["ok", "\u212b"])
    assert not all_stable(["\U00020000"])
    joining = _joining()
    for character in stable:
        assert unicodedata.normalize("NFC", character) == character
        assert unicodedata.combining(character) == 0
        assert character not in joining
