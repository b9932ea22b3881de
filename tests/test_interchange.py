"""Saved files loaded by tokenizers, transformers and tiktoken give the ids that bbpe gives.

On slices of the corpora and on 30,000 generated strings: digit runs, white space at the ends of text and lines,
contractions, Chinese, English and emoji side by side, and the texts of special tokens, allowed and not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import tiktoken.load

from bbpe import io
from bbpe.formats import tiktoken_file, tokenizer_json
from bbpe.formats.sidecar import sidecar_path
from bbpe.patterns import get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

SEED = 20_261_121
SPECIAL = ["<|end|>", "<|中文|>", "[MASK]"]
PARTS = [
    *("1", "12", "123", "1234", "12345678901", "3.14", "１２３", "٣٤٥", "½", "²"),
    *(
        " ",
        "  ",
        "   ",
        "\t",
        "\n",
        "\r\n",
        "\n\n",
        " \n",
        "  \n  ",
        "\n ",
        "\u3000",
        "\u00a0",
        "\x85",
        "\u2028",
        "\x0b",
    ),
    *("it's", "I'LL", "we've", "'tis", "don’t", "'S", "'ſ", "they're!", "x'd", "'"),
    *(
        "hello",
        "Hello",
        "WORLD",
        "the",
        "The",
        "ing",
        "camelCase",
        "snake_case",
        "naïve",
        "Ünïcödé",
        "e\u0301",
        "ﬁ",
        "ǅ",
    ),
    *(
        "中文",
        "今天天气很好",
        "的",
        "，",
        "。",
        "他们说：",
        "「你好」",
        "分词器",
        "㐀𠀀",
        "한국어",
        "ひらがな",
        "カタカナ",
    ),
    *("😀", "👩‍👩‍👧", "🇨🇳", "❤️", "\u200b", "\ufeff", "\U0010ffff"),
    *("!", "?!", "...", "://", "/*", "{}", "</s>", "#", "@user", "a/b", "==", "-", "\\n"),
    *SPECIAL,
    *("<|end|", "[MASK", "<|中"),
]


def learned(base: Vocabulary, merges: int, step: int = 1, **changes: Any) -> Vocabulary:
    """The first merges of a published vocabulary, as a vocabulary of its own with ids of one's choice."""
    assert base.merges is not None
    renumbered: dict[int, int] = {}
    tokens: dict[int, bytes] = {}
    for id, token in base.tokens.items():
        if len(token) == 1:
            tokens[len(tokens)] = token
            renumbered[id] = len(tokens) - 1
    kept = []
    for rank, (left, right) in enumerate(base.merges[:merges]):
        new_id = 256 + (rank + 1) * step - 1
        result = base.tokens[left] + base.tokens[right]
        tokens[new_id] = result
        renumbered[base.ids[result]] = new_id
        kept.append((renumbered[left], renumbered[right]))
    return Vocabulary(tokens, merges=kept, **{"pattern": base.pattern, **changes})


def special_at(*ids: int) -> list[SpecialToken]:
    return [SpecialToken(content, id) for content, id in zip(SPECIAL, ids, strict=True)]


@pytest.fixture(scope="module")
def published(bbpe_home: Path) -> Vocabulary:
    """Qwen 2's merges: much Chinese, and in merge order."""
    return tokenizer_json.read(bbpe_home / "vocabs" / "qwen2" / "qwen2.json.xz").replace(normalizer=None)


def ranks_of(bbpe_home: Path) -> Vocabulary:
    """The beginning of Llama 3's rank table, with tokens that its own ranks never make and a special token that is a
    word."""
    whole = tiktoken_file.read(
        bbpe_home / "vocabs" / "llama3" / "tokenizer.model", pattern=get_pattern("llama3"), special_tokens={}
    )
    tokens = {id: token for id, token in whole.tokens.items() if id < 20_000}
    special = [*special_at(20_000, 20_001, 20_002), SpecialToken("nothink", 20_003)]
    return Vocabulary(tokens, pattern=whole.pattern, whole_pretoken=True, special_tokens=special)


