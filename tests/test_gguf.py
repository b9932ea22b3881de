"""GGUF files: written for llama.cpp and read back, read as others write them, and broken in every way.

Ids are compared with llama.cpp itself where the package ``xllamacpp`` is installed.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import lzma
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import sentencepiece
from llama_cpp_oracle import LlamaCpp

from bbpe import io
from bbpe.engines import EngineModel
from bbpe.errors import FormatError
from bbpe.formats import FORMATS, detect, gguf_file, llama_cpp, sentencepiece_model
from bbpe.formats.byte_text import to_text
from bbpe.formats.gguf_file import Roles
from bbpe.patterns import Pattern, get_pattern, named_patterns
from bbpe.tokenizer import Tokenizer
from bbpe.training import train
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

SEED = 20_261_121
LLAMA3 = get_pattern("llama3")
TOKENS = {**{byte: bytes([byte]) for byte in range(256)}, 256: b"th", 257: b"the", 258: b" the"}
MERGES = [(116, 104), (256, 101), (32, 257)]


def small(**changes: Any) -> Vocabulary:
    """Bytes and three merges, each of whose results a text can get; id 299 is a hole, as are 259 to 298."""
    arguments: dict[str, Any] = {
        "tokens": TOKENS,
        "merges": MERGES,
        "pattern": LLAMA3,
        "special_tokens": [
            SpecialToken("<s>", 300),
            SpecialToken("</s>", 301),
            SpecialToken("<tool>", 302, special=False),
        ],
    }
    return Vocabulary(**{**arguments, **changes})


# --- a writer of our own, for files that no library writes ---

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def string(text: str | bytes, order: str = "<") -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(order + "Q", len(data)) + data


def value(item: Any, order: str = "<") -> bytes:
    """Kind and value as GGUF has them."""
    if isinstance(item, bool):
        return struct.pack(order + "IB", BOOL, item)
    if isinstance(item, int):
        return struct.pack(order + "II", U32, item)
    if isinstance(item, str):
        return struct.pack(order + "I", STRING) + string(item, order)
    if item and isinstance(item[0], float):
        return struct.pack(f"{order}IIQ{len(item)}f", ARRAY, F32, len(item), *item)
    if item and isinstance(item[0], int):
        return struct.pack(f"{order}IIQ{len(item)}i", ARRAY, I32, len(item), *item)
    return struct.pack(order + "IIQ", ARRAY, STRING, len(item)) + b"".join(string(text, order) for text in item)


def container(
    keys: dict[str, Any], *, order: str = "<", version: int = 3, tensors: int = 0, count: int | None = None
) -> bytes:
    body = b"".join(
        string(key, order) + (item if isinstance(item, bytes) else value(item, order)) for key, item in keys.items()
    )
    return b"GGUF" + struct.pack(order + "IQQ", version, tensors, len(keys) if count is None else count) + body


def keys_of(vocabulary: Vocabulary, **changes: Any) -> dict[str, Any]:
    """The keys of a small vocabulary without special tokens, ids 0 to its size."""
    spelled = {id: to_text(token) for id, token in vocabulary.tokens.items()}
    keys: dict[str, Any] = {
        "general.architecture": "llama",
        gguf_file.MODEL: "gpt2",
        gguf_file.PRE: "llama-bpe",
        gguf_file.TOKENS: [spelled[id] for id in range(len(spelled))],
        gguf_file.TYPES: [1] * len(spelled),
        gguf_file.MERGES: [f"{spelled[left]} {spelled[right]}" for left, right in vocabulary.merges or ()],
        gguf_file.ADD_BEGINNING: False,
    }
    keys.update({getattr(gguf_file, name): item for name, item in changes.items()})
    return {key: item for key, item in keys.items() if item is not None}


PLAIN = small(special_tokens=[])


def read_bytes_as_gguf(tmp_path: Path, data: bytes, **arguments: Any) -> Any:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return gguf_file.read(path, **arguments)


# --- writing and reading ---


def test_a_vocabulary_is_read_back_as_it_was(tmp_path: Path) -> None:
    vocabulary = small(whole_pretoken=True, template=Template((300,), (301,)), name="small")
    gguf_file.write(vocabulary, tmp_path / "out.gguf")
    again = gguf_file.read(tmp_path / "out.gguf")
    assert again.replace(pattern=LLAMA3) == vocabulary
    assert again.name == "small"
    assert detect(tmp_path / "out.gguf") == "gguf"
    tokenizer = io.load(tmp_path)
    assert tokenizer.encode("the <s>theth", allowed_special="all", add_template=True) == [
        300,
        257,
        32,
        300,
        257,
        256,
        301,
    ]


def test_the_fields_are_what_llama_cpp_reads(tmp_path: Path) -> None:
    """Types: normal 1, control 3, user-defined 4, unused 5."""
    vocabulary = small(template=Template((300,)), whole_pretoken=True)
    gguf_file.write(vocabulary, tmp_path / "out.gguf", roles=Roles(end="</s>", padding="<s>"))
    fields = {key: field.contents() for key, field in gguf.GGUFReader(tmp_path / "out.gguf").fields.items()}
    assert fields["general.architecture"] == "llama"
    assert fields["tokenizer.ggml.model"] == "gpt2"
    assert fields["tokenizer.ggml.pre"] == "llama-bpe"
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert (len(tokens), len(types)) == (303, 303)
    assert tokens[32:34] == ["Ġ", "!"]
    assert tokens[256:260] == ["th", "the", "Ġthe", "[PAD259]"]
    assert tokens[299:] == ["[PAD299]", "<s>", "</s>", "<tool>"]
    assert types == [1] * 259 + [5] * 41 + [3, 3, 4]
    assert fields["tokenizer.ggml.merges"] == ["t h", "th e", "Ġ the"]
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert fields["tokenizer.ggml.add_eos_token"] is False
    ids = [fields[f"tokenizer.ggml.{role}_token_id"] for role in ("bos", "eos", "padding")]
    assert ids == [300, 301, 300]


def test_ranks_become_all_their_splits(tmp_path: Path) -> None:
    table = Vocabulary({**TOKENS, 259: b"he"}, pattern=LLAMA3, whole_pretoken=True)
    gguf_file.write(table, tmp_path / "out.gguf")
    merges = gguf_file.read(tmp_path / "out.gguf").merges
    assert merges == ((116, 104), (116, 259), (256, 101), (32, 257), (104, 101))
    tokenizer, again = Tokenizer(table), io.load(tmp_path / "out.gguf")
    for text in ("the", " the he", "hehethe", "thth"):
        assert again.encode(text) == tokenizer.encode(text)


def test_a_filler_is_never_the_text_of_a_token(tmp_path: Path) -> None:
    vocabulary = small(special_tokens=[SpecialToken("[PAD259]", 400)])
    gguf_file.write(vocabulary, tmp_path / "out.gguf")
    assert gguf_file.read(tmp_path / "out.gguf", pattern=LLAMA3) == vocabulary


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": "NFC"}, "does not normalize text"),
        ({"pattern": get_pattern("cl100k")}, "no pre-tokenizer that cuts text as pattern cl100k does"),
        ({"pattern": get_pattern("o200k")}, "--pre gpt-4o"),
        ({"pattern": get_pattern(r"\p{L}+|\P{L}")}, "no pre-tokenizer"),
        ({"special_tokens": [SpecialToken("<m>", 300, lstrip=True)]}, "cannot say lstrip of special token '<m>'"),
        ({"special_tokens": [SpecialToken("<m>", 300, single_word=True)]}, "cannot say single_word"),
        ({"special_tokens": [SpecialToken("<a>", 300), SpecialToken("<b>", 301)], "template": Template((300, 301))},
         "cannot say that 2 tokens begin a text"),
        ({"special_tokens": [SpecialToken("Ā", 300)]}, "also how the bytes"),
        ({"merges": []}, "without merges"),
        ({"special_tokens": [SpecialToken("<far>", 1 << 21)]}, "ids have no token"),
        # ' the' in one piece is a pretoken that the merges make; 'zz' is one that they do not.
        ({"tokens": {**TOKENS, 259: b"zz"}, "pattern": get_pattern("qwen2"), "whole_pretoken": True},
         "qwen2 does not take pretokens whole, and 1 tokens are made by no merges .the first is 259"),
        ({"special_tokens": [SpecialToken("word", 300)], "tokens": {**TOKENS, 259: b"zz"}, "whole_pretoken": True},
         "'word' is one pretoken, which llama-bpe takes for the special token"),
    ],
)  # fmt: skip
def test_what_llama_cpp_cannot_do_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        gguf_file.write(small(**changes), tmp_path / "out.gguf")


def test_the_rule_for_whole_pretokens_may_change_where_merges_make_every_token() -> None:
    assert gguf_file.pre_tokenizer_for(small(whole_pretoken=True)).name == "llama-bpe"
    assert gguf_file.pre_tokenizer_for(small()).name == "dbrx"
    assert gguf_file.pre_tokenizer_for(small(pattern=get_pattern("qwen2"), whole_pretoken=True)).name == "qwen2"
    assert gguf_file.pre_tokenizer_for(small(), "llama-bpe").name == "llama-bpe"
    # A special token that is a pretoken is harmless where pretokens are not taken whole.
    assert (
        gguf_file.pre_tokenizer_for(small(special_tokens=[SpecialToken("word", 300)], whole_pretoken=True)).name
        == "dbrx"
    )


def test_roles_have_to_be_special_tokens_and_agree_with_the_template(tmp_path: Path) -> None:
    vocabulary = small(template=Template((300,)))
    with pytest.raises(FormatError, match="'<x>', said to end a text, is no special token"):
        gguf_file.write(vocabulary, tmp_path / "out.gguf", roles=Roles(end="<x>"))
    with pytest.raises(FormatError, match="the template has id 300 there"):
        gguf_file.write(vocabulary, tmp_path / "out.gguf", roles=Roles(beginning="</s>"))


# --- files of others ---


def test_the_keys_decide_not_their_order_nor_what_stands_after_them(tmp_path: Path) -> None:
    keys = keys_of(PLAIN)
    tensors = b"\xff" * 5000
    reversed_keys = dict(reversed([*keys.items(), ("tokenizer.ggml.scores", b"\x09\0\0\0\x06\0\0\0" + bytes(8))]))
    for data in (container(keys), container(reversed_keys, tensors=7) + tensors):
        assert read_bytes_as_gguf(tmp_path, data).replace(pattern=LLAMA3, whole_pretoken=False) == PLAIN


@pytest.mark.parametrize("version", [2, 3])
def test_either_byte_order(tmp_path: Path, version: int) -> None:
    for order in "<>":
        data = container(keys_of(PLAIN), order=order, version=version)
        assert read_bytes_as_gguf(tmp_path, data).tokens == PLAIN.tokens


def test_compressed_files_are_read(tmp_path: Path) -> None:
    data = container(keys_of(PLAIN))
    for compressed in (gzip.compress(data), lzma.compress(data)):
        assert read_bytes_as_gguf(tmp_path, compressed).merges == PLAIN.merges
        assert detect(tmp_path / "model.gguf") == "gguf"


def test_a_model_of_many_gigabytes_is_read_as_fast_as_its_vocabulary(tmp_path: Path) -> None:
    """The tensors are a hole in the file: reading them would take minutes and more memory than there is."""
    path = tmp_path / "model.gguf"
    path.write_bytes(container(keys_of(PLAIN), tensors=1))
    with path.open("r+b") as file:
        file.truncate(200 << 30)
    tracemalloc.start()
    vocabulary = io.load(path).vocabulary
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert vocabulary.tokens == PLAIN.tokens
    assert peak < 60 << 20


def test_types_tell_special_tokens_and_fillers(tmp_path: Path) -> None:
    texts = [to_text(PLAIN.tokens[id]) for id in range(259)]
    added = ["<unk>", "<ctl>", "<user>", "<unused>", "", "zz", "<未>"]
    keys = keys_of(PLAIN, TOKENS=texts + added, TYPES=[1] * 259 + [2, 3, 4, 5, 5, 5, 5], PRE="qwen2")
    vocabulary = read_bytes_as_gguf(tmp_path, container(keys))
    assert vocabulary.special_tokens == (
        SpecialToken("<unk>", 259), SpecialToken("<ctl>", 260), SpecialToken("<user>", 261, special=False)
    )  # fmt: skip
    assert vocabulary.tokens == PLAIN.tokens
    given = read_bytes_as_gguf(tmp_path, container(keys), special_tokens={"<ctl>": 260})
    assert [token.content for token in given.special_tokens] == ["<ctl>"]
    # Under a name that takes pretokens whole, an unused token that is a pretoken has a use after all.
    keys[gguf_file.PRE] = "llama-bpe"
    assert read_bytes_as_gguf(tmp_path, container(keys)).tokens == {**PLAIN.tokens, 264: b"zz"}


def test_the_template_is_what_llama_cpp_would_add(tmp_path: Path) -> None:
    def template(**changes: Any) -> Template:
        keys = keys_of(PLAIN, **{"ADD_BEGINNING": None, "PRE": "qwen2", **changes})
        return read_bytes_as_gguf(tmp_path, container(keys)).template

    assert template() == Template()
    assert template(BEGINNING_ID=5) == Template()
    assert template(BEGINNING_ID=5, ADD_BEGINNING=True) == Template((5,))
    assert template(BEGINNING_ID=5, PRE="llama-bpe") == Template((5,))  # adds one unless told not to
    assert template(BEGINNING_ID=5, PRE="llama-bpe", ADD_BEGINNING=False) == Template()
    assert template(END_ID=6, ADD_END=True) == Template((), (6,))
    assert template(ADD_BEGINNING=True) == Template((11,))  # the id that llama.cpp takes when none is named
    with pytest.raises(FormatError, match="the template names id 9999"):
        template(BEGINNING_ID=9999, ADD_BEGINNING=True)


def test_the_caller_may_say_the_pattern(tmp_path: Path) -> None:
    for pre in ("kimi-k2", "of-tomorrow"):
        data = container(keys_of(PLAIN, PRE=pre))
        with pytest.raises(FormatError, match=pre):
            read_bytes_as_gguf(tmp_path, data)
        assert read_bytes_as_gguf(tmp_path, data, pattern=LLAMA3) == PLAIN
    assert read_bytes_as_gguf(tmp_path, container(keys_of(PLAIN)), pattern=get_pattern("o200k")).pattern.name == "o200k"
    # A file that does not say gets what llama.cpp takes then, which is no published pattern.
    assert read_bytes_as_gguf(tmp_path, container(keys_of(PLAIN, PRE=None))).pattern.name is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MODEL": "gemma4"}, "a BPE of text vocabulary .*'gemma4'.*SentencePiece.*WordPiece"),
        ({"MODEL": "rwkv"}, "RWKV's vocabulary"),
        ({"MODEL": "llama"}, "scores has 0 entries for 259 tokens"),
        ({"MODEL": "t5", "SCORES": [1.0] * 258}, "scores has 258 entries"),
        ({"MODEL": "llama", "SCORES": [0.5] * 259}, "no piece is the unknown one"),
        ({"MODEL": "llama", "SCORES": [float("nan")] * 259, "TYPES": [2] + [1] * 258}, "is no score"),
        ({"MODEL": "x" * 999}, "an unknown vocabulary"),
        ({"MODEL": None}, "without a vocabulary"),
        ({"MODEL": 5}, "model: int; expected str"),
        ({"TOKENS": None}, "tokens is missing"),
        ({"MERGES": None}, "merges is missing"),
        ({"TOKENS": [1, 2]}, "a list of int; expected str"),
        ({"TOKENS": "abc"}, "tokens: str; expected list"),
        ({"TYPES": [1, 1]}, "token_type has 2 entries for 259 tokens"),
        ({"TYPES": ["a"] * 259}, "token_type: a list of str"),
        ({"TOKENS": ["a"] * 2, "TYPES": [1, 1], "MERGES": []}, "tokens.1.: 'a', as token 0 already"),
        ({"TOKENS": ["a", "b c"], "TYPES": [1, 1], "MERGES": []}, "' ' spells no byte"),
        ({"MERGES": ["t h", "t  h"]}, "merges.1.: 't  h'"),
        ({"MERGES": ["t h", "t h"]}, "the same merge"),
        ({"MERGES": ["q q"]}, "'qq' is no token"),
        ({"PRE": True}, "pre: bool; expected str"),
        ({"ADD_BEGINNING": 1}, "add_bos_token: int; expected bool"),
    ],
)
def test_keys_that_say_nothing_sound(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_bytes_as_gguf(tmp_path, container(keys_of(PLAIN, **changes)))


# --- SentencePiece in GGUF ---


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def sentencepiece_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, with user-defined and control pieces."""
    corpus = Path(__file__).parent.parent / "corpora" / "tiny" / "train"
    prefix = tmp_path_factory.mktemp("sentencepiece") / request.param
    sentencepiece.SentencePieceTrainer.train(
        input=",".join(str(path) for path in sorted(corpus.rglob("*.txt"))), model_prefix=str(prefix), vocab_size=3500,
        model_type=request.param, byte_fallback=request.param == "bpe", normalization_rule_name="identity",
        remove_extra_whitespaces=False, character_coverage=0.999, user_defined_symbols=["<user>"],
        control_symbols=["<ctl>"], minloglevel=2,
    )  # fmt: skip
    return prefix.with_suffix(".model")


