"""The seam between the one engine and the kinds of vocabulary that it extends.

``extending.py`` knows how an extension goes: count, learn, number, check, report. What a symbol, a pretoken and an
encoder are it asks of the base: :class:`~bbpe.extension.byte_base.ByteBase` for byte-level BPE,
:class:`~bbpe.extension.piece_base.PieceBase` for SentencePiece BPE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bbpe.corpus import Progress, Source, SourceLike
from bbpe.counts import Counts
from bbpe.embeddings import EmbeddingPlan
from bbpe.extension.numbering import Numbering
from bbpe.extension.options import ExtensionOptions
from bbpe.extension.record import CorpusRow, Price, Witness
from bbpe.vocabulary import SpecialToken

Made = TypeVar("Made")
Show = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What an extension adds, before its tokens have their ids.

    Attributes:
        first_id: The number of the first addition in ``parts``; addition *n* is ``first_id + n``.
        parts: What each is made of, in learning order: two parts of a merge, or the bytes of a character.
        counts: How many tokens each saved when it was learned: int64.
        tokens: Tokens of the counted text before the first and after each: int64, one more.
        exhausted: Whether there was no more to learn.
    """

    first_id: int
    parts: Sequence[tuple[int, ...]]
    counts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]
    exhausted: bool

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(slots=True, eq=False)
class Measured:
    """What a pass over a corpus found.

    Attributes:
        rows: One for each file, or one for all.
        occurrences: How often each new token occurs, by its place in the plan: int64.
        documents: In how many documents each occurs.
        sources: Size and sha256 of the files read.
    """

    rows: list[CorpusRow]
    occurrences: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int64]
    sources: tuple[Source, ...]


class Comparing(Protocol):
    """Compares the base with its extension on text, and raises where a promise does not hold."""

    def corpus(
        self,
        source: SourceLike,
        role: str,
        *,
        name: str | None = None,
        text_field: str = "text",
        lines: bool = False,
        strict: bool = False,
    ) -> Measured:
        """Every document of a corpus."""

    def pretokens(self, counts: Counts) -> CorpusRow:
        """The distinct pretokens of a text that cannot be read again."""

    def witnesses(self, counts: Counts) -> list[Witness]:
        """For each new token, in the order of the plan, a text in which it occurs."""


class Base(Protocol[Made]):
    """A vocabulary that can be extended; ``Made`` is what its extension is before an encoder runs it.

    Attributes:
        facts: Name, entries, rows and special tokens, for the report.
        id_space: Its last id + 1.
        tokens: Id to bytes of every ordinary token.
        special_tokens: The special tokens.
        counting: What its pretokens are counted with: ``pattern``, ``special_tokens`` and ``normalizer``.
    """

    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def id_space(self) -> int: ...
    @property
    def tokens(self) -> Mapping[int, bytes]: ...
    @property
    def special_tokens(self) -> Sequence[SpecialToken]: ...
    @property
    def counting(self) -> Mapping[str, Any]: ...

    def numbering(self, options: ExtensionOptions) -> Numbering:
        """Which ids new tokens get. Refuses options that this kind of base cannot follow."""

    def normalized(self, text: str) -> str:
        """A text as the base takes it."""

    def count(
        self, source: SourceLike, options: ExtensionOptions, threads: int | None, progress: Show | None
    ) -> Counts:
        """The pretokens of a corpus."""

    def check_counts(self, counts: Counts) -> None:
        """Refuse counts that were made for another kind of base."""

    def as_counts(self, weights: Mapping[bytes, int]) -> Counts:
        """Wanted tokens as pretokens."""

    def cut(self, texts: Sequence[bytes]) -> list[bool]:
        """Which texts cannot be one token, because the base cuts them."""

    def sizes(self, texts: Sequence[bytes]) -> list[int]:
        """How many tokens each text has inside a longer one."""

    def learn(
        self,
        counts: Counts,
        limit: int,
        min_count: int,
        min_saved: int,
        options: ExtensionOptions,
        progress: Show | None,
    ) -> Learned:
        """Learn at most ``limit`` additions, each of something that occurs often enough and saves enough tokens."""

    def price(self, counts: Counts, learned: Learned, least: int, options: ExtensionOptions) -> Price | None:
        """What whole characters cost; None where there is no choice."""

    def extended(
        self, ids: Sequence[int], tokens: Sequence[bytes], parts: Sequence[tuple[int, ...]], numbering: Numbering
    ) -> Made:
        """The base with tokens added: the ids, bytes and parts of each, in learning order."""

    def check_ids(self, made: Made, plan: EmbeddingPlan, replaced: Sequence[str]) -> None:
        """Raise where an old id or special token has changed."""

    def comparing(self, made: Made, plan: EmbeddingPlan, threads: int | None, progress: Show | None) -> Comparing:
        """What checks ``made`` on text."""

    def made_sizes(self, made: Made, texts: Sequence[bytes]) -> list[int]:
        """As ``sizes``, with the extension."""

    def not_as_ranks(self, made: Made) -> str | None:
        """Why ranks alone would give other ids; None where they give the same."""

    def unreachable(self) -> tuple[int, ...]:
        """Tokens of the base that its merges do not make of their own text."""

    def guarantees(
        self, rows: Sequence[CorpusRow], plan: EmbeddingPlan, not_as_ranks: str | None, left_out: Mapping[str, str]
    ) -> dict[str, str]:
        """What was checked, in words, by name; what does not hold has raised before."""

    def finished(self, made: Made, counts: Counts) -> tuple[Any, Mapping[str, bytes] | None, Mapping[str, str]]:
        """The extended tokenizer; its files by name, where ``bbpe.save`` does not make them; those left out, and why."""
