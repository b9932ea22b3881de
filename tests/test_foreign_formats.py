"""Files of other tokenizers: what each says, what it leaves to the caller, and what is refused, with its place."""

from __future__ import annotations

import base64
import gzip
import json
import lzma
import math
import random
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbpe
from bbpe import protobuf
from bbpe.engines import EngineModel, EngineTokenizer
from bbpe.errors import EncodeError, FormatError
from bbpe.formats import FORMATS, detect, piece_list, sentencepiece_model, tekken, tokenizer_json, wordpiece_text
from bbpe.formats.charsmap import check_charsmap
from bbpe.formats.sentencepiece_model import (
    BPE,
    BYTE,
    CONTROL,
    UNIGRAM,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    Piece,
    piece_model,
)
from bbpe.patterns import get_pattern

PATH = Path("file")
TINY = Path(__file__).parent.parent / "corpora" / "tiny" / "train"
PIECES = [
    Piece("<unk>", 0.0, UNKNOWN),
    Piece("<s>", 0.0, CONTROL),
    Piece("▁a", -1.0),
    Piece("a", -2.0),
    Piece("b", -3.0),
]


def model_of(pieces: list[Piece] = PIECES, **arguments: Any) -> bytes:
    return piece_model(pieces, **{"model_type": BPE, "byte_fallback": False, **arguments}).serialized()


# --- detection ---

WORDS = b"[PAD]\n[UNK]\nthe\n##s\n"
TEKKEN = {
    "config": {
        "pattern": get_pattern("tekken").spelling("tiktoken"),
        "num_vocab_tokens": 258,
        "default_vocab_size": 262,
        "default_num_special_tokens": 5,
        "version": "v3",
    },
    "vocab": [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": token.decode("utf-8", "replace")}
        for rank, token in enumerate([*(bytes([byte]) for byte in range(256)), b"th", b"the"])
    ],
}


def tekken_with(**changes: Any) -> bytes:
    """`config__version="v1"` changes a key of a part, `vocab__3__rank=1` one of an entry; None removes it."""
    data = json.loads(json.dumps(TEKKEN))
    for path, value in changes.items():
        keys = [int(key) if key.isdigit() else key for key in path.split("__")]
        place = data
        for key in keys[:-1]:
            place = place[key]
        if value is None:
            del place[keys[-1]]
        else:
            place[keys[-1]] = value
    return json.dumps(data).encode()


SAMPLES = {
    "sentencepiece": model_of(),
    "wordpiece": WORDS,
    "tekken": tekken_with(),
    "piece-list": b"PHVuaz4=\nIGFi\n",
    "tiktoken": b"YQ== 0\nYg== 1\n",
    "vocab+merges": b"a b\nab c\n",
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
def test_a_file_is_told_by_its_content(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    (tmp_path / "any.name").write_bytes(compress(SAMPLES[name]))
    assert detect(tmp_path / "any.name") == name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"abcd\nefgh\n" * 9000 + b"[UNK]\n",
            r"more than one format; say which: format='wordpiece' .* or format='piece-list'",
        ),
        (b"the\nof\nand\n", r"a list of words without \[UNK\]; where you know the format, pass format="),
        (b"\n\n\n", "empty"),
        (b"word", "unknown content"),
        (b"word" * 20000, "one line without an end"),
        (b'{"tokenizer_class": "X", "model_max_length": 5}', "a tokenizer_config.json, which belongs beside"),
    ],
)
def test_what_is_ambiguous_or_unknown_lists_what_it_may_be(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        bbpe.load(tmp_path / "file")


def test_a_format_that_is_said_is_not_detected(tmp_path: Path) -> None:
    content = b"abcd\nefgh\n[UNK]\n"
    (tmp_path / "file").write_bytes(content)
    assert bbpe.load(tmp_path / "file", format="wordpiece", lowercase=False).engine == "tokenizers"
    with pytest.raises(FormatError, match=r"unknown format 'wordlist'; bbpe knows .*wordpiece"):
        bbpe.load(tmp_path / "file", format="wordlist")
    with pytest.raises(FormatError, match="lowercase is said for a WordPiece"):
        bbpe.load(tmp_path / "file", format="piece-list", lowercase=False)


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("tokenizer.model", model_of(), {}),
        ("spiece.model.gz", gzip.compress(model_of()), {}),
        ("tekken.json.xz", lzma.compress(tekken_with()), {}),
        ("vocab.txt", WORDS, {"lowercase": True}),
    ],
)
def test_a_folder_holds_its_vocabulary_under_the_usual_name(
    tmp_path: Path, name: str, content: bytes, options: dict[str, Any]
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "README.md").write_text("beside it")
    (tmp_path / "config.json").write_text("{}")
    assert len(bbpe.load(tmp_path, **options)) > 0


