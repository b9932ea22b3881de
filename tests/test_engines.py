"""Tokenizers that other libraries run: the same surface as bbpe's own, and the library's own ids."""

from __future__ import annotations

import io
import json
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbpe
from bbpe import bulk
from bbpe.engines import EngineModel, EngineTokenizer
from bbpe.errors import EncodeError, FormatError, MissingExtraError
from bbpe.formats import sentencepiece_model
from bbpe.formats.sentencepiece_model import BPE, BYTE, CONTROL, UNIGRAM, UNKNOWN, USER_DEFINED, Piece, piece_model
from bbpe.vocabulary import SpecialToken, Template

sentencepiece = pytest.importorskip("sentencepiece")
tokenizers = pytest.importorskip("tokenizers")

TEXTS = [
    "",
    " ",
    "ab",
    "abc 中文 ab",
    "  two  spaces ",
    "中\n\tx",
    "<s>ab</s><unk>",
    "𠮷 é \x00",
    "<n>ab",
]
BYTES = [Piece(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
FIRST = [Piece("<unk>", 0.0, UNKNOWN), Piece("<s>", 0.0, CONTROL), Piece("</s>", 0.0, CONTROL)]


def bpe_model(add_dummy_prefix: bool = True) -> bytes:
    words = ["▁a", "ab", "▁ab", "中文", "▁", "a", "b", "c", "中", "文", "<", "s", ">"]
    pieces = [
        *FIRST,
        *BYTES,
        *(Piece(word, -float(rank)) for rank, word in enumerate(words)),
        Piece("<n>", 0, USER_DEFINED),
    ]
    return piece_model(pieces, model_type=BPE, byte_fallback=True, add_dummy_prefix=add_dummy_prefix).serialized()


def unigram_model() -> bytes:
    words = ["▁", "a", "b", "c", "ab", "▁ab", "中文", "中", "s", ">"]
    pieces = [*FIRST, *(Piece(word, -1.0 - len(word)) for word in words)]
    return piece_model(pieces, model_type=UNIGRAM, byte_fallback=False).serialized()


def load(tmp_path: Path, content: bytes, name: str = "tokenizer.model", **options: Any) -> EngineTokenizer:
    (tmp_path / name).write_bytes(content)
    tokenizer = bbpe.load(tmp_path / name, **options)
    assert isinstance(tokenizer, EngineTokenizer)
    return tokenizer


def llama_like() -> dict[str, Any]:
    """tokenizer.json of a BPE over characters with byte fallback, as converters of SentencePiece models write it."""
    words = ["▁", "a", "b", "c", "中", "文", "<", "s", ">", "/", "ab", "▁ab", "中文"]
    texts = ["<unk>", "<s>", "</s>", *(piece.text for piece in BYTES), *words]
    special = [
        {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for id, content in enumerate(["<unk>", "<s>", "</s>"])
    ]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {text: id for id, text in enumerate(texts)},
            "merges": ["a b", "▁ ab", "中 文"],
        },
    }


def unigram_json() -> dict[str, Any]:
    data = llama_like()
    data["model"] = {
        "type": "Unigram",
        "unk_id": 0,
        "byte_fallback": False,
        "vocab": [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["▁", -2.0], ["a", -3.0], ["b", -3.0], ["▁ab", -4.0],
                  ["s", -5.0], ["<", -5.0], [">", -5.0], ["/", -5.0], ["中", -4.0]],
    }  # fmt: skip
    data["decoder"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return data


def wordpiece_list() -> bytes:
    return "\n".join(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ab", "##c", "中", "文", "two", "spaces", "x"]
    ).encode()


CASES: dict[str, Callable[[Path], EngineTokenizer]] = {
    "sentencepiece bpe": lambda path: load(path, bpe_model()),
    "sentencepiece bpe, no prefix": lambda path: load(path, bpe_model(add_dummy_prefix=False)),
    "sentencepiece unigram": lambda path: load(path, unigram_model()),
    "tokenizers bpe": lambda path: load(path, json.dumps(llama_like()).encode(), "tokenizer.json"),
    "tokenizers unigram": lambda path: load(path, json.dumps(unigram_json()).encode(), "tokenizer.json"),
    "wordpiece": lambda path: load(path, wordpiece_list(), "vocab.txt", lowercase=True),
}


@pytest.fixture(params=CASES)
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> EngineTokenizer:
    return CASES[request.param](tmp_path)


# --- the surface ---


def test_it_says_who_encodes_what_and_why(tmp_path: Path) -> None:
    said = {name: (made.engine, made.algorithm, made.byte_fallback, made.unknown_id)
            for name, case in CASES.items() for made in [case(tmp_path)]}  # fmt: skip
    assert said == {
        "sentencepiece bpe": ("sentencepiece", "bpe", True, 0),
        "sentencepiece bpe, no prefix": ("sentencepiece", "bpe", True, 0),
        "sentencepiece unigram": ("sentencepiece", "unigram", False, 0),
        "tokenizers bpe": ("tokenizers", "bpe", True, 0),
        "tokenizers unigram": ("tokenizers", "unigram", False, 0),
        "wordpiece": ("tokenizers", "wordpiece", False, 1),
    }


def test_sizes_names_and_pieces(tokenizer: EngineTokenizer) -> None:
    assert tokenizer.reason
    assert tokenizer.pattern is None
    assert len(tokenizer) == tokenizer.vocab_size == len(tokenizer.pieces)
    assert tokenizer.id_space == max(tokenizer.pieces) + 1
    assert f"engine {tokenizer.engine}" in repr(tokenizer)
    for content, id in tokenizer.special_tokens.items():
        assert tokenizer.pieces[id] == content
        assert tokenizer.token(id) == content.encode()


@pytest.mark.parametrize("text", TEXTS)
def test_all_ways_to_encode_agree(tokenizer: EngineTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert all(type(id) is int for id in ids)
    assert tokenizer.count(text) == len(ids)
    assert tokenizer.tokens(text) == [tokenizer.token(id) for id in ids]
    assert tokenizer.encode_to_numpy(text).tolist() == ids
    assert tokenizer.encode_to_numpy(text).dtype == np.uint32
    for unit in ("characters", "bytes"):
        found, places = tokenizer.encode_with_offsets(text, unit=unit)
        assert found == ids
        length = len(text) if unit == "characters" else len(text.encode())
        assert len(places) == len(ids)
        assert all(0 <= begin <= end <= length for begin, end in places)
    assert (
        tokenizer.decode_bytes(ids).decode() == tokenizer.decode(ids) == tokenizer.decode(np.array(ids, dtype=np.int64))
    )


@pytest.mark.parametrize("threads", [1, 2, None])
def test_batches_and_threads_change_nothing(tokenizer: EngineTokenizer, threads: int | None) -> None:
    expected = [tokenizer.encode(text) for text in TEXTS]
    assert tokenizer.encode_batch(iter(TEXTS), threads=threads) == expected
    ids, offsets = tokenizer.encode_batch_to_numpy(TEXTS, threads=threads)
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == expected
    assert (ids.dtype, offsets.dtype) == (np.uint32, np.int64)
    assert tokenizer.encode_batch([], threads=threads) == []
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tokenizer.encode, TEXTS * 4)) == expected * 4


def test_it_can_be_pickled(tokenizer: EngineTokenizer) -> None:
    again = pickle.loads(pickle.dumps(tokenizer))
    assert (again.engine, again.special_tokens) == (tokenizer.engine, tokenizer.special_tokens)
    assert [again.encode(text) for text in TEXTS] == [tokenizer.encode(text) for text in TEXTS]


# --- the library's own ids ---


@pytest.mark.parametrize("build", [bpe_model, unigram_model])
def test_ids_and_text_are_sentencepieces(tmp_path: Path, build: Callable[[], bytes]) -> None:
    tokenizer = load(tmp_path, build())
    library = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    for text in TEXTS:
        ids = library.encode(text)
        assert tokenizer.encode(text) == ids
        assert tokenizer.decode(ids) == library.decode(ids)


@pytest.mark.parametrize("build", [llama_like, unigram_json])
def test_ids_and_text_are_tokenizers(tmp_path: Path, build: Callable[[], dict[str, Any]]) -> None:
    tokenizer = load(tmp_path, json.dumps(build()).encode(), "tokenizer.json")
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in [text for text in TEXTS if "<s>" not in text]:
        ids = library.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text) == ids
        assert tokenizer.decode(ids) == library.decode(ids, skip_special_tokens=False)
        assert tokenizer.encode(text, add_template=True) == library.encode(text).ids


