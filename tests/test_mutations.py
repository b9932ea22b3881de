"""Hostile files of every format: refused, or read as the format's own library reads them; never a crash or a hang.

A slice of `python -m benchmarks.mutations`, whose long run has at least 100,000 mutants. Workers are processes of their
own, so that a crash of native code fails one test, with the seed that made it.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent))
pytest.importorskip("tokenizers")
mutations = pytest.importorskip("benchmarks.mutations")
if not Path("/proc/self/status").exists():
    pytest.skip("workers measure and limit their memory as Linux does", allow_module_level=True)

NAMES = [
    "tiktoken",
    "tiktoken, no sidecar",
    "tokenizer.json",
    "tokenizer.json, cut inside characters",
    "vocab+merges",
    "vocab+merges, no sidecar",
    "tekken",
    "gguf",
    "sentencepiece, bpe, identity",
    "sentencepiece, unigram, identity",
    "sentencepiece, unigram, nmt_nfkc",
    "piece-list",
    "tokenizer.json, bpe",
    "tokenizer.json, unigram",
    "tokenizer.json, wordpiece",
    "wordpiece",
    "gguf, wordpiece",
]
MUTANTS = 40  # of each, seeds 0 to 39
LARGEST = 500 << 20  # bytes of memory that a worker may reach; loading the libraries takes some 65 MB


@pytest.mark.parametrize("name", NAMES)
def test_mutants_are_refused_or_read_rightly(name: str) -> None:
    counts: Counter[str] = Counter()
    for seed, said in mutations.results(name, range(MUTANTS)):
        if seed < 0:
            assert int(said) < LARGEST
            continue
        assert not said.startswith("WRONG"), f"seed {seed}: {said}"
        counts[said] += 1
    assert counts.total() == MUTANTS
    assert counts["refused"] > MUTANTS // 4


def test_every_specimen_is_sound(tmp_path: Path) -> None:
    """Unharmed, each is read, and as its library reads it: what a mutant is compared with means something."""
    specimens = mutations.specimens()
    assert list(specimens) == NAMES or set(specimens) == set(NAMES)
    for name, specimen in specimens.items():
        folder = tmp_path / name.replace(",", "")
        folder.mkdir()
        for file, content in specimen.files.items():
            (folder / file).write_bytes(content)
        expected = "no second opinion" if specimen.oracle is None else "same ids"
        assert mutations.judge(specimen, folder) == expected, name


def test_a_crash_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: a worker that dies is charged to its seed, and the next one goes on after it."""
    monkeypatch.setenv("BBPE_MUTATIONS_CRASH_AT", "2")
    found = dict(mutations.results("piece-list", range(4)))
    assert found[2].startswith("WRONG: the process ends with status")
    assert {0, 1, 3} <= found.keys()
