"""Decoding: the bytes of ids and nothing else; what is no id is refused with its place; streams split no character."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import documents, sliced_vocabularies, tokenizer_of

from bbpe import Decoder, SpecialToken, Tokenizer, Vocabulary, get_pattern, reference
from bbpe.errors import EncodeError

BYTES = reference.byte_tokens()
CHINESE_AND_EMOJI = "你好，世界！👩‍💻在🇨🇳写代码👍🏽，e\u0301té ❤️。"


@pytest.fixture(scope="module")
def tok() -> Tokenizer:
    """Bytes, three longer tokens (one inside characters), special tokens, holes: ids 259 and 261-299 are none."""
    tokens = BYTES | {256: "你好".encode(), 257: b"a" * 40, 258: b"\xbd\xa0\xe5"}
    specials = [SpecialToken("<s>", 260), SpecialToken("<结束>", 300)]
    return Tokenizer(Vocabulary(tokens, merges=[], special_tokens=specials, pattern=get_pattern("llama3")))


# ---- what comes out -----------------------------------------------------------------------------------


@given(sliced_vocabularies(), st.lists(documents(), max_size=3))
def test_decoding_undoes_encoding(case: tuple[reference.Vocabulary, list[bytes]], texts: list[bytes]) -> None:
    vocabulary, more = case
    tokenizer = tokenizer_of(vocabulary)
    for text in [*texts, *more]:
        ids = tokenizer.encode_bytes(text)
        assert tokenizer.decode_bytes(ids) == text
        assert tokenizer.decode_bytes(np.array(ids, dtype=np.uint32)) == text
        assert tokenizer.decode(ids) == text.decode("utf-8", "replace")
        assert b"".join(map(tokenizer.token, ids)) == text


@given(st.lists(st.sampled_from([*range(259), 260, 300]), max_size=60))
def test_any_ids_decode_as_the_reference_says(tok: Tokenizer, ids: list[int]) -> None:
    vocabulary = reference.Vocabulary(tok.vocabulary.tokens, merges=(), special_tokens=tok.special_tokens)
    expected = reference.decode_bytes(ids, vocabulary)
    for form in (ids, tuple(ids), np.array(ids, dtype=np.int64), np.array(ids, dtype=np.uint16)):
        assert tok.decode_bytes(form) == expected
        assert tok.decode(form) == reference.decode(ids, vocabulary)
    assert tok.decode(ids, errors="ignore") == expected.decode("utf-8", "ignore")


def test_errors_is_as_for_bytes_decode(tok: Tokenizer) -> None:
    assert tok.decode([0xE4, 0xBD]) == "\ufffd"
    assert tok.decode([0xE4, 0xBD], errors="backslashreplace") == r"\xe4\xbd"
    with pytest.raises(UnicodeDecodeError):
        tok.decode([0xE4, 0xBD], errors="strict")
    with pytest.raises(LookupError):
        tok.decode([0xE4, 0xBD], errors="no such handler")


EVERY_KIND = ["", "a", "é", "中", "😀", "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff", "ࠀ퟿\ue000"]


@pytest.mark.parametrize("unit", EVERY_KIND)
@pytest.mark.parametrize("before", EVERY_KIND)
def test_a_str_is_as_python_makes_it_whatever_its_widest_character(tok: Tokenizer, unit: str, before: str) -> None:
    # Equal and hashed alike only if the kind is the narrowest that does; lengths around the steps of eight bytes.
    for times in (1, 3, 8, 17):
        for after in ("", "a" * 7, "b" * 19):
            text = before + unit * times + after
            decoded = tok.decode(list(text.encode()))
            assert decoded == text
            assert sys.getsizeof(decoded) <= sys.getsizeof("".join(text)) + 32
            assert {decoded: 1}[text] == 1
            assert decoded.encode() == text.encode()


@given(st.lists(st.one_of(st.binary(max_size=6), st.text(max_size=6).map(lambda text: text.encode()))), st.data())
def test_bytes_that_are_no_text_decode_as_in_python(parts: list[bytes], data: st.DataObject) -> None:
    tokenizer = tokenizer_of(reference.Vocabulary(BYTES, merges=()))
    whole = b"".join(parts)
    errors = data.draw(st.sampled_from(["replace", "ignore", "backslashreplace", "surrogateescape"]))
    assert tokenizer.decode(list(whole), errors=errors) == whole.decode("utf-8", errors)
    assert tokenizer.decode(np.frombuffer(whole, np.uint8), errors=errors) == whole.decode("utf-8", errors)


def test_ids_past_those_whose_bytes_are_kept_by_id() -> None:
    far = (1 << 20) - 1
    tokens = BYTES | {far: b"before", far + 1: b"behind", far + 2: "长于十六字节的一个词".encode()}
    tokenizer = Tokenizer(Vocabulary(tokens, merges=[], pattern=get_pattern("llama3")))
    ids = [far, far + 1, 97, far + 2, far]
    assert tokenizer.decode_bytes(ids) == b"".join(tokens[id] for id in ids)
    with pytest.raises(EncodeError, match=rf"id {far + 3} at position 1 "):
        tokenizer.decode_bytes([97, far + 3])


def test_tokens_of_each_length_beside_one_another() -> None:
    # Copies of 16 bytes at a time must not run past the end nor over what follows.
    tokens = BYTES | {256 + length: bytes([65 + length % 26]) * length for length in range(2, 40)}
    tokenizer = Tokenizer(Vocabulary(tokens, merges=[], pattern=get_pattern("llama3")))
    rng = random.Random(2)
    for count in range(1, 60):
        ids = rng.choices([97, *range(258, 296)], k=count)
        assert tokenizer.decode_bytes(ids) == b"".join(tokens[id] for id in ids)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, ">u4", ">i8", "<u2"]
)
def test_arrays_of_every_kind_of_integer(tok: Tokenizer, dtype: Any) -> None:
    ids = [72, 105, 33]
    array = np.array(ids, dtype=dtype)
    assert tok.decode_bytes(array) == b"Hi!"
    assert tok.decode_bytes(np.repeat(array, 2)[::2]) == b"Hi!"  # not contiguous
    assert tok.decode_bytes(array[::-1]) == b"!iH"
    array.flags.writeable = False
    assert tok.decode_bytes(array) == b"Hi!"
    assert tok.decode_bytes(array[:0]) == b""


def test_numpy_integers_and_other_sequences(tok: Tokenizer) -> None:
    assert tok.decode([np.uint32(72), np.int64(105)]) == "Hi"
    assert tok.decode(range(65, 68)) == "ABC"
    assert tok.decode([]) == tok.decode(()) == ""
    assert tok.token(np.uint16(260)) == b"<s>"  # type: ignore[arg-type]


# ---- refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", [-1, 259, 261, 299, 301, 2**31, 2**32 - 1, 2**32, 2**32 + 65, 2**63, 2**64 + 65, -(2**70)]
)
def test_an_id_that_is_none_names_itself_and_its_position(tok: Tokenizer, bad: int) -> None:
    with pytest.raises(EncodeError, match=rf"{bad} at position 2\b"):
        tok.decode([65, 66, bad, 67])
    with pytest.raises(EncodeError, match=rf"{bad} at position 0\b"):
        tok.token(bad)
    with pytest.raises(EncodeError, match=rf"{bad}\b"):
        tok.decoder().add(bad)
    for dtype in (np.int16, np.int32, np.uint32, np.int64, np.uint64):
        if np.iinfo(dtype).min <= bad <= np.iinfo(dtype).max:
            with pytest.raises(EncodeError, match=rf"{bad} at position 2\b"):
                tok.decode(np.array([65, 66, bad, 67], dtype=dtype))


def test_the_same_where_ids_are_sparse() -> None:
    tokenizer = Tokenizer(Vocabulary({0: b"a", 4_000_000_000: b"b"}, merges=[], pattern=get_pattern("llama3")))
    assert tokenizer.decode([4_000_000_000, 0]) == "ba"
    assert tokenizer.decode(np.array([4_000_000_000, 0])) == "ba"
    for bad in (1, 3_999_999_999, 4_000_000_001, 2**32 - 1, -1):
        with pytest.raises(EncodeError, match=rf"{bad} at position 1\b"):
            tokenizer.decode([0, bad])
        with pytest.raises(EncodeError, match=rf"{bad} at position 1\b"):
            tokenizer.decode(np.array([0, bad]))


def test_a_vocabulary_without_tokens_has_no_ids() -> None:
    tokenizer = Tokenizer(Vocabulary({}, pattern=get_pattern("llama3")))
    assert tokenizer.decode([]) == ""
    with pytest.raises(EncodeError, match=r"id 0 at position 0\b(?!.*\d{10})"):
        tokenizer.decode([0])


@pytest.mark.parametrize("bad", [1.0, "1", None, True, np.True_, np.float32(1), b"1", [65]], ids=repr)
def test_what_is_no_integer_names_itself_and_its_position(tok: Tokenizer, bad: object) -> None:
    with pytest.raises(TypeError, match=r"position 1\b"):
        tok.decode([65, bad])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        tok.token(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "array",
    [
        np.array([65.0]),
        np.array([True]),
        np.array([65], dtype=object),
        np.array(["65"]),
        np.array([65], dtype="m8[s]"),
        np.array([65], dtype=complex),
    ],
    ids=lambda array: str(array.dtype),
)
def test_an_array_of_another_kind_is_refused(tok: Tokenizer, array: Any) -> None:
    with pytest.raises(TypeError, match="integers"):
        tok.decode(array)


@pytest.mark.parametrize("shape", [(), (1, 1), (2, 2), (0, 3)])
def test_an_array_of_another_shape_is_refused(tok: Tokenizer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"one dimension"):
        tok.decode(np.zeros(shape, dtype=np.uint32))


@pytest.mark.parametrize("ids", ["65", 65, None, b"AB"], ids=repr)
def test_what_is_no_sequence_of_ids_is_refused(tok: Tokenizer, ids: Any) -> None:
    with pytest.raises(TypeError):
        tok.decode(ids)


# ---- streaming ----------------------------------------------------------------------------------------


def streamed(decoder: Decoder, groups: Sequence[Sequence[int]]) -> list[str]:
    return [*(decoder.add(group) for group in groups), decoder.finish()]


def assert_never_half_a_character(parts: list[str], data: bytes, lengths: list[int]) -> None:
    """After each part all whole characters of the bytes so far have been shown, and nothing else."""
    shown, at = "", 0
    for part, length in zip(parts[:-1], lengths, strict=True):
        shown += part
        at += length
        assert shown == data[:at].decode("utf-8", "ignore")  # valid text: what is ignored is an unfinished end
    assert shown + parts[-1] == data.decode()


def test_every_split_in_two_and_every_byte_alone(tok: Tokenizer) -> None:
    data = CHINESE_AND_EMOJI.encode()
    for at in range(len(data) + 1):
        groups = [list(data[:at]), list(data[at:])]
        assert_never_half_a_character(streamed(tok.decoder(), groups), data, [at, len(data) - at])
    assert_never_half_a_character(streamed(tok.decoder(), [[byte] for byte in data]), data, [1] * len(data))


def test_every_split_in_three(tok: Tokenizer) -> None:
    data = "中👍e\u0301。".encode()
    decoder = tok.decoder()
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            groups = [list(data[:first]), list(data[first:second]), list(data[second:])]
            assert_never_half_a_character(streamed(decoder, groups), data, [len(group) for group in groups])


def test_tokens_that_begin_and_end_inside_characters(tok: Tokenizer) -> None:
    assert streamed(tok.decoder(), [[0xE4], [258], [0xA5, 0xBD], [256]]) == ["", "你", "好", "你好", ""]


def test_one_id_at_a_time_of_real_text(read_corpus: Callable[..., bytes]) -> None:
    text = (read_corpus("emoji-social.txt", 6000) + read_corpus("zh-small.txt", 6000)).decode()
    learned = reference.learn_merges({text[at : at + 9].encode(): 1 for at in range(0, 1200, 9)}, num_merges=60)
    tokenizer = tokenizer_of(learned.vocabulary, get_pattern("llama3"))
    ids = tokenizer.encode(text)
    lengths = [len(tokenizer.token(id)) for id in ids]
    decoder = tokenizer.decoder()
    assert_never_half_a_character([*map(decoder.add, ids), decoder.finish()], text.encode(), lengths)


@given(documents(), st.lists(st.integers(0, 60), max_size=8))
def test_any_bytes_in_any_groups_give_what_all_at_once_give(tok: Tokenizer, data: bytes, places: list[int]) -> None:
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    groups = [list(data[start:end]) for start, end in pairwise(edges)]
    assert "".join(streamed(tok.decoder(), groups)) == data.decode("utf-8", "replace")
    vocabulary = reference.Vocabulary(BYTES)
    assert streamed(tok.decoder(), [[byte] for byte in data]) == list(reference.decode_stream(data, vocabulary))


def test_finish_shows_what_is_unfinished_and_starts_anew(tok: Tokenizer) -> None:
    decoder = tok.decoder()
    assert [decoder.add(0xE4), decoder.add(0xBD), decoder.finish(), decoder.finish()] == ["", "", "\ufffd", ""]
    assert [decoder.add(0xA0), decoder.finish()] == ["\ufffd", ""]
    ignoring = tok.decoder(errors="ignore")
    assert [ignoring.add([0xE4, 65]), ignoring.add(0xE4), ignoring.finish()] == ["A", "", ""]


def test_a_refused_id_leaves_the_stream_as_it_was(tok: Tokenizer) -> None:
    decoder = tok.decoder()
    assert decoder.add([0xE4, 0xBD]) == ""
    with pytest.raises(EncodeError, match="259"):
        decoder.add([0xA0, 259])
    with pytest.raises(TypeError):
        decoder.add(1.5)  # type: ignore[arg-type]
    assert decoder.add(np.array([0xA0])) == "你"


def test_a_strict_stream_starts_anew_after_its_error(tok: Tokenizer) -> None:
    decoder = tok.decoder(errors="strict")
    decoder.add(0xE4)
    with pytest.raises(UnicodeDecodeError):
        decoder.finish()
    assert [decoder.add(65), decoder.finish()] == ["A", ""]


def test_two_streams_do_not_mix(tok: Tokenizer) -> None:
    one, other = tok.decoder(), tok.decoder()
    assert [one.add(0xE4), other.add(65), one.add([0xBD, 0xA0]), other.finish()] == ["", "A", "你", ""]


def test_special_tokens_are_shown(tok: Tokenizer) -> None:
    assert tok.decode([260, 65, 300]) == "<s>A<结束>"
    assert streamed(tok.decoder(), [[260], [0xE4], [300]]) == ["<s>", "", "\ufffd<结束>", ""]