def test_ids_are_those_of_berts_own_loader(tmp_path: Path) -> None:
    for lowercase in (True, False):
        tokenizer = load(tmp_path, wordpiece_list(), "vocab.txt", lowercase=lowercase)
        library = tokenizers.BertWordPieceTokenizer(str(tmp_path / "vocab.txt"), lowercase=lowercase)
        for text in [*TEXTS, "AB abC Two,x", "a" * 150, "é"]:
            assert tokenizer.encode(text) == library.encode(text, add_special_tokens=False).ids


# --- special tokens ---


@pytest.mark.parametrize("name", [name for name in CASES if name != "wordpiece"])
def test_special_tokens_in_a_text_are_plain_text_unless_allowed(tmp_path: Path, name: str) -> None:
    tokenizer = CASES[name](tmp_path)
    text = "ab<s>ab</s>"
    assert not set(tokenizer.encode(text)) & {1, 2}
    allowed = tokenizer.encode(text, allowed_special={"<s>"})
    assert allowed == [*tokenizer.encode("ab"), 1, *tokenizer.encode("ab</s>")]
    assert tokenizer.encode(text, allowed_special="all") == [*tokenizer.encode("ab"), 1, *tokenizer.encode("ab"), 2]
    assert tokenizer.encode_batch([text], allowed_special="all") == [tokenizer.encode(text, allowed_special="all")]
    assert tokenizer.decode(tokenizer.encode(text, allowed_special="all")) == text
    ids, places = tokenizer.encode_with_offsets("中<s>ab", allowed_special="all", unit="bytes")
    assert places[ids.index(1)] == (3, 6)
    assert tokenizer.encode("<unk>", allowed_special={"<unk>"}) == [0]
    with pytest.raises(EncodeError, match="'<t>' is no special token of this vocabulary; it has: '<unk>', '<s>'"):
        tokenizer.encode(text, allowed_special={"<t>"})


