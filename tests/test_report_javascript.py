"""The page's encoder, run by node: its ids equal bbpe's, for vocabularies and texts of every kind.

Differential first, over the same random vocabularies as the native encoder's tests; then published vocabularies and
patterns on real text. The same code runs in a real browser in ``test_report_html.py``.
"""

from __future__ import annotations

import functools
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    CHINESE,
    CONTROLS,
    DIGITS,
    EMOJI,
    FRAGMENTS,
    LETTERS,
    MARKS,
    SPACES,
    SYMBOLS,
    UNASSIGNED_AND_LAST,
    sliced_vocabularies,
    small_texts,
    texts,
    tokenizer_of,
    vocabularies,
)

import bbpe
from bbpe import Pattern, SpecialToken, Tokenizer, Vocabulary, get_pattern
from bbpe.errors import EncodeError
from bbpe.patterns import named_patterns
from bbpe.report.livebox import live_box, packed

DRIVER = """
require("readline").createInterface({ input: process.stdin, terminal: false }).on("line", async (line) => {
  const { box, texts } = JSON.parse(line);
  const answers = [];
  for await (const vocabulary of bbpeEncoder.unpacked(box)) {
    answers.push(texts.map((text) => {
      try {
        return vocabulary.encode(text).map((place) => vocabulary.ids[place]);
      } catch (error) {
        if (!(error instanceof bbpeEncoder.MissingByte)) throw error;
        return error.message;
      }
    }));
  }
  console.log(JSON.stringify(answers));
});
"""

Answers = list[list[list[int] | str]]
Ask = Callable[[dict[str, Tokenizer], Sequence[str]], Answers]