@pytest.fixture(scope="module", params=["trained", "holes", "cl100k", "o200k", "NFC", "flags", "cascade", "ranks"])
def tokenizer(request: pytest.FixtureRequest, published: Vocabulary, bbpe_home: Path) -> Tokenizer:
    """Vocabularies of each kind, with special tokens."""
    kind = request.param
    after, gap = special_at(4_256, 4_257, 4_258), special_at(4_256, 4_300, 70_000)
    if kind == "trained":
        return Tokenizer(learned(published, 20_000, special_tokens=special_at(20_256, 20_257, 20_258)))
    if kind == "holes":
        special, template = special_at(256, 18_000, 99_999), Template((256,), (99_999,))
        return Tokenizer(
            learned(published, 4_000, 3, special_tokens=special, template=template, pattern=get_pattern("llama3"))
        )
    if kind == "NFC":
        return Tokenizer(learned(published, 4_000, special_tokens=after, normalizer="NFC"))
    if kind == "flags":
        flags: list[dict[str, bool]] = [{"lstrip": True}, {"rstrip": True}, {"single_word": True}]
        special = [SpecialToken(token.content, token.id, **flag) for token, flag in zip(after, flags, strict=True)]
        return Tokenizer(learned(published, 4_000, special_tokens=special))
    if kind == "ranks":
        return Tokenizer(ranks_of(bbpe_home))
    pattern = get_pattern("deepseek-v2" if kind == "cascade" else kind)
    return Tokenizer(learned(published, 4_000, special_tokens=gap, pattern=pattern))


@pytest.fixture(scope="module")
def strings(tokenizer: Tokenizer) -> list[str]:
    """30,000 strings of up to twelve parts for the vocabulary that looks like a trained one, 3,000 for the others."""
    return generated(30_000 if len(tokenizer) > 20_258 else 3_000)


def generated(count: int) -> list[str]:
    source = random.Random(SEED)
    return ["".join(source.choices(PARTS, k=source.randint(1, 12))) for _ in range(count)]