def test_special_tokens_of_a_word_list_are_plain_text_unless_allowed(tmp_path: Path) -> None:
    tokenizer = CASES["wordpiece"](tmp_path)
    assert 2 not in tokenizer.encode("[CLS] ab")
    assert tokenizer.encode("[CLS] ab", allowed_special="all") == [2, 5]


def test_the_unknown_token_is_no_text_that_spells_it(tmp_path: Path) -> None:
    """`<unk>` in a text is text; where the vocabulary has no `u`, its characters are unknown one by one."""
    tokenizer = CASES["tokenizers unigram"](tmp_path)
    assert tokenizer.tokens("<s>") == [b" ", b"<", b"s", b">"]
    assert len(tokenizer.encode("<unk>")) > 1
    assert "<unk>" in tokenizer.decode(tokenizer.encode("中q"))
    assert "\U0010ffff" not in tokenizer.decode(tokenizer.encode("中q"))


def test_a_user_defined_piece_is_a_token_of_the_text(tmp_path: Path) -> None:
    tokenizer = CASES["sentencepiece bpe"](tmp_path)
    assert "<n>" not in tokenizer.special_tokens
    assert b"<n>" in tokenizer.tokens("ab<n>ab")


def test_the_template_is_added_only_on_request(tmp_path: Path) -> None:
    tokenizer = CASES["tokenizers bpe"](tmp_path)
    assert tokenizer.template == Template((1,))
    assert tokenizer.encode("ab", add_template=True) == [1, *tokenizer.encode("ab")]
    assert 1 not in tokenizer.encode("ab")


# --- tokens, bytes, places ---