def test_formats_that_are_only_read_cannot_be_written(tmp_path: Path) -> None:
    tokenizer = bbpe.train(["ab ab"], num_merges=1)
    with pytest.raises(
        FormatError, match=r"'sentencepiece'; bbpe writes directory, tokenizer\.json, tiktoken, vocab\+merges"
    ):
        bbpe.save(tokenizer, tmp_path / "x.model", format="sentencepiece")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("tiktoken", "vocab+merges", "tekken")])
def test_a_pattern_for_what_has_none_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(SAMPLES[name])
    with pytest.raises(FormatError, match="leave pattern out"):
        FORMATS[name].read(tmp_path / "file", pattern=get_pattern("gpt2"))


# --- SentencePiece ---


def test_what_a_model_says() -> None:
    kinds = [*PIECES, Piece("<n>", 0.0, USER_DEFINED), Piece("x", 0.0, UNUSED)]
    kinds += [Piece(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    content = model_of(kinds, model_type=UNIGRAM, byte_fallback=True, add_dummy_prefix=False)
    model = sentencepiece_model.parse(content, PATH)
    assert list(model.pieces) == kinds
    assert (model.model_type, model.byte_fallback, model.add_dummy_prefix) == (UNIGRAM, True, False)
    assert model.serialized() == content
    engine = sentencepiece_model.engine_model(model, PATH)
    assert (engine.engine, engine.algorithm, engine.unknown_id) == ("sentencepiece", "unigram", 0)
    assert [special.content for special in engine.special_tokens] == ["<unk>", "<s>"]
    assert engine.tokens[2] == b" a"
    assert engine.tokens[7 + 0xE4] == b"\xe4"


def damaged(number: int, field: bytes) -> bytes:
    """A model with one piece whose fields are these."""
    return model_of() + protobuf.write_bytes(number, field)


def _text(value: bytes) -> bytes:
    return protobuf.write_bytes(1, value)


MODEL_DAMAGE = {
    "truncated": (model_of()[:-1], "bytes announced"),
    "cut between messages": (model_of()[:60], "bytes announced|no trainer_spec"),
    "no specifications": (damaged(1, _text(b"z"))[: len(model_of()) - 25], "announced|no normalizer_spec|no trainer_spec"),
    "only pieces": (protobuf.write_bytes(1, _text(b"<unk>") + protobuf.write_integer(3, 2)), "no trainer_spec; the file is truncated"),
    "no pieces": (model_of([]), "no pieces"),
    "no unknown piece": (model_of(PIECES[1:]), "no piece is the unknown one"),
    "two unknown pieces": (model_of([*PIECES, Piece("<u>", 0.0, UNKNOWN)]), "pieces 0 and 5 are both the unknown piece"),
    "piece twice": (model_of([*PIECES, Piece("a", -9.0)]), "pieces 3 and 5 are both 'a'"),
    "control piece twice": (model_of([*PIECES, Piece("<s>", 0.0, CONTROL)]), "pieces 1 and 5 are both '<s>'"),
    "score is no number": (model_of([*PIECES, Piece("c", math.nan)]), r"piece 5 \('c'\): score nan"),
    "score is infinite": (model_of([*PIECES, Piece("c", -math.inf)]), "score -inf"),
    "score is huge": (model_of([*PIECES, Piece("c", 3e38)]), "is no score"),
    "piece is long": (model_of([*PIECES, Piece("c" * 5000, 0.0)]), "piece 5: 'c+' has 5,000 bytes"),
    "piece with a NUL": (model_of([*PIECES, Piece("a\0b", 0.0)], model_type=UNIGRAM), "holds a NUL"),
    "byte without fallback": (model_of([*PIECES, Piece("<0x00>", 0.0, BYTE)]), "says that there is no byte fallback"),
    "bytes missing": (model_of([*PIECES, Piece("<0x00>", 0.0, BYTE)], byte_fallback=True), "needs all 256"),
    "no byte": (model_of([*PIECES, Piece("<0xGG>", 0.0, BYTE)], byte_fallback=True), "names no byte"),
    "piece is no text": (damaged(1, _text(b"\xff\xfe")), "piece 5 is not UTF-8"),
    "piece without text": (damaged(1, protobuf.write_integer(3, 1)), "piece 5: has no text"),
    "piece of no type": (damaged(1, _text(b"c") + protobuf.write_integer(3, 9)), "piece 5: type 9 does not exist"),
    "text twice": (damaged(1, _text(b"c") + _text(b"d")), "piece 5: field 1 stands there twice"),
    "score is text": (damaged(1, _text(b"c") + protobuf.write_bytes(2, b"1")), "piece 5: field 2 stands"),
    "specification twice": (damaged(2, b""), "trainer_spec stands there twice"),
    "specification is a number": (model_of() + protobuf.write_integer(5, 1), "field 5 is no message"),
    "words": (model_of(model_type=3), "of words or characters"),
    "no such model": (model_of(model_type=7), "model_type 7 does not exist"),
    "wire type": (model_of() + b"\x0b", "wire type 3"),
    "endless number": (model_of() + b"\xff" * 12, "does not end"),
    "field zero": (model_of() + b"\x00\x00", "field number 0"),
    "length of 2^60": (model_of() + b"\x0a" + protobuf.write_varint(1 << 60), "bytes announced"),
    "charsmap": (model_of(charsmap=b"\xff\xff\xff\xff"), "its trie has"),
}  # fmt: skip


@pytest.mark.parametrize("case", MODEL_DAMAGE)
def test_a_damaged_model_says_where(tmp_path: Path, case: str) -> None:
    content, message = MODEL_DAMAGE[case]
    (tmp_path / "a.model").write_bytes(content)
    with pytest.raises(FormatError, match=message) as raised:
        bbpe.load(tmp_path / "a.model", format="sentencepiece")
    assert str(raised.value).startswith(f"{tmp_path}/a.model: ")
    assert "\n" not in str(raised.value)


def test_a_trainer_that_says_a_thing_twice() -> None:
    pieces = b"".join(
        protobuf.write_bytes(1, _text(piece.text.encode()) + protobuf.write_integer(3, piece.kind)) for piece in PIECES
    )
    trainer = protobuf.write_bytes(2, protobuf.write_integer(3, 2) + protobuf.write_integer(3, 1))
    with pytest.raises(FormatError, match=r"trainer_spec\.model_type: stands there twice"):
        sentencepiece_model.parse(pieces + trainer + protobuf.write_bytes(3, b""), PATH)


# --- the normalizer's table ---


def table(units: list[int], replacements: bytes = b"x\0") -> bytes:
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + replacements


def trie(leaf: int = 0, offset: int = 256, size: int = 512) -> list[int]:
    """One rule, of the byte 0x61: unit 0, and at `offset ^ 0x61` a unit of that label, whose value is `leaf`."""
    units = [0xFF] * size  # labels that no step looks for
    units[0] = offset << 10
    if offset ^ 0x61 < size:
        units[offset ^ 0x61] = ((offset ^ 0x61 ^ 256) << 10) | 1 << 8 | 0x61
        units[256] = 1 << 31 | leaf
    return units


def test_a_sound_table_is_taken_and_an_unsound_one_refused() -> None:
    check_charsmap(b"", "place")
    check_charsmap(table(trie()), "place")
    for content, message in (
        (b"abc", "its trie has"),
        (table(trie())[:100], "its trie has"),
        (struct.pack("<I", 6) + bytes(20), "its trie has 6 bytes"),
        (table(trie(), b"x"), "does not end"),
        (table(trie(leaf=2)), "lies outside"),
        (table(trie(leaf=0x7FFFFFFF)), "lies outside"),
        (table(trie(offset=512)), "leads out of the table"),
        (table(trie(size=300)), "leads out of the table"),
        (table(trie(), b"x" * 5000 + b"\0"), "more than 1024 bytes"),
    ):
        with pytest.raises(FormatError, match=message):
            check_charsmap(content, "place")


def test_a_published_table_is_sound(bbpe_home: Path) -> None:
    """NFKC's, of a quarter of a megabyte; every rule of it is walked."""
    content = (bbpe_home / "vocabs" / "cpm-1" / "chinese_vocab.model").read_bytes()
    model = sentencepiece_model.parse(content, PATH)
    assert model.normalization == "nmt_nfkc"
    found = next(
        model.normalizer[begin:end] for number, _, begin, end in protobuf.fields(model.normalizer) if number == 2
    )
    broken = np.frombuffer(found, dtype=np.uint8).copy()
    broken[4:8] = 0xFF  # the root of its trie
    with pytest.raises(FormatError, match="leads out of the table"):
        check_charsmap(broken.tobytes(), "place")


# --- WordPiece ---


def test_whether_text_is_lower_cased_has_to_be_said(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(WORDS)
    with pytest.raises(
        FormatError, match=r"does not say whether text is lower-cased.*pass lowercase=True or lowercase=False"
    ):
        bbpe.load(path)
    assert bbpe.load(path, lowercase=True).encode("THE") == [2]
    assert bbpe.load(path, lowercase=False).encode("THE") == [1]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true, "tokenize_chinese_chars": false}')
    assert bbpe.load(path).encode("THE") == [2]
    assert bbpe.load(path, lowercase=False).encode("THE") == [1]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": "yes"}')
    with pytest.raises(FormatError, match=r"tokenizer_config\.json: do_lower_case: a string; expected true or false"):
        bbpe.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[UNK]\na\nb\na\n", r"vocab\.txt:4: 'a' stands there twice, first in line 2"),
        (b"[UNK]\n\na\n", r"vocab\.txt:2: ''; expected one token"),
        (b"a\nb\n", r"no \[UNK\]; a WordPiece list has one"),
        (b"[UNK]\n\xff\n", "byte 6 is not UTF-8"),
        (b"[UNK]\n" + b"a" * 5000, r"vocab\.txt:2: 'a+'; expected one token"),
    ],
)
def test_a_damaged_word_list_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        wordpiece_text.read(tmp_path / "vocab.txt", lowercase=False)