@pytest.fixture(scope="module")
def saved(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> io.Saved:
    return io.save(tokenizer, tmp_path_factory.mktemp("saved") / "out")


def assert_equal(texts: Sequence[str], mine: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> None:
    assert len(texts) == len(mine) == len(theirs)
    for text, my_ids, their_ids in zip(texts, mine, theirs, strict=True):
        assert list(my_ids) == list(their_ids), (SEED, text)


def slices(read_corpus: Callable[..., bytes]) -> Iterator[list[str]]:
    """The beginnings of four corpora, as lines that keep their ends."""
    for name in ("zh-web.txt", "en-web.txt", "zh-classical.txt", "emoji-social.txt"):
        yield read_corpus(name, 60_000).decode().splitlines(keepends=True)


def test_tokenizers_gives_the_same_ids(
    tokenizer: Tokenizer, saved: io.Saved, strings: list[str], read_corpus: Callable[..., bytes]
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_file(str(saved.path / "tokenizer.json"))
    for lines in slices(read_corpus):
        assert_equal(
            lines, tokenizer.encode_batch(lines), [e.ids for e in theirs.encode_batch(lines, add_special_tokens=False)]
        )
    allowed = tokenizer.encode_batch(strings, allowed_special="all")
    assert_equal(strings, allowed, [e.ids for e in theirs.encode_batch(strings, add_special_tokens=False)])
    some = strings[:1000]
    with_template = [tokenizer.encode(text, allowed_special="all", add_template=True) for text in some]
    assert_equal(some, with_template, [e.ids for e in theirs.encode_batch(some)])
    theirs.encode_special_tokens = True  # their name for: special tokens in a text are plain text
    assert_equal(
        strings,
        tokenizer.encode_batch(strings),
        [e.ids for e in theirs.encode_batch(strings, add_special_tokens=False)],
    )


def test_tiktoken_gives_the_same_ids(
    tokenizer: Tokenizer, saved: io.Saved, strings: list[str], read_corpus: Callable[..., bytes]
) -> None:
    if "vocab.tiktoken" in saved.left_out:
        vocabulary = tokenizer.vocabulary
        strips = any(token.lstrip for token in vocabulary.special_tokens)
        assert vocabulary.normalizer or strips or len(vocabulary.pattern.stages) > 1, saved.left_out
        return
    theirs = tiktoken_of(saved.path / "vocab.tiktoken")
    for lines in slices(read_corpus):
        assert_equal(lines, tokenizer.encode_batch(lines), theirs.encode_ordinary_batch(lines))
    assert_equal(strings, tokenizer.encode_batch(strings), theirs.encode_ordinary_batch(strings))
    allowed = tokenizer.encode_batch(strings, allowed_special="all")
    assert_equal(strings, allowed, theirs.encode_batch(strings, allowed_special="all"))


def tiktoken_of(path: Path) -> tiktoken.Encoding:
    """As a user of tiktoken loads a file and its sidecar."""
    sidecar = json.loads(sidecar_path(path).read_bytes())
    return tiktoken.Encoding(
        "saved",
        pat_str=sidecar["pattern"]["tiktoken"],
        mergeable_ranks=tiktoken.load.load_tiktoken_bpe(str(path)),
        special_tokens={token["content"]: token["id"] for token in sidecar["special_tokens"]},
    )


def test_transformers_gives_the_same_ids(tokenizer: Tokenizer, saved: io.Saved, strings: list[str]) -> None:
    transformers = pytest.importorskip("transformers")
    some = strings[:1000]
    for loader in (transformers.AutoTokenizer, transformers.PreTrainedTokenizerFast):
        theirs = loader.from_pretrained(str(saved.path))
        assert len(theirs) == tokenizer.vocab_size
        with_template = [tokenizer.encode(text, allowed_special="all", add_template=True) for text in some]
        assert_equal(some, with_template, theirs(some)["input_ids"])
        plain = theirs(some, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert_equal(some, tokenizer.encode_batch(some), plain)
        if tokenizer.vocabulary.normalizer is None:
            assert [theirs.decode(ids) for ids in plain] == some


def test_bbpe_reads_its_own_files_with_the_same_ids(
    tokenizer: Tokenizer, saved: io.Saved, strings: list[str], tmp_path: Path
) -> None:
    """Also where the file holds another kind of vocabulary: a rank table as all its splits, or a merge list as
    ranks."""
    pair = io.save(tokenizer, tmp_path / "vocab.json").path
    for path in [*(file for file in saved.files if file.name in ("tokenizer.json", "vocab.tiktoken")), pair]:
        again = io.load(path)
        assert_equal(strings, tokenizer.encode_batch(strings), again.encode_batch(strings))
        assert again.special_tokens == tokenizer.special_tokens


def test_a_list_of_all_splits_is_written_as_the_ranks_it_came_from(bbpe_home: Path, tmp_path: Path) -> None:
    """As GLM-4.6's file is: several merges make one token, and pretokens are taken whole."""
    table = ranks_of(bbpe_home)
    tokenizer_json.write(table, tmp_path / "tokenizer.json")
    listed = io.load(tmp_path / "tokenizer.json")
    assert listed.vocabulary.merges is not None
    io.save(listed, tmp_path / "again.tiktoken")
    assert io.load(tmp_path / "again.tiktoken").vocabulary == table


@pytest.mark.parametrize("name", ["gpt2", "gpt-neox-20b"])
def test_a_published_vocabulary_converted_keeps_its_ids(bbpe_home: Path, tmp_path: Path, name: str) -> None:
    """GPT-NeoX's special tokens are runs of spaces; its published file and the one written are compared too."""
    tokenizers = pytest.importorskip("tokenizers")
    loaded = io.load(name, pattern="gpt2" if name == "gpt2" else None)
    saved = io.save(loaded, tmp_path / "out")
    some = generated(3_000)
    allowed = loaded.encode_batch(some, allowed_special="all")
    theirs = tokenizers.Tokenizer.from_file(str(saved.path / "tokenizer.json"))
    assert_equal(some, allowed, [e.ids for e in theirs.encode_batch(some, add_special_tokens=False)])
    if name == "gpt2":
        assert_equal(
            some, loaded.encode_batch(some), tiktoken_of(saved.path / "vocab.tiktoken").encode_ordinary_batch(some)
        )
    else:
        original = tokenizers.Tokenizer.from_file(str(bbpe_home / "vocabs" / name / "20B_tokenizer.json"))
        assert_equal(some, allowed, [e.ids for e in original.encode_batch(some, add_special_tokens=False)])
