"""The three formats: round trips, the bytes they write, what they refuse, and when ranks and merges are one encoder."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import itertools
import json
import lzma
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbpe.engines import EngineModel
from bbpe.errors import FormatError
from bbpe.formats import FORMATS, detect, tiktoken_file, tokenizer_json, vocab_merges
from bbpe.formats.byte_text import CHARACTERS, to_bytes, to_text
from bbpe.formats.equivalence import check_same_as_ranks, listed_merges, merges_alone
from bbpe.formats.files import read_bytes
from bbpe.formats.sidecar import sidecar_path
from bbpe.patterns import Pattern, get_pattern
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

LLAMA3 = get_pattern("llama3")
GPT2 = get_pattern("gpt2")


def vocabulary_of(
    words: Sequence[bytes],
    *,
    first_id: int = 256,
    step: int = 1,
    special: Mapping[str, int] | None = None,
    **changes: Any,
) -> Vocabulary:
    """All bytes at ids 0 to 255 and one token for each word, which is merged from the longest earlier token and the
    rest."""
    tokens = {byte: bytes([byte]) for byte in range(256)}
    ids = {token: id for id, token in tokens.items()}
    merges = []
    for index, word in enumerate(words):
        middle = max(length for length in range(1, len(word)) if word[:length] in ids and word[length:] in ids)
        merges.append((ids[word[:middle]], ids[word[middle:]]))
        tokens[first_id + index * step] = word
        ids[word] = first_id + index * step
    arguments: dict[str, Any] = {
        "merges": merges,
        "special_tokens": [SpecialToken(content, id) for content, id in (special or {}).items()],
        "pattern": LLAMA3,
    }
    return Vocabulary(tokens, **{**arguments, **changes})


TOKENS = {byte: bytes([byte]) for byte in range(256)}
WORDS = [b"th", b"the", b" the", b"\xe4\xb8", b"\xe4\xb8\xad", b"  ", b"in", b"ing"]
PLAIN = vocabulary_of(WORDS)
VARIANTS = {
    "plain": PLAIN,
    "holes in the ids": vocabulary_of(WORDS, first_id=300, step=7),
    "special tokens after a hole": vocabulary_of(WORDS, special={"<|a|>": 1000, "<|中文|>": 70000}),
    "special tokens of one character": vocabulary_of(WORDS, special={"中": 300, " ": 301, "\n": 302}),
    "special tokens first": vocabulary_of(WORDS, first_id=300, special={"<s>": 256, "</s>": 257}),
    "flags": vocabulary_of(
        WORDS, special_tokens=[SpecialToken("<m>", 300, True, True, True, True, True), SpecialToken("<n>", 301, False)]
    ),
    "normalizer": vocabulary_of(WORDS, normalizer="NFC"),
    "template": vocabulary_of(WORDS, special={"<s>": 300, "</s>": 301}, template=Template((300,), (301, 301))),
    "whole pretokens": vocabulary_of(WORDS, whole_pretoken=True),
    "another pattern": vocabulary_of(WORDS, pattern=GPT2),
    "no merges": vocabulary_of([]),
    "a pattern of one's own": vocabulary_of(WORDS, pattern=get_pattern(r"\p{L}+|\P{L}")),
}
TABLE = Vocabulary(PLAIN.tokens, pattern=LLAMA3, whole_pretoken=True, special_tokens=[SpecialToken("<|a|>", 264)])


# --- round trips ---


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab+merges"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_written_is_read_back_equal(tmp_path: Path, name: str, variant: str) -> None:
    path = tmp_path / ("tokenizer.json" if name == "tokenizer.json" else "vocab.json")
    FORMATS[name].write(VARIANTS[variant], path)
    assert FORMATS[name].read(path) == VARIANTS[variant]
    assert detect(path) == name


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in ("flags", "normalizer")])
def test_a_tiktoken_file_is_read_back_as_the_merge_list_it_was(tmp_path: Path, variant: str) -> None:
    path = tmp_path / "vocab.tiktoken"
    tiktoken_file.write(VARIANTS[variant], path)
    assert tiktoken_file.read(path) == VARIANTS[variant]
    assert detect(path) == "tiktoken"


def test_a_rank_table_stays_one_in_tiktoken_and_becomes_all_its_splits_elsewhere(tmp_path: Path) -> None:
    tiktoken_file.write(TABLE, tmp_path / "a.tiktoken")
    assert tiktoken_file.read(tmp_path / "a.tiktoken") == TABLE
    as_merges = TABLE.replace(ranks=None, merges=listed_merges(TABLE))
    tokenizer_json.write(TABLE, tmp_path / "tokenizer.json")
    assert tokenizer_json.read(tmp_path / "tokenizer.json") == as_merges
    vocab_merges.write(TABLE, tmp_path)
    assert vocab_merges.read(tmp_path / "merges.txt") == as_merges


def test_the_name_of_a_vocabulary_survives_in_the_sidecar(tmp_path: Path) -> None:
    tiktoken_file.write(PLAIN.replace(name="mine"), tmp_path / "a.tiktoken")
    assert tiktoken_file.read(tmp_path / "a.tiktoken").name == "mine"


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
@pytest.mark.parametrize(
    ("name", "files"), [("tokenizer.json", ["tokenizer.json"]), ("vocab+merges", ["vocab.json", "merges.txt"])]
)
def test_compressed_files_are_read(
    tmp_path: Path, name: str, files: list[str], compress: Callable[[bytes], bytes]
) -> None:
    FORMATS[name].write(PLAIN, tmp_path / files[0])
    suffix = ".gz" if compress is gzip.compress else ".xz"
    for file in files:
        (tmp_path / (file + suffix)).write_bytes(compress((tmp_path / file).read_bytes()))
        (tmp_path / file).unlink()
    assert FORMATS[name].read(tmp_path / (files[0] + suffix)) == PLAIN


def test_the_byte_map_is_openais() -> None:
    """188 bytes stand for themselves, and the other 68 take U+0100 to U+0143 in byte order."""
    assert len(set(CHARACTERS)) == 256
    assert sum(ord(character) == byte for byte, character in enumerate(CHARACTERS)) == 188
    assert sorted(ord(character) for character in CHARACTERS if ord(character) > 255) == list(range(0x100, 0x144))
    assert to_text(b" \n\x7f\xad") == "ĠĊġŃ"
    assert to_bytes(CHARACTERS) == bytes(range(256))


# --- the bytes that are written ---

TINY = Vocabulary(
    {0: b" ", 1: b"a", 2: b"b", 5: b"ab", 6: b" ab"},
    merges=[(1, 2), (0, 5)],
    special_tokens=[SpecialToken("<s>", 9)],
    pattern=GPT2,
    normalizer="NFC",
    template=Template((9,)),
)


GOLDEN = Path(__file__).parent / "golden"


def test_golden_files(tmp_path: Path) -> None:
    """Promised bytes: a change here alters the files that users compare and keep, and belongs in the CHANGELOG."""
    tokenizer_json.write(TINY, tmp_path / "tokenizer.json")
    tokenizer_json.write_config(TINY, tmp_path / "tokenizer_config.json")
    vocab_merges.write(TINY, tmp_path)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text(encoding="utf-8") for path in (GOLDEN / "tiny").iterdir()}


def test_golden_tiktoken(tmp_path: Path) -> None:
    vocabulary = vocabulary_of([b"ab", b" ab"], first_id=300, special={"<s>": 400}, pattern=GPT2)
    tiktoken_file.write(vocabulary, tmp_path / "a.tiktoken")
    lines = [base64.b64encode(bytes([byte])).decode() + f" {byte}\n" for byte in range(256)]
    assert (tmp_path / "a.tiktoken").read_text() == "".join(lines) + "YWI= 300\nIGFi 301\n"
    sidecar = json.loads((tmp_path / "a.tiktoken.json").read_bytes())
    assert list(sidecar) == [
        "format", "version", "sha256", "name", "kind", "whole_pretoken", "pattern", "unicode", "normalizer",
        "special_tokens", "template",
    ]  # fmt: skip
    assert (sidecar["kind"], sidecar["pattern"]["name"]) == ("merges", "gpt2")
    assert sidecar["pattern"]["tiktoken"] == GPT2.spelling("tiktoken")


def test_config_names_beginning_and_end_only_from_the_template(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer_config.json"
    tokenizer_json.write_config(VARIANTS["special tokens first"], path)
    assert not {"bos_token", "eos_token"} & json.loads(path.read_bytes()).keys()
    tokenizer_json.write_config(TINY, path)
    config = json.loads(path.read_bytes())
    assert (config["bos_token"], config["tokenizer_class"]) == ("<s>", "PreTrainedTokenizerFast")
    assert "eos_token" not in config
    assert config["clean_up_tokenization_spaces"] is False


# --- ranks and merges ---


def run(text: bytes, rank_of_pair: Callable[[bytes, bytes], int | None]) -> list[bytes]:
    """The step of both semantics, as DESIGN words it: the pair of lowest rank, the leftmost among equals."""
    parts = [bytes([byte]) for byte in text]
    while True:
        ranked = [
            (rank, at) for at, pair in enumerate(itertools.pairwise(parts)) if (rank := rank_of_pair(*pair)) is not None
        ]
        if not ranked:
            return parts
        at = min(ranked)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def by_ranks(text: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    return [text] if text in ranks else run(text, lambda left, right: ranks.get(left + right))


def by_merges(text: bytes, vocabulary: Vocabulary) -> list[bytes]:
    assert vocabulary.merges is not None
    if vocabulary.whole_pretoken and text in vocabulary.ids:
        return [text]
    tokens = vocabulary.tokens
    place = {(tokens[left], tokens[right]): place for place, (left, right) in enumerate(vocabulary.merges)}
    return run(text, lambda left, right: place.get((left, right)))


SHORT_TEXTS = [bytes(text) for length in range(1, 10) for text in itertools.product(b"ab", repeat=length)]
LONG_TOKENS = st.lists(
    st.binary().map(lambda data: bytes(b"ab"[byte & 1] for byte in data)).filter(lambda t: 2 <= len(t) <= 6),
    max_size=12,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(tokens=LONG_TOKENS, seed=st.integers(0, 2**32))
def test_all_splits_in_any_order_are_the_rank_table(tokens: list[bytes], seed: int) -> None:
    """The lemma of ``equivalence.py`` on every text of up to nine letters, splits of one token shuffled."""
    all_tokens = dict(enumerate([b"a", b"b", *tokens]))
    table = Vocabulary(all_tokens, pattern=GPT2, whole_pretoken=True)
    merges = list(listed_merges(table))
    assert len(merges) == sum(
        token[:middle] in table.ids and token[middle:] in table.ids
        for token in tokens
        for middle in range(1, len(token))
    )
    random.Random(seed).shuffle(merges)
    result = {pair: table.ids[all_tokens[pair[0]] + all_tokens[pair[1]]] for pair in merges}
    merges.sort(key=result.__getitem__)  # by the rank of the result alone; the sort is stable
    listed = table.replace(ranks=None, merges=merges)
    for text in SHORT_TEXTS:
        assert by_merges(text, listed) == by_ranks(text, table.ids)


@settings(max_examples=100, deadline=None)
@given(tokens=LONG_TOKENS, data=st.data(), whole=st.booleans())
def test_merges_that_pass_the_check_are_the_rank_table(tokens: list[bytes], data: st.DataObject, whole: bool) -> None:
    """Any merge list over two letters: either refused, or equal to the ranks on every text of up to nine letters."""
    alphabet = {byte: bytes([byte]) for byte in range(256)}
    table = Vocabulary({**alphabet, **{256 + i: token for i, token in enumerate(tokens)}}, pattern=GPT2)
    splits = list(listed_merges(table))
    chosen = data.draw(st.lists(st.sampled_from(splits), unique=True)) if splits else []
    if data.draw(st.booleans()):
        chosen.sort(key=splits.index)
    vocabulary = table.replace(ranks=None, merges=chosen, whole_pretoken=whole)
    try:
        check_same_as_ranks(vocabulary)
    except FormatError:
        return
    for text in SHORT_TEXTS:
        assert by_merges(text, vocabulary) == by_ranks(text, table.ids)


def test_the_check_accepts_what_training_makes_and_finds_each_way_to_differ() -> None:
    check_same_as_ranks(PLAIN)
    check_same_as_ranks(vocabulary_of(WORDS, first_id=400, step=3))

    swapped = Vocabulary({**TOKENS, 256: b"the", 257: b"th"}, merges=[(116, 104), (257, 101)], pattern=LLAMA3)
    with pytest.raises(FormatError, match=r"token 257 .*merged before token 256: merges do not follow ids"):
        check_same_as_ranks(swapped)

    joined = PLAIN.replace(merges=listed_merges(PLAIN)[:1])  # th + e is no longer listed, but "the" is a token
    with pytest.raises(FormatError, match=r"token 257 .*two parts, which ranks would join"):
        check_same_as_ranks(joined)

    # "abcd" is made by nothing and its own run ends in three parts: harmless where pretokens are taken whole
    apart = vocabulary_of([b"ab"]).replace(tokens={**vocabulary_of([b"ab"]).tokens, 257: b"abcd"})
    with pytest.raises(FormatError, match=r"token 257 .*as a pretoken it would be taken whole"):
        check_same_as_ranks(apart)
    check_same_as_ranks(apart.replace(whole_pretoken=True))

    with pytest.raises(FormatError, match="byte 0x0B has no token"):
        check_same_as_ranks(
            Vocabulary({byte: bytes([byte]) for byte in range(256) if byte != 11}, merges=[], pattern=LLAMA3)
        )
    with pytest.raises(FormatError, match="ids do not follow ranks"):
        check_same_as_ranks(TABLE.replace(ranks=[*range(255), 256, 255, *range(257, 264)]))


def test_merges_alone_are_the_merges_of_a_trained_vocabulary() -> None:
    assert merges_alone(PLAIN.replace(merges=None)) == PLAIN.merges
    unreachable = Vocabulary({**PLAIN.tokens, 300: b"qqq"}, pattern=LLAMA3)
    assert merges_alone(unreachable) is None


# --- what a format cannot say ---


@pytest.mark.parametrize(
    ("vocabulary", "reason"),
    [
        (VARIANTS["normalizer"], "cannot say the normalizer NFC"),
        (vocabulary_of(WORDS, pattern=get_pattern("deepseek-v2")), "cannot say this pattern"),
        (vocabulary_of(WORDS, pattern=get_pattern(r"\p{L}+")), "cannot say this pattern"),
        (VARIANTS["flags"], "cannot say lstrip of special token '<m>'"),
        (vocabulary_of(WORDS, special={"<s>": 300, "<s>x": 301}), "begins with special token '<s>'"),
        (PLAIN.replace(merges=listed_merges(PLAIN)[:1]), "two parts"),
    ],
)  # fmt: skip
def test_tiktoken_refuses_what_it_cannot_say(tmp_path: Path, vocabulary: Vocabulary, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        tiktoken_file.write(vocabulary, tmp_path / "a.tiktoken")
    assert list(tmp_path.iterdir()) == []


def test_tokenizer_json_refuses_a_special_token_spelled_like_other_bytes(tmp_path: Path) -> None:
    """``é`` is how byte 0xE9 is spelled: the vocabulary would hold one key for two ids."""
    with pytest.raises(FormatError, match=r"'é' .* token 233"):
        tokenizer_json.write(vocabulary_of([], special={"é": 300}), tmp_path / "tokenizer.json")


def test_a_special_token_that_is_a_pretoken_stays_out_of_the_model_where_pretokens_are_taken_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokenizer.json"
    follows = vocabulary_of(WORDS, special={"MASK": 264, "<s>": 265}, whole_pretoken=True)
    tokenizer_json.write(follows, path)
    assert "MASK" not in json.loads(path.read_bytes())["model"]["vocab"]
    assert tokenizer_json.read(path) == follows
    with pytest.raises(FormatError, match="'MASK': the pattern makes one pretoken of it"):
        tokenizer_json.write(vocabulary_of(WORDS, special={"MASK": 500}, whole_pretoken=True), path)
    tokenizer_json.write(vocabulary_of(WORDS, special={"MASK": 500}), path)  # harmless where they are not


def test_merges_txt_refuses_a_merge_that_looks_like_its_header(tmp_path: Path) -> None:
    words = [b"#version"[:length] for length in range(2, 9)] + [b"#versions"]
    with pytest.raises(FormatError, match="'#version': readers take its line for the header"):
        vocab_merges.write(vocabulary_of(words), tmp_path)


# --- variants that publishers write ---


def as_json(vocabulary: Vocabulary, tmp_path: Path) -> dict[str, Any]:
    tokenizer_json.write(vocabulary, tmp_path / "written.json")
    data: dict[str, Any] = json.loads((tmp_path / "written.json").read_bytes())
    return data


def read_json(data: Any, tmp_path: Path) -> Vocabulary:
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return tokenizer_json.read(path)


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def split(regex: str, **changes: Any) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False, **changes}


def test_tokenizer_json_variants_mean_the_same(tmp_path: Path) -> None:
    """Merges as strings, special tokens outside model.vocab, no type, other decoders' options: the same vocabulary."""
    vocabulary = vocabulary_of(WORDS, pattern=GPT2, special={"<s>": 264, "</s>": 265})
    data = as_json(vocabulary, tmp_path)
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    for content in ("<s>", "</s>"):
        del data["model"]["vocab"][content]
    del data["model"]["type"], data["model"]["ignore_merges"]
    data["pre_tokenizer"] = BYTE_LEVEL  # use_regex is true when left out, and GPT-2's pattern
    data["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    data["normalizer"] = {"type": "Sequence", "normalizers": []}
    data["model"]["unk_token"] = "<s>"
    data["truncation"] = {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    assert read_json(data, tmp_path) == vocabulary


def test_pre_tokenizers_that_a_pattern_can_say(tmp_path: Path) -> None:
    data = as_json(PLAIN, tmp_path)
    llama3 = LLAMA3.spelling("oniguruma")[0]
    plain_level = {**BYTE_LEVEL, "use_regex": False}

    def pattern_of(*parts: dict[str, Any]) -> Pattern:
        data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": list(parts)}
        return read_json(data, tmp_path).pattern

    assert pattern_of(split(llama3), plain_level) == LLAMA3
    assert pattern_of({"type": "Sequence", "pretokenizers": [split(llama3)]}, plain_level).name == "llama3"
    assert pattern_of(split(llama3, behavior="Removed", invert=True), plain_level) == LLAMA3
    assert pattern_of({"type": "Digits", "individual_digits": True}, BYTE_LEVEL).stages == (r"\p{N}", *GPT2.stages)
    assert pattern_of({"type": "Digits", "individual_digits": False}, plain_level).stages == (r"\p{N}+",)
    literal = {**split(""), "pattern": {"String": "a.b"}}
    assert pattern_of(literal, plain_level).stages == (r"a\.b",)
    assert pattern_of(plain_level).covers_everything


def test_templates_of_roberta_and_bert(tmp_path: Path) -> None:
    vocabulary = vocabulary_of(WORDS, special={"<s>": 264, "</s>": 265})
    data = as_json(vocabulary, tmp_path)
    data["post_processor"] = {
        "type": "RobertaProcessing",
        "sep": ["</s>", 265],
        "cls": ["<s>", 264],
        "trim_offsets": True,
        "add_prefix_space": False,
    }
    assert read_json(data, tmp_path).template == Template((264,), (265,))


def test_a_token_may_be_ordinary_and_special_at_once(tmp_path: Path) -> None:
    """``add_tokens(["the"])`` on a vocabulary that has ``the``: one id, found in text and made by merges."""
    vocabulary = vocabulary_of(WORDS, special={"the": 257})
    tokenizer_json.write(vocabulary, tmp_path / "tokenizer.json")
    assert tokenizer_json.read(tmp_path / "tokenizer.json") == vocabulary
    assert vocabulary.vocab_size == 256 + len(WORDS)


def test_special_tokens_of_vocab_json_are_what_no_merge_makes(tmp_path: Path) -> None:
    vocabulary = vocabulary_of(WORDS, special={"<|end|>": 264, "<｜结束｜>": 265})
    vocab_merges.write(vocabulary, tmp_path)
    sidecar_path(tmp_path / "merges.txt").unlink()
    with pytest.raises(FormatError, match=r"carry no pattern.*pattern='gpt2'"):
        vocab_merges.read(tmp_path)
    assert vocab_merges.read(tmp_path, pattern=LLAMA3) == vocabulary
    assert [
        token.id
        for token in vocab_merges.read(
            tmp_path, pattern=LLAMA3, special_tokens={"<｜结束｜>": 265, "<|end|>": 264}
        ).special_tokens
    ] == [264, 265]
    vocab_merges.write(vocabulary.replace(special_tokens=[SpecialToken("Ġx", 264)]), tmp_path)
    sidecar_path(tmp_path / "merges.txt").unlink()
    with pytest.raises(FormatError, match="special token or an ordinary one: pass special_tokens"):
        vocab_merges.read(tmp_path, pattern=LLAMA3)


def test_merges_txt_without_a_header_and_with_crlf(tmp_path: Path) -> None:
    vocab_merges.write(PLAIN, tmp_path)
    sidecar_path(tmp_path / "merges.txt").unlink()
    lines = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "merges.txt").write_bytes("\r\n".join(lines[1:]).encode())
    assert vocab_merges.read(tmp_path, pattern=LLAMA3) == PLAIN


# --- damage ---


def changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def apply(data: dict[str, Any]) -> dict[str, Any]:
        change(data)
        return data

    return apply


JSON_DAMAGE: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("wordpiece", lambda d: d["model"].update(type="WordPiece"), "is no key that bbpe knows there"),
    ("dropout", lambda d: d["model"].update(dropout=0.1), "makes ids random"),
    ("no model", lambda d: d.pop("model"), "'model' is missing"),
    ("vocab is a list", lambda d: d["model"].update(vocab=[]), r"model.vocab: a list; expected an object"),
    ("id is a float", lambda d: d["model"]["vocab"].update(a=1.5), r"model.vocab\['a'\]: float; expected an integer"),
    (
        "id is true",
        lambda d: d["model"]["vocab"].update(a=True),
        r"model.vocab\['a'\]: true or false; expected an integer",
    ),
    ("id is negative", lambda d: d["model"]["vocab"].update(a=-1), "token id -1 is not an integer from 0"),
    ("id is huge", lambda d: d["model"]["vocab"].update(a=2**32), "token id 4294967296 is not an integer from 0"),
    ("id twice", lambda d: d["model"]["vocab"].update(the=256), "'th' and 'the' have the same id 256"),
    ("no byte map", lambda d: d["model"]["vocab"].update({"中": 999}), r"\['中'\]: '中' spells no byte"),
    ("space in a token", lambda d: d["model"]["vocab"].update({"a b": 999}), r"\['a b'\]: ' ' spells no byte"),
    ("unknown part", lambda d: d["model"]["merges"].append(["q", "qq"]), r"merges\[8\]: 'q' \+ 'qq': 'qq' is no token"),
    ("unknown result", lambda d: d["model"]["merges"].append(["q", "q"]), r"merges\[8\]: 'q' \+ 'q': 'qq' is no token"),
    ("merge twice", lambda d: d["model"]["merges"].append(["t", "h"]), r"merges\[8\]: the same merge as .*merges\[0\]"),
    ("merge of three", lambda d: d["model"]["merges"].append(["t", "h", "e"]), r"merges\[8\].*expected two tokens"),
    ("merge string", lambda d: d["model"]["merges"].append("t h e"), r"merges\[8\].*expected two tokens"),
    ("merge of numbers", lambda d: d["model"]["merges"].append([1, 2]), r"merges\[8\].*expected two tokens"),
    (
        "special id differs",
        lambda d: d["added_tokens"][0].update(id=77),
        "id 264, but the special token of this name has 77",
    ),
    (
        "special twice",
        lambda d: d["added_tokens"].append(d["added_tokens"][0]),
        r"added_tokens\[1\]: '<s>' stands there twice",
    ),
    (
        "special without content",
        lambda d: d["added_tokens"][0].pop("content"),
        r"added_tokens\[0\]: 'content' is missing",
    ),
    (
        "special flag",
        lambda d: d["added_tokens"][0].update(lstrip=1),
        r"added_tokens\[0\].lstrip: an integer; expected true or false",
    ),
    ("special surrogate", lambda d: d["added_tokens"][0].update(content="\ud800"), "lone surrogate"),
    (
        "special takes an id",
        lambda d: (d["model"]["vocab"].pop("<s>"), d["added_tokens"][0].update(id=5)),
        "id 5 belongs to token",
    ),
    (
        "template",
        lambda d: d.update(post_processor={"type": "TemplateProcessing", "single": [], "special_tokens": {}}),
        "stands 0 times",
    ),
    (
        "template id",
        lambda d: d.update(post_processor={"type": "BertProcessing", "sep": ["x", 9999], "cls": ["y", 1]}),
        "names id 9999",
    ),
    ("post processor", lambda d: d.update(post_processor={"type": "Other"}), "post_processor: Other is unknown"),
]