def test_lines_of_a_word_list_end_at_newlines_alone(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes("[UNK]\r\n\u2028\r\n##\u0085x\r\n".encode())
    model = wordpiece_text.read(tmp_path / "vocab.txt", lowercase=False)
    assert dict(model.pieces) == {0: "[UNK]", 1: "\u2028", 2: "##\u0085x"}
    assert model.tokens[2] == "\u0085x".encode()
    own = wordpiece_text.read(tmp_path / "vocab.txt", lowercase=False, special_tokens={"\u2028": 1})
    assert [token.id for token in own.special_tokens] == [1]
    with pytest.raises(FormatError, match="'x' is not id 1 there"):
        wordpiece_text.read(tmp_path / "vocab.txt", lowercase=False, special_tokens={"x": 1})


# --- tekken ---


def test_tekken_is_a_rank_table_after_its_special_tokens(tmp_path: Path) -> None:
    (tmp_path / "tekken.json").write_bytes(tekken_with())
    tokenizer = bbpe.load(tmp_path)
    assert tokenizer.engine == "bbpe"
    assert tokenizer.encode("the") == [5 + 256, 5 + ord("e")]
    assert tokenizer.special_tokens == {"<unk>": 0, "<s>": 1, "</s>": 2, "[INST]": 3, "[/INST]": 4}
    vocabulary = tokenizer.vocabulary
    assert (vocabulary.ranks, vocabulary.whole_pretoken, vocabulary.pattern.name) == (
        tuple(range(5, 262)),
        True,
        "tekken",
    )
    assert b"the" not in vocabulary.ids, "262 ids, of which 5 are special: the last token of the list is not used"


def test_tekken_with_names_of_its_own(tmp_path: Path) -> None:
    special = [{"rank": 0, "token_str": "<a>", "is_control": True}, {"rank": 2, "token_str": "<b>", "is_control": True}]
    (tmp_path / "tekken.json").write_bytes(tekken_with(special_tokens=special, config__version="v13"))
    assert [token.content for token in tekken.read(tmp_path / "tekken.json").special_tokens] == [
        "<a>", "<SPECIAL_1>", "<b>", "<SPECIAL_3>", "<SPECIAL_4>",
    ]  # fmt: skip
    with pytest.raises(FormatError, match="carries its own special tokens"):
        tekken.read(tmp_path / "tekken.json", special_tokens={"<c>": 0})
    (tmp_path / "tekken.json").write_bytes(tekken_with())
    named = tekken.read(tmp_path / "tekken.json", special_tokens={"<c>": 4}, pattern=get_pattern("tekken"))
    assert [token.content for token in named.special_tokens][3:] == ["[INST]", "<c>"]
    with pytest.raises(FormatError, match="carries its own pattern"):
        tekken.read(tmp_path / "tekken.json", pattern=get_pattern("gpt2"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": None}, "'config' is missing"),
        ({"config__default_vocab_size": 10**9}, "these contradict one another"),
        ({"config__default_num_special_tokens": -1}, "these contradict one another"),
        ({"config__default_num_special_tokens": 999}, "these contradict one another"),
        ({"config__pattern": "("}, "config.pattern"),
        ({"config__pattern": r"\p{L}+"}, "tiktoken would drop in silence"),
        ({"config__version": "v13"}, "lists its special tokens, and none are here"),
        ({"vocab__7__rank": 8}, r"vocab\[7\]: rank 8; expected 7"),
        ({"vocab__7__rank": "7"}, r"vocab\[7\].rank: a string; expected an integer"),
        ({"vocab__256__token_bytes": "A"}, r"vocab\[256\].token_bytes: 'A' is not base64"),
        ({"vocab__256__token_bytes": "YQ==", "vocab__256__token_str": "a"}, "have the same bytes"),
        ({"vocab__256__token_str": "x"}, r"vocab\[256\]: token_str 'x' is not what token_bytes says"),
        (
            {"vocab__65__token_bytes": "YQ==", "vocab__65__token_str": "a"},
            "the first 256 tokens are the bytes in order",
        ),
        ({"special_tokens": [{"rank": 9, "token_str": "<a>"}]}, "'<a>' has id 9; expected 0 to 4"),
        ({"special_tokens": [{"rank": 0, "token_str": "<a>"}] * 2}, "id 0 stands there twice"),
        ({"special_tokens": [{"rank": 0, "token_str": "<a>"}, {"rank": 1, "token_str": "<a>"}]}, "stands twice"),
    ],
)
def test_a_damaged_tekken_says_where(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "tekken.json").write_bytes(tekken_with(**changes))
    with pytest.raises(FormatError, match=message):
        tekken.read(tmp_path / "tekken.json")


# --- a list without scores ---


def test_a_list_without_scores_can_be_looked_at_only(tmp_path: Path) -> None:
    names = [b"<unk>", *(b"<0x%02X>" % byte for byte in range(256)), " 中".encode()]
    (tmp_path / "pieces").write_bytes(b"".join(base64.b64encode(name) + b"\n" for name in names))
    tokenizer = bbpe.load(tmp_path / "pieces", special_tokens={"<unk>": 0})
    assert isinstance(tokenizer, EngineTokenizer)
    assert (tokenizer.engine, tokenizer.algorithm, tokenizer.vocab_size) == ("none", "unknown", 258)
    assert tokenizer.token(257) == " 中".encode()
    assert tokenizer.decode([257, 1 + 0x41]) == " 中A"
    for attempt in (
        tokenizer.encode,
        tokenizer.count,
        tokenizer.encode_with_offsets,
        lambda text: tokenizer.encode_batch([text]),
    ):
        with pytest.raises(EncodeError, match="can be looked at, not encoded with: the list has no scores"):
            attempt("a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"YQ==\nYg\n", r"pieces:2: b'Yg' is not base64"),
        (b"YQ==\n\n", r"pieces:2: b''; expected one piece"),
        (b"YQ==\nYg==\nYQ==\n", r"pieces:3: b'a' stands there twice, first in line 1"),
        (b"", "no pieces"),
    ],
)
def test_a_damaged_list_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "pieces").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        piece_list.read(tmp_path / "pieces")