def test_tokens_are_the_bytes_they_stand_for(tmp_path: Path) -> None:
    assert CASES["sentencepiece bpe"](tmp_path).tokens("ab 中é\n") == [
        b" ab",
        b" ",
        "中".encode(),
        b"\xc3",
        b"\xa9",
        b"\n",
    ]
    assert CASES["tokenizers bpe"](tmp_path).tokens("ab 中é\n") == [
        b" ab",
        b" ",
        "中".encode(),
        b"\xc3",
        b"\xa9",
        b"\n",
    ]
    assert CASES["wordpiece"](tmp_path).tokens("ABC 中") == [b"ab", b"c", "中".encode()]


def test_places_in_characters_and_in_bytes(tmp_path: Path) -> None:
    tokenizer = CASES["sentencepiece bpe, no prefix"](tmp_path)
    ids, characters = tokenizer.encode_with_offsets("ab中文𠮷c")
    assert [tokenizer.token(id) for id in ids] == [b"ab", "中文".encode(), b"\xf0", b"\xa0", b"\xae", b"\xb7", b"c"]
    assert characters == [(0, 2), (2, 4), (4, 5), (4, 5), (4, 5), (4, 5), (5, 6)]
    _, places = tokenizer.encode_with_offsets("ab中文𠮷c", unit="bytes")
    assert places == [(0, 2), (2, 8), (8, 9), (9, 10), (10, 11), (11, 12), (12, 13)]


def test_a_round_trip_tells_what_is_lost(tmp_path: Path) -> None:
    text = "AB  中 é"
    assert (
        CASES["sentencepiece bpe, no prefix"](tmp_path).decode(
            CASES["sentencepiece bpe, no prefix"](tmp_path).encode(text)
        )
        == text
    )
    lossy = CASES["wordpiece"](tmp_path)
    assert lossy.decode(lossy.encode(text)) == "ab 中 [UNK]"


# --- streaming ---

STREAMED = [*TEXTS, "床前明月光 😀👩‍👩‍👧‍👦 ab 🏳️‍🌈 中文 龘靐齉 c", "a<0x41>b", " ab  ab", "\n\n x"]


@pytest.mark.parametrize("text", STREAMED, ids=ascii)
def test_every_split_shows_what_all_at_once_is(tokenizer: EngineTokenizer, text: str) -> None:
    """In two and one at a time, with special tokens in between: what is shown is always a beginning of the whole."""
    encoded = tokenizer.encode(text)
    special = [special.id for special in tokenizer.model.special_tokens if special.id != tokenizer.unknown_id]
    for ids in (encoded, [*special[:1], *encoded, *special[:2], *encoded, *special[:1]]):
        whole = tokenizer.decode(ids)
        for cut in range(len(ids) + 1):
            decoder = tokenizer.decoder()
            shown = decoder.add(ids[:cut])
            assert whole.startswith(shown)
            assert shown + decoder.add(np.array(ids[cut:], dtype=np.int64)) + decoder.finish() == whole
        decoder = tokenizer.decoder()
        shown = ""
        for id in ids:
            shown += decoder.add(id)
            assert whole.startswith(shown)
        assert shown + decoder.finish() == whole


def test_characters_in_byte_pieces_are_shown_as_soon_as_they_are_whole(tmp_path: Path) -> None:
    for name in ("sentencepiece bpe", "tokenizers bpe"):
        tokenizer = CASES[name](tmp_path)
        decoder = tokenizer.decoder()
        pieces = {piece: id for id, piece in tokenizer.pieces.items()}
        ids = [pieces[f"<0x{byte:02X}>"] for byte in "霜😀".encode()]
        assert [decoder.add(id) for id in ids] == ["", "", "霜", "", "", "", "😀"]
        # The library would give up 霜, too.
        assert decoder.add([*ids[:5], pieces["中"]]) == "霜\ufffd中"
        assert (decoder.add(ids[:2]), decoder.finish(), decoder.finish()) == ("", "\ufffd", "")
        assert decoder.add(pieces["▁ab"]) == "ab"  # anew: without the space in front
        assert decoder.add(pieces["▁ab"]) == " ab"
        for errors, said in (("ignore", ""), ("backslashreplace", "\\xe9\\x9c")):
            decoder = tokenizer.decoder(errors)
            assert (decoder.add(ids[:2]), decoder.finish()) == ("", said)
        decoder = tokenizer.decoder("strict")
        with pytest.raises(UnicodeDecodeError):
            decoder.add([*ids[:2], pieces["中"]])
        assert decoder.add(ids) == "霜😀"