def sentencepiece_keys(path: Path) -> dict[str, Any]:
    """The keys that llama.cpp's converter writes for a SentencePiece model."""
    model = sentencepiece_model.parse(path.read_bytes(), path)
    return {
        "general.architecture": "llama",
        gguf_file.MODEL: "llama" if model.model_type == sentencepiece_model.BPE else "t5",
        gguf_file.TOKENS: [piece.text for piece in model.pieces],
        gguf_file.SCORES: [piece.score for piece in model.pieces],
        gguf_file.TYPES: [piece.kind for piece in model.pieces],
        gguf_file.SPACE_PREFIX: model.add_dummy_prefix,
        "tokenizer.ggml.unknown_token_id": [piece.kind for piece in model.pieces].index(sentencepiece_model.UNKNOWN),
    }


def test_sentencepiece_vocabularies_encode_as_their_model_and_as_llama_cpp(
    sentencepiece_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(container(sentencepiece_keys(sentencepiece_file)))
    loaded, model = io.load(path), io.load(sentencepiece_file)
    assert loaded.engine == "sentencepiece"
    assert (loaded.algorithm, loaded.byte_fallback) == (model.algorithm, model.byte_fallback)
    assert loaded.special_tokens == model.special_tokens
    oracle = LlamaCpp(path)
    corpus = Path(__file__).parent.parent / "corpora" / "tiny"
    texts = ["", "a", " a  b", "他们说 <user> hello", "<ctl>", "𠀀 unseen ﬁ", "x" * 300]
    texts += [
        line for file in sorted((corpus / "eval").rglob("*.txt")) for line in file.read_text("utf-8").split("\n")[:20]
    ]
    for text in texts:
        assert loaded.encode(text) == model.encode(text), text
        if text and "<user>" not in text:  # after such a piece llama.cpp puts the space prefix again
            assert oracle.encode(text) == loaded.encode(text), text


def test_what_is_put_around_a_text_of_a_sentencepiece_vocabulary(sentencepiece_file: Path, tmp_path: Path) -> None:
    keys = sentencepiece_keys(sentencepiece_file)
    by_default = io_template(tmp_path, keys)
    assert by_default == (Template((1,)) if keys[gguf_file.MODEL] == "llama" else Template((), (1,)))
    keys |= {gguf_file.ADD_BEGINNING: False, gguf_file.ADD_END: True, gguf_file.END_ID: 2}
    assert io_template(tmp_path, keys) == Template((), (2,))
    with pytest.raises(FormatError, match="the template names id 99999"):
        io_template(tmp_path, {**keys, gguf_file.END_ID: 99999})
    with pytest.raises(FormatError, match="leave pattern out"):
        gguf_file.read(tmp_path / "model.gguf", pattern=LLAMA3)


def io_template(tmp_path: Path, keys: dict[str, Any]) -> Template:
    model = read_bytes_as_gguf(tmp_path, container(keys))
    assert isinstance(model, EngineModel)
    return model.template


def test_llama2_as_gguf(bbpe_home: Path, read_corpus: Callable[..., bytes], tmp_path: Path) -> None:
    source = bbpe_home / "vocabs" / "llama2" / "tokenizer.model"
    path = tmp_path / "model.gguf"
    path.write_bytes(container(sentencepiece_keys(source)))
    loaded, model, oracle = io.load(path), io.load(source), LlamaCpp(path)
    for name in ("zh-web.txt", "en-web.txt", "mixed-zh-en.txt"):
        for line in read_corpus(name, 40_000).decode().split("\n"):
            if line.strip():
                assert loaded.encode(line) == model.encode(line) == oracle.encode(line), line


# --- WordPiece in GGUF ---

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "un", "##able", "##ab", "a", "##a", "##b", "中", "，", "é", "e",
         "Hello", "hello", "##o", "##▁", "▁", "1", "##2"]  # fmt: skip