# --- tokenizer.json of other algorithms ---


def other_json(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]]},
    }
    return {**data, **changes}


def words_json(**changes: Any) -> dict[str, Any]:
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
             "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "a": 1, "##b": 2}}  # fmt: skip
    return other_json(model={**model, **changes})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (other_json(extra=1), "'extra' is no key that bbpe knows there"),
        (other_json(version="2.0"), "version: '2.0'; this bbpe reads '1.0'"),
        (other_json(model={"type": "WordLevel", "vocab": {}}), "'WordLevel' is no model that bbpe reads"),
        (other_json(model={"type": "Unigram", "unk_id": 0, "vocab": []}), "model.vocab: empty"),
        (other_json(model={"type": "Unigram", "unk_id": 5, "vocab": [["a", 0.0]]}), "unk_id: 5; the vocabulary has 1"),
        (other_json(model={"type": "Unigram", "vocab": [["a", 0.0, 1]]}), r"vocab\[0\]: expected a text and a score"),
        (other_json(model={"type": "Unigram", "vocab": [["a", "x"]]}), r"vocab\[0\]: expected a text and a score"),
        (other_json(model={"type": "Unigram", "vocab": [["a", 1e300]]}), r"vocab\[0\]: score 1e\+300 is no score"),
        (other_json(model={"type": "Unigram", "vocab": [["a", 0.0], ["a", 0.0]]}), "'a' stands there twice"),
        (other_json(model={"type": "Unigram", "vocab": {"a": 0}}), "model.vocab: an object; expected a list"),
        (words_json(unk_token="x"), "unk_token: 'x' is no token"),
        (words_json(unk_token=None), "a WordPiece has an unknown token"),
        (words_json(max_input_chars_per_word=10**9), "expected at most 10,000"),
        (words_json(vocab={"[UNK]": 0, "a": -1}), r"vocab\['a'\]: id -1"),
        (words_json(vocab={"[UNK]": 0, "a": 0}), "have the same id 0"),
        (words_json(vocabulary={}), "'vocabulary' is no key that bbpe knows there"),
        (other_json(normalizer={"type": "FixedLength"}), "normalizer: 'FixedLength' is unknown; known: BertNormalizer"),
        (other_json(pre_tokenizer={"type": "FixedLength", "length": 0}), "pre_tokenizer: 'FixedLength' is unknown"),
        (other_json(decoder={"type": "CTC"}), "decoder: 'CTC' is unknown"),
        (other_json(pre_tokenizer={"type": "Digits", "individual": True}), "Digits: 'individual' is no key"),
        (
            other_json(normalizer={"type": "Sequence", "normalizers": [
                {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 60}] * 3}),
            "may lengthen a text 216,000 times",
        ),
        (other_json(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 99}), "more than 64 components"),
        (
            other_json(normalizer={"type": "Replace", "pattern": {"Regex": "x" * 99999}, "content": ""}),
            "99,999 characters",
        ),
        (other_json(normalizer={"type": "Replace", "pattern": {"Other": "x"}, "content": ""}), "expected String or Regex"),
        (other_json(normalizer={"type": "Precompiled", "precompiled_charsmap": "!"}), "not base64"),
        (
            other_json(normalizer={"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"abcdefgh").decode()}),
            "precompiled_charsmap: its trie has",
        ),
        (other_json(added_tokens=[{"id": 1, "content": "<s>"}]), "'<s>' has id 1, which is another token's"),
        (other_json(added_tokens=[{"id": 0, "content": "a"}]), "the special token of this name has 0"),
    ],
)  # fmt: skip
def test_a_damaged_tokenizer_json_of_another_algorithm_says_where(
    tmp_path: Path, data: dict[str, Any], message: str
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FormatError, match=message) as raised:
        tokenizer_json.read(path)
    assert len(str(raised.value)) < 1000


