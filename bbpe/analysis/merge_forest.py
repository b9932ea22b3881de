"""Which merges build each token: the run of the merges on a token's own bytes, and the trees that follow from it.

By the lemma in ``formats/equivalence.py`` what happens inside a token's bytes, wherever it comes to stand as one part, is
what happens to these bytes alone. So a token is reachable by merges if and only if its own bytes end as one part, its
last merge is always the same pair, and this pair's parts have one tree each again.

*Canonical split*: the last merge of a token when only tokens of a lower rank are used on the way. Writers of merge lists
recover merges so; a token without one is lost by them. A rank table may still reach it: once nothing of a lower rank
is left to merge, pairs of a higher rank are joined, and may complete it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from bbpe.errors import VocabularyError
from bbpe.vocabulary import Vocabulary

MAX_WORK = 10**9  # the run on one token is quadratic in its length; published vocabularies need less than 10**8 in all
_NO_MERGE = 1 << 62


class Run(NamedTuple):
    """What the merges make of a token's own bytes.

    Attributes:
        parts: The ids at the end; one where merges reach the token, none where a byte of it has no token.
        last: The pair of the last merge of a token that merges reach; else None.
        rank: Of the last merge.
        highest: The highest rank of the merges before the last, -1 where there were none.
    """

    parts: tuple[int, ...]
    last: tuple[int, int] | None
    rank: int
    highest: int


@dataclass(frozen=True, slots=True)
class Node:
    """A token in a merge tree.

    Attributes:
        id: Its id.
        token: Its bytes.
        rank: The rank of the merge that makes it; None for a byte and for what no merge makes.
        parts: The two parts that are merged; the bytes' ends of the run where no merge makes it; () for a byte.
        merged: Whether merges make it of its parts.
    """

    id: int
    token: bytes
    rank: int | None
    parts: tuple[Node, ...]
    merged: bool

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


class MergeForest:
    """The merges of one vocabulary, and how they build its tokens.

    Args:
        vocabulary: A merge list or a rank table; each is run by its own rules. The whole-pretoken rule has no say here.

    Raises:
        VocabularyError: Its tokens are too long for this.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        longest = max(map(len, vocabulary.tokens.values()), default=0)
        if sum(len(token) ** 2 for token in vocabulary.tokens.values()) > MAX_WORK:
            raise VocabularyError(f"tokens of up to {longest:,} bytes are too long to follow their merges")
        self.vocabulary = vocabulary
        self._byte_ids = {token[0]: id for id, token in vocabulary.tokens.items() if len(token) == 1}
        self._place: dict[tuple[int, int], int] = {}
        self._made: list[int] = []
        self._rank_of: dict[bytes, int] = {}
        if vocabulary.merges is not None:
            tokens, ids = vocabulary.tokens, vocabulary.ids
            self._place = {pair: place for place, pair in enumerate(vocabulary.merges)}
            self._made = [ids[tokens[left] + tokens[right]] for left, right in vocabulary.merges]
        else:
            assert vocabulary.ranks is not None
            self._rank_of = {vocabulary.tokens[id]: rank for rank, id in enumerate(vocabulary.ranks)}
        self._runs: dict[int, Run] = {}

    def run(self, id: int) -> Run:
        """The run on a token's own bytes.

        Raises:
            KeyError: The id is none of an ordinary token.
        """
        if id not in self._runs:
            token = self.vocabulary.tokens[id]
            if not self._byte_ids.keys() >= set(token):
                self._runs[id] = Run((), None, -1, -1)
            elif self.vocabulary.merges is not None:
                self._runs[id] = self._run_pairs(token)
            else:
                self._runs[id] = self._run_ranks(token)
        return self._runs[id]

    def split(self, id: int) -> tuple[int, int] | None:
        """The pair of the last merge that makes a token; None for a byte and for what no merge makes."""
        return self.run(id).last

    def without_canonical_split(self) -> list[int]:
        """Of a rank table: the tokens of two bytes or more that have no canonical split (see the module)."""
        return [
            id
            for id, token in self.vocabulary.tokens.items()
            if len(token) > 1 and ((run := self.run(id)).parts != (id,) or run.highest > run.rank)
        ]

    def canonical_merges(self) -> list[tuple[int, int]]:
        """Of a rank table: the canonical splits, by the rank of the token that they make."""
        assert self.vocabulary.ranks is not None
        missing = set(self.without_canonical_split())
        splits = (self.split(id) for id in self.vocabulary.ranks if id not in missing)
        return [split for split in splits if split is not None]

    def tree(self, id: int) -> Node:
        """The merge tree of a token; of one that no merge makes, the parts that the merges leave.

        Raises:
            KeyError: The id is none of an ordinary token.
        """
        run = self.run(id)
        token = self.vocabulary.tokens[id]
        if len(token) == 1:
            return Node(id, token, None, (), True)
        if run.last is not None:
            return Node(id, token, run.rank, tuple(map(self.tree, run.last)), True)
        return Node(id, token, None, tuple(map(self.tree, run.parts)), False)

    def _run_pairs(self, token: bytes) -> Run:
        """A merge list: the listed pair of the lowest place, the leftmost where it stands more than once."""
        place = self._place
        parts = [self._byte_ids[byte] for byte in token]
        places = [place.get(pair, _NO_MERGE) for pair in pairwise(parts)]
        last, rank, highest = None, -1, -1
        while places and (best := min(places)) != _NO_MERGE:
            at = places.index(best)
            last, highest, rank = (parts[at], parts[at + 1]), max(highest, rank), best
            parts[at : at + 2] = [self._made[best]]
            del places[at]
            if at:
                places[at - 1] = place.get((parts[at - 1], parts[at]), _NO_MERGE)
            if at < len(places):
                places[at] = place.get((parts[at], parts[at + 1]), _NO_MERGE)
        return Run(tuple(parts), None if places else last, rank, highest)

    def _run_ranks(self, token: bytes) -> Run:
        """A rank table: the pair whose concatenation has the lowest rank, the leftmost where ranks are equal."""
        rank_of, ids = self._rank_of, self.vocabulary.ids
        edges = list(range(len(token) + 1))
        ranks = [rank_of.get(token[at : at + 2], _NO_MERGE) for at in range(len(token) - 1)]
        last, rank, highest = None, -1, -1
        while ranks and (best := min(ranks)) != _NO_MERGE:
            at = ranks.index(best)
            highest, rank = max(highest, rank), best
            if len(ranks) == 1:
                last = ids[token[: edges[1]]], ids[token[edges[1] :]]
            del edges[at + 1]
            del ranks[at]
            if at:
                ranks[at - 1] = rank_of.get(token[edges[at - 1] : edges[at + 1]], _NO_MERGE)
            if at < len(ranks):
                ranks[at] = rank_of.get(token[edges[at] : edges[at + 2]], _NO_MERGE)
        return Run(tuple(ids[token[begin:end]] for begin, end in pairwise(edges)), last, rank, highest)