FOR_OTHERS: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("unigram", lambda d: d.update(model={"vocab": [["a", -1.0]], "unk_id": 0}), "Unigram, no byte-level BPE"),
    ("byte fallback", lambda d: d["model"].update(byte_fallback=True), "byte fallback"),
    ("suffix", lambda d: d["model"].update(end_of_word_suffix="</w>"), "marked subwords"),
    ("no byte level", lambda d: d.update(pre_tokenizer=None), "no byte-level BPE"),
    (
        "prefix space",
        lambda d: d["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True),
        "add_prefix_space",
    ),
    (
        "split merges",
        lambda d: d["pre_tokenizer"]["pretokenizers"][0].update(behavior="MergedWithNext"),
        "'MergedWithNext'",
    ),
    (
        "split drops",
        lambda d: d["pre_tokenizer"]["pretokenizers"].__setitem__(0, split(r"\p{L}+", behavior="Removed", invert=True)),
        "drops the text",
    ),
    (
        "punctuation",
        lambda d: d["pre_tokenizer"]["pretokenizers"].insert(0, {"type": "Punctuation"}),
        "Punctuation is a pre-tokenizer that",
    ),
    ("after byte level", lambda d: d["pre_tokenizer"]["pretokenizers"].append({"type": "Digits"}), "inside characters"),
    ("normalizer", lambda d: d.update(normalizer={"type": "Lowercase"}), "Lowercase: bbpe's own vocabularies"),
    (
        "unknown token",
        lambda d: (d["model"].update(unk_token="<s>"), d["model"]["vocab"].pop("Ċ")),
        "byte 0x0A becomes '<s>'",
    ),
]


