"""Published figures come out as they were published.

Where the text is the same, within 2 %: NTREX-128 newstest2019, English source and zh-CN reference, 1,997 lines, measured
line by line for this project's research notes (section 9.1) with tiktoken, sentencepiece and tokenizers, without bbpe.
Where theirs was another text, by the order of the vocabularies: tokenizer-arena on cc100, and the articles.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from bbpe.analysis.comparison import Comparison, compare
from bbpe.analysis.measurement import AnyTokenizer
from bbpe.io import load

PUBLISHED = json.loads((Path(__file__).parent.parent / "benchmarks" / "published.json").read_text("utf-8"))
NTREX = PUBLISHED["same_text"]["figures"]
MORE = ("bloom", "chatglm-6b", "chatglm3-6b")


@pytest.fixture(scope="module")
def loaded(bbpe_home: Path) -> dict[str, AnyTokenizer]:
    return {name: load(name) for name in (*NTREX, *MORE)}


@pytest.fixture(scope="module")
def ntrex(bbpe_home: Path, loaded: dict[str, AnyTokenizer]) -> Comparison:
    folder = bbpe_home / "corpora" / "ntrex"
    corpora = {"zh": folder / "zho-CN.txt", "en": folder / "eng.txt"}
    return compare(loaded, corpora, parallel=True, baseline="llama2", cache=False, threads=1)


@pytest.mark.parametrize("name", NTREX)
def test_ntrex_figures_within_two_percent(ntrex: Comparison, name: str) -> None:
    published = NTREX[name]
    zh, en = ntrex.row(name, "zh"), ntrex.row(name, "en")
    assert zh.tokens_per_character == pytest.approx(published["zh_tokens_per_character"], rel=0.02)
    assert en.tokens_per_character == pytest.approx(published["en_tokens_per_character"], rel=0.02)
    assert zh.bytes_per_token == pytest.approx(published["zh_bytes_per_token"], rel=0.02)
    (balance,) = (one for one in ntrex.balances if one.tokenizer == name)
    assert balance.parity["zh"] == pytest.approx(published["zh_en_parity"], rel=0.02)
    facts = ntrex.vocabulary(name).facts
    # Shares are published with one digit after the point: half of that, or two percent.
    for key, measured in (
        ("zh_invalid_tokens_percent", zh.invalid_tokens),
        ("gb2312_level_1_percent", facts.gb2312_level_1),
        ("gb2312_level_2_percent", facts.gb2312_level_2),
    ):
        assert 100 * measured == pytest.approx(published[key], rel=0.02, abs=0.05)


def test_llama_2_needs_1_45_tokens_a_chinese_character(ntrex: Comparison) -> None:
    """The article on bilingual models (2023-11): "1.45", and "a character is very likely cut into two or more".

    Of the characters of GB 2312 level 1 that is so: 84 % of them are no token. Of those that a text is made of, which
    are the common ones, less than a third.
    """
    row = ntrex.row("llama2", "zh")
    assert row.tokens_per_character == pytest.approx(1.45, rel=0.02)
    assert ntrex.vocabulary("llama2").facts.gb2312_level_1 < 0.2
    assert row.cut_han is not None
    assert 0.2 < row.cut_han < 0.4
    assert row.lossless


def test_chinese_llama_2_saves_more_than_half_of_llama_2s_tokens(ntrex: Comparison) -> None:
    """Section 9.2: −53.5 % on Chinese, and not one English line changed."""
    nsl = ntrex.row("chinese-llama-2", "zh").nsl
    assert nsl == pytest.approx(1 - 0.535, rel=0.02)
    assert ntrex.row("chinese-llama-2", "en").nsl == 1


def test_qwen_and_chinese_llama_2_cut_chinese_to_about_0_65(ntrex: Comparison) -> None:
    for name in ("qwen", "chinese-llama-2"):
        assert ntrex.row(name, "zh").tokens_per_character == pytest.approx(0.655, rel=0.04)


def test_chatglm3_balances_both_languages(ntrex: Comparison) -> None:
    """The same article: ChatGLM3-6B has the best balance of Chinese and English, against Llama 2 and BLOOM.

    Here BLOOM is its equal, with four times the entries.
    """
    parity = {balance.tokenizer: balance.parity["zh"] for balance in ntrex.balances}
    gini = {balance.tokenizer: balance.gini for balance in ntrex.balances}
    assert 0.9 < parity["chatglm3-6b"] < 1.1
    assert gini["chatglm3-6b"] < gini["llama2"] / 5
    assert gini["chatglm3-6b"] == pytest.approx(gini["bloom"], abs=0.005)


def test_blooms_250k_vocabulary_is_no_better_than_chatglms(ntrex: Comparison) -> None:
    """The same article: the largest vocabulary, about as efficient as ChatGLM-6B's."""
    bloom, chatglm = (ntrex.row(name, "zh") for name in ("bloom", "chatglm-6b"))
    assert bloom.vocab_size > 1.9 * chatglm.vocab_size
    assert bloom.tokens_per_character > 0.98 * chatglm.tokens_per_character


@pytest.fixture(scope="module")
def web(loaded: dict[str, AnyTokenizer], read_corpus: Callable[..., bytes]) -> Comparison:
    texts = {name: [read_corpus(f"{name}-web.txt", 150_000)] for name in ("zh", "en")}
    return compare(loaded, texts, cache=False, threads=1)


def test_order_of_tokenizer_arena_on_chinese(web: Comparison) -> None:
    """xu-song/tokenizer-arena, cc100 zh-Hans, characters per token: llama 0.70, gpt-4 0.85, llama3 1.24,
    chinese_llama2 1.48, qwen 1.57 or chatglm3 1.59, chatglm_6b 1.76. (Differences of 2 % are no order.)"""
    arena = PUBLISHED["other_text"][0]["figures"]
    measured = {name: web.row(name, "zh").characters_per_token for name in arena}
    for (worse, low), (better, high) in pairwise(arena.items()):
        if high / low > 1.02:
            assert measured[worse] < measured[better], (worse, better)


def test_order_of_the_articles_table_on_news_commentary(web: Comparison) -> None:
    """A public table of tokens per line on NewsCommentary zh–en: Chinese LLaMA 62.8 > GPT-2's 50,281 entries (called
    "GPT4" there) 49.9 is wrong in order for GPT-2 itself, whose Chinese is worse than Llama's everywhere else; so only
    the rest is checked: LLaMA 62.8 > ChatGLM 23.6 > BLOOM 23.4, and in English LLaMA 32.8 > ChatGLM 28.7 > BLOOM 27.6."""
    zh = {name: web.row(name, "zh").tokens for name in ("llama2", "chatglm-6b", "bloom")}
    en = {name: web.row(name, "en").tokens for name in ("llama2", "chatglm-6b", "bloom")}
    assert zh["llama2"] > 2 * max(zh["chatglm-6b"], zh["bloom"])
    assert zh["chatglm-6b"] == pytest.approx(zh["bloom"], rel=0.1)
    assert en["llama2"] > max(en["chatglm-6b"], en["bloom"])
