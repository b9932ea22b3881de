"""Every published vocabulary loads, and gives a slice of each corpus the ids that its own library gives.

All of the corpora are `python -m benchmarks.parity`'s; its table, with the oracle of each, is `benchmarks/parity.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import bbpe

sys.path.append(str(Path(__file__).parent.parent))
parity = pytest.importorskip("benchmarks.parity")

ENTRIES = {
    "aquila": 100007, "bert-base-chinese": 21128, "bert-base-uncased": 30522, "bloom": 250680, "chatglm-6b": 130344,
    "chatglm3-6b": 64798, "chinese-llama": 49953, "chinese-llama-2": 55296, "chinese-llama-sp": 20000,
    "cl100k_base": 100261, "cpm-1": 30000, "deepseek-v2": 100000, "falcon": 65024, "glm-4.6": 151365,
    "gpt-neox-20b": 50277, "gpt2": 50257, "internlm": 103168, "internlm2": 92544, "llama2": 32000, "llama3": 128256,
    "mistral-tekken": 131072, "mistral-v1": 32000, "o200k_base": 200000, "qwen": 151851, "qwen2": 151646,
    "r50k_base": 50257, "t5-small": 32100, "yuan-2.0": 134953,
}  # fmt: skip
SLICE = 16_000  # bytes of each corpus
LINES = 8  # of each of the thirteen languages


@pytest.fixture(scope="module")
def texts(bbpe_home: Path) -> list[str]:
    """The beginning of every corpus and of every language of the parallel set, line by line and together."""
    found = [text for corpus in parity.CORPORA if corpus != "ntrex" for text in parity.corpus_texts(corpus, SLICE)]
    for file in sorted((bbpe_home / "corpora" / "ntrex").glob("*.txt")):
        lines = file.read_text(encoding="utf-8").split("\n")[:LINES]
        found += [*lines, "\n".join(lines)]
    return found


def test_every_published_vocabulary_has_a_row(bbpe_home: Path) -> None:
    """All but Baichuan 2's list, which has no scores: with it nobody can encode."""
    folders = {path.name for path in (bbpe_home / "vocabs").iterdir() if path.is_dir()}
    assert parity.VOCABULARIES.keys() == ENTRIES.keys() == folders - {"baichuan2"}
    tokenizer = bbpe.load(bbpe_home / "vocabs" / "baichuan2")
    assert (tokenizer.engine, len(tokenizer)) == ("none", 125696)


@pytest.mark.parametrize("name", ENTRIES)
def test_ids_are_those_of_its_own_library(bbpe_home: Path, name: str, texts: list[str]) -> None:
    vocabulary = parity.VOCABULARIES[name]
    tokenizer = vocabulary.load(bbpe_home)
    assert len(tokenizer) == ENTRIES[name]
    found = parity.compare(tokenizer, vocabulary.oracle_of(bbpe_home), texts)
    assert found.different == 0, found.first
    assert found.ids > 5_000
    if isinstance(tokenizer, bbpe.Tokenizer) and tokenizer.vocabulary.normalizer is None:
        assert found.returned == found.texts


def test_a_difference_is_found_and_shown(bbpe_home: Path) -> None:
    """The comparison itself: one id changed in one text is one text that differs."""
    vocabulary = parity.VOCABULARIES["gpt2"]
    tokenizer = vocabulary.load(bbpe_home)
    found = parity.compare(
        tokenizer, lambda texts: [[*tokenizer.encode(text)[:-1], 50256] for text in texts], ["one two", "("]
    )
    assert (found.texts, found.different) == (2, 2)
    assert found.first.startswith("text 0, id 1: ")
    assert parity.difference("one Two three", "one two three") == ("one Two three", "one two three")