@pytest.mark.parametrize(("change", "reason"), [case[1:] for case in FOR_OTHERS], ids=[case[0] for case in FOR_OTHERS])
def test_what_a_vocabulary_cannot_say_goes_to_tokenizers_and_says_why(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    data = as_json(vocabulary_of(WORDS, special={"<s>": 264}), tmp_path)
    change(data)
    model = read_json(data, tmp_path)
    assert isinstance(model, EngineModel)
    assert model.engine == "tokenizers"
    assert re.search(reason, model.reason)


@pytest.mark.parametrize(
    ("change", "message"), [case[1:] for case in JSON_DAMAGE], ids=[case[0] for case in JSON_DAMAGE]
)
def test_a_damaged_tokenizer_json_says_where(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    data = as_json(vocabulary_of(WORDS, special={"<s>": 264}), tmp_path)
    change(data)
    with pytest.raises(FormatError, match=message) as raised:
        read_json(data, tmp_path)
    assert "changed.json" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", ":1:2: not JSON"),
        (b'{"a": 1,\n "a": 2}', "key 'a' stands twice"),
        (b"\xff\xfe{}", "byte 0 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"model": NaN}', "NaN is not JSON"),
        (b'{"model": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"[]", "a list; expected an object"),
        (b"null", "null; expected an object"),
    ],
)
def test_what_is_no_json_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as raised:
        tokenizer_json.read(path)
    assert str(raised.value).startswith(str(path))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"", ": no tokens"),
        (b"YQ== 0\nYg== 0\n", ":2: rank 0 follows 0; ranks ascend"),
        (b"YQ== 1\nYg== 0\n", ":2: rank 0 follows 1; ranks ascend"),
        (b"YQ== 0\nYQ== 1\n", "tokens 0 and 1 have the same bytes"),
        (b"YQ== 0\nYg=\n", r":2: b'Yg='; expected base64, a space and a rank"),
        (b"YQ== 0\nYg= 1\n", ":2: b'Yg=' is not base64"),
        (b"YQ== 0\nYg==Yg== 1\n", ":2: .*is not base64"),
        (b"YQ== 0\nY\xff== 1\n", ":2: .*is not base64"),
        (b"YQ== 0\nYh== 1\n", ":2: .*is not base64"),
        (b"YQ== 0\n 1\n", ":2: an empty token"),
        (b"YQ== 0\nYg== -1\n", ":2: .*expected base64"),
        (b"YQ== 0\nYg== 1 2\n", ":2: .*expected base64"),
        (b"YQ== 0\nYg== 9999999999\n", ":2: rank 9999999999 is over"),
        (b"YQ== 0\nYg== " + b"1" * 5000, ":2: .*expected base64"),
    ],
)  # fmt: skip
def test_a_damaged_tiktoken_file_says_where(tmp_path: Path, lines: bytes, message: str) -> None:
    path = tmp_path / "a.tiktoken"
    path.write_bytes(lines)
    with pytest.raises(FormatError, match=message) as raised:
        tiktoken_file.read(path, pattern=LLAMA3, special_tokens={})
    assert str(raised.value).startswith(str(path))


