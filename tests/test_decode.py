"""Decoding: the bytes of ids and nothing else; what is no id is refused with its place; streams split no character."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import documents, sliced_vocabularies, tokenizer_of

import bbpe
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
    for ids in ([65], [0xE4], np.array([65])):
        for errors in (None, 5):
            with pytest.raises(TypeError):
                tok.decode(ids, errors=errors)  # type: ignore[arg-type]


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


def test_a_list_that_changes_while_it_is_read(tok: Tokenizer) -> None:
    class Emptying:
        def __index__(self) -> int:
            ids.clear()
            return 65

    class Growing:
        def __index__(self) -> int:
            ids.extend([66] * 1000)
            return 65

    ids: list[Any]
    for item in (Emptying(), Growing()):
        ids = [item, *range(65, 90)]
        with pytest.raises(RuntimeError, match="changed its length"):
            tok.decode(ids)


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


@pytest.mark.parametrize(
    "bad",
    [1.0, float("nan"), "1", None, True, np.True_, np.float32(1), b"1", [65], np.array([65]), Decimal(65)],
    ids=repr,
)
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


def test_a_masked_array_is_refused_where_something_is_masked(tok: Tokenizer) -> None:
    with pytest.raises(TypeError, match="position 1 is masked"):
        tok.decode(np.ma.array([65, 66], mask=[False, True]))
    assert tok.decode(np.ma.array([65, 66])) == "AB"


class _Liar:
    def __index__(self) -> Any:
        return "65"


def test_ids_that_run_code_of_their_own(tok: Tokenizer) -> None:
    with pytest.raises(TypeError, match="position 1"):
        tok.decode([65, _Liar()])  # type: ignore[list-item]


def test_what_is_refused_is_shown_at_a_readable_length(tok: Tokenizer) -> None:
    with pytest.raises(EncodeError, match=r"id of 33,220 bits at position 0 is not an id"):
        tok.decode([10**10_000])  # more digits than Python writes
    with pytest.raises(TypeError, match=r"position 0 is 'aaa.*…$") as caught:
        tok.decode(["a" * 10_000])  # type: ignore[list-item]
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    "ids", ["65", 65, None, b"AB", bytearray(b"A"), memoryview(b"A"), {65: 1}, {65, 66}, 6.5], ids=repr
)
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


def test_a_strict_stream_that_was_given_invalid_bytes_starts_anew_behind_them(tok: Tokenizer) -> None:
    decoder = tok.decoder(errors="strict")
    assert decoder.add(0xE4) == ""
    with pytest.raises(UnicodeDecodeError) as caught:
        decoder.add([65, 66])  # a character that is never finished
    assert caught.value.object == b"\xe4AB"  # nothing is lost
    assert [decoder.add(67), decoder.finish()] == ["C", ""]
    with pytest.raises(UnicodeDecodeError) as caught:
        decoder.add([*"中文".encode(), 0xFF])
    assert caught.value.object == "中文".encode() + b"\xff"
    assert decoder.add(list("中".encode())) == "中"


@pytest.mark.parametrize("errors", ["nonsense", "", None, 5], ids=repr)
def test_a_way_to_treat_errors_that_there_is_not_is_refused_at_once(tok: Tokenizer, errors: Any) -> None:
    with pytest.raises((LookupError, TypeError)):
        tok.decoder(errors=errors)


@pytest.mark.parametrize("errors", ["replace", "ignore", "backslashreplace", "surrogateescape"])
def test_a_stream_cut_off_inside_a_character(tok: Tokenizer, errors: str) -> None:
    data = CHINESE_AND_EMOJI.encode()
    for end in range(len(data) + 1):
        decoder = tok.decoder(errors=errors)
        shown = [decoder.add(byte) for byte in data[:end]]
        whole = data[:end].decode("utf-8", "ignore")
        assert "".join(shown) == whole
        assert whole + decoder.finish() == data[:end].decode("utf-8", errors)
        assert decoder.add(65) == "A"


@pytest.mark.parametrize(
    "broken", [b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xbd", b"\xf0\x9f\x98", b"\xff"]
)
def test_invalid_bytes_inside_a_stream_are_shown_as_all_at_once(tok: Tokenizer, broken: bytes) -> None:
    whole = "中👍".encode()
    for at in range(len(whole) + 1):
        data = whole[:at] + broken + whole[at:]
        for errors in ("replace", "ignore", "backslashreplace"):
            for size in (1, 2, 3):
                groups = [list(data[start : start + size]) for start in range(0, len(data), size)]
                assert "".join(streamed(tok.decoder(errors), groups)) == data.decode("utf-8", errors)


PUBLISHED = (
    "cl100k_base",
    "o200k_base",
    "qwen2",
)  # with 645, 1434 and 1320 tokens that begin or end inside a character


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request: pytest.FixtureRequest, bbpe_home: Path) -> Tokenizer:
    folder = bbpe_home / "vocabs" / request.param
    tokenizer = bbpe.load(next(path for path in sorted(folder.iterdir()) if path.name.split(".")[0] == request.param))
    assert isinstance(tokenizer, Tokenizer)
    return tokenizer


def test_every_token_of_a_published_vocabulary_one_at_a_time(
    published: Tokenizer, read_corpus: Callable[..., bytes]
) -> None:
    for corpus in ("zh-small.txt", "zh-classical.txt", "emoji-social.txt"):
        text = read_corpus(corpus, 30_000).decode()
        ids = published.encode(text)
        lengths = [len(published.token(id)) for id in ids]
        decoder = published.decoder()
        assert_never_half_a_character([*map(decoder.add, ids), decoder.finish()], text.encode(), lengths)
        for size in (2, 3, 7):
            parts = [decoder.add(ids[at : at + size]) for at in range(0, len(ids), size)]
            assert "".join(parts) + decoder.finish() == text


def test_every_split_of_real_text(published: Tokenizer, read_corpus: Callable[..., bytes]) -> None:
    """In two anywhere between its tokens, and in two anywhere between its bytes, which are tokens as well."""
    byte_ids = [published.vocabulary.ids[bytes([byte])] for byte in range(256)]
    for corpus in ("zh-small.txt", "emoji-social.txt"):
        text = read_corpus(corpus, 2_400).decode()
        data = text.encode()
        for ids in (published.encode(text), [byte_ids[byte] for byte in data]):
            lengths = [len(published.token(id)) for id in ids]
            at = 0
            for place, length in enumerate(lengths):
                decoder = published.decoder()
                first = decoder.add(ids[:place])
                assert first == data[:at].decode("utf-8", "ignore")
                assert first + decoder.add(ids[place:]) + decoder.finish() == text
                at += length


def test_two_streams_do_not_mix(tok: Tokenizer) -> None:
    one, other = tok.decoder(), tok.decoder()
    assert [one.add(0xE4), other.add(65), one.add([0xBD, 0xA0]), other.finish()] == ["", "A", "你", ""]


def test_special_tokens_are_shown(tok: Tokenizer) -> None:
    assert tok.decode([260, 65, 300]) == "<s>A<结束>"
    assert streamed(tok.decoder(), [[260], [0xE4], [300]]) == ["<s>", "", "\ufffd<结束>", ""]
