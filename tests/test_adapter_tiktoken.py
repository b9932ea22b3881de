"""The same script against ``tiktoken.Encoding`` and against bbpe in its shape: equal results, equal exceptions."""

from __future__ import annotations

import copy
import pickle
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken

import bbpe
from bbpe.adapters.tiktoken_encoding import TiktokenEncoding, as_tiktoken
from bbpe.errors import FormatError, MissingByteError
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import Vocabulary

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
SPECIALS = ["<|endoftext|>", "<|fim|>", "<|endofprompt|>"]
TEXTS = [
    "",
    " ",
    "hello world",
    "hello fanta",
    "中文字符 and English, 123456!\n\n  indented\n",
    "don't DON'T I'll 我'll",
    "😀👩‍👩‍👧‍👦🇨🇳 é ｶﾞ",
    "<|endoftext|>",
    "a<|endoftext|>b<|fim|>",
    "<|endoftext|><|endofprompt|> <|end",
    "\r\n \r\n\t\t x\n \n",
    "a\ud83d\ude00b\ud800",
    "\udc00",
    "\x00\x1c\x85\u3000",
]


@pytest.fixture(scope="module", params=["tiny", "o200k_base"])
def pair(request: pytest.FixtureRequest) -> tuple[tiktoken.Encoding, TiktokenEncoding]:
    """tiktoken and bbpe with one vocabulary."""
    if request.param == "tiny":
        tokenizer = bbpe.train(TINY / "train", 1500, pattern="cl100k", special_tokens=SPECIALS)
    else:
        request.getfixturevalue("bbpe_home")
        loaded = bbpe.load(request.param)
        assert isinstance(loaded, Tokenizer)
        tokenizer = loaded
    theirs = tiktoken.Encoding(
        request.param,
        pat_str=str(tokenizer.pattern.spelling("tiktoken")),
        mergeable_ranks=dict(tokenizer.vocabulary.ids),
        special_tokens=tokenizer.special_tokens,
    )
    return theirs, as_tiktoken(tokenizer, request.param)


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gives or raises; the words too where programs may look at them, without the position that we add."""
    try:
        value = call()
    except (ValueError, KeyError) as error:
        words = re.sub(r" at position [0-9]+( \(list [0-9]+\))?", "", str(error))
        return type(error), None if isinstance(error, UnicodeError) else words
    except Exception as error:
        return type(error)
    if isinstance(value, np.ndarray):
        return value.dtype, value.tolist()
    return value


def same(pair: tuple[Any, Any], call: Callable[[Any], Any]) -> None:
    theirs, ours = (outcome(lambda each=each: call(each)) for each in pair)
    assert theirs == ours


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_encoding(pair: tuple[Any, Any], text: str) -> None:
    same(pair, lambda enc: enc.encode(text))
    same(pair, lambda enc: enc.encode_ordinary(text))
    same(pair, lambda enc: enc.encode_to_numpy(text))
    sets: list[Any] = ["all", set(), {"<|endoftext|>"}, frozenset({"<|fim|>", "unknown"})]
    for allowed in sets:
        for disallowed in ("all", (), {"<|endoftext|>"}, ["b", "world"], "b", {"<|endoftext|>", "unknown"}):
            options = {"allowed_special": allowed, "disallowed_special": disallowed}
            for method in ("encode", "encode_to_numpy"):
                same(pair, lambda enc, method=method, options=options: getattr(enc, method)(text, **options))


def test_batches(pair: tuple[Any, Any]) -> None:
    plain = [text for text in TEXTS if "<|end" not in text]
    for texts in (plain, TEXTS, [], ["a", 5], "ab", tuple(plain)):
        same(pair, lambda enc, texts=texts: enc.encode_batch(texts))
        same(pair, lambda enc, texts=texts: enc.encode_batch(texts, num_threads=2, allowed_special="all"))
        same(pair, lambda enc, texts=texts: enc.encode_batch(texts, disallowed_special=()))
        same(pair, lambda enc, texts=texts: enc.encode_ordinary_batch(texts))
    for method in ("encode_batch", "encode_ordinary_batch", "decode_batch"):
        for enc in pair:
            with pytest.raises(ValueError, match=r"greater than 0|positive"):
                getattr(enc, method)([], num_threads=0)
    ids = [pair[0].encode_ordinary(text) for text in TEXTS]
    same(pair, lambda enc: enc.decode_batch(ids))
    same(pair, lambda enc: enc.decode_bytes_batch(ids, num_threads=2))
    same(pair, lambda enc: enc.decode_batch([[1], [pair[0].max_token_value + 9]]))


@pytest.mark.parametrize("wrong", [5, b"bytes", None, ["a"]], ids=str)
def test_what_is_no_text(pair: tuple[Any, Any], wrong: Any) -> None:
    for method in ("encode", "encode_ordinary", "encode_to_numpy", "encode_with_unstable"):
        same(pair, lambda enc, method=method: getattr(enc, method)(wrong))
    for disallowed in ("all", ()):
        options = {"allowed_special": ["<|fim|>"], "disallowed_special": disallowed}
        same(pair, lambda enc, options=options: enc.encode("a list is no set", **options))


@pytest.mark.parametrize(
    "token", ["hello", "中", b"\xe4\xb8", b"\xff\xfe\xfd", "", "<|endoftext|>", "\ud800", 5], ids=ascii
)
def test_a_single_token(pair: tuple[Any, Any], token: Any) -> None:
    same(pair, lambda enc: enc.encode_single_token(token))


def test_decoding(pair: tuple[Any, Any]) -> None:
    theirs, _ = pair
    last = theirs.max_token_value
    for text in TEXTS:
        ids = theirs.encode(text, allowed_special="all")
        same(pair, lambda enc, ids=ids: enc.decode(ids))
        same(pair, lambda enc, ids=ids: enc.decode_bytes(tuple(ids)))
        same(pair, lambda enc, ids=ids: enc.decode_bytes(np.array(ids, dtype=np.int64)))
        same(pair, lambda enc, ids=ids: enc.decode_tokens_bytes(ids))
        same(pair, lambda enc, ids=ids: enc.decode_with_offsets(ids))
        same(pair, lambda enc, ids=ids: enc.decode(ids[1:], errors="ignore"))
        same(pair, lambda enc, ids=ids: enc.decode(ids[:-1], "strict"))
        same(pair, lambda enc, ids=ids: enc.decode_with_offsets(ids[:-1]))
    for bad in ([last + 1], [1, last + 7], [2**32 - 1], ["a"], [1.5], 5, "abc", b"abc"):
        same(pair, lambda enc, bad=bad: enc.decode_bytes(bad))
        same(pair, lambda enc, bad=bad: enc.decode(bad))
        same(pair, lambda enc, bad=bad: enc.decode_tokens_bytes(bad))
    for token in (0, last, last + 1, "x", 1.5, np.int64(7)):
        same(pair, lambda enc, token=token: enc.decode_single_token_bytes(token))
    for outside in (-1, 2**40):  # their words change from release to release
        for method in ("decode_single_token_bytes", "decode_bytes"):
            for enc in pair:
                with pytest.raises(OverflowError):
                    getattr(enc, method)(outside if method == "decode_single_token_bytes" else [outside])


def test_what_it_is(pair: tuple[Any, Any]) -> None:
    same(pair, lambda enc: (enc.name, enc.n_vocab, enc.max_token_value, enc.special_tokens_set, repr(enc)))
    same(pair, lambda enc: enc.eot_token)
    same(pair, lambda enc: enc.token_byte_values())
    for token in (0, pair[0].eot_token, pair[0].max_token_value, 10**9, "x"):
        same(pair, lambda enc, token=token: enc.is_special_token(token))
    same(pair, lambda enc: enc._special_tokens)
    if pair[0].name != "tiny":  # a merge list, as everything trained here
        same(pair, lambda enc: (enc._mergeable_ranks, enc._special_tokens))
        # An extension of an encoding as tiktoken's README makes it.
        base = pair[1]
        more = tiktoken.Encoding(
            "more",
            pat_str=base._pat_str,
            mergeable_ranks=base._mergeable_ranks,
            special_tokens={**base._special_tokens, "<|im_start|>": base.n_vocab},
        )
        assert more.encode_ordinary(TEXTS[4]) == base.encode_ordinary(TEXTS[4])
    else:
        with pytest.raises(FormatError, match=r"bbpe\.save writes \.tiktoken"):
            _ = pair[1]._mergeable_ranks


def test_random_text(pair: tuple[Any, Any]) -> None:
    """Stretches of real text between special tokens, whole or cut; seeded."""
    seed = random.Random(6)
    real = "".join((TINY / "eval" / name).read_text("utf-8") for name in ("zh.txt", "en.txt", "mixed.txt"))
    pieces = [*SPECIALS, "<|", "|>", "<|endoftext", "\ud800", "  ", "\n", "x"]
    for _ in range(300):
        parts = []
        for _ in range(seed.randrange(1, 6)):
            at = seed.randrange(len(real))
            parts += [real[at : at + seed.randrange(40)], seed.choice(pieces) if seed.random() < 0.5 else ""]
        text = "".join(parts)
        options = seed.choice(
            [
                {},
                {"allowed_special": "all"},
                {"disallowed_special": ()},
                {"allowed_special": {"<|endoftext|>"}, "disallowed_special": ()},
            ]
        )
        same(pair, lambda enc, text=text, options=options: enc.encode(text, **options))


UNSTABLE = [
    *("hello fanta", "x\n\n", "中文字"),
    *(
        "",
        "a  \n \n",
        "1234567",
        "don't",
        "😀",
        "a\u3000",
        "<|endoftext|>",
        "<|endoftext|>ab",
        "a\n<|fim|> \n",
        "a\ud800",
    ),
]


@pytest.mark.parametrize("options", [{}, {"allowed_special": "all"}, {"disallowed_special": ()}], ids=str)
def test_unstable_ends(pair: tuple[Any, Any], options: dict[str, Any]) -> None:
    def unordered(enc: Any, text: str) -> Any:
        stable, found = enc.encode_with_unstable(text, **options)
        return stable, sorted(found)

    for text in UNSTABLE if pair[0].name == "tiny" else UNSTABLE[:3]:  # in tiktoken a large vocabulary takes seconds
        same(pair, lambda enc, text=text: unordered(enc, text))


def test_unstable_ends_of_real_text() -> None:
    tokenizer = bbpe.train(TINY / "train", 700, pattern="o200k", special_tokens=SPECIALS)
    theirs = tiktoken.Encoding(
        "o",
        pat_str=str(tokenizer.pattern.spelling("tiktoken")),
        mergeable_ranks=dict(tokenizer.vocabulary.ids),
        special_tokens=tokenizer.special_tokens,
    )
    ours = as_tiktoken(tokenizer)
    seed = random.Random(2)
    for name in ("zh.txt", "en.txt", "mixed.txt"):
        text = (TINY / "eval" / name).read_text("utf-8")
        for _ in range(40):
            at = seed.randrange(len(text) - 30)
            part = text[at : at + seed.randrange(1, 30)]
            stable, found = theirs.encode_with_unstable(part)
            assert ours.encode_with_unstable(part) == (stable, sorted(found))


def test_copies_and_threads(pair: tuple[Any, Any]) -> None:
    _, ours = pair
    wanted = ours.encode(TEXTS[4])
    for other in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert (other.encode(TEXTS[4]), other.name) == (wanted, ours.name)
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(ours.encode(TEXTS[4]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 8


def test_what_tiktoken_has_no_word_for() -> None:
    """A byte without a token is named, a normalizer has no unstable ends, another library's tokenizer is refused."""
    pattern = bbpe.get_pattern("cl100k")
    ascii_only = as_tiktoken(Tokenizer(Vocabulary({i: bytes([i]) for i in range(128)}, merges=[], pattern=pattern)))
    for call in (ascii_only.encode, ascii_only.encode_ordinary):
        with pytest.raises(MissingByteError, match="0xE4"):
            call("中")
    for call in (ascii_only.encode_batch, ascii_only.encode_ordinary_batch):
        with pytest.raises(MissingByteError, match="0xE4"):
            call(["a", "中"])
    tokens = {i: bytes([i]) for i in range(256)}
    normalized = as_tiktoken(Tokenizer(Vocabulary(tokens, merges=[], pattern=pattern, normalizer="NFC")))
    assert normalized.decode(normalized.encode("e\u0301")) == "é"
    with pytest.raises(FormatError, match="normalizes"):
        normalized.encode_with_unstable("a")
    with pytest.raises(KeyError):
        _ = normalized.eot_token
    with pytest.raises(TypeError, match="as_tiktoken loads names"):
        TiktokenEncoding("cl100k_base")  # type: ignore[arg-type]