def test_a_template_with_ids_that_do_not_exist(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(
        json.dumps(other_json(post_processor={"type": "BertProcessing", "sep": ["x", 7], "cls": ["y", 8]}))
    )
    with pytest.raises(FormatError, match="the template names id 8"):
        bbpe.load(tmp_path)


def test_marks_of_subwords_become_bytes(tmp_path: Path) -> None:
    """CLIP's kind: byte-level, with a mark at the end of a word."""
    pytest.importorskip("tokenizers")
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
        "fuse_unk": False, "vocab": {"a": 0, "b": 1, "b</w>": 2, "ab</w>": 3, "ä": 4}, "merges": ["a b</w>"],
    }  # fmt: skip
    pre = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps(other_json(model=model, pre_tokenizer=pre)))
    tokenizer = bbpe.load(tmp_path)
    assert (tokenizer.engine, tokenizer.encode("ab")) == ("tokenizers", [3])
    assert tokenizer.tokens("ab") == [b"ab "]
    assert tokenizer.token(4) == b"\xe4"
    assert "marked subwords" in tokenizer.reason


def test_why_falcon_is_not_bbpes_own(bbpe_home: Path) -> None:
    model = tokenizer_json.read(bbpe_home / "vocabs" / "falcon" / "tokenizer.json")
    assert isinstance(model, EngineModel)
    assert (model.engine, model.algorithm) == ("tokenizers", "byte-level bpe")
    assert model.reason == "its Digits after ByteLevel cuts inside characters, which no pattern can say"