def test_a_refused_id_leaves_the_stream_as_it_was(tokenizer: EngineTokenizer) -> None:
    decoder = tokenizer.decoder()
    ids = tokenizer.encode("ab")
    for wrong, error, words in (
        ([*ids, 10**6], EncodeError, f"id 1000000 at position {len(ids)} is not an id"),
        ([*ids, -1], EncodeError, f"id -1 at position {len(ids)}"),
        ([*ids, 1.5], TypeError, f"position {len(ids)} is 1.5"),
        (np.array([1.5]), TypeError, "float64"),
        ("ab", TypeError, "not str"),
    ):
        with pytest.raises(error, match=words):
            decoder.add(wrong)  # type: ignore[arg-type]
    assert decoder.add(ids) + decoder.finish() == tokenizer.decode(ids)
    with pytest.raises(LookupError):
        tokenizer.decoder("wrong")


@pytest.mark.parametrize("name", ["llama2", "chatglm-6b", "bert-base-chinese", "t5-small", "falcon"])
def test_published_vocabularies_one_id_at_a_time(name: str, read_corpus: Callable[..., bytes]) -> None:
    tokenizer = bbpe.load(name)
    assert isinstance(tokenizer, EngineTokenizer)
    for corpus in ("zh-small.txt", "emoji-social.txt"):
        text = read_corpus(corpus, 2000).decode()
        ids = tokenizer.encode(text)
        whole = tokenizer.decode(ids)
        decoder = tokenizer.decoder()
        shown = ""
        for id in ids:
            shown += decoder.add(id)
            assert "\ufffd" not in shown or "\ufffd" in whole
        assert shown + decoder.finish() == whole


# --- mistakes ---


def test_a_lone_surrogate_is_named_with_its_place(tokenizer: EngineTokenizer) -> None:
    for attempt in (tokenizer.encode, tokenizer.count, tokenizer.encode_with_offsets):
        with pytest.raises(EncodeError, match=r"lone surrogate U\+D800 at position 3"):
            attempt("abc\ud800")
    with pytest.raises(EncodeError, match="position 1 of text 1"):
        tokenizer.encode_batch(["abc", "a\ud800"])
    assert tokenizer.encode("a\ud800", errors="replace") == tokenizer.encode("a\ufffd")


def test_ids_that_are_none_are_named_with_their_position(tokenizer: EngineTokenizer) -> None:
    for wrong in (tokenizer.id_space, -1, 10**12):
        with pytest.raises(EncodeError, match=f"id {wrong} at position 1 is not an id of this vocabulary"):
            tokenizer.decode([0, wrong])
        with pytest.raises(EncodeError, match=f"id {wrong} at position 0 is not an id of this vocabulary"):
            tokenizer.token(wrong)


def test_what_is_no_integer_is_refused_as_by_bbpes_own(tokenizer: EngineTokenizer) -> None:
    for wrong in (1.0, float("nan"), "1", None, True, [1], np.array([1]), Decimal(1)):
        with pytest.raises(TypeError, match="position 1"):
            tokenizer.decode([0, wrong])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="position 0"):
            tokenizer.token(wrong)  # type: ignore[arg-type]
    for array in (np.array([1.0]), np.array([True]), np.array([1], dtype=object), np.array(["1"]), np.array([], float)):
        with pytest.raises(TypeError, match="integers"):
            tokenizer.decode(array)
    for shape in ((), (1, 1), (0, 2)):
        with pytest.raises(ValueError, match="one dimension"):
            tokenizer.decode(np.zeros(shape, np.int64))
    for ids in (None, 1, "1", b"1", memoryview(b"1"), {1: 1}, {1}):
        with pytest.raises(TypeError, match=f"not {type(ids).__name__}"):
            tokenizer.decode(ids)  # type: ignore[arg-type]
    with pytest.raises(EncodeError, match="id 4294967297 at position 0"):
        tokenizer.decode(np.array([2**32 + 1]))
    assert (
        tokenizer.decode([np.int64(4), np.array(5)])
        == tokenizer.decode(np.array([4, 5], ">i8"))
        == tokenizer.decode([4, 5])
    )