def test_another_librarys_tokenizer_is_refused(bbpe_home: Path) -> None:
    with pytest.raises(FormatError, match="run by sentencepiece"):
        as_tiktoken("llama2")
    assert as_tiktoken("gpt2").name == "gpt2"


def test_an_id_that_is_none_names_itself_and_its_position() -> None:
    enc = as_tiktoken(bbpe.train(TINY / "train", 600), "mine")
    for call, where in (
        (enc.decode, ""),
        (enc.decode_bytes, ""),
        (enc.decode_tokens_bytes, ""),
        (lambda ids: enc.decode_batch([[65], ids]), "(list 1)"),
        (lambda ids: enc.decode_bytes_batch([[65], ids]), "(list 1)"),
    ):
        for wrong, kind, words in (
            ([65, 70_000], KeyError, "70000 at position 1"),
            ([65, -1], OverflowError, "-1 at position 1"),
            ([65, 66, 2**70], OverflowError, "1180591620717411303424 at position 2"),
            (np.array([65, -1]), OverflowError, "-1 at position 1"),
            (np.array([65, 2**32 + 65]), OverflowError, "4294967361 at position 1"),
            ([65, 1.0], TypeError, "position 1 is 1.0"),
            ([65, True], TypeError, "position 1 is True"),
            ([65, "66"], TypeError, "position 1 is '66'"),
            ("AB", TypeError, "not str"),
            ({65: 1}, TypeError, "not dict"),
        ):
            with pytest.raises(kind) as raised:  # type: ignore[call-overload]
                call(wrong)  # type: ignore[arg-type]
            assert words in str(raised.value)
            assert where in str(raised.value)
    for call in (enc.decode, enc.decode_bytes):
        for array, words in ((np.array([65.0]), "float64"), (np.array([True]), "bool"), (np.array([[65]]), "shape")):
            with pytest.raises((TypeError, ValueError), match=words):
                call(array)  # type: ignore[arg-type]


def test_a_special_token_that_is_not_allowed_says_the_three_ways_out() -> None:
    enc = as_tiktoken(bbpe.train(TINY / "train", 600, special_tokens=["<|end|>"]))
    for call in (
        enc.encode,
        enc.encode_to_numpy,
        enc.encode_with_unstable,
        lambda text: enc.encode_batch(["fine", text]),
    ):
        with pytest.raises(ValueError, match=r"disallowed special token '<\|end\|>'") as raised:
            call("a<|end|>b")  # type: ignore[operator]
        lines = str(raised.value).splitlines()
        assert "encoded as a special token, pass it to `allowed_special`" in lines[1]
        assert "encoded as normal text, disable the check for this token" in lines[2]
        assert "disable this check for all special tokens, pass `disallowed_special=()`" in lines[3]