def wordpiece_keys(words: list[str], old: bool = False, **changes: Any) -> dict[str, Any]:
    """The keys that llama.cpp's converter writes for a list of words, or that it wrote before it looked at types."""
    special = set(WORDS[:5])

    def phantom(word: str) -> str:
        if word.startswith("[") and word.endswith("]") if old else word in special:
            return word
        return word[2:] if word.startswith("##") else "▁" + word

    keys: dict[str, Any] = {
        "general.architecture": "llama",
        gguf_file.MODEL: "bert",
        gguf_file.PRE: "default",
        gguf_file.TOKENS: list(map(phantom, words)),
        gguf_file.TYPES: [3 if word in special and not old else 1 for word in words],
        gguf_file.UNKNOWN_ID: words.index("[UNK]"),
        gguf_file.SEPARATOR_ID: words.index("[SEP]"),
        gguf_file.BEGINNING_ID: words.index("[CLS]"),
    }
    keys.update({getattr(gguf_file, name): item for name, item in changes.items()})
    return {key: item for key, item in keys.items() if item is not None}


def word_list(tmp_path: Path, words: list[str], lowercase: bool) -> Any:
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return io.load(tmp_path / "vocab.txt", lowercase=lowercase)


BERT_TEXTS = [
    "",
    " ",
    "unable Unable",
    "Hello, hello 中文中，",
    "éa Éa",
    "[UNK] [MASK] x",
    "aab12 ▁ a▁b",
    "un\u0301able\n\tb",
]


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("lowercase", [False, True])
def test_wordpiece_becomes_berts_own_tokenizer(tmp_path: Path, lowercase: bool, old: bool) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(container(wordpiece_keys(WORDS, old, LOWERCASE=lowercase)))
    loaded, listed = io.load(path), word_list(tmp_path, WORDS, lowercase)
    assert (loaded.engine, loaded.algorithm) == ("tokenizers", "wordpiece")
    assert loaded.pieces == listed.pieces == dict(enumerate(WORDS))
    assert loaded.special_tokens == listed.special_tokens
    assert loaded.unknown_id == listed.unknown_id == 1
    for text in BERT_TEXTS:
        assert loaded.encode(text) == listed.encode(text)
        assert loaded.encode(text, allowed_special="all") == listed.encode(text, allowed_special="all")
        assert loaded.decode(loaded.encode(text)) == listed.decode(listed.encode(text))
    assert loaded.encode("a", add_template=True) == [2, 9, 3]