def test_allowed_special_tokens_are_strings(tokenizer: EngineTokenizer) -> None:
    for allowed in (None, 5, b"<s>", [1], [None], [["<s>"]]):
        with pytest.raises(TypeError, match=r"^allowed_special is a set of special tokens"):
            tokenizer.encode("a", allowed_special=allowed)  # type: ignore[arg-type]


def test_wrong_types(tokenizer: EngineTokenizer) -> None:
    with pytest.raises(TypeError, match="text is str"):
        tokenizer.encode(b"ab")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="one text use encode"):
        tokenizer.encode_batch("ab")
    with pytest.raises(TypeError, match="other libraries take no bytes"):
        tokenizer.encode_batch([b"ab"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="ids are a sequence of integers"):
        tokenizer.decode("ab")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unit is"):
        tokenizer.encode_with_offsets("ab", unit="words")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="allowed_special is a set"):
        tokenizer.encode("ab", allowed_special="<s>")  # type: ignore[arg-type]


def test_a_library_that_is_missing_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        MissingExtraError, match=r"run by tokenizers, which is not installed: pip install 'bbpe\[compare\]'"
    ):
        CASES["wordpiece"](tmp_path)


def test_what_the_library_refuses_is_the_files_error(tmp_path: Path) -> None:
    data = llama_like()
    data["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}
    with pytest.raises(FormatError, match=r"tokenizer\.json: tokenizers does not take this file"):
        load(tmp_path, json.dumps(data).encode(), "tokenizer.json")


def test_text_that_a_vocabulary_cannot_say_is_an_error(tmp_path: Path) -> None:
    """A Unigram without an unknown token and without bytes."""
    data = unigram_json()
    data["model"].update(unk_id=None)
    tokenizer = load(tmp_path, json.dumps(data).encode(), "tokenizer.json")
    for attempt in (
        tokenizer.encode,
        tokenizer.encode_with_offsets,
        lambda text: tokenizer.encode_batch([text], threads=2),
    ):
        with pytest.raises(EncodeError, match="tokenizers cannot encode"):
            attempt("q")
    assert tokenizer.unknown_id is None


def test_a_model_that_contradicts_itself() -> None:
    arguments: dict[str, Any] = {
        "engine": "none", "algorithm": "unknown", "data": b"", "pieces": {0: "a", 1: "b"}, "tokens": {0: b"a", 1: b"b"},
    }  # fmt: skip
    for changes, message in (
        ({"special_tokens": (SpecialToken("x", 0),)}, "'x' is not what the file has as id 0"),
        ({"template": Template((7,))}, "names id 7"),
        ({"unknown_id": 9}, "has id 9"),
    ):
        with pytest.raises(FormatError, match=message):
            EngineModel(**arguments, **changes)


def test_bulk_work_is_for_bbpes_own_encoder(tmp_path: Path) -> None:
    tokenizer = CASES["sentencepiece bpe"](tmp_path)
    with pytest.raises(EncodeError, match="run by sentencepiece"):
        bulk.encode_corpus(tokenizer, ["ab"], io.BytesIO())
    with pytest.raises(FormatError, match="bbpe writes its own vocabularies"):
        bbpe.save(tokenizer, tmp_path / "out.json")  # type: ignore[arg-type]


def test_a_piece_becomes_a_control_piece_when_the_caller_says_so(tmp_path: Path) -> None:
    content = bpe_model()
    plain = load(tmp_path, content)
    id = next(id for id, piece in plain.pieces.items() if piece == "中文")
    changed = load(tmp_path, content, special_tokens={"中文": id})
    assert id in plain.encode("中文")
    assert id not in changed.encode("中文")
    assert changed.encode("中文", allowed_special={"中文"}) == [id]
    with pytest.raises(FormatError, match="'x' is not piece 5"):
        load(tmp_path, content, special_tokens={"x": 5})
    assert sentencepiece_model.parse(content, Path("x")).pieces[id].kind == 1