def test_a_tiktoken_file_alone_says_what_to_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.tiktoken"
    path.write_bytes(b"YQ== 0\n")
    with pytest.raises(FormatError, match=r"pass pattern=.* and special_tokens="):
        tiktoken_file.read(path)
    with pytest.raises(FormatError, match="pass special_tokens="):
        tiktoken_file.read(path, pattern=LLAMA3)
    vocabulary = tiktoken_file.read(path, pattern=LLAMA3, special_tokens={"<s>": 1})
    assert (vocabulary.ranks, vocabulary.whole_pretoken, vocabulary.special_tokens) == (
        (0,),
        True,
        (SpecialToken("<s>", 1),),
    )


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ("#version: 0.2\nt h\nt\n", r":3: 't'; expected two tokens"),
        ("t h\nt  h\n", r":2: 't  h'; expected two tokens"),
        ("#version: 0.2\n\nt h\n", r":2: ''; expected two tokens"),
        ("#version: 0.2\nt h\nt h\n", r":3: the same merge as .*merges.txt:2: \('t', 'h'\)"),
        ("#version: 0.2\nt h\nth q\n", r":3: 'th' \+ 'q': 'thq' is no token"),
        ("t h\nx 中\n", r":2: 'x' \+ '中': '中' is no token"),
    ],
)
def test_a_damaged_merges_txt_says_where(tmp_path: Path, merges: str, message: str) -> None:
    vocab_merges.write(PLAIN, tmp_path)
    sidecar_path(tmp_path / "merges.txt").unlink()
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    with pytest.raises(FormatError, match=message):
        vocab_merges.read(tmp_path, pattern=LLAMA3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(sha256="0" * 64), "belongs to contents with sha256 0000"),
        (lambda s: s.update(version=2), "version 2; this bbpe reads version 1"),
        (lambda s: s.update(format="other"), "not a bbpe sidecar"),
        (lambda s: s.update(kind="other"), "kind 'other'"),
        (lambda s: s.update(normalizer="NFKC"), "unknown normalizer 'NFKC'"),
        (lambda s: s.update(normalizer=3), "normalizer: an integer; expected a string"),
        (lambda s: s["pattern"].update(stages=[]), "stages: empty"),
        (lambda s: s["pattern"].update(stages=[1]), r"stages\[0\]: an integer; expected a string"),
        (lambda s: s["pattern"].update(stages=["("]), "pattern"),
        (lambda s: s["special_tokens"].append({"content": "<s>"}), r"special_tokens\[0\]: 'id' is missing"),
        (lambda s: s["template"].update(before=[999]), "template names id 999"),
        (lambda s: s["template"].update(before=["a"]), r"before\[0\]: a string; expected an integer"),
        (lambda s: s.pop("template"), "'template' is missing"),
    ],
)
def test_a_damaged_sidecar_says_where(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    path = tmp_path / "a.tiktoken"
    tiktoken_file.write(PLAIN, path)
    sidecar = json.loads(sidecar_path(path).read_bytes())
    change(sidecar)
    sidecar_path(path).write_text(json.dumps(sidecar))
    with pytest.raises(FormatError, match=message):
        tiktoken_file.read(path)


def test_a_sidecar_that_calls_a_rank_table_a_merge_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tiktoken"
    tiktoken_file.write(Vocabulary({**PLAIN.tokens, 300: b"qqq"}, pattern=LLAMA3, whole_pretoken=True), path)
    sidecar_path(path).write_bytes(sidecar_path(path).read_bytes().replace(b'"kind": "ranks"', b'"kind": "merges"'))
    with pytest.raises(FormatError, match="made by no merges"):
        tiktoken_file.read(path)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_compressed_data_that_is_cut_damaged_or_too_large(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "file"
    data = compress(random.Random(1).randbytes(5000))
    path.write_bytes(data)
    assert len(read_bytes(path)) == 5000
    path.write_bytes(data + data)
    assert len(read_bytes(path)) == 10000  # both formats may be concatenated
    for cut in (len(data) - 1, len(data) // 2, 8):
        path.write_bytes(data[:cut])
        with pytest.raises(FormatError, match="truncated"):
            read_bytes(path)
    path.write_bytes(data[:1000] + bytes([data[1000] ^ 255]) + data[1001:])
    with pytest.raises(FormatError, match="damaged"):
        read_bytes(path)
    path.write_bytes(data + b"trailing garbage")
    with pytest.raises(FormatError, match="damaged"):
        read_bytes(path)
    path.write_bytes(compress(bytes(10_000_000)))
    with pytest.raises(FormatError, match="more than 1,000,000 bytes"):
        read_bytes(path, limit=1_000_000)


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read_bytes(tmp_path / "missing")
    with pytest.raises(FormatError, match="is a directory"):
        read_bytes(tmp_path)
    with pytest.raises(FormatError, match="not a regular file"):
        read_bytes(Path("/dev/null"))
    (tmp_path / "large").write_bytes(bytes(100))
    with pytest.raises(FormatError, match="has at most 99"):
        read_bytes(tmp_path / "large", limit=99)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (bytes(100), "a binary file"),
        (b'{"name": "something"}', "JSON of another kind"),
        (b"hello\n", "unknown content"),
    ],
)
def test_other_files_are_named_and_the_known_formats_listed(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(
        FormatError,
        match=f"{message}; where you know the format, pass format=...; bbpe reads tokenizer.json .*; tiktoken .*; vocab\\+merges",
    ):
        detect(path)


def mutate(data: bytes, random_source: random.Random) -> bytes:
    """One to four random edits: a byte changed, a slice cut, repeated, or moved in from elsewhere."""
    result = bytearray(data)
    for _ in range(random_source.randint(1, 4)):
        at, length = random_source.randrange(len(result)), random_source.choice((1, 1, 2, 8, 40))
        kind = random_source.randrange(4)
        if kind == 0:
            result[at] = random_source.choice((random_source.randrange(256), *b'{}[]",:0 \n'))
        elif kind == 1:
            del result[at : at + length]
        elif kind == 2:
            result[at:at] = result[at : at + length]
        else:
            other = random_source.randrange(len(result))
            result[at : at + length] = result[other : other + length]
        if not result:
            return b"\x00"
    return bytes(result)


@pytest.mark.parametrize("name", [format.name for format in FORMATS.values() if format.write])
def test_mutants_are_read_or_refused_never_a_crash(tmp_path: Path, name: str) -> None:
    """400 mutants (seeds 0 to 399) of every file of the format: a ``Vocabulary`` or a ``FormatError``, nothing
    else."""
    small = Vocabulary(
        {0: b" ", 1: b"a", 2: b"b", 5: b"ab", 6: b" ab"},
        merges=[(1, 2), (0, 5)],
        special_tokens=[SpecialToken("<s>", 9)],
        pattern=GPT2,
    )
    first = (
        tmp_path
        / {
            "tokenizer.json": "tokenizer.json",
            "tiktoken": "a.tiktoken",
            "vocab+merges": "vocab.json",
            "gguf": "a.gguf",
        }[name]
    )
    if name == "tiktoken":
        tiktoken_file.write(vocabulary_of([b"ab"], special={"<s>": 300}, pattern=GPT2), first)
    else:
        FORMATS[name].write(small, first)
    files = sorted(tmp_path.iterdir())
    originals = {path: path.read_bytes() for path in files}
    accepted = 0
    for seed in range(400):
        random_source = random.Random(seed)
        path = random_source.choice(files)
        path.write_bytes(mutate(originals[path], random_source))
        with contextlib.suppress(FormatError):
            FORMATS[name].read(first)
            accepted += 1
        path.write_bytes(originals[path])
    assert 0 < accepted < 280


# --- published files ---


def test_published_gpt2_becomes_openais_own_tiktoken_file(bbpe_home: Path, tmp_path: Path) -> None:
    """vocab.json + merges.txt of the GPT-2 release, written as ranks, is r50k_base.tiktoken byte for byte."""
    gpt2 = vocab_merges.read(bbpe_home / "vocabs" / "gpt2", pattern=GPT2)
    assert [(token.content, token.id) for token in gpt2.special_tokens] == [("<|endoftext|>", 50256)]
    tiktoken_file.write(gpt2, tmp_path / "r50k_base.tiktoken")
    digest = hashlib.sha256((tmp_path / "r50k_base.tiktoken").read_bytes()).hexdigest()
    assert digest == "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
    assert tiktoken_file.read(tmp_path / "r50k_base.tiktoken") == gpt2
    vocab_merges.write(gpt2, tmp_path)
    published = (bbpe_home / "vocabs" / "gpt2" / "merges.txt").read_bytes()
    assert (tmp_path / "merges.txt").read_bytes() == published


@pytest.mark.parametrize(
    ("name", "file", "pattern", "normalizer", "tokens", "special", "whole"),
    [
        ("qwen2", "qwen2.json.xz", "qwen2", "NFC", 151643, 3, False),
        ("glm-4.6", "glm-4.6.json.xz", "llama3", None, 151329, 36, True),
        ("gpt-neox-20b", "20B_tokenizer.json", "gpt2", "NFC", 50252, 25, False),
    ],
)
def test_published_tokenizer_json(
    bbpe_home: Path, name: str, file: str, pattern: str, normalizer: str | None, tokens: int, special: int, whole: bool
) -> None:
    vocabulary = tokenizer_json.read(bbpe_home / "vocabs" / name / file)
    assert vocabulary.pattern == get_pattern(pattern)
    assert (vocabulary.normalizer, vocabulary.whole_pretoken) == (normalizer, whole)
    assert (len(vocabulary.tokens), len(vocabulary.special_tokens)) == (tokens, special)


@pytest.mark.parametrize(("name", "tokens", "special"), [("bloom", 250676, 4), ("aquila", 99999, 1)])
def test_published_vocab_json_and_merges_txt(bbpe_home: Path, name: str, tokens: int, special: int) -> None:
    vocabulary = vocab_merges.read(bbpe_home / "vocabs" / name, pattern=GPT2)
    assert (len(vocabulary.tokens), len(vocabulary.special_tokens)) == (tokens, special)
