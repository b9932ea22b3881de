"""Micro-benchmarks of bbpe alone, for whoever works on a loop and wants to know within a minute what a change did.

    pytest benchmarks/test_micro.py --benchmark-timer=time.process_time --benchmark-autosave
    pytest benchmarks/test_micro.py --benchmark-compare

Not part of the default tests. They say nothing about other libraries: that is `sweep.py`'s part. Each runs on a slice
of a corpus in `$BBPE_HOME` and is skipped without it.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from benchmarks.slices import Part, Slice, cut_slice

bbpe: Any = pytest.importorskip("bbpe")
pytest.importorskip("pytest_benchmark")

CORPORA = ("zh-web", "en-web", "mixed-zh-en")
VOCABULARIES = ("cl100k_base", "o200k_base", "qwen2")
PATTERNS = ("gpt2", "cl100k", "o200k", "llama3")

PATHOLOGICAL = {
    "one letter": "a" * 1_000_000,
    "newlines": "\n" * 1_000_000,
    "one Han": "的" * 300_000,
    "digits": "1234567890" * 100_000,
    "spaces and one letter": " " * 1_000_000 + "x",
}


@pytest.fixture(params=CORPORA)
def text(request: pytest.FixtureRequest) -> Slice:
    """One megabyte held out from the end of a corpus."""
    if "BBPE_HOME" not in os.environ:
        pytest.skip("BBPE_HOME is not set, whose corpora are measured on")
    return cut_slice(request.param, Part("last", 1_000_000))


@pytest.fixture(params=VOCABULARIES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """A published vocabulary at work, its caches as they are after loading."""
    if "BBPE_HOME" not in os.environ:
        pytest.skip("BBPE_HOME is not set, whose vocabularies are measured with")
    return bbpe.load(request.param)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_split(benchmark: Any, text: Slice, pattern: str) -> None:
    """Pretokens of a megabyte: where each ends."""
    from bbpe.patterns import Pretokenizer

    data = text.data()
    pretokenizer = Pretokenizer(pattern)
    ends = benchmark(pretokenizer.ends, data)
    assert ends[-1] == len(data)


def test_count(benchmark: Any, text: Slice) -> None:
    """Distinct pretokens of a megabyte, one thread."""
    from bbpe.counts import count_pretokens

    documents = text.documents()
    counts = benchmark(count_pretokens, documents, threads=1)
    assert counts.documents == len(documents)


def test_train(benchmark: Any, text: Slice) -> None:
    """The merge loop alone: 4,000 entries from counts of a megabyte."""
    from bbpe.counts import count_pretokens

    counts = count_pretokens(text.documents(), threads=1)
    tokenizer = benchmark.pedantic(bbpe.train, (counts, 4_000), {"threads": 1}, rounds=3)
    assert tokenizer.vocab_size == 4_000


def test_encode(benchmark: Any, text: Slice, tokenizer: Any) -> None:
    """A megabyte of documents in one call, hot after the first round."""
    documents = text.documents()
    ids, offsets = benchmark(tokenizer.encode_batch_to_numpy, documents, threads=1)
    assert offsets[-1] == len(ids)


def test_encode_short(benchmark: Any, text: Slice, tokenizer: Any) -> None:
    """A thousand texts of 50 characters, one call each."""
    whole = text.path.read_text(encoding="utf-8")
    pieces = [whole[begin : begin + 50] for begin in range(0, 50_000, 50)]
    benchmark(lambda: [tokenizer.encode(piece) for piece in pieces])


def test_count_tokens(benchmark: Any, text: Slice, tokenizer: Any) -> None:
    """How many ids a megabyte has, without the ids."""
    whole = text.path.read_text(encoding="utf-8")
    number = benchmark(tokenizer.count, whole)
    assert number == len(tokenizer.encode(whole))


def test_decode(benchmark: Any, text: Slice, tokenizer: Any) -> None:
    """A megabyte from an array of ids to bytes."""
    ids = tokenizer.encode_to_numpy(text.path.read_text(encoding="utf-8"))
    assert benchmark(tokenizer.decode_bytes, ids) == text.data()


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_pathological(benchmark: Any, name: str) -> None:
    """Text on which a careless loop is quadratic."""
    if "BBPE_HOME" not in os.environ:
        pytest.skip("BBPE_HOME is not set, whose vocabularies are measured with")
    tokenizer = bbpe.load("cl100k_base")
    ids = benchmark.pedantic(tokenizer.encode_to_numpy, (PATHOLOGICAL[name],), rounds=3)
    assert tokenizer.decode(ids) == PATHOLOGICAL[name]