# --- byte-level pre-tokenizers in published files: each exactly, by bbpe's own encoder or by tokenizers ---


def _byte_level(**changes: Any) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False, **changes}


def _split(regex: str, behavior: str = "Isolated", invert: bool = False) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


_LLAMA3 = get_pattern("llama3").stages[0]
_O200K = get_pattern("o200k").stages[0]
_ONE_DIGIT = {"type": "Digits", "individual_digits": True}
_HAN = (
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEEPSEEK_V3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"""|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
IN_THE_WILD: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "GPT-2": ("bbpe", [_byte_level(use_regex=True)]),
    "Llama 3": ("bbpe", [_split(_LLAMA3), _byte_level()]),
    "OLMo 2": ("bbpe", [_split(_LLAMA3, "Removed", invert=True), _byte_level()]),
    "GPT-4o": ("bbpe", [_split(_O200K), _byte_level()]),
    "Llama 4": ("bbpe", [_split(_O200K, "Removed", invert=True), _byte_level()]),
    "StarCoder": ("bbpe", [_ONE_DIGIT, _byte_level(use_regex=True)]),
    "runs of digits": ("bbpe", [{"type": "Digits", "individual_digits": False}, _byte_level(use_regex=True)]),
    "DeepSeek V3": (
        "bbpe", [_split(r"\p{N}{1,3}"), _split("[一-龥\u3040-ゟ゠-ヿ]+"), _split(_DEEPSEEK_V3), _byte_level()],
    ),
    "Han apart": ("bbpe", [_split(_HAN), _byte_level()]),
    "BLOOM": ("bbpe", [_split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), _byte_level()]),
    "a literal": (
        "bbpe",
        [{"type": "Split", "pattern": {"String": "。"}, "behavior": "Isolated", "invert": False}, _byte_level()],
    ),
    "nothing is cut": ("bbpe", [_byte_level()]),
    "a space before": ("tokenizers", [_byte_level(use_regex=True, add_prefix_space=True)]),
    "Falcon": (
        "tokenizers",
        [{"type": "Punctuation", "behavior": "Contiguous"}, _byte_level(use_regex=True),
         {"type": "Digits", "individual_digits": False}, _split("[0-9][0-9][0-9]")],
    ),
    "merged": ("tokenizers", [_split(" ", "MergedWithNext"), _byte_level()]),
    "runs": ("tokenizers", [_split(r"\s", "Contiguous"), _byte_level()]),
    "dropped": ("tokenizers", [_split(r"\s", "Removed"), _byte_level()]),
    "words": ("tokenizers", [{"type": "Whitespace"}, _byte_level()]),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    """A small byte-level vocabulary as tokenizer.json."""
    vocabulary = bbpe.train(
        [path.read_text(encoding="utf-8") for path in TINY.glob("*.txt")], vocab_size=1000
    ).vocabulary
    with tempfile.TemporaryDirectory() as folder:
        tokenizer_json.write(vocabulary, Path(folder) / "tokenizer.json")
        return dict(json.loads((Path(folder) / "tokenizer.json").read_bytes()))


@pytest.mark.parametrize("name", IN_THE_WILD)
def test_pre_tokenizers_in_the_wild(tmp_path: Path, trained: dict[str, Any], name: str) -> None:
    library = pytest.importorskip("tokenizers").Tokenizer
    engine, parts = IN_THE_WILD[name]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**trained, "pre_tokenizer": {"type": "Sequence", "pretokenizers": parts}}))
    tokenizer = bbpe.load(path)
    assert tokenizer.engine == engine
    oracle = library.from_file(str(path))
    source = random.Random(7)
    texts = [line for file in sorted(TINY.glob("*.txt")) for line in file.read_text(encoding="utf-8").split("\n")[:40]]
    texts += [
        "".join(source.choice("a'sS 1２²½Ⅷ①中。,!\n\r\t  \u3000\u0301é👍ſK’") for _ in range(40)) for _ in range(200)
    ]
    for text in texts:
        assert tokenizer.encode(text) == oracle.encode(text, add_special_tokens=False).ids, repr(text)