@pytest.fixture(scope="module")
def node() -> Iterator[Ask]:
    """Ids by vocabulary and text, from one node process that stays."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed: the page's encoder is JavaScript")
    code = resources.files("bbpe.report").joinpath("page", "encoder.js").read_text("utf-8") + DRIVER
    with subprocess.Popen([program, "-e", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(tokenizers: dict[str, Tokenizer], texts: Sequence[str]) -> Answers:
            assert process.stdin is not None
            assert process.stdout is not None
            box = live_box(tokenizers, limit=99)
            assert len(box.vocabularies) == len(tokenizers), box.left_out
            process.stdin.write(json.dumps({"box": packed(box), "texts": list(texts)}).encode() + b"\n")
            process.stdin.flush()
            answers: Answers = json.loads(process.stdout.readline())
            return answers

        yield ask


def expected(tokenizer: Tokenizer, text: str) -> list[int] | str:
    """What bbpe makes of a text: ids, or the words about a missing byte that the page shares with it."""
    try:
        return tokenizer.encode(text, errors="replace")
    except EncodeError as error:
        return str(error).split(",")[0]


def assert_equal(ask: Ask, tokenizers: dict[str, Tokenizer], texts: Sequence[str]) -> None:
    for (name, tokenizer), answers in zip(tokenizers.items(), ask(tokenizers, texts), strict=True):
        for text, answer in zip(texts, answers, strict=True):
            assert answer == expected(tokenizer, text), (name, text[:200])


def mixtures(seed: int, count: int) -> list[str]:
    """Texts of runs of each kind of character and of hard fragments."""
    rng = random.Random(seed)
    kinds = [LETTERS, CHINESE, DIGITS, SPACES, MARKS, SYMBOLS, EMOJI, CONTROLS, UNASSIGNED_AND_LAST]

    def part() -> str:
        if rng.random() < 0.4:
            return rng.choice(FRAGMENTS)
        kind = rng.choice(kinds)
        return "".join(rng.choice(kind) for _ in range(rng.randint(1, 5)))

    return ["".join(part() for _ in range(rng.randint(0, 14))) for _ in range(count)]


@functools.cache
def published() -> dict[str, Tokenizer]:
    """Vocabularies of the four patterns that matter most; to be asked for where BBPE_HOME is set."""
    found = {name: bbpe.load(name) for name in ("cl100k_base", "llama3", "o200k_base", "qwen")}
    assert all(isinstance(tokenizer, Tokenizer) for tokenizer in found.values())
    return found


@functools.cache
def _learned(pattern: str | Pattern) -> Vocabulary:
    return bbpe.train(mixtures(1, 1500), vocab_size=900, pattern=pattern).vocabulary


def trained(pattern: str | Pattern = "llama3", **changes: Any) -> Tokenizer:
    """A vocabulary of 900 entries over mixed text; ``changes`` go into its copy."""
    return Tokenizer(_learned(pattern).replace(**changes))


@settings(max_examples=150)
@given(vocabulary=vocabularies(b"ab "), data=st.lists(small_texts(b"ab "), min_size=1, max_size=8))
def test_any_small_vocabulary(node: Ask, vocabulary: Any, data: list[bytes]) -> None:
    assert_equal(node, {"it": tokenizer_of(vocabulary)}, [text.decode() for text in data])


@settings(max_examples=100)
@given(found=sliced_vocabularies())
def test_tokens_that_begin_and_end_inside_characters(node: Ask, found: Any) -> None:
    vocabulary, data = found
    assert_equal(node, {"it": tokenizer_of(vocabulary)}, [text.decode("utf-8", "replace") for text in data])


@settings(max_examples=40)
@given(st.lists(texts(), min_size=1, max_size=8), st.sampled_from(sorted(named_patterns())))
def test_every_named_pattern_cuts_as_bbpe_does(node: Ask, found: list[str], name: str) -> None:
    assert_equal(node, {name: Tokenizer(_all_bytes(name))}, found)


def _all_bytes(pattern: str) -> Vocabulary:
    """A vocabulary whose ids show where pretokens end: the bytes, and all pairs of one letter or digit and the next
    byte, so that another cut gives other ids."""
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for first in b"aA1 \n.'\xbd\xa0\x81\x80":
        for second in range(256):
            tokens[len(tokens)] = bytes([first, second])
    return Vocabulary(tokens, pattern=get_pattern(pattern), whole_pretoken=True)


def test_mixed_text_with_each_kind_of_vocabulary(node: Ask) -> None:
    merges = trained()
    vocabulary = merges.vocabulary
    assert vocabulary.merges is not None
    shifted = {id * 3 + 7: token for id, token in vocabulary.tokens.items()}
    without = {id: token for id, token in vocabulary.tokens.items() if token not in (b"\x00", b"e", b"\xe4")}
    tokenizers = {
        "merges": merges,
        "ranks": Tokenizer(vocabulary.replace(merges=None)),
        "ranks in another order": Tokenizer(
            vocabulary.replace(merges=None, ranks=[*range(256), *reversed(range(256, len(vocabulary.tokens)))])
        ),
        "half of the merges": Tokenizer(vocabulary.replace(merges=vocabulary.merges[::2])),
        "whole pretokens": Tokenizer(vocabulary.replace(merges=vocabulary.merges[::2], whole_pretoken=True)),
        "holes": Tokenizer(Vocabulary(shifted, pattern=vocabulary.pattern, ranks=[*reversed(shifted)])),
        "missing bytes": Tokenizer(Vocabulary(without, pattern=vocabulary.pattern)),
        "NFC": trained("qwen2", normalizer="NFC"),
        "o200k": trained("o200k"),
        "gaps": trained(Pattern((r"[a-z]+|\d{1,3}",))),
        "stages": trained(Pattern((r"\p{N}", r" ?\p{L}+|\s+(?!\S)|\s+", r"[a-m]+"))),
        "specials": Tokenizer(vocabulary.replace(special_tokens=[SpecialToken("<|endoftext|>", 5000)])),
    }
    assert_equal(node, tokenizers, mixtures(2, 250))


def test_texts_at_the_edges(node: Ask) -> None:
    tokenizers = {"merges": trained(), "NFC": trained("qwen2", normalizer="NFC")}
    edges = [
        "",
        "\ufeffa",
        "a\ufeff",
        "\x00",
        "\ud800x\udfff",
        "\udfff\ud800",
        "\U0010ffff",
        "e\u0301\u1100\u1161",
        "Å",
    ]
    assert_equal(node, tokenizers, [*edges, "<|endoftext|>", "a" * 20000, "\n" * 3000, "中" * 20000, " a" * 5000])


def test_published_vocabularies(node: Ask, bbpe_home: object, read_corpus: Callable[..., bytes]) -> None:
    """cl100k, llama3, o200k, qwen: Chinese and English text, and hard mixtures."""
    names = ("zh-web.txt", "en-web.txt", "mixed-zh-en.txt", "zh-classical.txt", "emoji-social.txt")
    corpora = [read_corpus(name, 60_000).decode() for name in names]
    assert_equal(node, published(), [*corpora, *mixtures(3, 200)])


# ---- what is chosen and packed ----


def test_what_cannot_run_in_a_page_is_left_out_with_its_reason() -> None:
    class Engine:
        engine = "sentencepiece"

    behind = Tokenizer(Vocabulary({byte: bytes([byte]) for byte in range(256)}, pattern=get_pattern("llama3")))
    with pytest.warns(UserWarning, match="runs on the regex package"):
        slow = Tokenizer(behind.vocabulary.replace(pattern=Pattern((r"(?<=a)b|(?s:.)",))))
    box = live_box({"llama2": Engine(), "slow": slow, "one": behind, "two": behind, "three": behind}, "ab", limit=2)
    assert [live.name for live in box.vocabularies] == ["one", "two"]
    assert box.vocabularies[0].expected == (97, 98)
    assert "sentencepiece runs it" in box.left_out["llama2"]
    assert "looks behind" in box.left_out["slow"]
    assert box.left_out["three"] == "the page holds 2 vocabularies"


def test_vocabularies_of_one_pattern_share_its_tables() -> None:
    box = live_box({"a": trained(), "b": trained(), "c": trained("o200k")})
    value = packed(box)
    assert [entry["pattern"] for entry in value["vocabularies"]] == [0, 0, 1]
    assert len(value["patterns"]) == 2


def test_packing_is_small(bbpe_home: object) -> None:
    """100,256 tokens of 640 KB of bytes: 0.6 MB of text in the page."""
    value = packed(live_box({"cl100k_base": published()["cl100k_base"]}))
    assert len(value["vocabularies"][0]["blob"]) < 600_000