def test_what_a_wordpiece_file_says_of_case_accents_and_its_ends(tmp_path: Path) -> None:
    def load(**changes: Any) -> Any:
        path = tmp_path / "model.gguf"
        path.write_bytes(container(wordpiece_keys(WORDS, **changes)))
        return io.load(path)

    hello, lower, accent, plain = (WORDS.index(word) for word in ("Hello", "hello", "é", "e"))
    assert load().encode("Hello é") == [lower, plain]  # llama.cpp lowers case where nothing is said
    assert load(LOWERCASE=True, ACCENTS=False).encode("Hello é") == [lower, accent]
    assert load(LOWERCASE=False).encode("Hello é") == [hello, accent]
    assert load(LOWERCASE=False, ACCENTS=True).encode("Hello é") == [hello, plain]
    assert load(ADD_BEGINNING=False).template == Template((), (3,))
    assert load(ADD_SEPARATOR=False).template == Template((2,))
    assert load(BEGINNING_ID=None, CLASS_ID=4).template == Template((4,), (3,))
    many = [*WORDS[:5], *(f"w{number}" for number in range(200))]  # 101 and 102 where nothing is said
    path = tmp_path / "model.gguf"
    path.write_bytes(container(wordpiece_keys(many, BEGINNING_ID=None, SEPARATOR_ID=None)))
    assert io.load(path).template == Template((101,), (102,))
    model = gguf_file.read(path, special_tokens={"w3": 8})
    assert isinstance(model, EngineModel)
    assert [token.content for token in model.special_tokens] == ["w3"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"UNKNOWN_ID": 99}, "the unknown token has id 99, which is no token"),
        ({"UNKNOWN_ID": None}, "the unknown token has id 100, which is no token"),
        ({"SEPARATOR_ID": 99}, "the template names id 99"),
        ({"LOWERCASE": 1}, "normalizer.lowercase: int; expected bool"),
        ({"ACCENTS": "yes"}, "normalizer.strip_accents: str; expected bool"),
        ({"TOKENS": ["[UNK]", "b", "▁##b", "▁a"], "TYPES": [3, 1, 1, 1]}, r"tokens.2.: '##b', as token 1 already"),
        ({"TOKENS": ["[UNK]", "b", "b", "▁a"], "TYPES": [3, 1, 1, 1]}, r"tokens.2.: 'b', as token 1 already"),
        ({"TYPES": [3]}, "token_type has 1 entries"),
        ({"TOKENS": None, "TYPES": None}, "the unknown token has id 1"),
    ],
)
def test_wordpiece_keys_that_say_nothing_sound(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_bytes_as_gguf(tmp_path, container(wordpiece_keys(WORDS, **changes)))


def test_a_wordpiece_has_no_pattern_and_fillers_are_no_words(tmp_path: Path) -> None:
    words = [*WORDS, "[PAD23]"]
    keys = wordpiece_keys(words, TYPES=[3] * 5 + [1] * 18 + [5])
    assert len(io.load(write(tmp_path, keys))) == len(WORDS)
    with pytest.raises(FormatError, match="leave pattern out"):
        gguf_file.read(tmp_path / "model.gguf", pattern=LLAMA3)


def write(tmp_path: Path, keys: dict[str, Any]) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(container(keys))
    return path


def test_a_wordpiece_file_of_the_gguf_package(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "bert")
    keys = wordpiece_keys(WORDS)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(keys[gguf_file.TOKENS])
    writer.add_token_types(keys[gguf_file.TYPES])
    writer.add_unk_token_id(1)
    writer.add_sep_token_id(3)
    writer.add_bos_token_id(2)
    writer.add_mask_token_id(4)
    writer.add_bool(gguf_file.LOWERCASE, False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    loaded, listed = io.load(tmp_path / "model.gguf"), word_list(tmp_path, WORDS, False)
    assert [loaded.encode(text) for text in BERT_TEXTS] == [listed.encode(text) for text in BERT_TEXTS]
    assert loaded.template == Template((2,), (3,))


BERT = [("bert-base-uncased/google_uncased_en_vocab.txt", True), ("bert-base-chinese/google_zh_vocab.txt", False)]


@pytest.mark.parametrize(("file", "lowercase"), BERT)
def test_bert_as_gguf(
    file: str, lowercase: bool, bbpe_home: Path, read_corpus: Callable[..., bytes], tmp_path: Path
) -> None:
    source = bbpe_home / "vocabs" / file
    words = source.read_text(encoding="utf-8").rstrip("\n").split("\n")
    path = write(tmp_path, wordpiece_keys(words, LOWERCASE=lowercase))
    loaded, model = io.load(path), io.load(source, lowercase=lowercase)
    assert loaded.pieces == model.pieces
    lines = [
        line
        for name in ("zh-web.txt", "en-web.txt", "mixed-zh-en.txt", "emoji-social.txt")
        for line in read_corpus(name, 40_000).decode().split("\n")
        if line.strip()
    ]
    assert loaded.encode_batch(lines) == model.encode_batch(lines)
    oracle = LlamaCpp(path)
    for line in lines:
        assert oracle.encode(line) == loaded.encode(line), line
    assert oracle.encode("a b", template=True) == loaded.encode("a b", add_template=True)


# --- hostile files ---


def lying(kind: bytes) -> bytes:
    return container({"tokenizer.ggml.tokens": kind})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GGUF", "truncated"),
        (b"GGML" + bytes(40), "begins with b'GGML'"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1; bbpe reads versions 2 and 3"),
        (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), "version 4"),
        (container({}, count=1), "1 keys in 0 bytes"),
        (container({}, count=1 << 63) + bytes(99), "keys in 99 bytes"),
        (container({"a": 1}, count=2), "keys in"),
        (container({"a": 1}) [:-1], "truncated"),
        (container({"a": struct.pack("<I", 13)}), "a is of unknown kind 13"),
        (container({"a\nb": struct.pack("<I", 13)}), r"'a\\nb' is of unknown kind 13"),
        (container({"a": struct.pack("<IB", BOOL, 2)}), "2 is neither true nor false"),
        (container({"a": 1}) [:24] + struct.pack("<Q", 1 << 40) + bytes(64), "key 0 is 1,099,511,627,776 bytes long"),
        (container({"a": 1}, count=2) + string("a") + value(1), "key b'a' stands twice"),
        (container({"\ud800".encode("utf-8", "surrogatepass").decode("latin-1"): 1}).replace("í".encode(), b"\xed"), "truncated|UTF-8"),
        (lying(struct.pack("<IIQ", ARRAY, ARRAY, 1) + struct.pack("<IQ", ARRAY, 1) * 1000), "an array of arrays"),
        (lying(struct.pack("<IIQ", ARRAY, STRING, 1 << 60) + bytes(99)), "strings in 99 bytes"),
        (lying(struct.pack("<IIQ", ARRAY, 10, 1 << 61) + bytes(99)), "numbers in 99 bytes"),
        (lying(struct.pack("<IIQ", ARRAY, 77, 1)), "an array of unknown kind 77"),
        (lying(struct.pack("<IIQQ", ARRAY, STRING, 2, 1 << 62) + bytes(99)), r"tokens\[0\] is 4,611,686,018,427,387,904 bytes"),
        (lying(struct.pack("<IIQQ", ARRAY, STRING, 1, 2) + b"\xff\xfe"), r"tokens\[0\]: byte 0 of b'\\xff\\xfe' is not UTF-8"),
        (lying(struct.pack("<IQ", STRING, 1 << 62) + bytes(9)), "bytes long"),
    ],
    ids=itertools.count().__next__ and None,
)  # fmt: skip
def test_lies_are_found_before_memory_is_taken(tmp_path: Path, data: bytes, message: str) -> None:
    tracemalloc.start()
    with pytest.raises(FormatError, match=message):
        read_bytes_as_gguf(tmp_path, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_many_strings_are_bounded_in_number(tmp_path: Path) -> None:
    """A sparse file of zeros is an array of as many empty strings as it says: 100 GB of them."""
    path = tmp_path / "model.gguf"
    path.write_bytes(lying(struct.pack("<IIQ", ARRAY, STRING, 10**10)))
    with path.open("r+b") as file:
        file.truncate(100 << 30)
    with pytest.raises(FormatError, match="10,000,000,000 strings"):
        gguf_file.read(path)
    path.write_bytes(lying(struct.pack("<IIQ", ARRAY, U32, 10**10)))
    with path.open("r+b") as file:
        file.truncate(100 << 30)
    with pytest.raises(FormatError, match="take over"):
        gguf_file.read(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    vocabulary = Vocabulary({0: b"a", 1: b"b", 2: b"ab"}, merges=[(0, 1)], pattern=LLAMA3)
    data = container(keys_of(vocabulary))
    assert read_bytes_as_gguf(tmp_path, data).tokens == vocabulary.tokens
    for length in range(len(data)):
        with pytest.raises(FormatError):
            read_bytes_as_gguf(tmp_path, data[:length])


def mutate(data: bytes, draw: random.Random) -> bytes:
    """Some damage: flipped bits, bytes of meaning to lengths and kinds, pieces cut out, doubled, or moved."""
    mutant = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at = draw.randrange(len(mutant))
        kind = draw.randrange(6)
        if kind == 0:
            mutant[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            mutant[at] = draw.choice((0, 1, 5, 7, 8, 9, 0x20, 0x7F, 0x80, 0xC4, 0xFF))
        elif kind == 2:
            mutant[at : at + 8] = struct.pack("<Q", draw.choice((0, 1, 255, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1)))
        elif kind == 3:
            del mutant[at : at + draw.randint(1, 40)]
        elif kind == 4:
            mutant[at:at] = mutant[at : at + draw.randint(1, 40)]
        else:
            mutant = mutant[:at]
        if not mutant:
            return b""
    return bytes(mutant)


def mutants(tmp_path: Path, count: int, seed: int) -> tuple[int, int]:
    """Read damaged files; how many were refused, and how many were read as some vocabulary."""
    gguf_file.write(small(template=Template((300,)), whole_pretoken=True), tmp_path / "whole.gguf")
    original = (tmp_path / "whole.gguf").read_bytes()
    draw = random.Random(seed)
    refused = read = 0
    for _ in range(count):
        mutant = mutate(original, draw)
        try:
            vocabulary = read_bytes_as_gguf(tmp_path, mutant)
        except FormatError:
            refused += 1
            continue
        read += 1
        if read % 20 == 1:  # what is read is a vocabulary, whatever it has become
            with contextlib.suppress(ValueError):  # a byte may have lost its token
                tokenizer = Tokenizer(vocabulary)
                assert tokenizer.decode(tokenizer.encode("the 中")) == "the 中"
    return refused, read


def test_damaged_files_are_refused_or_read_never_worse(tmp_path: Path) -> None:
    started = time.perf_counter()
    tracemalloc.start()
    refused, read = mutants(tmp_path, 600, SEED)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused > 300
    assert read > 20  # a letter of some token is another letter: a sound file of another vocabulary
    assert peak < 100 << 20
    assert time.perf_counter() - started < 120


# --- llama.cpp's table ---


def test_every_name_has_a_pattern_or_a_reason() -> None:
    for name, pre in llama_cpp.pre_tokenizers().items():
        assert pre.name == name
        assert bool(pre.stages) != bool(pre.why_not)
        if pre.stages:
            assert isinstance(pre.pattern, Pattern)
        else:
            with pytest.raises(ValueError, match="is no pattern"):
                _ = pre.pattern


@pytest.mark.parametrize(
    ("pattern", "names", "exact"),
    [
        ("gpt2", ("gpt-2", "mpt", "olmo"), True),
        ("llama3", ("llama-bpe", "dbrx", "glm4", "chatglm-bpe", "smaug-bpe"), False),
        ("qwen2", ("qwen2", "megrez", "bailingmoe"), False),
        ("bloom", ("bloom",), True),
        ("cl100k", (), None),
        ("o200k", (), None),
        ("tekken", (), None),
        ("deepseek-v2", (), None),
    ],
)
def test_which_names_do_what_a_pattern_says(pattern: str, names: tuple[str, ...], exact: bool | None) -> None:
    found = {match.name: match.exact for match in llama_cpp.matching(named_patterns()[pattern])}
    assert {name: found.get(name) for name in names} == dict.fromkeys(names, exact)
    assert bool(found) == bool(names)


def test_the_long_s_is_harmless_where_no_token_bridges_it() -> None:
    assert llama_cpp.harmless_long_s(small())
    assert not llama_cpp.harmless_long_s(small(whole_pretoken=True))
    for token in ("ſt", "aſſ"):
        tokens = {**TOKENS, **{259 + at: token.encode()[: at + 2] for at in range(len(token.encode()) - 1)}}
        assert not llama_cpp.harmless_long_s(Vocabulary(tokens, merges=[], pattern=LLAMA3))
    assert not llama_cpp.harmless_long_s(small(tokens={**TOKENS, 259: b"\xbfa"}))
    assert llama_cpp.harmless_long_s(small(tokens={**TOKENS, 259: b"\xbf\x80", 260: "aſ".encode()}))


def test_an_unknown_check_hash_names_nothing() -> None:
    assert llama_cpp.published_names("0" * 64) == ()
    assert llama_cpp.published_names("b6dc8df998e1cfbdc4eac8243701a65afe638679230920b50d6f17d81c098166") == (
        "mpt",
        "olmo",
    )


# --- llama.cpp itself ---

# A mix of every kind of character that some expression tells apart.
ALPHABET = [
    *" \t\n\r\x0b\x85\xa0\u2003\u2028\u3000abSTtszAZÉéßǅʰªя Яあア中㐀한ا019٣½²Ⅷ'’.,!/(|_-+$=<^~`@#[{。，、…।۔،￥€\u0301\u200b\x00\x7f",
    *"😀lvermdLVERMDſK",
]


def pairs_vocabulary(**changes: Any) -> Vocabulary:
    """A token for every character of the alphabet and for every two: ids tell every boundary between pretokens."""
    tokens = {byte: bytes([byte]) for byte in range(256)}
    ids = {token: id for id, token in tokens.items()}
    merges: list[tuple[int, int]] = []

    def add(left: int, right: int) -> int:
        token = tokens[left] + tokens[right]
        if token not in ids:
            ids[token] = len(tokens)
            tokens[len(tokens)] = token
            merges.append((left, right))
        return ids[token]

    characters = []
    for character in dict.fromkeys(ALPHABET):
        first, *rest = character.encode()
        for byte in rest:
            first = add(first, byte)
        characters.append(first)
    couples = list(itertools.product(characters, repeat=2))
    random.Random(SEED).shuffle(couples)
    for left, right in couples:
        add(left, right)
    return Vocabulary(tokens, merges=merges, pattern=LLAMA3, **changes)


@pytest.fixture(scope="module")
def pairs() -> Vocabulary:
    return pairs_vocabulary()


def strings(count: int) -> list[str]:
    draw = random.Random(SEED)
    groups = [ALPHABET, [*" \n\t\u3000\xa0a.1中"], [*"'ssTrevellmdLLa "], [*"01٣½²,.a 中"], [*"aAЯяÉ中あ\u0301ʰ 'S"]]
    return ["".join(draw.choices(draw.choice(groups), k=draw.randint(1, 10))) for _ in range(count)]


NAMES = [
    next(iter(group))
    for _, group in itertools.groupby(llama_cpp.pre_tokenizers().values(), lambda pre: pre.stages)
    if group
]
FAST = {"llama-bpe", "gpt-2", "qwen2", "bloom", "viking", "laguna", "qwen35"}  # the others run on std::regex, slowly


@pytest.mark.parametrize("pre", [pre for pre in NAMES if pre.stages and pre.name != "jais-2"], ids=lambda pre: pre.name)
def test_the_table_says_what_llama_cpp_does(tmp_path: Path, pairs: Vocabulary, pre: llama_cpp.PreTokenizer) -> None:
    vocabulary = pairs.replace(pattern=pre.pattern, whole_pretoken=pre.whole_pretoken)
    gguf_file.write(vocabulary, tmp_path / "out.gguf", match=gguf_file.pre_tokenizer_for(vocabulary, pre.name))
    oracle, tokenizer = LlamaCpp(tmp_path / "out.gguf"), Tokenizer(vocabulary)
    for text in strings(1500 if pre.name in FAST else 150):
        assert oracle.encode(text) == tokenizer.encode(text), text


def test_llama_cpp_knows_every_name_and_the_table_its_rules(tmp_path: Path) -> None:
    """Whether a beginning token is added, and whether zz, which no merges make, is taken whole."""
    vocabulary = Vocabulary({**TOKENS, 259: b"zz"}, merges=MERGES, pattern=LLAMA3)
    for name, pre in llama_cpp.pre_tokenizers().items():
        (tmp_path / "out.gguf").write_bytes(
            container(keys_of(vocabulary, PRE=name, BEGINNING_ID=1, ADD_BEGINNING=None))
        )
        oracle = LlamaCpp(tmp_path / "out.gguf")
        assert oracle.n_tokens == 260
        if pre.stages:
            assert oracle.get_add_bos == pre.adds_beginning, name
            assert (oracle.encode("zz") == [259]) == pre.whole_pretoken, name


def test_llama_cpp_reads_what_was_written(tmp_path: Path) -> None:
    """Roles, template, special tokens in text, fillers."""
    vocabulary = small(template=Template((300,), (301,)), whole_pretoken=True)
    gguf_file.write(vocabulary, tmp_path / "out.gguf", roles=Roles(padding="</s>"))
    oracle, tokenizer = LlamaCpp(tmp_path / "out.gguf"), Tokenizer(vocabulary)
    assert (oracle.n_tokens, oracle.bos, oracle.eos, oracle.pad) == (303, 300, 301, 301)
    assert (oracle.get_add_bos, oracle.get_add_eos) == (True, True)
    for text in ("", "the <s>the</s>", "[PAD260] the", "<unused>", "中文 th\nthe"):
        assert oracle.encode(text) == tokenizer.encode(text)
        assert oracle.encode(text, template=True) == tokenizer.encode(text, add_template=True)
        assert oracle.encode(text, special=True) == tokenizer.encode(text, allowed_special="all")
    # What is not special (user-defined) llama.cpp finds in every text.
    assert oracle.encode("a<tool>b") == tokenizer.encode("a<tool>b", allowed_special="all")


def test_a_trained_vocabulary_in_llama_cpp(tmp_path: Path) -> None:
    corpus = Path(__file__).parent.parent / "corpora" / "tiny"
    for pattern in ("llama3", "gpt2", "qwen2", "bloom"):
        trained = train(corpus / "train", 1500, pattern=pattern, special_tokens=["<|endoftext|>"])
        path = tmp_path / f"{pattern}.gguf"
        io.save(trained, path)
        oracle = LlamaCpp(path)
        assert io.load(path).vocabulary.tokens == trained.vocabulary.tokens
        for text in sorted((corpus / "eval").rglob("*.txt")):
            content = text.read_text("utf-8")
            assert oracle.encode(content) == trained.encode(content) == io.load(path).encode(content)


# --- published vocabularies ---


@pytest.mark.parametrize(("name", "pre"), [("llama3", "llama-bpe")])
def test_published_vocabularies_in_llama_cpp(
    bbpe_home: Path, read_corpus: Callable[..., bytes], tmp_path: Path, name: str, pre: str
) -> None:
    tokenizer = io.load(name)
    io.save(tokenizer, tmp_path / "out.gguf")
    oracle = LlamaCpp(tmp_path / "out.gguf")
    assert oracle.n_tokens == tokenizer.id_space
    for corpus in ("zh-web.txt", "en-web.txt", "mixed-zh-en.txt"):
        text = read_corpus(corpus, 100_000).decode()
        assert oracle.encode(text) == tokenizer.encode(text)
    assert set(FORMATS) >= {"gguf"}
    assert gguf_file.pre_tokenizer_for(tokenizer.vocabulary).name == pre


@pytest.mark.parametrize(
    ("name", "names"),
    [("llama3", {"llama-bpe"}), ("qwen2", {"qwen2"}), ("r50k_base", {"gpt-2"})],
)
def test_the_check_hash_of_published_tokenizers_is_llama_cpps(bbpe_home: Path, name: str, names: set[str]) -> None:
    tokenizer = io.load(name)
    digest = llama_cpp.check_hash(lambda text: tokenizer.encode(text, allowed_special="all", add_template=True))
    assert set(llama_cpp.published_names(digest)) == names
