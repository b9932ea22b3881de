"""What every library under measurement is asked through: `Peer` and `Encoder`, each call in the fastest form it offers.

An adapter does three things apart from one another, so that `measure.py` can time the middle one alone: get its input
ready, do the work, turn the result into a common form for comparison. What a library cannot do is an `Unsupported`.
The adapters are in `peers.py` (libraries that train, most of which encode as well) and `encoders.py` (the others).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from benchmarks.slices import Slice
from benchmarks.vocabularies import VOCABULARIES, RankVocabulary

Ids = npt.NDArray[np.uint32]


def joined(arrays: Sequence[Any]) -> Ids:
    """Ids of several texts as one array."""
    return np.concatenate([np.asarray(array, dtype=np.uint32) for array in arrays])


def published(vocabulary: str) -> RankVocabulary:
    """What the peers are told of a vocabulary.

    Raises:
        Unsupported: it has no rank file here.
    """
    if vocabulary not in VOCABULARIES:
        raise Unsupported(f"no rank file known for {vocabulary}; known: {', '.join(VOCABULARIES)}")
    return VOCABULARIES[vocabulary]


class Unsupported(Exception):
    """The library has no such task, or not with these options."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What every library is asked to learn.

    Attributes:
        pattern: a name in `PATTERNS`.
        vocab_size: entries, the 256 bytes included; no special tokens.
        ties: the order of the bytes' ids, which decides ties: `value`, or `gpt2` as in OpenAI's and Hugging Face's
            files. A library knows one of the two; bbpe is measured in the one that it is compared with.
        threads: threads it may use.
    """

    pattern: str
    vocab_size: int
    ties: str
    threads: int


@dataclass(frozen=True, slots=True)
class Learned:
    """A trained vocabulary for comparison: tokens in the order learned, bytes left out, and the merges if known."""

    tokens: list[bytes]
    merges: list[tuple[bytes, bytes]] | None


class Encoder:
    """A loaded vocabulary. `batch` and `single` return what the library returns; `*_ids` read it after the timer."""

    batch_call: ClassVar[str]
    single_call: ClassVar[str]

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def batch(self, documents: list[str], threads: int) -> Any:
        """All documents in the library's best way of doing many."""
        raise Unsupported("no batch call")

    def single(self, text: str) -> Any:
        """One text, to a numpy array where the library has that, else to a list."""
        raise Unsupported("no call for one text")

    def listed(self, text: str) -> Any:
        """One text, to a list of ids."""
        raise Unsupported("no call for one text")

    def batch_ids(self, result: Any) -> Ids:
        """The ids of what `batch` returned, one document after another."""
        return joined(result)

    def lists(self, texts: list[str]) -> Any:
        """Many texts in one call, to a list of ids for each; the single calls in turn where that is quicker."""
        listed = self.listed
        return [listed(text) for text in texts]

    def number(self, text: str) -> int:
        """How many ids a text has."""
        raise Unsupported("does not count")

    def decode_array(self, ids: Ids) -> bytes:
        """Ids in an array to bytes."""
        raise Unsupported("decodes no array")

    def decode_list(self, ids: list[int]) -> str:
        """Ids in a list to text."""
        raise Unsupported("decodes no list")


class Peer:
    """A library under measurement."""

    distribution: ClassVar[str]
    module: ClassVar[str]
    ties: ClassVar[frozenset[str]] = frozenset()
    patterns: ClassVar[frozenset[str]] = frozenset()
    remembers: ClassVar[bool] = True
    """Whether text that went before makes a call quicker; where it cannot, nothing is warmed up."""

    def imported(self, module: str | None = None) -> Any:
        """The library, or a module of it, imported when first wanted: most processes measure one of the others."""
        return import_module(module or self.module)

    def environment(self, threads: int) -> dict[str, str]:
        """Environment variables to set before the library is imported."""
        return {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        """The training run, its input already in memory in the form that the library takes."""
        raise Unsupported(f"{self.distribution} does not train")

    def learned(self, result: Any) -> Learned | None:
        """What the run learned; None where the algorithm is another, so that there is nothing to compare."""
        raise NotImplementedError

    def load(self, vocabulary: str) -> Encoder:
        """Load a published vocabulary from its file."""
        raise Unsupported(f"{self.distribution} does not load {vocabulary}")

    def counter(self, source: Sequence[str] | str, pattern: str, threads: int) -> Callable[[], Any]:
        """Count the pretokens of documents, or of a file named by its path."""
        raise Unsupported(f"{self.distribution} does not count pretokens")

    def counted(self, result: Any) -> list[npt.NDArray[Any]]:
        """Arrays that hold all there is of a count."""
        raise NotImplementedError
